package inbox

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now = time.Date(2026, 11, 20, 12, 15, 7, 250_000_000, time.UTC)

	code = Message{
		ID: "6f1d", Channel: "email", To: "ada@example.test", Name: "Ada Lovelace", Subject: "OTP for Acme Login",
		Text: "Use OTP 048215", HTML: "<!doctype html><p>048215</p>", At: now.Add(-5 * time.Minute), Code: "048215",
	}
	link = Message{
		ID: "7a2e", Channel: "email", To: "bob@example.test", Subject: "Acme Login", Text: "https://app.example/?a=1&b=2",
		HTML: "<!doctype html><p>link</p>", At: now.Add(-3 * time.Hour), Link: "https://app.example/?a=1&b=2",
	}
	sms = Message{ID: "8b3f", Channel: "sms", To: "+15555550123", Text: "193077", At: now.Add(-50 * time.Hour), Code: "193077"}
)

// with gives an inbox whose clock stands still.
func with(messages ...Message) *Inbox {
	i := New(true, true)
	i.now = func() time.Time { return now }
	for _, m := range messages {
		i.Keep(m)
	}
	return i
}

func get(i *Inbox, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", target, nil)
	for n := 0; n < len(header); n += 2 {
		r.Header.Set(header[n], header[n+1])
	}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	return w
}

func has(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("the page lacks %q:\n%s", part, withoutAssets(body))
		}
	}
}

var assets = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>`)

func withoutAssets(body string) string { return assets.ReplaceAllString(body, "") }

func TestThePageShowsTheNewestMessage(t *testing.T) {
	body := get(with(sms, link, code), "/inbox").Body.String()
	has(t, body, "ada@example.test", "bob@example.test", "&#43;15555550123", "5 min ago", "3 h ago", "2 d ago", ">SMS<", ">Mail<",
		"<h1>OTP for Acme Login</h1>", "20 November 2026, 12:10:07 UTC", "<code>048215</code>", `data-copy="048215"`,
		`<iframe src="inbox/6f1d" sandbox="allow-popups allow-popups-to-escape-sandbox"`, `<a href="inbox?id=6f1d" aria-current="true">`)
	if strings.Contains(body, "Open link") || strings.Contains(body, `class="picked"`) {
		t.Errorf("%s", withoutAssets(body))
	}
	if first, second := strings.Index(body, "inbox?id=6f1d"), strings.Index(body, "inbox?id=7a2e"); first > second {
		t.Error("the newest is not the first")
	}
}

func TestThePageShowsTheMessageThatWasChosen(t *testing.T) {
	i := with(sms, link, code)
	body := get(i, "/inbox?id=7a2e").Body.String()
	has(t, body, `<body class="picked">`, "<h1>Acme Login</h1>", `src="inbox/7a2e"`,
		`<a class="open" href="https://app.example/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">Open link</a>`)
	if strings.Contains(body, "Copy code") {
		t.Error("there is a button for a code that is not there")
	}

	body = get(i, "/inbox?id=8b3f").Body.String()
	has(t, body, "<h1>Text message</h1>", `<p class="bubble">193077</p>`, `data-copy="193077"`)
	if strings.Contains(body, "<iframe") {
		t.Error("a text message is in a frame")
	}

	body = get(i, "/inbox?id=gone").Body.String()
	has(t, body, "This message is gone", "inbox?id=6f1d")
}

// A developer who waits here for a mail that was sent has to be told.
func TestAnEmptyInboxSaysWhatComesHere(t *testing.T) {
	for _, c := range []struct {
		mails, texts bool
		says         string
	}{
		{true, true, "<p>Mails and text messages appear here instead of being sent."},
		{true, false, "<p>Mails appear here instead of being sent. Text messages are sent."},
		{false, true, "<p>Text messages appear here instead of being sent. Mails are sent."},
		{false, false, "<p>Mails and text messages are sent. None appear here."},
	} {
		has(t, get(New(c.mails, c.texts), "/inbox").Body.String(), c.says)
	}
}

func TestAnEmptyInboxSaysWhatToDo(t *testing.T) {
	for host, base := range map[string]string{
		"127.0.0.1:9090":   "http://127.0.0.1:9090",
		"[::1]:8080":       "http://[::1]:8080",
		"x;rm${IFS}-rf~":   "http://localhost:8080",
		"<script>.invalid": "http://localhost:8080",
	} {
		r := httptest.NewRequest("GET", "/inbox", nil)
		r.Host = host
		w := httptest.NewRecorder()
		with().Handler().ServeHTTP(w, r)
		has(t, html.UnescapeString(w.Body.String()), "Nothing here yet", "No messages", "curl "+base+"/v1/account/tokens/email \\\n", `-d '{"userId":"unique()","email":"ada@example.com"}'`)
	}
}

func TestTheJSONHoldsEverything(t *testing.T) {
	w := get(with(sms, code), "/inbox.json")
	var got any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{
			"id": "6f1d", "channel": "email", "to": "ada@example.test", "name": "Ada Lovelace", "subject": "OTP for Acme Login",
			"text": "Use OTP 048215", "html": "<!doctype html><p>048215</p>", "at": "2026-11-20T12:10:07.250Z", "link": "", "code": "048215",
		},
		map[string]any{
			"id": "8b3f", "channel": "sms", "to": "+15555550123", "name": "", "subject": "",
			"text": "193077", "html": "", "at": "2026-11-18T10:15:07.250Z", "link": "", "code": "193077",
		},
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if kind := w.Header().Get("Content-Type"); w.Code != 200 || kind != "application/json" {
		t.Errorf("%d %s", w.Code, kind)
	}
	if body := get(with(), "/inbox.json").Body.String(); body != "[]\n" {
		t.Errorf("an empty inbox is %q", body)
	}
	far := sms
	far.At = time.Date(2026, 11, 20, 12, 0, 0, 0, time.FixedZone("", 5*3600))
	has(t, get(with(far), "/inbox.json").Body.String(), `"at":"2026-11-20T07:00:00.000Z"`)
}

func TestALetterIsServedAlone(t *testing.T) {
	i := with(sms, code)
	for path, want := range map[string][2]string{
		"/inbox/6f1d": {"text/html; charset=utf-8", code.HTML},
		"/inbox/8b3f": {"text/plain; charset=utf-8", sms.Text},
	} {
		w := get(i, path)
		if diff := cmp.Diff(want, [2]string{w.Header().Get("Content-Type"), w.Body.String()}); diff != "" || w.Code != 200 {
			t.Errorf("%s: %d (-want +got):\n%s", path, w.Code, diff)
		}
	}
	for _, path := range []string{"/inbox/none", "/inbox/", "/inbox/6f1d/", "/inbox/6f1d/x", "/inbox.json/x", "/"} {
		if w := get(i, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/inbox", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// Letters quote what anybody wrote; the page must show it and not run it.
func TestNothingInAMessageRuns(t *testing.T) {
	const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
	m := Message{ID: `../..?#"'>` + evil, Channel: "email", To: evil, Name: evil, Subject: evil, Text: evil, HTML: evil, At: now, Link: evil, Code: evil}
	asText := m
	asText.ID, asText.HTML = "text", ""
	asSMS := asText
	asSMS.ID, asSMS.Channel, asSMS.Subject = "sms", "sms", ""
	odd := asText
	odd.ID, odd.Channel = "odd", evil
	i := with(m, asText, asSMS, odd)
	for _, m := range i.Messages() {
		w := get(i, "/inbox?id="+url.QueryEscape(m.ID))
		body := withoutAssets(w.Body.String())
		bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, "") // no tag ends within quotes
		if found := regexp.MustCompile(`(?i)<script|<img|<[^>]*\son\w+=`).FindString(bare); found != "" {
			t.Errorf("%q: the page holds %q:\n%s", m.ID, found, body)
		}
		if strings.Count(w.Body.String(), "<script>") != 1 || strings.Contains(body, `class="open"`) {
			t.Errorf("%q:\n%s", m.ID, body)
		}
		if m.HTML == "" {
			continue
		}
		frame := regexp.MustCompile(`<iframe src="([^"]*)" sandbox="([^"]*)"`).FindStringSubmatch(body)
		if frame == nil || strings.Contains(frame[2], "scripts") || strings.Contains(frame[2], "same-origin") || strings.Contains(frame[2], "top-navigation") {
			t.Fatalf("the letter's frame is %q", frame)
		}
		if letter := get(i, "/"+html.UnescapeString(frame[1])); letter.Code != 200 || letter.Body.String() != evil {
			t.Errorf("the frame shows %d %s", letter.Code, letter.Body)
		}
	}
}

func TestOnlyLinksThatLeadSomewhereCanBeOpened(t *testing.T) {
	for link, want := range map[string]string{
		"https://app.example/?a=1&b=2":     `href="https://app.example/?a=1&amp;b=2"`,
		"myapp://sign-in?secret=0a1b":      `href="myapp://sign-in?secret=0a1b"`,
		`https://app.example/"onclick="x"`: `href="https://app.example/%22onclick=%22x%22"`,
		"javascript://x/%0Aalert(1)":       "",
		"JavaScript:alert(1)":              "",
		" javascript://x":                  "",
		"data://text/html,x":               "",
		"vbscript://x":                     "",
		"/relative":                        "",
		"java\nscript://x":                 "",
		"":                                 "",
	} {
		m := code
		m.Link = link
		opened := regexp.MustCompile(`<a class="open" ([^ ]*)`).FindStringSubmatch(get(with(m), "/inbox").Body.String())
		switch {
		case want == "" && opened != nil:
			t.Errorf("%q can be opened: %s", link, opened[1])
		case want != "" && (opened == nil || html.UnescapeString(opened[1]) != html.UnescapeString(want)):
			t.Errorf("%q is opened by %q, want %s", link, opened, want)
		}
	}
}

func TestBrowsersAreToldToKeepItToThemselves(t *testing.T) {
	i := with(code)
	page, letter, list := get(i, "/inbox"), get(i, "/inbox/6f1d"), get(i, "/inbox.json")
	for name, w := range map[string]*httptest.ResponseRecorder{"page": page, "letter": letter, "list": list, "nothing": get(i, "/inbox/none")} {
		for header, want := range map[string]string{
			"Cache-Control":                "no-store",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Access-Control-Allow-Origin":  "",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}

	body, policy := page.Body.String(), page.Header().Get("Content-Security-Policy")
	for tag, directive := range map[string]string{"style": "style-src ", "script": "script-src "} {
		inline := regexp.MustCompile(`(?s)<`+tag+`>(.*?)</`+tag+`>`).FindAllStringSubmatch(body, -1)
		if len(inline) != 1 || !strings.Contains(policy, directive+hashOf(inline[0][1])+";") {
			t.Errorf("the policy %q does not allow the %s that the page has", policy, tag)
		}
	}
	for _, want := range []string{"default-src 'none'", "frame-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
			t.Errorf("policy %q", policy)
		}
	}
	if found := regexp.MustCompile(`(?i)https?:|(src|href)="//|\sstyle=|\son\w+=`).FindString(body); found != "" {
		t.Errorf("the page needs %q, which the policy forbids", found)
	}
	policy = letter.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'self'", "sandbox allow-popups"} {
		if !strings.Contains(policy, want) || strings.Contains(policy, "script") {
			t.Errorf("policy of a letter %q", policy)
		}
	}
}

func TestAPageThatDidNotChangeIsNotSentAgain(t *testing.T) {
	i := with(code)
	tag := get(i, "/inbox").Header().Get("ETag")
	if w := get(i, "/inbox", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() != 0 || w.Header().Get("ETag") != tag {
		t.Errorf("%d with %d bytes", w.Code, w.Body.Len())
	}
	i.Keep(link)
	if w := get(i, "/inbox", "If-None-Match", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("after a message: %d", w.Code)
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:       "just now", // by somebody else's clock
		0:                "just now",
		time.Minute - 1:  "just now",
		time.Minute:      "1 min ago",
		time.Hour - 1:    "59 min ago",
		time.Hour:        "1 h ago",
		24*time.Hour - 1: "23 h ago",
		24 * time.Hour:   "1 d ago",
		49 * time.Hour:   "2 d ago",
	} {
		if got := ago(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
