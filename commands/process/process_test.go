package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m)
}

var errDown = errors.New("it is down")

// checkpoints keeps positions in memory.
type checkpoints struct {
	mu     sync.Mutex
	at     map[string]event.Position
	saves  int
	aside  []process.Aside
	full   bool         // SetAside fails
	onSave func() error // when set, may refuse to save
	onLoad func() error
}

func (c *checkpoints) SetAside(_ context.Context, a process.Aside) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.full {
		return errors.New("no room")
	}
	c.aside = append(c.aside, a)
	return nil
}

func (c *checkpoints) Load(_ context.Context, process string) (event.Position, bool, error) {
	if c.onLoad != nil {
		if err := c.onLoad(); err != nil {
			return event.Position{}, false, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, seen := c.at[process]
	return at, seen, nil
}

func (c *checkpoints) Begin(ctx context.Context, process string, at event.Position) error {
	if _, seen, err := c.Load(ctx, process); err != nil || seen {
		return err
	}
	return c.Save(ctx, process, at)
}

func (c *checkpoints) Save(_ context.Context, process string, at event.Position) error {
	if c.onSave != nil {
		if err := c.onSave(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[string]event.Position{}
	}
	c.at[process] = at
	c.saves++
	return nil
}

// append stores events of a type, one in each append.
func appendTo(t *testing.T, log *logtest.Memory, stream string, at time.Time, types ...string) {
	t.Helper()
	there, err := log.Read(t.Context(), stream, event.End, event.Backward, 1)
	if err != nil {
		t.Fatal(err)
	}
	next := event.NoStream
	if len(there) > 0 {
		next = there[0].Revision
	}
	for i, typ := range types {
		e := event.Proposed{Type: typ, Data: []byte(`{}`), Metadata: fmt.Appendf(nil, `{"at":%q,"project":"web"}`, at.Format(time.RFC3339Nano))}
		copy(e.ID[:], fmt.Sprintf("%s%d", stream, int(next)+i+2))
		if _, err := log.Append(t.Context(), stream, next+int64(i), []event.Proposed{e}); err != nil {
			t.Fatal(err)
		}
	}
}

// run starts a process and gives the function that stops it and waits for its end.
func run(t *testing.T, p *process.Process, log process.Log, c process.Checkpoints) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx, log, c) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	}
}

// notes is what a process was asked to do.
type notes struct {
	mu   sync.Mutex
	done []string
}

func (n *notes) add(done string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.done = append(n.done, done)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.done)
}

// seen is a process that notes what it is asked to do.
func seen(types ...string) (*process.Process, *notes) {
	var done notes
	p := &process.Process{Name: "test", Follow: event.Filter{Streams: []string{"note-"}}, On: map[string]func(context.Context, event.Recorded) error{}}
	for _, typ := range types {
		p.On[typ] = func(_ context.Context, r event.Recorded) error {
			done.add(fmt.Sprintf("%s %s %d", r.Type, r.Stream, r.Revision))
			return nil
		}
	}
	return p, &done
}

func TestAProcessFinishesItsEventsInOrderAndLeavesTheRestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written", "nobody knows this one", "written")
		appendTo(t, log, "other-1", time.Now(), "written")
		p, done := seen("written")
		stop := run(t, p, log, c)
		synctest.Wait()
		appendTo(t, log, "note-2", time.Now(), "written")
		synctest.Wait()
		if diff := cmp.Diff([]string{"written note-1 0", "written note-1 2", "written note-2 0"}, done.all()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if p.Failing() {
			t.Error("it says that it is failing")
		}
		stop()

		again, done := seen("written")
		appendTo(t, log, "note-3", time.Now(), "written")
		stop = run(t, again, log, c)
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"written note-3 0"}, done.all()); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
	})
}

func TestAnEventThatCannotBeFinishedHoldsUpTheProcessAndSaysSo(t *testing.T) {
	for name, fail := range map[string]func() error{
		"an error": func() error { return errDown },
		"a panic":  func() error { panic("out of luck") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, c := logtest.NewMemory(), &checkpoints{}
				appendTo(t, log, "note-1", time.Now(), slices.Repeat([]string{"of no concern"}, 250)...) // more than a stretch
				appendTo(t, log, "note-1", time.Now(), "written", "stuck", "written")
				p, done := seen("written")
				var tries notes
				began := time.Now()
				var down atomic.Bool
				down.Store(true)
				p.On["stuck"] = func(context.Context, event.Recorded) error {
					tries.add(fmt.Sprint(time.Since(began)))
					if down.Load() {
						return fail()
					}
					return nil
				}
				defer run(t, p, log, c)()
				for range 50 { // looking at every moment
					time.Sleep(time.Second)
					synctest.Wait()
					if !p.Failing() {
						t.Fatal("it does not say that it is failing")
					}
				}
				if slices.Contains(done.all(), "written note-1 252") {
					t.Error("it went on without the event")
				}
				if n := len(tries.all()); n < 5 || n > 60 { // with quick ones each time
					t.Errorf("it tried at %v: the pauses should grow", tries.all())
				}
				down.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if p.Failing() {
					t.Error("it still says that it is failing")
				}
				if !slices.Contains(done.all(), "written note-1 252") {
					t.Error("it does not go on")
				}
			})
		})
	}
}

func TestACheckpointThatCannotBeReadOrSavedHoldsUpTheProcess(t *testing.T) {
	for _, what := range []string{"load", "save"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, c := logtest.NewMemory(), &checkpoints{}
				appendTo(t, log, "note-1", time.Now(), "written")
				p, done := seen("written")
				var down atomic.Bool
				down.Store(true)
				var tries atomic.Int64
				fail := func() error {
					if tries.Add(1); down.Load() {
						return errDown
					}
					return nil
				}
				if what == "load" {
					c.onLoad = fail
				} else {
					c.onSave = fail
				}
				defer run(t, p, log, c)()
				for range 60 {
					time.Sleep(time.Second)
					synctest.Wait()
					if !p.Failing() {
						t.Fatal("it does not say that it is failing")
					}
				}
				if n := tries.Load(); n > 20 {
					t.Errorf("%d tries in a minute", n)
				}
				down.Store(false)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if p.Failing() || len(done.all()) == 0 {
					t.Errorf("failing %v, done %v", p.Failing(), done.all())
				}
			})
		})
	}
}

func TestALogThatIsAwayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &awayLog{Memory: logtest.NewMemory()}
		log.away.Store(true)
		appendTo(t, log.Memory, "other-1", time.Now(), "written")
		p, _ := seen("written")
		defer run(t, p, log, &checkpoints{})()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !p.Failing() {
			t.Error("it does not say that it is failing")
		}
		log.away.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p.Failing() {
			t.Error("with the log back, it says that it is failing: there was nothing for it to do, but it is up to date")
		}
	})
}

type awayLog struct {
	*logtest.Memory
	away atomic.Bool
}

func (l *awayLog) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	if l.away.Load() {
		return event.ErrUnavailable
	}
	return l.Memory.Follow(ctx, from, only, deliver)
}

func TestSkippedStretchesAreSavedNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		p, _ := seen("written")
		defer run(t, p, log, c)()
		for i := range 250 {
			appendTo(t, log, fmt.Sprint("note-", i), time.Now(), "of no concern")
			synctest.Wait()
		}
		if c.saves != 2 {
			t.Errorf("%d saves for 250 stretches", c.saves)
		}
	})
}

func TestAnEventWaitsUntilItIsOldEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 20 * time.Second
		log, c := logtest.NewMemory(), &checkpoints{}
		began := time.Now()
		appendTo(t, log, "note-1", began.Add(-time.Hour), "written")        // at once
		appendTo(t, log, "note-1", began.Add(-5*time.Second), "written")    // after 15 s
		appendTo(t, log, "note-1", began, "written")                        // after 20 s
		appendTo(t, log, "note-1", began.Add(365*24*time.Hour), "written")  // from a clock that was ahead: after the delay
		appendTo(t, log, "note-1", began.Add(-365*24*time.Hour), "written") // from a clock that was behind: at once
		var after []time.Duration
		p, _ := seen()
		p.Delay = delay
		p.On["written"] = func(context.Context, event.Recorded) error {
			after = append(after, time.Since(began))
			return nil
		}
		stop := run(t, p, log, c)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]time.Duration{0, 15 * time.Second, delay, 2 * delay, 2 * delay}, after); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestAProcessThatIsStoppedWhileItWaitsDoesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written")
		p, done := seen("written")
		p.Delay = time.Hour
		stop := run(t, p, log, c)
		synctest.Wait()
		stop()
		if len(done.all()) != 0 || c.saves != 0 || p.Failing() {
			t.Errorf("done %v, %d saves, failing %v", done.all(), c.saves, p.Failing())
		}
	})
}

func TestAnEventThatCannotBeReadIsSetAsideAndNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logtest.NewMemory()
		for i, metadata := range []string{`?`, fmt.Sprintf(`{"at":%q,"project":"web"}`, time.Now().Format(time.RFC3339Nano))} {
			if _, err := log.Append(t.Context(), "note-1", int64(i)-1, []event.Proposed{{ID: event.ID{byte(i + 1)}, Type: "written", Data: []byte(`{}`), Metadata: []byte(metadata)}}); err != nil {
				t.Fatal(err)
			}
		}
		p, done := seen("written")
		p.Delay = time.Second
		c := &checkpoints{full: true}
		defer run(t, p, log, c)()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(done.all()) != 0 || !p.Failing() {
			t.Fatalf("it went on without keeping the event: done %v, failing %v", done.all(), p.Failing())
		}

		c.mu.Lock()
		c.full = false
		c.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"written note-1 1"}, done.all()); diff != "" || p.Failing() {
			t.Errorf("what came after it (-want +got):\n%s", diff)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.aside) != 1 || c.aside[0].Process != "test" || c.aside[0].Stream != "note-1" || c.aside[0].Revision != 0 || c.aside[0].Type != "written" {
			t.Errorf("set aside: %+v", c.aside)
		}
	})
}

// plain hashes for the price of nothing.
type plain struct{}

func (plain) Hash(_ context.Context, password string) (string, error) {
	return "plain:" + password, nil
}
func (plain) Verify(_ context.Context, password, phc string) (bool, bool, error) {
	return phc == "plain:"+password, false, nil
}
func (plain) Dummy(context.Context, string) error { return nil }

// vault notes whom it was asked to forget.
type vault struct {
	forgotten map[string]int
	fail      func() error
}

func (v *vault) Forget(_ context.Context, stream string) error {
	if err := v.fail(); err != nil {
		return err
	}
	v.forgotten[stream]++
	return nil
}

func instance(log commands.Log) *commands.Commands {
	return commands.New(commands.Needs{Log: log, Passwords: plain{}, ClaimKey: []byte("0123456789abcdef"), Now: time.Now})
}

func caller() commands.Caller {
	return commands.Caller{Project: &project.Project{ID: "web", Auth: project.Standard().Auth}, Actor: event.Actor{Kind: event.ActorUser, ID: "ada"}, Request: "request-1", IP: "203.0.113.7"}
}

// leftBehind is a log in which commands crashed at every place where something is left to the processes: an address that
// was claimed and never held, one that was left and never released, one that a deleted account never released.
func leftBehind(t *testing.T) (*logtest.Memory, *commands.Commands) {
	t.Helper()
	log := logtest.NewMemory()
	c := instance(log)
	for id, email := range map[string]account.Email{"mover": "mover@example.com", "goner": "goner@example.com"} {
		if _, err := c.CreateAccount(t.Context(), caller(), commands.CreateAccount{ID: id, Email: email, Password: "a password"}); err != nil {
			t.Fatal(err)
		}
	}
	taken := 0
	log.BeforeAppend = func(stream string, events []event.Proposed) error {
		switch {
		case events[0].Type == "claim.released.v1":
			return errDown
		case events[0].Type == "account.created.v1":
			return errDown
		case events[0].Type == "claim.taken.v1":
			taken++
		}
		return nil
	}
	if _, err := c.CreateAccount(t.Context(), caller(), commands.CreateAccount{ID: "crashed", Email: "crashed@example.com", Password: "a password"}); !errors.Is(err, errDown) {
		t.Fatal(err)
	}
	if _, err := c.ChangeEmail(t.Context(), caller(), "mover", "moved@example.com", "a password"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteAccount(t.Context(), caller(), "goner"); err != nil {
		t.Fatal(err)
	}
	if taken != 2 {
		t.Fatalf("%d claims were taken", taken)
	}
	log.BeforeAppend = nil
	return log, c
}

// Whatever fails or stops, and wherever: in the end everything left behind is done, once.
func TestWhatCommandsLeaveBehindIsFinishedThroughAnyCrash(t *testing.T) {
	for _, how := range []string{"fails", "answers too late", "stops"} {
		for nth := 0; ; nth++ {
			reached := false
			synctest.Test(t, func(t *testing.T) { reached = finish(t, how, nth) })
			if t.Failed() {
				t.Fatalf("operation %d %s", nth, how)
			}
			if !reached {
				if nth < 5 {
					t.Errorf("only %d operations", nth)
				}
				break
			}
		}
	}
}

// finish lets both processes follow a log while the nth thing they do goes wrong, and tells whether there was an nth.
func finish(t *testing.T, how string, nth int) (reached bool) {
	log, c := leftBehind(t)
	saved := &checkpoints{}
	stop := func() {}
	var mu sync.Mutex
	n := 0
	wrong := func() error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n-1 != nth {
			return nil
		}
		reached = true
		if how == "stops" {
			stop()
		}
		return errDown
	}
	v := &vault{map[string]int{}, wrong}
	saved.onSave = wrong
	hook := func(string, []event.Proposed) error { return wrong() }
	if how == "answers too late" {
		log.AfterAppend = hook
	} else {
		log.BeforeAppend = hook
	}
	follow := func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stop = cancel
		processes := []*process.Process{process.Departures(c, v), process.Claims(c)}
		var done sync.WaitGroup
		for _, p := range processes {
			done.Go(func() { _ = p.Run(ctx, log, saved) })
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for _, p := range processes {
			if ctx.Err() == nil && p.Failing() {
				t.Errorf("%s is failing", p.Name)
			}
		}
		cancel()
		done.Wait()
	}
	follow()
	if how == "stops" {
		c = instance(log) // another program
		follow()
	}

	log.BeforeAppend, log.AfterAppend = nil, nil
	if len(v.forgotten) != 1 || v.forgotten["account-web.goner"] == 0 {
		t.Errorf("forgotten are %v", v.forgotten)
	}
	released := map[string]int{}
	for _, e := range everything(t, log) {
		if e.Type == "claim.released.v1" {
			released[e.Stream]++
		}
	}
	want := map[string]int{}
	for _, email := range []account.Email{"crashed@example.com", "mover@example.com", "goner@example.com"} {
		want["claim-web."+c.EmailClaim(email)] = 1
	}
	if diff := cmp.Diff(want, released); diff != "" {
		t.Errorf("released (-want +got):\n%s", diff)
	}
	for i, email := range []account.Email{"crashed@example.com", "mover@example.com", "goner@example.com", "moved@example.com"} {
		_, err := c.CreateAccount(t.Context(), caller(), commands.CreateAccount{ID: fmt.Sprint("new", i), Email: email, Password: "a password"})
		if held := email == "moved@example.com"; (err != nil) != held {
			t.Errorf("%s: %v", email, err)
		}
	}
	return reached
}

func everything(t *testing.T, log *logtest.Memory) []event.Recorded {
	t.Helper()
	var all []event.Recorded
	err := log.Follow(t.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		if all = append(all, s.Events...); s.Live {
			return event.ErrStop
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWhatTheProcessesDoSaysWhatItFollowsFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := leftBehind(t)
		before := everything(t, log)
		stop := run(t, process.Departures(c, &vault{map[string]int{}, func() error { return nil }}), log, &checkpoints{})
		synctest.Wait()
		stop()
		stop = run(t, process.Claims(c), log, &checkpoints{})
		time.Sleep(time.Minute)
		stop()
		ids := map[string]bool{}
		for _, e := range before {
			ids[e.ID.String()] = true
		}
		after := everything(t, log)[len(before):]
		if len(after) != 4 { // three released, one lapsed
			t.Errorf("%d events", len(after))
		}
		for _, e := range after {
			m, err := e.ReadMetadata()
			if err != nil {
				t.Fatal(err)
			}
			if m.Actor.Kind != event.ActorSystem || m.Project != "web" || m.Personal != nil || m.Request != "request-1" || !ids[m.Causation] {
				t.Errorf("%s: %+v", e.Type, m)
			}
			if !strings.Contains(e.Stream, "-web.") {
				t.Errorf("it went to %s", e.Stream)
			}
		}
	})
}

func TestACommandOnItsWayIsNotDisturbedByTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := logtest.NewMemory()
		c := instance(log)
		log.BeforeAppend = func(_ string, events []event.Proposed) error {
			if events[0].Type == "account.created.v1" {
				time.Sleep(commands.ClaimGrace) // very slow
			}
			return nil
		}
		stop := run(t, process.Claims(c), log, &checkpoints{})
		if _, err := c.CreateAccount(t.Context(), caller(), commands.CreateAccount{ID: "ada", Email: "ada@example.com", Password: "a password"}); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		stop()
		if events := everything(t, log); len(events) != 2 {
			t.Errorf("%d events", len(events))
		}
	})
}
