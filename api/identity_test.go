package api

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestASessionIsPresentedInFourWaysOfFallingPrecedence(t *testing.T) {
	w := newWorld(t)
	adas, graces := w.member(ada), w.member(grace)
	const legacy, fallback = "Cookie: a_session_shop_legacy=", `X-Fallback-Cookies: {"a_session_shop":"`
	ended := w.signIn(ada)
	w.ask("DELETE /v1/account/sessions/current", nil, ended.header()).is(204)

	for _, test := range []struct {
		name     string
		headers  []string
		who      string // "" = a guest
		fallback string
	}{
		{"nothing", nil, "", "true"},
		{"cookie", []string{adas.cookie()}, "ada", "false"},
		{"legacy cookie", []string{legacy + adas.value}, "ada", "false"},
		{"header", []string{adas.header()}, "ada", "false"},
		{"fallback", []string{fallback + adas.value + `"}`}, "ada", "true"},
		{"fallback among others", []string{`X-Fallback-Cookies: {"a_session_other":"x","a_session_shop":"` + adas.value + `"}`}, "ada", "true"},
		{"cookie before legacy cookie", []string{"Cookie: a_session_shop_legacy=" + graces.value + "; a_session_shop=" + adas.value}, "ada", "false"},
		{"legacy cookie before header", []string{legacy + adas.value, graces.header()}, "ada", "false"},
		{"header before fallback", []string{adas.header(), fallback + graces.value + `"}`}, "ada", "false"},
		{"a cookie that is garbage gives way", []string{"Cookie: a_session_shop=garbage", adas.header()}, "ada", "false"},
		{"an empty header gives way", []string{"X-Appwrite-Session:", fallback + adas.value + `"}`}, "ada", "true"},
		{"an ended session's cookie does not give way", []string{ended.cookie(), adas.header()}, "", "false"},
		{"fallback of another project", []string{`X-Fallback-Cookies: {"a_session_other":"` + adas.value + `"}`}, "", "true"},
		{"fallback that is a list", []string{"X-Fallback-Cookies: []"}, "", "true"},
		{"fallback that is empty", []string{"X-Fallback-Cookies: {}"}, "", "true"},
		{"fallback that is garbage", []string{`X-Fallback-Cookies: {"a_session_shop":1}`}, "", "true"},
		{"cookie of another project", []string{"Cookie: a_session_other=" + adas.value}, "", "true"},
		{"cookie in another case", []string{"Cookie: A_SESSION_SHOP=" + adas.value}, "", "true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.ask("GET /v1/account", nil, test.headers...).has("X-Debug-Fallback: " + test.fallback)
			if test.who == "" {
				a.refuses(401, "general_unauthorized_scope", scopeText)
				return
			}
			if got := a.is(200).member("$id"); got != test.who {
				t.Errorf("taken for %v", got)
			}
		})
	}
}

func TestOnlyTheVerySecretOpensASession(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.member(grace)
	secret := s.secret(t)
	swap := func(r rune) rune {
		if unicode.IsLower(r) {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}
	for name, value := range map[string]string{
		"truncated":             present("ada", secret[:255]),
		"truncated to nothing":  present("ada", ""),
		"extended":              present("ada", secret+"0"),
		"extended by a space":   present("ada", secret+" "),
		"led by a space":        present("ada", " "+secret),
		"in capitals":           present("ada", strings.ToUpper(secret)),
		"another's id":          present("grace", secret),
		"an id in capitals":     present("ADA", secret),
		"no id":                 present("", secret),
		"an unknown id":         present("nobody", secret),
		"its hash":              present("ada", hashOf(secret)),
		"SQL":                   present("ada", "' OR ''='"),
		"NUL":                   base64.StdEncoding.EncodeToString([]byte(`{"id":"ada","secret":"` + secret + `\u0000"}`)),
		"NUL in the id":         base64.StdEncoding.EncodeToString([]byte(`{"id":"ada\u0000","secret":"` + secret + `"}`)),
		"not UTF-8":             base64.StdEncoding.EncodeToString([]byte("{\"id\":\"ada\xff\",\"secret\":\"" + secret + `"}`)),
		"not base64":            "{" + s.value,
		"cut base64":            s.value[:len(s.value)-1],
		"base64 twice":          base64.StdEncoding.EncodeToString([]byte(s.value)),
		"base64 in other case":  strings.Map(swap, s.value),
		"base64 for URLs":       base64.URLEncoding.EncodeToString([]byte("\xff\xfe\xfd" + secret)),
		"no JSON":               base64.StdEncoding.EncodeToString([]byte("ada:" + secret)),
		"a JSON list":           base64.StdEncoding.EncodeToString([]byte(`["ada","` + secret + `"]`)),
		"JSON and more":         base64.StdEncoding.EncodeToString([]byte(`{"id":"ada","secret":"` + secret + `"}{}`)),
		"members of other kind": base64.StdEncoding.EncodeToString([]byte(`{"id":["ada"],"secret":"` + secret + `"}`)),
		"deleted":               "deleted",
		"a megabyte":            strings.Repeat("A", 60_000),
	} {
		w.ask("GET /v1/account", nil, "X-Appwrite-Session: "+value).refuses(401, "general_unauthorized_scope", scopeText)
		w.ask("GET /v1/account", nil, "Cookie: a_session_shop="+value).refuses(401, "general_unauthorized_scope", scopeText)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	// The order of members does not matter, nor what else stands there.
	other := base64.StdEncoding.EncodeToString([]byte(`{ "secret": "` + secret + `", "x": 1, "id": "ada" }`))
	w.ask("GET /v1/account", nil, "X-Appwrite-Session: "+other).is(200)
}

func TestASessionIsRefusedFromTheMomentItExpires(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.SessionDuration = time.Hour })
	s := w.member(ada)
	w.clock.move(time.Hour - time.Millisecond)
	w.ask("GET /v1/account", nil, s.header()).is(200)
	w.clock.move(time.Millisecond)
	w.ask("GET /v1/account", nil, s.header()).refuses(401, "general_unauthorized_scope", scopeText)
	w.ask("PATCH /v1/account/sessions/current", nil, s.header()).refuses(401, "general_unauthorized_scope", scopeText)
	// It is in nobody's way, and not listed any more.
	again := w.signIn(ada)
	a := w.ask("GET /v1/account/sessions", nil, again.header()).is(200)
	w.same("sessions", a.member("total"), float64(1))
	w.ask("GET /v1/account/sessions/"+s.id, nil, again.header()).refuses(404, "user_session_not_found")
}

// Whatever ends a session, its secret opens nothing from the moment that was answered.
func TestAnEndedSessionIsRefusedAtOnce(t *testing.T) {
	for name, end := range map[string]func(w *world, s session){
		"signed out": func(w *world, s session) { w.ask("DELETE /v1/account/sessions/current", nil, s.header()).is(204) },
		"signed out elsewhere": func(w *world, s session) {
			w.ask("DELETE /v1/account/sessions/"+s.id, nil, w.signIn(ada).header()).is(204)
		},
		"signed out everywhere": func(w *world, s session) {
			w.ask("DELETE /v1/account/sessions", nil, w.signIn(ada).header()).is(204)
		},
		"password changed": func(w *world, s session) {
			w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`, w.signIn(ada).header()).is(200)
		},
		"account deleted": func(w *world, s session) { w.ask("DELETE /v1/account", nil, w.signIn(ada).header()).is(204) },
		"pushed out by ten others": func(w *world, s session) {
			for range 10 {
				w.signIn(ada)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.member(ada)
			w.ask("GET /v1/account", nil, s.header()).is(200)
			end(w, s)
			for _, way := range []string{s.header(), s.cookie(), `X-Fallback-Cookies: {"a_session_shop":"` + s.value + `"}`} {
				w.ask("GET /v1/account", nil, way).refuses(401, "general_unauthorized_scope", scopeText)
			}
		})
	}
}

func TestProjectsDoNotKnowEachOther(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("GET /v1/account", nil, "X-Appwrite-Project: other", s.header(), "Cookie: a_session_other="+s.value).refuses(401, "general_unauthorized_scope", scopeText)
	w.ask("POST /v1/account/sessions/email", map[string]string{"email": ada.Email, "password": ada.Password}, "X-Appwrite-Project: other").
		refuses(401, "user_invalid_credentials")
	w.ask("POST /v1/account", ada.body(), "X-Appwrite-Project: other").is(201)
	w.ask("GET /v1/account", nil, "X-Appwrite-Project: other", s.header()).refuses(401, "general_unauthorized_scope", scopeText)
}
