package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// eventful is a history in which rows are made, changed and removed.
func (w *world) eventful(accounts int) {
	w.t.Helper()
	for i := range accounts {
		id := fmt.Sprintf("a%d", i)
		w.happens(id, 0, life(id)...)
		if i%5 == 4 {
			w.happens(id, 11, account.SessionRevoked{ID: id + "-1"}, account.SessionRevoked{ID: id + "-2"}, account.Deleted{})
		}
	}
}

// expected is the rows that other read models over the same log make in a database of their own.
func (w *world) expected() map[string]string {
	w.t.Helper()
	fresh := *w
	fresh.db = openDatabase(w.t, w.on(w.t))
	fresh.models = fresh.newModels()
	fresh.runToEnd(fresh.models)
	return fresh.dumps()
}

// reaper ends a process before one of the statements it writes with, or right after the commit.
type reaper struct {
	before int // which statement, counted from 1
	seen   atomic.Int64
	kill   context.CancelFunc
}

func (r *reaper) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	if int(r.seen.Add(1)) < r.before {
		return ctx
	}
	r.kill()
	dead, cancel := context.WithCancel(ctx)
	cancel()
	return dead
}

func (r *reaper) AfterQuery(context.Context, *bun.QueryEvent) {}

func TestCrashAnywhereRepeatsAndLosesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(20)
		want := w.expected()
		for n, survived := 1, false; !survived; n++ {
			t.Run(fmt.Sprintf("statement %d", n), func(t *testing.T) {
				address := on(t)
				dies := *w
				dies.t, dies.db = t, openDatabase(t, address)
				ctx, kill := context.WithCancel(t.Context())
				r := &reaper{before: n, kill: kill}
				//lint:ignore SA1019 the database is open when the test comes to it
				dies.db.Write().AddQueryHook(r)
				models := dies.newModels()
				ended := make(chan struct{})
				go func() { defer close(ended); _ = models.Run(ctx) }() // its end is the crash
				survived = models.Wait(ctx, w.head()) == nil && int(r.seen.Load()) < n
				kill()
				<-ended

				lives := *w
				lives.t, lives.db = t, openDatabase(t, address)
				lives.timePasses()
				lives.models = lives.newModels()
				lives.runToEnd(lives.models)
				same(t, "rows", lives.dumps(), want)
			})
			if n > 500 || t.Failed() {
				t.Fatal("nothing survives")
			}
		}
	})
}

// timePasses lets the leases of those who died expire.
func (w *world) timePasses() {
	w.t.Helper()
	if w.db.Shared() {
		w.execute("UPDATE leases SET expires = now()")
	}
}

func (w *world) execute(statement string, arguments ...any) {
	w.t.Helper()
	if _, err := w.db.Write().NewRaw(statement, arguments...).Exec(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestLostAnswerOfACommitChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", "hash"), renamed("B"))
		p := newProjector[Account]("accounts", accounts{}, w.db, w.log)
		s := event.Stretch{Events: w.recorded(), UpTo: w.head(), Live: true}
		same(t, "first", p.apply(t.Context(), s), nil)
		before := dump(t, w.db, "accounts")

		p.reached, p.saved = event.Position{}, event.Position{} // it was stored and nobody said so
		same(t, "again", p.apply(t.Context(), s), errMoved)
		same(t, "rows", dump(t, w.db, "accounts"), before)
	})
}

func TestTwoRunnersApplyEveryEventOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		path := on(t)
		var others []*ReadModels
		for range 3 {
			other := *w
			other.db = openDatabase(t, path)
			others = append(others, other.newModels())
			w.db = other.db
		}
		w.models = others[0]
		for _, m := range others {
			w.run(m)
		}
		w.happens("a", 0, created("a@example.com", "hash"))
		for i := range int64(300) {
			w.happens("a", i+1, renamed(fmt.Sprint(i)))
			if i%50 == 0 {
				w.shows(others[i/50%3])
			}
		}
		for _, m := range others {
			w.shows(m)
		}
		a, _ := w.account("a")
		same(t, "logged, revision, name", []any{a.Logged, a.Revision, a.Name}, []any{301, int64(300), "299"})
		same(t, "rows", w.dumps(), w.expected())
	})
}

// faulty is a read model that fails at some events.
type faulty[Row any] struct {
	ReadModel[Row]
	keys, evolve func(event.Recorded) error
}

func (f faulty[Row]) Keys(e event.Recorded) ([]Key, error) {
	if f.keys != nil {
		if err := f.keys(e); err != nil {
			return nil, err
		}
	}
	return f.ReadModel.Keys(e)
}

func (f faulty[Row]) Evolve(row *Row, e event.Recorded) (*Row, error) {
	if f.evolve != nil {
		if err := f.evolve(e); err != nil {
			return nil, err
		}
	}
	return f.ReadModel.Evolve(row, e)
}

func TestPoisonStopsOneModelAtTheEvent(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		const secret = "ada@example.com"
		at := func(revision int64, err error) func(event.Recorded) error {
			return func(e event.Recorded) error {
				if e.Revision == revision && strings.HasSuffix(e.Stream, ".a7") {
					return err
				}
				return nil
			}
		}
		panics := func(with any) func(event.Recorded) error {
			return func(e event.Recorded) error {
				if at(1, errStream)(e) != nil {
					panic(with)
				}
				return nil
			}
		}
		bounds := func(e event.Recorded) error {
			if at(1, errStream)(e) != nil {
				_ = []int{}[len(e.Type)]
			}
			return nil
		}
		number := json.Unmarshal([]byte(`{"id":4915112345678}`), new(account.SessionEnded))
		_, notATime := time.Parse(time.RFC3339, secret)
		for name, c := range map[string]struct {
			model faulty[Session]
			says  string
		}{
			"unknown type":          {faulty[Session]{keys: at(1, event.ErrUnknownType)}, "unknown event type"},
			"unreadable, in keys":   {faulty[Session]{keys: at(1, json.Unmarshal([]byte("{"), new(any)))}, "not JSON at byte 1"},
			"unreadable, in evolve": {faulty[Session]{evolve: at(1, number)}, `the JSON member "id" is not a string`},
			"a value":               {faulty[Session]{evolve: at(1, notATime)}, "a value in it cannot be read"},
			"a panic":               {faulty[Session]{evolve: panics(secret)}, "panic with a string"},
			"a panic of Go's":       {faulty[Session]{evolve: bounds}, "index out of range"},
			"first of them all":     {faulty[Session]{evolve: func(event.Recorded) error { return errOrder }}, errOrder.Error()},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOn(t, on)
				w.eventful(12)
				c.model.ReadModel = sessions{}
				w.models.models[1] = newProjector[Session]("sessions", c.model, w.db, w.log)
				stop := w.run(w.models)
				err := w.awaitStopped(w.models, "sessions")
				var stopped *Stopped
				if !errors.As(err, &stopped) {
					t.Fatalf("stopped with %v", err)
				}
				want := w.poison("a7")
				if name == "first of them all" {
					want = w.poison("a0")
				}
				same(t, "where", []any{stopped.Model, stopped.Position, stopped.Type}, []any{"sessions", want.Position, want.Type})
				if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "4915") {
					t.Errorf("says %q, want %q and nothing personal", err, c.says)
				}

				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				same(t, "the other", w.models.models[0].progress().wait(ctx, w.head()), nil)
				same(t, "waiting for it", w.models.Wait(ctx, w.head()), error(ErrBehind))
				same(t, "waiting for what it has", w.models.Wait(ctx, w.models.Status()[1].Position), nil)
				if !w.models.Status()[1].Position.Before(want.Position) || !w.models.Status()[1].Behind {
					t.Errorf("status is %+v", w.models.Status()[1])
				}
				stop()

				w.models = w.newModels() // with a contract that knows
				w.runToEnd(w.models)
				same(t, "after the repair", w.dumps(), w.expected())
			})
		}
	})
}

// poison is the second event of an account.
func (w *world) poison(id string) event.Recorded {
	w.t.Helper()
	events, err := w.log.Read(w.t.Context(), Key{"shop", id}.accountStream(), 1, event.Forward, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return events[0]
}

func TestWhatTheLogMayHoldThatCannotBeApplied(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		for name, c := range map[string]struct {
			spoil func(*event.Proposed)
			says  string
		}{
			"a later version":     {func(p *event.Proposed) { p.Type = "account.session-started.v9" }, `unknown event type`},
			"data not JSON":       {func(p *event.Proposed) { p.Data = json.RawMessage(`{"id":`) }, "not JSON"},
			"metadata not JSON":   {func(p *event.Proposed) { p.Metadata = json.RawMessage(`no`) }, "not JSON"},
			"a member of another": {func(p *event.Proposed) { p.Data = json.RawMessage(`{"id":"s","factors":"all"}`) }, `"factors"`},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOn(t, on)
				w.happens("a", 0, created("a@example.com", "hash"))
				w.shows(w.started())
				bad := w.proposed(1, started("s"))
				c.spoil(&bad[0])
				w.appends("a", 1, bad...)
				for _, model := range w.models.Names() {
					if model == "identities" && name != "a later version" {
						continue // it does not look into other events than its own
					}
					if err := w.awaitStopped(w.models, model); !strings.Contains(err.Error(), c.says) {
						t.Errorf("%s stopped with %v, want %s", model, err, c.says)
					}
				}
			})
		}
	})
}

func (w *world) started() *ReadModels {
	w.run(w.models)
	return w.models
}

func TestWait(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", "hash"))
		ended, cancel := context.WithCancel(t.Context())
		cancel()

		same(t, "before Run, for nothing", w.models.Wait(ended, event.Position{}), nil)
		same(t, "before Run", w.models.Wait(ended, w.head()), error(ErrBehind))
		same(t, "retry after", ErrBehind.RetryAfter, time.Second)

		// Those who came before it happened are woken, all of them.
		var waiting sync.WaitGroup
		var failed atomic.Int64
		for range 20 {
			waiting.Go(func() {
				if w.models.Wait(t.Context(), w.head()) != nil {
					failed.Add(1)
				}
			})
		}
		stop := w.run(w.models)
		waiting.Wait()
		same(t, "failed", failed.Load(), int64(0))
		same(t, "already there, with an ended context", w.models.Wait(ended, w.head()), nil)
		if a, ok := w.account("a"); !ok || a.Name != "Ada" {
			t.Errorf("after Wait: %v %v", a, ok)
		}

		// A position of another category's event is reached too.
		if _, err := w.log.Append(t.Context(), "claim-shop.x", event.NoStream, w.proposed(0, renamed(""))); err != nil {
			t.Fatal(err)
		}
		w.shows(w.models)
		stop()
		w.happens("a", 1, renamed("B"))
		same(t, "after Run", w.models.Wait(ended, w.head()), error(ErrBehind))
	})
}

func TestCaughtUpMeansTheHeadAtTheStart(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(30)
		select {
		case <-w.models.CaughtUp():
			t.Fatal("caught up before Run")
		default:
		}
		w.run(w.models)
		<-w.models.CaughtUp()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		same(t, "all is there", w.models.Wait(ended, w.head()), nil)
		for _, s := range w.models.Status() {
			same(t, s.Name, s, Status{Name: s.Name, Position: w.head(), Head: w.head(), LastEvent: s.LastEvent})
			if s.LastEvent.IsZero() {
				t.Errorf("%s knows no last event", s.Name)
			}
		}
	})
}

func TestEmptyLogIsCaughtUp(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.run(w.models)
		<-w.models.CaughtUp()
	})
}

// unsteady is a log that fails before it works.
type unsteady struct {
	*logtest.Memory
	failures atomic.Int64
}

func (u *unsteady) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return u.Memory.Follow(ctx, from, only, func(s event.Stretch) error {
		if err := deliver(s); err != nil {
			return err
		}
		if u.failures.Add(-1) >= 0 {
			return fmt.Errorf("the line was cut: %w", event.ErrUnavailable)
		}
		return nil
	})
}

func (u *unsteady) Head(ctx context.Context) (event.Position, error) {
	if u.failures.Add(-1) >= 0 {
		return event.Position{}, event.ErrUnavailable
	}
	return u.Memory.Head(ctx)
}

func TestWhatFailsIsTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(40) // several stretches
		log := &unsteady{Memory: w.log}
		log.failures.Store(7)
		m, err := New(w.db, log)
		if err != nil {
			t.Fatal(err)
		}
		w.runToEnd(m)
		same(t, "rows", w.dumps(), w.expected())
		for _, s := range m.Status() {
			same(t, "waiting for nothing", s.Waiting, nil)
		}
	})
}

func TestFailureIsShownWhileItLasts(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		log := &unsteady{Memory: w.log}
		log.failures.Store(1 << 40)
		m, err := New(w.db, log)
		if err != nil {
			t.Fatal(err)
		}
		w.run(m)
		err = m.models[0].progress().watch(t.Context(), func(now *mark) (bool, error) { return now.waiting != nil, nil })
		same(t, "error", err, nil)
		if got := m.Status()[0].Waiting; !errors.Is(got, event.ErrUnavailable) {
			t.Errorf("waiting for %v", got)
		}
	})
}

func TestRowsThatAreAheadOfTheLogAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(3)
		w.runToEnd(w.models)
		w.log = logtest.NewMemory() // a backup
		w.happens("z", 0, created("z@example.com", ""))
		m := w.newModels()
		w.run(m)
		for _, name := range m.Names() {
			if err := w.awaitStopped(m, name); !errors.Is(err, ErrAhead) {
				t.Errorf("%s stopped with %v", name, err)
			}
		}
		select {
		case <-m.CaughtUp():
			t.Error("caught up")
		default:
		}
		// The way out.
		for _, name := range m.Names() {
			same(t, "rebuild", m.Rebuild(t.Context(), name, nil), nil)
		}
		w.models = w.newModels()
		w.runToEnd(w.models)
		same(t, "rows", w.dumps(), w.expected())
	})
}

func TestWideStretch(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		const keys = 2000
		var events []event.Recorded
		for i := range keys {
			id := fmt.Sprintf("a%04d", i)
			for r, p := range w.proposed(0, created(id+"@example.com", "hash"), started("s"+id)) {
				events = append(events, event.Recorded{Proposed: p, Stream: Key{"shop", id}.accountStream(), Revision: int64(r), Position: event.At(uint64(len(events) + 1))})
			}
		}
		for _, gone := range []bool{false, true} {
			if gone {
				for i := range keys {
					id := fmt.Sprintf("a%04d", i)
					for r, p := range w.proposed(2, account.SessionRevoked{ID: "s" + id}, account.Deleted{}) {
						events = append(events, event.Recorded{Proposed: p, Stream: Key{"shop", id}.accountStream(), Revision: int64(r + 2), Position: event.At(uint64(len(events) + 1))})
					}
				}
			}
			s := event.Stretch{Events: events[:len(events):len(events)], UpTo: event.At(uint64(len(events))), Live: true}
			as, ss := newProjector[Account]("accounts", accounts{}, w.db, w.log), newProjector[Session]("sessions", sessions{}, w.db, w.log)
			if gone { // the second half, on rows that are there
				half := event.At(2 * keys)
				as.reached, as.saved, ss.reached, ss.saved = half, half, half, half
				s.Events = s.Events[2*keys:]
			}
			same(t, "accounts", as.apply(t.Context(), s), nil)
			same(t, "sessions", ss.apply(t.Context(), s), nil)
			want := keys
			if gone {
				want = 0
			}
			n, err := w.models.CountAccounts(t.Context(), "shop")
			same(t, "accounts", []any{n, err}, []any{want, nil})
			same(t, "sessions", strings.Count(dump(t, w.db, "sessions"), "\n"), want)
		}
	})
}

func TestCheckpointOverWhatTouchesNothingIsSavedLazily(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, slices.Repeat([]account.Event{account.Accessed{}}, 100)...)
		idle := w.recorded()
		p := newProjector[Session]("sessions", sessions{}, w.db, w.log)
		p.savedAt = time.Now().Add(time.Hour) // the clock says nothing
		saved := func() event.Position {
			at, err := p.table.checkpoint(t.Context(), w.db.Read())
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		for n := uint64(1); n <= 102; n++ {
			same(t, "apply", p.apply(t.Context(), event.Stretch{Events: idle, UpTo: event.At(n)}), nil)
			same(t, "shown at once", p.shown.now.Load().position, event.At(n))
			want := event.Position{}
			if n >= 101 {
				want = event.At(101)
			}
			same(t, "saved", saved(), want)
		}
		same(t, "flush", p.flush(t.Context()), nil)
		same(t, "saved at the end", saved(), event.At(102))
		p.savedAt = time.Now().Add(-2 * saveAfter)
		same(t, "apply", p.apply(t.Context(), event.Stretch{UpTo: event.At(103)}), nil)
		same(t, "saved after some time", saved(), event.At(103))
	})
}

func TestRunSavesTheCheckpointAtTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", "hash"), renamed("B"))
		w.runToEnd(w.models)
		for _, name := range w.models.Names() {
			at, err := table[Account]{name}.checkpoint(t.Context(), w.db.Read())
			same(t, name, []any{at, err}, []any{w.head(), nil})
		}
	})
}

// What stands in the log stands there for good: a provider's refresh token with a NUL in it has once stopped all projects.
func TestATextThatNoDatabaseHoldsStopsNobody(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.trace.UserAgent = "cu\x00rl\xff"
		s := started("s")
		s.Personal.Access, s.Personal.Refresh, s.Factors = "a\x00", "r\x00r", []string{"o\x00auth2"}
		i := account.IdentityLinked{ID: "i", Provider: "github"}
		i.Personal.Subject, i.Personal.Email, i.Personal.Access, i.Personal.Refresh = "4\x002", "\x00", "\x00a", "r\x00r"
		w.happens("a", 0, created("a\x00@example.com", "hash"), renamed("A\x00da"), called("+1\x00"), prefs("{\"a\":\"\\u0000\xff\"}"), i, s)
		w.happens("b", 0, created("b@example.com", "hash"))
		w.runToEnd(w.models)
		a, _ := w.account("a")
		same(t, "account", []string{a.Email, a.Name, a.Phone}, []string{"a@example.com", "Ada", "+1"})
		same(t, "preferences", string(a.Prefs), `{"a":"\u0000"}`)
		row, _, err := w.models.Session(t.Context(), "shop", "a", "s", dawn)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "session", []string{row.UserAgent, row.ProviderAccess, row.ProviderRefresh, row.Factors[0]}, []string{"curl\uFFFD", "a", "rr", "oauth2"})
		rows, err := w.models.Identities(t.Context(), "shop", "a")
		if err != nil {
			t.Fatal(err)
		}
		same(t, "identity", []string{rows[0].ProviderUID, rows[0].ProviderEmail, rows[0].Access, rows[0].Refresh}, []string{"42", "", "a", "rr"})
		if _, there := w.account("b"); !there {
			t.Error("who came after it is not shown")
		}
		before := w.dumps()
		for _, name := range w.models.Names() {
			same(t, "rebuild", w.models.Rebuild(t.Context(), name, nil), nil)
		}
		same(t, "rebuilt", w.dumps(), before)
	})
}
