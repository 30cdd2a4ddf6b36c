package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// metadata is where a provider is asked, and who signs its id_tokens.
type metadata struct {
	authorize, token, profile string // profile "" = the id_token is all there is
	auth                      oauth2.AuthStyle

	issuers []string // the issuer, and how else it spells itself; none = unknown
	keys    *oidc.RemoteKeySet
	keysURL string
	names   bool // says in every callback who it is (RFC 9207)

	asked time.Time // zero = by nobody: it is known from the beginning
}

// freshFor is how long metadata is believed.
const freshFor = time.Hour

// fresh gives the metadata if nobody needs to be asked for it.
func (p *Provider) fresh() *metadata {
	m := p.kept.Load()
	if m != nil && (m.asked.IsZero() || p.now().Sub(m.asked) < freshFor) {
		return m
	}
	return nil
}

// metadata gives the metadata, and asks for it when it is not known. Those who come meanwhile wait for the one who asks.
func (p *Provider) metadata(ctx context.Context) (*metadata, error) {
	if m := p.fresh(); m != nil {
		return m, nil
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if m := p.fresh(); m != nil {
		return m, nil // somebody else has asked
	}
	m, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	p.kept.Store(m)
	return m, nil
}

// discover asks for the metadata (OpenID Connect Discovery 1.0, 4). The issuer in it must be what the well-known URL is made
// of, as whoever may answer there could otherwise speak for anybody; when both end in a slash the URL has only one.
func (p *Provider) discover(ctx context.Context) (*metadata, error) {
	d, err := p.read(ctx, p.config.WellKnown)
	if err != nil {
		return nil, err
	}
	issuer, _ := d["issuer"].(string)
	if strings.TrimSuffix(issuer, "/") != p.row.issuer {
		return nil, unreadable(0, "the metadata is that of another issuer")
	}
	m := &metadata{
		authorize: p.row.authorize,
		token:     p.row.token,
		profile:   p.row.profile,
		keysURL:   p.row.keys,
		issuers:   []string{issuer},
		names:     d["authorization_response_iss_parameter_supported"] == true,
		asked:     p.now(),
	}
	for _, endpoint := range []struct {
		name   string
		url    *string
		needed bool
	}{
		{"authorization_endpoint", &m.authorize, true},
		{"token_endpoint", &m.token, true},
		{"userinfo_endpoint", &m.profile, false},
		{"jwks_uri", &m.keysURL, true},
	} {
		if *endpoint.url != "" {
			continue // the operator knows better
		}
		*endpoint.url, _ = d[endpoint.name].(string)
		if *endpoint.url == "" && !endpoint.needed {
			continue
		}
		secure := strings.HasPrefix(*endpoint.url, "https://") || strings.HasPrefix(issuer, "http://")
		if !secure || checkURL(*endpoint.url) != nil {
			return nil, unreadable(0, "the metadata has no "+endpoint.name+", or one that is not https")
		}
	}
	// Where nothing is said it is basic; most take both, and some say so of one only.
	ways, _ := d["token_endpoint_auth_methods_supported"].([]any)
	if !slices.Contains(ways, any("client_secret_post")) {
		m.auth = oauth2.AuthStyleInHeader
	}
	if before := p.kept.Load(); before != nil && before.keysURL == m.keysURL {
		m.keys = before.keys // and what it has fetched
	} else {
		m.keys = p.keysAt(m.keysURL)
	}
	return m, nil
}

// keysAt gives the keys at a URL. It fetches them when they are needed, and again when a key is not among them.
func (p *Provider) keysAt(url string) *oidc.RemoteKeySet {
	return oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), p.client), url)
}

// read asks for a JSON object that anybody may read.
func (p *Provider) read(ctx context.Context, url string) (document, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, failed("the URL is none")
	}
	return p.object(r)
}
