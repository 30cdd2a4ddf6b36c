package postgrestest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/uptrace/bun"
)

// Freeze lets a program stand still when it is about to send a statement, with all else that it sends on the same
// connections: what a process does that was stopped, or whose machine was.
type Freeze struct {
	before atomic.Pointer[string]
	first  sync.Once
	still  chan struct{} // closed when it stands still
	thaw   chan struct{} // closed when it goes on
	wake   sync.Once
}

// NewFreeze hooks into db, which nobody may use yet. It ends with the test.
func NewFreeze(t testing.TB, db *bun.DB) *Freeze {
	f := &Freeze{still: make(chan struct{}), thaw: make(chan struct{})}
	//lint:ignore SA1019 the database is open when the test comes to it
	db.AddQueryHook(f)
	t.Cleanup(f.Wake)
	return f
}

// Before freezes the program before the next statement that begins with a text.
func (f *Freeze) Before(text string) { f.before.Store(&text) }

// Still is closed when the program stands still.
func (f *Freeze) Still() <-chan struct{} { return f.still }

// Wake lets it go on, as if nothing had been.
func (f *Freeze) Wake() { f.wake.Do(func() { close(f.thaw) }) }

// BeforeQuery is called by bun.
func (f *Freeze) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if before := f.before.Load(); before != nil && strings.HasPrefix(e.Query, *before) {
		f.first.Do(func() { close(f.still) })
	}
	select {
	case <-f.still:
		<-f.thaw
	default:
	}
	return ctx
}

// AfterQuery is called by bun.
func (f *Freeze) AfterQuery(context.Context, *bun.QueryEvent) {}
