package account

import (
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// Authenticator is a program that makes time-based codes (RFC 6238). An account has one at the most.
type Authenticator struct {
	ID       string
	Seed     string // Base32; empty = there is none
	Verified bool   // its owner gave a code of it
	step     int64  // of the last code that was taken
}

// What authenticators answer.
var (
	ErrAuthenticatorUnknown  = refusal.New(refusal.NotFound, "user_authenticator_not_found", "Authenticator could not be found on the current user.")
	ErrAuthenticatorVerified = refusal.New(refusal.Conflict, "user_authenticator_already_verified", "This authenticator is already verified on the current user.")
)

// StepOf gives the time step that a code of a seed belongs to, of those that are near now; false = of none.
type StepOf func(seed, code string) (step int64, ok bool)

// takes says which step a code belongs to, if it may be used: each step once, and none before one that was used (RFC
// 6238 section 5.2).
func (t Authenticator) takes(code string, stepOf StepOf) (step int64, ok bool) {
	if t.Seed == "" {
		return 0, false
	}
	step, ok = stepOf(t.Seed, code)
	return step, ok && step > t.step
}

// AuthenticatorAdded: somebody was shown the seed of an authenticator. It proves nothing until a code of it came back.
type AuthenticatorAdded struct {
	ID       string `json:"id"`
	Personal struct {
		Seed string `json:"seed"` // Base32
	} `json:"personal"`
}

// EventType is the wire name.
func (AuthenticatorAdded) EventType() string { return "account.authenticator-added.v1" }

func (e AuthenticatorAdded) evolve(a Account, _ time.Time) Account {
	a.authenticator = Authenticator{ID: e.ID, Seed: e.Personal.Seed}
	return a
}

// AddAuthenticator takes an authenticator on, in place of one that was never verified.
func (a Account) AddAuthenticator(e AuthenticatorAdded) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.authenticator.Verified:
		return nil, ErrAuthenticatorVerified
	case a.authenticator.ID == e.ID:
		return nil, nil // already so
	}
	return []Event{e}, nil
}

// SeedToVerify gives the seed as long as it may be shown: until it was verified.
func (a Account) SeedToVerify() (string, error) {
	switch {
	case a.authenticator.Seed == "":
		return "", ErrAuthenticatorUnknown
	case a.authenticator.Verified:
		return "", ErrAuthenticatorVerified
	}
	return a.authenticator.Seed, nil
}

// AuthenticatorVerified: the authenticator is its owner's: a code of it came back.
type AuthenticatorVerified struct {
	ID     string `json:"id"`
	Step   int64  `json:"step"`             // of the code, which is used up by it
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (AuthenticatorVerified) EventType() string { return "account.authenticator-verified.v1" }

func (e AuthenticatorVerified) evolve(a Account, _ time.Time) Account {
	a.authenticator.Verified, a.authenticator.step = true, e.Step
	return a
}

// VerifyAuthenticator takes the first code of an authenticator; the session that brought it is proved with it.
func (a Account) VerifyAuthenticator(code string, stepOf StepOf, session string, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case !a.hasSession(session):
		return nil, ErrSessionUnknown
	case a.authenticator.Seed == "":
		return nil, ErrAuthenticatorUnknown
	case a.authenticator.Verified:
		return nil, ErrAuthenticatorVerified
	}
	step, ok := a.authenticator.takes(code, stepOf)
	if !ok {
		return nil, ErrTokenInvalid
	}
	return append([]Event{AuthenticatorVerified{a.authenticator.ID, step, locale}}, a.prove(session, []string{FactorTOTP}, false)...), nil
}

// AuthenticatorRemoved: codes of the authenticator are worth nothing any more.
type AuthenticatorRemoved struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"` // empty = its owner asked for it
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (AuthenticatorRemoved) EventType() string { return "account.authenticator-removed.v1" }

func (AuthenticatorRemoved) evolve(a Account, _ time.Time) Account {
	a.authenticator = Authenticator{}
	return a
}

// RemoveAuthenticator removes the authenticator, for a session that was proved a short while ago.
func (a Account) RemoveAuthenticator(session string, locale string, now time.Time) ([]Event, error) {
	if err := a.recentlyProved(session, now); err != nil {
		return nil, err
	}
	if a.authenticator.Seed == "" {
		return nil, ErrAuthenticatorUnknown
	}
	removed := AuthenticatorRemoved{ID: a.authenticator.ID, Locale: locale}
	if a.after([]Event{removed}).lacksSecondFactor() {
		return nil, ErrOneFactorOnly
	}
	return append([]Event{removed}, a.unguarded(session)...), nil
}
