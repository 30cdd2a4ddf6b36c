package database

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/domain/event"
)

// within bounds what the tests wait for, when all is well for much less.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// hold holds a lease until stop is called or the test ends. Each time it gets it, it says so.
func hold(t *testing.T, p *Postgres, name string) (got <-chan context.Context, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all := make(chan context.Context, 100)
	var holding sync.WaitGroup
	holding.Go(func() {
		err := p.Hold(ctx, name, func(held context.Context) error {
			all <- held
			<-held.Done()
			return nil
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	stop = func() { cancel(); holding.Wait() }
	t.Cleanup(stop)
	return all, stop
}

func TestALeaseIsHeldByOneAtATime(t *testing.T) {
	all := instances(t, 3)
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	defer cancel()
	var holders, most, turns atomic.Int64
	var running sync.WaitGroup
	for _, p := range all {
		running.Go(func() {
			for ctx.Err() == nil {
				_ = p.Hold(ctx, "projectors", func(context.Context) error {
					most.Store(max(most.Load(), holders.Add(1)))
					defer holders.Add(-1)
					if turns.Add(1) == 9 {
						cancel()
					}
					return nil
				})
			}
		})
	}
	running.Wait()
	if most.Load() != 1 || turns.Load() < 9 {
		t.Errorf("%d at once, %d turns", most.Load(), turns.Load())
	}
	other, _ := hold(t, all[0], "one")
	another, _ := hold(t, all[1], "another")
	<-other
	<-another
}

func TestHoldGivesWhatWasReturned(t *testing.T) {
	p := instances(t, 1)[0]
	want := errors.New("a mistake")
	if err := p.Hold(t.Context(), "projectors", func(context.Context) error { return want }); err != want {
		t.Errorf("got %v", err)
	}
}

func TestACleanStopGivesTheLeaseToTheNextAtOnce(t *testing.T) {
	all := instances(t, 2)
	first, stop := hold(t, all[0], "projectors")
	<-first
	second, _ := hold(t, all[1], "projectors")
	began := time.Now()
	stop()
	select {
	case <-second:
	case <-within(t, time.Minute).Done():
		t.Fatal("nobody took it")
	}
	if took := time.Since(began); took > leaseTime {
		t.Errorf("it took %v", took)
	}
}

func TestAHolderThatStandsStillIsReplacedAndRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before string
		cut    bool // and its connections with it
	}{
		"before its transaction":          {"BEGIN", false},
		"in its transaction":              {"UPDATE checkpoints", false},
		"before it commits":               {"COMMIT", false},
		"cut off, before its transaction": {"BEGIN", true},
		"cut off, before it commits":      {"COMMIT", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := instances(t, 2)
			f := postgrestest.NewFreeze(t, all[0].Write())
			zombie, _ := hold(t, all[0], "projectors")
			held := <-zombie
			f.Before(c.before)
			refused := make(chan error, 1)
			go func() {
				refused <- all[0].Update(held, func(ctx context.Context, tx bun.IDB) error {
					_, err := tx.NewRaw("UPDATE checkpoints SET position = '6/6'").Exec(ctx)
					return err
				})
			}()
			<-f.Still()
			if c.cut {
				kill(t, all[1], "instance-0")
			}
			began := time.Now()
			next, _ := hold(t, all[1], "projectors")
			now := <-next
			if took := time.Since(began); took > 5*time.Second { // 2.2 s on a machine that has nothing else to do
				t.Errorf("it took %v", took)
			}
			err := all[1].Update(now, func(ctx context.Context, tx bun.IDB) error {
				_, err := tx.NewRaw("UPDATE checkpoints SET position = '7/7'").Exec(ctx)
				return err
			})
			if err != nil {
				t.Error(err)
			}
			f.Wake()
			if <-refused == nil { // by the fence, or because its transaction is no more
				t.Error("the zombie may store")
			}
			<-held.Done() // and it notices
			if got := column[string](t, all[1].Read(), "SELECT DISTINCT position FROM checkpoints"); len(got) != 1 || got[0] != "7/7" {
				t.Errorf("the rows are %v", got)
			}
		})
	}
}

func TestALostLeaseRefusesToStore(t *testing.T) {
	all := instances(t, 2)
	first, _ := hold(t, all[0], "projectors")
	held := <-first
	taken(t, all[1])
	for what, store := range map[string]func() error{
		"rows": func() error {
			return all[0].Update(context.WithoutCancel(held), func(context.Context, bun.IDB) error { t.Error("it began"); return nil })
		},
		"a checkpoint of a process": func() error {
			return all[0].Checkpoints().Save(context.WithoutCancel(held), "claims", event.At(7))
		},
	} {
		if err := store(); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	<-held.Done()
	if cause := context.Cause(held); !errors.Is(cause, ErrLost) {
		t.Errorf("it ended with %v", cause)
	}
}

// taken gives the lease to somebody else, who dies at once.
func taken(t *testing.T, p *Postgres) {
	t.Helper()
	execute(t, p.Write(), "UPDATE leases SET token = token + 1, holder = 'somebody', expires = now() + '1 second'")
}

func TestALostLeaseIsTakenAgain(t *testing.T) {
	all := instances(t, 2)
	got, _ := hold(t, all[0], "projectors")
	first := <-got
	taken(t, all[1])
	second := <-got
	if first.Err() == nil || second.Err() != nil {
		t.Errorf("first %v, second %v", first.Err(), second.Err())
	}
	if a, b := first.Value(leaseKey{}).(lease).token, second.Value(leaseKey{}).(lease).token; b != a+2 {
		t.Errorf("tokens %d, %d", a, b)
	}
}

func TestTransactionsDoNotHoldUpRenewing(t *testing.T) {
	p := instances(t, 1)[0]
	got, _ := hold(t, p, "projectors")
	held := <-got
	expires := func() time.Time { return column[time.Time](t, p.Read(), "SELECT expires FROM leases")[0] }
	err := p.Update(held, func(ctx context.Context, tx bun.IDB) error {
		for before := expires(); !expires().After(before); { // a fenced transaction is open all the time
			if _, err := tx.NewRaw("SELECT 1").Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCheckpointsOfProcessesAreShared(t *testing.T) {
	all := instances(t, 2)
	one, two := all[0].Checkpoints(), all[1].Checkpoints()
	if at, _, err := one.Load(t.Context(), "claims"); err != nil || at != (event.Position{}) {
		t.Fatalf("a process never seen begins at %v, %v", at, err)
	}
	for i, at := range []event.Position{event.At(7), {Commit: 12, Prepare: 9}} {
		err := all[i].Hold(t.Context(), "processes", func(ctx context.Context) error {
			return all[i].Checkpoints().Save(ctx, "claims", at)
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []SharedCheckpoints{one, two} {
			if got, _, err := c.Load(t.Context(), "claims"); err != nil || got != at {
				t.Errorf("it goes on from %v, %v; want %v", got, err, at)
			}
		}
	}
	if at, _, err := one.Load(t.Context(), "departures"); err != nil || at != (event.Position{}) {
		t.Errorf("another begins at %v, %v", at, err)
	}
}

// link is something that an instance needs besides Postgres. While it is away, who asks is told nothing.
type link struct {
	away                 atomic.Bool
	answered, unanswered chan struct{}
	left                 chan struct{} // one for each who stopped asking before the time was over
}

func newLink(p *Postgres) *link {
	l := &link{answered: make(chan struct{}, 100), unanswered: make(chan struct{}, 100), left: make(chan struct{}, 100)}
	p.HoldOnlyWhile(func(ctx context.Context) error {
		if !l.away.Load() {
			l.answered <- struct{}{}
			return nil
		}
		l.unanswered <- struct{}{}
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.left <- struct{}{}
		}
		return ctx.Err()
	})
	return l
}

// await waits until a channel has told something n times.
func await[T any](t *testing.T, n int, told <-chan T) {
	t.Helper()
	ctx := within(t, time.Minute)
	for range n {
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatal("nothing more happens")
		}
	}
}

// forget takes from a channel what it has told so far.
func forget(told <-chan struct{}) {
	for len(told) > 0 {
		<-told
	}
}

// Who cannot do what the lease is for, though Postgres is there, must not keep others from doing it.
func TestALeaseIsGivenUpByWhoCannotDoWhatItIsFor(t *testing.T) {
	all := instances(t, 2)
	needed := newLink(all[0])
	one, _ := hold(t, all[0], "work")
	held := <-one
	two, stop := hold(t, all[1], "work")
	needed.away.Store(true)
	began := time.Now()
	await(t, 1, two)
	if took := time.Since(began); took > 5*time.Second { // 3 s on a machine that has nothing else to do
		t.Errorf("it kept the lease for %s", took)
	}
	if cause := context.Cause(held); !errors.Is(cause, errUnfit) {
		t.Errorf("it ended with %v", cause)
	}
	stop() // now it is nobody's
	forget(needed.unanswered)
	await(t, 3, needed.unanswered)
	select {
	case <-one:
		t.Error("it took a lease it has no use for")
	default:
	}
	needed.away.Store(false)
	await(t, 1, one)
}

func TestAMomentWithoutWhatIsNeededCostsNoLease(t *testing.T) {
	p := instances(t, 1)[0]
	needed := newLink(p)
	got, _ := hold(t, p, "work")
	held := <-got
	needed.away.Store(true)
	await(t, 1, needed.unanswered)
	needed.away.Store(false)
	forget(needed.answered)
	await(t, 4, needed.answered)
	if held.Err() != nil {
		t.Errorf("it ended with %v", context.Cause(held))
	}
}

func TestACleanStopWaitsForNothingThatIsNeeded(t *testing.T) {
	p := instances(t, 1)[0]
	needed := newLink(p)
	got, stop := hold(t, p, "work")
	<-got
	needed.away.Store(true)
	await(t, 1, needed.unanswered)
	stop()
	select {
	case <-needed.left:
	default:
		t.Error("it waited for an answer that it had no use for")
	}
	if column[bool](t, p.Read(), "SELECT expires > clock_timestamp() FROM leases")[0] {
		t.Error("the lease is not free")
	}
}

// What is in flight when an instance stops, or must give up, ends by itself: until then a successor would do it again.
func TestTheLeaseIsKeptUntilWhatItIsForHasEnded(t *testing.T) {
	for name, unfit := range map[string]bool{"a clean stop": false, "without what it needs": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := instances(t, 2)
			needed := newLink(all[0])
			ctx, cancel := context.WithCancel(t.Context())
			began, ended, finish := make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{})
			var holding sync.WaitGroup
			holding.Go(func() {
				_ = all[0].Hold(ctx, "letters", func(held context.Context) error {
					began <- struct{}{}
					<-held.Done()
					ended <- struct{}{}
					<-finish
					return held.Err()
				})
			})
			await(t, 1, began)
			next, _ := hold(t, all[1], "letters")
			if unfit {
				needed.away.Store(true)
			} else {
				cancel()
			}
			await(t, 1, ended)
			select {
			case <-next:
				t.Error("a successor began beside it")
			case <-time.After(leaseTime + 2*lookEvery):
			}
			close(finish)
			await(t, 1, next)
			cancel()
			holding.Wait()
		})
	}
}
