package event

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownType: an event's wire name is in no contract. Readers stop at it; they never skip it.
var ErrUnknownType = errors.New("unknown event type")

// Fact is an event as an aggregate sees it.
type Fact interface {
	EventType() string // wire name
}

// Contract lists every wire name an aggregate ever stored, each with the reader that gives today's event.
type Contract[E Fact] map[string]func(json.RawMessage) (E, error)

// Read gives the event that was recorded.
func (c Contract[E]) Read(r Recorded) (E, error) {
	read, ok := c[r.Type]
	if !ok {
		var none E
		return none, fmt.Errorf("%w %q at %s", ErrUnknownType, r.Type, r.Position)
	}
	e, err := read(r.Data)
	if err != nil {
		return e, fmt.Errorf("read %s at %s: %w", r.Type, r.Position, err)
	}
	return e, nil
}

// Today is the reader of a wire name whose shape is still in use: T itself.
func Today[T Fact, E Fact](data json.RawMessage) (E, error) {
	var e T
	err := json.Unmarshal(data, &e)
	return any(e).(E), err
}

// ReadMetadata gives an event's metadata.
func (r Recorded) ReadMetadata() (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(r.Metadata, &m); err != nil {
		return m, fmt.Errorf("read metadata of %s at %s: %w", r.Type, r.Position, err)
	}
	return m, nil
}
