package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/actahq/acta/domain/event"
)

// Read gives up to limit events of a stream: forward those with revision >= from, oldest first; backward those with
// revision <= from, newest first (event.End: from the newest). A stream that has no events, or was deleted, is empty,
// not an error. Errors: event.ErrDamaged (events are missing where the stream goes on, or it was tombstoned),
// event.ErrUnavailable, that of the context, and one without a name for a limit below 1.
func (l *Log) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	if limit < 1 {
		return nil, fmt.Errorf("read %q: the limit is %d", stream, limit)
	}
	events, err := ask(ctx, l, func(ctx context.Context, client *esdb.Client) ([]event.Recorded, error) {
		return readStream(ctx, client, stream, from, dir, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	return events, nil
}

func readStream(ctx context.Context, client *esdb.Client, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	options := esdb.ReadStreamOptions{Direction: esdb.Forwards, From: esdb.Revision(uint64(max(from, 0)))}
	switch {
	case dir == event.Forward && from == event.End, dir == event.Backward && from < 0:
		return nil, nil // a server would count beyond the numbers it has
	case dir == event.Backward && from == event.End:
		options.From = esdb.End{}
		fallthrough
	case dir == event.Backward:
		options.Direction = esdb.Backwards
	}
	answers, err := client.ReadStream(ctx, stream, options, uint64(limit))
	if err != nil {
		return nil, err
	}
	defer answers.Close() // one that is left open stays open, here and on the server
	var events []event.Recorded
	for len(events) < limit {
		r, err := answers.Recv()
		if errors.Is(err, io.EOF) || isNotFound(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		events = append(events, recorded(r.OriginalEvent()))
	}
	return events, checkOrder(events, stream, from, dir)
}

// checkOrder finds events that somebody has cut away, be it by a stream's metadata ($maxCount, $maxAge, $tb). To leave
// them out of an account's history in silence would make another account of it.
func checkOrder(events []event.Recorded, stream string, from int64, dir event.Direction) error {
	step := int64(1)
	if dir == event.Backward {
		step = -1
	}
	for i, e := range events {
		want := max(from, 0)
		switch {
		case i > 0:
			want = events[i-1].Revision + step
		case dir == event.Backward:
			want = min(from, e.Revision) // from may lie behind the newest
		}
		if e.Revision != want || e.Stream != stream {
			return fmt.Errorf("%w: revision %d of %q stands where revision %d of %q should, at position %s", event.ErrDamaged, e.Revision, e.Stream, want, stream, e.Position)
		}
	}
	return nil
}

// newest gives the position of the newest event of the whole log, a system event or not.
func newest(ctx context.Context, client *esdb.Client) (event.Position, error) {
	answers, err := client.ReadAll(ctx, esdb.ReadAllOptions{Direction: esdb.Backwards, From: esdb.End{}}, 1)
	if err != nil {
		return event.Position{}, err
	}
	defer answers.Close()
	r, err := answers.Recv()
	if errors.Is(err, io.EOF) {
		return event.Position{}, nil
	}
	if err != nil {
		return event.Position{}, err
	}
	return place(r.OriginalEvent().Position), nil
}

func recorded(r *esdb.RecordedEvent) event.Recorded {
	return event.Recorded{
		Proposed: event.Proposed{ID: event.ID(r.EventID), Type: r.EventType, Data: r.Data, Metadata: r.UserMetadata},
		Stream:   r.StreamID,
		Revision: int64(r.EventNumber),
		Position: place(r.Position),
		Recorded: r.CreatedDate,
	}
}

func place(p esdb.Position) event.Position {
	return event.Position{Commit: p.Commit, Prepare: p.Prepare}
}
