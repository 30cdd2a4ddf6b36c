package commands

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// StartedSession is a new session and the only copy of its secret.
type StartedSession struct {
	account.SessionStarted
	AccountID string
	At        time.Time // when it started
	Secret    string    // 256 hex digits, 1024 random bits
}

// HashSecret is how a session's secret is kept: SHA-256, hex. A secret of 1024 random bits needs no slower hash.
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// newSession draws a session that begins now.
func (c *Commands) newSession(by Caller, owner string) StartedSession {
	session := StartedSession{AccountID: owner, Secret: randomHex(128)}
	session.ID, session.SecretHash = NewID(), HashSecret(session.Secret)
	session.from(c.now(), by.Project)
	if by.Project.Auth.SessionAlerts {
		session.Locale = by.Locale
	}
	return session
}

// from lets a session last a project's full duration from a time.
func (s *StartedSession) from(at time.Time, p *project.Project) {
	s.At, s.Expires = at, at.Add(p.Auth.SessionDuration)
}

// SignIn starts a session for an e-mail address and its password. What it refuses tells not which of the two was wrong;
// but unless answers are uniform, account.ErrGuessing tells of too many wrong passwords.
func (c *Commands) SignIn(ctx context.Context, by Caller, email account.Email, password string) (StartedSession, event.Receipt, error) {
	name := c.EmailClaim(email)
	owner, _, err := c.owner(ctx, by, name)
	if err != nil {
		return StartedSession{}, event.Receipt{}, err
	}
	if owner == "" {
		return StartedSession{}, event.Receipt{}, c.refuseInTurn(ctx, by, name, password)
	}
	by = by.as(owner)
	session := c.newSession(by, owner)
	session.Provider, session.Factors = account.ProviderEmail, []string{account.FactorPassword}
	session.Personal.ProviderUID = string(email)
	receipt, err := c.withPassword(ctx, by, owner, password, func(checked string, outdated bool) (event.Receipt, error) {
		rehashed := ""
		if outdated {
			if rehashed, err = c.Passwords.Hash(ctx, password); err != nil {
				return event.Receipt{}, err
			}
		}
		session.from(c.now(), by.Project)
		return c.changeAccount(ctx, by, owner, func(a account.Account) ([]account.Event, error) {
			return a.SignIn(session.SessionStarted, checked, rehashed, by.Project.Auth.SessionLimit, by.Project.Auth.SessionAlerts, session.At)
		})
	})
	switch {
	case errors.Is(err, account.ErrUnknown):
		err = account.ErrInvalidCredentials // deleted since the claim was read
	case errors.Is(err, account.ErrGuessing) && by.Uniform():
		err = c.refuseInTurn(ctx, by, name, password) // that there is a pause tells that there is an account
	}
	return session, receipt, err
}

// ExtendSession lets a session last a project's full duration from now.
func (c *Commands) ExtendSession(ctx context.Context, by Caller, id, session string) (event.Receipt, error) {
	now := c.now()
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		return a.ExtendSession(session, now.Add(by.Project.Auth.SessionDuration), now)
	})
}

// EndSession signs an account out in one place.
func (c *Commands) EndSession(ctx context.Context, by Caller, id, session string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.EndSession(session) })
}

// EndSessions signs an account out everywhere.
func (c *Commands) EndSessions(ctx context.Context, by Caller, id string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, account.Account.EndSessions)
}
