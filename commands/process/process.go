// Package process is what follows by itself: events in, commands out.
//
// A process follows the log with a checkpoint of its own and finishes one event before it begins the next. What it
// does must bear repetition: after a crash it meets again the events since its last checkpoint. It does not know
// read models; rebuilding those starts no process.
package process

import (
	"context"
	"fmt"
	"log/slog"
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
}

// Process is one thing that follows by itself.
type Process struct {
	Name   string
	Follow event.Filter
	// Delay is how old an event must be, so that what belongs to it has had its time.
	Delay time.Duration
	// On finishes the events of a wire name, or fails: then it is asked again, for as long as it takes. Events with
	// other names do not concern the process.
	On map[string]func(context.Context, event.Recorded) error

	failing atomic.Bool
}

// Failing says that the process is held up by an event it cannot finish.
func (p *Process) Failing() bool { return p.failing.Load() }

// The pause after a failure grows from the first to the second.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
	// skippedUnsaved stretches without anything for the process are passed before the checkpoint is saved: writing it
	// for each would cost more than looking at them again after a crash.
	skippedUnsaved = 100
)

// Run follows the log until ctx ends.
func (p *Process) Run(ctx context.Context, log Log, checkpoints Checkpoints) error {
	pause := firstPause
	for ctx.Err() == nil {
		err := p.follow(ctx, log, checkpoints, func() { pause = firstPause; p.failing.Store(false) })
		if ctx.Err() != nil {
			break
		}
		p.failing.Store(true)
		slog.Error("a process is held up and tries again", "process", p.Name, "pause", pause, "error", err)
		wait(ctx, pause)
		pause = min(2*pause, longPause)
	}
	return ctx.Err()
}

// follow goes on from the checkpoint until something fails. progress is told when the checkpoint has moved.
func (p *Process) follow(ctx context.Context, log Log, checkpoints Checkpoints, progress func()) error {
	at, err := checkpoints.Load(ctx, p.Name)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	skipped := 0
	return log.Follow(ctx, at, p.Follow, func(s event.Stretch) error {
		handled := false
		for _, e := range s.Events {
			on, ok := p.On[e.Type]
			if !ok {
				continue
			}
			if err := p.handle(ctx, e, on); err != nil {
				return fmt.Errorf("%s at %s: %w", e.Type, e.Position, err)
			}
			handled = true
		}
		// One that was held up saves at once: only a checkpoint that moved is progress.
		if skipped++; !handled && skipped < skippedUnsaved && !p.Failing() {
			return nil
		}
		if err := checkpoints.Save(ctx, p.Name, s.UpTo); err != nil {
			return fmt.Errorf("save the checkpoint: %w", err)
		}
		skipped = 0
		progress()
		return nil
	})
}

func (p *Process) handle(ctx context.Context, e event.Recorded, on func(context.Context, event.Recorded) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r) // one event that cannot be handled must not end the program
		}
	}()
	if p.Delay > 0 {
		m, err := e.ReadMetadata()
		if err != nil {
			return err
		}
		wait(ctx, min(time.Until(m.At.Add(p.Delay)), p.Delay)) // a clock that was ahead must not hold up what follows
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return on(ctx, e)
}

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
