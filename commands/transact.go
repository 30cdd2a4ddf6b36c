package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// What a command answers when the log lets it down.
var (
	// ErrLogAway: whether the change was stored is unknown. Asking for the same again is safe.
	ErrLogAway = refusal.New(refusal.Unavailable, "general_event_log_unavailable", "The change could not be confirmed. Please try again in a moment.").After(2 * time.Second)
	// ErrContended: others kept changing the same thing; nothing was stored.
	ErrContended = refusal.New(refusal.Unavailable, "general_contended", "Too many changes arrived at once. Please try again in a moment.").After(time.Second)
)

var errUnreadable = errors.New("the event could not be read back")

const (
	maxConflicts = 32   // decisions made anew before giving up
	page         = 1000 // events read at once
)

// appendTime is how long an append may take with all its tries: a caller must have an answer within two seconds.
const appendTime = 1500 * time.Millisecond

// retryPauses lie between the tries of an append whose outcome is unknown.
var retryPauses = []time.Duration{20 * time.Millisecond, 200 * time.Millisecond}

// folded is a state and the place in its stream that it is as of.
type folded[S any] struct {
	state    S
	next     int64 // revision of the next event: how many there are
	position event.Position
}

func (f folded[S]) receipt() event.Receipt {
	return event.Receipt{Revision: f.next - 1, Position: f.position}
}

// evolving is a state that knows what its events do to it.
type evolving[S any, E event.Fact] interface {
	Evolve(at time.Time, e E) S
}

// fold reads a stream forward from what is known of it.
func fold[S evolving[S, E], E event.Fact](ctx context.Context, log Log, stream string, contract event.Contract[E], known folded[S]) (folded[S], error) {
	for {
		events, err := log.Read(ctx, stream, known.next, event.Forward, page)
		if err != nil {
			return known, unavailable(fmt.Errorf("read a stream: %w", err))
		}
		for _, r := range events {
			e, err := contract.Read(r)
			if err != nil {
				return known, err
			}
			m, err := r.ReadMetadata()
			if err != nil {
				return known, err
			}
			known = folded[S]{known.state.Evolve(m.At, e), r.Revision + 1, r.Position}
		}
		if len(events) < page {
			return known, nil
		}
	}
}

// propose gives events their wire form and their ids. The ids stay the same over all tries of one append, which is
// what makes trying again harmless.
func propose[E event.Fact](facts []E, m event.Metadata) ([]event.Proposed, error) {
	metadata, err := encode(m)
	if err != nil {
		return nil, fmt.Errorf("write metadata: %w", err)
	}
	proposed := make([]event.Proposed, len(facts))
	for i, fact := range facts {
		data, err := encode(fact)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", fact.EventType(), err)
		}
		if !json.Valid(data) {
			// Nested deeper than JSON is read: storing it would stop everybody who reads the stream.
			return nil, fmt.Errorf("write %s: %w", fact.EventType(), errUnreadable)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("draw an event id: %w", err)
		}
		proposed[i] = event.Proposed{ID: event.ID(id), Type: fact.EventType(), Data: data, Metadata: metadata}
	}
	return proposed, nil
}

// encode writes JSON as it was meant: escaping < > & would change preferences that are kept byte for byte.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// append stores the events at exactly the revision, and asks again with the same ids when no answer came.
func (c *Commands) append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	ctx, done := context.WithTimeout(ctx, appendTime)
	defer done()
	for try := 0; ; try++ {
		began := time.Now()
		receipt, err := c.Log.Append(ctx, stream, expected, events)
		if c.Observe != nil {
			c.Observe(err, time.Since(began))
		}
		if err == nil || !errors.Is(err, event.ErrUnavailable) || try == len(retryPauses) {
			return receipt, unavailable(err)
		}
		select {
		case <-ctx.Done():
			return event.Receipt{}, unavailable(err)
		case <-time.After(retryPauses[try]):
		}
	}
}

// unavailable adds the refusal a caller can act on to a failure of the log that waiting may mend.
func unavailable(err error) error {
	if errors.Is(err, event.ErrUnavailable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrLogAway, err)
	}
	return err
}

func isConflict(err error) bool { return errors.Is(err, event.ErrConflict) }
