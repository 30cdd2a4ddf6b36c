package account

import "time"

// Blocked: the account is refused at every way in, until somebody with the right lifts it.
type Blocked struct{}

// EventType is the wire name.
func (Blocked) EventType() string { return "account.blocked.v1" }

func (Blocked) evolve(a Account, _ time.Time) Account {
	a.Blocked = true
	return a.withoutSecrets()
}

// Block closes the account. Its sessions stay, and are refused.
func (a Account) Block() ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Blocked:
		return nil, nil // already so
	}
	return []Event{Blocked{}}, nil
}

// Deleted: the account is no more. Its id is never given again, its addresses are free, its person is forgotten.
type Deleted struct {
	LetGo []Hold `json:"letGo,omitempty"` // claims to be released
}

// EventType is the wire name.
func (Deleted) EventType() string { return "account.deleted.v1" }

func (Deleted) evolve(Account, time.Time) Account { return Account{deleted: true} }

// Delete ends the account and its sessions.
func (a Account) Delete() ([]Event, error) {
	switch {
	case a.deleted:
		return nil, nil // already so
	case !a.exists:
		return nil, ErrUnknown
	}
	events := append(a.removeIdentities(RevokedByDeletion), a.revokeSessions(a.sessions, RevokedByDeletion)...)
	e := Deleted{}
	for _, hold := range []Hold{a.EmailHold, a.PhoneHold} {
		if hold != (Hold{}) {
			e.LetGo = append(e.LetGo, hold)
		}
	}
	return append(events, e), nil
}

// Accessed: the account was used on a day on which it had not been used before.
type Accessed struct{}

// EventType is the wire name.
func (Accessed) EventType() string { return "account.accessed.v1" }

func (Accessed) evolve(a Account, at time.Time) Account {
	a.AccessedAt = at
	return a
}

// AccessInterval is how old the last noted access must be for another one to be noted.
const AccessInterval = 24 * time.Hour

// Access notes that the account is in use, at most once in an AccessInterval.
func (a Account) Access(now time.Time) ([]Event, error) {
	if !a.exists || now.Sub(a.AccessedAt) < AccessInterval {
		return nil, nil
	}
	return []Event{Accessed{}}, nil
}
