// Package oauth lets people sign in by other sites: the 39 providers of table.go, and any other that speaks OAuth 2.0 (RFC
// 6749) or OpenID Connect.
//
// A sign-in is three steps. AuthorizeURL is where the person's browser is sent; the provider sends it back to the redirect
// URL with a code; Exchange gives the code for tokens and the profile of the person. Refresh gives a refresh token for
// another access token later.
//
// What an operator configures under a known id:
//
//	client_id, client_secret             as the provider gives them; client_secret may be JSON with more in it, such as
//	                                     {"clientSecret": "...", "oktaDomain": "..."}, see the members in table.go
//	scopes                               more than the row has
//	authorize_url, token_url,            instead of the row's: GitHub Enterprise, a newer API, a test
//	userinfo_url
//	well_known                           of those that speak OpenID Connect: instead of the row's URLs
//	jwks_url                             with well_known: instead of the one in the metadata
//
// Any other id of a-z, 0-9 and - is a provider of the operator's own, by well_known or by the three URLs; fields says where in
// a profile things are.
//
// Where somebody is known to sign id_tokens, one must come, signed by a key of his, for our client id and with the nonce of
// this sign-in, and the profile is what it says; the userinfo endpoint adds what it does not say.
//
// Hosts that the configuration names are asked wherever they are; all others, such as those that metadata leads to, only at
// public addresses.
//
// Errors hold numbers and words of this package. What a provider answers may quote the person, the code or the token, and
// so is never part of one, nor is a URL.
//
// It does not know what a state is worth, who signed in before, or what becomes of the tokens.
package oauth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/actahq/acta/adapters/breaker"
)

// Config is one provider as an operator configures it for a project.
type Config struct {
	Provider     string
	ClientID     string
	ClientSecret string
	WellKnown    string // ends in /.well-known/openid-configuration; what stands before is the issuer
	AuthorizeURL string
	TokenURL     string
	UserinfoURL  string
	JWKSURL      string // with WellKnown only
	Scopes       []string

	// Fields says where in a profile of a provider that is not in the table "id", "email", "verified" and "name" are:
	// names of members, "a.b" goes deeper, "a|b" is the first that is not empty, "a b" is both with a space between.
	Fields map[string]string
}

// Options are what a provider needs of its surroundings.
type Options struct {
	RedirectURL string // of this provider and project
	Now         func() time.Time

	// OnBreaker, if set, is told the state of the breaker when it has changed: "closed", "open", "half-open". The breaker is
	// locked meanwhile: it must not ask for State.
	OnBreaker func(state string)
}

// Attempt is one sign-in. The caller draws it, keeps it until the person comes back, and uses it once.
type Attempt struct {
	State    string // of letters, digits, - and _; Amazon, Salesforce, Yahoo and Yandex give others back escaped
	Nonce    string
	Verifier string // of PKCE: 43 characters (RFC 7636, 4.1)
	Scopes   []string
}

// Tokens are what a provider gives for a code. Zero = not told.
type Tokens struct {
	Access, Refresh string
	Expires         time.Time // of Access
}

// Profile is who has signed in.
type Profile struct {
	Tokens
	Subject       string // never changes and is nobody else's with this provider; 1 to 255 bytes
	Email, Name   string // "" = not told, or nothing that could be kept
	EmailVerified bool   // the provider vouches for Email
}

// Provider signs people in by one provider. It is safe for concurrent use and keeps no connection, so that there is nothing
// to close.
type Provider struct {
	config   Config // of which ClientSecret is the bare one
	row      row    // with what the configuration says instead
	apple    *apple // only of Apple
	redirect string
	now      func() time.Time
	patience time.Duration
	client   *http.Client
	breaker  breaker.Breaker

	kept atomic.Pointer[metadata]
	turn chan struct{} // is taken by the one who asks for the metadata
}

// patience is how long all of a sign-in may take that is up to the provider.
const patience = 10 * time.Second

// Known gives the ids of the table, sorted.
func Known() []string { return slices.Sorted(maps.Keys(table)) }

// Name gives the name of a provider for people, or the id of one that is not in the table.
func Name(id string) string { return cmp.Or(table[id].name, id) }

var validID = regexp.MustCompile(`^[a-z][a-z0-9-]{0,35}$`)

// New makes a provider, or says which key of the configuration is wrong and why ("client_id: missing"), without quoting it.
// It asks nobody.
func New(c Config, o Options) (*Provider, error) {
	r, known := table[c.Provider]
	if !known {
		if !validID.MatchString(c.Provider) {
			return nil, errors.New("provider: neither one that is known nor a name of a-z, 0-9 and - for another")
		}
		r = row{openid: true, fields: fields{subject: "sub|id", email: "email", verified: "email_verified", name: "name"}}
		if c.WellKnown != "" {
			r.scopes = []string{"openid", "profile", "email"}
		}
	}
	secret, words, err := unpack(c.ClientSecret, r)
	if err != nil {
		return nil, err
	}
	c.ClientSecret = secret
	c.WellKnown = cmp.Or(c.WellKnown, words["wellKnownEndpoint"])
	c.AuthorizeURL = cmp.Or(c.AuthorizeURL, words["authorizationEndpoint"])
	c.TokenURL = cmp.Or(c.TokenURL, words["tokenEndpoint"])
	c.UserinfoURL = cmp.Or(c.UserinfoURL, words["userinfoEndpoint"])

	p := &Provider{
		config:   c,
		redirect: o.RedirectURL,
		now:      o.Now,
		patience: patience,
		client:   newClient(patience, c.hosts(words)...),
		breaker:  newBreaker(c.Provider, o.OnBreaker),
		turn:     make(chan struct{}, 1),
	}
	if p.now == nil {
		p.now = time.Now
	}
	if c.Provider == "apple" {
		if p.apple, err = newApple(words); err != nil {
			return nil, err
		}
	}
	if prompt := words["prompt"]; prompt != "" {
		r.extra = maps.Clone(r.extra)
		r.extra["prompt"] = prompt
	}
	if r.fields, err = c.fieldsOf(r, known && c.Provider != "oidc"); err != nil {
		return nil, err
	}
	if err := cmp.Or(c.check(r, p.apple != nil), p.place(r, words)); err != nil {
		return nil, err
	}
	if p.redirect == "" || checkURL(p.redirect) != nil {
		return nil, errors.New("redirect_url: not a URL such as https://example.com/path")
	}
	switch {
	case r.nowhere:
		p.redirect = ""
	case r.numeric:
		p.redirect = localhost.ReplaceAllString(p.redirect, "://127.0.0.1$1")
	}
	return p, nil
}

var localhost = regexp.MustCompile(`://localhost([:/]|$)`)

// hosts gives the hosts that the configuration names, with their ports.
func (c Config) hosts(words map[string]string) []string {
	var hosts []string
	for _, s := range slices.Concat([]string{c.WellKnown, c.AuthorizeURL, c.TokenURL, c.UserinfoURL, c.JWKSURL}, slices.Collect(maps.Values(words))) {
		if !strings.Contains(s, "://") {
			s = "https://" + s // a domain, or no host at all
		}
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			continue
		}
		hosts = append(hosts, net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])))
	}
	return hosts
}

// check looks at what needs no row, or little of it.
func (c Config) check(r row, signs bool) error {
	for _, entry := range []struct {
		key, value string
		needed     bool
	}{
		{"client_id", c.ClientID, true},
		{"client_secret", c.ClientSecret, !r.public && !signs},
	} {
		switch {
		case entry.value == "" && entry.needed:
			return fmt.Errorf("%s: missing", entry.key)
		case strings.ContainsFunc(entry.value, unicode.IsControl): // most often the line break at the end of a file
			return fmt.Errorf("%s: holds a line break or another control character", entry.key)
		}
	}
	for _, scope := range c.Scopes {
		if scope == "" || strings.ContainsFunc(scope, unicode.IsSpace) {
			return errors.New("scopes: one is empty or holds a space")
		}
	}
	return nil
}

// fieldsOf puts what the configuration says about a profile over what the row does.
func (c Config) fieldsOf(r row, fixed bool) (fields, error) {
	f := r.fields
	if fixed && len(c.Fields) > 0 {
		return f, errors.New("fields: this provider has its own")
	}
	for key, path := range c.Fields {
		place, ok := map[string]*string{"id": &f.subject, "email": &f.email, "verified": &f.verified, "name": &f.name}[key]
		if !ok {
			return f, errors.New("fields: one is neither id, email, verified nor name")
		}
		*place = path
	}
	if f.subject == "" && r.inquire == nil {
		return f, errors.New("fields: id is empty")
	}
	return f, nil
}

const wellKnown = "/.well-known/openid-configuration"

// place settles where the provider is to be found: by the URLs of the configuration, else by its well-known URL, else by the
// row's.
func (p *Provider) place(r row, words map[string]string) error {
	c := p.config
	if c.WellKnown != "" {
		issuer, ok := strings.CutSuffix(c.WellKnown, wellKnown)
		switch {
		case !r.openid:
			return errors.New("well_known: this provider has none")
		case !ok || checkURL(issuer) != nil:
			return errors.New("well_known: not a URL such as https://example.com" + wellKnown)
		}
		r.authorize, r.token, r.refresh, r.profile, r.issuer, r.spelling, r.keys = "", "", "", "", issuer, "", c.JWKSURL
		r.deaf = false
	}
	switch {
	case c.JWKSURL == "":
	case c.WellKnown == "":
		return errors.New("jwks_url: there is no well_known")
	case checkURL(c.JWKSURL) != nil:
		return errors.New("jwks_url: not a URL such as https://example.com/path")
	}
	for _, entry := range []struct {
		key        string
		value, row *string
	}{
		{"authorize_url", &c.AuthorizeURL, &r.authorize},
		{"token_url", &c.TokenURL, &r.token},
		{"userinfo_url", &c.UserinfoURL, &r.profile},
	} {
		if *entry.value != "" {
			if checkURL(*entry.value) != nil {
				return fmt.Errorf("%s: not a URL such as https://example.com/path", entry.key)
			}
			*entry.row = *entry.value
		} else if *entry.row == "" && c.WellKnown == "" && !(entry.row == &r.profile && r.issuer != "") {
			return fmt.Errorf("%s: missing, and there is no well_known", entry.key)
		}
	}
	if c.TokenURL != "" {
		r.refresh = ""
	}
	for _, url := range []*string{&r.authorize, &r.token, &r.refresh, &r.profile, &r.issuer, &r.keys} {
		var err error
		if *url, err = fill(*url, r.members, words); err != nil {
			return err
		}
	}
	p.row = r
	if c.WellKnown == "" {
		m := &metadata{authorize: r.authorize, token: r.token, profile: r.profile}
		if r.issuer != "" {
			m.issuers, m.keys = []string{r.issuer}, p.keysAt(r.keys)
		}
		if r.spelling != "" {
			m.issuers = append(m.issuers, r.spelling)
		}
		p.kept.Store(m)
	}
	return nil
}

// checkURL refuses what a request can not be sent to.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errors.New("not a URL")
	}
	return nil
}
