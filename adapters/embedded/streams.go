package embedded

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

// What follows is for those who serve the log to others under EventStoreDB's rules (package protocol). They ask for
// more than the methods that every log has: expectations that are no revision, metadata, deletion, system streams.

// Expected revisions of Submit, Delete and Tombstone besides event.NoStream and those that are one.
const (
	Any          int64 = -2 // the stream may be at any revision, or not be there
	StreamExists int64 = -4 // the stream has events or metadata
)

// ErrDeleted: the stream was deleted, and for ever unless it is asked to exist (StreamExists); nothing was stored.
var ErrDeleted = errors.New("the stream was deleted")

// ConflictError is an event.ErrConflict that tells where the stream is.
type ConflictError struct {
	Expected int64
	Current  int64 // revision of the newest event, event.NoStream when there is none
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%v: it is at %d, not %d", event.ErrConflict, e.Current, e.Expected)
}

// Unwrap is event.ErrConflict.
func (e *ConflictError) Unwrap() error { return event.ErrConflict }

// maxSystemName leaves room for names that are made of another stream's.
const maxSystemName = 1024

// checkStream is nil for a name that a stream can have.
func checkStream(stream string) error {
	most := event.MaxStreamName
	if strings.HasPrefix(stream, "$") {
		most = maxSystemName
	}
	if !event.IsName(stream, most) {
		return fmt.Errorf("a stream name has 1 to %d bytes of UTF-8", most)
	}
	return nil
}

// Pending is an append that stands in the queue.
type Pending struct {
	log     *Log
	request *request
}

// Submit puts an append into the queue. Those of one goroutine are decided in the order they were submitted. It is as
// Append, and besides:
//
//   - the stream may be a system stream, and there may be no events: then nothing is stored and the receipt tells the
//     stream's revision and no position;
//   - with Any and StreamExists the ids of events appended a while ago are recognised as long as they are remembered,
//     which ends with the process: all of them in this stream give the first receipt, only the first of them a conflict;
//   - conflicts are a *ConflictError.
func (l *Log) Submit(ctx context.Context, stream string, expected int64, events []event.Proposed) (*Pending, error) {
	err := checkStream(stream)
	if err == nil {
		err = event.CheckEvents(events)
	}
	if err != nil {
		return nil, fmt.Errorf("append to %q: %w", stream, err)
	}
	return l.enqueue(ctx, &request{stream: stream, expected: expected, events: events, remember: true})
}

// Wait gives the answer to the append.
func (p *Pending) Wait(ctx context.Context) (event.Receipt, error) {
	receipt, err := p.log.wait(ctx, p.request)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", p.request.stream, err)
	}
	return receipt, nil
}

func (l *Log) enqueue(ctx context.Context, r *request) (*Pending, error) {
	if err := l.submit(ctx, r); err != nil {
		return nil, fmt.Errorf("append to %q: %w", r.stream, err)
	}
	return &Pending{l, r}, nil
}

// Delete hides all events of a stream, which must have some. The next append brings it back, with the revision behind
// the last one; then it may expect that revision, or event.NoStream. Deleting it again changes nothing.
func (l *Log) Delete(ctx context.Context, stream string, expected int64) (event.Position, error) {
	return l.remove(ctx, &request{stream: stream, expected: expected, deed: hiding, events: []event.Proposed{{
		ID: event.ID(uuid.New()), Type: metadataType, Data: fmt.Appendf(nil, `{"$tb":%d}`, gone),
	}}})
}

// Tombstone ends a stream for ever.
func (l *Log) Tombstone(ctx context.Context, stream string, expected int64) (event.Position, error) {
	return l.remove(ctx, &request{stream: stream, expected: expected, deed: burying, events: []event.Proposed{{
		ID: event.ID(uuid.New()), Type: deletedType,
	}}})
}

func (l *Log) remove(ctx context.Context, r *request) (event.Position, error) {
	if err := checkStream(r.stream); err != nil {
		return event.Position{}, fmt.Errorf("delete %q: %w", r.stream, err)
	}
	receipt, err := l.ask(ctx, r)
	if err != nil {
		return event.Position{}, fmt.Errorf("delete %q: %w", r.stream, err)
	}
	return receipt.Position, nil
}

// State is what can be said of a stream without its events.
type State struct {
	Found      bool  // it has events and was not deleted
	Tombstoned bool  // it was deleted for ever
	First      int64 // revision of the oldest event that can be read; above Last when there is none
	Last       int64 // revision of the newest event, also of a stream that was deleted but not for ever; event.NoStream when there never was one
}

// State tells what a stream is now.
func (l *Log) State(ctx context.Context, stream string) (State, error) {
	if of, ok := described(stream); ok {
		// Metadata go with what they are about.
		if h, err := l.streamHead(ctx, l.file.reading, of); err != nil {
			return State{}, fmt.Errorf("read %q: %w", stream, err)
		} else if h.revision == gone {
			return State{Tombstoned: true, First: gone, Last: event.NoStream}, nil
		}
	}
	there, err := l.readable(ctx, stream)
	if err != nil {
		return State{}, fmt.Errorf("read %q: %w", stream, err)
	}
	found := there.last != event.NoStream && there.first != gone
	return State{Found: found, Tombstoned: there.ended, First: there.first, Last: there.last}, nil
}

// ReadPage is as Read, but may give fewer events than the limit when they are large; none means that there are no more.
func (l *Log) ReadPage(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	there, err := l.readable(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	return l.file.readStream(ctx, stream, there, from, dir, limit, maxStretchBytes)
}

// Everything admits every event, also those of system streams.
var Everything = event.Filter{Streams: []string{""}}

// ReadAll gives events of the whole log, system streams included: forward those at the position and behind it, oldest
// first; backward those before it, newest first. There may be fewer than the limit; none means that there are no more.
func (l *Log) ReadAll(ctx context.Context, from event.Position, dir event.Direction, limit int) ([]event.Recorded, error) {
	head, _, err := l.end(ctx)
	if err != nil {
		return nil, err
	}
	n := uint64(min(max(limit, 0), math.MaxInt32))
	if dir == event.Forward {
		after := max(from.Commit, 1) - 1
		if after >= head {
			return nil, nil
		}
		events, _, err := l.admitted(ctx, after, min(head, after+n), Everything)
		return events, err
	}
	if from.Commit == 0 {
		return nil, nil
	}
	upTo := min(from.Commit-1, head)
	return l.file.before(ctx, upTo-min(n, upTo), upTo)
}

// FollowAll is as Follow, with the tombstones of streams.
func (l *Log) FollowAll(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return follow(ctx, l, from.Commit, only, deliver)
}

// Watch gives the position of the newest event and a channel that is closed when there is a newer one, or when the log
// is closed.
func (l *Log) Watch(ctx context.Context) (event.Position, <-chan struct{}, error) {
	head, grown, err := l.end(ctx)
	return event.At(head), grown, err
}
