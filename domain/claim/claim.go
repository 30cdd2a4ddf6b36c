// Package claim is the ownership of a unique address: an e-mail, a phone number or a provider's subject.
//
// Whoever wants an address takes its claim first and then says so in the account's own stream; whoever leaves an
// address says so first and then releases the claim. A crash in between leaves a claim whose owner does not hold the
// address. What to do then stands in commands/claims.go. The claim itself does not know the address: its stream is
// named after a keyed hash.
package claim

import (
	"time"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// Claim is the state of an address. The zero value is an address nobody ever wanted.
type Claim struct {
	Owner  string    // account id; empty = free
	Taking string    // names this taking: releasing an earlier one releases nothing
	Since  time.Time // when it was taken
}

// Event is what can happen to a claim.
type Event interface {
	event.Fact
	evolve(Claim, time.Time) Claim
}

// Evolve gives the claim after an event.
func (c Claim) Evolve(at time.Time, e Event) Claim { return e.evolve(c, at) }

// Contract is every wire name ever stored.
var Contract = event.Contract[Event]{
	"claim.taken.v1":    event.Today[Taken, Event],
	"claim.released.v1": event.Today[Released, Event],
}

// ErrTaken: the address belongs to another account.
var ErrTaken = refusal.New(refusal.Conflict, "claim_taken", "This address belongs to another account.")

// Taken: an account says that the address is to be its own.
type Taken struct {
	Owner  string `json:"owner"`
	Taking string `json:"taking"`
}

// EventType is the wire name.
func (Taken) EventType() string { return "claim.taken.v1" }

func (e Taken) evolve(_ Claim, at time.Time) Claim { return Claim{e.Owner, e.Taking, at} }

// Released: the address is free again.
type Released struct {
	Taking string `json:"taking"`
}

// EventType is the wire name.
func (Released) EventType() string { return "claim.released.v1" }

func (e Released) evolve(Claim, time.Time) Claim { return Claim{} }

// Take makes the owner's next taking of the address. An owner that has it already takes it anew, so that an earlier
// release on its way can no longer hit. lapsed is a taking that was found to hold nothing ("" = none): it gives way.
func (c Claim) Take(owner, taking, lapsed string) ([]Event, error) {
	switch {
	case c.Taking == taking:
		return nil, nil // already so
	case c.Owner != "" && c.Owner != owner && c.Taking != lapsed:
		return nil, ErrTaken
	}
	return []Event{Taken{owner, taking}}, nil
}

// Release frees the address if it is still this taking's.
func (c Claim) Release(taking string) ([]Event, error) {
	if c.Taking != taking || c.Owner == "" {
		return nil, nil // already free, or taken again since
	}
	return []Event{Released{taking}}, nil
}
