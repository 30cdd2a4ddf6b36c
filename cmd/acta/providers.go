package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/oauth"
	"github.com/actahq/acta/api"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
)

// provider is an OAuth2 provider of a project, in the words of the API.
type provider struct {
	*oauth.Provider
	id string
}

// openProviders makes the providers that the projects have, by project and id. None is asked for anything yet.
func openProviders(cfg config) (map[[2]string]provider, error) {
	all := map[[2]string]provider{}
	for i, p := range cfg.Projects {
		for j, o := range p.OAuth {
			opened, err := oauth.New(oauth.Config(o), oauth.Options{RedirectURL: cfg.PublicURL + "/v1/account/sessions/oauth2/callback/" + o.Provider + "/" + p.ID})
			if err != nil {
				return nil, fmt.Errorf("projects[%d].oauth[%d].%w", i, j, err)
			}
			all[[2]string{p.ID, o.Provider}] = provider{opened, o.Provider}
		}
	}
	return all, nil
}

func (p provider) AuthorizeURL(ctx context.Context, v commands.Visit, scopes []string) (string, error) {
	to, err := p.Provider.AuthorizeURL(ctx, attempt(v, scopes))
	return to, failure(err)
}

func (p provider) Exchange(ctx context.Context, code string, v commands.Visit, form url.Values) (account.Visitor, error) {
	who, err := p.Provider.Exchange(ctx, code, attempt(v, nil), form)
	if err != nil {
		return account.Visitor{}, failure(err)
	}
	visitor := account.Visitor{
		Provider: p.id, Subject: who.Subject, EmailVerified: who.EmailVerified, Name: displayName(who.Name),
		ProviderTokens: account.ProviderTokens{Access: who.Access, Refresh: who.Refresh, AccessExpires: who.Expires},
	}
	// What we could not send a letter to is no address.
	if email, ok := account.ParseEmail(who.Email); ok {
		visitor.Email = email
	} else {
		visitor.EmailVerified = false
	}
	return visitor, nil
}

func (p provider) Refresh(ctx context.Context, refreshToken string) (account.ProviderTokens, error) {
	t, err := p.Provider.Refresh(ctx, refreshToken)
	return account.ProviderTokens{Access: t.Access, Refresh: t.Refresh, AccessExpires: t.Expires}, failure(err)
}

func attempt(v commands.Visit, scopes []string) oauth.Attempt {
	return oauth.Attempt{State: v.State, Nonce: v.Nonce, Verifier: v.Verifier, Scopes: scopes}
}

// failure says in the API's words what came of asking.
func failure(err error) error {
	f, failed := errors.AsType[*oauth.Failure](err)
	switch {
	case errors.Is(err, breaker.ErrResting):
		return fmt.Errorf("%w: %w", api.ErrProviderResting, err)
	case failed && f.Kind == oauth.Nobody:
		return fmt.Errorf("%w: %w", api.ErrNobody, err)
	case failed:
		return &api.ProviderFailure{Status: f.Status, Code: f.Code, Why: err.Error()}
	}
	return err
}

// maxDisplayName is how long a name may be that an account has, in characters.
const maxDisplayName = 128

func displayName(name string) string {
	if r := []rune(name); len(r) > maxDisplayName {
		name = string(r[:maxDisplayName])
	}
	return name
}

// knownProvider says whether there is an OAuth2 provider of that id, configured or not.
func knownProvider(id string) bool { return slices.Contains(oauth.Known(), id) }
