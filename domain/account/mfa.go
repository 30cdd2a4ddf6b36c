package account

import (
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// Factors that a challenge can ask for, beside FactorEmail and FactorPhone.
const (
	FactorTOTP     = "totp"
	FactorRecovery = "recoverycode"
)

// proofLife is how long a passed challenge counts as recent.
const proofLife = 30 * time.Minute

// ErrChallengeRequired: what was asked for needs a challenge that was passed a short while ago.
var ErrChallengeRequired = refusal.New(refusal.Unauthorized, "user_challenge_required", "A recently succeeded challenge is required to complete this action. A challenge is considered recent for 30 minutes.")

// MFASwitched: a second factor is asked for from now on, or no longer.
type MFASwitched struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"` // empty = its owner asked for it
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (MFASwitched) EventType() string { return "account.mfa-switched.v1" }

func (e MFASwitched) evolve(a Account, _ time.Time) Account {
	a.MFA = e.On
	return a
}

// ErrOneFactorOnly: there would be no second factor to prove, only the first again.
var ErrOneFactorOnly = refusal.New(refusal.Invalid, "general_bad_request", "The account would be left without a second factor beside the one that opens it. Add another one, or switch MFA off, first.")

// SwitchMFA asks for a second factor, or no longer. The session that asks counts as proved with every factor that was
// verified, or its owner would be locked out by what they just did.
func (a Account) SwitchMFA(on bool, session string, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case !a.hasSession(session):
		return nil, ErrSessionUnknown
	case a.MFA == on:
		return nil, nil // already so
	}
	events := []Event{MFASwitched{On: on, Locale: locale}}
	if !on {
		events = append(events, a.unguarded(session)...)
	}
	if verified := a.verifiedFactors(); on && len(verified) > 0 {
		events = append(events, a.prove(session, verified, false)...)
		if s, _ := a.after(events).session(session); len(s.factors) < 2 {
			return nil, ErrOneFactorOnly
		}
	}
	return events, nil
}

// verifiedFactors lists the factors that were proved to be the owner's.
func (a Account) verifiedFactors() []string {
	var factors []string
	if a.authenticator.Verified {
		factors = append(factors, FactorTOTP)
	}
	if a.Email != "" && a.EmailVerified {
		factors = append(factors, FactorEmail)
	}
	if a.Phone != "" && a.PhoneVerified {
		factors = append(factors, FactorPhone)
	}
	return factors
}

// SessionProved: a session was proved with further factors.
type SessionProved struct {
	ID         string   `json:"id"`
	Factors    []string `json:"factors"`              // the new ones; none = one of those it has was proved again
	Challenged bool     `json:"challenged,omitempty"` // by passing a challenge, which counts as recent for a while
}

// EventType is the wire name.
func (SessionProved) EventType() string { return "account.session-proved.v1" }

func (e SessionProved) evolve(a Account, at time.Time) Account {
	return a.withSession(e.ID, func(s *Session) {
		s.factors = slices.Concat(s.factors, e.Factors)
		if e.Challenged {
			s.provedAt = at
		}
	})
}

// prove notes factors on a session, those that it does not have.
func (a Account) prove(session string, factors []string, challenged bool) []Event {
	s, ok := a.session(session)
	if !ok {
		return nil
	}
	added := slices.DeleteFunc(slices.Clone(factors), func(f string) bool { return slices.Contains(s.factors, f) })
	if len(added) == 0 && !challenged {
		return nil
	}
	return []Event{SessionProved{session, added, challenged}}
}

// recentlyProved refuses a session that has passed no challenge in a while.
func (a Account) recentlyProved(session string, now time.Time) error {
	s, _ := a.session(session)
	if s.provedAt.IsZero() || now.Sub(s.provedAt) >= proofLife {
		return ErrChallengeRequired
	}
	return nil
}
