package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/actahq/acta/domain/event"
)

// Bounds of what a follower considers at once.
const (
	maxStretch      = 1000
	maxStretchBytes = 16 << 20 // of what is read from the file; what is in memory is shared
)

// Follow hands over every event behind a position, in order, each once: first those that are there, then those that
// come. A stretch without admitted events is handed over too, so that the follower's checkpoint moves on; the first
// one comes at once, also at the end of the log. Live says that the stretch reached the end.
//
// It ends with nil when deliver returns event.ErrStop, with any other error of deliver, with the context's, with
// event.ErrDamaged (also when the log ends before from: then it lost events), or with event.ErrUnavailable (the file
// cannot be read, or the log was closed). The events' bytes are shared between followers and must not be changed.
func (l *Log) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return follow(ctx, l, from.Commit, only, withoutTombstones(deliver))
}

// withoutTombstones leaves out the events that end a stream: they are the log's own, though they stand in the stream.
func withoutTombstones(deliver func(event.Stretch) error) func(event.Stretch) error {
	return func(s event.Stretch) error {
		s.Events = slices.DeleteFunc(s.Events, func(e event.Recorded) bool { return e.Revision == gone })
		return deliver(s)
	}
}

// source is a log as a follower needs it.
type source interface {
	// end gives the newest position, and a channel that tells when to look again.
	end(ctx context.Context) (uint64, <-chan struct{}, error)
	// admitted gives the events with after < position <= upTo that the filter admits, and how far it got.
	admitted(ctx context.Context, after, upTo uint64, only event.Filter) (_ []event.Recorded, considered uint64, _ error)
}

func follow(ctx context.Context, log source, from uint64, only event.Filter, deliver func(event.Stretch) error) error {
	for live := false; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		head, grown, err := log.end(ctx) // before reading, so that nothing can come unnoticed in between
		switch {
		case err != nil:
			return failedFollow(from, err)
		case from > head:
			return failedFollow(from, fmt.Errorf("%w: the log ends at position %d", event.ErrDamaged, head))
		case from == head && live:
			select {
			case <-grown:
			case <-ctx.Done():
			}
			continue
		}
		events, upTo, err := log.admitted(ctx, from, min(head, from+maxStretch), only)
		if err != nil {
			return failedFollow(from, err)
		}
		live = upTo == head
		if err := deliver(event.Stretch{Events: events, UpTo: event.At(upTo), Live: live}); errors.Is(err, event.ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
		from = upTo
	}
}

func failedFollow(from uint64, err error) error {
	return fmt.Errorf("follow the log behind position %d: %w", from, err)
}

func (l *Log) end(context.Context) (uint64, <-chan struct{}, error) {
	select {
	case <-l.closing:
		return 0, nil, errClosed
	default:
		head, grown := l.tail.end()
		return head, grown, nil
	}
}

// admitted gives events from memory if they are there; a follower that is behind reads the file.
func (l *Log) admitted(ctx context.Context, after, upTo uint64, only event.Filter) ([]event.Recorded, uint64, error) {
	if events, ok := l.tail.between(after, upTo, only); ok {
		return events, upTo, nil
	}
	return l.file.admitted(ctx, after, upTo, only)
}
