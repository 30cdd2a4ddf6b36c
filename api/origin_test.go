package api

import (
	"slices"
	"strings"
	"testing"
)

func TestForeignPagesChangeNothing(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	for _, test := range []struct {
		name    string
		headers []string
		trusted bool
	}{
		{"no page", nil, true},
		{"a platform", []string{"Origin: https://app.mail.test"}, true},
		{"a platform at another port and scheme", []string{"Origin: http://app.mail.test:3000"}, true},
		{"a platform in capitals", []string{"Origin: https://APP.mail.test"}, true},
		{"a development server", []string{"Origin: http://localhost:5173"}, true},
		{"the API's own page", []string{"Origin: https://api.mail.test"}, true},
		{"the public host when asked by another", []string{"Origin: https://api.mail.test", "Host: 10.0.0.5:8080"}, true},
		{"the host that is asked", []string{"Origin: http://10.0.0.5:8080", "Host: 10.0.0.5:8080"}, true},
		{"below a wildcard", []string{"Origin: https://a.b.wild.test"}, true},
		{"a referrer of a platform", []string{"Referer: https://app.mail.test/page?x=1#y"}, true},

		{"another site", []string{"Origin: https://evil.test"}, false},
		{"nobody's page", []string{"Origin: null"}, false},
		{"a file", []string{"Origin: file://"}, false},
		{"a page below a platform", []string{"Origin: https://x.app.mail.test"}, false},
		{"a page beside a platform", []string{"Origin: https://evilapp.mail.test"}, false},
		{"a platform's name in front", []string{"Origin: https://app.mail.test.evil.test"}, false},
		{"a platform as user", []string{"Origin: https://app.mail.test@evil.test"}, false},
		{"a platform as password", []string{"Origin: https://x:app.mail.test@evil.test"}, false},
		{"a platform as path", []string{"Origin: https://evil.test/app.mail.test"}, false},
		{"a platform as query", []string{"Origin: https://evil.test?app.mail.test"}, false},
		{"a platform as fragment", []string{"Origin: https://evil.test#app.mail.test"}, false},
		{"a backslash", []string{`Origin: https://evil.test\app.mail.test`}, false},
		{"a dot behind", []string{"Origin: https://app.mail.test."}, false},
		{"no scheme", []string{"Origin: app.mail.test"}, false},
		{"a scheme alone", []string{"Origin: app.mail.test:"}, false},
		{"escapes", []string{"Origin: https://app%2email.test"}, false},
		{"two origins", []string{"Origin: https://app.mail.test, https://evil.test"}, false},
		{"a tab", []string{"Origin: https://app.mail.test\tevil.test"}, false},
		{"garbage", []string{"Origin: %%%"}, false},
		{"another project's platform", []string{"Origin: https://other.test"}, false},
		{"a foreign referrer", []string{"Referer: https://evil.test/app.mail.test"}, false},
		{"a foreign origin with a friendly referrer", []string{"Origin: https://evil.test", "Referer: https://app.mail.test/"}, false},
		{"the apex of a wildcard", []string{"Origin: https://wild.test"}, false},
		{"a name that ends like a wildcard", []string{"Origin: https://evilwild.test"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, asked := range []string{"POST /v1/account", "PATCH /v1/account/name", "DELETE /v1/account/sessions/unknown"} {
				a := w.ask(asked, `{}`, append(test.headers, s.cookie())...)
				if refused := a.status == 403; refused == test.trusted {
					t.Errorf("%s: %d %s", asked, a.status, a.body)
				}
			}
			w.ask("GET /v1/account", nil, append(test.headers, s.cookie())...).is(200) // the browser keeps it from the page
			w.ask("POST /v1/account", `{}`, append(test.headers, "X-Appwrite-Key: "+serverKey)...).refuses(400, "general_argument_invalid")
		})
	}
	w.ask("GET /v1/account", nil, s.cookie()).is(200)
}

func TestAPlatformCanBeEveryName(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Platforms = []string{"*"} })
	w.ask("POST /v1/account", `{}`, "Origin: https://any.where.test").refuses(400, "general_argument_invalid").has("Access-Control-Allow-Origin: https://any.where.test")
	w.ask("POST /v1/account", `{}`, "Origin: null").refuses(403, "general_unknown_origin").has("Access-Control-Allow-Origin:")
}

func TestBrowsersAreToldWhichPagesMayRead(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for _, test := range []struct {
		asked, origin string
		headers       []string
		allowed       bool
	}{
		{"GET /v1/account", "https://app.mail.test", nil, true},
		{"GET /v1/account", "http://localhost:5173", nil, true},
		{"GET /v1/account", "https://api.mail.test", nil, true},
		{"GET /v1/account?project=other", "https://other.test", nil, true},
		{"GET /v1/account", "https://other.test", nil, false},
		{"GET /v1/account", "https://evil.test", nil, false},
		{"GET /v1/account", "null", nil, false},
		{"GET /v1/account", "https://app.mail.test", []string{"X-Appwrite-Project: nowhere"}, false},
		{"GET /v1/account", "https://api.mail.test", []string{"X-Appwrite-Project: nowhere"}, true},
		{"GET /nowhere", "https://app.mail.test", nil, true},
	} {
		a := w.ask(test.asked, nil, append(test.headers, "Origin: "+test.origin, s.cookie())...)
		if !slices.Contains(strings.Split(strings.Join(a.header.Values("Vary"), ", "), ", "), "Origin") {
			t.Errorf("%+v: caches are not told: %q", test, a.header.Values("Vary"))
		}
		if test.allowed {
			a.has("Access-Control-Allow-Origin: "+test.origin, "Access-Control-Allow-Credentials: true",
				"Access-Control-Expose-Headers: X-Appwrite-Session, X-Fallback-Cookies, X-Request-Id, Retry-After")
		} else {
			a.has("Access-Control-Allow-Origin:", "Access-Control-Allow-Credentials:", "Access-Control-Expose-Headers:")
		}
	}
	w.ask("GET /v1/account", nil, s.cookie()).is(200).has("Access-Control-Allow-Origin:")
}

func TestPreflightsAreAnswered(t *testing.T) {
	w := newWorld(t)
	asked := "content-type,x-appwrite-dev-key,x-appwrite-jwt,x-appwrite-key,x-appwrite-locale,x-appwrite-mode,x-appwrite-project,x-appwrite-response-format," +
		"x-appwrite-session,x-appwrite-timestamp,x-fallback-cookies,x-forwarded-user-agent,x-sdk-graphql,x-sdk-language,x-sdk-name,x-sdk-platform,x-sdk-version"
	preflight := func(origin, method, headers string) *reply {
		return w.ask("OPTIONS /v1/account", nil, "X-Appwrite-Project:", "Origin: "+origin, "Access-Control-Request-Method: "+method, "Access-Control-Request-Headers: "+headers)
	}
	// A preflight names no project: the platforms of all are told the same.
	for _, origin := range []string{"https://app.mail.test", "https://other.test", "https://a.wild.test", "https://api.mail.test"} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			a := preflight(origin, method, asked).is(204).has("Access-Control-Allow-Origin: "+origin, "Access-Control-Allow-Credentials: true",
				"Access-Control-Allow-Methods: "+method, "Access-Control-Allow-Headers: "+asked, "Access-Control-Max-Age: 600")
			w.same("body", a.body, "")
		}
	}
	for _, origin := range []string{"https://evil.test", "null", "https://wild.test", "file://"} {
		preflight(origin, "POST", asked).is(204).has("Access-Control-Allow-Origin:", "Access-Control-Allow-Credentials:", "Access-Control-Allow-Headers:")
	}
	preflight("https://app.mail.test", "TRACE", "").is(204).has("Access-Control-Allow-Origin:")
	preflight("https://app.mail.test", "POST", "x-unheard-of").is(204).has("Access-Control-Allow-Origin:")
	w.did()
}

func TestAddressesOfClients(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	for _, test := range []struct {
		name, peer string
		headers    []string
		want       string
	}{
		{"a peer", "198.51.100.1:1", nil, "198.51.100.1"},
		{"an IPv6 peer", "[2001:db8::1]:1", nil, "2001:db8::1"},
		{"a mapped peer", "[::ffff:198.51.100.1]:1", nil, "198.51.100.1"},
		{"a peer of a link", "[fe80::1%eth0]:1", nil, "fe80::1"},
		{"no address", "@", nil, ""},
		{"nothing", "", nil, ""},
		{"a stranger who says so", "198.51.100.1:1", []string{"X-Forwarded-For: 192.0.2.9"}, "198.51.100.1"},
		{"a stranger in other words", "198.51.100.1:1", []string{"Forwarded: for=192.0.2.9", "X-Real-IP: 192.0.2.9", "X-Client-IP: 192.0.2.9", "True-Client-IP: 192.0.2.9"}, "198.51.100.1"},
		{"a proxy in other words", "10.0.0.1:1", []string{"Forwarded: for=192.0.2.9", "X-Real-IP: 192.0.2.9"}, "10.0.0.1"},
		{"a proxy's client", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.9"}, "192.0.2.9"},
		{"a mapped proxy's client", "[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For: 192.0.2.9"}, "192.0.2.9"},
		{"an IPv6 proxy's client", "[fd00::1]:1", []string{"X-Forwarded-For: 2001:DB8::9"}, "2001:db8::9"},
		{"a mapped client", "10.0.0.1:1", []string{"X-Forwarded-For: ::ffff:192.0.2.9"}, "192.0.2.9"},
		{"what a client made up stands left", "10.0.0.1:1", []string{"X-Forwarded-For: 1.1.1.1, 192.0.2.9"}, "192.0.2.9"},
		{"behind two proxies", "10.0.0.1:1", []string{"X-Forwarded-For: 1.1.1.1, 192.0.2.9, 10.0.0.2"}, "192.0.2.9"},
		{"behind two proxies in two headers", "10.0.0.1:1", []string{"X-Forwarded-For: 1.1.1.1,192.0.2.9", "X-Forwarded-For: 10.0.0.2"}, "192.0.2.9"},
		{"a made-up proxy stands left", "10.0.0.1:1", []string{"X-Forwarded-For: 10.9.9.9, 192.0.2.9"}, "192.0.2.9"},
		{"proxies all the way", "10.0.0.1:1", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage", "10.0.0.1:1", []string{"X-Forwarded-For: garbage"}, "10.0.0.1"},
		{"garbage left of the client", "10.0.0.1:1", []string{"X-Forwarded-For: garbage, 192.0.2.9"}, "192.0.2.9"},
		{"garbage right of the client", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.9, garbage"}, "10.0.0.1"},
		{"an empty hop", "10.0.0.1:1", []string{"X-Forwarded-For: 192.0.2.9,"}, "10.0.0.1"},
		{"unknown", "10.0.0.1:1", []string{"X-Forwarded-For: unknown"}, "10.0.0.1"},
		{"a number", "10.0.0.1:1", []string{"X-Forwarded-For: 3221226219"}, "10.0.0.1"},
		{"zeros in front", "10.0.0.1:1", []string{"X-Forwarded-For: 192.000.002.009"}, "10.0.0.1"},
		{"a script", "10.0.0.1:1", []string{"X-Forwarded-For: <script>alert(1)</script>"}, "10.0.0.1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.ask("POST /v1/account/sessions/email", credentials(ada), append(test.headers, "Peer: "+test.peer, "X-Appwrite-Key: "+serverKey)...).is(201)
			heard.told(a.value())
			w.same("address", a.member("ip"), test.want)
		})
	}
}

func TestOnlyHTTPSIsToldToStay(t *testing.T) {
	w := newWorld(t)
	const hsts = "Strict-Transport-Security: max-age=10886400"
	w.ask("GET /v1/account", nil).has("Strict-Transport-Security:")
	w.ask("GET /v1/account", nil, "HTTPS: yes").has(hsts)
	w.ask("GET /v1/account", nil, "Peer: 10.0.0.1:1", "X-Forwarded-Proto: https").has(hsts)
	w.ask("GET /v1/account", nil, "X-Forwarded-Proto: https").has("Strict-Transport-Security:")
}
