package commands_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/domain/refusal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// wholeState lets go-cmp look at everything a state holds.
var wholeState = cmp.Exporter(func(reflect.Type) bool { return true })

// world is instances of Acta over one log, with one clock.
type world struct {
	*testing.T
	log       *logtest.Memory
	clock     *clock
	passwords *plain
	project   *project.Project
	accounts  atomic.Int64 // what the read model counts
	followed  int          // how many events the processes have finished
	a, b      *commands.Commands
}

func newWorld(t *testing.T) *world {
	p := project.Standard()
	p.ID = "web"
	w := &world{T: t, log: logtest.NewMemory(), clock: &clock{now: noon}, passwords: &plain{}, project: &p}
	w.a, w.b = w.instance(w.log), w.instance(w.log)
	t.Cleanup(func() {
		if n := w.a.Waiting() + w.b.Waiting(); n != 0 {
			t.Errorf("%d turns were never ended", n)
		}
	})
	return w
}

// instance starts another program on a log.
func (w *world) instance(log commands.Log) *commands.Commands {
	return commands.New(commands.Needs{
		Log: log, Passwords: w.passwords, ClaimKey: []byte("0123456789abcdef"), TokenKey: []byte("32 bytes from which secrets derive"), Now: w.clock.Now,
		CountAccounts: func(context.Context, string) (int, error) { return int(w.accounts.Load()), nil },
	})
}

func (w *world) either(i int) *commands.Commands {
	if i%2 == 0 {
		return w.a
	}
	return w.b
}

// guest is somebody nobody knows yet.
func (w *world) guest() commands.Caller {
	return commands.Caller{Project: w.project, Actor: event.Actor{Kind: event.ActorGuest}, Request: "request-1", IP: "203.0.113.7", UserAgent: "test/1"}
}

func (w *world) user(id string) commands.Caller {
	by := w.guest()
	by.Actor = event.Actor{Kind: event.ActorUser, ID: id}
	return by
}

// must ends the test at an error.
func (w *world) must(_ event.Receipt, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) refused(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

// signUp makes an account with the password "<id>'s password".
func (w *world) signUp(id string, email account.Email) {
	w.Helper()
	w.must(w.a.CreateAccount(w.Context(), w.guest(), newAccount(id, email)))
}

func newAccount(id string, email account.Email) commands.CreateAccount {
	return commands.CreateAccount{ID: id, Email: email, Password: id + "'s password", Name: "Name of " + id}
}

func (w *world) signIn(c *commands.Commands, id string, email account.Email) commands.StartedSession {
	w.Helper()
	s, _, err := c.SignIn(w.Context(), w.guest(), email, id+"'s password")
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// events gives the whole log.
func (w *world) events() []event.Recorded {
	w.Helper()
	var all []event.Recorded
	err := w.log.Follow(w.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		all = append(all, s.Events...)
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

// stream gives the wire names of a stream's events, without "account." or "claim." and the version.
func (w *world) stream(name string) []string {
	w.Helper()
	events, err := w.log.Read(w.Context(), name, event.Start, event.Forward, 100_000)
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, e := range events {
		_, short, _ := strings.Cut(strings.TrimSuffix(e.Type, ".v1"), ".")
		names = append(names, short)
	}
	return names
}

func (w *world) accountStream(id string) []string { return w.stream(commands.AccountStream("web", id)) }

// storedAs checks that the log holds exactly these events of an account.
func (w *world) storedAs(id string, want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.accountStream(id)); diff != "" {
		w.Errorf("stream of %s (-want +got):\n%s", id, diff)
	}
}

// state folds an account from the stored events alone.
func (w *world) state(id string) account.Account {
	w.Helper()
	events, err := w.log.Read(w.Context(), commands.AccountStream("web", id), event.Start, event.Forward, 100_000)
	if err != nil {
		w.Fatal(err)
	}
	var a account.Account
	for _, r := range events {
		a = evolve(w.T, a, r)
	}
	return a
}

func evolve(t *testing.T, a account.Account, r event.Recorded) account.Account {
	t.Helper()
	e, err := account.Contract.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.ReadMetadata()
	if err != nil {
		t.Fatal(err)
	}
	return a.Evolve(m.At, e)
}

// settle lets the processes meet every event that they have not met yet.
func (w *world) settle() {
	w.Helper()
	if err := w.follow(w.Context(), w.instance(w.log)); err != nil {
		w.Fatal(err)
	}
}

// follow meets each event once, as the processes do, and goes on after the last one that was finished.
func (w *world) follow(ctx context.Context, c *commands.Commands) error {
	for {
		events := w.events()
		if w.followed == len(events) {
			return nil
		}
		for _, e := range events[w.followed:] {
			if err := handle(ctx, c, e); err != nil {
				return err
			}
			w.followed++
		}
	}
}

// handle does what the processes do with an event.
func handle(ctx context.Context, c *commands.Commands, e event.Recorded) error {
	for _, p := range []*process.Process{process.Departures(c, nobodysVault{}), process.Claims(c)} {
		if on := p.On[e.Type]; on != nil && p.Follow.Admits(e.Stream) {
			if err := on(ctx, e); err != nil {
				return err
			}
		}
	}
	return nil
}

type nobodysVault struct{}

func (nobodysVault) Forget(context.Context, string) error { return nil }

// checkLog folds the whole log and checks at every position what must hold there: at most one account holds an address
// (of mail, a number or an identity), and the claim of a held address is its holder's; no account has more sessions than
// allowed; nobody signs in as an account that was deleted. When the processes have been through the log, no claim may be
// left without a holder.
func (w *world) checkLog(settled bool) {
	w.Helper()
	if complaint := complain(w.T, w.events(), w.project.Auth.SessionLimit, settled); complaint != "" {
		w.Fatal(complaint)
	}
}

func complain(t *testing.T, events []event.Recorded, sessionLimit int, settled bool) string {
	t.Helper()
	accounts, claims, holders := map[string]account.Account{}, map[string]claim.Claim{}, map[string]string{}
	for _, r := range events {
		_, name, _ := strings.Cut(r.Stream, ".")
		if strings.HasPrefix(r.Stream, "visit-") {
			continue
		}
		if strings.HasPrefix(r.Stream, "claim-") {
			e, err := claim.Contract.Read(r)
			if err != nil {
				t.Fatal(err)
			}
			m, err := r.ReadMetadata()
			if err != nil {
				t.Fatal(err)
			}
			claims[name] = claims[name].Evolve(m.At, e)
			if holder := holders[name]; holder != "" && claims[name].Owner != holder {
				return fmt.Sprintf("at %s the claim of an address that %s holds is %q's", r.Position, holder, claims[name].Owner)
			}
			continue
		}
		before := accounts[name]
		after := evolve(t, before, r)
		accounts[name] = after
		if before.Deleted() && after.Exists() {
			return fmt.Sprintf("at %s the deleted account %s is back", r.Position, name)
		}
		if n := len(after.Sessions()); n > sessionLimit {
			return fmt.Sprintf("at %s %s has %d sessions", r.Position, name, n)
		}
		asked := append(slices.Collect(maps.Keys(claims)), after.EmailHold.Claim, after.PhoneHold.Claim, identityClaim(t, r))
		for _, held := range asked {
			if before.Holds(held) && holders[held] == name {
				delete(holders, held)
			}
			if held == "" || !after.Holds(held) {
				continue
			}
			if other := holders[held]; other != "" && other != name {
				return fmt.Sprintf("at %s %s holds an address that %s holds", r.Position, name, other)
			}
			if owner := claims[held].Owner; owner != name {
				return fmt.Sprintf("at %s %s holds an address whose claim is %q's", r.Position, name, owner)
			}
			holders[held] = name
		}
	}
	for name, c := range claims {
		if settled && c.Owner != holders[name] {
			return fmt.Sprintf("%q has the claim on an address that %q holds", c.Owner, holders[name])
		}
	}
	return ""
}

// identityClaim is the claim on an identity that an event connects.
func identityClaim(t *testing.T, r event.Recorded) string {
	t.Helper()
	e, err := account.Contract.Read(r)
	if err != nil {
		t.Fatal(err)
	}
	linked, _ := e.(account.IdentityLinked)
	return linked.Hold.Claim
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// plain hashes for the price of nothing. Hashes that begin with old: are of yesterday's parameters.
type plain struct {
	verified, hashed, dummies atomic.Int64
	during                    func(phc string) // when set, happens while a password is weighed; "" = against nobody's
}

func (p *plain) Hash(_ context.Context, password string) (string, error) {
	p.hashed.Add(1)
	return "plain:" + password, nil
}

func (p *plain) Verify(_ context.Context, password, phc string) (ok, outdated bool, err error) {
	p.verified.Add(1)
	if p.during != nil {
		p.during(phc)
	}
	kind, of, _ := strings.Cut(phc, ":")
	return of == password, kind == "old", nil
}

func (p *plain) Dummy(context.Context, string) error {
	p.dummies.Add(1)
	if p.during != nil {
		p.during("")
	}
	return nil
}

// at starts n goroutines at once and waits for them.
func at(n int, do func(i int)) {
	var done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		done.Go(func() {
			<-start
			do(i)
		})
	}
	close(start)
	done.Wait()
}

// once fails the first append that it is asked about and that fits.
func once(fits func(stream string, events []event.Proposed) bool, err error) func(string, []event.Proposed) error {
	var failed atomic.Bool
	return func(stream string, events []event.Proposed) error {
		if fits(stream, events) && failed.CompareAndSwap(false, true) {
			return err
		}
		return nil
	}
}

// holds says whether one of the events is of this kind.
func holds(e event.Fact) func(string, []event.Proposed) bool {
	return func(_ string, events []event.Proposed) bool {
		for _, p := range events {
			if p.Type == e.EventType() {
				return true
			}
		}
		return false
	}
}

// isNo says that an error is a refusal, as every answer but success must be.
func isNo(err error) bool { return refusal.Of(err) != nil }
