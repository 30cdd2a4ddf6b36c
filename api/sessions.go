package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/projections"
)

type sessionAnswer struct{ Body *Session }

type createEmailSession struct {
	Email    account.Email `json:"email" check:"email"`
	Password string        `json:"password" check:"password"`
}

func (a *API) createEmailSession(ctx context.Context, in *Params[createEmailSession]) (*startedAnswer, error) {
	c := callOf(ctx)
	wait := c.uniformly()
	started, at, err := a.Commands.SignIn(ctx, c.caller(), in.Value.Email, in.Value.Password)
	if err != nil {
		wait() // a wrong password is recorded where there is an account
	}
	return a.startedAsOf(ctx, started, at, err)
}

// startedAnswer is a new session. Older generations confirm a token with 200.
type startedAnswer struct {
	Status int
	Body   *Session
}

// startedAsOf hands a new session to whoever started it.
func (a *API) startedAsOf(ctx context.Context, started commands.StartedSession, at event.Receipt, err error) (*startedAnswer, error) {
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	m := c.sessionModel(c.sessionRow(started)) // not read back: newer sessions may have taken its place already
	m.Current = true
	secret := credential{started.AccountID, started.Secret}.encode()
	if c.key != nil {
		m.Secret = secret
	}
	c.giveSession(secret, started.Expires)
	status := http.StatusCreated
	if c.r.Method == http.MethodPut && c.generation().before(1, 5) {
		status = http.StatusOK
	}
	return &startedAnswer{status, m}, nil
}

// sessionRow is the row of a session that was started.
func (c *call) sessionRow(s commands.StartedSession) projections.Session {
	return projections.Session{
		Project: c.project.ID, ID: s.ID, AccountID: s.AccountID, CreatedAt: s.At, UpdatedAt: s.At, Expires: s.Expires,
		Provider: s.Provider, ProviderUID: s.Personal.ProviderUID, IP: c.ip, UserAgent: c.userAgent(), Factors: s.Factors,
		ProviderAccess: s.Personal.Access, ProviderRefresh: s.Personal.Refresh, ProviderAccessExpires: s.AccessExpires,
	}
}

type sessionListAnswer struct{ Body *SessionList }

func (a *API) listSessions(ctx context.Context, _ *nothing) (*sessionListAnswer, error) {
	c := callOf(ctx)
	rows, err := a.ReadModels.Sessions(ctx, c.project.ID, c.account.ID, a.Now())
	if err != nil {
		return nil, err
	}
	list := &SessionList{Total: len(rows), Sessions: make([]*Session, len(rows))}
	for i, row := range rows {
		list.Sessions[i] = c.sessionModel(row)
	}
	return &sessionListAnswer{list}, nil
}

// sessionPath names a session; "current" is the one that asks.
type sessionPath struct {
	SessionID string `path:"sessionId" doc:"Session id, or current."`
}

// Resolve checks the id.
func (p *sessionPath) Resolve(huma.Context) []error { return checkPath("sessionId", p.SessionID) }

func (p sessionPath) id(c *call) string {
	if p.SessionID == "current" {
		if c.session == nil {
			return "" // by a JWT: no session asks
		}
		return c.session.Session
	}
	return p.SessionID
}

func (a *API) getSession(ctx context.Context, in *sessionPath) (*sessionAnswer, error) {
	c := callOf(ctx)
	row, err := a.findSession(ctx, c.account.ID, in.id(c))
	if err != nil {
		return nil, err
	}
	return &sessionAnswer{c.sessionModel(row)}, nil
}

func (a *API) extendSession(ctx context.Context, in *sessionPath) (*sessionAnswer, error) {
	c := callOf(ctx)
	row, err := a.findSession(ctx, c.account.ID, in.id(c))
	if err != nil {
		return nil, err
	}
	at, err := a.extend(ctx, row)
	row, err = a.sessionAsOf(ctx, c.account.ID, in.id(c), at, err)
	if err != nil {
		return nil, err
	}
	return &sessionAnswer{c.sessionModel(row)}, nil
}

// extend lets a session last; one that a provider started gets other tokens from it by that.
func (a *API) extend(ctx context.Context, row projections.Session) (event.Receipt, error) {
	c := callOf(ctx)
	provider, ok := a.Provider(c.project.ID, row.Provider)
	if !ok {
		return a.Commands.ExtendSession(ctx, c.caller(), c.account.ID, row.ID)
	}
	return a.Commands.RefreshSession(ctx, c.caller(), c.account.ID, row.ID, func(ctx context.Context, token string) (account.ProviderTokens, error) {
		tokens, err := provider.Refresh(ctx, token)
		if err != nil {
			err = c.providerError(row.Provider, "", err)
			if e, ok := errors.AsType[*Envelope](err); ok && e.Code == http.StatusFailedDependency {
				e.Code, e.retryAfter = http.StatusServiceUnavailable, providerRest // no failure URL here that would tell 424
			}
		}
		return tokens, err
	})
}

func (a *API) endSession(ctx context.Context, in *sessionPath) (*nothing, error) {
	c := callOf(ctx)
	at, err := a.Commands.EndSession(ctx, c.caller(), c.account.ID, in.id(c))
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	if c.session != nil && in.id(c) == c.session.Session {
		c.takeSession()
	}
	return nil, nil
}

func (a *API) endSessions(ctx context.Context, _ *nothing) (*nothing, error) {
	c := callOf(ctx)
	at, err := a.Commands.EndSessions(ctx, c.caller(), c.account.ID)
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	if c.session != nil {
		c.takeSession() // who comes by a JWT may be another browser, or a server
	}
	return nil, nil
}

// sessionAsOf finds a session as it is after a command.
func (a *API) sessionAsOf(ctx context.Context, account, id string, at event.Receipt, err error) (projections.Session, error) {
	if err := a.settled(ctx, at, err); err != nil {
		return projections.Session{}, err
	}
	return a.findSession(ctx, account, id)
}

func (a *API) findSession(ctx context.Context, accountID, id string) (projections.Session, error) {
	row, found, err := a.ReadModels.Session(ctx, callOf(ctx).project.ID, accountID, id, a.Now())
	switch {
	case err != nil:
		return row, err
	case !found:
		return row, account.ErrSessionUnknown
	}
	return row, nil
}
