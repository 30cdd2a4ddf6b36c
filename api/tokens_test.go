package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// letter gives the newest secret that was sent to an account, as its letter would tell it.
func (w *world) letter(id string) (account.TokenIssued, string) {
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
		if issued, ok := e.(account.TokenIssued); ok {
			secret := w.commands.Secret(w.project, id, issued)
			if len(secret) > 6 { // six digits stand in many numbers
				heard.told(secret)
			}
			return issued, secret
		}
	}
	w.Fatalf("nothing was sent to %s", id)
	return account.TokenIssued{}, ""
}

func redeem(id, secret string) map[string]string {
	return map[string]string{"userId": id, "secret": secret}
}

const (
	here   = "https://app.mail.test/in"
	number = "+4917612345678"
)

func goldenToken(user, expire, phrase string) string {
	return fmt.Sprintf(`{"$id": "<id>", "$createdAt": "2026-11-20T12:15:00.250+00:00", "userId": %q, "secret": "", "expire": %q, "phrase": %q}`, user, expire, phrase)
}

func TestALongSecretIsCountedInCharacters(t *testing.T) {
	w := newWorld(t)
	w.ask("POST /v1/account/sessions/token", redeem("ada", strings.Repeat("é", 256))).refuses(401, "user_invalid_token")
	w.ask("POST /v1/account/sessions/token", redeem("ada", strings.Repeat("é", 257))).refuses(400, "general_argument_invalid", "Invalid `secret` param: "+problemCode)
}

func TestAnonymousAccounts(t *testing.T) {
	w := newWorld(t)
	a := w.ask("POST /v1/account/sessions/anonymous", nil).is(201)
	w.did("account.created.v1", "account.session-started.v1")
	w.same("provider and factors", []any{a.member("provider"), a.member("factors")}, []any{"anonymous", []any{"anonymous"}})
	s := session{a.member("$id").(string), a.value()}
	heard.told(s.value)
	id := a.member("userId").(string)
	w.ask("POST /v1/account/sessions/anonymous", nil, s.cookie()).refuses(401, "user_session_already_exists")
	w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, s.cookie()).refuses(400, "user_email_not_found")
	w.ask("POST /v1/account/verifications/phone", nil, s.cookie()).refuses(400, "user_phone_not_found")

	// It takes on an address and a password, and stays signed in.
	w.happened()
	w.ask("PATCH /v1/account/email", map[string]string{"email": ada.Email, "password": "short"}, s.cookie()).refuses(400, "general_argument_invalid")
	became := w.ask("PATCH /v1/account/email", map[string]string{"email": ada.Email, "password": ada.Password}, s.cookie()).is(200)
	w.did("claim.taken.v1", "account.email-changed.v1", "account.password-changed.v1")
	w.same("id", became.member("$id"), any(id))
	w.ask("GET /v1/account/sessions/current", nil, s.cookie()).is(200)
	w.signIn(ada)

	// Or a number.
	other := w.ask("POST /v1/account/sessions/anonymous", nil).is(201)
	heard.told(other.value())
	cookie := session{"", other.value()}.cookie()
	w.ask("PATCH /v1/account/email", map[string]string{"email": ada.Email, "password": "hunter-of-nobody"}, cookie).refuses(409, "user_target_already_exists")
	w.same("phone", w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": "hunter-of-nobody"}, cookie).is(200).member("phone"), any(number))
	w.ask("PATCH /v1/account/password", map[string]string{"password": "hunter-of-other", "oldPassword": "hunter-of-nobody"}, cookie).is(200)
}

func TestMagicURL(t *testing.T) {
	w := newWorld(t)
	ask := map[string]any{"userId": "grace", "email": grace.Email, "url": here + "?from=mail#top", "phrase": true}
	a := w.ask("POST /v1/account/tokens/magic-url", ask).is(201)
	w.did("claim.taken.v1", "account.created.v1", "account.token-issued.v1")
	phrase := a.member("phrase").(string)
	a.gives(goldenToken("grace", "2026-11-20T13:15:00.250+00:00", phrase))
	if len(strings.Fields(phrase)) != 2 {
		t.Errorf("the phrase is %q", phrase)
	}
	issued, secret := w.letter("grace")
	w.same("letter", []any{issued.Personal.To, issued.Personal.Phrase, len(secret)}, []any{grace.Email, phrase, 64})
	link := Link(issued, "shop", "grace", secret)
	w.same("link", link, here+"?from=mail&userId=grace&secret="+secret+"&expire=2026-11-20T13%3A15%3A00.250%2B00%3A00&project=shop#top")

	w.ask("PUT /v1/account/sessions/magic-url", redeem("grace", secret[:63]+"g")).refuses(401, "user_invalid_token")
	w.ask("PUT /v1/account/sessions/magic-url", redeem("nobody", secret)).refuses(401, "user_invalid_token")
	w.happened()
	s := w.ask("PUT /v1/account/sessions/magic-url", redeem("grace", secret)).is(201)
	w.did("account.token-used.v1", "account.email-verified.v1", "account.session-started.v1")
	w.same("session", []any{s.member("provider"), s.member("providerUid"), s.member("factors"), s.member("current")}, []any{"magic-url", "", []any{"email"}, true})
	heard.told(s.value())
	who := w.ask("GET /v1/account", nil, session{"", s.value()}.cookie()).is(200)
	w.same("account", []any{who.member("emailVerification"), who.member("passwordUpdate"), len(who.member("targets").([]any))}, []any{true, "", 1})
	w.ask("PUT /v1/account/sessions/magic-url", redeem("grace", secret)).refuses(401, "user_invalid_token")

	// Who has the address is who gets the letter, whatever id was chosen; a taken id is nobody else's.
	w.same("owner", w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "chosen", "email": grace.Email}).is(201).member("userId"), any("grace"))
	issued, _ = w.letter("grace")
	w.same("without a page of their own", issued.Personal.URL, "https://api.mail.test/auth/magic-url")
	w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "grace", "email": "new@mail.test"}).refuses(409, "user_already_exists")

	// The generation that calls it a session is answered with 200.
	_, secret = w.letter("grace")
	old := w.ask("PUT /v1/account/sessions/magic-url", redeem("grace", secret), "X-Appwrite-Response-Format: 1.4.0").is(200)
	heard.told(old.value())
}

func TestCodesByMailAndPhone(t *testing.T) {
	w := newWorld(t)
	w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "grace", "email": grace.Email}).is(201).gives(goldenToken("grace", "2026-11-20T12:30:00.250+00:00", ""))
	_, code := w.letter("grace")
	s := w.ask("POST /v1/account/sessions/token", redeem("grace", code)).is(201)
	w.same("by mail", []any{s.member("provider"), s.member("factors")}, []any{"token", []any{"email"}})
	heard.told(s.value())

	w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "ada", "phone": number}).is(201).gives(goldenToken("ada", "2026-11-20T12:30:00.250+00:00", ""))
	_, code = w.letter("ada")
	s = w.ask("PUT /v1/account/sessions/phone", redeem("ada", code)).is(201)
	w.same("by phone", []any{s.member("provider"), s.member("factors")}, []any{"phone", []any{"phone"}})
	heard.told(s.value())
	who := w.ask("GET /v1/account", nil, session{"", s.value()}.cookie()).is(200)
	target := who.member("targets").([]any)[0].(map[string]any)
	w.same("account", []any{who.member("phone"), who.member("phoneVerification"), target["providerType"], target["identifier"]}, []any{number, true, "sms", number})

	for _, wrong := range []string{"", "12", "004917612345678", "+0123456789", "+49 176 12345678", "+999999999999999"} {
		w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "unique()", "phone": wrong}).refuses(400, "general_argument_invalid")
	}

	// A server is told the secret, of a phone's in the form of a session's; either form is taken back.
	key := "X-Appwrite-Key: " + serverKey
	told := w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "grace", "email": grace.Email}, key).is(201).member("secret").(string)
	_, code = w.letter("grace")
	w.same("told", told, code)
	told = w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "ada", "phone": number}, key).is(201).member("secret").(string)
	_, code = w.letter("ada")
	c, _ := decodeCredential(told)
	w.same("told", c, credential{"ada", code})
	heard.told(w.ask("PUT /v1/account/sessions/phone", redeem("ada", told)).is(201).value())
}

func TestTheFifthWrongCodeEndsItOverHTTP(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "grace", "email": grace.Email}).is(201)
	_, code := w.letter("grace")
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	w.happened()
	for range 5 {
		w.ask("POST /v1/account/sessions/token", redeem("grace", wrong)).refuses(401, "user_invalid_token")
		w.did("account.wrong-code-given.v1")
	}
	w.ask("POST /v1/account/sessions/token", redeem("grace", code)).refuses(401, "user_invalid_token")
	w.did()
}

func TestASecretOpensOnlyWhatItWasSentFor(t *testing.T) {
	for kind := range 6 {
		w := newWorld(t, func(p *plan) { p.RateLimits = false })
		s := w.member(ada)
		w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
		ask := []func() *reply{
			func() *reply {
				return w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email})
			},
			func() *reply {
				return w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "x", "email": ada.Email})
			},
			func() *reply {
				return w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "x", "phone": number})
			},
			func() *reply {
				return w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here})
			},
			func() *reply {
				return w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, s.cookie())
			},
			func() *reply { return w.ask("POST /v1/account/verifications/phone", nil, s.cookie()) },
		}
		opens := []string{ // by kind
			"POST /v1/account/sessions/token, PUT /v1/account/sessions/magic-url",
			"POST /v1/account/sessions/token",
			"POST /v1/account/sessions/token, PUT /v1/account/sessions/phone",
			"PUT /v1/account/recovery",
			"PUT /v1/account/verifications/email, PUT /v1/account/verification",
			"PUT /v1/account/verifications/phone, PUT /v1/account/verification/phone",
		}
		for _, door := range []string{
			"POST /v1/account/sessions/token", "PUT /v1/account/sessions/magic-url", "PUT /v1/account/sessions/phone", "PUT /v1/account/recovery",
			"PUT /v1/account/verifications/email", "PUT /v1/account/verification", "PUT /v1/account/verifications/phone", "PUT /v1/account/verification/phone",
		} {
			if kind == 4 || kind == 5 { // it is asked for while it is not verified
				w = newWorld(t, func(p *plan) { p.RateLimits = false })
				s = w.member(ada)
				w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
			}
			ask[kind]().is(201)
			_, secret := w.letter("ada")
			body := redeem("ada", secret)
			body["password"] = "hunter-of-" + fmt.Sprint(len(door))
			a := w.ask(door, body)
			if opened := a.status < 300; opened != strings.Contains(opens[kind]+",", door+",") {
				t.Errorf("a secret of kind %d at %s: %d %s", kind, door, a.status, a.body)
			}
			if a.status == 201 {
				heard.told(a.value())
			}
		}
	}
}

func TestVerification(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, s.cookie()).is(201).gives(goldenToken("ada", "2026-11-27T12:15:00.250+00:00", ""))
	w.did("account.token-issued.v1")
	issued, secret := w.letter("ada")
	w.same("secret", len(secret), 256)
	if link := Link(issued, "shop", "ada", secret); !strings.HasPrefix(link, here+"?userId=ada&secret="+secret+"&expire=2026-11-27T") || strings.Contains(link, "project") {
		t.Errorf("the link is %s", link)
	}
	w.ask("PUT /v1/account/verifications/email", redeem("ada", secret), "X-Appwrite-Key: "+serverKey).refuses(401, "general_unauthorized_scope")
	w.ask("PUT /v1/account/verifications/email", redeem("nobody", secret)).refuses(404, "user_not_found")
	w.ask("PUT /v1/account/verification", redeem("ada", secret)).is(200).gives(goldenToken("ada", "2026-11-27T12:15:00.250+00:00", ""))
	w.did("account.token-used.v1", "account.email-verified.v1")
	w.same("verified", w.ask("GET /v1/account", nil, s.cookie()).is(200).member("emailVerification"), any(true))
	w.ask("POST /v1/account/verification", map[string]string{"url": here}, s.cookie()).refuses(409, "user_email_already_verified")

	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": "hunter-but-wrong"}, s.cookie()).refuses(401, "user_invalid_credentials")
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
	w.ask("POST /v1/account/verification/phone", nil, s.cookie()).is(201)
	_, secret = w.letter("ada")
	w.ask("PUT /v1/account/verifications/phone", redeem("ada", secret), s.cookie()).is(200)
	w.same("verified", w.ask("GET /v1/account", nil, s.cookie()).is(200).member("phoneVerification"), any(true))
	w.ask("POST /v1/account/verifications/phone", nil, s.cookie()).refuses(409, "user_phone_already_verified")
	other := w.member(grace)
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": grace.Password}, other.cookie()).refuses(409, "user_target_already_exists")
}

func TestRecovery(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("POST /v1/account/recovery", map[string]string{"email": grace.Email, "url": here}).refuses(404, "user_not_found")
	w.ask("POST /v1/account/recovery", map[string]string{"email": "ADA@mail.test", "url": here}).is(201).gives(goldenToken("ada", "2026-11-20T13:15:00.250+00:00", ""))
	_, secret := w.letter("ada")
	body := redeem("ada", secret)
	body["password"], body["passwordAgain"] = "hunter-the-new", "hunter-the-other"
	w.ask("PUT /v1/account/recovery", body).refuses(400, "user_password_mismatch")
	body["passwordAgain"] = "hunter-the-new"
	w.ask("PUT /v1/account/recovery", map[string]string{"userId": "ada", "secret": strings.Repeat("0", 256), "password": "hunter-the-new"}).refuses(401, "user_invalid_token")
	w.happened()
	w.ask("PUT /v1/account/recovery", body).is(200)
	w.did("account.token-used.v1", "account.email-verified.v1", "account.session-revoked.v1", "account.password-changed.v1")
	w.ask("GET /v1/account", nil, s.cookie()).refuses(401, "general_unauthorized_scope")
	w.ask("PUT /v1/account/recovery", body).refuses(401, "user_invalid_token")
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_invalid_credentials")
	w.signIn(person{Email: ada.Email, Password: "hunter-the-new"})
}

func TestWhatEndsSecrets(t *testing.T) {
	for name, end := range map[string]func(w *world, s session){
		"a new password": func(w *world, s session) {
			w.ask("PATCH /v1/account/password", map[string]string{"password": "hunter-the-new", "oldPassword": ada.Password}, s.cookie()).is(200)
		},
		"another address": func(w *world, s session) {
			w.ask("PATCH /v1/account/email", map[string]string{"email": "new@mail.test", "password": ada.Password}, s.cookie()).is(200)
		},
		"another number": func(w *world, s session) {
			w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, s.cookie()).is(200)
		},
		"a block":    func(w *world, s session) { w.ask("PATCH /v1/account/status", map[string]any{}, s.cookie()).is(200) },
		"a deletion": func(w *world, s session) { w.ask("DELETE /v1/account", nil, s.cookie()).is(204) },
		"its time":   func(w *world, _ session) { w.clock.move(time.Hour) },
		"a newer one": func(w *world, _ session) {
			w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email}).is(201)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.member(ada)
			w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "x", "email": ada.Email}).is(201)
			_, secret := w.letter("ada")
			end(w, s)
			w.ask("PUT /v1/account/sessions/magic-url", redeem("ada", secret)).refuses(401, "user_invalid_token")
		})
	}
}

func TestWaysInThatAreOffOrCannotBeServed(t *testing.T) {
	ways := map[string]map[string]any{
		"POST /v1/account/tokens/magic-url":   {"userId": "x", "email": ada.Email},
		"POST /v1/account/sessions/magic-url": {"userId": "x", "email": ada.Email},
		"POST /v1/account/tokens/email":       {"userId": "x", "email": ada.Email},
		"POST /v1/account/recovery":           {"email": ada.Email, "url": here},
		"POST /v1/account/tokens/phone":       {"userId": "x", "phone": number},
		"POST /v1/account/sessions/phone":     {"userId": "x", "phone": number},
	}
	w := newWorld(t, func(p *plan) { p.Mail, p.Texts = false, false })
	for way, body := range ways {
		typ := "general_smtp_disabled"
		if body["phone"] != nil {
			typ = "general_phone_disabled"
		}
		w.ask(way, body).refuses(503, typ)
	}
	w.did()
	w = newWorld(t, func(p *plan) { p.project.Auth.Methods = project.Methods{} })
	for way, body := range ways {
		if way != "POST /v1/account/recovery" {
			w.ask(way, body).refuses(501, "user_auth_method_unsupported")
		}
	}
	w.ask("POST /v1/account/sessions/anonymous", nil).refuses(501, "user_auth_method_unsupported", "Anonymous authentication is disabled for this project")
	w.did()
	// A mock number needs nobody to send anything.
	w = newWorld(t, func(p *plan) {
		p.Texts, p.project.Auth.MockNumbers = false, []project.MockNumber{{Phone: number, OTP: "123456"}}
	})
	w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "ada", "phone": number}).is(201)
	heard.told(w.ask("PUT /v1/account/sessions/phone", redeem("ada", "123456")).is(201).value())
}

func TestOlderNamesHaveTheirOwnLimit(t *testing.T) {
	w := newWorld(t)
	for path, limit := range map[string]int{"/tokens/magic-url": 60, "/sessions/magic-url": 10} {
		a := w.ask("POST /v1/account"+path, map[string]string{"userId": "x", "email": strings.ReplaceAll(path[1:], "/", ".") + "@mail.test"})
		a.has(fmt.Sprintf("X-RateLimit-Limit: %d", limit))
	}
}

// Mallory makes an account with Ada's address and number, and leaves every way in that there is without proving one. Ada
// has never been here, and signs in as somebody new would.
func TestSigningInToAnAccountThatSomebodyElsePreparedLeavesThemNoWayIn(t *testing.T) {
	for way, in := range map[string]func(w *world){
		"magic URL": func(w *world) {
			w.ask("POST /v1/account/tokens/magic-url", map[string]string{"userId": "unique()", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).is(201)
		},
		"email code": func(w *world) {
			w.ask("POST /v1/account/tokens/email", map[string]string{"userId": "unique()", "email": ada.Email}, "X-Appwrite-Key: "+serverKey).is(201)
		},
		"phone code": func(w *world) {
			w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "unique()", "phone": number}, "X-Appwrite-Key: "+serverKey).is(201)
		},
	} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t, func(p *plan) { p.RateLimits = false })
			prepared := w.member(ada)
			w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, prepared.cookie()).is(200)
			w.authenticator(prepared)
			w.ask("POST /v1/account/mfa/recovery-codes", nil, prepared.cookie()).is(201)

			in(w)
			_, secret := w.letter("ada")
			w.happened()
			owner := w.token("POST /v1/account/sessions/token", secret)
			verified := map[bool]string{true: "account.phone-verified.v1", false: "account.email-verified.v1"}[way == "phone code"]
			dropped := map[bool]string{true: "account.email-changed.v1", false: "account.phone-changed.v1"}[way == "phone code"]
			w.did("account.token-used.v1", verified, dropped, "account.authenticator-removed.v1", "account.recovery-codes-removed.v1", "account.session-revoked.v1", "account.password-removed.v1", "account.session-started.v1", "claim.released.v1")

			w.ask("GET /v1/account", nil, prepared.cookie()).refuses(401, "general_unauthorized_scope")
			w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_invalid_credentials")
			who := w.ask("GET /v1/account", nil, owner.cookie()).is(200)
			w.same("account", []any{who.member("passwordUpdate"), who.member("mfa")}, []any{"", false})
			w.same("factors", w.ask("GET /v1/account/mfa/factors", nil, owner.cookie()).is(200).member("recoveryCode"), any(false))
			w.same("sessions", w.ask("GET /v1/account/sessions", nil, owner.cookie()).is(200).member("total"), any(1.0))

			// The other address was Mallory's idea. Whoever has it proves nothing of this account by it.
			if way == "phone code" {
				w.same("address", []any{who.member("email"), len(who.member("targets").([]any))}, []any{"", 0})
				w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here}).refuses(404, "user_not_found")
				return
			}
			w.same("number", []any{who.member("phone"), len(who.member("targets").([]any))}, []any{"", 1})
			if id := w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "unique()", "phone": number}).is(201).member("userId"); id == any("ada") {
				t.Error("the number still opens the account")
			}
			w.ask("PATCH /v1/account/password", map[string]string{"password": "hunter-of-the-owner"}, owner.cookie()).is(200)
			w.signIn(person{"ada", ada.Email, "hunter-of-the-owner", ""})
		})
	}
}
