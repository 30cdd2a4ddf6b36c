package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/actahq/acta/adapters/breaker"
)

// corp is a provider with a well-known URL, and what it answers.
type corp struct {
	metadata map[string]any
	claims   map[string]any
	idToken  string // instead of one of claims
	keys     string
	userinfo string
	form     url.Values
	attempt  Attempt
}

const issuer = "https://id.example.com/realm"

func newCorp() *corp {
	return &corp{
		metadata: map[string]any{
			"issuer":                                issuer,
			"authorization_endpoint":                issuer + "/auth",
			"token_endpoint":                        issuer + "/token",
			"userinfo_endpoint":                     issuer + "/me",
			"jwks_uri":                              issuer + "/keys",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"}, // is not asked
		},
		claims:   claimsOf(issuer),
		keys:     jwks,
		userinfo: userinfo,
		attempt:  attempt,
	}
}

func (c *corp) answer(w http.ResponseWriter, a asked) {
	switch strings.TrimPrefix(a.url, issuer) {
	case wellKnown:
		says(w, 200, text(c.metadata))
	case "/token":
		raw := c.idToken
		if raw == "" && c.claims != nil {
			raw = idToken(c.claims)
		}
		says(w, 200, fmt.Sprintf(`{"access_token":"t0ken","id_token":%q}`, raw))
	case "/keys":
		says(w, 200, c.keys)
	case "/me":
		says(w, 200, c.userinfo)
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

func (c *corp) open(t *testing.T) (*Provider, *site) {
	t.Helper()
	p := open(t, Config{Provider: "corp", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: issuer + wellKnown})
	return p, serve(t, p, c.answer)
}

func TestIDTokensThatAreNotToBeBelieved(t *testing.T) {
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&ours.PublicKey))})
	whole := func(c *corp) map[string]any {
		all := map[string]any{"aud": "cl1ent", "nonce": "n0nce", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		maps.Copy(all, c.claims)
		return all
	}
	by := func(method jwt.SigningMethod, key crypto.PrivateKey, header map[string]any) func(*corp) {
		return func(c *corp) { c.idToken = sign(method, key, header, whole(c)) }
	}
	claim := func(name string, value any) func(*corp) { return func(c *corp) { c.claims[name] = value } }
	jwk := map[string]any{
		"kty": "RSA", "n": base64.RawURLEncoding.EncodeToString(theirs.PublicKey.N.Bytes()), "e": "AQAB", "kid": "k1",
	}
	const (
		notOurs = "the id_token is not from this issuer, or not for us"
		another = "the id_token is that of another sign-in"
		others  = "the id_token was given to somebody else"
		profile = "the profile is somebody else's"
		mixUp   = "the callback is that of another issuer"
	)
	for _, c := range []struct {
		name string
		turn func(*corp)
		want string
	}{
		{"none at all", func(c *corp) { c.claims = nil }, "there is no id_token"},
		{"no token", func(c *corp) { c.idToken = "canary" }, notOurs},
		{"another issuer", claim("iss", "https://evil.test"), notOurs},
		{"an issuer with a slash", claim("iss", issuer+"/"), notOurs},
		{"an issuer in capitals", claim("iss", strings.ToUpper(issuer)), notOurs},
		{"an issuer below", claim("iss", issuer+"/evil"), notOurs},
		{"no issuer", claim("iss", nil), notOurs},
		{"another audience", claim("aud", "other"), notOurs},
		{"no audience", claim("aud", nil), notOurs},
		{"several audiences", claim("aud", []string{"cl1ent", "other"}), others},
		{"another party", claim("azp", "other"), others},
		{"an odd party", claim("azp", []string{"cl1ent"}), others},
		{"expired", claim("exp", now.Add(-time.Second).Unix()), "the id_token has expired"},
		{"no expiry", claim("exp", nil), "the id_token has expired"},
		{"not yet valid", claim("nbf", now.Add(time.Hour).Unix()), notOurs},
		{"issued tomorrow", claim("iat", now.Add(24*time.Hour).Unix()), "the id_token has not been issued yet"},
		{"issued never", claim("iat", nil), "the id_token has not been issued yet"},
		{"another nonce", claim("nonce", "canary"), another},
		{"no nonce", claim("nonce", nil), another},
		{"no nonce on both sides", func(c *corp) { c.claims["nonce"] = nil; c.attempt.Nonce = "" }, another},
		{"no subject", claim("sub", nil), "the id_token does not tell who it is about"},
		{"alg none", by(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), notOurs},
		{"HS256 with the public key", by(jwt.SigningMethodHS256, public, nil), notOurs},
		{"HS256 with the client secret", by(jwt.SigningMethodHS256, []byte("s3cret"), nil), notOurs},
		{"HS256 that says RS256", by(jwt.SigningMethodHS256, public, map[string]any{"alg": "RS256"}), notOurs},
		{"a key of others", by(jwt.SigningMethodRS256, theirs, nil), notOurs},
		{"a key of others by jku", by(jwt.SigningMethodRS256, theirs, map[string]any{"jku": "https://evil.test/keys"}), notOurs},
		{"a key of others by x5u", by(jwt.SigningMethodRS256, theirs, map[string]any{"x5u": "https://evil.test/keys"}), notOurs},
		{"a key of others inside", by(jwt.SigningMethodRS256, theirs, map[string]any{"jwk": jwk}), notOurs},
		{"a key that is not known", by(jwt.SigningMethodRS256, theirs, map[string]any{"kid": "k2"}), notOurs},
		{"a key without name", by(jwt.SigningMethodRS256, theirs, map[string]any{"kid": ""}), notOurs},
		{"no keys", func(c *corp) { c.keys = `{"keys":[]}` }, notOurs},
		{"keys in HTML", func(c *corp) { c.keys = `<html>canary` }, notOurs},
		{"claims that were changed", func(c *corp) {
			parts := strings.Split(idToken(c.claims), ".")
			c.claims["sub"] = "43"
			parts[1] = strings.Split(idToken(c.claims), ".")[1]
			c.idToken = strings.Join(parts, ".")
		}, notOurs},
		{"the profile of another", func(c *corp) { c.userinfo = strings.Replace(userinfo, `"42"`, `"43"`, 1) }, profile},
		{"the profile of a number", func(c *corp) { c.userinfo = strings.Replace(userinfo, `"42"`, `42`, 1) }, profile},
		{"the profile of nobody", func(c *corp) { c.userinfo = `{"email":"ada@example.com"}` }, profile},
		{"the callback of another", func(c *corp) { c.form = url.Values{"iss": {"https://evil.test"}} }, mixUp},
		{"the callback of nobody", func(c *corp) { c.form = url.Values{"iss": {""}} }, mixUp},
		{"the callback of two", func(c *corp) { c.form = url.Values{"iss": {issuer, "https://evil.test"}} }, mixUp},
		{"a callback that does not say whose", func(c *corp) {
			c.metadata["authorization_response_iss_parameter_supported"] = true
		}, mixUp},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := newCorp()
			c.turn(world)
			p, s := world.open(t)
			for range breaker.TripAfter + 1 {
				who, err := p.Exchange(t.Context(), "c0de", world.attempt, world.form)
				failure, ok := errors.AsType[*Failure](err)
				if !ok || failure.Kind != Failed || failure.Status != 0 || err.Error() != "sign in by corp: "+c.want || who != (Profile{}) {
					t.Fatalf("got %+v, %v, want %s", who, err, c.want)
				}
				leaks(t, err)
			}
			if got := p.State(); got != "closed" {
				t.Errorf("who forges has opened the breaker: %s", got)
			}
			for _, to := range s.urls() {
				if strings.Contains(to, "evil.test") {
					t.Errorf("it asked %s", to)
				}
				if c.want == mixUp && strings.HasSuffix(to, "/token") {
					t.Error("the code was shown")
				}
			}
		})
	}
}

func TestIDTokensAreBelieved(t *testing.T) {
	k := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	point := must(k.PublicKey.Bytes())
	both := strings.TrimSuffix(jwks, "]}") + "," + text(map[string]any{
		"kty": "EC", "crv": "P-256", "kid": "e1",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}) + "]}"
	whole := map[string]any{"aud": []string{"cl1ent", "other"}, "azp": "cl1ent", "nonce": "n0nce", "iat": now.Unix(), "exp": now.Unix() + 1}
	maps.Copy(whole, claimsOf(issuer))
	for name, raw := range map[string]string{
		"ES256": sign(jwt.SigningMethodES256, k, map[string]any{"kid": "e1"}, whole),
		"RS256": sign(jwt.SigningMethodRS256, ours, nil, whole),
		"PS256": sign(jwt.SigningMethodPS256, ours, map[string]any{"kid": ""}, whole),
	} {
		world := newCorp()
		world.keys, world.idToken, world.form = both, raw, url.Values{"iss": {issuer}}
		if name == "PS256" { // the key says that it is for RS256
			world.keys = strings.Replace(both, `"alg":"RS256",`, "", 1)
		}
		p, _ := world.open(t)
		who, err := p.Exchange(t.Context(), "c0de", attempt, world.form)
		want := proven
		want.Access = "t0ken"
		if diff := cmp.Diff(want, who); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

func TestWhatTheIDTokenDoesNotSayTheProfileAdds(t *testing.T) {
	for _, c := range []struct {
		name           string
		claims, profil string
		want           Profile
	}{
		{"nothing", `{}`, userinfo, proven},
		{"no profile", `{"email":"ada@example.com","email_verified":true,"name":"Ada Lovelace"}`, `{"sub":"42"}`, proven},
		{"verified there", `{"email":"ada@example.com","name":"Ada Lovelace"}`, userinfo, proven},
		{"another address there", `{"email":"old@example.com","name":"Ada"}`, userinfo, Profile{Subject: "42", Email: "old@example.com", Name: "Ada"}},
		{"a flag without address", `{"email_verified":true}`, `{"sub":"42","email":"ada@example.com"}`, Profile{Subject: "42", Email: "ada@example.com"}},
		{"a flag alone", `{"email_verified":true}`, `{"sub":"42","email_verified":true}`, Profile{Subject: "42"}},
	} {
		world := newCorp()
		world.claims = map[string]any{"iss": issuer, "sub": "42"}
		d, _ := parse([]byte(c.claims))
		maps.Copy(world.claims, d)
		world.userinfo = c.profil
		p, _ := world.open(t)
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		who.Tokens = Tokens{}
		if diff := cmp.Diff(c.want, who); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.name, err, diff)
		}
	}
}

func TestMetadataThatIsNotToBeBelieved(t *testing.T) {
	for _, c := range []struct {
		name, member string
		value        any
		want         string
	}{
		{"another issuer", "issuer", "https://evil.test", "the metadata is that of another issuer"},
		{"an issuer above", "issuer", "https://id.example.com", "the metadata is that of another issuer"},
		{"an issuer without https", "issuer", strings.Replace(issuer, "https", "http", 1), "the metadata is that of another issuer"},
		{"no issuer", "issuer", nil, "the metadata is that of another issuer"},
		{"a place without https", "token_endpoint", "http://id.example.com/token", "the metadata has no token_endpoint, or one that is not https"},
		{"a place that is a file", "jwks_uri", "file:///etc/canary", "the metadata has no jwks_uri, or one that is not https"},
		{"a place with a password", "userinfo_endpoint", "https://canary:canary@id.example.com/me", "the metadata has no userinfo_endpoint, or one that is not https"},
		{"no place", "authorization_endpoint", nil, "the metadata has no authorization_endpoint, or one that is not https"},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := newCorp()
			world.metadata[c.member] = c.value
			p, s := world.open(t)
			want := "begin to sign in by corp: the answer is no use: " + c.want
			if to, err := p.AuthorizeURL(t.Context(), attempt); to != "" || err == nil || err.Error() != want {
				t.Errorf("got %q, %v", to, err)
			}
			if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil {
				t.Error("somebody has signed in")
			}
			if diff := cmp.Diff([]string{"GET " + issuer + wellKnown}, slices.Compact(s.urls())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMetadataIsAskedForOnceAnHour(t *testing.T) {
	world := newCorp()
	clock := now
	o := options()
	o.Now = func() time.Time { return clock }
	p, err := New(Config{Provider: "corp", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: issuer + wellKnown}, o)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, p, world.answer)
	begin := func(wantAsked int) {
		t.Helper()
		done := make(chan error)
		for range 8 {
			go func() {
				_, err := p.AuthorizeURL(context.Background(), attempt)
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := len(s.urls()); n != wantAsked {
			t.Errorf("asked %d times, want %d", n, wantAsked)
		}
	}
	begin(1)
	clock = clock.Add(freshFor - 1)
	begin(1)
	clock = clock.Add(1)
	begin(2)
	before := p.kept.Load().keys
	clock = clock.Add(freshFor)
	begin(3)
	if p.kept.Load().keys != before {
		t.Error("the keys are forgotten, though they are where they were")
	}
}

// Auth0 and Authentik have issuers that end in a slash, and nobody writes two of them into the well-known URL.
func TestAnIssuerMayEndInASlash(t *testing.T) {
	world := newCorp()
	world.metadata["issuer"], world.claims["iss"] = issuer+"/", issuer+"/"
	p, _ := world.open(t)
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err != nil {
		t.Error(err)
	}
	world.claims["iss"] = issuer
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil {
		t.Error("it is not the same")
	}
}

func TestURLsOfTheConfigurationGoBeforeTheMetadata(t *testing.T) {
	world := newCorp()
	world.metadata["userinfo_endpoint"] = issuer + "/other"
	p := open(t, Config{Provider: "oidc", ClientID: "cl1ent", WellKnown: issuer + wellKnown,
		ClientSecret: text(map[string]string{"clientSecret": "s3cret", "userinfoEndpoint": issuer + "/me"})})
	serve(t, p, world.answer)
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err != nil {
		t.Error(err)
	}
}

func TestAWholeSignInOverTheWire(t *testing.T) {
	m, err := mockoidc.Run()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Shutdown()
	o := Options{RedirectURL: "http://127.0.0.1:1/callback"}
	c := Config{Provider: "mock", ClientID: m.ClientID, ClientSecret: m.ClientSecret, WellKnown: m.DiscoveryEndpoint()}
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	to, err := p.AuthorizeURL(t.Context(), attempt)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := browser.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		t.Fatal(err)
	}
	form := back.Query()
	if form.Get("state") != attempt.State {
		t.Errorf("state %q", form.Get("state"))
	}
	// Its userinfo endpoint does not say whose profile it is, which OpenID Connect Core 1.0, 5.3.2 forbids.
	if _, err := p.Exchange(t.Context(), form.Get("code"), attempt, form); err == nil || !strings.Contains(err.Error(), "somebody else's") {
		t.Errorf("got %v", err)
	}
	m.UserQueue.Push(&sworn{mockoidc.DefaultUser()})
	answer, err = browser.Get(to)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	back, _ = answer.Location()
	form = back.Query()
	who, err := p.Exchange(t.Context(), form.Get("code"), attempt, form)
	if err != nil {
		t.Fatal(err)
	}
	if who.Subject != "1234567890" || who.Email != "jane.doe@example.com" || !who.EmailVerified || who.Access == "" {
		t.Errorf("got %+v", who)
	}
	if _, err := p.Exchange(t.Context(), form.Get("code"), attempt, form); err == nil {
		t.Error("the code is good for two")
	}
	if tokens, err := p.Refresh(t.Context(), who.Refresh); err != nil || tokens.Access == "" {
		t.Errorf("%+v, %v", tokens, err)
	}
}

// sworn is a user whose profile says who it is about.
type sworn struct{ *mockoidc.MockUser }

func (u sworn) Userinfo([]string) ([]byte, error) {
	return []byte(text(map[string]any{"sub": u.Subject, "email": u.Email, "email_verified": true})), nil
}
