package commands

import (
	"context"
	"errors"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// refreshPause lies between two looks at a refresh that another request has begun.
const refreshPause = 50 * time.Millisecond

// RefreshSession lets a session last a project's full duration from now, with other tokens of its provider, for which ask
// is asked with the token that is there, or without where there is none. Of several at once, on whatever instance, one
// asks and the others wait for what it gets: ErrContended if that is nothing.
func (c *Commands) RefreshSession(ctx context.Context, by Caller, id, session string, ask func(ctx context.Context, token string) (account.ProviderTokens, error)) (event.Receipt, error) {
	now := c.now()
	begun := account.SessionRefreshBegun{ID: session, Taking: NewID(), Expires: now.Add(account.RefreshLife)}
	token := ""
	at, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		if token = a.RefreshToken(session); token == "" {
			return a.ExtendSession(session, now.Add(by.Project.Auth.SessionDuration), now)
		}
		return a.BeginRefresh(begun, now)
	})
	switch {
	case errors.Is(err, account.ErrRefreshing):
		return c.awaitRefresh(ctx, by, id, session)
	case err != nil || token == "":
		return at, err
	}
	// The provider may take the old token back while it answers: what it gives is kept even if nobody waits for it any more.
	// If we crash here, the token that is stored may be one that is none any more, and people have to sign in again.
	ctx = context.WithoutCancel(ctx)
	tokens, refused := ask(ctx, token)
	now = c.now()
	at, err = c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		if refused != nil {
			return a.EndRefresh(begun)
		}
		return a.RefreshSession(begun, token, tokens, now.Add(by.Project.Auth.SessionDuration), now)
	})
	if refused != nil {
		return at, refused // if that could not be stored, it ends by itself
	}
	return at, err
}

// awaitRefresh waits for what another request gets.
func (c *Commands) awaitRefresh(ctx context.Context, by Caller, id, session string) (event.Receipt, error) {
	enough := time.After(account.RefreshLife)
	for {
		current, err := c.account(ctx, by, id)
		if err != nil {
			return event.Receipt{}, err
		}
		switch goesOn, done := current.state.Refreshing(session, c.now()); {
		case done:
			return current.receipt(), nil
		case !goesOn:
			return event.Receipt{}, ErrContended
		}
		select {
		case <-ctx.Done():
			return event.Receipt{}, ErrContended
		case <-enough:
			return event.Receipt{}, ErrContended
		case <-time.After(refreshPause):
		}
	}
}
