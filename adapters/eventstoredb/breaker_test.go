package eventstoredb

import (
	"context"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/domain/event"
)

func aborted(streams.Streams_AppendServer) error {
	return status.Error(codes.Aborted, "the write was not acknowledged in time")
}

func TestTheBreakerOpensAfterFiveFailuresAndNothingPasses(t *testing.T) {
	s := startServer(t)
	s.onAppend = aborted
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Hour }))
	if got := l.Breaker(); got != "closed" {
		t.Fatalf("it begins %s", got)
	}
	for range 20 {
		_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
		mustBe(t, "append", err, event.ErrUnavailable)
	}
	if got := l.Breaker(); got != "open" {
		t.Errorf("it is %s", got)
	}
	_, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 1)
	mustBe(t, "read", err, event.ErrUnavailable)
	mustBe(t, "ready", l.Ready(t.Context()), event.ErrUnavailable)
	if c := s.counts(); c.appends != breaker.TripAfter || c.reads != 0 {
		t.Errorf("%d appends and %d reads have passed", c.appends, c.reads)
	}
}

func TestTheBreakerClosesWhenAProbeIsAnswered(t *testing.T) {
	s := startServer(t)
	s.onAppend = aborted
	const refusal = 100 * time.Millisecond
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = refusal }))
	for range breaker.TripAfter {
		_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
		mustBe(t, "append", err, event.ErrUnavailable)
	}
	healed := time.Now()
	s.instead(func() { s.onAppend = nil })
	awaitReady(t, l)
	if took := time.Since(healed); took < refusal/2 || took > patienceOfTests/2 {
		t.Errorf("it recovered after %s", took)
	}
	if got := l.Breaker(); got != "closed" {
		t.Errorf("it is %s", got)
	}
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
}

func TestAnswersWeDoNotLikeNeverTripTheBreaker(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Hour }))
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
	for range 4 * breaker.TripAfter {
		_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(2, 1))
		mustBe(t, "conflict", err, event.ErrConflict)
	}
	for range 4 * breaker.TripAfter {
		if _, err := l.Read(t.Context(), "note-2", event.Start, event.Forward, 1); err != nil {
			t.Fatal(err)
		}
	}
	s.instead(func() {
		s.onAppend = func(streams.Streams_AppendServer) error { return status.Error(codes.InvalidArgument, "no") }
	})
	for range 4 * breaker.TripAfter {
		if _, err := l.Append(t.Context(), "note-1", 0, proposals(2, 1)); err == nil {
			t.Fatal("it was stored")
		}
	}
	if got := l.Breaker(); got != "closed" {
		t.Errorf("it is %s", got)
	}
}

func TestCallersWhoLeaveNeverTripTheBreaker(t *testing.T) {
	s := startServer(t)
	s.onAppend = func(call streams.Streams_AppendServer) error { <-call.Context().Done(); return call.Context().Err() }
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Hour }))
	for i := range 4 * breaker.TripAfter {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			s.await(t, "the append", func(c counts) bool { return c.appends > i })
			cancel()
		}()
		_, err := l.Append(ctx, "note-1", event.NoStream, proposals(1, 1))
		mustBe(t, "append", err, context.Canceled)
	}
	if got := l.Breaker(); got != "closed" {
		t.Errorf("it is %s", got)
	}
}

func TestCallersWhoWaitInVainDoTripTheBreaker(t *testing.T) {
	s := startServer(t)
	s.onAppend = func(call streams.Streams_AppendServer) error { <-call.Context().Done(); return call.Context().Err() }
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Hour }))
	for range breaker.TripAfter {
		_, err := l.Append(ended(t, 5*time.Millisecond), "note-1", event.NoStream, proposals(1, 1))
		mustBe(t, "append", err, event.ErrUnavailable)
	}
	if got := l.Breaker(); got != "open" {
		t.Errorf("it is %s", got)
	}
}
