package protocol

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// near is how far behind the log's end a stream's follower may be to go on with the log instead of the stream: so much
// is in memory.
const near = 4 << 10

func newSubscriptionID() string { return uuid.NewString() }

// followAll sends every event behind a position: first those that are there, then those that come. A client that takes
// its time holds one stretch of the log in memory; what comes meanwhile is read when it wants it.
func (s *service) followAll(ctx context.Context, q *question, out *output) error {
	end, _, err := s.log.Watch(ctx)
	if err != nil {
		return err
	}
	from := event.At(q.position.Commit)
	if q.atEnd {
		from = end
	}
	if end.Before(from) {
		return fmt.Errorf("%w: the subscription is behind %s, but the log ends at %s", event.ErrDamaged, from, end)
	}
	if err := out.confirm(); err != nil {
		return err
	}
	var considered uint64
	caughtUp := false
	return s.log.FollowAll(ctx, from, embedded.Everything, func(stretch event.Stretch) error {
		for i := range stretch.Events {
			e := &stretch.Events[i]
			if q.filter.admits(e) {
				if err := out.event(e); err != nil {
					return err
				}
			}
			if considered++; q.filter != nil && considered%q.filter.every == 0 {
				if err := out.checkpoint(e.Position); err != nil {
					return err
				}
			}
		}
		if caughtUp = caughtUp && stretch.Live; caughtUp || !stretch.Live {
			return nil
		}
		caughtUp = true
		if q.filter != nil && stretch.UpTo != (event.Position{}) {
			if err := out.checkpoint(stretch.UpTo); err != nil {
				return err
			}
		}
		return out.caughtUp()
	})
}

// followStream sends every event of a stream behind a revision: up to the log's present end from the stream, and from
// there on from the log, which has them in one order with the tombstone that may end the stream.
func (s *service) followStream(ctx context.Context, q *question, out *output) error {
	end, _, err := s.log.Watch(ctx) // before the stream is read, so that nothing can come unnoticed in between
	if err != nil {
		return err
	}
	state, err := s.log.State(ctx, q.stream)
	if err != nil {
		return err
	}
	if state.Tombstoned {
		return streamDeleted(q.stream)
	}
	after := q.revision
	if q.atEnd {
		after = state.Last
	}
	if err := out.confirm(); err != nil {
		return err
	}
	sub := &streamFollower{service: s, out: out, stream: q.stream, after: after}
	if !q.atEnd {
		if end, err = sub.catchUp(ctx, end); err != nil {
			return err
		}
	}
	return sub.live(ctx, end)
}

// streamFollower is a subscription to a stream: how far it has come.
type streamFollower struct {
	*service
	out    *output
	stream string
	after  int64          // revision of the newest event sent, or behind which was asked for
	last   event.Position // of the newest event sent
}

// catchUp sends what is in the stream up to a position of the log, and gives the position from which the log goes on.
func (f *streamFollower) catchUp(ctx context.Context, end event.Position) (event.Position, error) {
	for {
		if err := f.sendUpTo(ctx, end); err != nil {
			return end, err
		}
		now, _, err := f.log.Watch(ctx)
		if err != nil {
			return end, err
		}
		if now.Commit-end.Commit <= near {
			break
		}
		end = now // it took so long that much has come meanwhile
	}
	state, err := f.log.State(ctx, f.stream)
	if state.Tombstoned {
		end = f.last // the stream cannot be read any more, but the log can
	}
	return end, err
}

func (f *streamFollower) sendUpTo(ctx context.Context, end event.Position) error {
	for f.after < math.MaxInt64 {
		events, err := f.log.ReadPage(ctx, f.stream, f.after+1, event.Forward, pageSize)
		if err != nil || len(events) == 0 {
			return err
		}
		for i := range events {
			if end.Before(events[i].Position) {
				return nil
			}
			if err := f.send(&events[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *streamFollower) send(e *event.Recorded) error {
	f.after, f.last = e.Revision, e.Position
	return f.out.event(e)
}

// live sends what comes into the log behind a position. A tombstone is the last event there is.
func (f *streamFollower) live(ctx context.Context, from event.Position) error {
	caughtUp := false
	return f.log.FollowAll(ctx, from, event.Filter{Streams: []string{f.stream}}, func(stretch event.Stretch) error {
		for i := range stretch.Events {
			e := &stretch.Events[i]
			if e.Stream != f.stream || e.Revision <= f.after {
				continue
			}
			if err := f.send(e); err != nil {
				return err
			}
			if e.Revision == math.MaxInt64 {
				return streamDeleted(f.stream)
			}
		}
		if caughtUp || !stretch.Live {
			return nil
		}
		caughtUp = true
		return f.out.caughtUp()
	})
}
