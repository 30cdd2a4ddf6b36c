package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// value gives the session's value out of the cookie.
func (a *reply) value() string {
	a.w.Helper()
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name == "a_session_shop" {
			return c.Value
		}
	}
	a.w.Fatalf("%s: no cookie: %q", a.asked, a.cookies())
	return ""
}

func credentials(p person) string {
	b, _ := json.Marshal(map[string]string{"email": p.Email, "password": p.Password})
	return string(b)
}

func TestASessionIsGivenInTwoCookies(t *testing.T) {
	const year = "Expires=Sat, 20 Nov 2027 12:15:00 GMT"
	w := newWorld(t)
	w.signUp(ada)
	for _, test := range []struct {
		name       string
		headers    []string
		attributes string
	}{
		{"at a domain", []string{"Host: api.mail.test"}, "Path=/; Domain=api.mail.test; " + year + "; HttpOnly"},
		{"at a domain with a port", []string{"Host: API.mail.test:8443"}, "Path=/; Domain=api.mail.test; " + year + "; HttpOnly"},
		{"at localhost", []string{"Host: localhost:8080"}, "Path=/; " + year + "; HttpOnly"},
		{"at an address", []string{"Host: 192.0.2.1"}, "Path=/; " + year + "; HttpOnly"},
		{"at an IPv6 address", []string{"Host: [2001:db8::1]:8080"}, "Path=/; " + year + "; HttpOnly"},
		{"over TLS", []string{"Host: localhost", "HTTPS: yes"}, "Path=/; " + year + "; HttpOnly; Secure"},
		{"through a trusted proxy that speaks HTTPS", []string{"Host: localhost", "Peer: 10.0.0.1:80", "X-Forwarded-Proto: https"}, "Path=/; " + year + "; HttpOnly; Secure"},
		{"through a trusted proxy on a link of its own", []string{"Host: localhost", "Peer: [fd00::1%eth0]:80", "X-Forwarded-Proto: https"}, "Path=/; " + year + "; HttpOnly; Secure"},
		{"through a trusted proxy that does not", []string{"Host: localhost", "Peer: 10.0.0.1:80", "X-Forwarded-Proto: http"}, "Path=/; " + year + "; HttpOnly"},
		{"from somebody who says so", []string{"Host: localhost", "X-Forwarded-Proto: https"}, "Path=/; " + year + "; HttpOnly"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.ask("POST /v1/account/sessions/email", credentials(ada), append(test.headers, "X-Appwrite-Key: "+serverKey)...).is(201)
			value := a.member("secret").(string)
			heard.told(value)
			secure := ""
			plain, secured := strings.CutSuffix(test.attributes, "; Secure")
			if secured {
				secure = "; Secure"
			}
			w.same("cookies", a.cookies(), []string{
				fmt.Sprintf("a_session_shop_legacy=%s; %s%s", value, plain, secure),
				fmt.Sprintf("a_session_shop=%s; %s%s; SameSite=None", value, plain, secure),
			})
			hsts := "Strict-Transport-Security:"
			if secured {
				hsts += " max-age=10886400"
			}
			a.has(hsts)
		})
	}
}

// Where cookies would be third-party ones, client libraries keep the session themselves.
func TestTheFallbackHeaderIsForPagesOfOtherSites(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Platforms = []string{"*"}; p.RateLimits = false })
	w.signUp(ada)
	for _, test := range []struct {
		name     string
		headers  []string
		fallback bool
	}{
		{"a page of the same site", []string{"Origin: https://app.mail.test"}, false},
		{"a page of the same host", []string{"Origin: https://api.mail.test"}, false},
		{"a page of the same site by its referrer", []string{"Referer: https://app.mail.test/sign-in?x=1"}, false},
		{"a page of another site", []string{"Origin: https://app.elsewhere.test"}, true},
		{"a page of another customer of one host", []string{"Host: api.github.io", "Origin: https://app.github.io"}, true},
		{"no page", nil, true},
		{"localhost", []string{"Host: localhost", "Origin: http://localhost:3000"}, true},
		{"addresses", []string{"Host: 192.0.2.1", "Origin: http://192.0.2.1"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.ask("POST /v1/account/sessions/email", credentials(ada), test.headers...).is(201)
			value := a.value()
			heard.told(value)
			given, taken := "X-Fallback-Cookies:", "X-Fallback-Cookies:"
			if test.fallback {
				given, taken = `X-Fallback-Cookies: {"a_session_shop":"`+value+`"}`, "X-Fallback-Cookies: []"
			}
			a.has(given)
			w.ask("DELETE /v1/account/sessions/current", nil, append(test.headers, "Cookie: a_session_shop="+value)...).is(204).has(taken)
		})
	}
}

func TestCookiesAreTakenBackAsTheyWereGiven(t *testing.T) {
	gone := []string{
		"a_session_shop_legacy=deleted; Path=/; Domain=api.mail.test; Expires=Thu, 01 Jan 1970 00:00:01 GMT; HttpOnly",
		"a_session_shop=deleted; Path=/; Domain=api.mail.test; Expires=Thu, 01 Jan 1970 00:00:01 GMT; HttpOnly; SameSite=None",
	}
	for _, route := range []string{
		"DELETE /v1/account/sessions/current", "DELETE /v1/account/sessions", "PATCH /v1/account/status", "DELETE /v1/account",
	} {
		t.Run(route, func(t *testing.T) {
			w := newWorld(t)
			a := w.ask(route, nil, w.member(ada).cookie()).has("X-Fallback-Cookies: []")
			w.same("cookies", a.cookies(), gone)
			if a.status == 204 && (a.body != "" || a.header.Get("Content-Type") != "") {
				t.Errorf("204 with %q of type %q", a.body, a.header.Get("Content-Type"))
			}
		})
	}
}

func TestOnlyTheSessionThatEndsIsTakenFromItsBrowser(t *testing.T) {
	w := newWorld(t)
	here, there := w.member(ada), w.signIn(ada)
	w.ask("DELETE /v1/account/sessions/"+there.id, nil, here.cookie()).is(204).has("Set-Cookie:", "X-Fallback-Cookies:")
	w.ask("DELETE /v1/account/sessions/unknown", nil, here.cookie()).refuses(404, "user_session_not_found").has("Set-Cookie:", "X-Fallback-Cookies:")
	a := w.ask("DELETE /v1/account/sessions/"+here.id, nil, here.cookie()).is(204).has("X-Fallback-Cookies: []")
	w.same("cookies", len(a.cookies()), 2)
}

func TestNothingButASessionSetsCookies(t *testing.T) {
	w := newWorld(t)
	a := w.ask("POST /v1/account", ada.body()).is(201).has("Set-Cookie:", "X-Fallback-Cookies:")
	w.same("members with a secret", strings.Contains(a.body, "secret"), false)
	s := w.signIn(ada)
	for _, route := range []string{"GET /v1/account", "GET /v1/account/sessions", "GET /v1/account/sessions/current", "PATCH /v1/account/sessions/current"} {
		a := w.ask(route, nil, s.cookie()).is(200).has("Set-Cookie:", "X-Fallback-Cookies:")
		w.same(route+" tells the secret", strings.Contains(a.body, s.value) || strings.Contains(a.body, hashOf(s.secret(t))), false)
	}
	w.ask("POST /v1/account/sessions/email", `{"email":"ada@mail.test","password":"hunter-but-wrong"}`).is(401).has("Set-Cookie:", "X-Fallback-Cookies:")
}

// A cookie that somebody else put there is not what a sign-in continues.
func TestASignInNeverAdoptsAPresentedSession(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	planted := present("ada", strings.Repeat("0", 256))
	value := w.ask("POST /v1/account/sessions/email", credentials(ada), "Cookie: a_session_shop="+planted).is(201).value()
	heard.told(value)
	if value == planted {
		t.Error("the planted session is the one that was given")
	}
	w.ask("GET /v1/account", nil, "Cookie: a_session_shop="+planted).refuses(401, "general_unauthorized_scope")
	w.ask("GET /v1/account", nil, "Cookie: a_session_shop="+value).is(200)
}

func TestStrangeHostsMakeNoStrangeCookies(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.signUp(ada)
	for _, host := range []string{"", ".", "a;b", "evil.test; Secure", strings.Repeat("a", 300), "[::1", "ünïcode.test", "a b"} {
		a := w.ask("POST /v1/account/sessions/email", credentials(ada), "Host: "+host).is(201)
		heard.told(a.value())
		for _, c := range a.cookies() {
			if strings.Contains(c, "Domain=") || strings.Contains(c, "Secure") {
				t.Errorf("host %q: %s", host, c)
			}
		}
	}
}
