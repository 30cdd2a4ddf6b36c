package account

import "time"

// Created: somebody has an account now.
type Created struct {
	EmailHold   Hold   `json:"emailHold,omitzero"`
	EmailTarget string `json:"emailTarget,omitempty"` // id of the delivery target for letters to the address
	Personal    struct {
		Email    Email  `json:"email,omitempty"`
		Name     string `json:"name,omitempty"`
		Password string `json:"password,omitempty"` // PHC string
	} `json:"personal"`
}

// EventType is the wire name.
func (Created) EventType() string { return "account.created.v1" }

func (e Created) evolve(a Account, at time.Time) Account {
	a.exists = true
	a.Email, a.EmailHold, a.Name = e.Personal.Email, e.EmailHold, e.Personal.Name
	a.prefs = noPrefs
	a.AccessedAt = at
	return a.withPassword(e.Personal.Password)
}

// Create makes the account. An id that is or was another account's is refused.
func (a Account) Create(e Created) ([]Event, error) {
	if a.exists || a.deleted {
		return nil, ErrExists
	}
	return []Event{e}, nil
}

// ClaimLapsed: the account was found to have claimed an address that it does not hold. It changes nothing but the
// stream's revision, and that is its purpose: a command that was on its way to hold the address must start again.
type ClaimLapsed struct {
	Claim string `json:"claim"`
}

// EventType is the wire name.
func (ClaimLapsed) EventType() string { return "account.claim-lapsed.v1" }

func (e ClaimLapsed) evolve(a Account, _ time.Time) Account { return a }

// Holds says whether one of the account's addresses stands behind the claim.
func (a Account) Holds(claim string) bool { return a.exists && a.EmailHold.Claim == claim }

// LapseClaim says no longer to mean the claim, and refuses when the account does hold it.
func (a Account) LapseClaim(claim string) ([]Event, error) {
	if a.Holds(claim) {
		return nil, ErrExists
	}
	return []Event{ClaimLapsed{claim}}, nil
}
