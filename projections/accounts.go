package projections

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// Account is what people look at of an account: a row of accounts. Times are UTC, in milliseconds.
type Account struct {
	bun.BaseModel `bun:"table:accounts"`

	Project              string `bun:",pk"`
	ID                   string `bun:",pk"`
	CreatedAt            time.Time
	UpdatedAt            time.Time // of the profile; neither sessions nor access count
	Name                 string
	Email                string // empty = none
	Phone                string // empty = none
	EmailVerified        bool
	PhoneVerified        bool
	Blocked              bool
	PasswordUpdatedAt    time.Time `bun:",nullzero"` // zero = there is no password
	MFA                  bool
	Prefs                json.RawMessage // a JSON object
	AccessedAt           time.Time       // at most account.AccessInterval too old
	EmailTarget          string          // id of the delivery target; empty = none
	EmailTargetCreatedAt time.Time       `bun:",nullzero"`
	EmailTargetUpdatedAt time.Time       `bun:",nullzero"`
	PhoneTarget          string          // id of the delivery target; empty = none
	PhoneTargetCreatedAt time.Time       `bun:",nullzero"`
	PhoneTargetUpdatedAt time.Time       `bun:",nullzero"`
	Authenticator        bool            // there is one, and it was verified
	RecoveryCodes        int             // how many were not used
	Logged               int             // how many events the owner's security log lists
	Revision             int64           // of the stream's last event that is in the row
}

func (a Account) key() Key { return Key{a.Project, a.ID} }

// AfterScanRow is called by bun.
func (a *Account) AfterScanRow(context.Context) error {
	inUTC(&a.CreatedAt, &a.UpdatedAt, &a.PasswordUpdatedAt, &a.AccessedAt, &a.EmailTargetCreatedAt, &a.EmailTargetUpdatedAt,
		&a.PhoneTargetCreatedAt, &a.PhoneTargetUpdatedAt)
	return nil
}

// inUTC makes times read from a database those that were stored in it: drivers give them in zones of their own.
func inUTC(times ...*time.Time) {
	for _, t := range times {
		*t = t.UTC()
	}
}

// accountStreams is how the names of accounts' streams begin: account-<project>.<id>. A project's id holds no dot.
const accountStreams = "account-"

var (
	errStream = errors.New("the stream is not named like an account's")
	errOrder  = errors.New("the event does not follow the last one of its stream that was applied")
)

func accountOf(stream string) (Key, error) {
	name, ok := strings.CutPrefix(stream, accountStreams)
	project, id, named := strings.Cut(name, ".")
	if !ok || !named {
		return Key{}, errStream
	}
	return Key{project, id}, nil
}

func (k Key) accountStream() string { return accountStreams + k.Project + "." + k.ID }

// accounts is the read model of Account.
type accounts struct{}

// Keys names the account the stream belongs to.
func (accounts) Keys(r event.Recorded) ([]Key, error) {
	key, err := accountOf(r.Stream)
	return []Key{key}, err
}

// Evolve gives the account after an event.
func (accounts) Evolve(row *Account, r event.Recorded) (*Account, error) {
	e, err := account.Contract.Read(r)
	if err != nil {
		return nil, err
	}
	m, err := r.ReadMetadata()
	if err != nil {
		return nil, err
	}
	if row == nil {
		// A claim may lapse where there is no account yet, or no more.
		if created, ok := e.(account.Created); ok {
			return newAccount(created, r, m.At)
		}
		return nil, nil
	}
	if r.Revision != row.Revision+1 {
		return nil, errOrder
	}
	a := *row
	a.Revision = r.Revision
	if label(r) != "" {
		a.Logged++
	}
	switch e := e.(type) {
	case account.NameChanged:
		a.Name, a.UpdatedAt = e.Personal.Name, m.At
	case account.EmailChanged:
		a.Email, a.EmailVerified, a.UpdatedAt = string(e.Personal.Email), false, m.At
		switch {
		case a.Email == "":
			a.EmailTarget, a.EmailTargetCreatedAt, a.EmailTargetUpdatedAt = "", time.Time{}, time.Time{}
		case a.EmailTarget != "":
			a.EmailTargetUpdatedAt = m.At
		}
	case account.EmailVerified:
		a.EmailVerified, a.UpdatedAt = true, m.At
	case account.PhoneChanged:
		a.Phone, a.PhoneVerified, a.UpdatedAt = string(e.Personal.Phone), false, m.At
		switch {
		case a.Phone == "":
			a.PhoneTarget, a.PhoneTargetCreatedAt, a.PhoneTargetUpdatedAt = "", time.Time{}, time.Time{}
		case a.PhoneTarget != "":
			a.PhoneTargetUpdatedAt = m.At
		}
	case account.PhoneVerified:
		a.PhoneVerified, a.UpdatedAt = true, m.At
	case account.PasswordChanged:
		a.PasswordUpdatedAt, a.UpdatedAt = m.At, m.At
	case account.PasswordRemoved:
		a.PasswordUpdatedAt, a.UpdatedAt = time.Time{}, m.At
	case account.PrefsChanged:
		a.Prefs, a.UpdatedAt = orEmpty(e.Personal.Prefs), m.At
	case account.MFASwitched:
		a.MFA, a.UpdatedAt = e.On, m.At
	case account.AuthenticatorVerified:
		a.Authenticator, a.UpdatedAt = true, m.At
	case account.AuthenticatorRemoved:
		a.Authenticator, a.UpdatedAt = false, m.At
	case account.RecoveryCodesMade:
		a.RecoveryCodes, a.UpdatedAt = account.RecoveryCodes, m.At
	case account.RecoveryCodesRemoved:
		a.RecoveryCodes, a.UpdatedAt = 0, m.At
	case account.ChallengePassed:
		if e.Code != nil {
			a.RecoveryCodes--
		}
	case account.Blocked:
		a.Blocked, a.UpdatedAt = true, m.At
	case account.SessionStarted, account.Accessed:
		a.AccessedAt = m.At
	case account.Deleted:
		return nil, nil
	}
	return &a, nil
}

func newAccount(e account.Created, r event.Recorded, at time.Time) (*Account, error) {
	key, err := accountOf(r.Stream)
	if err != nil {
		return nil, err
	}
	a := Account{
		Project:    key.Project,
		ID:         key.ID,
		CreatedAt:  at,
		UpdatedAt:  at,
		Name:       e.Personal.Name,
		Email:      string(e.Personal.Email),
		Phone:      string(e.Personal.Phone),
		Prefs:      noPrefs,
		AccessedAt: at,
		Logged:     1,
		Revision:   r.Revision,
	}
	if e.Personal.Password != "" {
		a.PasswordUpdatedAt = at
	}
	if e.EmailTarget != "" {
		a.EmailTarget, a.EmailTargetCreatedAt, a.EmailTargetUpdatedAt = e.EmailTarget, at, at
	}
	if e.PhoneTarget != "" {
		a.PhoneTarget, a.PhoneTargetCreatedAt, a.PhoneTargetUpdatedAt = e.PhoneTarget, at, at
	}
	return &a, nil
}

var noPrefs = json.RawMessage("{}")

// orEmpty gives preferences, or none where the person was forgotten.
func orEmpty(prefs json.RawMessage) json.RawMessage {
	if prefs == nil {
		return noPrefs
	}
	return prefs
}

// accountColumns is what is not known of an account before it is looked up, in the order of columns.
const accountColumns = `a.created_at, a.updated_at, a.name, a.email, a.phone, a.email_verified, a.phone_verified, a.blocked,
       a.password_updated_at, a.mfa, a.prefs, a.accessed_at, a.email_target, a.email_target_created_at, a.email_target_updated_at,
       a.phone_target, a.phone_target_created_at, a.phone_target_updated_at, a.authenticator, a.recovery_codes,
       a.logged, a.revision`

const accountQuery = `SELECT ` + accountColumns + ` FROM accounts AS a WHERE a.project = $1 AND a.id = $2`

// scannedAccount is an account on its way out of a statement that is prepared, not built by bun.
type scannedAccount struct {
	Account
	password, emailCreated, emailUpdated, phoneCreated, phoneUpdated sql.NullTime
}

func (a *scannedAccount) columns() []any {
	return []any{&a.CreatedAt, &a.UpdatedAt, &a.Name, &a.Email, &a.Phone, &a.EmailVerified, &a.PhoneVerified, &a.Blocked,
		&a.password, &a.MFA, (*[]byte)(&a.Prefs), &a.AccessedAt, &a.EmailTarget, &a.emailCreated, &a.emailUpdated,
		&a.PhoneTarget, &a.phoneCreated, &a.phoneUpdated, &a.Authenticator, &a.RecoveryCodes,
		&a.Logged, &a.Revision}
}

func (a *scannedAccount) account() Account {
	a.PasswordUpdatedAt = a.password.Time
	a.EmailTargetCreatedAt, a.EmailTargetUpdatedAt = a.emailCreated.Time, a.emailUpdated.Time
	a.PhoneTargetCreatedAt, a.PhoneTargetUpdatedAt = a.phoneCreated.Time, a.phoneUpdated.Time
	_ = a.AfterScanRow(context.Background()) // it cannot fail
	return a.Account
}

// Account gives an account; false = there is none. The error is ErrAway when nobody can tell.
func (r *ReadModels) Account(ctx context.Context, project, id string) (Account, bool, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	a := scannedAccount{Account: Account{Project: project, ID: id}}
	err := r.byID.QueryRowContext(ctx, project, id).Scan(a.columns()...)
	return found(r, a.account(), err)
}

// CountAccounts tells how many accounts a project has.
func (r *ReadModels) CountAccounts(ctx context.Context, project string) (int, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	n, err := r.db.Read().NewSelect().Model((*Account)(nil)).Where("project = ?", project).Count(ctx)
	if err != nil {
		return 0, r.failed("count accounts", err)
	}
	return int(n), nil
}

// found gives the answer of a query for one row.
func found[Row any](r *ReadModels, row Row, err error) (Row, bool, error) {
	var none Row
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return none, false, nil
	case err != nil:
		return none, false, r.failed("read a row", err)
	}
	return row, true, nil
}
