// Package process is what follows by itself: events in, commands out.
//
// A process follows the log with a checkpoint of its own and finishes one event before it begins the next. What it
// does must bear repetition: after a crash it meets again the events since its last checkpoint. It does not know
// read models; rebuilding those starts no process.
package process

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/actahq/acta/domain/event"
)

// Log is what a process follows. Package event tells what it must guarantee.
type Log interface {
	Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error
}

// Checkpoints keeps how far each process has come. What Save has stored survives a crash; what it has not may be lost.
type Checkpoints interface {
	Load(ctx context.Context, process string) (event.Position, error) // the zero Position for a process never seen
	Save(ctx context.Context, process string, at event.Position) error
	// SetAside keeps an event that a process can never finish, for people to look at. Keeping it again changes nothing.
	SetAside(context.Context, Aside) error
}

// Aside is an event that a process can never finish, because it cannot be read.
type Aside struct {
	Process  string
	Position event.Position
	Stream   string
	Revision int64
	Type     string
	Reason   string // without personal data
	At       time.Time
}

// Process is one thing that follows by itself.
type Process struct {
	Name   string
	Follow event.Filter
	// Delay is how old an event must be, so that what belongs to it has had its time.
	Delay time.Duration
	// On finishes the events of a wire name, or fails: then it is asked again, for as long as it takes, unless the event
	// cannot be read. Events with other names do not concern the process.
	On map[string]func(context.Context, event.Recorded) error

	failing atomic.Bool
}

// Failing says that the process is held up by an event it cannot finish.
func (p *Process) Failing() bool { return p.failing.Load() }

// The pause after a failure grows from the first to the second.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
)

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
