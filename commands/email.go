package commands

import (
	"context"
	"errors"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// ErrAddressTaken: the new address is another account's.
var ErrAddressTaken = refusal.New(refusal.Conflict, "user_target_already_exists", "A target with the same identifier already exists.")

// ChangeEmail moves an account to another address; its password proves that the owner asks.
func (c *Commands) ChangeEmail(ctx context.Context, by Caller, id string, to account.Email, password string) (event.Receipt, error) {
	return c.withPassword(ctx, by, id, password, func(checked string, _ bool) (event.Receipt, error) {
		var left account.Hold
		receipt, err := c.holdAddress(ctx, by, id, c.EmailClaim(to), func(a account.Account, hold account.Hold) ([]account.Event, error) {
			if a.Password != checked {
				return nil, account.ErrPasswordMoved
			}
			left = a.EmailHold
			events, err := a.ChangeEmail(to, hold)
			if len(events) == 0 {
				left = account.Hold{}
			}
			return events, err
		})
		switch {
		case errors.Is(err, claim.ErrTaken):
			return receipt, ErrAddressTaken
		case err != nil:
			return receipt, err
		}
		if left.Claim != "" && left.Claim != c.EmailClaim(to) {
			// So that the old address is free by the time we answer. If we crash here, the process that follows the log does it.
			_ = c.ReleaseClaim(ctx, by, id, left)
		}
		return receipt, nil
	})
}
