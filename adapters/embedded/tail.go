package embedded

import (
	"sync"

	"github.com/actahq/acta/domain/event"
)

// Bounds of the events kept in memory for followers that are near the end.
const (
	maxTailEvents = 8 << 10
	maxTailBytes  = 16 << 20
)

// tail is the end of the log: its newest position, and the newest events themselves. It knows only what is durable.
type tail struct {
	mu     sync.RWMutex
	head   uint64
	events []event.Recorded // dense, the last one at head; empty after opening
	bytes  int
	grown  chan struct{} // closed when head rises; nil while nobody waits
}

// publish adds events that a commit has made durable and wakes those who wait.
func (t *tail) publish(events []event.Recorded) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, events...)
	for i := range events {
		t.bytes += weight(&events[i])
	}
	drop := max(0, len(t.events)-maxTailEvents)
	for i := range drop {
		t.bytes -= weight(&t.events[i])
	}
	for ; t.bytes > maxTailBytes; drop++ {
		t.bytes -= weight(&t.events[drop])
	}
	clear(t.events[:drop]) // the array lives on until append moves to a new one
	t.events = t.events[drop:]
	t.head = events[len(events)-1].Position.Commit
	t.call()
}

// wake makes those who wait look again.
func (t *tail) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.call()
}

func (t *tail) call() {
	if t.grown != nil {
		close(t.grown)
		t.grown = nil
	}
}

func weight(e *event.Recorded) int {
	return len(e.Stream) + len(e.Type) + len(e.Data) + len(e.Metadata)
}

// end gives the newest position and a channel that is closed when there is a newer one.
func (t *tail) end() (uint64, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grown == nil {
		t.grown = make(chan struct{})
	}
	return t.head, t.grown
}

// between gives the events with after < position <= upTo that the filter admits, if all of them are in memory.
func (t *tail) between(after, upTo uint64, only event.Filter) (events []event.Recorded, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.events) == 0 || after+1 < t.events[0].Position.Commit {
		return nil, false
	}
	first := t.events[0].Position.Commit
	for _, e := range t.events[after+1-first : upTo+1-first] {
		if only.Admits(e.Stream) {
			events = append(events, e)
		}
	}
	return events, true
}
