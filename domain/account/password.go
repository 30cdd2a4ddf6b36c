package account

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// maxHistory is how many hashes are kept to refuse earlier passwords: the most a project may ask for.
const maxHistory = 20

// What passwords answer.
var (
	ErrInvalidCredentials = refusal.New(refusal.Unauthorized, "user_invalid_credentials", "Invalid credentials. Please check the email and password.")
	ErrPasswordRecent     = refusal.New(refusal.Invalid, "password_recently_used", "The password was used recently. Please choose another one.")
	ErrPasswordPersonal   = refusal.New(refusal.Invalid, "password_personal_data", "The password contains personal data such as your name, email or phone. Please choose another one.")
	ErrGuessing           = refusal.New(refusal.TooMany, "general_rate_limit_exceeded", "Too many wrong passwords were given for this account. Please wait before the next try.")

	// ErrPasswordMoved: the hash that was checked is no longer the account's. Check again; nothing was decided.
	ErrPasswordMoved = errors.New("the password changed while it was checked")
)

// PasswordChanged: another password opens the account.
type PasswordChanged struct {
	Recovered bool   `json:"recovered,omitempty"` // by a secret that was sent to the account's address
	Locale    string `json:"locale,omitempty"`    // of the letter that tells of it
	Personal  struct {
		Password string `json:"password"`       // PHC string
		Tell     string `json:"tell,omitempty"` // who is told of it, as Account.told gives it
	} `json:"personal"`
}

// EventType is the wire name.
func (PasswordChanged) EventType() string { return "account.password-changed.v1" }

func (e PasswordChanged) evolve(a Account, _ time.Time) Account {
	a.WrongPasswords, a.passwordByMail = 0, e.Recovered
	return a.withoutSecrets().withPassword(e.Personal.Password)
}

// PasswordRemoved: no password opens the account any more: its owner showed up, and it was not theirs.
type PasswordRemoved struct {
	Locale   string `json:"locale,omitempty"` // of the letter that tells of it
	Personal struct {
		Tell string `json:"tell"` // who is told of it: the owner, where they were proved to be
	} `json:"personal"`
}

// EventType is the wire name.
func (PasswordRemoved) EventType() string { return "account.password-removed.v1" }

func (PasswordRemoved) evolve(a Account, _ time.Time) Account {
	a.Password, a.earlierHashes, a.WrongPasswords = "", nil, 0
	return a.withoutSecrets()
}

func (a Account) withPassword(hash string) Account {
	a.Password = hash
	if hash != "" {
		a.earlierHashes = slices.Concat([]string{hash}, a.earlierHashes[:min(len(a.earlierHashes), maxHistory-1)])
	}
	return a
}

// firstPassword is the password of an account that had none.
func (a Account) firstPassword(hash, tell, locale string) []Event {
	if hash == "" {
		return nil
	}
	e := PasswordChanged{Locale: locale}
	e.Personal.Password, e.Personal.Tell = hash, tell
	return []Event{e}
}

// RecentPasswords gives the newest n hashes, the present one first.
func (a Account) RecentPasswords(n int) []string {
	return a.earlierHashes[:min(n, len(a.earlierHashes))]
}

// ChangePassword sets another password if the one that was checked still holds. revoke ends all sessions but keep.
func (a Account) ChangePassword(checked, hash string, revoke bool, keep, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Password == hash:
		return nil, nil // already so
	case a.Password != checked:
		return nil, ErrPasswordMoved
	}
	e := PasswordChanged{Locale: locale}
	e.Personal.Password, e.Personal.Tell = hash, a.told()
	events := []Event{e}
	if revoke {
		others := slices.DeleteFunc(slices.Clone(a.sessions), func(s Session) bool { return s.ID == keep })
		events = append(events, a.revokeSessions(others, RevokedByPassword)...)
	}
	return events, nil
}

// PasswordRehashed: the same password is kept under today's parameters.
type PasswordRehashed struct {
	Personal struct {
		Password string `json:"password"` // PHC string
	} `json:"personal"`
}

// EventType is the wire name.
func (PasswordRehashed) EventType() string { return "account.password-rehashed.v1" }

func (e PasswordRehashed) evolve(a Account, _ time.Time) Account {
	if len(a.earlierHashes) > 0 {
		a.earlierHashes = slices.Concat([]string{e.Personal.Password}, a.earlierHashes[1:])
	}
	a.Password = e.Personal.Password
	return a
}

// WrongPasswordGiven: somebody tried to act as the account with a wrong password.
type WrongPasswordGiven struct{}

// EventType is the wire name.
func (WrongPasswordGiven) EventType() string { return "account.wrong-password-given.v1" }

func (WrongPasswordGiven) evolve(a Account, at time.Time) Account {
	a.WrongPasswords++
	a.LastWrongGiven = at
	return a
}

// freeTries wrong passwords cost nothing but an event; after them each costs twice the time of the one before, up to maxWait.
const (
	freeTries = 10
	maxWait   = 15 * time.Minute
)

// MayTryPassword refuses, with the time to wait, while wrong passwords came too fast (NIST SP 800-63B-4 section 3.2.2: throttle
// well before 100 consecutive failures).
func (a Account) MayTryPassword(now time.Time) error {
	if a.WrongPasswords < freeTries {
		return nil
	}
	wait := maxWait
	if doublings := a.WrongPasswords - freeTries; doublings < 10 {
		wait = min(time.Second<<doublings, maxWait)
	}
	// A clock that went back makes nobody wait for much longer: what lies further ahead than maxWait was never true.
	if left := a.LastWrongGiven.Add(wait).Sub(now); left > 0 && left <= wait+maxWait {
		return ErrGuessing.After(min(left, wait))
	}
	return nil
}

// NoteWrongPassword counts a wrong password that was checked against this hash.
func (a Account) NoteWrongPassword(checked string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Password != checked:
		return nil, ErrPasswordMoved
	}
	return []Event{WrongPasswordGiven{}}, nil
}

// TellsOfPerson says whether a password contains, in any case form, the account's id, address, the address's local
// part, name, or number with or without its +.
func TellsOfPerson(password, id string, email Email, name string, phone Phone) bool {
	p := strings.ToLower(password)
	local, _, _ := strings.Cut(string(email), "@")
	for _, personal := range []string{id, string(email), local, name, strings.TrimPrefix(string(phone), "+")} {
		if personal != "" && strings.Contains(p, strings.ToLower(personal)) {
			return true
		}
	}
	return false
}
