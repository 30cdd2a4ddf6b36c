package commands

import (
	"context"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// SignUpAnonymously makes an account that nothing is known of, and signs it in. It becomes a full one when it takes on
// an address.
func (c *Commands) SignUpAnonymously(ctx context.Context, by Caller) (StartedSession, event.Receipt, error) {
	if err := c.mayCreate(ctx, by); err != nil {
		return StartedSession{}, event.Receipt{}, err
	}
	id := NewID()
	session := c.newSession(by, id)
	session.Provider, session.Factors = account.ProviderAnonymous, []string{account.FactorAnonymous}
	// The id was drawn just now: nothing stands there to be read, and were it not so, the append would be refused.
	receipt, err := c.appendAccount(ctx, by.as(id), id, folded[account.Account]{}, func(a account.Account) ([]account.Event, error) {
		return a.CreateSignedIn(account.Created{}, session.SessionStarted)
	})
	return session, receipt, err
}
