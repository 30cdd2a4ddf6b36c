package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

func TestAWrongConfigurationIsToldByItsKey(t *testing.T) {
	good := Config{Provider: "github", ClientID: "cl1ent", ClientSecret: "s3cret"}
	own := Config{Provider: "own", ClientID: "cl1ent", ClientSecret: "s3cret",
		AuthorizeURL: "https://p.test/a", TokenURL: "https://p.test/t", UserinfoURL: "https://p.test/u"}
	with := func(c Config, change func(*Config)) Config { change(&c); return c }
	of := func(provider, secret string) Config {
		return Config{Provider: provider, ClientID: "cl1ent", ClientSecret: secret}
	}
	p384 := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY",
		Bytes: must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))))}))
	for _, c := range []struct {
		config Config
		want   string
	}{
		{good, ""},
		{own, ""},
		{Config{}, "provider: neither one that is known nor a name of a-z, 0-9 and - for another"},
		{with(own, func(c *Config) { c.Provider = "Own" }), "provider: neither one that is known nor a name of a-z, 0-9 and - for another"},
		{with(own, func(c *Config) { c.Provider = "own/../x" }), "provider: neither one that is known nor a name of a-z, 0-9 and - for another"},
		{with(own, func(c *Config) { c.Provider = strings.Repeat("a", 37) }), "provider: neither one that is known nor a name of a-z, 0-9 and - for another"},
		{with(own, func(c *Config) { c.Provider = "GitHub" }), "provider: neither one that is known nor a name of a-z, 0-9 and - for another"},
		{with(good, func(c *Config) { c.ClientID = "" }), "client_id: missing"},
		{with(good, func(c *Config) { c.ClientSecret = "" }), "client_secret: missing"},
		{with(good, func(c *Config) { c.ClientID += "\n" }), "client_id: holds a line break or another control character"},
		{with(good, func(c *Config) { c.ClientSecret += "\n" }), "client_secret: holds a line break or another control character"},
		{with(good, func(c *Config) { c.Scopes = []string{"a b"} }), "scopes: one is empty or holds a space"},
		{with(good, func(c *Config) { c.WellKnown = issuer + wellKnown }), "well_known: this provider has none"},
		{with(good, func(c *Config) { c.Fields = map[string]string{"name": "x"} }), "fields: this provider has its own"},
		{with(good, func(c *Config) { c.TokenURL = "ftp://canary" }), "token_url: not a URL such as https://example.com/path"},
		{with(own, func(c *Config) { c.AuthorizeURL = "" }), "authorize_url: missing, and there is no well_known"},
		{with(own, func(c *Config) { c.TokenURL = "" }), "token_url: missing, and there is no well_known"},
		{with(own, func(c *Config) { c.UserinfoURL = "" }), "userinfo_url: missing, and there is no well_known"},
		{with(own, func(c *Config) { c.UserinfoURL = "https://canary:canary@p.test/" }), "userinfo_url: not a URL such as https://example.com/path"},
		{with(own, func(c *Config) { c.UserinfoURL = "javascript:canary" }), "userinfo_url: not a URL such as https://example.com/path"},
		{with(own, func(c *Config) { c.WellKnown = "https://p.test/" }), "well_known: not a URL such as https://example.com/.well-known/openid-configuration"},
		{with(own, func(c *Config) { c.WellKnown = "canary" + wellKnown }), "well_known: not a URL such as https://example.com/.well-known/openid-configuration"},
		{with(own, func(c *Config) { c.JWKSURL = "https://p.test/k" }), "jwks_url: there is no well_known"},
		{with(own, func(c *Config) { c.WellKnown, c.JWKSURL = issuer+wellKnown, "canary" }), "jwks_url: not a URL such as https://example.com/path"},
		{with(own, func(c *Config) { c.Fields = map[string]string{"mail": "x"} }), "fields: one is neither id, email, verified nor name"},
		{with(own, func(c *Config) { c.Fields = map[string]string{"id": ""} }), "fields: id is empty"},
		{of("oidc", "{}"), "client_secret: missing"},
		{of("oidc", `{"clientSecret":"s3cret"}`), "authorize_url: missing, and there is no well_known"},
		{of("oidc", `{"clientSecret":"s3cret",`), "client_secret: begins like JSON, and is none"},
		{of("auth0", "s3cret"), `client_secret: no auth0Domain; it is JSON such as {"clientSecret": "...", "auth0Domain": "..."}`},
		{of("auth0", `{"auth0Domain":"a.auth0.com"}`), "client_secret: missing"},
		{of("auth0", `{"clientSecret":"s3cret","auth0Domain":"a.auth0.com/canary?"}`), "client_secret: its auth0Domain is not what one looks like"},
		{of("okta", `{"clientSecret":"s3cret","oktaDomain":"a@canary"}`), "client_secret: its oktaDomain is not what one looks like"},
		{of("okta", `{"clientSecret":"s3cret","oktaDomain":"a.okta.com","authorizationServerId":"../canary"}`), "client_secret: its authorizationServerId is not what one looks like"},
		{of("microsoft", `{"clientSecret":"s3cret","tenantID":"a/canary"}`), "client_secret: its tenantID is not what one looks like"},
		{of("gitlab", `{"clientSecret":"s3cret","endpoint":"git.test"}`), "client_secret: its endpoint is not what one looks like"},
		{of("apple", "s3cret"), `client_secret: no p8; it is JSON such as {"p8": "...", "keyID": "...", "teamID": "..."}`},
		{of("apple", text(map[string]string{"p8": p8, "keyID": "K"})), `client_secret: no teamID; it is JSON such as {"p8": "...", "keyID": "...", "teamID": "..."}`},
		{of("apple", text(map[string]string{"p8": "s3cret", "keyID": "K", "teamID": "T"})), "client_secret: its p8 is not the PEM of a private key of Apple"},
		{of("apple", text(map[string]string{"p8": p384, "keyID": "K", "teamID": "T"})), "client_secret: its p8 is not the PEM of a private key of Apple"},
		{of("etsy", ""), ""},
		{of("google", "s3cret"), ""},
		{of("gitlab", "s3cret"), ""},
		{of("microsoft", "s3cret"), ""},
		{with(of("auth0", "s3cret"), func(c *Config) { c.WellKnown = issuer + wellKnown }), ""},
		{with(of("oidc", "s3cret"), func(c *Config) { c.WellKnown = issuer + wellKnown }), ""},
	} {
		_, err := New(c.config, options())
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%s: got %v, want %s", c.config.Provider, err, c.want)
		case err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "canary")):
			t.Errorf("%v quotes", err)
		}
	}
	for _, redirect := range []string{"", "/callback", "example.com"} {
		if _, err := New(good, Options{RedirectURL: redirect}); err == nil || !strings.HasPrefix(err.Error(), "redirect_url: ") {
			t.Errorf("%q: %v", redirect, err)
		}
	}
}

func TestNamesAreForPeople(t *testing.T) {
	for id, want := range map[string]string{"github": "GitHub", "google": "Google", "tradeshiftBox": "Tradeshift Sandbox", "own": "own"} {
		if got := Name(id); got != want {
			t.Errorf("%s is called %s", id, got)
		}
	}
	for _, id := range Known() {
		if Name(id) == id || Name(id) == "" {
			t.Errorf("%s has no name", id)
		}
	}
	if !slices.IsSorted(Known()) {
		t.Error("not sorted")
	}
}

// query is that of the authorize URL.
func query(t *testing.T, p *Provider, a Attempt) url.Values {
	t.Helper()
	to, err := p.AuthorizeURL(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return must(url.Parse(to)).Query()
}

func TestScopesAreTheRowsThenTheOperatorsThenTheSignInsEachOnce(t *testing.T) {
	for provider, want := range map[string]url.Values{
		"discord":   {"scope": {"identify email guilds a b"}},
		"bitbucket": {"scope": {"guilds email a b"}},
		"box":       {"scope": {"manage_app_users,guilds,email,a,b"}},
		"disqus":    {"scope": {"read,email,guilds,a,b"}},
		"slack":     {"user_scope": {"openid email profile guilds a b"}},
		"wordpress": {"scope[0]": {"auth"}, "scope[1]": {"guilds"}, "scope[2]": {"email"}, "scope[3]": {"a"}, "scope[4]": {"b"}},
		"bitly":     {},
	} {
		p := open(t, Config{Provider: provider, ClientID: "cl1ent", ClientSecret: "s3cret", Scopes: []string{"guilds", "email"}})
		a := attempt
		a.Scopes = []string{"a", "guilds", "", "b", "a"}
		got := query(t, p, a)
		for name := range got {
			if !strings.Contains(name, "scope") {
				got.Del(name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", provider, diff)
		}
	}
}

func TestQuirksOfTheAuthorizeURL(t *testing.T) {
	odd := attempt
	odd.State = `{"a":"b c"}`
	for _, c := range []struct {
		name    string
		config  Config
		attempt Attempt
		key     string
		want    string
	}{
		{"Amazon unescapes twice", Config{Provider: "amazon"}, odd, "state", "%7B%22a%22%3A%22b+c%22%7D"},
		{"others once", Config{Provider: "github"}, odd, "state", `{"a":"b c"}`},
		{"Google asks for consent", Config{Provider: "google"}, attempt, "prompt", "consent"},
		{"or for what the operator says", Config{Provider: "google", ClientSecret: `{"clientSecret":"s","prompt":["select_account","consent"]}`}, attempt, "prompt", "select_account consent"},
		{"a URL with a query", Config{Provider: "github", AuthorizeURL: "https://p.test/a?tenant=7"}, attempt, "tenant", "7"},
		{"no PKCE for Stripe", Config{Provider: "stripe"}, attempt, "code_challenge", ""},
		{"no nonce where nobody signs", Config{Provider: "github"}, attempt, "nonce", ""},
		{"no verifier, no challenge", Config{Provider: "github"}, Attempt{State: "s"}, "code_challenge", ""},
	} {
		c.config.ClientID = "cl1ent"
		if c.config.ClientSecret == "" {
			c.config.ClientSecret = "s3cret"
		}
		if got := query(t, open(t, c.config), c.attempt).Get(c.key); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// What one operator says is not what another gets, as both have the same row.
func TestProvidersShareNoParameters(t *testing.T) {
	first := open(t, Config{Provider: "google", ClientID: "c", ClientSecret: `{"clientSecret":"s","prompt":["none"]}`})
	second := open(t, Config{Provider: "google", ClientID: "c", ClientSecret: "s"})
	if a, b := query(t, first, attempt).Get("prompt"), query(t, second, attempt).Get("prompt"); a != "none" || b != "consent" {
		t.Errorf("%q and %q", a, b)
	}
}

func TestPayPalAndTradeshiftKnowNoLocalhost(t *testing.T) {
	for in, want := range map[string]string{
		"http://localhost/c":             "http://127.0.0.1/c",
		"http://localhost:8080/c":        "http://127.0.0.1:8080/c",
		"https://localhost.test/c":       "https://localhost.test/c",
		"https://a.test/?u=xlocalhost/c": "https://a.test/?u=xlocalhost/c",
	} {
		for _, provider := range []string{"paypal", "paypalSandbox", "tradeshift", "tradeshiftBox"} {
			p, err := New(Config{Provider: provider, ClientID: "c", ClientSecret: "s"}, Options{RedirectURL: in})
			if err != nil {
				t.Fatal(err)
			}
			if got := query(t, p, attempt).Get("redirect_uri"); got != want {
				t.Errorf("%s: %s", provider, got)
			}
		}
	}
}

func TestTheOperatorMaySayWhereAProviderIs(t *testing.T) {
	p := open(t, Config{Provider: "github", ClientID: "cl1ent", ClientSecret: "s3cret", AuthorizeURL: "https://git.test/login/oauth/authorize",
		TokenURL: "https://git.test/login/oauth/access_token", UserinfoURL: "https://git.test/api/v3/user"})
	s := serve(t, p, func(w http.ResponseWriter, a asked) {
		switch {
		case a.method == "POST":
			says(w, 200, usualToken)
		case strings.HasSuffix(a.url, "/emails"):
			says(w, 200, `[]`)
		default:
			says(w, 200, `{"id":42}`)
		}
	})
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err != nil {
		t.Error(err)
	}
	want := []string{"POST https://git.test/login/oauth/access_token", "GET https://git.test/api/v3/user", "GET https://git.test/api/v3/user/emails"}
	if diff := cmp.Diff(want, s.urls()); diff != "" {
		t.Error(diff)
	}
	p = open(t, Config{Provider: "figma", ClientID: "cl1ent", ClientSecret: "s3cret", TokenURL: "https://f.test/token"})
	s = serve(t, p, func(w http.ResponseWriter, _ asked) { says(w, 200, usualToken) })
	if _, err := p.Refresh(t.Context(), "r3fresh"); err != nil || s.urls()[0] != "POST https://f.test/token" {
		t.Errorf("%v, %v", s.urls(), err)
	}
}

// Salesforce gives companies and sandboxes other hosts, and an issuer for each.
func TestAWellKnownURLGoesBeforeTheRow(t *testing.T) {
	world := newCorp()
	p := open(t, Config{Provider: "salesforce", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: issuer + wellKnown})
	s := serve(t, p, world.answer)
	world.userinfo = strings.Replace(userinfo, "{", `{"user_id":"005",`, 1)
	who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
	if err != nil || who.Subject != "005" {
		t.Errorf("%+v, %v", who, err)
	}
	for _, to := range s.urls() {
		if strings.Contains(to, "salesforce") {
			t.Errorf("it asked %s", to)
		}
	}
}

// LinkedIn does not give the nonce back; who stands behind another well-known URL is not LinkedIn.
func TestWhoIsDeafToTheNonce(t *testing.T) {
	for wellKnown, deaf := range map[string]bool{"": true, issuer + wellKnown: false} {
		for _, nonce := range []any{nil, "canary", "n0nce"} {
			world := newCorp()
			world.claims["nonce"] = nonce
			if deaf {
				world.claims["iss"] = "https://www.linkedin.com/oauth"
			}
			p := open(t, Config{Provider: "linkedin", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: wellKnown})
			serve(t, p, func(w http.ResponseWriter, a asked) {
				switch a.url {
				case "https://www.linkedin.com/oauth/v2/accessToken":
					a.url = issuer + "/token"
				case "https://www.linkedin.com/oauth/openid/jwks":
					a.url = issuer + "/keys"
				case "https://api.linkedin.com/v2/userinfo":
					a.url = issuer + "/me"
				}
				world.answer(w, a)
			})
			_, err := p.Exchange(t.Context(), "c0de", attempt, nil)
			if want := nonce == "n0nce" || nonce == nil && deaf; (err == nil) != want {
				t.Errorf("%q, %v: %v", wellKnown, nonce, err)
			}
		}
	}
}

func TestFieldsOfProvidersOfTheOperatorsOwn(t *testing.T) {
	for _, c := range []struct {
		fields  map[string]string
		profile string
		want    Profile
	}{
		{nil, `{"sub":"42","id":7,"email":"ada@example.com","email_verified":true,"name":"Ada Lovelace"}`, proven},
		{nil, `{"id":42,"email":"ada@example.com","name":"Ada Lovelace"}`, ada},
		{
			map[string]string{"id": "data.user.uid", "email": "data.mails.0.value", "verified": "data.mails.0.ok", "name": "data.first data.last"},
			`{"id":1,"data":{"user":{"uid":42},"mails":[{"value":"ada@example.com","ok":true}],"first":"Ada","last":"Lovelace"}}`, proven,
		},
		{
			map[string]string{"email": "https://p.test/claims/email", "verified": "", "name": "nick|full"},
			`{"id":42,"https://p.test/claims/email":"ada@example.com","email_verified":true,"nick":"","full":"Ada Lovelace"}`, ada,
		},
		{map[string]string{"email": "mails.1", "verified": "mails.x", "name": "id.x.y"}, `{"id":42,"mails":["ada@example.com"]}`, Profile{Subject: "42"}},
	} {
		p := open(t, Config{Provider: "own", ClientID: "cl1ent", ClientSecret: "s3cret", Fields: c.fields,
			AuthorizeURL: "https://p.test/a", TokenURL: "https://p.test/t", UserinfoURL: "https://p.test/u"})
		s := serve(t, p, profiled(func(w http.ResponseWriter, _ asked) { says(w, 200, c.profile) }))
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		who.Tokens = Tokens{}
		if diff := cmp.Diff(c.want, who); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", c.profile, err, diff)
		}
		if got := s.seen[0].form.Get("client_secret"); got != "s3cret" {
			t.Errorf("shown as %q", got)
		}
	}
}

func TestAppleIsShownASecretThatItCanCheck(t *testing.T) {
	p := open(t, Config{Provider: "apple", ClientID: "com.example.acta", ClientSecret: recordings["apple"].secret})
	s := serve(t, p, func(w http.ResponseWriter, _ asked) { says(w, 200, usualToken) })
	if _, err := p.Refresh(t.Context(), "r3fresh"); err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Parse(s.seen[0].form.Get("client_secret"), func(*jwt.Token) (any, error) { return &appleK.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithTimeFunc(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	want := jwt.MapClaims{"iss": "T3AM", "sub": "com.example.acta", "aud": "https://appleid.apple.com",
		"iat": float64(now.Unix()), "exp": float64(now.Unix() + 600)}
	if diff := cmp.Diff(want, token.Claims); diff != "" || token.Header["kid"] != "K3Y" || token.Header["alg"] != "ES256" {
		t.Errorf("%v\n%s", token.Header, diff)
	}
}

func TestSlackTellsNoFlagToAppsOfLongAgo(t *testing.T) {
	p := open(t, Config{Provider: "slack", ClientID: "cl1ent", ClientSecret: "s3cret"})
	serve(t, p, func(w http.ResponseWriter, a asked) {
		switch a.url {
		case "https://slack.com/api/oauth.v2.access":
			says(w, 200, `{"ok":true,"access_token":"xoxb-bot","authed_user":{"id":"U1","access_token":"t0ken"}}`)
		case "https://slack.com/api/users.identity":
			says(w, 200, `{"ok":true,"user":{"name":"Ada Lovelace","id":"U1","email":"ada@example.com"},"team":{"id":"T1"}}`)
		}
	})
	who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
	want := id(ada, "U1")
	want.Access = "t0ken"
	if diff := cmp.Diff(want, who); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestATokenOfABotIsNobodys(t *testing.T) {
	p := open(t, Config{Provider: "slack", ClientID: "cl1ent", ClientSecret: "s3cret"})
	serve(t, p, func(w http.ResponseWriter, _ asked) {
		says(w, 200, `{"ok":true,"access_token":"xoxb-bot","token_type":"bot","authed_user":{"id":"U1"},"user":{"id":"U1"}}`)
	})
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil {
		t.Error("a bot has signed in")
	}
}

// The ids of Etsy and Stripe are put into a path.
func TestATokenThatDoesNotTellWhoseItIs(t *testing.T) {
	for _, c := range []struct{ provider, token string }{
		{"etsy", `{"access_token":"t0ken"}`},
		{"etsy", `{"access_token":"../7.t0ken"}`},
		{"etsy", `{"access_token":".t0ken"}`},
		{"etsy", `{"access_token":"8.t0ken"}`}, // the profile is that of 7
		{"stripe", `{"access_token":"t0ken"}`},
		{"stripe", `{"access_token":"t0ken","stripe_user_id":"../customers/cus_1"}`},
		{"stripe", `{"access_token":"t0ken","stripe_user_id":["acct_1"]}`},
	} {
		p := open(t, Config{Provider: c.provider, ClientID: "cl1ent", ClientSecret: "s3cret"})
		serve(t, p, func(w http.ResponseWriter, a asked) {
			if a.method == "POST" {
				says(w, 200, c.token)
				return
			}
			says(w, 200, `{"user_id":7,"id":"acct_1"}`)
		})
		if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil {
			t.Errorf("%s, %s: somebody has signed in", c.provider, c.token)
		}
	}
}

// How a secret is shown where metadata says it.
func TestTheMetadataSaysHowASecretIsShown(t *testing.T) {
	for ways, basic := range map[string]bool{
		``:                        true, // OpenID Connect Discovery 1.0, 3
		`["client_secret_basic"]`: true,
		`["client_secret_post"]`:  false,
		`["client_secret_basic","client_secret_post"]`: false,
		`["private_key_jwt"]`:                          true,
	} {
		world := newCorp()
		if ways != "" {
			d, _ := parse([]byte(`{"x":` + ways + `}`))
			world.metadata["token_endpoint_auth_methods_supported"] = d["x"]
		}
		p, s := world.open(t)
		if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err != nil {
			t.Error(err)
		}
		asked := s.seen[1]
		if got := asked.header.Get("Authorization") == "Basic Y2wxZW50OnMzY3JldA=="; got != basic || asked.form.Has("client_secret") == basic {
			t.Errorf("%s: %v %v", ways, asked.header, asked.form)
		}
	}
}
