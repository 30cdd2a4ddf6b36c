// Package process is what follows by itself: events in, commands out.
//
// A process follows the log with a checkpoint of its own and finishes one event before it begins the next. What it
// does must bear repetition: after a crash it meets again the events since its last checkpoint. It does not know
// read models; rebuilding those starts no process.
package process

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/actahq/acta/domain/event"
)

// Log is what a process follows. Package event tells what it must guarantee.
type Log interface {
	Head(ctx context.Context) (event.Position, error)
	Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error
}

// Checkpoints keeps how far each process has come. What Save has stored survives a crash; what it has not may be lost.
type Checkpoints interface {
	Load(ctx context.Context, process string) (at event.Position, seen bool, err error) // the zero Position for one never seen
	Save(ctx context.Context, process string, at event.Position) error
	// Begin stores where a process begins that was never seen, so that it survives loss of power. For others it does
	// nothing.
	Begin(ctx context.Context, process string, at event.Position) error
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
	ahead   atomic.Pointer[event.Position] // the checkpoint that was behind the log's end when we looked, if it was
}

// ErrAhead: the process has come further than the log, which therefore is not the log that it followed (a backup was
// restored). Following on would leave out what happens next.
var ErrAhead = errors.New("the process is ahead of the log, as after a restored backup, and does nothing until `acta restored` is run")

// BeginAtEnd has a process that was never seen begin at the end of the log: what it does about older events was done, or
// is too late. Whoever calls it before anything new is appended leaves none of the new ones out.
func (p *Process) BeginAtEnd(ctx context.Context, log Log, checkpoints Checkpoints) error {
	_, seen, err := checkpoints.Load(ctx, p.Name)
	if err != nil || seen {
		return err
	}
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	return checkpoints.Begin(ctx, p.Name, head)
}

// Failing says that the process is held up by an event it cannot finish.
func (p *Process) Failing() bool { return p.failing.Load() }

// Ahead says that the process does nothing because of ErrAhead.
func (p *Process) Ahead() bool { return p.ahead.Load() != nil }

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
