package account

import "time"

// Created: somebody has an account now.
type Created struct {
	EmailHold   Hold   `json:"emailHold,omitzero"`
	EmailTarget string `json:"emailTarget,omitempty"` // id of the delivery target for letters to the address
	PhoneHold   Hold   `json:"phoneHold,omitzero"`
	PhoneTarget string `json:"phoneTarget,omitempty"` // id of the delivery target for messages to the number
	Personal    struct {
		Email    Email  `json:"email,omitempty"`
		Phone    Phone  `json:"phone,omitempty"`
		Name     string `json:"name,omitempty"`
		Password string `json:"password,omitempty"` // PHC string
	} `json:"personal"`
}

// EventType is the wire name.
func (Created) EventType() string { return "account.created.v1" }

func (e Created) evolve(a Account, at time.Time) Account {
	a.exists = true
	a.Email, a.EmailHold, a.Name = e.Personal.Email, e.EmailHold, e.Personal.Name
	a.Phone, a.PhoneHold = e.Personal.Phone, e.PhoneHold
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

// CreateAndSend makes the account of an address that nobody held, and sends its first secret there.
func (a Account) CreateAndSend(e Created, token TokenIssued, now time.Time) ([]Event, error) {
	events, err := a.Create(e)
	if err != nil {
		return nil, err
	}
	sent, err := a.Evolve(now, e).IssueToken(token)
	if err != nil {
		return nil, err
	}
	return append(events, sent...), nil
}

// CreateSignedIn makes an account that nobody can be asked to prove, signed in where it was made.
func (a Account) CreateSignedIn(e Created, started SessionStarted) ([]Event, error) {
	if a.hasSession(started.ID) {
		return nil, nil // already so
	}
	events, err := a.Create(e)
	if err != nil {
		return nil, err
	}
	return append(events, started), nil
}

// SignUpTried: somebody asked for a new account with this account's address, where the project keeps to itself who is
// registered. The owner is told instead of them.
type SignUpTried struct {
	Locale   string `json:"locale,omitempty"` // of the letter, as the client asked for it
	Personal struct {
		To string `json:"to"` // e-mail address
	} `json:"personal"`
}

// EventType is the wire name.
func (SignUpTried) EventType() string { return "account.sign-up-tried.v1" }

func (e SignUpTried) evolve(a Account, at time.Time) Account {
	a.signUpTriedAt = at
	return a
}

// signUpTold is how long the owner is not told again.
const signUpTold = 24 * time.Hour

// NoteSignUp tells the owner that somebody tried to sign up with the address, once in signUpTold.
func (a Account) NoteSignUp(locale string, now time.Time) ([]Event, error) {
	if !a.exists || a.Blocked || a.Email == "" || now.Sub(a.signUpTriedAt) < signUpTold {
		return nil, nil
	}
	e := SignUpTried{Locale: locale}
	e.Personal.To = string(a.Email)
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

// Holds says whether one of the account's addresses or identities stands behind the claim.
func (a Account) Holds(claim string) bool {
	_, connected := a.identity(claim)
	return a.exists && (a.EmailHold.Claim == claim || a.PhoneHold.Claim == claim || connected)
}

// LapseClaim says no longer to mean the claim, and refuses when the account does hold it.
func (a Account) LapseClaim(claim string) ([]Event, error) {
	if a.Holds(claim) {
		return nil, ErrExists
	}
	return []Event{ClaimLapsed{claim}}, nil
}
