package projections

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// Identity is a provider's account that opens an account here: a row of identities. Times are UTC, in milliseconds.
type Identity struct {
	bun.BaseModel `bun:"table:identities"`

	Project       string `bun:",pk"`
	ID            string `bun:",pk"`
	AccountID     string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Provider      string
	ProviderUID   string
	ProviderEmail string // empty = the provider told none
	Access        string // the provider's tokens
	Refresh       string
	AccessExpires time.Time `bun:",nullzero"`
}

func (i Identity) key() Key { return Key{i.Project, i.ID} }

// AfterScanRow is called by bun.
func (i *Identity) AfterScanRow(context.Context) error {
	inUTC(&i.CreatedAt, &i.UpdatedAt, &i.AccessExpires)
	return nil
}

// identities is the read model of Identity.
type identities struct{}

// ofIdentity is the wire names of the events that name an identity.
var ofIdentity = map[string]bool{
	"account.identity-linked.v1":    true,
	"account.identity-refreshed.v1": true,
	"account.identity-removed.v1":   true,
}

// Keys names the identity an event is about.
func (identities) Keys(r event.Recorded) ([]Key, error) { return named(r, ofIdentity) }

// named gives the key of what the data of an event of some types names, and none for other types.
func named(r event.Recorded, types map[string]bool) ([]Key, error) {
	if !types[r.Type] {
		if _, known := account.Contract[r.Type]; !known {
			return nil, event.ErrUnknownType
		}
		return nil, nil
	}
	owner, err := accountOf(r.Stream)
	if err != nil {
		return nil, err
	}
	var e struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(r.Data, &e); err != nil {
		return nil, err
	}
	return []Key{{owner.Project, e.ID}}, nil
}

// Evolve gives the identity after an event.
func (identities) Evolve(row *Identity, r event.Recorded) (*Identity, error) {
	e, err := account.Contract.Read(r)
	if err != nil {
		return nil, err
	}
	m, err := r.ReadMetadata()
	if err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case account.IdentityLinked:
		owner, err := accountOf(r.Stream)
		if err != nil {
			return nil, err
		}
		return &Identity{
			Project: owner.Project, ID: e.ID, AccountID: owner.ID, CreatedAt: m.At, UpdatedAt: m.At,
			Provider: e.Provider, ProviderUID: e.Personal.Subject, ProviderEmail: string(e.Personal.Email),
			Access: e.Personal.Access, Refresh: e.Personal.Refresh, AccessExpires: e.AccessExpires,
		}, nil
	case account.IdentityRefreshed:
		if row == nil {
			return nil, errOrder
		}
		i := *row
		i.Access, i.Refresh, i.AccessExpires, i.UpdatedAt = e.Personal.Access, e.Personal.Refresh, e.AccessExpires, m.At
		return &i, nil
	default: // removed
		return nil, nil
	}
}

// Identities gives an account's identities, oldest first. There are at most fifty.
func (r *ReadModels) Identities(ctx context.Context, project, accountID string) ([]Identity, error) {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	var all []Identity
	err := r.db.Read().NewSelect().Model(&all).Where("project = ? AND account_id = ?", project, accountID).Order("created_at", "id").Scan(ctx)
	if err != nil {
		return nil, r.failed("list identities", err)
	}
	return all, nil
}
