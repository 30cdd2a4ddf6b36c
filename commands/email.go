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

// ChangeEmail moves an account to another address; its password proves that the owner asks. An account without a
// password takes this one on.
func (c *Commands) ChangeEmail(ctx context.Context, by Caller, id string, to account.Email, password string) (event.Receipt, error) {
	return c.changeAddress(ctx, by, id, password, c.EmailClaim(to), func(a account.Account, hold account.Hold, first string) ([]account.Event, error) {
		return a.ChangeEmail(to, hold, first, by.Locale)
	})
}

// ChangePhone moves an account to another number, as ChangeEmail does to an address.
func (c *Commands) ChangePhone(ctx context.Context, by Caller, id string, to account.Phone, password string) (event.Receipt, error) {
	return c.changeAddress(ctx, by, id, password, c.PhoneClaim(to), func(a account.Account, hold account.Hold, first string) ([]account.Event, error) {
		return a.ChangePhone(to, hold, first, by.Locale)
	})
}

// changeAddress lets an account hold another address, claimed under a name.
func (c *Commands) changeAddress(ctx context.Context, by Caller, id, password, name string,
	decide func(a account.Account, hold account.Hold, first string) ([]account.Event, error),
) (event.Receipt, error) {
	change := func(checked, first string) (event.Receipt, error) {
		receipt, err := c.holdAddress(ctx, by, id, name, func(a account.Account, hold account.Hold) ([]account.Event, error) {
			if a.Password != checked {
				return nil, account.ErrPasswordMoved
			}
			return decide(a, hold, first)
		})
		if errors.Is(err, claim.ErrTaken) {
			err = ErrAddressTaken
		}
		return receipt, err
	}
	current, err := c.account(ctx, by, id)
	if err != nil {
		return event.Receipt{}, err
	}
	if a := current.state; a.Exists() && a.Password == "" {
		first, err := c.Passwords.Hash(ctx, password)
		if err != nil {
			return event.Receipt{}, err
		}
		if receipt, err := change("", first); !errors.Is(err, account.ErrPasswordMoved) {
			return receipt, err
		} // it has one by now
	}
	return c.withPassword(ctx, by, id, password, func(checked string, _ bool) (event.Receipt, error) { return change(checked, "") })
}
