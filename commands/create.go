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

// ErrEmailTaken: the address is another account's.
var ErrEmailTaken = fmt.Errorf("the address is taken: %w", account.ErrExists)

// CreateAccount asks for an account with an e-mail address and a password.
type CreateAccount struct {
	ID       string // chosen by the client
	Email    account.Email
	Password string
	Name     string // may be empty
}

// CreateAccount makes the account. account.ErrExists when the id is another's, ErrEmailTaken when the address is. Where
// the project keeps to itself who is registered, the latter takes as long as making one, and its owner is told.
func (c *Commands) CreateAccount(ctx context.Context, by Caller, in CreateAccount) (event.Receipt, error) {
	if err := c.mayCreate(ctx, by); err != nil {
		return event.Receipt{}, err
	}
	if by.Project.Auth.PersonalDataCheck && account.TellsOfPerson(in.Password, in.ID, in.Email, in.Name, "") {
		return event.Receipt{}, account.ErrPasswordPersonal
	}
	// An address that is held will stay refused: no need to spend the time of a hash on it.
	name := c.EmailClaim(in.Email)
	switch owner, _, err := c.owner(ctx, by, name); {
	case err != nil:
		return event.Receipt{}, err
	case owner != "":
		return event.Receipt{}, c.taken(ctx, by, owner, in)
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
		return receipt, ErrEmailTaken
	}
	return receipt, err
}

// taken refuses an address that is another account's.
func (c *Commands) taken(ctx context.Context, by Caller, owner string, in CreateAccount) error {
	if !by.Project.Auth.Privacy {
		return ErrEmailTaken
	}
	if err := c.Passwords.Dummy(ctx, in.Password); err != nil {
		return err
	}
	if _, err := c.changeAccount(ctx, by, owner, func(a account.Account) ([]account.Event, error) { return a.NoteSignUp(by.Locale, c.now()) }); err != nil {
		return err
	}
	return ErrEmailTaken
}

// mayCreate refuses another account where the project has as many as it may.
func (c *Commands) mayCreate(ctx context.Context, by Caller) error {
	limit := by.Project.Auth.UsersLimit
	if limit == 0 {
		return nil
	}
	n, err := c.CountAccounts(ctx, by.Project.ID)
	switch {
	case err != nil:
		return fmt.Errorf("count accounts: %w", err)
	case n >= limit:
		return ErrTooManyAccounts
	}
	return nil
}
