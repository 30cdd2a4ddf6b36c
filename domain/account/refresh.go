package account

import (
	"errors"
	"slices"
	"time"
)

// RefreshLife is how long a session's provider may take to give other tokens before another request may ask it.
const RefreshLife = 15 * time.Second

// ErrRefreshing: another request is asking the provider already. Wait for what comes of it; nothing was decided.
var ErrRefreshing = errors.New("the session's provider is being asked")

// refresh is the last request that asked the provider of a session.
type refresh struct {
	taking  string
	expires time.Time
	done    time.Time // when there were other tokens; zero = not yet
}

// SessionRefreshBegun: a request asks the provider of a session for other tokens. Until it has them, no other one asks: to
// many providers a token that comes twice is a stolen one.
type SessionRefreshBegun struct {
	ID      string    `json:"id"`
	Taking  string    `json:"taking"`  // which request
	Expires time.Time `json:"expires"` // who has heard nothing until then may ask
}

// EventType is the wire name.
func (SessionRefreshBegun) EventType() string { return "account.session-refresh-begun.v1" }

func (e SessionRefreshBegun) evolve(a Account, _ time.Time) Account {
	return a.withSession(e.ID, func(s *Session) { s.asking = refresh{taking: e.Taking, expires: e.Expires} })
}

// SessionRefreshEnded: the provider gave no other tokens.
type SessionRefreshEnded struct {
	ID     string `json:"id"`
	Taking string `json:"taking"`
}

// EventType is the wire name.
func (SessionRefreshEnded) EventType() string { return "account.session-refresh-ended.v1" }

func (e SessionRefreshEnded) evolve(a Account, _ time.Time) Account {
	return a.withSession(e.ID, func(s *Session) { s.asking = refresh{} })
}

// RefreshToken gives the token by which a session's provider is asked for others; "" = it is not asked: there never was
// one, or the provider was disconnected.
func (a Account) RefreshToken(session string) string {
	s, ok := a.session(session)
	if !ok || !slices.ContainsFunc(a.identities, func(i Identity) bool { return s.by(i) }) {
		return ""
	}
	return s.refreshToken
}

// BeginRefresh lets one request ask the provider, that has come at a time. ErrRefreshing: another one does, or has since.
func (a Account) BeginRefresh(e SessionRefreshBegun, now time.Time) ([]Event, error) {
	s, _ := a.session(e.ID)
	switch {
	case !s.Expires.After(now) || a.RefreshToken(e.ID) == "":
		return nil, ErrSessionUnknown
	case s.asking.taking == e.Taking && s.asking.done.IsZero():
		return nil, nil // already so
	case s.asking.goesOn(now), s.asking.since(now):
		return nil, ErrRefreshing
	}
	return []Event{e}, nil
}

// EndRefresh says that nothing came of asking.
func (a Account) EndRefresh(begun SessionRefreshBegun) ([]Event, error) {
	if s, _ := a.session(begun.ID); s.asking.taking != begun.Taking || !s.asking.done.IsZero() {
		return nil, nil // already so
	}
	return []Event{SessionRefreshEnded{begun.ID, begun.Taking}}, nil
}

// Refreshing says whether a request asks a session's provider now, and if none does, whether the last one brought tokens.
func (a Account) Refreshing(session string, now time.Time) (goesOn, done bool) {
	s, _ := a.session(session)
	return s.asking.goesOn(now), !s.asking.done.IsZero()
}

func (r refresh) goesOn(now time.Time) bool {
	return r.taking != "" && r.done.IsZero() && r.expires.After(now)
}

func (r refresh) since(when time.Time) bool { return !r.done.IsZero() && !r.done.Before(when) }

// RefreshSession lets a session last until a time, with the tokens that its provider gave for the one that was used. They
// take its place in the session and the identity, and nothing else's: what came meanwhile is newer, and who was
// disconnected keeps none.
func (a Account) RefreshSession(begun SessionRefreshBegun, used string, tokens ProviderTokens, until, now time.Time) ([]Event, error) {
	s, _ := a.session(begun.ID)
	if s.asking.taking == begun.Taking && !s.asking.done.IsZero() {
		return nil, nil // already so
	}
	if tokens.Refresh == "" {
		tokens.Refresh = used
	}
	var events []Event
	for _, i := range a.identities {
		if i.visitor.Refresh == used {
			events = append(events, i.refreshed(tokens)...)
		}
	}
	extended, err := a.ExtendSession(begun.ID, until, now)
	switch {
	case err != nil && len(events) > 0:
		return events, nil // it ended meanwhile: the provider may have taken the old token back all the same
	case err != nil:
		return nil, err
	case s.refreshToken != used: // it was disconnected meanwhile; who waits for it must not wait for nothing
		ended, _ := a.EndRefresh(begun)
		return append(append(events, ended...), extended...), nil
	}
	e := SessionExtended{ID: begun.ID, Expires: until, Refreshed: true, AccessExpires: tokens.AccessExpires}
	e.Personal.Access, e.Personal.Refresh = tokens.Access, tokens.Refresh
	return append(events, e), nil
}
