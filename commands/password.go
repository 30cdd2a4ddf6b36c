package commands

import (
	"context"
	"errors"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// withPassword does something that an account's password must be proved for. do is given the hash that was checked and
// whether its parameters are outdated; it runs again when the password moved meanwhile.
func (c *Commands) withPassword(ctx context.Context, by Caller, id, password string, do func(checked string, outdated bool) (event.Receipt, error)) (event.Receipt, error) {
	for range maxConflicts {
		checked, outdated, err := c.checkPassword(ctx, by, id, password)
		if err != nil {
			return event.Receipt{}, err
		}
		receipt, err := do(checked, outdated)
		if !errors.Is(err, account.ErrPasswordMoved) {
			return receipt, err
		}
	}
	return event.Receipt{}, ErrContended
}

// checkPassword proves a password and counts a wrong one. Per account one check runs at a time, so that a thousand
// parallel guesses are not all weighed before the first is counted.
func (c *Commands) checkPassword(ctx context.Context, by Caller, id, password string) (checked string, outdated bool, err error) {
	done, err := c.turns.take(ctx, "password "+AccountStream(by.Project.ID, id))
	if err != nil {
		return "", false, err
	}
	defer done()
	for range maxConflicts {
		current, err := c.account(ctx, by, id)
		if err != nil {
			return "", false, err
		}
		a := current.state
		if !a.Exists() || a.Password == "" {
			return "", false, c.refuseSlowly(ctx, password)
		}
		if err := a.MayTryPassword(c.now()); err != nil {
			return "", false, err
		}
		ok, outdated, err := c.Passwords.Verify(ctx, password, a.Password)
		if err != nil {
			return "", false, err
		}
		if ok {
			return a.Password, outdated, nil
		}
		err = c.noteWrongPassword(ctx, by, id, a.Password)
		switch {
		case errors.Is(err, account.ErrPasswordMoved):
			continue // it may be the right one by now
		case err != nil:
			return "", false, err
		}
		return "", false, account.ErrInvalidCredentials
	}
	return "", false, ErrContended
}

// noteWrongPassword counts a password that was weighed, even when nobody waits for the answer any more: hanging up must
// not make a guess free.
func (c *Commands) noteWrongPassword(ctx context.Context, by Caller, id, checked string) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), countingTime)
	defer done()
	_, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.NoteWrongPassword(checked) })
	return err
}

// countingTime is how long a wrong password may take to be counted.
const countingTime = 2 * time.Second

// refuseSlowly says no in the time that a wrong password takes, so that the answer's time tells nothing.
func (c *Commands) refuseSlowly(ctx context.Context, password string) error {
	if err := c.Passwords.Dummy(ctx, password); err != nil {
		return err
	}
	return account.ErrInvalidCredentials
}

// refuseInTurn is refuseSlowly for an address whose passwords are not checked. One at a time, too: that many guesses at
// once take longer where there is an account would tell as well.
func (c *Commands) refuseInTurn(ctx context.Context, by Caller, name, password string) error {
	done, err := c.turns.take(ctx, "password "+claimStream(by.Project.ID, name))
	if err != nil {
		return err
	}
	defer done()
	return c.refuseSlowly(ctx, password)
}

// ChangePassword sets another password; the old one must be proved if there is one. keep is the session that stays
// when the project ends sessions at a new password.
func (c *Commands) ChangePassword(ctx context.Context, by Caller, id, to, old, keep string) (event.Receipt, error) {
	current, err := c.account(ctx, by, id)
	if err != nil {
		return event.Receipt{}, err
	}
	a, auth := current.state, by.Project.Auth
	change := func(checked string, _ bool) (event.Receipt, error) {
		if auth.PersonalDataCheck && account.TellsOfPerson(to, id, a.Email, a.Name, a.Phone) {
			return event.Receipt{}, account.ErrPasswordPersonal
		}
		if err := c.notRecent(ctx, by, a, to); err != nil {
			return event.Receipt{}, err
		}
		hash, err := c.Passwords.Hash(ctx, to)
		if err != nil {
			return event.Receipt{}, err
		}
		return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
			return a.ChangePassword(checked, hash, auth.InvalidateSessions && keep != "", keep, by.Locale)
		})
	}
	if a.Exists() && a.Password == "" {
		if receipt, err := change("", false); !errors.Is(err, account.ErrPasswordMoved) {
			return receipt, err
		} // no longer the first one
	}
	return c.withPassword(ctx, by, id, old, change)
}

// notRecent refuses a password that the account had not long ago.
func (c *Commands) notRecent(ctx context.Context, by Caller, a account.Account, password string) error {
	for _, earlier := range a.RecentPasswords(by.Project.Auth.PasswordHistory) {
		same, _, err := c.Passwords.Verify(ctx, password, earlier)
		if err != nil {
			return err
		}
		if same {
			return account.ErrPasswordRecent
		}
	}
	return nil
}
