//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/pquerna/otp/totp"
)

// identityProvider runs a real OpenID provider that signs in whoever is queued, and gives what a server needs to know.
func identityProvider(t *testing.T) (provider *mockoidc.MockOIDC, env []string) {
	t.Helper()
	provider, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Shutdown() }) // browsers keep connections
	c := provider.Config()
	return provider, []string{
		"ACTA_PROJECTS_0_OAUTH_0_PROVIDER=oidc", "ACTA_PROJECTS_0_OAUTH_0_CLIENT_ID=" + c.ClientID, "ACTA_PROJECTS_0_OAUTH_0_CLIENT_SECRET=" + c.ClientSecret,
		"ACTA_PROJECTS_0_OAUTH_0_WELL_KNOWN=" + c.Issuer + "/.well-known/openid-configuration",
	}
}

func queue(provider *mockoidc.MockOIDC, subject, email string, verified bool) {
	provider.QueueUser(somebody{&mockoidc.MockUser{Subject: subject, Email: email, EmailVerified: verified}})
}

// somebody is a user whose profile says whose it is, as OpenID Connect Core 1.0, 5.3.2 has it.
type somebody struct{ *mockoidc.MockUser }

func (u somebody) Userinfo([]string) ([]byte, error) {
	return json.Marshal(map[string]any{"sub": u.Subject, "email": u.Email, "email_verified": u.EmailVerified})
}

// A person in a real browser, on a page with the official library: a session, a token, an anonymous account that takes
// on the identity, and a failure.
func TestAProviderInARealBrowser(t *testing.T) {
	t.Parallel()
	libraries(t)
	provider, env := identityProvider(t)
	s := start(t, t.TempDir(), env...)
	files := http.NewServeMux()
	files.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, filepath.Join(node, "oauth.html")) })
	files.HandleFunc("GET /sdk.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(node, "node_modules", "appwrite", "dist", "iife", "sdk.js"))
	})
	pages := httptest.NewServer(files)
	defer pages.Close()

	queue(provider, "ada-at-home", "ada@example.com", true)
	queue(provider, "ada-at-home", "ada@example.com", true)
	queue(provider, "grace", "grace@example.com", false)
	queue(provider, "mallory", "ada@example.com", false) // says that she is Ada
	shown := afterwards(t, "http://"+onHost("localhost", pages.Listener.Addr().String())+"/?"+url.Values{"endpoint": {"http://" + onHost("localhost", s.address) + "/v1"}}.Encode())

	type person struct {
		ID, Email string
		Verified  bool
	}
	var got struct {
		Guest, Before, GuestAgain string
		Anonymous                 string
		In                        struct {
			Who        person
			Session    []string
			Identities int
		}
		Token, Converted struct {
			Who     person
			Session []string
		}
		Failed struct {
			Type string
			Code int
		}
	}
	if err := json.Unmarshal([]byte(shown), &got); err != nil {
		t.Fatalf("the page shows: %s", shown)
	}
	const guest = "general_unauthorized_scope"
	ada := person{got.In.Who.ID, "ada@example.com", true}
	want := got
	want.Guest, want.Before, want.GuestAgain = guest, guest, guest
	want.In.Who, want.In.Session, want.In.Identities = ada, []string{"oidc", "oauth2"}, 1
	want.Token.Who, want.Token.Session = ada, []string{"oidc", "oauth2"}
	want.Converted.Who, want.Converted.Session = person{got.Anonymous, "grace@example.com", false}, []string{"oidc", "oauth2"}
	want.Failed.Type, want.Failed.Code = "general_bad_request", 400
	if diff := cmp.Diff(want, got); diff != "" || ada.ID == "" || got.Anonymous == "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, shown)
	}
}

func TestAProviderWithTheServerLibrary(t *testing.T) {
	t.Parallel()
	libraries(t)
	provider, env := identityProvider(t)
	queue(provider, "somebody", "server@example.com", true)
	start(t, t.TempDir(), env...).script(t, "oauth.mjs")
}

// navigator is a browser on its way to a provider and back. It stops where the application would take over.
func navigator(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: minute, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.Host, "app.localhost") {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

// visit goes to the provider and gives where it ends.
func (s *server) visit(v *http.Client, kind string) (*url.URL, error) {
	start := "http://" + onHost("localhost", s.address) + "/v1/account/" + kind + "/oauth2/oidc?project=demo&success=http://app.localhost/in&failure=http://app.localhost/out"
	answer, err := v.Get(start)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		return nil, fmt.Errorf("it ends with %s at %s", answer.Status, answer.Request.URL.Path)
	}
	return to, nil
}

// Mallory signs up with Ada's address and waits. Ada comes by her provider: she is not let into what Mallory has
// prepared, and when she has shown that the address is hers, nothing of Mallory's opens it any more.
func TestWhoTookAnAddressBeforeItsOwnerIsLeftWithNothing(t *testing.T) {
	t.Parallel()
	provider, env := identityProvider(t)
	box := newPostbox(t)
	s := start(t, t.TempDir(), append(env, box.env()...)...)
	mallory := newPerson()
	if err := s.signUp(mallory); err != nil {
		t.Fatal(err)
	}
	hers, _, err := s.signIn(mallory)
	if err != nil {
		t.Fatal(err)
	}
	queue(provider, "ada", mallory.email, true)
	to, err := s.visit(navigator(t), "sessions")
	if err != nil {
		t.Fatal(err)
	}
	if to.Path != "/out" || !strings.Contains(to.Query().Get("error"), `"general_bad_request"`) {
		t.Fatalf("Ada was let in: %s", to)
	}
	var identities struct{ Total int }
	if s.want(t, http.StatusOK, hers, "GET", "/v1/account/identities", "").into(t, &identities); identities.Total != 0 {
		t.Error("Ada's identity is connected with Mallory's account")
	}

	if err := s.recovery(mallory); err != nil {
		t.Fatal(err)
	}
	letter, err := box.next(mallory.email)
	if err != nil {
		t.Fatal(err)
	}
	link, err := url.Parse(strings.TrimSpace(letter.Text[strings.Index(letter.Text, "http://localhost/page"):strings.Index(letter.Text, "\n\nThe link works")]))
	if err != nil {
		t.Fatal(err, letter.Text)
	}
	s.want(t, http.StatusOK, "", "PUT", "/v1/account/recovery", fmt.Sprintf(`{"userId":%q,"secret":%q,"password":"ada's own horse"}`, link.Query().Get("userId"), link.Query().Get("secret")))
	s.want(t, http.StatusUnauthorized, hers, "GET", "/v1/account", "")
	if _, a, err := s.signIn(mallory); err == nil {
		t.Error("Mallory's password goes on", a)
	}
	queue(provider, "ada", mallory.email, true)
	if to, err = s.visit(navigator(t), "sessions"); err != nil || to.Path != "/in" {
		t.Errorf("Ada is not let in: %v %v", to, err)
	}
}

// A provider that is dead costs those who come by it a failure, soon, and nobody else anything.
func TestADeadProviderIsNobodyElsesTrouble(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	held := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/authorize" {
			q := r.URL.Query()
			http.Redirect(w, r, q.Get("redirect_uri")+"?code=c&state="+q.Get("state"), http.StatusFound)
			return
		}
		asked.Add(1)
		select { // it says nothing
		case <-held:
		case <-r.Context().Done():
		}
	}))
	defer dead.Close()
	defer close(held)
	s := start(t, t.TempDir(), "ACTA_PROJECTS_0_OAUTH_0_PROVIDER=oidc", "ACTA_PROJECTS_0_OAUTH_0_CLIENT_ID=1", "ACTA_PROJECTS_0_OAUTH_0_CLIENT_SECRET=2",
		"ACTA_PROJECTS_0_OAUTH_0_AUTHORIZE_URL="+dead.URL+"/authorize", "ACTA_PROJECTS_0_OAUTH_0_TOKEN_URL="+dead.URL+"/token", "ACTA_PROJECTS_0_OAUTH_0_USERINFO_URL="+dead.URL+"/me")
	p := s.people(t, 1)[0]
	session, _, err := s.signIn(p)
	if err != nil {
		t.Fatal(err)
	}
	failure := func(int) error {
		to, err := s.visit(navigator(t), "sessions")
		if err == nil && (to.Path != "/out" || !strings.Contains(to.Query().Get("error"), `"user_oauth2_provider_error"`)) {
			err = fmt.Errorf("it leads to %s", to)
		}
		return err
	}
	var slowest atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		each(t, 5, failure) // each waits for as long as a provider may take
	}()
	for going := true; going; {
		began := time.Now()
		s.want(t, http.StatusOK, session, "GET", "/v1/account", "")
		slowest.Store(max(slowest.Load(), int64(time.Since(began))))
		select {
		case <-over:
			going = false
		default:
		}
	}
	before := asked.Load()
	for range 10 {
		began := time.Now()
		if err := failure(0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("with its breaker open a failure takes %s", took)
		}
	}
	if got := asked.Load() - before; got != 0 {
		t.Errorf("it was asked %d times with its breaker open", got)
	}
	t.Logf("the slowest request of somebody else took %s", time.Duration(slowest.Load()))
	if d := time.Duration(slowest.Load()); d > time.Second {
		t.Errorf("somebody else waited for %s", d)
	}
}

// A provider whose tokens no database takes lets nobody in, and nobody else notices.
func TestAHostileProviderIsNobodyElsesTrouble(t *testing.T) {
	t.Parallel()
	hostile := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); r.URL.Path {
		case "/authorize":
			http.Redirect(w, r, q.Get("redirect_uri")+"?code=c&state="+q.Get("state"), http.StatusFound)
		default:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"sub":"42","email":"mallory@example.com","access_token":"a","token_type":"bearer","refresh_token":"r\u0000r"}`)
		}
	}))
	defer hostile.Close()
	s := start(t, t.TempDir(), "ACTA_PROJECTS_0_OAUTH_0_PROVIDER=oidc", "ACTA_PROJECTS_0_OAUTH_0_CLIENT_ID=1", "ACTA_PROJECTS_0_OAUTH_0_CLIENT_SECRET=2",
		"ACTA_PROJECTS_0_OAUTH_0_AUTHORIZE_URL="+hostile.URL+"/authorize", "ACTA_PROJECTS_0_OAUTH_0_TOKEN_URL="+hostile.URL+"/token", "ACTA_PROJECTS_0_OAUTH_0_USERINFO_URL="+hostile.URL+"/me")
	to, err := s.visit(navigator(t), "sessions")
	if err != nil || to.Path != "/out" || !strings.Contains(to.Query().Get("error"), `"user_oauth2_provider_error"`) {
		t.Fatalf("it leads to %s, %v", to, err)
	}
	session, _, err := s.signIn(s.people(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	s.want(t, http.StatusOK, session, "PATCH", "/v1/account/name", `{"name":"Ada"}`)
}

// A hundred use one state, one token of a provider, one recovery code, one step of an authenticator at the same moment,
// over two instances: one succeeds.
func TestOneUseElsewhere(t *testing.T) {
	t.Parallel()
	rounds := 50
	if raced {
		rounds = 10
	}
	provider, env := identityProvider(t)
	c := newCluster(t, 2, append(env, "ACTA_PUBLIC_URL=http://app.localhost")...)
	one := c.members[0].now()
	stay := &http.Client{Timeout: minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	decided := map[string]int{}
	contend := func(what string, request func(s *server) *http.Request, status int, typ string) (winner answer, known bool) {
		t.Helper()
		winner, known = contest(t, 100, func(i int) (answer, error) { return send(stay, request(c.members[i%2].now())) }, status, typ)
		if known {
			decided[what]++
		}
		return winner, known
	}
	asking := func(session, method, path, body string) func(*server) *http.Request {
		return func(s *server) *http.Request { return s.request(session, method, path, body) }
	}
	kinds := []string{"a state", "a token of a provider", "totp", "recoverycode"}
	undecided := func(what string) bool { return decided[what] < rounds }
	for round := 0; slices.ContainsFunc(kinds, undecided); round++ {
		if round == 3*rounds {
			t.Fatalf("the machine is too busy: of %d contests of each kind, decided were %v", round, decided)
		}
		// A state, with its cookie; what it wins is a token.
		queue(provider, fmt.Sprint("visitor ", round), fmt.Sprintf("visitor%d@example.com", round), true)
		began, err := send(stay, one.request("", "GET", "/v1/account/tokens/oauth2/oidc?success=http://app.localhost/in&failure=http://app.localhost/out", ""))
		if err != nil {
			t.Fatal(err)
		}
		cookie, err := http.ParseSetCookie(began.header.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		there, err := stay.Get(began.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		there.Body.Close()
		back, err := there.Location()
		if err != nil {
			t.Fatal(err)
		}
		let, known := contend("a state", func(s *server) *http.Request {
			r := s.request("", "GET", "/v1/account/sessions/oauth2/oidc/redirect?"+back.RawQuery, "")
			r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
			return r
		}, http.StatusBadRequest, "general_bad_request")
		if !known {
			continue
		}
		in, err := url.Parse(let.header.Get("Location"))
		if err == nil && in.Path == "/out" && strings.Contains(in.Query().Get("error"), `"code":503`) {
			continue // the state is used, and for what cannot be shown yet
		}
		if err != nil || in.Path != "/in" {
			t.Fatalf("the winner is led to %s", in)
		}
		redeem := fmt.Sprintf(`{"userId":%q,"secret":%q}`, in.Query().Get("userId"), in.Query().Get("secret"))
		contend("a token of a provider", asking("", "POST", "/v1/account/sessions/token", redeem), http.StatusUnauthorized, "user_invalid_token")

		// Somebody with an authenticator, whose step before this one is used, and recovery codes.
		session, err := one.signInAnonymously()
		if err != nil {
			t.Fatal(err)
		}
		var made struct {
			Secret        string
			RecoveryCodes []string
		}
		one.want(t, http.StatusOK, session, "POST", "/v1/account/mfa/authenticators/totp", "").into(t, &made)
		now := time.Now()
		code := func(at time.Time) string {
			otp, err := totp.GenerateCode(made.Secret, at)
			if err != nil {
				t.Fatal(err)
			}
			return otp
		}
		one.want(t, http.StatusOK, session, "PUT", "/v1/account/mfa/authenticators/totp", fmt.Sprintf(`{"otp":%q}`, code(now.Add(-30*time.Second))))
		one.want(t, http.StatusCreated, session, "POST", "/v1/account/mfa/recovery-codes", "").into(t, &made)
		for factor, otp := range map[string]string{"totp": code(now), "recoverycode": made.RecoveryCodes[0]} {
			var challenge struct {
				ID string `json:"$id"`
			}
			one.want(t, http.StatusCreated, session, "POST", "/v1/account/mfa/challenges", fmt.Sprintf(`{"factor":%q}`, factor)).into(t, &challenge)
			contend(factor, asking(session, "PUT", "/v1/account/mfa/challenges", fmt.Sprintf(`{"challengeId":%q,"otp":%q}`, challenge.ID, otp)), http.StatusUnauthorized, "user_invalid_token")
		}
	}
	c.check()
}
