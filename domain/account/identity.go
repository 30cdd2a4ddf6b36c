package account

import (
	"errors"
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// Visitor is who a provider says somebody is.
type Visitor struct {
	Provider      string
	Subject       string // the provider's id of them: with Provider, the identity. An address is none
	Email         Email  // empty = not told
	EmailVerified bool   // the provider says that the address is theirs
	Name          string
	ProviderTokens
}

// ProviderTokens is what lets an application ask the provider for more.
type ProviderTokens struct {
	Access, Refresh string    // empty = not given
	AccessExpires   time.Time // zero = not told
}

// Identity is a provider's account that opens this one.
type Identity struct {
	ID      string
	Hold    Hold // the claim on provider and subject
	visitor Visitor
}

// maxIdentities bounds what an account remembers.
const maxIdentities = 50

// What identities answer.
var (
	ErrIdentityUnknown   = refusal.New(refusal.NotFound, "user_identity_not_found", "Identity could not be found. Please sign in using OAuth provider to create identity first.")
	ErrIdentityTaken     = refusal.New(refusal.Conflict, "user_already_exists", "This account of the provider is connected with another account here.")
	ErrVisitorHasAccount = refusal.New(refusal.Conflict, "user_already_exists", "Another account here has the email address that the provider told.")
	ErrTooManyIdentities = refusal.New(refusal.Invalid, "general_bad_request", "The account has as many identities as it may. Remove one first.")
	ErrCannotLink        = refusal.New(refusal.Invalid, "general_bad_request", "There is an account with this email address, and one of both sides has not verified it. Sign in to that account and connect the provider from there.")
	ErrNoProviderEmail   = refusal.New(refusal.Unauthorized, "user_unauthorized", "The OAuth2 provider failed to return an email address.")

	// ErrIdentityMoved: the identity, or the address, is no longer the account's. Look again; nothing was decided.
	ErrIdentityMoved = errors.New("the identity or address moved while it was looked at")
)

// IdentityLinked: an account of a provider opens this one from now on.
type IdentityLinked struct {
	ID            string    `json:"id"`
	Provider      string    `json:"provider"`
	Hold          Hold      `json:"hold"`
	First         bool      `json:"first,omitempty"` // the account was made with it
	EmailVerified bool      `json:"emailVerified,omitempty"`
	AccessExpires time.Time `json:"accessExpires,omitzero"`
	Locale        string    `json:"locale,omitempty"` // of the letter that tells of it
	Personal      struct {
		Subject string `json:"subject"`
		Email   Email  `json:"email,omitempty"`
		Access  string `json:"access,omitempty"`
		Refresh string `json:"refresh,omitempty"`
	} `json:"personal"`
}

// EventType is the wire name.
func (IdentityLinked) EventType() string { return "account.identity-linked.v1" }

func (e IdentityLinked) evolve(a Account, _ time.Time) Account {
	a.identities = append(slices.Clip(a.identities), Identity{e.ID, e.Hold, Visitor{
		Provider: e.Provider, Subject: e.Personal.Subject, Email: e.Personal.Email, EmailVerified: e.EmailVerified,
		ProviderTokens: ProviderTokens{e.Personal.Access, e.Personal.Refresh, e.AccessExpires},
	}})
	return a
}

// IdentityRefreshed: the provider gave other tokens.
type IdentityRefreshed struct {
	ID            string    `json:"id"`
	AccessExpires time.Time `json:"accessExpires,omitzero"`
	Personal      struct {
		Access  string `json:"access,omitempty"`
		Refresh string `json:"refresh,omitempty"`
	} `json:"personal"`
}

// EventType is the wire name.
func (IdentityRefreshed) EventType() string { return "account.identity-refreshed.v1" }

func (e IdentityRefreshed) evolve(a Account, _ time.Time) Account {
	a.identities = slices.Clone(a.identities)
	for i := range a.identities {
		if a.identities[i].ID == e.ID {
			a.identities[i].visitor.ProviderTokens = ProviderTokens{e.Personal.Access, e.Personal.Refresh, e.AccessExpires}
		}
	}
	return a
}

// IdentityRemoved: an account of a provider opens this one no longer.
type IdentityRemoved struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	LetGo    Hold   `json:"letGo"`            // the claim to be released
	Reason   string `json:"reason,omitempty"` // empty = its owner asked for it
	Locale   string `json:"locale,omitempty"` // of the letter that tells of it
	// The sessions that came by it. They stay, without the provider's tokens.
	Sessions []string `json:"sessions,omitempty"`
}

// EventType is the wire name.
func (IdentityRemoved) EventType() string { return "account.identity-removed.v1" }

func (e IdentityRemoved) evolve(a Account, _ time.Time) Account {
	a.identities = slices.DeleteFunc(slices.Clone(a.identities), func(i Identity) bool { return i.ID == e.ID })
	for _, id := range e.Sessions {
		a = a.withSession(id, func(s *Session) { s.refreshToken = "" })
	}
	return a
}

// RemoveIdentity disconnects a provider's account. Sessions that it started stay, without the provider's tokens.
func (a Account) RemoveIdentity(id, locale string) ([]Event, error) {
	i := slices.IndexFunc(a.identities, func(i Identity) bool { return i.ID == id })
	if i < 0 {
		return nil, ErrIdentityUnknown
	}
	e := a.removed(a.identities[i])
	e.Locale = locale
	if a.after([]Event{e}).lacksSecondFactor() {
		return nil, ErrOneFactorOnly
	}
	return []Event{e}, nil
}

func (a Account) removed(i Identity) IdentityRemoved {
	e := IdentityRemoved{ID: i.ID, Provider: i.visitor.Provider, LetGo: i.Hold}
	for _, s := range a.sessions {
		if s.by(i) {
			e.Sessions = append(e.Sessions, s.ID)
		}
	}
	return e
}

// by says that a session came by an identity.
func (s Session) by(i Identity) bool {
	return s.provider == i.visitor.Provider && s.providerUID == i.visitor.Subject
}

// removeIdentities disconnects all. Where sessions end as well, they end after it: it names them.
func (a Account) removeIdentities(reason string) []Event {
	var events []Event
	for _, i := range a.identities {
		e := a.removed(i)
		e.Reason = reason
		events = append(events, e)
	}
	return events
}

func (a Account) identity(claim string) (Identity, bool) {
	i := slices.IndexFunc(a.identities, func(i Identity) bool { return i.Hold.Claim == claim })
	if i < 0 {
		return Identity{}, false
	}
	return a.identities[i], true
}

// Why a visitor may enter an account.
type Why int

// The reasons there are.
const (
	AsNew      Why = iota + 1 // there is none that they could mean
	ByIdentity                // it is connected with theirs
	ByAddress                 // it has their address, which both sides have verified
	BySession                 // they are signed in to it
)

// Entry is a visitor on the way into an account.
type Entry struct {
	Visitor
	Why         Why
	By          string // the session they are signed in with; BySession only
	Identity    Hold   // the claim on their identity
	EmailHold   Hold   // the claim on their address, for an account that has none
	EmailClaim  string // the name of that claim, by which the address was found; ByAddress only
	EmailTarget string // id of the delivery target; AsNew only
	IdentityID  string // of the identity, if it is to be connected
	Started     SessionStarted
	Token       TokenIssued // instead of Started, if its id is not empty
	Limit       int         // of sessions
	Locale      string      `json:"locale,omitempty"` // of the letter that tells of it
}

// Enter lets a visitor in: it connects the identity, or renews its tokens, takes on from the provider what the account
// does not know of its owner, and starts a session or issues the token that starts one.
func (a Account) Enter(e Entry, now time.Time) ([]Event, error) {
	if e.Token.ID != "" && a.tokens[ForOAuth].ID == e.Token.ID || a.hasSession(e.Started.ID) {
		return nil, nil // already so
	}
	if err := a.mayEnter(e); err != nil {
		return nil, err
	}
	var events []Event
	happens := func(more ...Event) {
		for _, m := range more {
			events, a = append(events, m), a.Evolve(now, m)
		}
	}
	if e.Why == AsNew {
		var created Created
		if created.Personal.Name = e.Name; e.Email != "" {
			created.EmailHold, created.EmailTarget, created.Personal.Email = e.EmailHold, e.EmailTarget, e.Email
		}
		happens(created)
	}
	id := e.IdentityID
	if known, ok := a.identity(e.Identity.Claim); ok {
		id = known.ID
		happens(known.refreshed(e.ProviderTokens)...)
	} else {
		happens(e.linked())
	}
	if a.Email == "" && e.EmailHold != (Hold{}) {
		happens(a.emailChanged(e.Email, e.EmailHold, e.Locale))
	}
	if e.EmailHold != (Hold{}) && a.EmailHold == e.EmailHold && e.EmailVerified && !a.EmailVerified {
		happens(EmailVerified{}) // only of an address that came with this visit
	}
	if a.Name == "" && e.Name != "" {
		named, _ := a.ChangeName(e.Name)
		happens(named...)
	}
	if e.Why == BySession {
		happens(SessionEnded{e.By}) // also for a token: who is signed in cannot redeem it
	}
	if e.Token.ID != "" {
		e.Token.Identity = id
		happens(e.Token)
		return events, nil
	}
	e.Started.as(e.Visitor) // the owner is not alerted: the provider saw them
	happens(a.startSession(e.Started, e.Limit, now)...)
	return events, nil
}

func (a Account) mayEnter(e Entry) error {
	switch e.Why {
	case AsNew:
		if a.exists || a.deleted {
			return ErrExists
		}
		return nil
	case ByIdentity:
		if _, ok := a.identity(e.Identity.Claim); !ok {
			return ErrIdentityMoved
		}
	case ByAddress:
		_, connected := a.identity(e.Identity.Claim)
		switch {
		case connected: // by another visit of theirs, in between
		case !a.exists || a.EmailHold.Claim != e.EmailClaim: // by the claim: one mailbox may be written in several ways
			return ErrIdentityMoved
		case !a.EmailVerified || !e.EmailVerified:
			return ErrCannotLink
		}
	case BySession:
		if !a.hasSession(e.By) {
			return ErrSessionUnknown
		}
	}
	_, connected := a.identity(e.Identity.Claim)
	switch {
	case a.Blocked:
		return ErrBlocked
	case !connected && len(a.identities) >= maxIdentities:
		return ErrTooManyIdentities
	}
	return nil
}

func (e Entry) linked() IdentityLinked {
	l := IdentityLinked{ID: e.IdentityID, Provider: e.Provider, Hold: e.Identity, EmailVerified: e.EmailVerified, AccessExpires: e.AccessExpires}
	if l.First = e.Why == AsNew; !l.First {
		l.Locale = e.Locale
	}
	l.Personal.Subject, l.Personal.Email, l.Personal.Access, l.Personal.Refresh = e.Subject, e.Email, e.Access, e.Refresh
	return l
}

// refreshed keeps the refresh token where the provider gives no other one.
func (i Identity) refreshed(tokens ProviderTokens) []Event {
	if tokens.Refresh == "" {
		tokens.Refresh = i.visitor.Refresh
	}
	if tokens == i.visitor.ProviderTokens {
		return nil
	}
	e := IdentityRefreshed{ID: i.ID, AccessExpires: tokens.AccessExpires}
	e.Personal.Access, e.Personal.Refresh = tokens.Access, tokens.Refresh
	return []Event{e}
}

// as says that the session was started by a visitor. It has one factor, whatever the provider asked them for.
func (s *SessionStarted) as(v Visitor) {
	s.Provider, s.Factors, s.AccessExpires = v.Provider, []string{FactorOAuth}, v.AccessExpires
	s.Personal.ProviderUID, s.Personal.Access, s.Personal.Refresh = v.Subject, v.Access, v.Refresh
}
