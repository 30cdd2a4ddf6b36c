package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/project"
)

// provider vouches for whom a test wants.
type provider struct {
	mu      sync.Mutex
	who     account.Visitor
	fails   error
	visit   commands.Visit // the last
	scopes  []string
	refresh string // the refresh token that was brought

	rotates   bool // gives other refresh tokens, and none for one that comes twice
	refreshed int  // how often
}

func (p *provider) AuthorizeURL(_ context.Context, v commands.Visit, scopes []string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.visit, p.scopes = v, scopes
	return "https://github.test/authorize?" + url.Values{"state": {v.State}}.Encode(), p.fails
}

func (p *provider) Exchange(_ context.Context, code string, v commands.Visit, _ url.Values) (account.Visitor, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code != "right" {
		return account.Visitor{}, &ProviderFailure{Status: 400, Code: "bad_verification_code"}
	}
	if v.Verifier != p.visit.Verifier || v.Nonce != p.visit.Nonce || len(v.Verifier) < 43 || v.Nonce == "" {
		return account.Visitor{}, errors.New("it is not the verifier and nonce that went out")
	}
	return p.who, p.fails
}

func (p *provider) Refresh(_ context.Context, token string) (account.ProviderTokens, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rotates {
		if token == p.refresh {
			p.rotates, p.fails = false, &ProviderFailure{Status: 400, Code: "invalid_grant"}
		}
		p.refresh, p.refreshed = token, p.refreshed+1
		return account.ProviderTokens{Access: "access again", Refresh: fmt.Sprint("refresh-of-octo-", p.refreshed)}, p.fails
	}
	p.refresh = token
	return account.ProviderTokens{Access: "access again", AccessExpires: dawn.Add(9 * time.Hour)}, p.fails
}

// octo is somebody at the provider.
func octo(email string, verified bool) account.Visitor {
	return account.Visitor{
		Provider: "github", Subject: "583231", Email: account.Email(email), EmailVerified: verified, Name: "Octo Lovelace",
		ProviderTokens: account.ProviderTokens{Access: "access-of-octo", Refresh: "refresh-of-octo", AccessExpires: dawn.Add(8 * time.Hour)},
	}
}

// browser keeps cookies.
type browser struct {
	w       *world
	cookies map[string]string
	peer    string
}

var browsers atomic.Int64

func (w *world) browser() *browser {
	n := browsers.Add(1) // each from an address of its own: visits are limited by it
	return &browser{w, map[string]string{}, fmt.Sprintf("Peer: 203.0.113.%d:1", n%250)}
}

// anonymousBrowser is one that has signed in as nobody, and its session.
func (w *world) anonymousBrowser() (*reply, *browser) {
	w.Helper()
	a, b := w.ask("POST /v1/account/sessions/anonymous", nil).is(201), w.browser()
	b.cookies["a_session_shop"] = a.value()
	heard.told(a.value())
	return a, b
}

// open navigates.
func (b *browser) open(target string, headers ...string) *reply {
	b.w.Helper()
	var pairs []string
	for name, value := range b.cookies {
		pairs = append(pairs, name+"="+value)
	}
	a := b.w.ask("GET "+target, nil, append(headers, b.peer, "X-Appwrite-Project:", "Cookie: "+strings.Join(pairs, "; "))...)
	for _, line := range a.cookies() {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			b.w.Fatal(err)
		}
		if c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(dawn) {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return a
}

// cookie is the session that the browser has.
func (b *browser) cookie() string {
	heard.told(b.cookies["a_session_shop"])
	return session{"", b.cookies["a_session_shop"]}.cookie()
}

const callbackOf = "/v1/account/sessions/oauth2/callback/github/shop?"

// goes begins a visit and gives the state that went to the provider.
func (b *browser) goes(kind, parameters string) (state string) {
	b.w.Helper()
	a := b.open("/v1/account/" + kind + "/oauth2/github?project=shop" + parameters).is(301)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || to.Host != "github.test" {
		b.w.Fatalf("it leads to %s", to)
	}
	return to.Query().Get("state")
}

// comes back from the provider and gives the answer of the last step.
func (b *browser) comes(state, more string) *reply {
	b.w.Helper()
	a := b.open(callbackOf + "state=" + state + more).is(301)
	return b.open(a.header.Get("Location"))
}

// visits is both, and gives where the browser ends.
func (b *browser) visits(kind, parameters string) *url.URL {
	b.w.Helper()
	a := b.comes(b.goes(kind, parameters), "&code=right").is(301)
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		b.w.Fatal(err)
	}
	return to
}

// failed is what a failure URL was told.
func failed(t testing.TB, to *url.URL) (e struct {
	Message, Type string
	Code          int
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(to.Query().Get("error")), &e); err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	return e
}

const sent = "&success=https://app.mail.test/in%3Fa%3D1&failure=https://app.mail.test/out%3Fb%3D2"

func TestSomebodyNewComesFromAProvider(t *testing.T) {
	for name, verified := range map[string]bool{"with an address that was verified": true, "with one that was not": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.provider.who = octo("octo@mail.test", verified)
			b := w.browser()
			to := b.visits("sessions", sent)
			w.same("success", to.String(), "https://app.mail.test/in?a=1")
			types := []string{"visit.begun.v1", "visit.ended.v1", "claim.taken.v1", "claim.taken.v1", "account.created.v1", "account.identity-linked.v1"}
			if verified {
				types = append(types, "account.email-verified.v1")
			}
			w.did(append(types, "account.session-started.v1")...)
			who := w.ask("GET /v1/account", nil, b.cookie()).is(200)
			w.same("account", []any{who.member("email"), who.member("name"), who.member("emailVerification"), who.member("passwordUpdate"), who.member("mfa")},
				[]any{"octo@mail.test", "Octo Lovelace", verified, "", false})
			s := w.ask("GET /v1/account/sessions/current", nil, b.cookie()).is(200)
			w.same("session", []any{s.member("provider"), s.member("providerUid"), s.member("providerAccessToken"), s.member("providerRefreshToken"), s.member("providerAccessTokenExpiry"), s.member("factors")},
				[]any{"github", "583231", "access-of-octo", "refresh-of-octo", "2026-11-20T20:15:00.250+00:00", []any{"oauth2"}})
			for _, cookie := range b.cookies {
				heard.told(cookie)
			}
			if len(b.cookies) != 2 {
				t.Errorf("the browser keeps %v", b.cookies)
			}

			// The second time it is the same account, with other tokens.
			w.provider.who.Access, w.provider.who.Refresh, w.provider.who.Email = "access-2", "", "elsewhere@mail.test"
			again := w.browser()
			again.visits("sessions", sent)
			w.did("visit.begun.v1", "visit.ended.v1", "account.identity-refreshed.v1", "account.session-started.v1")
			w.same("account", w.ask("GET /v1/account", nil, again.cookie()).member("$id"), who.member("$id"))
			w.ask("GET /v1/account/identities", nil, again.cookie()).is(200).gives(`{"total": 1, "identities": [{"$id": "<id>",
				"$createdAt": "2026-11-20T12:15:00.250+00:00", "$updatedAt": "2026-11-20T12:15:00.250+00:00", "userId": "<id>", "provider": "github", "providerUid": "583231",
				"providerEmail": "octo@mail.test", "providerAccessToken": "access-2", "providerAccessTokenExpiry": "2026-11-20T20:15:00.250+00:00", "providerRefreshToken": "refresh-of-octo"}]}`)
		})
	}
}

// Contract rule 7, and reliability C1 to C4.
func TestAnAddressOpensNothingUnlessBothSidesHaveVerifiedIt(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		for _, ours := range []bool{false, true} {
			t.Run(fmt.Sprint("theirs ", theirs, " ours ", ours), func(t *testing.T) {
				w := newWorld(t)
				w.signUp(ada)
				if ours {
					w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, w.signIn(ada).cookie()).is(201)
					_, secret := w.letter("ada")
					w.ask("PUT /v1/account/verifications/email", redeem("ada", secret)).is(200)
				}
				attacker := w.signIn(ada)
				w.provider.who = octo(ada.Email, theirs)
				w.happened()
				b := w.browser()
				to := b.visits("sessions", sent)
				if theirs && ours {
					w.same("success", to.Path, "/in")
					w.did("visit.begun.v1", "visit.ended.v1", "claim.taken.v1", "account.identity-linked.v1", "account.session-started.v1")
					w.same("account", w.ask("GET /v1/account", nil, b.cookie()).member("$id"), any("ada"))
					return
				}
				e := failed(t, to)
				w.same("failure", []any{to.Path, to.Query().Get("b"), e.Type, e.Code}, []any{"/out", "2", "general_bad_request", 400})
				w.did("visit.begun.v1", "visit.ended.v1")
				if len(b.cookies) != 0 {
					t.Errorf("the browser got %v", b.cookies)
				}
				w.same("identities", w.ask("GET /v1/account/identities", nil, attacker.cookie()).member("total"), any(0.0))
			})
		}
	}
}

func TestASignedInVisitorConnectsTheProvider(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.signUp(grace)
	s := w.signIn(ada)
	b := w.browser()
	b.cookies["a_session_shop"] = s.value
	w.provider.who = octo("octo@elsewhere.test", false)
	w.happened()
	b.visits("sessions", sent)
	w.did("visit.begun.v1", "visit.ended.v1", "claim.taken.v1", "account.identity-linked.v1", "account.session-ended.v1", "account.session-started.v1")
	w.ask("GET /v1/account", nil, s.cookie()).refuses(401, "general_unauthorized_scope") // another one took its place
	who := w.ask("GET /v1/account", nil, b.cookie()).is(200)
	w.same("account", []any{who.member("$id"), who.member("email"), who.member("name")}, []any{"ada", ada.Email, ada.Name})

	// Nobody else can connect the same one, nor one with the address of another account.
	other := w.browser()
	other.cookies["a_session_shop"] = w.signIn(grace).value
	w.same("taken", failed(t, other.visits("sessions", sent)).Type, "user_already_exists")
	w.provider.who = octo(ada.Email, true)
	w.provider.who.Subject = "another"
	w.same("address of another", failed(t, other.visits("sessions", sent)).Type, "user_already_exists")

	// Who disconnects it is strangers again, and the provider's account is free.
	w.provider.who = octo("octo@elsewhere.test", false)
	id := w.ask("GET /v1/account/identities", nil, b.cookie()).member("identities").([]any)[0].(map[string]any)["$id"].(string)
	w.ask("DELETE /v1/account/identities/"+id, nil, session{"", other.cookies["a_session_shop"]}.cookie()).refuses(404, "user_identity_not_found")
	w.ask("DELETE /v1/account/identities/"+id, nil, b.cookie()).is(204)
	w.ask("DELETE /v1/account/identities/"+id, nil, b.cookie()).refuses(404, "user_identity_not_found")
	w.same("connected elsewhere", other.visits("sessions", sent).Path, "/in")
	w.ask("GET /v1/account", nil, b.cookie()).is(200)
}

func TestAnAnonymousAccountTakesOnWhatTheProviderKnows(t *testing.T) {
	w := newWorld(t)
	a, b := w.anonymousBrowser()
	w.provider.who = octo("octo@mail.test", true)
	b.visits("sessions", sent)
	who := w.ask("GET /v1/account", nil, b.cookie()).is(200)
	w.same("account", []any{who.member("$id"), who.member("email"), who.member("name"), who.member("emailVerification")}, []any{a.member("userId"), "octo@mail.test", "Octo Lovelace", true})
}

func TestATokenIsExchangedForASession(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	to := b.visits("tokens", sent)
	secret, id := to.Query().Get("secret"), to.Query().Get("userId")
	heard.told(secret)
	if len(b.cookies) != 0 || len(secret) != 64 || to.Query().Get("a") != "1" {
		t.Errorf("%s, cookies %v", to, b.cookies)
	}
	w.happened()
	w.ask("PUT /v1/account/sessions/magic-url", redeem(id, secret)).refuses(401, "user_invalid_token")
	s := w.ask("POST /v1/account/sessions/token", redeem(id, secret)).is(201)
	heard.told(s.value())
	w.did("account.token-used.v1", "account.session-started.v1")
	w.same("session", []any{s.member("provider"), s.member("providerUid"), s.member("providerAccessToken"), s.member("factors")}, []any{"github", "583231", "access-of-octo", []any{"oauth2"}})
	w.ask("POST /v1/account/sessions/token", redeem(id, secret)).refuses(401, "user_invalid_token")

	late := b.visits("tokens", sent)
	heard.told(late.Query().Get("secret"))
	w.clock.move(5 * time.Minute)
	w.ask("POST /v1/account/sessions/token", redeem(id, late.Query().Get("secret"))).refuses(401, "user_invalid_token")
}

// Who is signed in may start no other session: the one they went with ends, so that the token is of use in its browser.
func TestATokenIsExchangedInTheBrowserThatWasSignedIn(t *testing.T) {
	w := newWorld(t)
	a, b := w.anonymousBrowser()
	w.provider.who = octo("octo@mail.test", true)
	to := b.visits("tokens", sent)
	secret, id := to.Query().Get("secret"), to.Query().Get("userId")
	heard.told(secret)
	w.same("account", any(id), a.member("userId"))
	w.ask("GET /v1/account", nil, b.cookie()).refuses(401, "general_unauthorized_scope")
	s := w.ask("POST /v1/account/sessions/token", redeem(id, secret), b.cookie()).is(201)
	heard.told(s.value())
	w.same("provider", s.member("provider"), any("github"))

	// Also the one that they started on the way.
	b = w.browser()
	state := b.goes("tokens", sent)
	meanwhile := w.member(grace)
	b.cookies["a_session_shop"] = meanwhile.value
	to, err := url.Parse(b.comes(state, "&code=right").is(301).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	heard.told(to.Query().Get("secret"))
	s = w.ask("POST /v1/account/sessions/token", redeem(id, to.Query().Get("secret")), meanwhile.cookie()).is(201)
	heard.told(s.value())
}

func TestAVisitEndsOnceInTimeAndInItsBrowser(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	refused := func(a *reply) {
		t.Helper()
		if a.status != 400 || !strings.Contains(a.body, "<code>general_bad_request</code>") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	b, thief := w.browser(), w.browser()
	state := b.goes("sessions", sent)
	refused(thief.comes(state, "&code=right"))
	refused(b.open("/v1/account/sessions/oauth2/own/redirect?project=shop&code=right&state=" + state)) // another provider's callback
	refused(b.comes("made-up", "&code=right"))
	b = w.browser()
	state = b.goes("sessions", sent)
	copied := &browser{w, map[string]string{}, b.peer}
	for name, value := range b.cookies {
		copied.cookies[name] = value
	}
	b.comes(state, "&code=right").is(301)
	refused(copied.comes(state, "&code=right"))
	b = w.browser()
	state = b.goes("sessions", sent)
	w.clock.move(10 * time.Minute)
	refused(b.comes(state, "&code=right"))
	for _, in := range []string{"code", "state", "error", "error_description"} {
		a := w.browser().open("/v1/account/sessions/oauth2/github/redirect?project=shop&" + in + "=" + strings.Repeat("a", 2049))
		if a.status != 400 || !strings.Contains(a.body, "general_argument_invalid") {
			t.Errorf("%s: %d %s", in, a.status, a.body)
		}
	}
}

func TestWhatEndsAtTheFailureURL(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.provider.who = octo("octo@mail.test", true)
	w.browser().visits("sessions", sent)
	for name, c := range map[string]struct {
		who     func(*account.Visitor)
		fails   error
		more    string
		typ     string
		code    int
		message string
	}{
		"refused by the person": {more: "&error=access_denied&error_description=They+said+no", typ: "user_oauth2_provider_error", code: 424, message: "The GitHub OAuth2 provider returned an error: access_denied: They said no"},
		"without a code":        {typ: "user_oauth2_provider_error", code: 424, message: "Missing OAuth2 code. Please contact the operator of this server for additional support."},
		"with a wrong code":     {more: "&code=wrong", typ: "user_oauth2_bad_request", code: 400, message: "Failed to obtain access token. The GitHub OAuth2 provider returned an error: bad_verification_code."},
		"from one that is away": {more: "&code=right", fails: &ProviderFailure{}, typ: "user_oauth2_provider_error", code: 424, message: "Failed to obtain access token. The GitHub OAuth2 provider returned an error: it did not answer as it should."},
		"from one that rests":   {more: "&code=right", fails: fmt.Errorf("github: %w", ErrProviderResting), typ: "user_oauth2_provider_error", code: 424, message: "Failed to obtain access token. The GitHub OAuth2 provider returned an error: it does not answer. Please try again in a moment."},
		"with a wrong secret":   {more: "&code=right", fails: &ProviderFailure{Status: 401, Code: "invalid_client"}, typ: "user_oauth2_unauthorized", code: 401},
		"as nobody":             {more: "&code=right", fails: fmt.Errorf("%w: github", ErrNobody), typ: "user_missing_id", code: 400},
		"without an address":    {more: "&code=right", who: func(v *account.Visitor) { v.Subject, v.Email = "new", "" }, typ: "user_unauthorized", code: 401},
	} {
		t.Run(name, func(t *testing.T) {
			w.happened()
			w.provider.who, w.provider.fails = octo("octo@mail.test", true), nil
			if c.who != nil {
				c.who(&w.provider.who)
			}
			b := w.browser()
			state := b.goes("sessions", sent)
			w.provider.fails = c.fails
			to, _ := url.Parse(b.comes(state, c.more).is(301).header.Get("Location"))
			e := failed(t, to)
			w.same("failure", []any{to.Path, e.Type, e.Code}, []any{"/out", c.typ, c.code})
			if c.message != "" && e.Message != c.message {
				t.Errorf("it says %q", e.Message)
			}
			w.did("visit.begun.v1", "visit.ended.v1")
			w.provider.fails = nil
			if a := b.comes(state, "&code=right"); a.status != 400 {
				t.Errorf("the visit goes on: %d", a.status)
			}
		})
	}
	w.provider.fails = &ProviderFailure{} // discovery has failed
	a := w.browser().open("/v1/account/sessions/oauth2/github?project=shop" + sent).is(301)
	to, _ := url.Parse(a.header.Get("Location"))
	w.same("at the start", failed(t, to).Type, "user_oauth2_provider_error")
}

// Adapters refuse such tokens; one that came through all the same has no way out of the log.
func TestAProvidersTokensStopNobody(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	w.provider.who.Access, w.provider.who.Refresh = "a\x00a", "r\x00r"
	b := w.browser()
	w.same("success", b.visits("sessions", sent).Path, "/in")
	w.same("token", w.ask("GET /v1/account/sessions/current", nil, b.cookie()).is(200).member("providerRefreshToken"), any("rr"))
	w.signUp(ada)
	w.ask("PATCH /v1/account/name", map[string]string{"name": "Ada King"}, w.signIn(ada).cookie()).is(200)
}

func TestWhoBlockedIsRefusedComingFromAProvider(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.visits("sessions", sent)
	w.ask("PATCH /v1/account/status", nil, b.cookie()).is(200)
	for _, kind := range []string{"sessions", "tokens"} {
		w.same(kind, failed(t, w.browser().visits(kind, sent)).Type, "user_blocked")
	}
}

func TestWhatNeverGoesToAProvider(t *testing.T) {
	w := newWorld(t)
	for target, want := range map[string]string{
		"/v1/account/sessions/oauth2/github?project=nowhere":                                 "404 project_not_found",
		"/v1/account/sessions/oauth2/google?project=shop":                                    "412 project_provider_disabled",
		"/v1/account/sessions/oauth2/nobodys?project=shop":                                   "400 general_argument_invalid",
		"/v1/account/tokens/oauth2/GitHub?project=shop":                                      "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&success=https://evil.test":          "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&failure=https://app.mail.test@evil": "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&success=javascript://app.mail.test": "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&success=":                           "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&failure=":                           "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&scopes[]=a%0Ab":                     "400 general_argument_invalid",
		"/v1/account/sessions/oauth2/github?project=shop&scopes=repo":                        "400 general_argument_invalid",
	} {
		a := w.browser().open(target)
		status, typ, _ := strings.Cut(want, " ")
		if fmt.Sprint(a.status) != status || !strings.Contains(a.body, "<code>"+typ+"</code>") {
			t.Errorf("%s: %d %s", target, a.status, a.body)
		}
	}
	w.did()
	b := w.browser()
	b.goes("sessions", sent+"&scopes[]=repo&scopes[]=gist")
	w.same("scopes", w.provider.scopes, []string{"repo", "gist"})
}

// Apple sends a form. The cookies of a browser come with the next step only, which is a GET.
func TestAFormFromAProviderLeadsToTheNextStep(t *testing.T) {
	w := newWorld(t)
	a := w.ask("POST /v1/account/sessions/oauth2/callback/github/shop", "state=s&code=c&user=%7B%22name%22%3A1%7D", "Content-Type: application/x-www-form-urlencoded", "Origin: https://appleid.apple.com")
	a.is(303).has("Location: /v1/account/sessions/oauth2/github/redirect?code=c&project=shop&state=s&user=%7B%22name%22%3A1%7D")
	w.ask("POST /v1/account/sessions/oauth2/callback/github/shop", "state="+strings.Repeat("s", 1<<20), "Content-Type: application/x-www-form-urlencoded").is(400)
	w.ask("GET /v1/account/sessions/oauth2/callback/github/nowhere?state=s", nil).is(400)
	w.ask("GET /v1/account/sessions/oauth2/callback/git%0Ahub/shop?state=s", nil).is(400)
}

// An app on a phone cannot read the cookie; it is called with the session instead, and only on the page made for that.
func TestTheSuccessPageIsGivenTheSession(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Schemes = []string{"myapp"} })
	w.provider.who = octo("octo@mail.test", true)
	for _, success := range []string{"", "&success=appwrite-callback-shop://api.mail.test/console/auth/oauth2/success", "&success=https://app.mail.test/auth/oauth2/success"} {
		b := w.browser()
		q := b.visits("sessions", success).Query()
		heard.told(q.Get("secret"))
		w.same(success, []string{q.Get("project"), q.Get("domain"), q.Get("key"), q.Get("secret")}, []string{"shop", ".api.mail.test", "a_session_shop", b.cookies["a_session_shop"]})
	}
	if to := w.browser().visits("sessions", "&success=myapp://in"); to.RawQuery != "" {
		t.Errorf("%s", to)
	}
}

// A server sends its visitors on their way: it has no cookies to give them.
func TestAServerBeginsVisits(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	a := w.ask("GET /v1/account/tokens/oauth2/github?project=shop"+sent, nil, "X-Appwrite-Key: "+serverKey).is(301)
	w.same("cookies", len(a.cookies()), 0)
	to, _ := url.Parse(a.header.Get("Location"))
	back, _ := url.Parse(w.browser().comes(to.Query().Get("state"), "&code=right").is(301).header.Get("Location"))
	heard.told(back.Query().Get("secret"))
	w.ask("POST /v1/account/sessions/token", redeem(back.Query().Get("userId"), back.Query().Get("secret")), "X-Appwrite-Key: "+serverKey).is(201)
}

// Else whoever has a key, or gets a server to begin a visit, could sign a stranger's browser in to their own account.
func TestASessionIsGivenToNoBrowserButTheOneThatWent(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	key := "X-Appwrite-Key: " + serverKey
	a := w.ask("GET /v1/account/sessions/oauth2/github?project=shop"+sent, nil, key).is(301)
	to, _ := url.Parse(a.header.Get("Location"))
	stranger := w.browser()
	if a := stranger.comes(to.Query().Get("state"), "&code=right"); a.status != 400 || len(stranger.cookies) != 0 {
		t.Errorf("%d, cookies %v", a.status, stranger.cookies)
	}
	b := w.browser()
	to, _ = url.Parse(b.open("/v1/account/sessions/oauth2/github?project=shop"+sent, key).is(301).header.Get("Location"))
	in, _ := url.Parse(b.comes(to.Query().Get("state"), "&code=right").is(301).header.Get("Location"))
	w.same("who went comes in", in.Path, "/in")
	w.ask("GET /v1/account", nil, b.cookie()).is(200)
}

func TestWhoSignedOutOnTheWayConnectsNothing(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	s := w.signIn(ada)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.cookies["a_session_shop"] = s.value
	state := b.goes("sessions", sent)
	w.ask("DELETE /v1/account/sessions/current", nil, s.cookie()).is(204)
	to, _ := url.Parse(b.comes(state, "&code=right").is(301).header.Get("Location"))
	w.same("failure", failed(t, to).Type, "user_unauthorized")
}

func TestExtendingASessionRefreshesItsProvidersTokens(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.visits("sessions", sent)
	w.clock.move(time.Minute)
	s := w.ask("PATCH /v1/account/sessions/current", nil, b.cookie()).is(200)
	w.same("session", []any{w.provider.refresh, s.member("providerAccessToken"), s.member("providerRefreshToken"), s.member("providerAccessTokenExpiry"), s.member("expire")},
		[]any{"refresh-of-octo", "access again", "refresh-of-octo", "2026-11-20T21:15:00.250+00:00", "2027-11-20T12:16:00.250+00:00"})
	w.provider.fails = &ProviderFailure{Status: 400, Code: "invalid_grant"}
	w.clock.move(time.Second)
	w.happened()
	w.ask("PATCH /v1/account/sessions/current", nil, b.cookie()).refuses(400, "user_oauth2_bad_request")
	w.did("account.session-refresh-begun.v1", "account.session-refresh-ended.v1")
}

func TestExtendingASessionWhileItsProviderIsAwayCanBeTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.visits("sessions", sent)
	for name, c := range map[string]struct {
		fails  error
		status int
		typ    string
	}{
		"no answer":        {&ProviderFailure{}, 503, "user_oauth2_provider_error"},
		"an answer of 502": {&ProviderFailure{Status: 502}, 503, "user_oauth2_provider_error"},
		"breaker open":     {fmt.Errorf("github: %w", ErrProviderResting), 503, "user_oauth2_provider_error"},
		"no":               {&ProviderFailure{Status: 400, Code: "invalid_grant"}, 400, "user_oauth2_bad_request"},
		"not you":          {&ProviderFailure{Status: 401, Code: "invalid_client"}, 401, "user_oauth2_unauthorized"},
	} {
		w.provider.fails = c.fails
		a := w.ask("PATCH /v1/account/sessions/current", nil, b.cookie())
		a.refuses(c.status, c.typ)
		w.same(name, a.header.Get("Retry-After"), map[bool]string{true: "10"}[c.status == 503])
	}
	w.provider.fails = nil
	w.ask("PATCH /v1/account/sessions/current", nil, b.cookie()).is(200)
}

// To many providers a refresh token that comes twice is a stolen one: then none of its kind works any more.
func TestOfManyWhoExtendASessionOneAsksItsProvider(t *testing.T) {
	const many = 20
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.provider.who, w.provider.rotates = octo("octo@mail.test", true), true
	b := w.browser()
	b.visits("sessions", sent)
	for round := 1; round <= 3; round++ {
		w.clock.move(time.Second)
		var all sync.WaitGroup
		for range many {
			all.Go(func() { w.ask("PATCH /v1/account/sessions/current", nil, b.cookie()).is(200) })
		}
		all.Wait()
		w.same("asked", w.provider.refreshed, round)
	}
	want := any("refresh-of-octo-3")
	w.same("session", w.ask("GET /v1/account/sessions/current", nil, b.cookie()).member("providerRefreshToken"), want)
	identity := w.ask("GET /v1/account/identities", nil, b.cookie()).member("identities").([]any)[0].(map[string]any)
	w.same("identity", []any{identity["providerRefreshToken"], identity["providerAccessToken"]}, []any{want, "access again"})
}

// Reliability 50: what a provider gave goes with it.
func TestDisconnectingAProviderTakesItsTokensFromTheSessions(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b, elsewhere := w.browser(), w.browser()
	b.visits("sessions", sent)
	elsewhere.visits("sessions", sent)
	id := w.ask("GET /v1/account/identities", nil, b.cookie()).member("identities").([]any)[0].(map[string]any)["$id"].(string)
	w.ask("DELETE /v1/account/identities/"+id, nil, b.cookie()).is(204)
	for _, one := range []*browser{b, elsewhere} {
		w.clock.move(time.Second)
		for _, method := range []string{"GET", "PATCH"} {
			s := w.ask(method+" /v1/account/sessions/current", nil, one.cookie()).is(200)
			w.same(method, []any{s.member("provider"), s.member("providerAccessToken"), s.member("providerRefreshToken"), s.member("providerAccessTokenExpiry")}, []any{"github", "", "", ""})
		}
	}
	w.same("asked", w.provider.refresh, "")
}

func TestIdentitiesAreChosenByQueries(t *testing.T) {
	w := newWorld(t)
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.visits("sessions", sent)
	for i := range 4 {
		w.clock.move(time.Second)
		w.provider.who.Subject, w.provider.who.Email = fmt.Sprint("subject", i), account.Email(fmt.Sprintf("octo%d@mail.test", i))
		b.visits("sessions", sent)
	}
	list := func(queries ...string) (got []string, total any) {
		t.Helper()
		q := url.Values{}
		for _, one := range queries {
			q.Add("queries[]", one)
		}
		a := w.ask("GET /v1/account/identities?"+q.Encode(), nil, b.cookie()).is(200)
		for _, i := range a.member("identities").([]any) {
			got = append(got, i.(map[string]any)["providerUid"].(string))
		}
		return got, a.member("total")
	}
	first, _ := list(`{"method":"equal","attribute":"providerUid","values":["subject1"]}`)
	w.same("equal", first, []string{"subject1"})
	id := w.ask("GET /v1/account/identities?"+url.Values{"queries[]": {`{"method":"equal","attribute":"providerUid","values":["subject1"]}`}}.Encode(), nil, b.cookie()).
		member("identities").([]any)[0].(map[string]any)["$id"].(string)
	for _, c := range []struct {
		queries []string
		want    string
		total   float64
	}{
		{nil, "583231 subject0 subject1 subject2 subject3", 5},
		{[]string{`{"method":"limit","values":[2]}`, `{"method":"offset","values":[1]}`}, "subject0 subject1", 5},
		{[]string{`limit(1)`, `orderDesc("providerUid")`}, "subject3", 5},
		{[]string{`{"method":"orderDesc"}`, `limit(2)`}, "subject3 subject2", 5},
		{[]string{`orderDesc("")`, `limit(2)`}, "subject3 subject2", 5},
		{[]string{`equal("provider", ["google"])`}, "", 0},
		{[]string{`equal('providerUid', ['subject0', "subject2"])`}, "subject0 subject2", 2},
		{[]string{`search("providerUid", 'it\'s "2"')`}, "", 0},
		{[]string{`equal("providerUid", ["subject0", "subject2"])`}, "subject0 subject2", 2},
		{[]string{`{"method":"cursorAfter","values":["` + id + `"]}`}, "subject2 subject3", 5},
		{[]string{`{"method":"cursorBefore","values":["` + id + `"]}`}, "583231 subject0", 5},
		{[]string{`{"method":"greaterThan","attribute":"$createdAt","values":["2026-11-20T12:15:02.300+00:00"]}`}, "subject2 subject3", 2},
		{[]string{`{"method":"or","values":[{"method":"startsWith","attribute":"providerUid","values":["58"]},{"method":"endsWith","attribute":"providerEmail","values":["3@mail.test"]}]}`}, "583231 subject3", 2},
		{[]string{`{"method":"isNull","attribute":"providerEmail"}`}, "", 0},
		{[]string{`{"method":"between","attribute":"providerUid","values":["subject1","subject2"]}`}, "subject1 subject2", 2},
	} {
		got, total := list(c.queries...)
		w.same(fmt.Sprint(c.queries), strings.Join(got, " "), c.want)
		w.same(fmt.Sprint(c.queries, " total"), total, any(c.total))
	}
	for q, message := range map[string]string{
		`{"method":"equal","attribute":"secretHash","values":["x"]}`:              "Attribute not found in schema: secretHash",
		`{"method":"select","values":["provider"]}`:                               "Invalid query method: select",
		`{"method":"equal","attribute":"provider","values":[]}`:                   "Equal queries require at least one value.",
		`{"method":"equal","attribute":"$createdAt","values":["soon"]}`:           `Query value is invalid for attribute "$createdAt"`,
		`{"method":"equal","attribute":"provider","values":[{"$ne":1}]}`:          `Query value is invalid for attribute "provider"`,
		`{"method":"limit","values":[0]}`:                                         "Invalid limit: Value must be a valid range between 1 and 9,223,372,036,854,775,807",
		`equal("provider', ["x"])`:                                                "Syntax error",
		strings.Repeat(`{"method":"and","values":[`, 8) + strings.Repeat(`]}`, 8): "Invalid query: and queries require at least two queries",
		`{"method":"orderAsc","attribute":"access; DROP TABLE identities"}`:       "Attribute not found in schema: access; DROP TABLE identities",
	} {
		w.ask("GET /v1/account/identities?"+url.Values{"queries[0]": {q}}.Encode(), nil, b.cookie()).refuses(400, "general_argument_invalid", "Invalid `queries` param: Invalid query: "+message)
	}
	w.ask("GET /v1/account/identities?queries[0]="+url.QueryEscape(`cursorAfter("nobodys")`), nil, b.cookie()).refuses(400, "general_cursor_not_found", "Identity 'nobodys' for the 'cursor' value not found.")
	w.ask("GET /v1/account/identities?queries[0]=nonsense", nil, b.cookie(), "X-Appwrite-Response-Format: 1.4.0").refuses(400, "general_query_invalid", "Invalid query: Syntax error")
	w.ask("DELETE /v1/account/identities/$$", nil, b.cookie()).refuses(400, "general_argument_invalid", "Invalid `identityId` param: "+problemID)
	w.same("no total", w.ask("GET /v1/account/identities?total=false", nil, b.cookie()).member("total"), any(0.0))
}

func TestManyWhoReturnAtOnceWithOneState(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	w.provider.who = octo("octo@mail.test", true)
	for range 5 {
		b := w.browser()
		state := b.goes("sessions", sent)
		var in atomic.Int64
		var all sync.WaitGroup
		for range 20 {
			one := &browser{w, map[string]string{}, b.peer}
			for name, value := range b.cookies {
				one.cookies[name] = value
			}
			all.Go(func() {
				if a := one.comes(state, "&code=right"); a.status == 301 {
					in.Add(1)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Fatalf("%d came in", in.Load())
		}
	}
}

func TestAProjectWithoutRoomTakesNobodyFromAProvider(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth = project.Standard().Auth; p.project.Auth.UsersLimit = 1 })
	w.signUp(ada)
	w.provider.who = octo("octo@mail.test", true)
	w.same("failure", failed(t, w.browser().visits("sessions", sent)).Type, "user_count_exceeded")
}

// Whoever writes somebody's address into a profile at a provider learns nothing from it.
func TestAPrivateProjectDoesNotTellAProvidersVisitorsWhoIsRegistered(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.Privacy = true })
	w.ask("POST /v1/account", ada.body(), "X-Appwrite-Key: "+serverKey).is(201)
	for i, email := range []string{ada.Email, "nobody@mail.test"} {
		w.provider.who = octo(email, false)
		w.provider.who.Subject = fmt.Sprint("mallory", i)
		b := w.browser()
		w.same(email, b.visits("sessions", sent).Path, "/in")
		who := w.ask("GET /v1/account", nil, b.cookie()).is(200)
		w.same(email, []any{who.member("email"), who.member("emailVerification"), len(who.member("targets").([]any))}, []any{"", false, 0})
	}
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	b.visits("sessions", sent)
	w.same("one that is vouched for", w.ask("GET /v1/account", nil, b.cookie()).member("email"), any("octo@mail.test"))
}

// A server may be reached below a path of its own.
func TestVisitsBelowAPath(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.PublicURL = "https://api.mail.test/accounts" })
	w.provider.who = octo("octo@mail.test", true)
	b := w.browser()
	a := b.open("/v1/account/sessions/oauth2/github?project=shop").is(301)
	if cookie := a.cookies()[0]; !strings.Contains(cookie, "Path=/accounts/v1/account/sessions/oauth2;") {
		t.Error(cookie)
	}
	at, _ := url.Parse(a.header.Get("Location"))
	next := b.open(callbackOf + "code=right&state=" + at.Query().Get("state")).is(301).header.Get("Location")
	to, _ := url.Parse(b.open(strings.TrimPrefix(next, "/accounts")).is(301).header.Get("Location"))
	heard.told(to.Query().Get("secret"))
	w.same("success", []any{to.Path, to.Query().Get("key")}, []any{"/accounts" + successPage, "a_session_shop"})
}

// Mallory makes an account with Ada's address and leaves every way in that there is. Then Ada recovers it.
func TestRecoveringAnAccountThatSomebodyElsePreparedEndsTheirWaysIn(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.InvalidateSessions = false; p.RateLimits = false })
	w.signUp(ada)
	prepared := w.signIn(ada)
	w.provider.who = octo("mallory@elsewhere.test", true)
	b := w.browser()
	b.cookies["a_session_shop"] = prepared.value
	b.visits("sessions", sent)
	session := b.cookie()
	w.ask("PATCH /v1/account/phone", map[string]string{"phone": number, "password": ada.Password}, session).is(200)
	w.ask("POST /v1/account/mfa/recovery-codes", nil, session).is(201)

	w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here}).is(201)
	_, secret := w.letter("ada")
	w.happened()
	w.ask("PUT /v1/account/recovery", map[string]string{"userId": "ada", "secret": secret, "password": "hunter-of-the-owner"}).is(200)
	w.did("account.token-used.v1", "account.email-verified.v1", "account.phone-changed.v1", "account.recovery-codes-removed.v1", "account.identity-removed.v1", "account.session-revoked.v1", "account.password-changed.v1",
		"claim.released.v1", "claim.released.v1")

	w.ask("GET /v1/account", nil, session).refuses(401, "general_unauthorized_scope")
	w.ask("POST /v1/account/sessions/email", map[string]string{"email": ada.Email, "password": ada.Password}).refuses(401, "user_invalid_credentials")
	again := w.browser()
	again.visits("sessions", sent)
	if id := w.ask("GET /v1/account", nil, again.cookie()).is(200).member("$id"); id == any("ada") {
		t.Error("the provider still opens the account")
	}
	if id := w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "unique()", "phone": number}).is(201).member("userId"); id == any("ada") {
		t.Error("the number still opens the account")
	}
	owner := w.signIn(person{"ada", ada.Email, "hunter-of-the-owner", ""})
	who := w.ask("GET /v1/account", nil, owner.cookie()).is(200)
	w.same("account", []any{who.member("emailVerification"), who.member("phone"), len(who.member("targets").([]any))}, []any{true, "", 1})

	// Once the address was proved, recovering the password ends nothing but the password.
	w.provider.who = octo("ada@elsewhere.test", true)
	w.provider.who.Subject = "ada"
	b = w.browser()
	b.cookies["a_session_shop"] = owner.value
	b.visits("sessions", sent)
	w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here}).is(201)
	_, secret = w.letter("ada")
	w.ask("PUT /v1/account/recovery", map[string]string{"userId": "ada", "secret": secret, "password": "hunter-of-the-owner-2"}).is(200)
	w.same("identities", w.ask("GET /v1/account/identities", nil, b.cookie()).is(200).member("total"), any(1.0))
}
