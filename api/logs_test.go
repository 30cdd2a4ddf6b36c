package api

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// line is a line of the security log, in the golden form; the rest of it is the same in these tests.
func line(event, moment string) string {
	return `{"event": "` + event + `", "userId": "ada", "userEmail": "ada@mail.test", "userName": "Ada Lovelace", "mode": "default",
		"ip": "203.0.113.7", "time": "2026-11-20T` + moment + `+00:00",
		"osCode": "WIN", "osName": "Windows", "osVersion": "10",
		"clientType": "browser", "clientCode": "CH", "clientName": "Chrome", "clientVersion": "70.0",
		"clientEngine": "Blink", "clientEngineVersion": "70.0", "deviceName": "desktop", "deviceBrand": "", "deviceModel": "",
		"countryCode": "--", "countryName": "Unknown"}`
}

func TestASignUpAndTwoSignInsAreThreeLines(t *testing.T) {
	w := newWorld(t)
	chrome := "User-Agent: " + chrome70
	w.ask("POST /v1/account", ada.body(), chrome).is(201)
	w.clock.move(time.Second)
	w.signIn(ada, chrome)
	w.clock.move(time.Second)
	s := w.signIn(ada, chrome)
	// What is no news to the owner, or did not happen, is neither listed nor counted.
	w.ask("POST /v1/account/sessions/email", credentials(person{Email: ada.Email, Password: wrong})).is(401)
	w.ask("PATCH /v1/account/name", `{"name":"Ada Lovelace"}`, s.header()).is(200)
	w.ask("PATCH /v1/account/name", `{"name":""}`, s.header()).is(400)
	w.clock.move(24 * time.Hour)
	w.ask("GET /v1/account/sessions", nil, s.header()).is(200)

	three := []string{line("session.create", "12:15:02.250"), line("session.create", "12:15:01.250"), line("user.create", "12:15:00.250")}
	w.ask("GET /v1/account/logs", nil, s.header()).is(200).gives(`{"total": 3, "logs": [` + strings.Join(three, ",") + `]}`)
	w.ask("GET /v1/account/logs?total=false", nil, s.header()).is(200).gives(`{"total": 0, "logs": [` + strings.Join(three, ",") + `]}`)
	w.ask("GET /v1/account/logs?limit=1&offset=1", nil, s.header()).is(200).gives(`{"total": 3, "logs": [` + three[1] + `]}`)
	w.ask("GET /v1/account/logs?offset=3", nil, s.header()).is(200).gives(`{"total": 3, "logs": []}`)
}

func TestWhatTheOwnerWantsToSeeIsListed(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	other := w.signIn(ada)
	for _, asked := range [][2]string{
		{"PATCH /v1/account/name", `{"name":"Countess"}`},
		{"PATCH /v1/account/prefs", `{"prefs":{"a":1}}`},
		{"PATCH /v1/account/email", `{"email":"countess@mail.test","password":"hunter-of-ada"}`},
		{"PATCH /v1/account/sessions/current", `{}`},
		{"DELETE /v1/account/sessions/" + other.id, ``},
		{"PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`},
	} {
		w.clock.move(time.Second)
		if a := w.ask(asked[0], asked[1], s.header()); a.status >= 300 {
			t.Fatal(asked, a.status, a.body)
		}
	}
	var list LogList
	w.ask("GET /v1/account/logs", nil, s.header()).is(200).read(&list)
	var events []string
	for _, l := range list.Logs {
		events = append(events, l.Event+" "+l.UserEmail+" "+l.UserName)
	}
	w.same("lines", events, []string{
		"user.update countess@mail.test Countess", "session.delete countess@mail.test Countess", "session.update countess@mail.test Countess",
		"user.update countess@mail.test Countess", "user.update ada@mail.test Countess", "user.update ada@mail.test Countess",
		"session.create ada@mail.test Ada Lovelace", "session.create ada@mail.test Ada Lovelace", "user.create ada@mail.test Ada Lovelace",
	})
	w.same("total", list.Total, 9)
}

func TestAPageOfTheLogInEveryGrammar(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for i := range 40 { // 42 lines, numbered from the newest: 0 to 41
		w.ask("PATCH /v1/account/name", fmt.Sprintf(`{"name":"name %d"}`, 39-i), s.header()).is(200)
	}
	for _, test := range []struct {
		query       string
		first, size int
	}{
		{"", 0, 25},
		{"queries[]=limit(5)", 0, 5},
		{"queries[]=limit(5)&queries[]=offset(3)", 3, 5},
		{"queries[0]=limit(5)&queries[1]=offset(3)", 3, 5},
		{"queries[1]=limit(7)&queries[0]=limit(5)", 0, 7}, // the last by number counts, not by place
		{"queries[10]=limit(7)&queries[9]=limit(5)", 0, 7},
		{"queries%5B0%5D=limit%285%29&queries%5B1%5D=offset%283%29", 3, 5},
		{`queries[]={"method":"limit","values":[5]}&queries[]={"method":"offset","values":[3]}`, 3, 5},
		{`queries[0]=+{+"values":[5],"method":"limit","attribute":"","x":1+}`, 0, 5},
		{`queries[]={"method":"limit","values":[5]}&queries[]=offset(3)`, 3, 5},
		{`queries[]=limit(5.0)`, 0, 5},
		{`queries[]=+limit(+5+)+`, 0, 5},
		{"limit=5", 0, 5},
		{"limit=5&offset=3", 3, 5},
		{"offset=40", 40, 2},
		{"limit=0", 0, 25},
		{"limit=&offset=", 0, 25},
		{"queries[]=offset(0)", 0, 25},
		{"queries[]=offset(42)", 42, 0},
		{"queries[]=offset(4611686018427387904)", 42, 0},
		{"queries[]=limit(9007199254740991)", 0, 42},
		{"limit=9223372036854775807&offset=1", 1, 41},
		{"total=true", 0, 25},
		{"unknown=1&query=limit(5)&queries[1000]=limit(5)&queries[a]=limit(5)", 0, 25},
	} {
		var list LogList
		w.ask("GET /v1/account/logs?"+strings.NewReplacer(`"`, "%22", " ", "%20", "{", "%7B", "}", "%7D").Replace(test.query), nil, s.header()).is(200).read(&list)
		if list.Total != 42 || len(list.Logs) != test.size {
			t.Errorf("%s: %d lines of %d", test.query, len(list.Logs), list.Total)
			continue
		}
		for i, l := range list.Logs {
			if n := test.first + i; n < 40 && l.UserName != fmt.Sprintf("name %d", n) {
				t.Errorf("%s: line %d is %s", test.query, n, l.UserName)
			}
		}
	}
}

func TestQueriesAreRefusedInTheContractsWords(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	const why = "Invalid `queries` param: Invalid query: "
	const limit, offset = why + "Invalid limit: Value must be a valid range between 1 and 9,223,372,036,854,775,807", why + "Invalid offset: Value must be a valid range between 0 and 9,223,372,036,854,775,807"
	for query, text := range map[string]string{
		"queries[]=":                                         why + "Syntax error",
		"queries[]=limit":                                    why + "Syntax error",
		"queries[]=limit(5":                                  why + "Syntax error",
		"queries[]=limit(x)":                                 why + "Syntax error",
		"queries[]=limit(1,)":                                why + "Syntax error",
		"queries[]={":                                        why + "Syntax error",
		`queries[]={"method":"limit","values":5}`:            why + "Syntax error",
		`queries[]={"method":"limit","values":[5]}{}`:        why + "Syntax error",
		`queries[]={"method":7}`:                             why + "Syntax error",
		`queries[]=["limit",5]`:                              why + "Syntax error",
		"queries[]=" + strings.Repeat("[", 4000):             why + "Syntax error",
		"queries[]=limit(" + strings.Repeat("[", 4000) + ")": why + "Syntax error",
		"queries[]=limit()":                                  limit,
		"queries[]=limit(0)":                                 limit,
		"queries[]=limit(-1)":                                limit,
		"queries[]=limit(1.5)":                               limit,
		"queries[]=limit(1,2)":                               limit,
		`queries[]=limit("5")`:                               limit,
		"queries[]=limit(true)":                              limit,
		"queries[]=limit(null)":                              limit,
		"queries[]=limit([5])":                               limit,
		"queries[]=limit(9223372036854775808)":               limit,
		"queries[]=limit(1e300)":                             limit,
		`queries[]={"method":"limit"}`:                       limit,
		`queries[]={"method":"limit","values":[]}`:           limit,
		`queries[]={"method":"limit","values":[{}]}`:         limit,
		"queries[]=offset(-1)":                               offset,
		"queries[]=offset(0.5)":                              offset,
		`queries[]=equal("event",["user.create"])`:           why + "Invalid query method: equal",
		`queries[]={"method":"equal","values":["x"]}`:        why + "Invalid query method: equal",
		`queries[]={"method":"orderDesc","attribute":"x"}`:   why + "Invalid query method: orderDesc",
		`queries[]={}`:                                       why + "Invalid query method: ",
		`queries[]={"method":"a\u0007b"}`:                    why + "Invalid query method: a b",
		`queries[]=cursorAfter("x")`:                         why + "Invalid query method: cursorAfter",
		`queries[]=event.equal("x")`:                         why + "Invalid query method: event.equal",
		"queries[]=Limit(5)":                                 why + "Invalid query method: Limit",
		"queries[]=limit (5)":                                why + "Invalid query method: limit ",
		"queries=limit(5)":                                   "Invalid `queries` param: Value must a valid array and Queries must be an array",
		"queries[]=" + strings.Repeat("x", 4097):             "Invalid `queries` param: Value must be a valid string and at least 1 chars and no longer than 4096 chars",
		strings.Repeat("queries[]=limit(1)&", 101):           "Invalid `queries` param: Value must a valid array no longer than 100 items and Value must be a valid string and at least 1 chars and no longer than 4096 chars",
		"limit=-1":                    "Invalid `limit` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"limit=x":                     "Invalid `limit` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"limit=1.5":                   "Invalid `limit` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"offset=1e3":                  "Invalid `offset` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"offset=-1":                   "Invalid `offset` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"offset=99999999999999999999": "Invalid `offset` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
		"limit=x&offset=x":            "Invalid `limit` param: Value must be a valid range between 0 and 9,223,372,036,854,775,807",
	} {
		escaped := strings.NewReplacer("%26", "&", "%3D", "=", "%5B%5D=", "[]=").Replace(url.QueryEscape(query))
		w.ask("GET /v1/account/logs?"+escaped, nil, s.header()).refuses(400, "general_argument_invalid", text)
	}
	w.ask("GET /v1/account/logs?"+strings.Repeat("queries[]=limit(1)&", 100), nil, s.header()).is(200)
}

func TestNoInjectionInAQueryIsServed(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for _, attack := range []string{"'", "' OR 1=1 --", "\";DROP TABLE accounts;--", "1; SELECT 1", "${7*7}", "{{7*7}}", "../../etc/passwd", "\x00", "%", "\\", "1) UNION SELECT 1", "<script>", "\r\nX: y", "limit(1)\x00", "true", "NaN", "Infinity", "0x10", "１"} {
		for _, frame := range []string{"queries[]=%s", "queries[]=limit(%s)", `queries[]={"method":"limit","values":["%s"]}`, `queries[]={"method":"%s"}`, "queries[%s]=limit(1)", "limit=%s", "offset=%s", "total=%s", "%s=1"} {
			name, value, _ := strings.Cut(fmt.Sprintf(frame, attack), "=")
			a := w.ask("GET /v1/account/logs?"+url.QueryEscape(name)+"="+url.QueryEscape(value), nil, s.header())
			if a.status != 200 && a.status != 400 {
				t.Errorf(frame+": %d %s", attack, a.status, a.body)
			}
		}
	}
}

func TestCountriesAreNamedInTheCallersLanguage(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	s := w.signIn(ada, "Peer: 8.8.8.8:1")
	for _, test := range []struct{ query, header, code, name string }{
		{"", "", "us", "United States"},
		{"", "de", "us", "Vereinigte Staaten"},
		{"", "pt-BR", "us", "Estados Unidos"},
		{"?locale=de", "fr", "us", "Vereinigte Staaten"},
		{"?locale=", "de", "us", "Vereinigte Staaten"},
		{"", "xx-nonsense", "us", "United States"},
		{"", strings.Repeat("de-", 500), "us", "United States"},
		{"", "\x01\xff", "us", "United States"},
	} {
		for _, route := range []string{"sessions/current", "logs"} {
			a := w.ask("GET /v1/account/"+route+test.query, nil, s.header(), "X-Appwrite-Locale: "+test.header).is(200)
			if want := fmt.Sprintf(`"countryCode":%q,"countryName":%q`, test.code, test.name); !strings.Contains(a.body, want) {
				t.Errorf("%s, %+v: %s", route, test, a.body)
			}
		}
	}
	unknown := w.signIn(ada, "Peer: 192.168.0.1:1")
	w.same("country", w.ask("GET /v1/account/sessions/current?locale=de", nil, unknown.header()).member("countryName"), "Unbekannt")
}

func TestWhatAClientCallsItselfIsTamed(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	for _, ua := range []string{"", "\x1b[31mred\x1b[0m", "a\x00b", "\xff\xfe", "x\r\nX: y", strings.Repeat("é", 5000), "{\"a\":1}", "AppwriteCLI/1.0"} {
		s := w.signIn(ada, "User-Agent: "+ua)
		var list LogList
		w.ask("GET /v1/account/logs?limit=1", nil, s.header()).is(200).read(&list)
		for _, field := range []string{list.Logs[0].ClientName, list.Logs[0].ClientVersion, list.Logs[0].OSName, list.Logs[0].DeviceModel} {
			if field != clean(field) || len(field) > 200 {
				t.Errorf("%q became %q", ua, field)
			}
		}
	}
	entries, err := w.models.SecurityLog(t.Context(), mustAccount(w, "ada"), 100, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.UserAgent != clean(e.UserAgent) || len(e.UserAgent) > maxUserAgent {
			t.Errorf("kept: %q", e.UserAgent)
		}
	}
}
