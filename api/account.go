package api

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
	"github.com/actahq/acta/projections"
)

type nothing struct{}

type accountAnswer struct{ Body *Account }

type createAccount struct {
	UserID   string        `json:"userId" check:"newID" doc:"1 to 36 characters, or unique() for one that is drawn."`
	Email    account.Email `json:"email" check:"email"`
	Password string        `json:"password" check:"newPassword"`
	Name     string        `json:"name,omitempty" check:"name"`
}

func (a *API) createAccount(ctx context.Context, in *Params[createAccount]) (*accountAnswer, error) {
	p, c := in.Value, callOf(ctx)
	if c.uniform() {
		p.UserID = commands.NewID() // whether an id of their choice was taken afterwards would tell
	}
	defer c.uniformly()()
	at, err := a.Commands.CreateAccount(ctx, c.caller(), commands.CreateAccount{
		ID: p.UserID, Email: p.Email, Password: p.Password, Name: p.Name,
	})
	if errors.Is(err, commands.ErrEmailTaken) && c.uniform() {
		a.ObserveCommand(c.operation, "ok")
		return &accountAnswer{accountModel(c.imaginaryAccount(p))}, nil
	}
	return a.accountAsOf(ctx, p.UserID, at, err)
}

// imaginaryAccount is how the account would look that was asked for with somebody else's address.
func (c *call) imaginaryAccount(p createAccount) projections.Account {
	now := c.api.Now().UTC().Truncate(time.Millisecond)
	return projections.Account{
		Project: c.project.ID, ID: p.UserID, CreatedAt: now, UpdatedAt: now, Name: p.Name, Email: string(p.Email), PasswordUpdatedAt: now,
		Prefs: json.RawMessage("{}"), AccessedAt: now, EmailTarget: commands.NewID(), EmailTargetCreatedAt: now, EmailTargetUpdatedAt: now,
	}
}

func (a *API) getAccount(ctx context.Context, _ *nothing) (*accountAnswer, error) {
	return &accountAnswer{accountModel(*callOf(ctx).account)}, nil
}

type prefsAnswer struct{ Body object }

func (a *API) getPrefs(ctx context.Context, _ *nothing) (*prefsAnswer, error) {
	return &prefsAnswer{object{RawMessage: callOf(ctx).account.Prefs}}, nil
}

type changeName struct {
	Name string `json:"name" check:"name"`
}

func (a *API) changeName(ctx context.Context, in *Params[changeName]) (*accountAnswer, error) {
	c := callOf(ctx)
	at, err := a.Commands.ChangeName(ctx, c.caller(), c.account.ID, in.Value.Name)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

type changeEmail struct {
	Email    account.Email `json:"email" check:"email"`
	Password string        `json:"password" check:"password" doc:"The account's; one without a password takes it on."`
}

func (a *API) changeEmail(ctx context.Context, in *Params[changeEmail]) (*accountAnswer, error) {
	c := callOf(ctx)
	if err := c.checkFirstPassword(in.Value.Password); err != nil {
		return nil, err
	}
	at, err := a.Commands.ChangeEmail(ctx, c.caller(), c.account.ID, in.Value.Email, in.Value.Password)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

type changePhone struct {
	Phone    account.Phone `json:"phone" check:"phone" doc:"In E.164 form."`
	Password string        `json:"password" check:"password" doc:"The account's; one without a password takes it on."`
}

func (a *API) changePhone(ctx context.Context, in *Params[changePhone]) (*accountAnswer, error) {
	c := callOf(ctx)
	if err := c.checkFirstPassword(in.Value.Password); err != nil {
		return nil, err
	}
	at, err := a.Commands.ChangePhone(ctx, c.caller(), c.account.ID, in.Value.Phone, in.Value.Password)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

// checkFirstPassword looks at a password that an account without one is about to take on.
func (c *call) checkFirstPassword(password string) error {
	if problem := c.commonPassword(password); problem != "" && c.account.PasswordUpdatedAt.IsZero() {
		return invalid("password", problem)
	}
	return nil
}

type changePassword struct {
	Password    string `json:"password" check:"newPassword"`
	OldPassword string `json:"oldPassword,omitempty" check:"password" doc:"Needed unless the account has no password yet."`
}

func (a *API) changePassword(ctx context.Context, in *Params[changePassword]) (*accountAnswer, error) {
	c := callOf(ctx)
	at, err := a.Commands.ChangePassword(ctx, c.caller(), c.account.ID, in.Value.Password, in.Value.OldPassword, c.current())
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

type changePrefs struct {
	Prefs object `json:"prefs" check:"prefs" doc:"The preferences, all of them. 64 KiB at the most."`
}

func (a *API) changePrefs(ctx context.Context, in *Params[changePrefs]) (*accountAnswer, error) {
	c := callOf(ctx)
	at, err := a.Commands.ChangePrefs(ctx, c.caller(), c.account.ID, in.Value.Prefs.RawMessage)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

// block is what a browser asks for with "close my account": it forgets the session, which stays and is refused.
func (a *API) block(ctx context.Context, _ *nothing) (*accountAnswer, error) {
	c := callOf(ctx)
	at, err := a.Commands.Block(ctx, c.caller(), c.account.ID)
	answer, err := a.accountAsOf(ctx, c.account.ID, at, err)
	if err == nil {
		c.takeSession()
	}
	return answer, err
}

func (a *API) deleteAccount(ctx context.Context, _ *nothing) (*nothing, error) {
	c := callOf(ctx)
	at, err := a.Commands.DeleteAccount(ctx, c.caller(), c.account.ID)
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	c.takeSession()
	return nil, nil
}

// settled counts a command's outcome and waits for the read models to show it; an error of the command is handed on.
func (a *API) settled(ctx context.Context, at event.Receipt, err error) error {
	outcome := "ok"
	if err == nil {
		err = a.wait(ctx, at)
	}
	if err != nil {
		outcome = "error"
		if r := refusal.Of(err); r != nil {
			outcome = r.Type
		}
	}
	a.ObserveCommand(callOf(ctx).operation, outcome)
	return err
}

// accountAsOf answers a command with the account as it is after it.
func (a *API) accountAsOf(ctx context.Context, id string, at event.Receipt, err error) (*accountAnswer, error) {
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	row, found, err := a.ReadModels.Account(ctx, callOf(ctx).project.ID, id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, account.ErrUnknown // deleted by another request since
	}
	return &accountAnswer{accountModel(row)}, nil
}
