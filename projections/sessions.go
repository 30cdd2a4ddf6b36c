package projections

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// Session is a session that has not ended: a row of sessions. It may have expired. Times are UTC, in milliseconds.
type Session struct {
	bun.BaseModel `bun:"table:sessions"`

	Project      string `bun:",pk"`
	ID           string `bun:",pk"`
	AccountID    string
	SecretHash   string // SHA-256 of the secret, hex
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Expires      time.Time
	Provider     string
	ProviderUID  string
	IP           string // where it was started
	UserAgent    string // as it was sent
	Factors      []string
	MFAUpdatedAt time.Time `bun:",nullzero"` // when a challenge was last passed; zero = never

	ProviderAccess        string // the provider's tokens, where one was visited
	ProviderRefresh       string
	ProviderAccessExpires time.Time `bun:",nullzero"`
}

func (s Session) key() Key { return Key{s.Project, s.ID} }

// AfterScanRow is called by bun.
func (s *Session) AfterScanRow(context.Context) error {
	inUTC(&s.CreatedAt, &s.UpdatedAt, &s.Expires, &s.MFAUpdatedAt, &s.ProviderAccessExpires)
	return nil
}

// sessions is the read model of Session.
type sessions struct{}

// ofSession is the wire names of the events that name a session.
var ofSession = map[string]bool{
	"account.session-started.v1":  true,
	"account.session-extended.v1": true,
	"account.session-ended.v1":    true,
	"account.session-revoked.v1":  true,
	"account.session-proved.v1":   true,
}

// Keys names the session an event is about, which its data tells, or those that lose their provider by it.
func (sessions) Keys(r event.Recorded) ([]Key, error) {
	if r.Type != "account.identity-removed.v1" {
		return named(r, ofSession)
	}
	owner, err := accountOf(r.Stream)
	if err != nil {
		return nil, err
	}
	var e account.IdentityRemoved
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return nil, err
	}
	var keys []Key
	for _, id := range e.Sessions {
		keys = append(keys, Key{owner.Project, id})
	}
	return keys, nil
}

// Evolve gives the session after an event.
func (sessions) Evolve(row *Session, r event.Recorded) (*Session, error) {
	e, err := account.Contract.Read(r)
	if err != nil {
		return nil, err
	}
	m, err := r.ReadMetadata()
	if err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case account.SessionStarted:
		return newSession(e, r, m)
	case account.SessionExtended:
		if row == nil {
			return nil, errOrder
		}
		s := *row
		s.Expires, s.UpdatedAt = e.Expires, m.At
		if e.Refreshed {
			s.ProviderAccess, s.ProviderRefresh, s.ProviderAccessExpires = e.Personal.Access, e.Personal.Refresh, e.AccessExpires
		}
		return &s, nil
	case account.SessionProved:
		if row == nil {
			return nil, errOrder
		}
		s := *row
		s.Factors, s.UpdatedAt = slices.Concat(s.Factors, e.Factors), m.At
		if e.Challenged {
			s.MFAUpdatedAt = m.At
		}
		return &s, nil
	case account.IdentityRemoved:
		if row == nil {
			return nil, errOrder
		}
		s := *row
		s.ProviderAccess, s.ProviderRefresh, s.ProviderAccessExpires, s.UpdatedAt = "", "", time.Time{}, m.At
		return &s, nil
	default: // ended, revoked
		return nil, nil
	}
}

func newSession(e account.SessionStarted, r event.Recorded, m event.Metadata) (*Session, error) {
	owner, err := accountOf(r.Stream)
	if err != nil {
		return nil, err
	}
	s := Session{
		Project:     owner.Project,
		ID:          e.ID,
		AccountID:   owner.ID,
		SecretHash:  e.SecretHash,
		CreatedAt:   m.At,
		UpdatedAt:   m.At,
		Expires:     e.Expires,
		Provider:    e.Provider,
		ProviderUID: e.Personal.ProviderUID,
		Factors:     append([]string{}, e.Factors...),

		ProviderAccess: e.Personal.Access, ProviderRefresh: e.Personal.Refresh, ProviderAccessExpires: e.AccessExpires,
	}
	if m.Personal != nil {
		s.IP, s.UserAgent = m.Personal.IP, m.Personal.UserAgent
	}
	return &s, nil
}

// SignedIn is what the request of somebody who is signed in needs of their session.
type SignedIn struct {
	Session string // its id
	Factors []string
}

// bySecretQuery answers every request that is signed in, so it is prepared once, scanned by hand and reads no more than
// these need: two queries built by bun take more than twice as long, and each time costs a parse.
const bySecretQuery = `
SELECT ` + accountColumns + `, s.id, s.expires, s.factors
FROM sessions AS s JOIN accounts AS a ON a.project = s.project AND a.id = s.account_id
WHERE s.project = $1 AND s.account_id = $2 AND s.secret_hash = $3`

// BySecret gives whose session has this secret (SHA-256, hex), unless it has expired; false = nobody's. The account may
// be blocked. The error is ErrAway when nobody can tell.
func (r *ReadModels) BySecret(ctx context.Context, project, accountID, secretHash string, now time.Time) (Account, SignedIn, bool, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	a := scannedAccount{Account: Account{Project: project, ID: accountID}}
	var (
		in      SignedIn
		expires time.Time
		factors []byte
	)
	err := r.bySecret.QueryRowContext(ctx, project, accountID, secretHash).Scan(append(a.columns(), &in.Session, &expires, &factors)...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return Account{}, SignedIn{}, false, nil
	case err != nil:
		return Account{}, SignedIn{}, false, r.failed("look up a session", err)
	case !expires.After(now):
		return Account{}, SignedIn{}, false, nil
	}
	if err := json.Unmarshal(factors, &in.Factors); err != nil {
		return Account{}, SignedIn{}, false, fmt.Errorf("look up a session: its factors: %w", err)
	}
	return a.account(), in, true, nil
}

// Sessions gives an account's sessions that have not expired, oldest first.
func (r *ReadModels) Sessions(ctx context.Context, project, accountID string, now time.Time) ([]Session, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	var all []Session
	err := r.db.Read().NewSelect().Model(&all).
		Where("project = ? AND account_id = ? AND expires > ?", project, accountID, now.UTC()).
		Order("created_at", "id").Scan(ctx)
	if err != nil {
		return nil, r.failed("list sessions", err)
	}
	return all, nil
}

// Session gives one of an account's sessions that has not expired; false = there is none.
func (r *ReadModels) Session(ctx context.Context, project, accountID, id string, now time.Time) (Session, bool, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	var s Session
	err := r.db.Read().NewSelect().Model(&s).
		Where("project = ? AND id = ? AND account_id = ? AND expires > ?", project, id, accountID, now.UTC()).Scan(ctx)
	return found(r, s, err)
}
