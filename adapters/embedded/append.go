package embedded

import (
	"context"
	"fmt"

	"github.com/actahq/acta/domain/event"
)

// Append stores events at the end of a stream, all or none, if the stream's newest revision is the expected one
// (event.NoStream: it has no events). When it returns nil the events are on the disk. The receipt is that of the last event.
//
// The same ids appended again at the same expected revision give the receipt of the first time and store nothing. So
// after an error that leaves the outcome open (event.ErrUnavailable, or that of a context that ended while the append
// was waiting) the caller may repeat the call as it was.
//
// Other errors say that nothing was stored: event.ErrConflict, event.ErrTooLarge, event.ErrDamaged (the stream),
// ErrDeleted, and one without a name for what no caller should ask: a stream name that is not 1 to 255 bytes of UTF-8, a type that is
// not 1 to 128, no event, an event without an id, an expected revision below event.NoStream.
//
// An append belongs to the log from the call on: its bytes must not be changed.
func (l *Log) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	if err := event.Check(stream, expected, events); err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", stream, err)
	}
	receipt, err := l.ask(ctx, &request{stream: stream, expected: expected, events: events})
	if err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", stream, err)
	}
	return receipt, nil
}

// ask hands a request to the writer and waits for the answer.
func (l *Log) ask(ctx context.Context, r *request) (event.Receipt, error) {
	if err := l.submit(ctx, r); err != nil {
		return event.Receipt{}, err
	}
	return l.wait(ctx, r)
}

func (l *Log) submit(ctx context.Context, r *request) error {
	if err := l.refuses(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.answered = make(chan struct{})
	select {
	case l.requests <- r:
		return nil
	case <-l.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Log) wait(ctx context.Context, r *request) (event.Receipt, error) {
	select {
	case <-r.answered:
		return r.receipt, r.err
	case <-ctx.Done():
		return event.Receipt{}, ctx.Err()
	case <-l.ended:
	}
	select {
	case <-r.answered:
		return r.receipt, r.err
	default: // it came into the queue when the writer had left
		return event.Receipt{}, errClosed
	}
}
