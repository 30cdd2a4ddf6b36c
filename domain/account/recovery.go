package account

import (
	"crypto/subtle"
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// RecoveryCodes is how many codes a set has.
const RecoveryCodes = 6

// recoveryCodes is a set of codes for who has lost the other factors. The codes are derived from the set's id.
type recoveryCodes struct {
	set  string // empty = there is none
	used []int  // indexes
}

// What recovery codes answer.
var (
	ErrRecoveryCodesExist   = refusal.New(refusal.Conflict, "user_recovery_codes_already_exists", "The current user already generated recovery codes and they can only be read once from this endpoint.")
	ErrRecoveryCodesUnknown = refusal.New(refusal.NotFound, "user_recovery_codes_not_found", "Recovery codes could not be found for the current user.")
)

// CodeOf gives a code of a set.
type CodeOf func(set string, index int) string

// RecoveryCodesMade: the account has a set of recovery codes. It replaces the last one.
type RecoveryCodesMade struct {
	Set    string `json:"set"`              // its id
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (RecoveryCodesMade) EventType() string { return "account.recovery-codes-made.v1" }

func (e RecoveryCodesMade) evolve(a Account, _ time.Time) Account {
	a.recovery = recoveryCodes{set: e.Set}
	return a
}

// RecoveryCodesRemoved: the codes of the set are worth nothing any more.
type RecoveryCodesRemoved struct {
	Set string `json:"set"` // its id
}

// EventType is the wire name.
func (RecoveryCodesRemoved) EventType() string { return "account.recovery-codes-removed.v1" }

func (RecoveryCodesRemoved) evolve(a Account, _ time.Time) Account {
	a.recovery = recoveryCodes{}
	return a
}

// MakeRecoveryCodes gives the account its first set, or another one when all of the last were used.
func (a Account) MakeRecoveryCodes(e RecoveryCodesMade) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.recovery.set == e.Set:
		return nil, nil // already so
	case a.HasRecoveryCodes():
		return nil, ErrRecoveryCodesExist
	}
	return []Event{e}, nil
}

// RenewRecoveryCodes replaces the set, for a session that was proved a short while ago.
func (a Account) RenewRecoveryCodes(e RecoveryCodesMade, session string, now time.Time) ([]Event, error) {
	if a.exists && a.recovery.set == e.Set {
		return nil, nil // already so
	}
	if err := a.recentlyProved(session, now); err != nil {
		return nil, err
	}
	if !a.HasRecoveryCodes() {
		return nil, ErrRecoveryCodesUnknown
	}
	return []Event{e}, nil
}

// HasRecoveryCodes says that there is a code that was not used.
func (a Account) HasRecoveryCodes() bool {
	return a.recovery.set != "" && len(a.recovery.used) < RecoveryCodes
}

// RecoveryCodesLeft gives the codes that were not used, for a session that was proved a short while ago.
func (a Account) RecoveryCodesLeft(codeOf CodeOf, session string, now time.Time) ([]string, error) {
	if err := a.recentlyProved(session, now); err != nil {
		return nil, err
	}
	if !a.HasRecoveryCodes() {
		return nil, ErrRecoveryCodesUnknown
	}
	var left []string
	for i := range RecoveryCodes {
		if !slices.Contains(a.recovery.used, i) {
			left = append(left, codeOf(a.recovery.set, i))
		}
	}
	return left, nil
}

// find gives the index of a code that can be used. It looks at all, so that its time tells nothing.
func (r recoveryCodes) find(code string, codeOf CodeOf) (index int, ok bool) {
	index = -1
	for i := range RecoveryCodes {
		if subtle.ConstantTimeCompare([]byte(code), []byte(codeOf(r.set, i))) == 1 {
			index = i
		}
	}
	return index, r.set != "" && index >= 0 && !slices.Contains(r.used, index)
}
