package eventstoredb

import (
	"fmt"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/actahq/acta/domain/event"
)

func TestAReadLeavesNothingOpen(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error { // more than was asked for, and no end
		for i := int64(0); call.Context().Err() == nil; i++ {
			if err := call.Send(found(event.Recorded{Stream: "note-1", Revision: i, Position: event.At(uint64(i) + 1)})); err != nil {
				return err
			}
		}
		return call.Context().Err()
	}
	for range 50 {
		if events, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 3); err != nil || len(events) != 3 {
			t.Fatalf("%d events, %v", len(events), err)
		}
	}
	s.await(t, "the reads to be ended", func(c counts) bool { return c.reads == 50 && c.open == 0 })
}

func TestEventsThatWereCutAwayAreMissed(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	for _, test := range []struct {
		from      int64
		dir       event.Direction
		revisions []int64
		damaged   bool
	}{
		{0, event.Forward, []int64{0, 1, 2}, false},
		{5, event.Forward, []int64{5, 6}, false},
		{0, event.Forward, []int64{3, 4}, true}, // the beginning, by $maxCount or $tb
		{0, event.Forward, []int64{0, 1, 3}, true},
		{0, event.Forward, []int64{0, 1, 1}, true},
		{event.End, event.Backward, []int64{9, 8, 7}, false},
		{20, event.Backward, []int64{9, 8}, false},
		{5, event.Backward, []int64{6, 5}, true},
		{event.End, event.Backward, []int64{9, 7}, true},
	} {
		s.instead(func() {
			s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
				for i, r := range test.revisions {
					if err := call.Send(found(event.Recorded{Stream: "note-1", Revision: r, Position: event.At(uint64(i) + 1)})); err != nil {
						return err
					}
				}
				return nil
			}
		})
		events, err := l.Read(t.Context(), "note-1", test.from, test.dir, 10)
		name := fmt.Sprintf("%v from %d, direction %d", test.revisions, test.from, test.dir)
		if test.damaged {
			mustBe(t, name, err, event.ErrDamaged)
		} else if err != nil || len(events) != len(test.revisions) {
			t.Errorf("%s: %d events, %v", name, len(events), err)
		}
	}
}

func TestAnEventOfAnotherStreamIsNotAnAnswer(t *testing.T) {
	s := startServer(t)
	s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
		return call.Send(found(event.Recorded{Stream: "note-2", Position: event.At(1)}))
	}
	_, err := openLog(t, s).Read(t.Context(), "note-1", event.Start, event.Forward, 10)
	mustBe(t, "read", err, event.ErrDamaged)
}
