package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wrong = "hunter-but-wrong"

func TestAnAnswerTellsNotWhetherTheAddressIsKnown(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.signUp(grace)
	w.ask("PATCH /v1/account/status", nil, w.signIn(grace).header()).is(200)
	// Whose account is blocked learns it only with the right password.
	known := w.ask("POST /v1/account/sessions/email", credentials(person{Email: ada.Email, Password: wrong}), "X-Request-ID: same")
	for name, email := range map[string]string{"unknown": "nobody@mail.test", "blocked": grace.Email} {
		other := w.ask("POST /v1/account/sessions/email", credentials(person{Email: email, Password: wrong}), "X-Request-ID: same")
		other.refuses(401, "user_invalid_credentials", "Invalid credentials. Please check the email and password.")
		if diff := cmp.Diff([]any{known.status, known.header, known.body}, []any{other.status, other.header, other.body}); diff != "" {
			t.Errorf("%s (-known +other):\n%s", name, diff)
		}
	}
	w.ask("POST /v1/account/sessions/email", credentials(grace)).refuses(401, "user_blocked").has("Set-Cookie:")
}

func TestWrongPasswordsCostMoreAndMoreTime(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.signUp(ada)
	guess := func(password string) *reply {
		return w.ask("POST /v1/account/sessions/email", credentials(person{Email: "ADA@mail.test", Password: password}))
	}
	const text = "Too many wrong passwords were given for this account. Please wait before the next try."
	for range 10 {
		guess(wrong).refuses(401, "user_invalid_credentials").has("Retry-After:")
	}
	for i := range 5 {
		wait := time.Second << i
		guess(wrong).refuses(429, "general_rate_limit_exceeded", text).has(fmt.Sprintf("Retry-After: %d", int(wait.Seconds())))
		guess(ada.Password).refuses(429, "general_rate_limit_exceeded", text) // the right one would tell
		w.clock.move(wait - time.Millisecond)
		guess(wrong).refuses(429, "general_rate_limit_exceeded", text).has("Retry-After: 1")
		w.clock.move(time.Millisecond)
		guess(wrong).refuses(401, "user_invalid_credentials")
	}
	w.clock.move(15 * time.Minute) // never longer
	heard.told(guess(ada.Password).is(201).value())
	w.happened()
	for range 10 { // and all begins anew
		guess(wrong).refuses(401, "user_invalid_credentials")
	}
	guess(wrong).refuses(429, "general_rate_limit_exceeded").has("Retry-After: 1")
	w.did(strings.Fields(strings.Repeat("account.wrong-password-given.v1 ", 10))...)
}

// Every place that takes a password counts, whoever asks.
func TestWrongPasswordsAreCountedWhereverTheyAreGiven(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	signIn := credentials(person{Email: ada.Email, Password: wrong})
	for range 4 {
		w.ask("POST /v1/account/sessions/email", signIn, "X-Appwrite-Key: "+serverKey).is(401)
	}
	for range 3 {
		w.ask("PATCH /v1/account/email", `{"email":"new@mail.test","password":"hunter-but-wrong"}`, s.header()).refuses(401, "user_invalid_credentials")
		w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-but-wrong"}`, s.header()).refuses(401, "user_invalid_credentials")
	}
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey).refuses(429, "general_rate_limit_exceeded").has("Retry-After: 1")
	w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`, s.header()).refuses(429, "general_rate_limit_exceeded").has("Retry-After: 1")
	// The owner who is signed in stays so.
	w.ask("GET /v1/account", nil, s.header()).is(200)
}

func TestAPasswordIsChangedByItsOwnerOnly(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more"}`, s.header()).refuses(401, "user_invalid_credentials")
	w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":null}`, s.header()).refuses(401, "user_invalid_credentials")
	w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-adA"}`, s.header()).refuses(401, "user_invalid_credentials")
	w.did(strings.Fields(strings.Repeat("account.wrong-password-given.v1 ", 3))...)
	w.ask("PATCH /v1/account/password", `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`, s.header()).is(200)
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_invalid_credentials")
	w.signIn(person{Email: ada.Email, Password: "hunter-of-more"})
}

func TestNoByteOfAPasswordIsLeftOut(t *testing.T) {
	w := newWorld(t)
	long := person{"ada", "ada@mail.test", strings.Repeat("h", 255) + "1", ""}
	w.signUp(long)
	w.signIn(long)
	long.Password = strings.Repeat("h", 255) + "2"
	w.ask("POST /v1/account/sessions/email", credentials(long)).refuses(401, "user_invalid_credentials")
}

func TestServersAreToldTheSecretAndClientsAreNot(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	client := w.ask("POST /v1/account/sessions/email", credentials(ada)).is(201)
	heard.told(client.value())
	w.same("secret", client.member("secret"), "")
	w.same("members with it", strings.Contains(client.body, client.value()), false)

	server := w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey).is(201)
	secret := server.member("secret").(string)
	heard.told(secret)
	w.same("cookie", server.value(), secret)
	c, ok := decodeCredential(secret)
	if !ok || c.ID != "ada" || len(c.Secret) != 256 || strings.Trim(c.Secret, "0123456789abcdef") != "" {
		t.Errorf("the credential of %q with %d digits", c.ID, len(c.Secret))
	}
	w.ask("GET /v1/account", nil, "X-Appwrite-Session: "+secret).is(200)
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Session: "+secret).refuses(401, "user_session_already_exists")
	// A key and a session that opens nothing are no contradiction.
	heard.told(w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey, "X-Appwrite-Session: garbage").is(201).value())
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey, "X-Appwrite-Session: "+secret).refuses(403, "user_key_and_session_set")
}

const (
	chrome70  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.110 Safari/537.36"
	mobile114 = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Mobile Safari/537.36"
)

func TestOnlyServersSpeakForAnotherUserAgent(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	both := []string{"User-Agent: " + chrome70, "X-Forwarded-User-Agent: " + mobile114}
	client := w.ask("POST /v1/account/sessions/email", credentials(ada), both...).is(201)
	heard.told(client.value())
	w.same("client", client.member("clientCode"), "CH")
	server := w.ask("POST /v1/account/sessions/email", credentials(ada), append(both, "X-Appwrite-Key: "+serverKey)...).is(201)
	heard.told(server.value())
	w.same("client", []any{server.member("clientCode"), server.member("clientName")}, []any{"CM", "Chrome Mobile"})
	alone := w.ask("POST /v1/account/sessions/email", credentials(ada), "User-Agent: "+chrome70, "X-Appwrite-Key: "+serverKey).is(201)
	heard.told(alone.value())
	w.same("client", alone.member("clientCode"), "CH")
}

func TestRateLimitsAreTold(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	reset := fmt.Sprintf("X-RateLimit-Reset: %d", time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC).Unix())
	for left := 9; left >= 0; left-- { // the case of the address makes no other
		email := []string{"ada@mail.test", "ADA@MAIL.TEST"}[left%2]
		w.ask("POST /v1/account/sessions/email", credentials(person{Email: email, Password: wrong})).is(401).
			has("X-RateLimit-Limit: 10", fmt.Sprintf("X-RateLimit-Remaining: %d", left), reset)
	}
	full := []string{"X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 0", reset, "Retry-After: 2700"}
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(429, "general_rate_limit_exceeded").has(full...)
	// Neither another way to write the route, nor another host or address, is another limit.
	w.ask("POST /v1/account/sessions", credentials(ada)).refuses(429, "general_rate_limit_exceeded").has(full...)
	w.ask("POST /v1/account/sessions/email", credentials(ada), "Host: other.mail.test").refuses(429, "general_rate_limit_exceeded")
	w.ask("POST /v1/account/sessions/email", credentials(ada), "Peer: 203.0.113.99:1").refuses(429, "general_rate_limit_exceeded")
	// Another address, another project and a server are.
	w.ask("POST /v1/account/sessions/email", credentials(person{Email: "x@mail.test", Password: wrong})).is(401).has("X-RateLimit-Remaining: 9")
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Project: other").is(401).has("X-RateLimit-Remaining: 9")
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-Key: "+serverKey).
		refuses(429, "general_rate_limit_exceeded", "Too many wrong passwords were given for this account. Please wait before the next try.").
		has("X-RateLimit-Remaining: 10", "Retry-After: 1")
	w.clock.move(45*time.Minute - 251*time.Millisecond)
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(429, "general_rate_limit_exceeded").has("Retry-After: 1")
	w.clock.move(time.Millisecond)
	heard.told(w.ask("POST /v1/account/sessions/email", credentials(ada)).is(201).has("X-RateLimit-Remaining: 9").value())
}

func TestRateLimitsByAddressAreEachRoutesOwn(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for _, test := range []struct {
		asked  string
		limit  int
		status int
	}{
		{"POST /v1/account", 10, 400},
		{"PATCH /v1/account/password", 10, 400},
		{"PATCH /v1/account/sessions/unknown", 10, 404},
		{"DELETE /v1/account/sessions/unknown", 100, 404},
		{"DELETE /v1/account/sessions", 100, 401}, // of somebody who is not signed in: not counted
	} {
		headers := cond(test.status != 401, s.header())
		for left := test.limit - 1; left >= 0; left-- {
			a := w.ask(test.asked, `{}`, headers...).is(test.status)
			if test.status != 401 {
				a.has(fmt.Sprintf("X-RateLimit-Limit: %d", test.limit), fmt.Sprintf("X-RateLimit-Remaining: %d", left))
			}
		}
		if test.status == 401 {
			w.ask(test.asked, nil).is(401).has("X-RateLimit-Limit:")
			continue
		}
		w.ask(test.asked, `{}`, headers...).refuses(429, "general_rate_limit_exceeded")
		w.ask(test.asked, `{}`, append(headers, "Host: other.mail.test")...).refuses(429, "general_rate_limit_exceeded")
		w.ask(test.asked, `{}`, append(headers, "Peer: 203.0.113.8:1")...).is(test.status)
		w.ask(test.asked, `{}`, append(headers, "X-Forwarded-For: 203.0.113.9")...).refuses(429, "general_rate_limit_exceeded")
	}
	for _, free := range []string{"GET /v1/account", "GET /v1/account/sessions", "GET /v1/account/logs", "GET /v1/account/prefs", "PATCH /v1/account/name", "PATCH /v1/account/prefs"} {
		w.ask(free, `{}`, s.header()).has("X-RateLimit-Limit:", "X-RateLimit-Remaining:", "X-RateLimit-Reset:")
	}
	w.ask("DELETE /v1/account/sessions", nil, s.header()).is(204).has("X-RateLimit-Remaining: 99")
}

func TestServersAreNotCounted(t *testing.T) {
	w := newWorld(t)
	for range 12 {
		w.ask("POST /v1/account", `{}`, "X-Appwrite-Key: "+serverKey).is(400).has("X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 10")
	}
	w.ask("POST /v1/account", `{}`).is(400).has("X-RateLimit-Remaining: 9")
}

func TestRateLimitsCanBeOff(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	for range 12 {
		w.ask("POST /v1/account", `{}`).is(400).has("X-RateLimit-Limit: 10", "X-RateLimit-Remaining: 10", "X-RateLimit-Reset: 1795179600")
	}
}
