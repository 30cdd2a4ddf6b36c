// Package visit is the way of somebody to an OAuth2 provider and back (RFC 6749 section 4.1). A visit ends once: whoever
// comes back with its state a second time, late, from another provider or with another browser is turned away. The state
// itself is in no event: the visit's stream is named after a keyed hash of it.
package visit

import (
	"crypto/subtle"
	"time"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// Lifetime is how long somebody may be away.
const Lifetime = 10 * time.Minute

// Visit is the state of a visit. The zero value is one that nobody began.
type Visit struct {
	Begun
	ended bool
}

// Event is what can happen to a visit.
type Event interface {
	event.Fact
	evolve(Visit, time.Time) Visit
}

// Evolve gives the visit after an event.
func (v Visit) Evolve(at time.Time, e Event) Visit { return e.evolve(v, at) }

// Contract is every wire name ever stored.
var Contract = event.Contract[Event]{
	"visit.begun.v1": event.Today[Begun, Event],
	"visit.ended.v1": event.Today[Ended, Event],
}

// ErrUnknown: there is no such visit, it has ended, or it is somebody else's.
var ErrUnknown = refusal.New(refusal.Invalid, "general_bad_request", "This sign-in was not begun in this browser, has ended already or took too long. Please begin again.")

// Begun: somebody went to a provider.
type Begun struct {
	Provider string    `json:"provider"`
	Way      string    `json:"way"`               // where they go afterwards, sealed by a key that the state gives
	Token    bool      `json:"token,omitempty"`   // they come back with a token, not with a session
	Browser  string    `json:"browser,omitempty"` // SHA-256 of what their browser was given, hex; empty = a server began the visit for them
	Account  string    `json:"account,omitempty"` // who they were signed in as
	Expires  time.Time `json:"expires"`
}

// EventType is the wire name.
func (Begun) EventType() string { return "visit.begun.v1" }

func (e Begun) evolve(v Visit, _ time.Time) Visit {
	v.Begun = e
	return v
}

// Begin sends somebody on their way.
func (v Visit) Begin(e Begun) ([]Event, error) {
	switch {
	case v.Begun == e:
		return nil, nil // already so
	case v.Provider != "":
		return nil, ErrUnknown // two have drawn one state, or made it up
	}
	return []Event{e}, nil
}

// Ended: they came back.
type Ended struct{}

// EventType is the wire name.
func (Ended) EventType() string { return "visit.ended.v1" }

func (Ended) evolve(v Visit, _ time.Time) Visit {
	v.ended = true
	return v
}

// End lets them come back: from where they went, with what their browser was given.
func (v Visit) End(provider, browser string, now time.Time) ([]Event, error) {
	switch {
	case v.Provider == "" || v.ended || v.Provider != provider || !v.Expires.After(now):
		return nil, ErrUnknown
	case v.Browser != "" && subtle.ConstantTimeCompare([]byte(v.Browser), []byte(browser)) == 0:
		return nil, ErrUnknown
	}
	return []Event{Ended{}}, nil
}
