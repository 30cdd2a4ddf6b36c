package process_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

func TestAFailureThatPassesQuicklyIsNobodysConcern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written")
		began := time.Now()
		var tries []time.Duration
		var passed atomic.Bool
		p, _ := seen()
		p.On["written"] = func(context.Context, event.Recorded) error {
			if tries = append(tries, time.Since(began)); len(tries) < 4 {
				return errDown
			}
			passed.Store(true)
			return nil
		}
		stop := run(t, p, log, c)
		for !passed.Load() {
			if p.Failing() {
				t.Fatal("it says that it is failing")
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		stop()
		// Each pause is half to one and a half times of its middle.
		for i, middle := range []time.Duration{15 * time.Millisecond, 33750 * time.Microsecond, 75937 * time.Microsecond} {
			if pause := tries[i+1] - tries[i]; pause < middle/2 || pause > middle*3/2+time.Millisecond {
				t.Errorf("the pause before try %d was %v, around %v was due", i+2, pause, middle)
			}
		}
	})
}

// Doing those before it again with each try would be work for nothing, and successes that keep the breaker closed.
func TestAnEventThatIsStuckRepeatsNothingAndRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written", "written", "stuck", "written") // one stretch
		p, done := seen("written")
		var tries []time.Time
		var up atomic.Bool
		p.On["stuck"] = func(context.Context, event.Recorded) error {
			tries = append(tries, time.Now())
			if !up.Load() {
				return errDown
			}
			return nil
		}
		stop := run(t, p, log, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"written note-1 0", "written note-1 1"}, done.all()); diff != "" {
			t.Errorf("while it is stuck (-want +got):\n%s", diff)
		}
		up.Store(true)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"written note-1 0", "written note-1 1", "written note-1 3"}, done.all()); diff != "" || p.Failing() {
			t.Errorf("failing %v, in the end (-want +got):\n%s", p.Failing(), diff)
		}
		stop()
		// Five failures of four quick tries each, then at least five seconds between them.
		for i := 20; i < len(tries); i += 4 {
			if rest := tries[i].Sub(tries[i-1]); rest < 5*time.Second {
				t.Errorf("it rested %v before try %d", rest, i+1)
			}
		}
		if len(tries) < 24 || len(c.aside) != 0 {
			t.Errorf("%d tries, set aside %v", len(tries), c.aside)
		}
	})
}

func TestOnlyWhatTryingAgainCannotHelpIsSetAside(t *testing.T) {
	type note struct {
		Pages int       `json:"pages"`
		At    time.Time `json:"at"`
	}
	contract := event.Contract[fact]{"written": event.Today[fact, fact]}
	read := func(data string, into any) error {
		return fmt.Errorf("read it: %w", json.Unmarshal([]byte(data), into))
	}
	for name, c := range map[string]struct {
		err    error
		reason string // "" = it is tried again
	}{
		"a type that no contract names": {func() error {
			_, err := contract.Read(event.Recorded{Proposed: event.Proposed{Type: "burnt"}})
			return err
		}(), "this version does not know a type of event that it needs"},
		"no JSON":                    {read(`?`, &note{}), "this version cannot read it"},
		"JSON cut off":               {read(`{"pages":`, &note{}), "this version cannot read it"},
		"JSON of another kind":       {read(`{"pages":"ada@example.com"}`, &note{}), "this version cannot read it"},
		"a time that is none":        {read(`{"at":"ada@example.com"}`, &note{}), "this version cannot read it"},
		"what a process says is":     {fmt.Errorf("ada@example.com: %w", process.Permanent(errors.New("there is\nno such thing"))), "there is no such thing"},
		"what is down":               {errDown, ""},
		"what took too long":         {context.DeadlineExceeded, ""},
		"what another one cancelled": {context.Canceled, ""},
		"a log that is damaged":      {event.ErrDamaged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, c0 := logtest.NewMemory(), &checkpoints{}
				appendTo(t, log, "note-1", time.Now(), "bad", "written")
				p, done := seen("written")
				p.On["bad"] = func(context.Context, event.Recorded) error { return c.err }
				defer run(t, p, log, c0)()
				time.Sleep(time.Minute)
				synctest.Wait()
				c0.mu.Lock()
				defer c0.mu.Unlock()
				if c.reason == "" {
					if len(c0.aside) != 0 || len(done.all()) != 0 || !p.Failing() {
						t.Errorf("set aside %+v, done %v, failing %v", c0.aside, done.all(), p.Failing())
					}
					return
				}
				if len(c0.aside) != 1 || c0.aside[0].Reason != c.reason || len(done.all()) != 1 || p.Failing() {
					t.Errorf("set aside %+v, done %v, failing %v", c0.aside, done.all(), p.Failing())
				}
			})
		})
	}
}

type fact struct{}

func (fact) EventType() string { return "written" }

func TestNothingPersonalOfAnEventIsLogged(t *testing.T) {
	var said bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug - 4})))
	defer slog.SetDefault(before)
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{full: true}
		e := event.Proposed{ID: event.ID{1}, Type: "written", Data: []byte(`{"personal":{"email":"ada@example.com"}}`), Metadata: []byte(`{"at":"ada@example.com"}`)}
		if _, err := log.Append(t.Context(), "note-1", event.NoStream, []event.Proposed{e}); err != nil {
			t.Fatal(err)
		}
		p, _ := seen("written")
		p.Delay = time.Second
		stop := run(t, p, log, c)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c.mu.Lock()
		c.full = false
		c.mu.Unlock()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		stop()
	})
	text := said.String()
	if strings.Contains(text, "ada@example.com") {
		t.Errorf("it was logged:\n%s", text)
	}
	for _, want := range []string{"no room", `msg="an event is set aside" process=test type=written position=100/99 reason="its metadata cannot be read"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s was not logged:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) { // what a router says is for those who look closely
		if strings.Contains(line, "outer") && !strings.Contains(line, "level=DEBUG") {
			t.Error(line)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written")
		p, _ := seen()
		began := time.Now()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Run(ctx, log, c); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that had ended: %v", err)
		}

		p.On["written"] = func(ctx context.Context, _ event.Recorded) error { <-ctx.Done(); return ctx.Err() }
		stop := run(t, p, log, c)
		synctest.Wait()
		stop()
		if took := time.Since(began); took != 0 || c.saves != 0 || p.Failing() {
			t.Errorf("in the middle of an event: it took %v, %d saves, failing %v", took, c.saves, p.Failing())
		}

		p.On["written"] = func(context.Context, event.Recorded) error { time.Sleep(time.Hour); return nil }
		stop = run(t, p, log, c)
		synctest.Wait()
		stop()
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("with an event that does not end: it took %v", took)
		}
		time.Sleep(time.Hour) // until it has
	})
}

// The same process may run again, as it does when its lease comes back.
func TestAProcessThatRanCanRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		p, done := seen("written")
		for i := range 3 {
			stop := run(t, p, log, c)
			appendTo(t, log, "note-1", time.Now(), "written")
			synctest.Wait()
			stop()
			if n := len(done.all()); n != i+1 {
				t.Fatalf("%d events done in run %d", n, i+1)
			}
		}
	})
}

func BenchmarkHandledEvents(b *testing.B) { through(b, "written") }
func BenchmarkSkippedEvents(b *testing.B) { through(b, "of no concern") }

// through lets a process that does nothing follow 10,000 events.
func through(b *testing.B, typ string) {
	const n = 10_000
	log := logtest.NewMemory()
	events := slices.Repeat([]event.Proposed{{Type: typ, Data: []byte(`{"text":"` + strings.Repeat("x", 400) + `"}`), Metadata: []byte(`{}`)}}, n)
	for i := range events {
		copy(events[i].ID[:], fmt.Sprintf("note-%d", i))
	}
	for i := 0; i < n; i += 100 {
		if _, err := log.Append(b.Context(), "note-1", int64(i)-1, events[i:i+100]); err != nil {
			b.Fatal(err)
		}
	}
	last := event.Proposed{ID: event.ID{1}, Type: "last", Data: []byte(`{}`), Metadata: []byte(`{}`)}
	if _, err := log.Append(b.Context(), "note-1", n-1, []event.Proposed{last}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var handled atomic.Int64
		ctx, cancel := context.WithCancel(b.Context())
		p := &process.Process{Name: "test", Follow: event.Filter{Streams: []string{"note-"}}, On: map[string]func(context.Context, event.Recorded) error{
			"written": func(context.Context, event.Recorded) error { handled.Add(1); return nil },
			"last":    func(context.Context, event.Recorded) error { cancel(); return nil },
		}}
		if err := p.Run(ctx, log, &checkpoints{}); !errors.Is(err, context.Canceled) {
			b.Fatal(err)
		}
		if want := map[bool]int64{true: n}[typ == "written"]; handled.Load() != want {
			b.Fatalf("%d events were handled, not %d", handled.Load(), want)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
