package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// Bounds of what is committed at once.
const (
	maxBatch      = 256
	maxBatchBytes = 4 << 20
)

// deed is what a request asks for.
type deed int

const (
	appending deed = iota
	hiding         // its event is the metadata that hide the stream
	burying        // its event is the tombstone
)

// request is one append on its way; receipt and err are written before answered is closed. One without a stream asks
// whether the file can be written.
type request struct {
	deed     deed
	stream   string
	expected int64
	events   []event.Proposed
	remember bool // recognise its events when they come again without an expected revision

	receipt  event.Receipt
	err      error
	answered chan struct{}
}

// write is the one goroutine that changes the file. It commits whatever has come in while the disk was busy, so the
// more callers wait, the more share a sync.
func (l *Log) write() {
	defer close(l.ended)
	for {
		select {
		case <-l.closing:
			return
		case r := <-l.requests:
			l.commitAll(l.drain(r))
		}
	}
}

// drain gives what is waiting, without waiting for more.
func (l *Log) drain(first *request) []*request {
	requests, size := []*request{first}, 0
	for {
		for _, e := range requests[len(requests)-1].events {
			size += len(e.Data) + len(e.Metadata)
		}
		if len(requests) == maxBatch || size >= maxBatchBytes {
			return requests
		}
		select {
		case r := <-l.requests:
			requests = append(requests, r)
		default:
			return requests
		}
	}
}

// commitAll decides the requests in their order, stores what they add in one transaction and answers all of them. No
// answer leaves before the sync, refusals neither: one may rest on an event that was staged a moment before.
func (l *Log) commitAll(requests []*request) {
	err := l.refuses()
	if err == nil {
		b := &batch{log: l, heads: map[string]head{}}
		b.next, _ = l.tail.end()
		for _, r := range requests {
			r.receipt, r.err = b.decide(r)
		}
		err = l.store(b)
	}
	for _, r := range requests {
		if err != nil {
			r.receipt, r.err = event.Receipt{}, err
		}
		close(r.answered)
	}
}

// store commits a batch and then, because it is durable, lets everyone know of it.
func (l *Log) store(b *batch) error {
	if len(b.events) == 0 && !b.probe {
		return nil
	}
	if err := l.commit(b.events); err != nil {
		if !sqlite.IsFull(err) && !errors.Is(err, errNotBegun) {
			return l.fail(err)
		}
		// Nothing was stored and nothing published: the next batch begins where this one did.
		if !l.stuck.Swap(true) {
			slog.Error("the event log cannot store events now", "file", l.file.path, "cause", err)
		}
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	if l.stuck.Swap(false) {
		slog.Info("the event log stores events again", "file", l.file.path)
	}
	if len(b.events) == 0 {
		return nil
	}
	// What if we crash here: the events are stored, nobody was told, and the callers may ask again with the same ids.
	if err := l.acknowledged.write(b.next); err != nil {
		slog.Warn("the event log cannot note what it has acknowledged", "cause", err) // a witness less, and nothing lost
	}
	for id, p := range b.ids {
		l.remembered.Add(id, p)
	}
	l.heads.publish(b.heads)
	if len(b.limits) > 0 {
		l.limits.publish(b.limits)
		l.limited.Store(true)
	}
	l.tail.publish(b.events)
	return nil
}

// batch is what one commit will add.
type batch struct {
	log    *Log
	next   uint64 // position of the newest event, staged ones included
	events []event.Recorded
	heads  map[string]head    // of the streams that got events in this batch
	limits map[string]*limits // of the streams that got metadata
	ids    map[event.ID]place // of the events to be remembered
	probe  bool               // commit even if there are no events
}

// decide stages the events of a request, or says what it is answered instead.
func (b *batch) decide(r *request) (event.Receipt, error) {
	if r.stream == "" {
		if err := tryRoom(filepath.Dir(b.log.file.path)); err != nil {
			return event.Receipt{}, fmt.Errorf("%w: %w", event.ErrUnavailable, err)
		}
		b.probe = true
		return event.Receipt{}, nil
	}
	stored, current, err := b.head(r.stream)
	if err != nil {
		return event.Receipt{}, err
	}
	only, err := b.limitsOf(r.stream)
	if err != nil {
		return event.Receipt{}, err
	}
	if err := b.refuse(r, current, only); err != nil {
		return event.Receipt{}, err
	}
	if r.deed != appending {
		return b.remove(r, current, only)
	}
	switch {
	case r.expected > current.revision:
		return event.Receipt{}, conflict(r, current)
	case r.expected < event.NoStream:
		if receipt, again, err := b.seen(r, current); again || err != nil {
			return receipt, err
		}
	case r.expected < current.revision:
		receipt, err := b.again(r, r.expected+1, stored, current)
		if errors.Is(err, event.ErrConflict) && r.expected == event.NoStream && only != nil && 0 < only.before && only.before <= current.revision {
			receipt, err = b.again(r, only.before, stored, current) // the append that brought a deleted stream back
		}
		if !errors.Is(err, event.ErrConflict) || r.expected != event.NoStream || !only.deleted() {
			return receipt, err
		}
	}
	if len(r.events) == 0 {
		return event.Receipt{Revision: current.revision}, nil
	}
	if only.deleted() {
		if err := b.bringBack(r.stream, current); err != nil {
			return event.Receipt{}, err
		}
	}
	current = b.stage(r.stream, current, r.events)
	if r.remember {
		b.remember(len(r.events))
	}
	return event.Receipt{Revision: current.revision, Position: event.At(current.position)}, nil
}

// head gives the newest event of a stream: the one that is stored, and the one that will be after this batch.
func (b *batch) head(stream string) (stored, current head, err error) {
	stored, err = b.log.streamHead(context.Background(), b.log.file.own, stream)
	current, staged := b.heads[stream]
	if !staged {
		current = stored
	}
	return stored, current, err
}

// stage adds events to a stream and gives its new head.
func (b *batch) stage(stream string, current head, events []event.Proposed) head {
	now := time.UnixMicro(b.log.now().UnixMicro()).UTC()
	for _, e := range events {
		e.Data, e.Metadata = present(e.Data), present(e.Metadata)
		b.next++
		current = head{current.revision + 1, b.next}
		b.events = append(b.events, event.Recorded{
			Proposed: e, Stream: stream, Revision: current.revision, Position: event.At(b.next), Recorded: now,
		})
	}
	b.heads[stream] = current
	if of, ok := described(stream); ok {
		b.limit(of, parseLimits(events[len(events)-1].Data))
	}
	return current
}

// again answers an append at a revision the stream has left behind: with the first receipt if it is the same append
// once more, whose events stand at first and behind, else it is a conflict.
func (b *batch) again(r *request, first int64, stored, current head) (event.Receipt, error) {
	last := first + int64(len(r.events)) - 1
	if last > current.revision || last < first {
		return event.Receipt{}, conflict(r, current)
	}
	there, err := b.read(r.stream, first, last, stored)
	if err != nil {
		return event.Receipt{}, err
	}
	for i, e := range there {
		if e.ID != r.events[i].ID {
			return event.Receipt{}, conflict(r, current)
		}
	}
	return event.Receipt{Revision: last, Position: there[len(there)-1].Position}, nil
}

// read gives events of a stream, those staged before in this batch included. The caller knows that all exist.
func (b *batch) read(stream string, first, last int64, stored head) (there []event.Recorded, err error) {
	if first <= stored.revision {
		there, err = b.log.file.own.streamEvents(context.Background(), stream, first, min(last, stored.revision), event.Forward)
		if err != nil {
			return nil, err
		}
	}
	for _, e := range b.events {
		if e.Stream == stream && first <= e.Revision && e.Revision <= last {
			there = append(there, e)
		}
	}
	return there, nil
}

func conflict(r *request, current head) error {
	return &ConflictError{Expected: r.expected, Current: current.revision}
}
