package account

import (
	"regexp"
	"time"
)

// Phone is a number in E.164 form, such as +4917612345678.
type Phone string

var validPhone = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// ParsePhone reads a number in E.164 form: +, and 7 to 15 digits that do not begin with 0 (ITU-T E.164, section 6).
func ParsePhone(s string) (Phone, bool) { return Phone(s), validPhone.MatchString(s) }

// PhoneChanged: the account is reached at another number, not yet verified, or at none.
type PhoneChanged struct {
	Hold     Hold   `json:"hold"`             // the claim on the new number
	LetGo    Hold   `json:"letGo,omitzero"`   // the claim on the old one, to be released; zero = there was none
	Locale   string `json:"locale,omitempty"` // of the letter that tells of it
	Personal struct {
		Phone Phone  `json:"phone"`
		Tell  string `json:"tell,omitempty"` // who is told of it, as Account.told gives it
	} `json:"personal"`
}

// EventType is the wire name.
func (PhoneChanged) EventType() string { return "account.phone-changed.v1" }

func (e PhoneChanged) evolve(a Account, _ time.Time) Account {
	a.Phone, a.PhoneHold, a.PhoneVerified = e.Personal.Phone, e.Hold, false
	a.WrongPasswords = 0 // the password was proved for it
	return a.withoutSecrets()
}

// ChangePhone moves the account to another number, to be verified anew. first is the hash of a password that an account
// without one takes on ("" = it has one).
func (a Account) ChangePhone(to Phone, hold Hold, first, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Phone == to:
		return nil, nil // already so
	}
	e := PhoneChanged{Hold: hold, LetGo: a.PhoneHold, Locale: locale}
	e.Personal.Phone, e.Personal.Tell = to, a.told()
	return append([]Event{e}, a.firstPassword(first, a.told(), locale)...), nil
}

// PhoneVerified: the account's number was proved to be its owner's.
type PhoneVerified struct {
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (PhoneVerified) EventType() string { return "account.phone-verified.v1" }

func (PhoneVerified) evolve(a Account, _ time.Time) Account {
	a.PhoneVerified, a.owned = true, true
	return a
}
