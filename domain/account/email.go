package account

import (
	"cmp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Email is an address in lower case, as ParseEmail gives it.
type Email string

// ParseEmail reads a bare address: a dot-atom of at most 64 bytes, @, and a domain of at least two labels, letters of
// any script allowed; no display name, no quotes, no comments, no address literal (RFC 5321 sections 4.1.2 and 4.5.3.1, narrowed to
// what people have; RFC 6531 for the domain).
func ParseEmail(s string) (Email, bool) {
	local, _, ok := strings.Cut(s, "@")
	if !ok || !utf8.ValidString(s) || !validLocal(local) {
		return "", false
	}
	lower := strings.ToLower(s) // some letters grow by it
	if _, domain, _ := strings.Cut(lower, "@"); len(lower) > 254 || !validDomain(domain) {
		return "", false
	}
	return Email(lower), true
}

func validLocal(s string) bool {
	if len(s) > 64 {
		return false
	}
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, r := range atom {
			if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", r)) {
				return false
			}
		}
	}
	return true
}

func validDomain(s string) bool {
	labels := 0
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if !(r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)) {
				return false
			}
		}
		labels++
	}
	return labels >= 2
}

// EmailChanged: the account is reached at another address, not yet verified, or at none.
type EmailChanged struct {
	Hold     Hold   `json:"hold"`             // the claim on the new address
	LetGo    Hold   `json:"letGo"`            // the claim on the old one, to be released; zero = there was none
	Locale   string `json:"locale,omitempty"` // of the letter that tells of it
	Personal struct {
		Email Email  `json:"email"`
		Tell  string `json:"tell,omitempty"` // who is told of it, as Account.provenContact gives it: never the new address
	} `json:"personal"`
}

// EventType is the wire name.
func (EmailChanged) EventType() string { return "account.email-changed.v1" }

func (e EmailChanged) evolve(a Account, _ time.Time) Account {
	a.Email, a.EmailHold, a.EmailVerified = e.Personal.Email, e.Hold, false
	a.WrongPasswords = 0 // the password was proved for it
	return a.withoutSecrets()
}

// ChangeEmail moves the account to another address, to be verified anew. first is the hash of a password that an
// account without one takes on ("" = it has one).
func (a Account) ChangeEmail(to Email, hold Hold, first, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Email == to:
		return nil, nil // already so
	}
	return append([]Event{a.emailChanged(to, hold, locale)}, a.firstPassword(first, a.provenContact(), locale)...), nil
}

// emailChanged tells whom the account reached before. An address that nobody has proved may be a stranger's: once the
// account leaves it, it gets no more letters.
func (a Account) emailChanged(to Email, hold Hold, locale string) EmailChanged {
	e := EmailChanged{Hold: hold, LetGo: a.EmailHold, Locale: locale}
	e.Personal.Email, e.Personal.Tell = to, a.provenContact()
	return e
}

// provenContact is where the account's owner is known to be reached: the address, else the number; "" = neither was proved.
func (a Account) provenContact() string {
	switch {
	case a.Email != "" && a.EmailVerified:
		return string(a.Email)
	case a.PhoneVerified:
		return string(a.Phone)
	}
	return ""
}

// told is who hears that a way in has changed: the owner where they are known to be reached, else the address as it is.
func (a Account) told() string { return cmp.Or(a.provenContact(), string(a.Email)) }

// EmailVerified: the account's address was proved to be its owner's.
type EmailVerified struct{}

// EventType is the wire name.
func (EmailVerified) EventType() string { return "account.email-verified.v1" }

func (EmailVerified) evolve(a Account, _ time.Time) Account {
	a.EmailVerified, a.owned = true, true
	return a
}
