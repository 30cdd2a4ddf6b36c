package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/actahq/acta/domain/event"
)

// skippedUnsaved stretches without anything for the process are passed before the checkpoint is saved: writing it for
// each would cost more than looking at them again after a crash.
const skippedUnsaved = 100

type eventKey struct{}

// eventOf is the event that a message of a subscriber brings.
func eventOf(m *message.Message) event.Recorded {
	e, _ := m.Context().Value(eventKey{}).(event.Recorded)
	return e
}

// subscriber is the log as a watermill subscription: from the checkpoint on, one message in flight, so that order is
// kept though the router handles each message in a goroutine of its own.
type subscriber struct {
	process     *Process
	log         Log
	checkpoints Checkpoints
	last        atomic.Value // what holds up the process, a holdUp
}

type holdUp struct{ err error }

// note keeps what holds up an event, to be told when it is nacked.
func (s *subscriber) note(e event.Recorded, err error) {
	if err != nil {
		err = fmt.Errorf("%s at %s: %w", e.Type, e.Position, err)
	}
	s.last.Store(holdUp{err})
}

// heldUpBy is what was noted last. While the breaker is open that is what made it open.
func (s *subscriber) heldUpBy() error {
	last, _ := s.last.Load().(holdUp)
	return last.err
}

// Subscribe follows the log until ctx ends.
func (s *subscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		pause := firstPause
		for ctx.Err() == nil {
			err := s.follow(ctx, out, func() { pause = firstPause; s.process.failing.Store(false) })
			if ctx.Err() != nil {
				return
			}
			s.process.failing.Store(true)
			slog.Error("a process is held up and tries again", "process", s.process.Name, "pause", pause, "error", err)
			wait(ctx, pause)
			pause = min(2*pause, longPause)
		}
	}()
	return out, nil
}

// Close has nothing to close: the subscription ends with its context.
func (s *subscriber) Close() error { return nil }

// follow goes on from the checkpoint until something fails. progress is told when the checkpoint has moved.
func (s *subscriber) follow(ctx context.Context, out chan<- *message.Message, progress func()) error {
	p := s.process
	at, _, err := s.checkpoints.Load(ctx, p.Name)
	if err != nil {
		return fmt.Errorf("read the checkpoint: %w", err)
	}
	head, err := s.log.Head(ctx) // after the checkpoint, which another instance may just have moved on
	if err != nil {
		return fmt.Errorf("look for the end of the log: %w", err)
	}
	// A log that has grown meanwhile is not the one that was followed either.
	if was := p.ahead.Load(); head.Before(at) || was != nil && *was == at {
		p.ahead.Store(&at)
		return fmt.Errorf("%w: it is at %s, the log ends at %s", ErrAhead, at, head)
	}
	p.ahead.Store(nil)
	skipped := 0
	return s.log.Follow(ctx, at, p.Follow, func(stretch event.Stretch) error {
		handled := false
		var finished event.Position
		for _, e := range stretch.Events {
			if p.On[e.Type] == nil {
				continue
			}
			if err := s.deliver(ctx, e, out); err != nil {
				if handled && ctx.Err() == nil {
					// Or each try of this one would first do again what came before it, and close the breaker by that.
					err = errors.Join(err, s.checkpoints.Save(ctx, p.Name, finished))
				}
				return err
			}
			handled, finished = true, e.Position
		}
		// One that was held up saves at once: only a checkpoint that moved is progress.
		if skipped++; !handled && skipped < skippedUnsaved && !p.Failing() {
			return nil
		}
		if err := s.checkpoints.Save(ctx, p.Name, stretch.UpTo); err != nil {
			return fmt.Errorf("save the checkpoint: %w", err)
		}
		skipped = 0
		progress()
		return nil
	})
}

// errNacked: the router gave an event back without having asked the process.
var errNacked = errors.New("the event was given back")

// deliver hands an event to the router and waits until it is finished.
func (s *subscriber) deliver(ctx context.Context, e event.Recorded, out chan<- *message.Message) error {
	m := message.NewMessage(e.ID.String(), message.Payload(e.Data))
	m.Metadata.Set("type", e.Type)
	m.Metadata.Set("position", e.Position.String())
	m.SetContext(context.WithValue(ctx, eventKey{}, e))
	select {
	case out <- m:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-m.Acked():
		return nil
	case <-m.Nacked():
		return cmp.Or(s.heldUpBy(), errNacked)
	case <-ctx.Done():
		return ctx.Err()
	}
}
