package account

import (
	"crypto/sha256"
	"encoding/json"
	"time"
)

// digest stands for preferences in the state: equal preferences need no event, and their 64 KiB need no memory.
type digest [sha256.Size]byte

var noPrefs = digest(sha256.Sum256([]byte("{}")))

// PrefsChanged: the account's preferences are these, all of them.
type PrefsChanged struct {
	Personal struct {
		Prefs json.RawMessage `json:"prefs"` // a compact JSON object
	} `json:"personal"`
}

// EventType is the wire name.
func (PrefsChanged) EventType() string { return "account.prefs-changed.v1" }

func (e PrefsChanged) evolve(a Account, _ time.Time) Account {
	a.prefs = sha256.Sum256(e.Personal.Prefs)
	return a
}

// ChangePrefs replaces the preferences by a compact JSON object.
func (a Account) ChangePrefs(to json.RawMessage) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.prefs == sha256.Sum256(to):
		return nil, nil // already so
	}
	var e PrefsChanged
	e.Personal.Prefs = to
	return []Event{e}, nil
}
