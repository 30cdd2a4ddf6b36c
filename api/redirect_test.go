package api

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/project"
)

func redirecting() (*API, *project.Project) {
	return &API{publicHost: "api.mail.test"}, &project.Project{ID: "Shop", Platforms: []string{"app.mail.test", "*.wild.test", "LOCALHOST", "::1"}, Schemes: []string{"myapp", "exp"}}
}

var allowedPages = []string{
	"https://app.mail.test", "https://app.mail.test/", "http://app.mail.test:3000/in?x=1&y=%2F#top", "HTTPS://APP.MAIL.TEST/in", "http://localhost",
	"http://localhost:5173/in", "https://a.wild.test", "https://a.b.wild.test/x", "https://api.mail.test/auth/magic-url", "http://[::1]:3000/x",
	"myapp://in", "MyApp://in/side?x=1", "myapp://", "exp://192.168.1.5:19000/--/in", "appwrite-callback-shop://", "appwrite-callback-Shop://in",
	"chrome-extension://app.mail.test/x", "https://app.mail.test?x=https://evil.test", "https://app.mail.test/@evil.test", "https://app.mail.test#@evil.test",
}

var refusedPages = []string{
	"", " ", "app.mail.test", "/in", "//app.mail.test", "///app.mail.test", "https:", "https://", "https:///app.mail.test", "https:app.mail.test",
	"https:/app.mail.test", "http://evil.test", "https://evil.test/app.mail.test", "https://evil.test?app.mail.test", "https://evil.test#app.mail.test",
	"https://app.mail.test.evil.test", "https://evilapp.mail.test", "https://x.app.mail.test", "https://wild.test", "https://evilwild.test", "https://.wild.test",
	"https://app.mail.test@evil.test", "https://evil.test@app.mail.test", "https://user:pass@app.mail.test", "https://app.mail.test:80@evil.test", "https://localhost:80@evil.test",
	"https://app.mail.test:x@evil.test/", `https://evil.test\@app.mail.test`, `https://app.mail.test\@evil.test`, `https://evil.test\.app.mail.test`, `https:\\app.mail.test`,
	`\\app.mail.test`, `https://app.mail.test\evil`, "https://app.mail.test\t.evil.test", "https://app.mail.test\n", "\nhttps://app.mail.test", "ht\ntps://app.mail.test",
	"https://app.mail.test\r\nSet-Cookie: a=b", " https://app.mail.test", "https://app.mail.test ", "https://app.mail.test/a b", "https://app.mail.test\x00",
	"https://app%2email.test", "https://app.mail.test%2f@evil.test", "https://app.mail.test%00.evil.test", "https://%61pp.mail.test", "https://app.mail.test%252f.evil.test",
	"https://app.mail.test.", "https://app.mail.test..", "https://аpp.mail.test", "https://app。mail。test", "https://app.mail.test／evil", "https://ⓐpp.mail.test",
	"https://app.mail.test:", "https://app.mail.test:port", "https://app.mail.test:123456", "https://app.mail.test:-1", "https://[app.mail.test]", "https://[::1", "https://::1/x",
	"https://[::1]evil.test", "https://[::1%25eth0]", "http://127.0.0.1", "http://2130706433", "http://0x7f.1", "http://[::ffff:127.0.0.1]", "https://app.mail.test,evil.test",
	"javascript:alert(1)", "javascript://app.mail.test/%0aalert(1)", "JaVaScRiPt://app.mail.test", "data:text/html,x", "data://app.mail.test", "file:///etc/passwd",
	"file://app.mail.test/x", "vbscript://app.mail.test", "blob://app.mail.test", "about://app.mail.test", "ftp://app.mail.test", "ws://app.mail.test", "myapp:in", "otherapp://in",
	"appwrite-callback-other://in", "myapp://user@in", "myapp://in/\n", "view-source://app.mail.test", "intent://app.mail.test", "https://app.mail.test/<script>", `https://app.mail.test/"onload="`,
	"https://app.mail.test/" + strings.Repeat("x", 2048), "https://app.mail.test/\xff", "https://app.mail.test/`x`", "https://app.mail.test/{x}", "https://app.mail.test/^",
}

func TestPeopleAreSentOnlyWhereTheProjectAllows(t *testing.T) {
	a, p := redirecting()
	for _, good := range allowedPages {
		if problem := a.redirectProblem(p, good); problem != "" {
			t.Errorf("%s: %s", good, problem)
		}
	}
	for _, bad := range refusedPages {
		if problem := a.redirectProblem(p, bad); problem == "" {
			t.Errorf("%q is allowed", bad)
		}
	}
}

// What passes is read by Go's parser as a URL of an allowed host or scheme, without a user.
func FuzzRedirect(f *testing.F) {
	for _, s := range slices.Concat([]string{"https://app.mail.test/in?x#y", "https://a.wild.test:80"}, allowedPages, refusedPages, oddButAllowed, confusing) {
		f.Add(s)
	}
	a, p := redirecting()
	f.Fuzz(func(t *testing.T, s string) {
		if a.redirectProblem(p, s) != "" {
			return
		}
		u, err := url.Parse(s)
		if escape := url.EscapeError(""); errors.As(err, &escape) {
			front, _, _ := strings.Cut(s, "%") // browsers let a bad escape behind the host be; one in the host leaves half of it
			u, err = url.Parse(front)
		}
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		host := strings.ToLower(u.Hostname())
		switch scheme := strings.ToLower(u.Scheme); {
		case u.User != nil || u.Opaque != "":
			t.Errorf("%q has a user or no host", s)
		case slices.Contains(webSchemes, scheme) && host != "api.mail.test" && !matchesPlatform(p, host):
			t.Errorf("%q leads to %s", s, host)
		case !slices.Contains(webSchemes, scheme) && !slices.Contains([]string{"myapp", "exp", "appwrite-callback-shop"}, scheme):
			t.Errorf("%q opens %s", s, scheme)
		}
	})
}

func TestUnsafePagesAreRefusedOverHTTP(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	for _, bad := range []string{"http://remotehost/page", "localhost/page", "javascript:alert(1)", ""} {
		w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": bad}).refuses(400, "general_argument_invalid")
		w.ask("POST /v1/account/verifications/email", map[string]string{"url": bad}, s.cookie()).refuses(400, "general_argument_invalid")
		w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email, "url": bad}).refuses(400, "general_argument_invalid")
	}
	// Whatever host the request names is none to send people to.
	w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": "https://evil.test/in"}, "Host: evil.test").refuses(400, "general_argument_invalid")
	w.did()
}

// What Expo's own app opens, anybody can serve: a project says that it wants that.
func TestTheSchemeOfExpoIsNobodysUntilAProjectNamesIt(t *testing.T) {
	a, p := redirecting()
	p.Schemes = nil
	if a.redirectProblem(p, "exp://192.168.1.5:19000/--/in") == "" {
		t.Error("exp:// is let through")
	}
}
