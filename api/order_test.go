package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/project"
)

const scopeText = `User (role: guests) missing scopes (["account"])`

// A request that breaks every rule from one step on gets that step's answer: nobody learns of a later rule what an
// earlier one would have kept from them.
func TestRulesAreCheckedInTheContractsOrder(t *testing.T) {
	w := newWorld(t)
	adas := w.member(ada)
	blocked := w.member(grace)
	w.ask("PATCH /v1/account/status", nil, blocked.header()).is(200)
	for range 10 { // one window's worth of sign-ins without a password, which the limit counts as any other
		w.ask("POST /v1/account/sessions/email", `{"email":"limited@mail.test"}`).refuses(400, "general_argument_invalid")
	}

	const signIn, bad, limited = "POST /v1/account/sessions/email", `{"email":""}`, `{"email":"LIMITED@mail.test"}`
	for _, test := range []struct {
		name, asked, body string
		headers           []string
		status            int
		typ, message      string
	}{
		{"no project", signIn, bad, []string{"X-Appwrite-Project:", "Origin: https://evil.test", "X-Appwrite-Key: unknown"},
			404, "project_not_found", ""},
		{"an unknown project", signIn, bad, []string{"X-Appwrite-Project: nowhere", "Origin: https://evil.test", adas.header()},
			404, "project_not_found", ""},
		{"the console, which is no project here", signIn, bad, []string{"X-Appwrite-Project: console", "Origin: https://evil.test"},
			404, "project_not_found", ""},
		{"an unknown project in the query, which wins", signIn + "?project=nowhere", bad, []string{"Origin: https://evil.test"},
			404, "project_not_found", ""},
		{"a foreign origin before the session", signIn, bad, []string{"Origin: https://evil.test", blocked.header()},
			403, "general_unknown_origin", ""},
		{"an unknown key before the session it comes with", signIn, bad, []string{"X-Appwrite-Key: unknown", blocked.header()},
			401, "user_unauthorized", ""},
		{"a key of another project is unknown", signIn, bad, []string{"X-Appwrite-Key: " + otherKey},
			401, "user_unauthorized", ""},
		{"key and session before the scope", "PATCH /v1/account/name", bad, []string{"X-Appwrite-Key: " + uselessKey, blocked.header()},
			403, "user_key_and_session_set", ""},
		{"a guest before what is wrong with the body", "PATCH /v1/account/name", `nonsense`, nil,
			401, "general_unauthorized_scope", scopeText},
		{"a guest before a bad time", "DELETE /v1/account/sessions/x", ``, []string{"X-Appwrite-Timestamp: nonsense"},
			401, "general_unauthorized_scope", scopeText},
		{"a key on an account's route", "GET /v1/account", ``, []string{"X-Appwrite-Key: " + serverKey},
			401, "general_unauthorized_scope", `app.shop@service.api.mail.test (role: applications) missing scopes (["account"])`},
		{"a key without the scope", signIn, bad, []string{"X-Appwrite-Key: " + uselessKey},
			401, "general_unauthorized_scope", `app.shop@service.api.mail.test (role: applications) missing scopes (["sessions.write"])`},
		{"a key that was given the scope that only people have", "GET /v1/account", ``, []string{"X-Appwrite-Key: " + greedyKey},
			401, "general_unauthorized_scope", ""},
		{"a blocked account before the limit", signIn, limited, []string{blocked.header()},
			401, "user_blocked", ""},
		{"the limit before a session that exists", signIn, limited, []string{adas.header()},
			429, "general_rate_limit_exceeded", ""},
		{"a session that exists before what is wrong with the body", signIn, bad, []string{adas.header()},
			401, "user_session_already_exists", ""},
		{"a bad time before what is wrong with the body", "PATCH /v1/account/email", bad, []string{"X-Appwrite-Timestamp: nonsense", adas.header()},
			400, "general_argument_invalid", "Invalid X-Appwrite-Timestamp header value"},
		{"at last the parameters", signIn, bad, nil,
			400, "general_argument_invalid", "Invalid `email` param: Value must be a valid email address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var body any
			if test.body != "" {
				body = test.body
			}
			a := w.ask(test.asked, body, test.headers...)
			if test.message == "" {
				a.refuses(test.status, test.typ)
			} else {
				a.refuses(test.status, test.typ, test.message)
			}
		})
	}
}

func TestEveryAccountRouteIsClosedToGuestsAndKeys(t *testing.T) {
	w := newWorld(t)
	for _, route := range []string{
		"GET /v1/account", "DELETE /v1/account", "PATCH /v1/account/name", "PATCH /v1/account/email", "PATCH /v1/account/password",
		"PATCH /v1/account/status", "GET /v1/account/prefs", "PATCH /v1/account/prefs", "GET /v1/account/logs", "GET /v1/account/sessions",
		"DELETE /v1/account/sessions", "GET /v1/account/sessions/current", "PATCH /v1/account/sessions/current", "DELETE /v1/account/sessions/current",
	} {
		w.ask(route, `{}`).refuses(401, "general_unauthorized_scope", scopeText)
		for _, key := range []string{serverKey, uselessKey, greedyKey} {
			w.ask(route, `{}`, "X-Appwrite-Key: "+key).refuses(401, "general_unauthorized_scope")
		}
	}
	w.did()
}

func TestTheQueryNamesTheProjectBeforeTheHeader(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("GET /v1/account?project=shop", nil, "X-Appwrite-Project: nowhere", s.header()).is(200)
	w.ask("GET /v1/account?project=shop", nil, "X-Appwrite-Project:", s.header()).is(200)
	w.ask("GET /v1/account?project=", nil, s.header()).is(200)
	w.ask("GET /v1/account?project=SHOP", nil, s.header()).refuses(404, "project_not_found")
	w.ask("GET /v1/account?project=other", nil, s.header()).refuses(401, "general_unauthorized_scope")
}

func TestADisabledMethodIsRefusedToClientsOnly(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.Methods = project.Methods{} })
	const text = "Email / Password authentication is disabled for this project"
	for _, route := range []string{"POST /v1/account", "POST /v1/account/sessions/email", "POST /v1/account/sessions"} {
		w.ask(route, `{"email":""}`).refuses(501, "user_auth_method_unsupported", text)
		w.ask(route, `{"email":""}`, "X-Appwrite-Key: "+serverKey).refuses(400, "general_argument_invalid")
	}
	w.did()
	w.ask("POST /v1/account", ada.body(), "X-Appwrite-Key: "+serverKey).is(201)
	// Who is signed in stays so, and a session that exists is told before.
	s := w.signIn(ada)
	w.ask("POST /v1/account/sessions/email", `{}`, s.header()).refuses(401, "user_session_already_exists")
	w.ask("GET /v1/account", nil, s.header()).is(200)
	for range 9 {
		w.ask("POST /v1/account", `{}`).refuses(501, "user_auth_method_unsupported")
	}
	w.ask("POST /v1/account", `{}`).refuses(429, "general_rate_limit_exceeded")
}

func TestWhoIsSignedInMaySignSomebodyElseUp(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("POST /v1/account", grace.body(), s.header()).is(201)
}

func TestTimestampsAreLookedAtWhereTheContractSays(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	const text = "Invalid X-Appwrite-Timestamp header value"
	for _, bad := range []string{"yesterdayish", "2026-13-01T00:00:00Z", "1", strings.Repeat("2", 1000)} {
		h := "X-Appwrite-Timestamp: " + bad
		w.ask("PATCH /v1/account/prefs", `{"prefs":{}}`, h, s.header()).refuses(400, "general_argument_invalid", text)
		w.ask("PATCH /v1/account/email", `{}`, h, s.header()).refuses(400, "general_argument_invalid", text)
		w.ask("DELETE /v1/account/sessions/"+s.id, nil, h, s.header()).refuses(400, "general_argument_invalid", text)
		w.ask("GET /v1/account", nil, h, s.header()).is(200)
		w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, h, s.header()).is(200)
	}
	for i, good := range []string{"2020-10-15T06:38:00.000+00:00", "2020-10-15T06:38:00Z", "2020-10-15T08:38:00.5+02:00", "2020-10-15 06:38:00", "2020-10-15"} {
		w.ask("PATCH /v1/account/prefs", fmt.Sprintf(`{"prefs":{"a":%d}}`, i), "X-Appwrite-Timestamp: "+good, s.header()).is(200)
	}
}
