package account

import (
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// Session is what decisions need to know of a session.
type Session struct {
	ID       string
	Expires  time.Time
	factors  []string  // proved so far
	provedAt time.Time // when a challenge was last passed in it; zero = never

	provider, providerUID string // the identity it came by, if it came by one
	refreshToken          string // of the provider; empty = there is none
	asking                refresh
}

// Providers of sessions, as clients see them.
const (
	ProviderEmail     = "email"
	ProviderAnonymous = "anonymous"
	ProviderMagicURL  = "magic-url"
	ProviderToken     = "token" // a code sent by mail
	ProviderPhone     = "phone"
)

// Factors a session can have been proved with.
const (
	FactorPassword  = "password"
	FactorAnonymous = "anonymous"
	FactorEmail     = "email"
	FactorPhone     = "phone"
	FactorOAuth     = "oauth2"
)

// waysIn is what a session tells of the token that opened it.
var waysIn = map[Purpose]struct{ provider, factor string }{
	ForMagicURL:  {ProviderMagicURL, FactorEmail},
	ForEmailCode: {ProviderToken, FactorEmail},
	ForPhoneCode: {ProviderPhone, FactorPhone},
}

// Why a session was revoked without its owner asking for just that one.
const (
	RevokedByLimit    = "limit"    // a newer one took its place
	RevokedByPassword = "password" // the password changed
	RevokedEverywhere = "everywhere"
	RevokedByDeletion = "deletion"
	RevokedByOwner    = "owner" // the account's owner showed up
)

// What sessions answer.
var ErrSessionUnknown = refusal.New(refusal.NotFound, "user_session_not_found", "The session could not be found.")

// SessionStarted: the account is signed in somewhere.
type SessionStarted struct {
	ID         string    `json:"id"`
	SecretHash string    `json:"secretHash"` // SHA-256 of the secret, hex
	Provider   string    `json:"provider"`
	Factors    []string  `json:"factors"`
	Expires    time.Time `json:"expires"`
	Locale     string    `json:"locale,omitempty"` // of the letter that tells of it
	// The provider's tokens, where one was visited.
	AccessExpires time.Time `json:"accessExpires,omitzero"`
	Personal      struct {
		ProviderUID string `json:"providerUid,omitempty"`
		Access      string `json:"access,omitempty"`
		Refresh     string `json:"refresh,omitempty"`
		Alert       string `json:"alert,omitempty"` // the address that is told of it
	} `json:"personal"`
}

// EventType is the wire name.
func (SessionStarted) EventType() string { return "account.session-started.v1" }

func (e SessionStarted) evolve(a Account, at time.Time) Account {
	a.sessions = append(slices.Clip(a.sessions), Session{
		ID: e.ID, Expires: e.Expires, factors: e.Factors,
		provider: e.Provider, providerUID: e.Personal.ProviderUID, refreshToken: e.Personal.Refresh,
	})
	a.AccessedAt = at
	if e.Provider == ProviderEmail {
		a.WrongPasswords = 0
	}
	return a
}

// SignIn starts a session for a password that was checked against this hash. rehashed replaces the hash when its
// parameters are no longer today's ("" = keep). Of the account's sessions the newest limit are kept. alerts: the owner
// is told.
func (a Account) SignIn(started SessionStarted, checked, rehashed string, limit int, alerts bool, now time.Time) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrInvalidCredentials
	case a.hasSession(started.ID):
		return nil, nil // already so
	case a.Password != checked:
		return nil, ErrPasswordMoved
	case a.Blocked:
		return nil, ErrBlocked
	}
	started.Personal.Alert = a.alert(alerts)
	var events []Event
	if rehashed != "" {
		var e PasswordRehashed
		e.Personal.Password = rehashed
		events = append(events, e)
	}
	return append(events, a.startSession(started, limit, now)...), nil
}

// alert gives the address to tell of a new session: the first one is no news.
func (a Account) alert(wanted bool) string {
	if !wanted || len(a.sessions) == 0 || a.owned && !a.EmailVerified { // that address may be another's
		return ""
	}
	return string(a.Email)
}

// startSession makes room and starts: expired sessions go first, then the oldest.
func (a Account) startSession(started SessionStarted, limit int, now time.Time) []Event {
	kept := slices.DeleteFunc(slices.Clone(a.sessions), func(s Session) bool { return !s.Expires.After(now) })
	kept = kept[max(0, len(kept)-(limit-1)):]
	gone := slices.DeleteFunc(slices.Clone(a.sessions), func(s Session) bool {
		return slices.ContainsFunc(kept, func(k Session) bool { return k.ID == s.ID })
	})
	return append(a.revokeSessions(gone, RevokedByLimit), started)
}

// SessionExtended: a session lasts longer.
type SessionExtended struct {
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
	// The provider's tokens, where it gave others.
	Refreshed     bool      `json:"refreshed,omitempty"`
	AccessExpires time.Time `json:"accessExpires,omitzero"`
	Personal      struct {
		Access  string `json:"access,omitempty"`
		Refresh string `json:"refresh,omitempty"`
	} `json:"personal,omitzero"`
}

// EventType is the wire name.
func (SessionExtended) EventType() string { return "account.session-extended.v1" }

func (e SessionExtended) evolve(a Account, at time.Time) Account {
	return a.withSession(e.ID, func(s *Session) {
		s.Expires = e.Expires
		if e.Refreshed {
			s.refreshToken, s.asking.done = e.Personal.Refresh, at
		}
	})
}

// ExtendSession lets a session last until a time.
func (a Account) ExtendSession(id string, until, now time.Time) ([]Event, error) {
	s, ok := a.session(id)
	switch {
	case !ok || !s.Expires.After(now):
		return nil, ErrSessionUnknown // an expired session does not come back
	case s.Expires.Equal(until):
		return nil, nil // already so
	}
	return []Event{SessionExtended{ID: id, Expires: until}}, nil
}

// SessionEnded: somebody signed out there.
type SessionEnded struct {
	ID string `json:"id"`
}

// EventType is the wire name.
func (SessionEnded) EventType() string { return "account.session-ended.v1" }

func (e SessionEnded) evolve(a Account, _ time.Time) Account { return a.withoutSession(e.ID) }

// EndSession signs out in one place.
func (a Account) EndSession(id string) ([]Event, error) {
	if !a.hasSession(id) {
		return nil, ErrSessionUnknown
	}
	return []Event{SessionEnded{id}}, nil
}

// SignedOutEverywhere: the owner asked that all sessions end; the SessionRevoked events beside it name them.
type SignedOutEverywhere struct{}

// EventType is the wire name.
func (SignedOutEverywhere) EventType() string { return "account.signed-out-everywhere.v1" }

func (SignedOutEverywhere) evolve(a Account, _ time.Time) Account { return a }

// EndSessions signs out everywhere.
func (a Account) EndSessions() ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case len(a.sessions) == 0:
		return nil, nil // already so
	}
	return append([]Event{SignedOutEverywhere{}}, a.revokeSessions(a.sessions, RevokedEverywhere)...), nil
}

// SessionRevoked: a session ended for a reason that lies outside of it.
type SessionRevoked struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// EventType is the wire name.
func (SessionRevoked) EventType() string { return "account.session-revoked.v1" }

func (e SessionRevoked) evolve(a Account, _ time.Time) Account { return a.withoutSession(e.ID) }

func (a Account) revokeSessions(which []Session, reason string) []Event {
	events := make([]Event, 0, len(which)+1)
	for _, s := range which {
		events = append(events, SessionRevoked{s.ID, reason})
	}
	return events
}

func (a Account) session(id string) (Session, bool) {
	i := slices.IndexFunc(a.sessions, func(s Session) bool { return s.ID == id })
	if i < 0 {
		return Session{}, false
	}
	return a.sessions[i], true
}

func (a Account) hasSession(id string) bool {
	_, ok := a.session(id)
	return ok
}

func (a Account) withSession(id string, change func(*Session)) Account {
	a.sessions = slices.Clone(a.sessions)
	for i := range a.sessions {
		if a.sessions[i].ID == id {
			change(&a.sessions[i])
		}
	}
	return a
}

func (a Account) withoutSession(id string) Account {
	a.sessions = slices.DeleteFunc(slices.Clone(a.sessions), func(s Session) bool { return s.ID == id })
	return a
}

// Sessions gives the sessions that have not ended, expired ones included, oldest first.
func (a Account) Sessions() []Session { return slices.Clone(a.sessions) }
