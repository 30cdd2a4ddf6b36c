package api

import (
	"testing"
)

func TestADeletedAccountIsGone(t *testing.T) {
	w := newWorld(t)
	s, other := w.member(ada), w.signIn(ada)
	w.happened()
	a := w.ask("DELETE /v1/account", `{}`, s.header()).is(204)
	w.same("body", a.body, "")
	w.did("account.session-revoked.v1", "account.session-revoked.v1", "account.deleted.v1", "claim.released.v1")
	for _, s := range []session{s, other} {
		w.ask("GET /v1/account", nil, s.header()).refuses(401, "general_unauthorized_scope", scopeText)
		w.ask("DELETE /v1/account", nil, s.header()).refuses(401, "general_unauthorized_scope", scopeText)
	}
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_invalid_credentials")

	// The address is free at once, the id never again.
	w.ask("POST /v1/account", ada.body()).refuses(409, "user_already_exists")
	w.ask("POST /v1/account", ada.body("userId", "ada-2")).is(201)
	w.ask("GET /v1/account", nil, s.header()).refuses(401, "general_unauthorized_scope", scopeText)
	again := w.signIn(ada)
	w.same("account", w.ask("GET /v1/account", nil, again.header()).member("$id"), "ada-2")
}

func TestABlockedAccountIsRefusedEverywhere(t *testing.T) {
	w := newWorld(t)
	s, other := w.member(ada), w.signIn(ada)
	w.happened()
	w.ask("PATCH /v1/account/status", `{}`, s.header()).is(200).gives(golden(t, "status", false))
	w.did("account.blocked.v1")
	for _, s := range []session{s, other} {
		for _, route := range []string{
			"GET /v1/account", "DELETE /v1/account", "PATCH /v1/account/name", "PATCH /v1/account/email", "PATCH /v1/account/password",
			"PATCH /v1/account/status", "GET /v1/account/prefs", "PATCH /v1/account/prefs", "GET /v1/account/logs", "GET /v1/account/sessions",
			"DELETE /v1/account/sessions", "GET /v1/account/sessions/current", "PATCH /v1/account/sessions/current", "DELETE /v1/account/sessions/current",
			"POST /v1/account", "POST /v1/account/sessions/email", "POST /v1/account/sessions",
		} {
			w.ask(route, `{}`, s.header()).refuses(401, "user_blocked", "The current user has been blocked.").has("Set-Cookie:")
		}
	}
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_blocked").has("Set-Cookie:")
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey).refuses(401, "user_blocked").has("Set-Cookie:")
	w.ask("POST /v1/account", ada.body("userId", "else")).refuses(409, "user_already_exists")
	w.ask("GET /v1/account", nil).refuses(401, "general_unauthorized_scope", scopeText)
	w.did()
}
