package commands

import (
	"context"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// Known gives what these commands remember of an account, and as of which revision.
func (c *Commands) Known(project, id string) (account.Account, event.Receipt, bool) {
	known, ok := c.accounts.Peek(AccountStream(project, id))
	return known.state, known.receipt(), ok
}

// Waiting gives how many names somebody works on, or waits for.
func (c *Commands) Waiting() int {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	return len(c.turns.names)
}

// Turns is the keyed lock by itself.
type Turns struct{ *turns }

// NewTurns gives one that nobody uses.
func NewTurns() Turns { return Turns{newTurns()} }

// Take waits for the turn on a name.
func (t Turns) Take(ctx context.Context, name string) (func(), error) { return t.take(ctx, name) }

// Names gives how many names take memory.
func (t Turns) Names() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.names)
}

// ClaimStream names the stream of a claim.
func ClaimStream(project, name string) string { return claimStream(project, name) }
