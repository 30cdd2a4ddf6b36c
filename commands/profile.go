package commands

import (
	"context"
	"encoding/json"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// ChangeName gives an account another name.
func (c *Commands) ChangeName(ctx context.Context, by Caller, id, to string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.ChangeName(to) })
}

// ChangePrefs replaces an account's preferences by a compact JSON object.
func (c *Commands) ChangePrefs(ctx context.Context, by Caller, id string, to json.RawMessage) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.ChangePrefs(to) })
}

// NoteAccess notes that an account is in use, at most once a day.
func (c *Commands) NoteAccess(ctx context.Context, by Caller, id string) error {
	_, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.Access(c.now()) })
	return err
}

// Block closes an account to its owner.
func (c *Commands) Block(ctx context.Context, by Caller, id string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, account.Account.Block)
}

// DeleteAccount ends an account. Its addresses are free by the time this answers; its person is forgotten by the
// process that follows the log.
func (c *Commands) DeleteAccount(ctx context.Context, by Caller, id string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, account.Account.Delete)
}
