package oauth

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// AuthorizeURL is where a person is sent to sign in, with what the provider needs to know. Only the metadata of a provider
// with a well_known may have to be asked for; the error is breaker.ErrResting, a *Failure or the context's.
func (p *Provider) AuthorizeURL(ctx context.Context, a Attempt) (string, error) {
	m := p.fresh()
	if m == nil {
		err := p.through(ctx, func(ctx context.Context) (err error) {
			m, err = p.metadata(ctx)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("begin to sign in by %s: %w", p.config.Provider, err)
		}
	}
	scopes := p.scopes(a)
	c := p.oauth2(m, "")
	var options []oauth2.AuthCodeOption
	say := func(name, value string) { options = append(options, oauth2.SetAuthURLParam(name, value)) }
	switch {
	case len(scopes) == 0:
	case p.row.array:
		for i, scope := range scopes {
			say(fmt.Sprintf("scope[%d]", i), scope)
		}
	case p.row.commas:
		say("scope", strings.Join(scopes, ","))
	case p.row.scopeName != "":
		say(p.row.scopeName, strings.Join(scopes, " "))
	default:
		c.Scopes = scopes
	}
	for name, value := range p.row.extra {
		say(name, value)
	}
	if p.row.twice {
		say("state", url.QueryEscape(a.State))
	}
	if len(m.issuers) > 0 && a.Nonce != "" {
		say("nonce", a.Nonce)
	}
	if !p.row.unproven && a.Verifier != "" {
		options = append(options, oauth2.S256ChallengeOption(a.Verifier))
	}
	return without(c.AuthCodeURL(a.State, options...), p.row.silent), nil
}

// without takes parameters out of a URL.
func without(to string, names []string) string {
	u, err := url.Parse(to)
	if err != nil || len(names) == 0 {
		return to
	}
	q := u.Query()
	for _, name := range names {
		q.Del(name)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// scopes are the row's, then the operator's, then the sign-in's, each once.
func (p *Provider) scopes(a Attempt) []string {
	var all []string
	for _, scope := range slices.Concat(p.row.scopes, p.config.Scopes, a.Scopes) {
		if scope != "" && !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}
