package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/peertest"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// now is the time of all tests outside of a bubble.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// attempt has the verifier of RFC 7636, appendix B.
var attempt = Attempt{State: "st4te", Nonce: "n0nce", Verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"}

// canaries are what no error may hold.
var canaries = []string{
	"c0de", "t0ken", "r3fresh", "s3cret", "n0nce", attempt.Verifier, "ada@example.com", "Lovelace", "example.com", "://", "canary",
}

func options() Options {
	return Options{
		RedirectURL: "https://acta.example.com/callback",
		Now:         func() time.Time { return now },
	}
}

func open(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c, options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// asked is a request as a provider sees it.
type asked struct {
	method, url string // without the query
	query, form url.Values
	header      http.Header
}

// site plays all hosts of the world on one port of this machine.
type site struct {
	*httptest.Server
	mutex sync.Mutex
	seen  []asked
}

// serve has a provider ask a site instead of the hosts of its URLs, which stay the real ones. answer is told which URL is
// asked for.
func serve(t testing.TB, p *Provider, answer func(w http.ResponseWriter, r asked)) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		a := asked{r.Method, r.Header.Get("X-Scheme") + "://" + r.Host + r.URL.Path, r.URL.Query(), form, r.Header}
		s.mutex.Lock()
		s.seen = append(s.seen, a)
		s.mutex.Unlock()
		answer(w, a)
	}))
	t.Cleanup(s.Close)
	to, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	wired := p.client.Transport.(transport).base.(*http.Transport)
	wired.DialContext = (&net.Dialer{}).DialContext // without the guard, which has tests of its own
	p.client.Transport = transport{rewired{wired, to}}
	return s
}

type rewired struct {
	base http.RoundTripper
	to   *url.URL
}

func (w rewired) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = r.URL.Host
	r.Header.Set("X-Scheme", r.URL.Scheme)
	r.URL.Scheme, r.URL.Host = w.to.Scheme, w.to.Host
	return w.base.RoundTrip(r)
}

// urls are what a site was asked for.
func (s *site) urls() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []string
	for _, a := range s.seen {
		all = append(all, a.method+" "+a.url)
	}
	return all
}

func says(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// The keys of the tests: ours is the issuer's, theirs is another's, p8 is an account's with Apple.
var (
	ours   = must(rsa.GenerateKey(rand.Reader, 2048))
	theirs = must(rsa.GenerateKey(rand.Reader, 2048))
	appleK = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p8     = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(appleK))}))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// jwks is the key set of the issuer.
var jwks = keySet("k1", &ours.PublicKey)

func keySet(kid string, k *rsa.PublicKey) string {
	return text(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.E)).Bytes()),
	}}})
}

func text(v any) string { return string(must(json.Marshal(v))) }

// sign makes an id_token. header is added to its own.
func sign(method jwt.SigningMethod, key crypto.PrivateKey, header, claims map[string]any) string {
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	token.Header["kid"] = "k1"
	maps.Copy(token.Header, header)
	return must(token.SignedString(key))
}

// idToken is one as it should be, of these claims and the usual ones.
func idToken(claims map[string]any) string {
	all := map[string]any{
		"aud": "cl1ent", "nonce": "n0nce", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return sign(jwt.SigningMethodRS256, ours, nil, all)
}

// inBubble runs a test where time passes only when everybody waits, with GitHub played by answer.
func inBubble(t *testing.T, answer http.HandlerFunc, test func(t *testing.T, p *Provider)) {
	peertest.InBubble(t, answer, func(t *testing.T, dial peertest.Dial) {
		p := open(t, Config{Provider: "gh", ClientID: "cl1ent", ClientSecret: "s3cret", AuthorizeURL: "http://gh.test/a",
			TokenURL: "http://gh.test/t", UserinfoURL: "http://gh.test/u"})
		p.client.Transport.(transport).base.(*http.Transport).DialContext = dial
		test(t, p)
	})
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
