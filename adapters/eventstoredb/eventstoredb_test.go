package eventstoredb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"go.uber.org/goleak"

	"github.com/actahq/acta/domain/event"
)

// Every test must leave nothing behind: no goroutine, and with it no connection and no open stream.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // it would tell of hundreds of failures that are meant
	if os.Getenv(uncountedVariable) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// uncountedVariable marks a process in which a test leaves behind what only the client could clear away.
const uncountedVariable = "ACTA_TEST_UNCOUNTED"

// patienceOfTests bounds what a test waits for, so that a hang is a failure.
const patienceOfTests = 30 * time.Second

// quick is a pace for servers that are next door.
var quick = pace{
	deadline: 10 * time.Second,
	silence:  10 * time.Second,
	first:    time.Millisecond,
	longest:  5 * time.Millisecond,
	refusal:  5 * time.Millisecond,
	farewell: 20 * time.Second,
}

func withPace(change func(*pace)) Option {
	return func(_ *esdb.Configuration, p *pace) { change(p) }
}

func openLog(t testing.TB, s *server, options ...Option) *Log {
	t.Helper()
	return openAt(t, "esdb://"+s.address+"?tls=false", append([]Option{withPace(func(p *pace) { *p = quick })}, options...)...)
}

func openAt(t testing.TB, connection string, options ...Option) *Log {
	t.Helper()
	l, err := Open(connection, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// proposals makes n events with ids that follow from seed.
func proposals(seed uint64, n int) []event.Proposed {
	events := make([]event.Proposed, n)
	for i := range events {
		e := &events[i]
		binary.BigEndian.PutUint64(e.ID[:], seed+1)
		binary.BigEndian.PutUint64(e.ID[8:], uint64(i)+1)
		e.Type = "note.written.v1"
		e.Data = fmt.Appendf(nil, `{"text":"%d.%d"}`, seed, i)
		e.Metadata = []byte(`{"actor":{"kind":"guest"}}`)
	}
	return events
}

func mustAppend(t testing.TB, l *Log, stream string, expected int64, events []event.Proposed) event.Receipt {
	t.Helper()
	receipt, err := l.Append(t.Context(), stream, expected, events)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func mustBe(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// follow follows in the background; what is handed over comes out of the channel.
func follow(t testing.TB, l *Log, from event.Position, only event.Filter) <-chan event.Stretch {
	ctx, cancel := context.WithCancel(context.Background())
	stretches, ended := make(chan event.Stretch), make(chan struct{})
	go func() {
		defer close(ended)
		defer close(stretches)
		err := l.Follow(ctx, from, only, func(s event.Stretch) error {
			select {
			case stretches <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if ctx.Err() == nil {
			t.Errorf("follow ended: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return stretches
}

func next(t testing.TB, stretches <-chan event.Stretch) event.Stretch {
	t.Helper()
	select {
	case s, ok := <-stretches:
		if !ok {
			t.Fatal("the follower ended")
		}
		return s
	case <-time.After(patienceOfTests):
		t.Fatal("nothing was handed over")
	}
	panic("not reached")
}

// until takes stretches up to one that the test has waited for, and gives their events.
func until(t testing.TB, stretches <-chan event.Stretch, come func(event.Stretch) bool) (all []event.Recorded) {
	t.Helper()
	for {
		s := next(t, stretches)
		if all = append(all, s.Events...); come(s) {
			return all
		}
	}
}

func upTo(p event.Position) func(event.Stretch) bool {
	return func(s event.Stretch) bool { return !s.UpTo.Before(p) }
}
