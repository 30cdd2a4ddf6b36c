package account

import "time"

// NameChanged: the account is shown under another name.
type NameChanged struct {
	Personal struct {
		Name string `json:"name"`
	} `json:"personal"`
}

// EventType is the wire name.
func (NameChanged) EventType() string { return "account.name-changed.v1" }

func (e NameChanged) evolve(a Account, _ time.Time) Account {
	a.Name = e.Personal.Name
	return a
}

// ChangeName gives the account another name.
func (a Account) ChangeName(to string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Name == to:
		return nil, nil // already so
	}
	var e NameChanged
	e.Personal.Name = to
	return []Event{e}, nil
}
