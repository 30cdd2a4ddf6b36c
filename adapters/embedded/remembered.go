package embedded

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/actahq/acta/domain/event"
)

// maxRemembered bounds how many ids are recognised without an expected revision.
const maxRemembered = 1 << 16

// place is where an event stands.
type place struct {
	stream   string
	revision int64
	position event.Position
}

func newRemembered() *simplelru.LRU[event.ID, place] {
	cache, err := simplelru.NewLRU[event.ID, place](maxRemembered, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return cache
}

// seen answers an append without an expected revision from the ids that are remembered: all of them are the same
// append once more; none, or not the first, is a new one.
func (b *batch) seen(r *request, current head) (_ event.Receipt, again bool, _ error) {
	var last place
	for i, e := range r.events {
		p, ok := b.ids[e.ID]
		if !ok {
			p, ok = b.log.remembered.Get(e.ID)
		}
		switch {
		case ok && p.stream == r.stream:
			last = p
		case i == 0:
			return event.Receipt{}, false, nil
		default:
			return event.Receipt{}, false, conflict(r, current)
		}
	}
	return event.Receipt{Revision: last.revision, Position: last.position}, len(r.events) > 0, nil
}

// remember notes the newest n events of the batch.
func (b *batch) remember(n int) {
	if b.ids == nil {
		b.ids = map[event.ID]place{}
	}
	for _, e := range b.events[len(b.events)-n:] {
		b.ids[e.ID] = place{e.Stream, e.Revision, e.Position}
	}
}
