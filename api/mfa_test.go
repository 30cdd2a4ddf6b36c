package api

import (
	"bytes"
	"fmt"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// code is what an authenticator shows now.
func (w *world) code(seed string) string {
	w.Helper()
	code, err := totp.GenerateCode(seed, w.clock.Now())
	if err != nil {
		w.Fatal(err)
	}
	return code
}

// authenticator gives somebody one that is verified.
func (w *world) authenticator(s session) (seed string) {
	w.Helper()
	seed = w.ask("POST /v1/account/mfa/authenticators/totp", nil, s.cookie()).is(200).member("secret").(string)
	heard.told(seed)
	w.ask("PUT /v1/account/mfa/authenticators/totp", map[string]string{"otp": w.code(seed)}, s.cookie()).is(200)
	w.clock.move(time.Minute) // a code is good once
	return seed
}

// challenge asks a session for a factor.
func (w *world) challenge(s session, factor string) (id string) {
	w.Helper()
	return w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": factor}, s.cookie()).is(201).member("$id").(string)
}

func (w *world) answer(s session, id, otp string) *reply {
	w.Helper()
	return w.ask("PUT /v1/account/mfa/challenges", map[string]string{"challengeId": id, "otp": otp}, s.cookie())
}

// sentCode is the code that the last challenge sent.
func (w *world) sentCode(id string) string {
	w.Helper()
	events, err := w.log.Log.Read(w.Context(), commands.AccountStream("shop", id), event.End, event.Backward, 20)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range events {
		e, err := account.Contract.Read(r)
		if err != nil {
			w.Fatal(err)
		}
		if issued, ok := e.(account.ChallengeIssued); ok {
			return w.commands.ChallengeCode(w.project, id, issued)
		}
	}
	w.Fatal("no challenge was issued")
	return ""
}

// verified proves somebody's address and number.
func (w *world) verified(p person) {
	w.Helper()
	s := w.signIn(p)
	w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, s.cookie()).is(201)
	_, secret := w.letter(p.ID)
	w.ask("PUT /v1/account/verifications/email", redeem(p.ID, secret)).is(200)
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": p.Password}, s.cookie()).is(200)
	w.ask("POST /v1/account/verifications/phone", nil, s.cookie()).is(201)
	_, secret = w.letter(p.ID)
	w.ask("PUT /v1/account/verifications/phone", redeem(p.ID, secret)).is(200)
}

func TestAnAuthenticator(t *testing.T) {
	w := newWorld(t)
	w.project.Name = "The Shop"
	s := w.member(ada)
	w.ask("PUT /v1/account/mfa/authenticators/totp", map[string]string{"otp": "123456"}, s.cookie()).refuses(404, "user_authenticator_not_found")
	w.ask("GET /v1/account/mfa/authenticators/totp/qr", nil, s.cookie()).refuses(404, "user_authenticator_not_found")
	w.ask("POST /v1/account/mfa/authenticators/sms", nil, s.cookie()).refuses(400, "general_argument_invalid", "Invalid `type` param: Value must be one of (totp)")
	w.happened()
	first := w.ask("POST /v1/account/mfa/authenticators/TOTP", nil, s.cookie()).is(200)
	a := w.ask("POST /v1/account/mfa/authenticators/totp", nil, s.cookie()).is(200) // one that was not verified is replaced
	w.did("account.authenticator-added.v1", "account.authenticator-added.v1")
	seed := a.member("secret").(string)
	heard.told(seed)
	heard.told(first.member("secret").(string))
	uri, err := url.Parse(a.member("uri").(string))
	if err != nil || len(seed) != 32 || first.member("secret") == any(seed) {
		t.Fatal(seed, err)
	}
	w.same("uri", uri.String(), "otpauth://totp/The%20Shop%3Aada%40mail.test?issuer=The%20Shop&secret="+seed)
	picture := w.ask("GET /v1/account/mfa/authenticators/totp/qr", nil, s.cookie()).is(200).has("Content-Type: image/png", "Cache-Control: no-store")
	if drawn, err := png.Decode(bytes.NewReader([]byte(picture.body))); err != nil || drawn.Bounds().Dx() != qrSize {
		t.Errorf("the picture: %v", err)
	}
	w.ask("GET /v1/account/mfa/factors", nil, s.cookie()).is(200).gives(`{"totp": false, "phone": false, "email": false, "recoveryCode": false}`)
	w.happened()
	w.ask("PUT /v1/account/mfa/authenticators/totp", map[string]string{"otp": w.code(first.member("secret").(string))}, s.cookie()).refuses(401, "user_invalid_token")
	w.ask("PUT /v1/account/mfa/authenticators/totp", map[string]string{"otp": w.code(seed)}, s.cookie()).is(200)
	w.did("account.authenticator-verified.v1", "account.session-proved.v1")
	w.ask("PUT /v1/account/mfa/authenticators/totp", map[string]string{"otp": w.code(seed)}, s.cookie()).refuses(409, "user_authenticator_already_verified")
	w.ask("POST /v1/account/mfa/authenticators/totp", nil, s.cookie()).refuses(409, "user_authenticator_already_verified")
	w.ask("GET /v1/account/mfa/authenticators/totp/qr", nil, s.cookie()).refuses(409, "user_authenticator_already_verified")
	w.ask("GET /v1/account/mfa/factors", nil, s.cookie()).is(200).gives(`{"totp": true, "phone": false, "email": false, "recoveryCode": false}`)
	w.same("factors", w.ask("GET /v1/account/sessions/current", nil, s.cookie()).member("factors"), any([]any{"password", "totp"}))

	// Removing it needs a challenge that was passed a short while ago: that it was just added is none.
	w.ask("DELETE /v1/account/mfa/authenticators/totp", nil, s.cookie()).refuses(401, "user_challenge_required")
	w.answer(s, w.challenge(s, "totp"), w.code(seed)).refuses(401, "user_invalid_token") // the code was used
	w.clock.move(30 * time.Second)
	id := w.challenge(s, "totp")
	proved := w.answer(s, id, w.code(seed)).is(200)
	w.same("session", []any{proved.member("$id"), proved.member("factors"), proved.member("mfaUpdatedAt")}, []any{s.id, []any{"password", "totp"}, "2026-11-20T12:15:30.250+00:00"})
	w.answer(s, id, w.code(seed)).refuses(401, "user_invalid_token")
	w.clock.move(30*time.Minute - time.Millisecond)
	w.ask("DELETE /v1/account/mfa/authenticators/totp", nil, w.signIn(ada).cookie()).refuses(401, "user_challenge_required")
	w.happened()
	w.ask("DELETE /v1/account/mfa/authenticators/totp", nil, s.cookie()).is(204)
	w.did("account.authenticator-removed.v1")
	w.ask("DELETE /v1/account/mfa/authenticators/totp", nil, s.cookie()).refuses(404, "user_authenticator_not_found")
	w.clock.move(time.Millisecond)
	w.ask("DELETE /v1/account/mfa/authenticators/totp", nil, s.cookie()).refuses(401, "user_challenge_required")
}

// RFC 6238 section 5.2: a step each way is let pass, and each step once; none before one that was used.
func TestAStepOfAnAuthenticatorIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	seed := w.authenticator(s)
	at := func(steps int) string {
		code, err := totp.GenerateCode(seed, w.clock.Now().Add(time.Duration(steps)*30*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	id := w.challenge(s, "totp")
	for _, far := range []int{-3, -2, 2, 3} {
		w.answer(s, id, at(far)).refuses(401, "user_invalid_token")
	}
	w.answer(s, id, at(1)).is(200)
	for _, used := range []int{1, 0, -1} {
		w.answer(s, w.challenge(s, "totp"), at(used)).refuses(401, "user_invalid_token")
	}
	w.clock.move(time.Minute)
	w.answer(s, w.challenge(s, "totp"), at(0)).is(200)
}

func TestRecoveryCodes(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	seed := w.authenticator(s)
	w.ask("GET /v1/account/mfa/recovery-codes", nil, s.cookie()).refuses(401, "user_challenge_required")
	made := w.ask("POST /v1/account/mfa/recovery-codes", nil, s.cookie()).is(201)
	w.ask("POST /v1/account/mfa/recovery-codes", nil, s.cookie()).refuses(409, "user_recovery_codes_already_exists")
	read := func(a *reply) (codes []string) {
		for _, c := range a.member("recoveryCodes").([]any) {
			codes = append(codes, c.(string))
			heard.told(c.(string))
		}
		return codes
	}
	codes := read(made)
	for _, c := range codes {
		if len(c) != 10 || strings.Trim(c, "0123456789abcdef") != "" {
			t.Errorf("%q is no code as the reference has them", c)
		}
	}
	w.same("how many", len(slices.Compact(slices.Sorted(slices.Values(codes)))), 6)
	w.ask("GET /v1/account/mfa/recovery-codes", nil, s.cookie()).refuses(401, "user_challenge_required")
	w.answer(s, w.challenge(s, "recoverycode"), codes[2]).is(200)
	w.answer(s, w.challenge(s, "recoveryCode"), codes[2]).refuses(401, "user_invalid_token")
	w.same("left", read(w.ask("GET /v1/account/mfa/recovery-codes", nil, s.cookie()).is(200)), slices.Delete(slices.Clone(codes), 2, 3))
	renewed := read(w.ask("PATCH /v1/account/mfa/recovery-codes", nil, s.cookie()).is(200))
	w.answer(s, w.challenge(s, "recoverycode"), codes[0]).refuses(401, "user_invalid_token")
	for _, c := range renewed {
		w.answer(s, w.challenge(s, "recoverycode"), c).is(200)
	}
	w.ask("GET /v1/account/mfa/recovery-codes", nil, s.cookie()).refuses(404, "user_recovery_codes_not_found")
	w.ask("PATCH /v1/account/mfa/recovery-codes", nil, s.cookie()).refuses(404, "user_recovery_codes_not_found")
	w.same("factors", w.ask("GET /v1/account/mfa/factors", nil, s.cookie()).member("recoveryCode"), any(false))
	w.ask("POST /v1/account/mfa/recovery-codes", nil, s.cookie()).is(201)
	_ = seed
}

// factorSets is what an account can have been verified with.
var factorSets = map[string]struct{ email, phone, totp bool }{
	"nothing": {}, "email": {email: true}, "phone": {phone: true}, "totp": {totp: true}, "all": {true, true, true},
}

// Reliability 27 and 28: every way in comes to one factor, and one opens nothing where two are asked for.
func TestEveryWayInComesToOneFactorOnly(t *testing.T) {
	ways := map[string]func(*world) session{
		"password": func(w *world) session { return w.signIn(ada) },
		"magic URL": func(w *world) session {
			w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).is(201)
			_, secret := w.letter("ada")
			return w.token("PUT /v1/account/sessions/magic-url", secret)
		},
		"email code": func(w *world) session {
			w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "x", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).is(201)
			_, secret := w.letter("ada")
			return w.token("POST /v1/account/sessions/token", secret)
		},
		"phone code": func(w *world) session {
			w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "x", "phone": number}, "X-Appwrite-Key: "+serverKey).is(201)
			_, secret := w.letter("ada")
			return w.token("PUT /v1/account/sessions/phone", secret)
		},
		"recovery": func(w *world) session {
			w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here}, "X-Appwrite-Key: "+serverKey).is(201)
			_, secret := w.letter("ada")
			w.ask("PUT /v1/account/recovery", map[string]string{"userId": "ada", "secret": secret, "password": "hunter-of-another"}, "X-Appwrite-Key: "+serverKey).is(200)
			return w.signIn(person{"ada", ada.Email, "hunter-of-another", ""})
		},
		"provider": func(w *world) session {
			b := w.browser()
			b.visits("sessions", sent)
			b.cookie() // is told
			return session{"", b.cookies["a_session_shop"]}
		},
		"provider's token": func(w *world) session {
			q := w.browser().visits("tokens", sent).Query()
			heard.told(q.Get("secret"))
			return w.token("POST /v1/account/sessions/token", q.Get("secret"))
		},
	}
	// What a session with too few factors may ask for, and what it may not.
	open := []string{"GET /v1/account/mfa/factors", "DELETE /v1/account/sessions/nobodys"}
	closed := []string{
		"GET /v1/account", "DELETE /v1/account", "GET /v1/account/prefs", "PATCH /v1/account/prefs", "PATCH /v1/account/name", "PATCH /v1/account/email", "PATCH /v1/account/phone",
		"PATCH /v1/account/password", "PATCH /v1/account/status", "GET /v1/account/logs", "GET /v1/account/sessions", "DELETE /v1/account/sessions", "GET /v1/account/sessions/current",
		"PATCH /v1/account/sessions/current", "POST /v1/account/jwts", "POST /v1/account/jwt", "GET /v1/account/identities", "DELETE /v1/account/identities/x",
		"PATCH /v1/account/mfa", "POST /v1/account/mfa/authenticators/totp", "PUT /v1/account/mfa/authenticators/totp", "DELETE /v1/account/mfa/authenticators/totp", "GET /v1/account/mfa/authenticators/totp/qr",
		"POST /v1/account/mfa/recovery-codes", "GET /v1/account/mfa/recovery-codes", "PATCH /v1/account/mfa/recovery-codes",
		"POST /v1/account/verifications/email", "POST /v1/account/verifications/phone",
	}
	for set, has := range factorSets {
		for way, in := range ways {
			if way == "phone code" && !has.phone {
				continue // the way proves the number by itself
			}
			t.Run(set+" by "+way, func(t *testing.T) {
				w := newWorld(t, func(p *plan) { p.RateLimits = false })
				first := w.member(ada)
				w.provider.who = octo("octo@elsewhere.test", false)
				b := w.browser()
				b.cookies["a_session_shop"] = first.value
				b.visits("sessions", sent) // so that the provider is connected
				b.cookie()
				first = session{"", b.cookies["a_session_shop"]}
				if has.email {
					w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, first.cookie()).is(201)
					_, secret := w.letter("ada")
					w.ask("PUT /v1/account/verifications/email", redeem("ada", secret)).is(200)
				}
				if has.phone {
					w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, first.cookie()).is(200)
					w.ask("POST /v1/account/verifications/phone", nil, first.cookie()).is(201)
					_, secret := w.letter("ada")
					w.ask("PUT /v1/account/verifications/phone", redeem("ada", secret)).is(200)
				}
				if has.totp {
					w.authenticator(first)
				}
				w.ask("PATCH /v1/account/mfa", map[string]bool{"mfa": true}, first.cookie()).is(200)
				w.ask("GET /v1/account", nil, first.cookie()).is(200) // who switched it on stays in

				mails := way == "magic URL" || way == "email code" || way == "recovery"
				if mails && has.phone && !has.email {
					// Its owner was proved by the number. Whoever has the mailbox need not be them.
					w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).refuses(400, "user_email_not_verified")
					w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "x", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).refuses(400, "user_email_not_verified")
					w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here}, "X-Appwrite-Key: "+serverKey).refuses(400, "user_email_not_verified")
					return
				}
				s := in(w)
				two := has.email || has.phone || has.totp // where there was none, MFA ended with whoever switched it on before
				who := w.ask("GET /v1/account", nil, s.cookie())
				if !two {
					who.is(200)
					return
				}
				w.happened()
				for _, what := range closed {
					w.ask(what, map[string]any{}, s.cookie()).refuses(401, "user_more_factors_required")
				}
				w.ask("GET /v1/account/sessions/oauth2/github?project=shop"+sent, nil, s.cookie()).is(401)
				w.did()
				for _, what := range open {
					if a := w.ask(what, nil, s.cookie()); strings.Contains(a.body, "user_more_factors_required") {
						t.Errorf("%s is closed", what)
					}
				}
				// What came by the mailbox is no second factor, where there is another one to ask for.
				byMail, others := way != "password" && way != "phone code", has.phone || has.totp
				w.same("a code in a mail counts", w.ask("GET /v1/account/mfa/factors", nil, s.cookie()).member("email"), any(has.email && !(byMail && others)))
				if asked := w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "email"}, s.cookie()); has.email && byMail && others {
					asked.refuses(400, "general_bad_request")
				} else if has.email {
					asked.is(201)
				}
			})
		}
	}
}

// token signs ada in by a secret, as a server does.
func (w *world) token(how, secret string) session {
	w.Helper()
	a := w.ask(how, redeem("ada", secret), "X-Appwrite-Key: "+serverKey).is(201)
	s := session{a.member("$id").(string), a.member("secret").(string)}
	heard.told(s.value)
	return s
}

func TestASecondFactorOpensTheSessionThatWasAsked(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.signUp(ada)
	w.verified(ada)
	first := w.signIn(ada)
	seed := w.authenticator(first)
	w.ask("PATCH /v1/account/mfa", map[string]bool{"mfa": true}, first.cookie()).is(200)
	w.same("who switched it on", w.ask("GET /v1/account/sessions/current", nil, first.cookie()).member("factors"), any([]any{"password", "totp", "email", "phone"}))
	answers := map[string]func() string{
		"totp":  func() string { w.clock.move(30 * time.Second); return w.code(seed) },
		"email": func() string { return w.sentCode("ada") },
		"phone": func() string { return w.sentCode("ada") },
	}
	for factor, answer := range answers {
		s, other := w.signIn(ada), w.signIn(ada)
		id := w.challenge(s, factor)
		code := answer()
		w.answer(other, id, code).refuses(401, "user_invalid_token") // it was not asked
		w.answer(s, w.challenge(other, factor), code).refuses(401, "user_invalid_token")
		w.happened()
		proved := w.answer(s, id, code).is(200)
		w.did("account.challenge-passed.v1", "account.session-proved.v1")
		w.same(factor, proved.member("factors"), any([]any{"password", factor}))
		w.ask("GET /v1/account", nil, s.cookie()).is(200)
		w.ask("GET /v1/account", nil, other.cookie()).refuses(401, "user_more_factors_required")
		w.answer(s, id, code).refuses(401, "user_invalid_token")
	}
	// A JWT is as good as its session.
	jwt := w.ask("POST /v1/account/jwts", nil, first.cookie()).is(201).member("jwt").(string)
	heard.told(jwt)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+jwt).is(200)
	for _, what := range []string{"PATCH /v1/account/mfa", "POST /v1/account/mfa/challenges", "PUT /v1/account/mfa/challenges", "PUT /v1/account/mfa/authenticators/totp"} {
		w.ask(what, map[string]any{"mfa": true, "factor": "totp", "challengeId": "x", "otp": "x"}, "X-Appwrite-JWT: "+jwt).refuses(404, "user_session_not_found")
	}
	w.ask("GET /v1/account/mfa/recovery-codes", nil, "X-Appwrite-JWT: "+jwt).refuses(401, "user_challenge_required")
}

func TestAJWTOfASessionWithTooFewFactorsIsRefused(t *testing.T) {
	w := newWorld(t)
	one := w.member(ada)
	jwt := w.ask("POST /v1/account/jwts", nil, one.cookie()).is(201).member("jwt").(string)
	heard.told(jwt)
	two := w.signIn(ada)
	w.authenticator(two)
	w.ask("PATCH /v1/account/mfa", map[string]bool{"mfa": true}, two.cookie()).is(200)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+jwt).refuses(401, "user_more_factors_required")
	w.ask("PATCH /v1/account/mfa", map[string]bool{"mfa": false}, two.cookie()).is(200)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+jwt).is(200)
}

func TestChallengesAreGuessedAtFiveTimes(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.signUp(ada)
	w.verified(ada)
	s := w.signIn(ada)
	id := w.challenge(s, "email")
	code := w.sentCode("ada")
	wrong := map[bool]string{true: "000001", false: "000000"}[code == "000000"]
	w.happened()
	for range 5 {
		w.answer(s, id, wrong).refuses(401, "user_invalid_token")
	}
	w.did(slices.Repeat([]string{"account.wrong-answer-given.v1"}, 5)...)
	w.answer(s, id, code).refuses(401, "user_invalid_token")
	// A newer one replaces the last, and after fifteen minutes it is too old.
	before := w.challenge(s, "email")
	code = w.sentCode("ada")
	id = w.challenge(s, "email")
	w.answer(s, before, code).refuses(401, "user_invalid_token")
	code = w.sentCode("ada")
	w.clock.move(15 * time.Minute)
	w.answer(s, id, code).refuses(401, "user_invalid_token")
	// Who goes on guessing waits.
	for range 9 {
		id := w.challenge(s, "totp")
		for range 5 {
			w.answer(s, id, "000000").refuses(401, "user_invalid_token")
		}
	}
	w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "email"}, s.cookie()).refuses(429, "general_rate_limit_exceeded")
	w.clock.move(time.Hour)
	w.answer(s, w.challenge(s, "email"), w.sentCode("ada")).is(200)
}

func TestChallengesThatCannotBe(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	ask := func(factor string) *reply {
		return w.ask("POST /v1/account/mfa/challenge", map[string]string{"factor": factor}, s.cookie())
	}
	ask("sms").refuses(400, "general_argument_invalid", "Invalid `factor` param: "+problemFactor)
	ask("email").refuses(400, "user_email_not_verified")
	ask("phone").refuses(400, "user_phone_not_found")
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
	ask("phone").refuses(400, "user_phone_not_verified")
	w.answer(s, w.challenge(s, "TOTP"), "123456").refuses(401, "user_invalid_token")
	w.answer(s, w.challenge(s, "recoverycode"), "0123456789").refuses(401, "user_invalid_token")
	w.ask("PATCH /v1/account/mfa", map[string]any{"mfa": "true"}, s.cookie()).refuses(400, "general_argument_invalid", "Invalid `mfa` param: Value must be a valid boolean")
	anonymous := w.ask("POST /v1/account/sessions/anonymous", nil).is(201)
	heard.told(anonymous.value())
	w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "email"}, session{"", anonymous.value()}.cookie()).refuses(400, "user_email_not_found")

	w = newWorld(t, func(p *plan) { p.Mail, p.Texts = false, false })
	s = w.member(ada)
	w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "email"}, s.cookie()).refuses(503, "general_smtp_disabled")
	w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "phone"}, s.cookie()).refuses(503, "general_phone_disabled")
}

func TestChallengesHaveTheirLimits(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for range 10 {
		w.ask("POST /v1/account/mfa/challenges", map[string]string{"factor": "totp"}, s.cookie()).is(201)
	}
	w.ask("POST /v1/account/mfa/challenge", map[string]string{"factor": "totp"}, s.cookie()).refuses(429, "general_rate_limit_exceeded")
	for range 10 {
		w.answer(s, "one", "123456").refuses(401, "user_invalid_token")
	}
	w.answer(s, "one", "123456").refuses(429, "general_rate_limit_exceeded")
	w.answer(s, "another", "123456").refuses(401, "user_invalid_token")
}

// Mock numbers answer challenges, too.
func TestAMockNumberAnswersAChallenge(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.Texts, p.project.Auth.MockNumbers = false, []project.MockNumber{{Phone: number, OTP: "123456"}}
	})
	s := w.member(ada)
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
	w.ask("POST /v1/account/verifications/phone", nil, s.cookie()).is(201)
	w.ask("PUT /v1/account/verifications/phone", redeem("ada", "123456")).is(200)
	w.answer(s, w.challenge(s, "phone"), "123456").is(200)
}

// Each new secret ends what was asked before it.
func TestANewPasswordEndsChallenges(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.signUp(ada)
	w.verified(ada)
	s := w.signIn(ada)
	id := w.challenge(s, "email")
	code := w.sentCode("ada")
	w.ask("PATCH /v1/account/password", map[string]string{"password": "hunter-of-another", "oldPassword": ada.Password}, s.cookie()).is(200)
	w.answer(s, id, code).refuses(401, "user_invalid_token")
}

func TestTheSecurityLogTellsOfFactors(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	w.authenticator(s)
	w.ask("PATCH /v1/account/mfa", map[string]bool{"mfa": true}, s.cookie()).is(200)
	w.ask("POST /v1/account/mfa/recovery-codes", nil, s.cookie()).is(201)
	var got []string
	list := w.ask("GET /v1/account/logs", nil, s.cookie()).is(200)
	for _, l := range list.member("logs").([]any) {
		got = append(got, l.(map[string]any)["event"].(string))
	}
	w.same("log", fmt.Sprint(got, list.member("total")), "[recoveryCodes.create user.update authenticator.create session.create user.create] 5")
}
