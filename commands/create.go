package commands

import (
	"context"
	"errors"
	"fmt"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// ErrTooManyAccounts: the project has as many accounts as its operator allows.
var ErrTooManyAccounts = refusal.New(refusal.Invalid, "user_count_exceeded", "The project has reached its maximum number of users.")

// CreateAccount asks for an account with an e-mail address and a password.
type CreateAccount struct {
	ID       string // chosen by the client
	Email    account.Email
	Password string
	Name     string // may be empty
}

// CreateAccount makes the account. account.ErrExists when the id or the address is another's.
func (c *Commands) CreateAccount(ctx context.Context, by Caller, in CreateAccount) (event.Receipt, error) {
	auth := by.Project.Auth
	if auth.UsersLimit > 0 {
		n, err := c.CountAccounts(ctx, by.Project.ID)
		if err != nil {
			return event.Receipt{}, fmt.Errorf("count accounts: %w", err)
		}
		if n >= auth.UsersLimit {
			return event.Receipt{}, ErrTooManyAccounts
		}
	}
	if auth.PersonalDataCheck && account.TellsOfPerson(in.Password, in.ID, in.Email, in.Name) {
		return event.Receipt{}, account.ErrPasswordPersonal
	}
	// An address that is held will stay refused: no need to spend the time of a hash on it.
	name := c.EmailClaim(in.Email)
	switch owner, _, err := c.owner(ctx, by, name); {
	case err != nil:
		return event.Receipt{}, err
	case owner != "":
		return event.Receipt{}, account.ErrExists
	}
	hash, err := c.Passwords.Hash(ctx, in.Password)
	if err != nil {
		return event.Receipt{}, err
	}
	created := account.Created{EmailTarget: NewID()}
	created.Personal.Email, created.Personal.Name, created.Personal.Password = in.Email, in.Name, hash
	receipt, err := c.holdAddress(ctx, by, in.ID, name, func(a account.Account, hold account.Hold) ([]account.Event, error) {
		created.EmailHold = hold
		return a.Create(created)
	})
	if errors.Is(err, claim.ErrTaken) {
		return receipt, account.ErrExists
	}
	return receipt, err
}
