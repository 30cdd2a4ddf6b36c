package commands_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

var (
	rounds    = flag.Uint64("rounds", 400, "random interleavings to try")
	firstSeed = flag.Uint64("seed", 0, "seed of the first interleaving")
)

var errCrashed = errors.New("the program is no more")

// scheduled is a log whose every operation waits until the test says what becomes of it.
type scheduled struct {
	commands.Log
	asked chan *operation
}

// operation is one read or append on its way to the log.
type operation struct {
	actor  *actor
	append bool
	run    func(ctx context.Context) error
	answer chan error // what the caller is told instead of running it; nil = run it
}

// actor is one command. Once it crashed, nothing it asks is answered.
type actor struct {
	name    string
	crashed bool
}

type actorKey struct{}

func (s *scheduled) ask(ctx context.Context, append bool, run func(context.Context) error) error {
	a := ctx.Value(actorKey{}).(*actor)
	op := &operation{a, append, run, make(chan error)}
	s.asked <- op
	if err := <-op.answer; err != nil {
		return err
	}
	return run(context.Background())
}

func (s *scheduled) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (r event.Receipt, err error) {
	err = s.ask(ctx, true, func(ctx context.Context) error {
		r, err = s.Log.Append(ctx, stream, expected, events)
		return err
	})
	return r, err
}

func (s *scheduled) Read(ctx context.Context, stream string, from int64, d event.Direction, limit int) (events []event.Recorded, err error) {
	err = s.ask(ctx, false, func(ctx context.Context) error {
		events, err = s.Log.Read(ctx, stream, from, d, limit)
		return err
	})
	return events, err
}

// No interleaving of commands on two instances with the processes, in which appends are delayed, answers are lost,
// programs crash and the clock passes the grace, gives an address to two accounts, or takes one from its holder, or
// loses one: after the processes have been through the log, every address that nobody holds can be had.
//
// Each round plays one interleaving, chosen by its seed: go test -run Interleaving -seed N -rounds 1 plays it again.
func TestNoInterleavingGivesAnAddressToTwoOrToNobody(t *testing.T) {
	took := map[string]int{} // how often something came about, so that the test notices when it tests nothing
	for seed := *firstSeed; seed < *firstSeed+*rounds; seed++ {
		synctest.Test(t, func(t *testing.T) { interleave(t, seed, took) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, what := range []string{"account.claim-lapsed.v1", "account.email-changed.v1", "account.deleted.v1", "claim.released.v1", "crash", "late", "lost", "refused"} {
		if took[what] == 0 && *rounds >= 100 {
			t.Errorf("it never came to: %s", what)
		}
	}
}

func interleave(t *testing.T, seed uint64, took map[string]int) {
	r := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	w.project.Auth.SessionLimit = 1
	addresses := []account.Email{"one@bücher.example", "two@example.com", "one@xn--bcher-kva.example"} // two mailboxes
	w.signUp("ada", addresses[0])
	if r.IntN(2) == 0 {
		w.signUp("bob", addresses[1])
	}
	w.clock.move(time.Minute)

	gate := &scheduled{w.log, make(chan *operation)}
	a, b := w.instance(gate), w.instance(gate)
	any := func() account.Email { return addresses[r.IntN(len(addresses))] }
	password := func(id string) string { return id + "'s password" }

	running := 0
	finished := make(chan error)
	start := func(name string, do func(ctx context.Context, c *commands.Commands) error) {
		c := a
		if r.IntN(2) == 0 {
			c = b
		}
		running++
		go func() {
			finished <- do(context.WithValue(context.Background(), actorKey{}, &actor{name: name}), c)
		}()
	}
	command := func() {
		id := []string{"ada", "bob", "cyd", "dan"}[r.IntN(4)]
		switch r.IntN(6) {
		case 0, 1:
			to := any()
			start("create "+id, func(ctx context.Context, c *commands.Commands) error {
				_, err := c.CreateAccount(ctx, w.guest(), newAccount(id, to))
				return err
			})
		case 2, 3, 4:
			to := any()
			start("move "+id, func(ctx context.Context, c *commands.Commands) error {
				_, err := c.ChangeEmail(ctx, w.user(id), id, to, password(id))
				return err
			})
		case 5:
			start("delete "+id, func(ctx context.Context, c *commands.Commands) error {
				_, err := c.DeleteAccount(ctx, w.user(id), id)
				return err
			})
		}
	}
	for range 2 + r.IntN(4) {
		command()
	}
	// The processes meet events as soon as they are in the log, without the delay that makes them harmless for commands
	// on the way: nothing may depend on it.
	if r.IntN(3) > 0 {
		start("process", w.follow)
	}

	var waiting []*operation
	var late []*operation // appends whose caller was told that the outcome is unknown, and that may arrive later
	for running > 0 || len(late) > 0 {
		synctest.Wait()
		for collecting := true; collecting; {
			select {
			case op := <-gate.asked:
				waiting = append(waiting, op)
				synctest.Wait()
			case err := <-finished:
				running--
				if err != nil && !isNo(err) && !errors.Is(err, errCrashed) {
					t.Fatal(err)
				}
				if isNo(err) {
					took["refused"]++
				}
				synctest.Wait()
			default:
				collecting = false
			}
		}
		switch {
		case len(late) > 0 && (len(waiting) == 0 && running == 0 || r.IntN(4) == 0):
			i := r.IntN(len(late))
			if late[i].run(context.Background()) == nil {
				took["late"]++
			}
			late = append(late[:i], late[i+1:]...)
			continue
		case len(waiting) == 0:
			if running > 0 {
				time.Sleep(10 * time.Millisecond) // they pause before the next try
			}
			continue
		}
		if r.IntN(10) == 0 {
			w.clock.move(commands.ClaimGrace + time.Second)
		}
		if running < 6 && r.IntN(40) == 0 {
			command()
		}
		i := r.IntN(len(waiting))
		op := waiting[i]
		waiting = append(waiting[:i], waiting[i+1:]...)
		switch fate := r.IntN(20); {
		case op.actor.crashed:
			op.answer <- errCrashed
		case fate == 0: // before it was stored
			took["crash"]++
			op.actor.crashed = true
			op.answer <- errCrashed
		case fate == 1 && op.append: // after it was stored, or before it arrives
			took["crash"]++
			op.actor.crashed = true
			late = append(late, op)
			op.answer <- errCrashed
		case fate == 2 && op.append: // stored, and the answer was lost
			took["lost"]++
			_ = op.run(context.Background())
			op.answer <- event.ErrUnavailable
		case fate <= 4 && op.append: // still on its way when the caller gives up waiting
			late = append(late, op)
			op.answer <- event.ErrUnavailable
		default:
			op.answer <- nil
		}
	}

	events := w.events()
	for _, e := range events {
		took[e.Type]++
	}
	if complaint := complain(t, events, 1, false); complaint != "" {
		t.Errorf("%s\n%s", complaint, story(events))
		return
	}
	w.settle()
	if complaint := complain(t, w.events(), 1, true); complaint != "" {
		t.Errorf("settled: %s\n%s", complaint, story(w.events()))
		return
	}
	held := map[string]bool{}
	for _, id := range []string{"ada", "bob", "cyd", "dan"} {
		held[w.state(id).EmailHold.Claim] = true
	}
	for i, address := range addresses[:2] {
		_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount(fmt.Sprint("new", i), address))
		if taken := held[w.a.EmailClaim(address)]; (err == nil) == taken {
			t.Errorf("an address that somebody holds (%v) was given with %v\n%s", taken, err, story(w.events()))
		}
	}
}

// story tells a log, one event a line.
func story(events []event.Recorded) string {
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "%8s %-30.30s %d %s %s\n", e.Position, e.Stream, e.Revision, e.Type, e.Data)
	}
	return b.String()
}
