package eventstoredb

import (
	"context"
	"sync"

	"github.com/actahq/acta/domain/event"
)

// Bounds of a stretch. While one is being handed over, the next one fills up; then the server has to wait.
const (
	maxStretch      = 1000    // events
	maxStretchBytes = 8 << 20 // of data and metadata, before the last event
)

// arriving gathers what a subscription brings while the follower is busy, so that one who is behind gets much at once
// and one who is not gets each event at once. One goroutine puts in, another takes out.
type arriving struct {
	news chan struct{} // holds one when there is something to take
	room chan struct{} // holds one when something was taken

	mu    sync.Mutex
	next  event.Stretch
	bytes int
	fresh bool // there is something to tell, be it only a position
	live  bool // the subscription has caught up
	full  bool // an event is waiting for room, so this stretch is not the end
}

func newArriving(from event.Position) *arriving {
	return &arriving{news: make(chan struct{}, 1), room: make(chan struct{}, 1), next: event.Stretch{UpTo: from}}
}

// add puts in an event, or only its position if it is not admitted. It waits for room until the context ends.
func (a *arriving) add(ctx context.Context, e event.Recorded, admitted bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.next.Events) >= maxStretch || a.bytes >= maxStretchBytes {
		a.full = true
		a.mu.Unlock()
		var err error
		select {
		case <-a.room:
		case <-ctx.Done():
			err = ctx.Err()
		}
		a.mu.Lock()
		if err != nil {
			return err
		}
	}
	a.full = false
	if admitted {
		a.next.Events = append(a.next.Events, e)
		a.bytes += len(e.Data) + len(e.Metadata)
	}
	a.tell(e.Position)
	return nil
}

// reached says that everything up to a position was considered.
func (a *arriving) reached(upTo event.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next.UpTo.Before(upTo) {
		a.tell(upTo)
	}
}

// caughtUp says that the position is the end. The server may say so more than once; the follower is told once.
func (a *arriving) caughtUp(upTo event.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.live || a.next.UpTo.Before(upTo) {
		a.live = true
		a.tell(upTo)
	}
}

// fellBehind says that the server has more than it can tell as it happens.
func (a *arriving) fellBehind() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live = false
}

// tell is called with the lock held.
func (a *arriving) tell(upTo event.Position) {
	a.next.UpTo, a.fresh = upTo, true
	signal(a.news)
}

// take gives all that has arrived; false if that is nothing.
func (a *arriving) take() (event.Stretch, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.fresh {
		return event.Stretch{}, false
	}
	s := a.next
	s.Live = a.live && !a.full
	a.next, a.bytes, a.fresh = event.Stretch{UpTo: s.UpTo}, 0, false
	signal(a.room)
	return s, true
}

// signal leaves a word for one who looks now or later.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
