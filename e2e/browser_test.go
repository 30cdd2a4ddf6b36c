//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// A page on another port signs up, in and out in a real browser: with the API on its own site, and with the API on
// another site, whose cookies the browser keeps away. A page that is not of the project is kept away itself.
func TestPageInARealBrowser(t *testing.T) {
	t.Parallel()
	libraries(t)
	s := start(t, t.TempDir())
	files := http.NewServeMux()
	files.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(node, "page.html")) })
	files.HandleFunc("GET /sdk.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(node, "node_modules", "appwrite", "dist", "iife", "sdk.js"))
	})
	pages := httptest.NewServer(files)
	defer pages.Close()
	// Browsers find every name below localhost on this machine.
	show := func(host string) string {
		return outcome(t, "http://"+onHost(host, pages.Listener.Addr().String())+"/?"+url.Values{
			"same":  {"http://" + onHost(host, s.address) + "/v1"},
			"other": {"http://" + s.address + "/v1"},
		}.Encode())
	}

	type story struct {
		Guest     string
		SignedUp  bool
		SignedIn  string
		Stored    []string
		Readable  string
		Name      string
		Prefs     map[string]string
		Sessions  []bool
		Left      string
		SignedOut []any
	}
	var got struct {
		Same, Other      story
		Cookie, NoCookie string
	}
	shown := show("app.localhost")
	if err := json.Unmarshal([]byte(shown), &got); err != nil {
		t.Fatalf("the page shows: %s", shown)
	}
	same := story{
		Guest: "general_unauthorized_scope", SignedUp: true, SignedIn: "email", Stored: []string{}, Name: "Ada",
		Prefs: map[string]string{"theme": "dark"}, Sessions: []bool{true},
		SignedOut: []any{401.0, "general_unauthorized_scope"},
	}
	other := same
	other.Stored, other.Left = []string{"a_session_demo"}, "[]"
	for site, c := range map[string]struct{ want, got story }{"same": {same, got.Same}, "other": {other, got.Other}} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("with the API on the %s site (-want +got):\n%s", site, diff)
		}
	}
	if shown := show("elsewhere.localhost"); !strings.Contains(shown, "TypeError: Failed to fetch") {
		t.Errorf("a page of a host that is not the project's: %s", shown)
	}
	if got.Cookie != "Grace" || got.NoCookie != "general_unauthorized_scope" {
		t.Errorf("with the cookie alone: %q on the same site, %q on another", got.Cookie, got.NoCookie)
	}
}

// onHost is an address by another name of the host.
func onHost(host, address string) string {
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(host, port)
}

var shownOutcome = regexp.MustCompile(`(?s)<pre id="outcome">(.*?)</pre>`)

// outcome loads a page in the browser and gives what it shows when its script is done: the browser's clock stands
// still while requests are under way.
func outcome(t *testing.T, page string) string {
	t.Helper()
	home := t.TempDir()
	c := own(exec.Command(chromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+home, "--virtual-time-budget=30000", "--dump-dom", page), []string{"HOME=" + home, "TMPDIR=" + home, "PATH=/usr/bin:/bin"})
	stdout, stderr, code := run(t, c)
	shown := shownOutcome.FindStringSubmatch(stdout)
	if code != 0 || shown == nil {
		t.Fatalf("chromium: exit %d\n%s\n%s", code, stdout, stderr)
	}
	return html.UnescapeString(shown[1])
}

// chromium gives the path of the browser.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no browser: chromium is missing; on Debian: apt-get install chromium")
	return ""
}

// window opens a window of the browser, which ends with the test.
func window(t *testing.T) context.Context {
	t.Helper()
	home := t.TempDir()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.UserDataDir(home),
		chromedp.Flag("disable-quic", true), chromedp.Env("HOME="+home, "TMPDIR="+home),
		chromedp.ModifyCmdFunc(func(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }))
	ctx, cancel := context.WithTimeout(t.Context(), minute)
	t.Cleanup(cancel)
	ctx, closeAll := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(closeAll)
	ctx, closeOne := chromedp.NewContext(ctx)
	t.Cleanup(closeOne)
	return ctx
}

// afterwards loads a page that may lead the browser elsewhere and back, and gives what it shows in the end.
func afterwards(t *testing.T, page string) (shown string) {
	t.Helper()
	browser := window(t)
	if _, err := chromedp.Run(browser, chromedp.Navigate(page)); err != nil {
		t.Fatal(err)
	}
	await(t, minute, "the page shows its outcome", func() bool {
		text, err := chromedp.Run(browser, chromedp.Evaluate[string](`document.getElementById("outcome")?.textContent ?? ""`))
		shown = text
		return err == nil && (strings.HasPrefix(text, "{") || strings.Contains(text, "Error")) // an error: it is between two pages
	})
	return shown
}

// says waits until a page says something.
func says(t *testing.T, browser context.Context, element, want string) {
	t.Helper()
	await(t, minute, want, func() bool {
		text, err := chromedp.Run(browser, chromedp.Evaluate[string](`document.getElementById("`+element+`")?.textContent ?? ""`))
		return err == nil && text == want
	})
}

// The link of a letter signs in when the person presses the button, and once.
func TestTheMagicURLOfALetterInARealBrowser(t *testing.T) {
	t.Parallel()
	box := newPostbox(t)
	s := start(t, t.TempDir(), box.env()...)
	s.want(t, http.StatusCreated, "", "POST", "/v1/account/tokens/magic-url", `{"userId":"unique()","email":"ada@example.com"}`)
	letter, err := box.next("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`(?m)^http://\S+$`).FindString(letter.Text)
	browser := window(t)
	open := func() {
		t.Helper()
		if _, err := chromedp.Run(browser, chromedp.Navigate(link)); err != nil {
			t.Fatal(err)
		}
		says(t, browser, "text", "Continue to sign in on this device.")
		if at, err := chromedp.Run(browser, chromedp.Evaluate[string]("location.search")); err != nil || at != "" {
			t.Errorf("the address bar keeps %q, %v", at, err)
		}
		if _, err := chromedp.Run(browser, chromedp.Click("#go")); err != nil {
			t.Fatal(err)
		}
	}
	open()
	says(t, browser, "title", "You are signed in")
	who, err := chromedp.Run(browser, chromedp.Evaluate[string](`(async () => (await (await fetch("/v1/account", {headers: {"X-Appwrite-Project": "demo"}})).json()).email)()`, chromedp.EvalAwaitPromise))
	if err != nil || who != "ada@example.com" {
		t.Errorf("the browser is %q: %v", who, err)
	}
	open()
	says(t, browser, "title", "You are signed in already")
}

// Where people come to from a provider when the application has named no page: an app is called with the session, and
// what an address says is not shown.
func TestThePagesAfterAProviderInARealBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	browser := window(t)
	base := "http://" + onHost("localhost", s.address) + "/console/auth/oauth2/"
	for page, want := range map[string]string{
		"success": "You can close this page and go on in the app.",
		"failure": "You are not signed in. You can close this page and try again in the app.",
		"failure?error=" + url.QueryEscape(`{"type":"user_blocked","message":"Call 0900 1234"}`):        "This account is blocked.",
		"failure?error=" + url.QueryEscape(`{"type":"toString","message":"<script>alert(1)</script>"}`): "You are not signed in. You can close this page and try again in the app.",
	} {
		if _, err := chromedp.Run(browser, chromedp.Navigate(base+page)); err != nil {
			t.Fatal(err)
		}
		says(t, browser, "text", want)
	}
	if _, err := chromedp.Run(browser, chromedp.Navigate(base+"success?project=demo&secret=s&key=a_session_demo&domain=")); err != nil {
		t.Fatal(err)
	}
	says(t, browser, "go", "Return to the app")
	href, err := chromedp.Run(browser, chromedp.Evaluate[string](`document.getElementById("go").href`))
	if err != nil || href != "appwrite-callback-demo:///?project=demo&secret=s&key=a_session_demo&domain=" {
		t.Errorf("the app is called by %s: %v", href, err)
	}
}
