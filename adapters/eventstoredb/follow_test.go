package eventstoredb

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/domain/event"
)

// subscriptions lets a script answer each subscription, counted from 1, and the server all other reads.
func (s *server) subscriptions(script func(n int32, request *streams.ReadReq_Options, call streams.Streams_ReadServer) error) {
	var n atomic.Int32
	s.instead(func() {
		s.onRead = func(request *streams.ReadReq, call streams.Streams_ReadServer) error {
			if request.Options.GetSubscription() == nil {
				return errInOrder
			}
			return script(n.Add(1), request.Options, call)
		}
	})
}

func send(call streams.Streams_ReadServer, messages ...*streams.ReadResp) error {
	for _, m := range messages {
		if err := call.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// stay keeps a subscription open.
func stay(call streams.Streams_ReadServer) error {
	<-call.Context().Done()
	return call.Context().Err()
}

// store puts events into the server's log, one stream of n events after the other.
func (s *server) store(t testing.TB, stream string, n int) (last event.Position) {
	t.Helper()
	for i := 0; i < n; i += 100 {
		size := min(100, n-i)
		r, err := s.log.Append(t.Context(), stream, int64(i)-1, proposals(uint64(i), size))
		if err != nil {
			t.Fatal(err)
		}
		last = r.Position
	}
	return last
}

func at(p uint64) event.Recorded {
	return event.Recorded{Proposed: event.Proposed{Type: "note.written.v1"}, Stream: "note-1", Position: event.At(p)}
}

func TestADroppedSubscriptionIsTakenUpWhereItEnded(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	last := s.store(t, "note-1", 10)
	there, err := s.log.Read(t.Context(), "note-1", event.Start, event.Forward, 10)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan event.Position, 100)
	s.subscriptions(func(n int32, o *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		asked <- event.Position{Commit: o.GetAll().GetPosition().GetCommitPosition(), Prepare: o.GetAll().GetPosition().GetPreparePosition()}
		if n > 10 {
			return errInOrder
		}
		if err := send(call, confirmation, found(there[n-1])); err != nil {
			return err
		}
		switch n % 4 {
		case 0:
			return nil // an orderly end
		case 1:
			return status.Error(codes.Unavailable, "shutting down")
		case 2:
			return status.Error(codes.Aborted, "the consumer is too slow")
		default:
			return status.Error(codes.Internal, "")
		}
	})
	got := until(t, follow(t, l, event.Position{}, event.Filter{}), func(stretch event.Stretch) bool { return stretch.Live })
	if len(got) != 10 || got[9].Position != last {
		t.Fatalf("%d events", len(got))
	}
	for i, e := range got {
		if e.Revision != int64(i) {
			t.Errorf("event %d has revision %d", i, e.Revision)
		}
		if from := <-asked; i > 0 && from != there[i-1].Position {
			t.Errorf("subscription %d began behind %s", i, from)
		}
	}
}

func TestASubscriptionThatCannotBeHadIsAskedForAgain(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.store(t, "note-1", 1)
	s.subscriptions(func(n int32, _ *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		switch n {
		case 1:
			return status.Error(codes.PermissionDenied, "")
		case 2:
			return send(call, caughtUp) // no confirmation
		case 3:
			return nil
		case 4:
			return send(call, confirmation, &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{}}})
		default:
			return errInOrder
		}
	})
	if got := until(t, follow(t, l, event.Position{}, event.Filter{}), func(s event.Stretch) bool { return s.Live }); len(got) != 1 {
		t.Errorf("%d events", len(got))
	}
}

func TestASubscriptionThatFallsSilentIsReplaced(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.silence = 100 * time.Millisecond }))
	s.store(t, "note-1", 1)
	s.subscriptions(func(n int32, _ *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		if n == 2 {
			if err := send(call, confirmation); err != nil {
				return err
			}
		}
		if n <= 2 {
			return stay(call)
		}
		return errInOrder
	})
	stretches := follow(t, l, event.Position{}, event.Filter{})
	until(t, stretches, func(s event.Stretch) bool { return s.Live })
	// At the end there is nothing to say, for as long as you like.
	asked := s.counts().reads
	select {
	case stretch := <-stretches:
		t.Errorf("handed over at the end: %+v", stretch)
	case <-time.After(300 * time.Millisecond):
	}
	if again := s.counts().reads; again != asked {
		t.Errorf("it asked %d times more", again-asked)
	}
}

func TestAFollowerIsToldOnceThatItHasCaughtUp(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	head := s.store(t, "$stats-1", 5) // nothing but system events: the newest too
	goOn := make(chan struct{})
	s.subscriptions(func(_ int32, _ *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		if err := send(call, confirmation, caughtUp); err != nil {
			return err
		}
		<-goOn
		if err := send(call, caughtUp, caughtUp, checkpoint(head), found(at(head.Commit+100))); err != nil {
			return err
		}
		<-goOn
		if err := send(call, fellBehind, caughtUp); err != nil {
			return err
		}
		return stay(call)
	})
	stretches := follow(t, l, event.Position{}, event.Filter{})
	if s := next(t, stretches); !s.Live || len(s.Events) != 0 || s.UpTo != head {
		t.Errorf("first: %+v, the head is %s", s, head)
	}
	goOn <- struct{}{}
	if s := next(t, stretches); !s.Live || len(s.Events) != 1 {
		t.Errorf("what comes at the end: %+v", s)
	}
	goOn <- struct{}{}
	if s := next(t, stretches); !s.Live || len(s.Events) != 0 || s.UpTo != event.At(head.Commit+100) {
		t.Errorf("after it fell behind: %+v", s)
	}
}

func TestABacklogComesInBoundedStretchesAndEndsLive(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	const n = 5000
	last := s.store(t, "note-1", n)
	seen, largest := 0, 0
	err := l.Follow(t.Context(), event.Position{}, event.Filter{}, func(stretch event.Stretch) error {
		for i, e := range stretch.Events {
			if e.Revision != int64(seen+i) {
				return fmt.Errorf("revision %d where %d was expected", e.Revision, seen+i)
			}
		}
		seen, largest = seen+len(stretch.Events), max(largest, len(stretch.Events))
		if stretch.Live {
			if stretch.UpTo != last {
				return fmt.Errorf("live at %s of %s", stretch.UpTo, last)
			}
			return event.ErrStop
		}
		return nil
	})
	if err != nil || seen != n || largest > maxStretch {
		t.Errorf("%d events in stretches of up to %d, %v", seen, largest, err)
	}
}

func TestAFollowerWhoIsBusyGetsWhatHasArrivedAtOnce(t *testing.T) {
	e, gathered := at(1), newArriving(event.Position{})
	for i := range uint64(maxStretch) {
		e.Position = event.At(i + 1)
		if err := gathered.add(t.Context(), e, i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	gathered.caughtUp(e.Position)
	got, ok := gathered.take()
	if !ok || len(got.Events) != maxStretch/2 || got.UpTo != event.At(maxStretch) || !got.Live {
		t.Errorf("%v: %d events up to %s, live %v", ok, len(got.Events), got.UpTo, got.Live)
	}
	if _, ok := gathered.take(); ok {
		t.Error("and once more")
	}
}

func TestAFollowerWhoDoesNotTakeMakesTheServerWait(t *testing.T) {
	large := at(1)
	large.Data = []byte(`"` + strings.Repeat("x", 1<<20) + `"`)
	for _, test := range []struct {
		name string
		e    event.Recorded
		most int
	}{{"many", at(1), maxStretch}, {"large", large, maxStretchBytes >> 20}} {
		gathered := newArriving(event.Position{})
		gathered.caughtUp(event.Position{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range uint64(test.most) + 1 {
				test.e.Position = event.At(i + 1)
				gathered.add(context.Background(), test.e, true)
			}
		}()
		taken, live := 0, false
		for taken < test.most+1 {
			<-gathered.news
			stretch, _ := gathered.take()
			if len(stretch.Events) > test.most {
				t.Errorf("%s: %d events at once", test.name, len(stretch.Events))
			}
			taken, live = taken+len(stretch.Events), stretch.Live
		}
		<-done
		if !live {
			t.Errorf("%s: the last stretch is not the end", test.name)
		}
		// Whoever leaves while the server waits does not leave it waiting.
		for i := range uint64(test.most) {
			test.e.Position = event.At(10_000 + i)
			gathered.add(t.Context(), test.e, true)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		mustBe(t, test.name, gathered.add(ctx, test.e, true), context.Canceled)
		if stretch, ok := gathered.take(); !ok || stretch.Live {
			t.Errorf("%s: with an event waiting it said that this is the end", test.name)
		}
	}
}

func TestAServerThatGoesBackIsNotBelieved(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.store(t, "note-1", 3)
	s.subscriptions(func(n int32, _ *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		if n > 1 {
			return errInOrder
		}
		there, err := s.log.Read(call.Context(), "note-1", event.Start, event.Forward, 3)
		if err != nil {
			return err
		}
		if err := send(call, confirmation, found(there[0]), found(there[1]), found(there[0]), found(there[2])); err != nil {
			return err
		}
		return stay(call)
	})
	got := until(t, follow(t, l, event.Position{}, event.Filter{}), func(s event.Stretch) bool { return s.Live })
	for i, e := range got {
		if len(got) != 3 || e.Revision != int64(i) {
			t.Fatalf("event %d of %d has revision %d", i, len(got), e.Revision)
		}
	}
}

func TestACheckpointNeverPassesTheNewestEvent(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	head := s.store(t, "note-1", 2)
	s.subscriptions(func(_ int32, _ *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
		beyond := event.Position{Commit: head.Commit + 50, Prepare: head.Prepare + 50} // where the next event will stand
		if err := send(call, confirmation, checkpoint(beyond), caughtUp, found(at(beyond.Commit))); err != nil {
			return err
		}
		return stay(call)
	})
	// Whoever goes on behind what is told here sees the event that comes.
	got := until(t, follow(t, l, event.Position{}, event.Filter{}), func(stretch event.Stretch) bool {
		if len(stretch.Events) == 0 && head.Before(stretch.UpTo) {
			t.Errorf("told %s, the head is %s", stretch.UpTo, head)
		}
		return len(stretch.Events) > 0
	})
	if got[0].Position != event.At(head.Commit+50) {
		t.Errorf("%+v", got)
	}
}

func TestCheckpointsMoveOverWhatTheServerFilters(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	stretches := follow(t, l, event.Position{}, event.Filter{Streams: []string{"account-"}})
	until(t, stretches, func(s event.Stretch) bool { return s.Live })
	last := s.store(t, "note-1", 320)
	if got := until(t, stretches, upTo(last)); len(got) != 0 {
		t.Errorf("%d events", len(got))
	}
}

func TestSystemEventsAreLeftOut(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.store(t, "$stats-1", 3)
	s.store(t, "$$note-1", 2)
	s.store(t, "note-1", 2)
	link := proposals(500, 1) // the server's projections may put links into any stream
	link[0].Type = "$>"
	if _, err := s.log.Append(t.Context(), "note-1", 1, link); err != nil {
		t.Fatal(err)
	}
	got := until(t, follow(t, l, event.Position{}, event.Filter{}), func(s event.Stretch) bool { return s.Live })
	if len(got) != 2 || got[0].Stream != "note-1" || got[1].Stream != "note-1" {
		t.Errorf("%+v", got)
	}
}

func TestALogThatStaysShorterThanItWasHasLostEvents(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	head := s.store(t, "note-1", 2)
	head.Commit++
	err := l.Follow(t.Context(), head, event.Filter{}, func(event.Stretch) error { return nil })
	mustBe(t, "follow", err, event.ErrDamaged)
}

func TestANodeThatIsBehindIsWaitedFor(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.first, p.longest = 20*time.Millisecond, 20*time.Millisecond }))
	s.store(t, "note-1", 2)
	ahead := event.Position{Commit: 10_000, Prepare: 10_000}
	stretches := follow(t, l, ahead, event.Filter{})
	s.await(t, "the follower", func(c counts) bool { return c.reads >= 2 })
	s.store(t, "note-2", 98) // the hundredth event stands at 10,000
	s.store(t, "note-3", 1)
	if got := until(t, stretches, func(s event.Stretch) bool { return s.Live }); len(got) > 1 {
		t.Errorf("%d events", len(got))
	}
}
