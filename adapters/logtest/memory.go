package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/actahq/acta/domain/event"
)

// Memory is a log without files, for the tests of other packages. It keeps every promise of a log but durability, and
// it passes Run. Its positions are pairs with gaps, as EventStoreDB's are, so that nobody comes to rely on counting them.
//
// The hooks let a test fail an append at the two moments that matter. They are called without a lock, so they may use
// the log themselves; set them before the log is used.
type Memory struct {
	// BeforeAppend may refuse an append: nothing is stored and Append returns its error.
	BeforeAppend func(stream string, events []event.Proposed) error
	// AfterAppend may lose an answer: the events are stored (now, or by the same append before), and Append returns its error.
	AfterAppend func(stream string, events []event.Proposed) error

	mu      sync.RWMutex
	events  []event.Recorded
	streams map[string][]int // per stream, the places of its events
	grown   chan struct{}    // closed and replaced when events are added
}

// NewMemory gives an empty log.
func NewMemory() *Memory {
	return &Memory{streams: map[string][]int{}, grown: make(chan struct{})}
}

// Append stores events at the end of a stream, all or none; see event for what every log promises.
func (m *Memory) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return event.Receipt{}, err
	}
	if err := event.Check(stream, expected, events); err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", stream, err)
	}
	if m.BeforeAppend != nil {
		if err := m.BeforeAppend(stream, events); err != nil {
			return event.Receipt{}, err
		}
	}
	receipt, err := m.store(stream, expected, events)
	if err != nil {
		return event.Receipt{}, err
	}
	if m.AfterAppend != nil {
		if err := m.AfterAppend(stream, events); err != nil {
			return event.Receipt{}, err
		}
	}
	return receipt, nil
}

func (m *Memory) store(stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	places := m.streams[stream]
	current := int64(len(places)) - 1
	if expected < current && m.same(places[expected+1:], events) {
		return m.receipt(places[expected+int64(len(events))]), nil
	}
	if expected != current {
		return event.Receipt{}, fmt.Errorf("%w: %q is at %d, not %d", event.ErrConflict, stream, current, expected)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	for _, e := range events {
		e.Data, e.Metadata = append([]byte{}, e.Data...), append([]byte{}, e.Metadata...)
		n := uint64(len(m.events) + 1)
		places = append(places, len(m.events))
		m.events = append(m.events, event.Recorded{
			Proposed: e, Stream: stream, Revision: int64(len(places)) - 1, Recorded: now,
			Position: event.Position{Commit: 100 * n, Prepare: 100*n - n%7},
		})
	}
	m.streams[stream] = places
	close(m.grown)
	m.grown = make(chan struct{})
	return m.receipt(len(m.events) - 1), nil
}

// same says whether these events stand at the first of these places.
func (m *Memory) same(places []int, events []event.Proposed) bool {
	if len(places) < len(events) {
		return false
	}
	for i, e := range events {
		if m.events[places[i]].ID != e.ID {
			return false
		}
	}
	return true
}

func (m *Memory) receipt(place int) event.Receipt {
	return event.Receipt{Revision: m.events[place].Revision, Position: m.events[place].Position}
}

// Read gives up to limit events of a stream, forward those with revision >= from, backward those with revision <= from.
func (m *Memory) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit < 1 {
		return nil, fmt.Errorf("read %q: the limit is %d", stream, limit)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	places := slices.Clone(m.streams[stream])
	last := int64(len(places))
	if dir == event.Backward {
		places = places[:min(max(from, -1), last-1)+1]
		slices.Reverse(places)
	} else {
		places = places[min(max(from, 0), last):]
	}
	var events []event.Recorded
	for _, place := range places[:min(limit, len(places))] {
		events = append(events, m.events[place])
	}
	return events, nil
}

// Follow hands over every event behind a position, in order, until the context ends or deliver returns an error
// (event.ErrStop: Follow returns nil). At the end of the log it hands over an empty live stretch once.
func (m *Memory) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	for live := false; ; {
		m.mu.RLock()
		grown := m.grown
		events := m.events[m.behind(from):]
		m.mu.RUnlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(events) == 0 && live {
			select {
			case <-grown:
			case <-ctx.Done():
			}
			continue
		}
		s := event.Stretch{UpTo: from, Live: len(events) <= maxStretch}
		for _, e := range events[:min(len(events), maxStretch)] {
			if s.UpTo = e.Position; only.Admits(e.Stream) {
				s.Events = append(s.Events, e)
			}
		}
		if err := deliver(s); errors.Is(err, event.ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
		from, live = s.UpTo, s.Live
	}
}

const maxStretch = 100 // small, so that tests meet more than one

// behind gives the place of the first event behind a position.
func (m *Memory) behind(from event.Position) int {
	place, found := slices.BinarySearchFunc(m.events, from, func(e event.Recorded, p event.Position) int { return e.Position.Compare(p) })
	if found {
		place++
	}
	return place
}

// Head gives the position of the newest event; zero when there is none.
func (m *Memory) Head(context.Context) (event.Position, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.events) == 0 {
		return event.Position{}, nil
	}
	return m.events[len(m.events)-1].Position, nil
}
