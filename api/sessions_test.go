package api

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const goldenSession = `{
	"$id": "<id>", "$createdAt": "2026-11-20T12:15:00.250+00:00", "$updatedAt": "2026-11-20T12:15:00.250+00:00", "userId": "ada",
	"expire": "2027-11-20T12:15:00.250+00:00", "provider": "email", "providerUid": "ada@mail.test",
	"providerAccessToken": "", "providerAccessTokenExpiry": "", "providerRefreshToken": "", "ip": "203.0.113.7",
	"osCode": "WIN", "osName": "Windows", "osVersion": "10",
	"clientType": "browser", "clientCode": "CH", "clientName": "Chrome", "clientVersion": "70.0",
	"clientEngine": "Blink", "clientEngineVersion": "70.0", "deviceName": "desktop", "deviceBrand": "", "deviceModel": "",
	"countryCode": "--", "countryName": "Unknown", "current": true, "factors": ["password"], "secret": "", "mfaUpdatedAt": ""
}`

func TestASessionIsStartedAndAnswered(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.happened()
	for _, route := range []string{"POST /v1/account/sessions/email", "POST /v1/account/sessions"} {
		a := w.ask(route, credentials(person{Email: "ADA@mail.test", Password: ada.Password}), "User-Agent: "+chrome70).is(201).gives(goldenSession)
		w.did("account.session-started.v1")
		heard.told(a.value())
		for _, route := range []string{"GET /v1/account/sessions/current", "GET /v1/account/sessions/" + a.member("$id").(string)} {
			w.ask(route, nil, "Cookie: a_session_shop="+a.value()).is(200).gives(goldenSession)
		}
	}
}

func TestSessionsAreListedOldestFirst(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.signUp(grace)
	var all []session
	for range 3 {
		all = append(all, w.signIn(ada, "User-Agent: "+chrome70))
		w.clock.move(time.Second)
	}
	w.signIn(grace)
	a := w.ask("GET /v1/account/sessions", nil, all[1].header()).is(200)
	at := func(second int, current string) string {
		moment := fmt.Sprintf("12:15:%02d.250", second)
		return strings.NewReplacer("12:15:00.250", moment, `"current": true`, `"current": `+current).Replace(goldenSession)
	}
	a.gives(`{"total": 3, "sessions": [` + at(0, "false") + "," + at(1, "true") + "," + at(2, "false") + `]}`)
	var list struct {
		Sessions []struct {
			ID string `json:"$id"`
		}
	}
	a.read(&list)
	for i, s := range list.Sessions {
		if s.ID != all[i].id {
			t.Errorf("session %d is another", i)
		}
	}
}

func TestOtherPeoplesSessionsAreNotThere(t *testing.T) {
	w := newWorld(t)
	s, others := w.member(ada), w.member(grace)
	w.happened()
	ids := []string{others.id, "unknown", "id-that-does-not-exist", "Current", "null", "' OR ''='", "%00", "..", "%2e%2e", "..%2f..", "a;b", strings.Repeat("a", 5000), strings.ToUpper(s.id), s.id + "%00"}
	for _, id := range ids {
		path := " /v1/account/sessions/" + strings.NewReplacer(" ", "%20", "'", "%27").Replace(id)
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			if a := w.ask(method+path, nil, s.header(), "Peer: 203.0.113.77:1"); a.header.Get("X-RateLimit-Remaining") == "0" {
				t.Fatal("the limit hides the answer")
			} else if unescaped, err := url.PathUnescape(id); err != nil || !validID.MatchString(unescaped) {
				a.refuses(400, "general_argument_invalid", "Invalid `sessionId` param: "+problemID)
			} else {
				a.refuses(404, "user_session_not_found", "The session could not be found.")
			}
		}
		w.clock.move(time.Hour)
	}
	w.did()
	w.ask("GET /v1/account", nil, others.header()).is(200)
}

func TestASessionIsExtendedFromNowOn(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	s, other := w.signIn(ada, "User-Agent: "+chrome70), w.signIn(ada, "User-Agent: "+chrome70)
	w.happened()
	w.clock.move(time.Hour)
	extended := strings.NewReplacer(`"$updatedAt": "2026-11-20T12:15`, `"$updatedAt": "2026-11-20T13:15`, "2027-11-20T12:15", "2027-11-20T13:15").Replace(goldenSession)
	w.ask("PATCH /v1/account/sessions/current", `{}`, s.header()).is(200).gives(extended)
	w.ask("PATCH /v1/account/sessions/"+other.id, `{}`, s.header()).is(200).gives(strings.Replace(extended, "true", "false", 1))
	w.did("account.session-extended.v1", "account.session-extended.v1")
	w.ask("PATCH /v1/account/sessions/current", `{}`, s.header()).is(200).gives(extended)
	w.did() // nothing is longer than it was
	w.clock.move(365*24*time.Hour - time.Millisecond)
	w.ask("GET /v1/account/sessions/current", nil, s.header()).is(200)
}

func TestSigningOut(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	here, there, third := w.signIn(ada), w.signIn(ada), w.signIn(ada)
	w.happened()
	w.ask("DELETE /v1/account/sessions/"+there.id, `{}`, here.header()).is(204)
	w.did("account.session-ended.v1")
	w.ask("DELETE /v1/account/sessions/"+there.id, `{}`, here.header()).refuses(404, "user_session_not_found")
	w.ask("GET /v1/account", nil, there.header()).is(401)
	w.ask("GET /v1/account", nil, here.header()).is(200)
	w.ask("DELETE /v1/account/sessions", `{}`, here.header()).is(204)
	w.did("account.signed-out-everywhere.v1", "account.session-revoked.v1", "account.session-revoked.v1")
	for _, s := range []session{here, third} {
		w.ask("GET /v1/account", nil, s.header()).is(401)
	}
	w.ask("GET /v1/account", nil, w.signIn(ada).header()).is(200)
}

func TestTheNewestTenSessionsAreKept(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	var all []session
	for range 13 {
		all = append(all, w.signIn(ada))
		w.clock.move(time.Second)
	}
	for i, s := range all {
		want := 200
		if i < 3 {
			want = 401
		}
		w.ask("GET /v1/account", nil, s.header()).is(want)
	}
	w.same("total", w.ask("GET /v1/account/sessions", nil, all[12].header()).member("total"), float64(10))
}

func TestManySignInsAtOnceKeepTheLimit(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.SessionLimit = 3 })
	w.signUp(ada)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			a := w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey)
			if a.status == 201 {
				heard.told(a.member("secret").(string))
			} else if a.status != 404 { // pushed out before it was answered
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	w.same("total", w.ask("GET /v1/account/sessions", nil, w.signIn(ada).header()).member("total"), float64(3))
}

func TestAPasswordChangeEndsOtherSessionsWhereTheProjectSaysSo(t *testing.T) {
	for _, test := range []struct {
		invalidate bool
		other      int
		events     []string
	}{
		{true, 401, []string{"account.password-changed.v1", "account.session-revoked.v1"}},
		{false, 200, []string{"account.password-changed.v1"}},
	} {
		w := newWorld(t, func(p *plan) { p.project.Auth.InvalidateSessions = test.invalidate })
		here, there := w.member(ada), w.signIn(ada)
		w.happened()
		w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`, here.header()).is(200).has("Set-Cookie:")
		w.did(test.events...)
		w.ask("GET /v1/account", nil, here.header()).is(200)
		w.ask("GET /v1/account", nil, there.header()).is(test.other)
	}
}
