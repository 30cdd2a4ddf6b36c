package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// chance makes any history that an account can have, the same for the same seed.
type chance struct {
	*rand.Rand
	id       string
	sessions []string // that have not ended
	started  int

	identities []string // that were not removed
}

func (c *chance) text() string {
	return []string{"", "Ada", "Ada 'the' \"Countess\"; --", "Ж\t中\\n🦉", "ein ß", "NULL", " a  ", "$1 ? {}", "r\x00r", "\x00", "\xff"}[c.IntN(11)]
}

func (c *chance) time() time.Time { return dawn.Add(time.Duration(c.Int64N(1e12)) * time.Millisecond) }

// session chooses one that has not ended; ending says that it does now.
func (c *chance) session(ending bool) string {
	i := c.IntN(len(c.sessions))
	id := c.sessions[i]
	if ending {
		c.sessions = slices.Delete(c.sessions, i, i+1)
	}
	return id
}

// eventsOf gives, for each wire name, an event that can happen now. Those that name a session need one.
var eventsOf = map[string]func(*chance) account.Event{
	"account.created.v1": func(c *chance) account.Event {
		e := created("x@example.com", c.text())
		e.Personal.Name = c.text()
		if c.IntN(2) == 0 {
			e.EmailTarget = ""
		}
		if c.IntN(2) == 0 {
			e.Personal.Phone, e.PhoneTarget = account.Phone(c.text()), "phone target"
		}
		return e
	},
	"account.email-verified.v1":   func(*chance) account.Event { return account.EmailVerified{} },
	"account.phone-verified.v1":   func(*chance) account.Event { return account.PhoneVerified{} },
	"account.sign-up-tried.v1":    func(*chance) account.Event { return account.SignUpTried{} },
	"account.wrong-code-given.v1": func(*chance) account.Event { return account.WrongCodeGiven{Purpose: account.ForPhoneCode} },
	"account.token-issued.v1": func(c *chance) account.Event {
		return account.TokenIssued{ID: c.text(), Purpose: account.ForRecovery, Expires: c.time()}
	},
	"account.token-used.v1": func(c *chance) account.Event {
		return account.TokenUsed{ID: c.text(), Purpose: []account.Purpose{account.ForMagicURL, account.ForRecovery}[c.IntN(2)]}
	},
	"account.phone-changed.v1":    func(c *chance) account.Event { return called(c.text()) },
	"account.name-changed.v1":     func(c *chance) account.Event { return renamed(c.text()) },
	"account.email-changed.v1":    func(c *chance) account.Event { return moved(c.text()) },
	"account.password-changed.v1": func(c *chance) account.Event { return password(c.text()) },
	"account.password-removed.v1": func(*chance) account.Event { return account.PasswordRemoved{} },
	"account.prefs-changed.v1": func(c *chance) account.Event {
		return prefs([]string{`{}`, `{"b":9007199254740993,"a":1.0,"b":2}`, `{"z":"\u0000","é":"'\\"}`, `{"a":[null,{"c":1e400}]}`, "{\"a\":\"\xff\"}"}[c.IntN(5)])
	},
	"account.password-rehashed.v1":     func(*chance) account.Event { return account.PasswordRehashed{} },
	"account.wrong-password-given.v1":  func(*chance) account.Event { return account.WrongPasswordGiven{} },
	"account.blocked.v1":               func(*chance) account.Event { return account.Blocked{} },
	"account.accessed.v1":              func(*chance) account.Event { return account.Accessed{} },
	"account.claim-lapsed.v1":          func(*chance) account.Event { return account.ClaimLapsed{} },
	"account.signed-out-everywhere.v1": func(*chance) account.Event { return account.SignedOutEverywhere{} },
	"account.deleted.v1":               func(*chance) account.Event { return account.Deleted{} },
	"account.session-started.v1": func(c *chance) account.Event {
		c.started++
		e := started(fmt.Sprintf("%s-%d", c.id, c.started))
		e.Expires, e.Factors, e.Personal.ProviderUID = c.time(), [][]string{nil, {"password"}, {"password", `"quoted"`}}[c.IntN(3)], c.text()
		e.Personal.Access, e.Personal.Refresh, e.AccessExpires = c.text(), c.text(), c.time()
		c.sessions = append(c.sessions, e.ID)
		return e
	},
	"account.session-extended.v1": func(c *chance) account.Event {
		e := account.SessionExtended{ID: c.session(false), Expires: c.time()}
		if e.Refreshed = c.IntN(2) == 0; e.Refreshed {
			e.Personal.Access, e.Personal.Refresh, e.AccessExpires = c.text(), c.text(), c.time()
		}
		return e
	},
	"account.session-refresh-begun.v1": func(*chance) account.Event { return account.SessionRefreshBegun{} },
	"account.session-refresh-ended.v1": func(*chance) account.Event { return account.SessionRefreshEnded{} },
	"account.session-proved.v1": func(c *chance) account.Event {
		return account.SessionProved{ID: c.session(false), Factors: [][]string{nil, {"totp"}, {c.text()}}[c.IntN(3)], Challenged: c.IntN(2) == 0}
	},
	"account.mfa-switched.v1":           func(c *chance) account.Event { return account.MFASwitched{On: c.IntN(2) == 0} },
	"account.authenticator-added.v1":    func(*chance) account.Event { return account.AuthenticatorAdded{} },
	"account.authenticator-verified.v1": func(*chance) account.Event { return account.AuthenticatorVerified{} },
	"account.authenticator-removed.v1":  func(*chance) account.Event { return account.AuthenticatorRemoved{} },
	"account.recovery-codes-made.v1":    func(*chance) account.Event { return account.RecoveryCodesMade{} },
	"account.recovery-codes-removed.v1": func(*chance) account.Event { return account.RecoveryCodesRemoved{} },
	"account.challenge-issued.v1":       func(*chance) account.Event { return account.ChallengeIssued{} },
	"account.challenge-passed.v1": func(c *chance) account.Event {
		return account.ChallengePassed{Code: []*int{nil, new(int)}[c.IntN(2)]}
	},
	"account.wrong-answer-given.v1": func(*chance) account.Event { return account.WrongAnswerGiven{} },
	"account.identity-linked.v1": func(c *chance) account.Event {
		e := account.IdentityLinked{ID: fmt.Sprintf("%s-i%d", c.id, len(c.identities)), Provider: "github", AccessExpires: c.time()}
		e.Personal.Subject, e.Personal.Email, e.Personal.Access, e.Personal.Refresh = c.text(), account.Email(c.text()), c.text(), c.text()
		c.identities = append(c.identities, e.ID)
		return e
	},
	"account.identity-refreshed.v1": func(c *chance) account.Event {
		if len(c.identities) == 0 {
			return account.WrongAnswerGiven{}
		}
		e := account.IdentityRefreshed{ID: c.identities[len(c.identities)-1]}
		e.Personal.Access = c.text()
		return e
	},
	"account.identity-removed.v1": func(c *chance) account.Event {
		if len(c.identities) == 0 {
			return account.WrongAnswerGiven{}
		}
		e := account.IdentityRemoved{ID: c.identities[len(c.identities)-1]}
		c.identities = c.identities[:len(c.identities)-1]
		e.Sessions = slices.Clone(c.sessions[:c.IntN(len(c.sessions)+1)])
		return e
	},
	"account.session-ended.v1":   func(c *chance) account.Event { return account.SessionEnded{ID: c.session(true)} },
	"account.session-revoked.v1": func(c *chance) account.Event { return account.SessionRevoked{ID: c.session(true)} },
}

// life gives an account's events. The first creates it, and if one deletes it that is the last.
func (c *chance) life(length int) []account.Event {
	names := slices.Sorted(maps.Keys(eventsOf))
	events := []account.Event{eventsOf["account.created.v1"](c)}
	for len(events) < length {
		name := names[c.IntN(len(names))]
		switch {
		case name == "account.created.v1",
			name == "account.deleted.v1" && len(events) < length-1,
			ofSession[name] && name != "account.session-started.v1" && len(c.sessions) == 0:
			continue
		}
		events = append(events, eventsOf[name](c))
	}
	return events
}

func TestBothDatabasesHaveTheSameRows(t *testing.T) {
	for name := range account.Contract {
		if eventsOf[name] == nil {
			t.Errorf("%s does not occur in the history", name)
		}
	}
	const seed, lives = 20261120, 150
	w := newWorldOn(t, postgrestest.Database)
	happened := map[string]bool{}
	for i := range lives {
		c := &chance{Rand: rand.New(rand.NewPCG(seed, uint64(i))), id: []string{"a", "B", "_", "Z", "ä"}[i%5] + fmt.Sprint(i)}
		w.trace.IP, w.trace.UserAgent = c.text(), c.text()
		events := w.proposed(c.Int64N(1e6), c.life(1+c.IntN(60))...)
		for _, e := range events {
			happened[e.Type] = true
		}
		if i%10 == 9 {
			events = w.forgotten(events)
		}
		w.appends(c.id, 0, events...)
	}
	same(t, "events of all types", len(happened), len(account.Contract))
	w.runToEnd(w.models)
	onSQLite := *w
	onSQLite.on = inFile
	want := onSQLite.expected()
	if strings.Count(want["accounts"], "\n") < lives/2 || strings.Count(want["sessions"], "\n") < lives/3 || strings.Count(want["identities"], "\n") < lives/3 {
		t.Fatalf("the history leaves few rows: %d, %d", strings.Count(want["accounts"], "\n"), strings.Count(want["sessions"], "\n"))
	}
	same(t, "caught up at once", w.dumps(), want)

	// Event by event makes the same rows as all at once, which goes by COPY.
	slow := newWorldOn(t, postgrestest.Database)
	accountsRows, sessionRows := newProjector[Account]("accounts", accounts{}, slow.db, w.log), newProjector[Session]("sessions", sessions{}, slow.db, w.log)
	identityRows := newProjector[Identity]("identities", identities{}, slow.db, w.log)
	for some := range slices.Chunk(w.recorded(), 7) {
		s := event.Stretch{Events: some, UpTo: some[len(some)-1].Position}
		if err := errors.Join(accountsRows.apply(t.Context(), s), sessionRows.apply(t.Context(), s), identityRows.apply(t.Context(), s)); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "few at a time", slow.dumps(), want)
	for _, name := range w.models.Names() {
		same(t, "rebuild", w.models.Rebuild(t.Context(), name, nil), nil)
	}
	same(t, "rebuilt", w.dumps(), want)
}

// moves counts the checkpoints that an instance moves.
type moves struct{ atomic.Int64 }

func (m *moves) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if strings.HasPrefix(e.Query, "UPDATE checkpoints SET position") {
		m.Add(1)
	}
	return ctx
}

func (m *moves) AfterQuery(context.Context, *bun.QueryEvent) {}

// instance is one of several, whose statements are watched.
type instance struct {
	*world
	moved  *moves
	freeze *postgrestest.Freeze
}

func watched(w *world) instance {
	i := instance{w, new(moves), postgrestest.NewFreeze(w.t, w.db.Write())}
	//lint:ignore SA1019 the database is open when the test comes to it
	w.db.Write().AddQueryHook(i.moved)
	return i
}

// leading gives two instances, of which the first projects until it is stopped, and the second watches.
func leading(t *testing.T) (leader, follower instance, stop func()) {
	t.Helper()
	leader = watched(newWorldOn(t, postgrestest.Database))
	leader.happens("a", 0, created("a@example.com", "hash"))
	stop = leader.run(leader.models)
	leader.shows(leader.models)
	follower = watched(leader.another())
	follower.shows(follower.started())
	return leader, follower, stop
}

func TestOneInstanceProjectsAndTheOtherSeesEveryCheckpoint(t *testing.T) {
	leader, follower, _ := leading(t)
	<-follower.models.CaughtUp()
	const writes = 1000
	for i := range int64(writes) {
		switch want := fmt.Sprint(i); i % 2 {
		case 0: // touches no session, and still the follower must not wait for the sessions
			leader.happens("a", 1+i, renamed(want))
			follower.shows(follower.models)
			if a, _ := follower.account("a"); a.Name != want {
				t.Fatalf("read %q, want %q", a.Name, want)
			}
		default:
			leader.happens("a", 1+i, started(want))
			follower.shows(follower.models)
			if _, _, ok, err := follower.models.BySecret(t.Context(), "shop", "a", "hash-of-"+want, dawn); !ok || err != nil {
				t.Fatalf("session %s: %v, %v", want, ok, err)
			}
		}
	}
	same(t, "checkpoints moved by the one that watches", follower.moved.Load(), int64(0))
	if leader.moved.Load() < writes {
		t.Errorf("checkpoints moved by the one that projects: %d", leader.moved.Load())
	}
	a, _ := follower.account("a")
	same(t, "logged", a.Logged, writes+1)
	for _, s := range follower.models.Status() {
		same(t, s.Name, s, Status{Name: s.Name, Position: leader.head(), Head: s.Head})
	}
}

func TestFollowerTakesOverAtOnceWhenTheOtherStops(t *testing.T) {
	_, second, stop := leading(t)
	began := time.Now()
	stop()
	second.happens("a", 1, renamed("B"))
	second.shows(second.models)
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("it took %v", took) // less than a lease needs to expire
	}
	if second.moved.Load() == 0 {
		t.Error("somebody else moved the checkpoint")
	}
	same(t, "rows", second.dumps(), second.expected())
}

func TestProjectorThatStandsStillIsReplacedAndRefused(t *testing.T) {
	for name, before := range map[string]string{
		"before its transaction":  "BEGIN",
		"before it is fenced":     "SELECT token",
		"before it stores rows":   `INSERT INTO "accounts"`,
		"before it commits":       "COMMIT",
		"while it has no work":    "UPDATE leases",
		"before it moves forward": "UPDATE checkpoints",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zombie, next, _ := leading(t)
			zombie.freeze.Before(before)
			zombie.happens("a", 1, renamed("B"))
			<-zombie.freeze.Still()
			began := time.Now()
			for i := range int64(20) { // the other goes on, and far beyond
				next.happens("a", 2+i, renamed(fmt.Sprint(i)))
				next.shows(next.models)
			}
			if took := time.Since(began); took > 6*time.Second { // 2.3 s on a machine that has nothing else to do
				t.Errorf("it took %v", took)
			}
			if next.moved.Load() == 0 {
				t.Error("nobody took over")
			}
			zombie.freeze.Wake()
			next.happens("a", 22, renamed("after"))
			zombie.shows(zombie.models) // as the one who watches now
			next.shows(next.models)
			a, _ := zombie.account("a")
			same(t, "logged, name", []any{a.Logged, a.Name}, []any{23, "after"})
			same(t, "rows", next.dumps(), next.expected())
		})
	}
}

// severable is a log to which the line of one instance can go dead.
type severable struct {
	*logtest.Memory
	dead atomic.Bool
}

func (s *severable) Head(ctx context.Context) (event.Position, error) {
	if s.dead.Load() {
		<-ctx.Done()
		return event.Position{}, ctx.Err()
	}
	return s.Memory.Head(ctx)
}

func (s *severable) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return s.Memory.Follow(ctx, from, only, func(stretch event.Stretch) error {
		if s.dead.Load() {
			<-ctx.Done()
			return ctx.Err()
		}
		return deliver(stretch)
	})
}

func TestWhoIsCutOffFromTheLogLetsAnotherProject(t *testing.T) {
	cutOff := newWorldOn(t, postgrestest.Database)
	log := &severable{Memory: cutOff.log}
	cutOff.db.(*database.Postgres).HoldOnlyWhile(func(ctx context.Context) error { _, err := log.Head(ctx); return err })
	var err error
	if cutOff.models, err = New(cutOff.db, log); err != nil {
		t.Fatal(err)
	}
	cutOff.happens("a", 0, created("a@example.com", "hash"))
	cutOff.run(cutOff.models)
	cutOff.shows(cutOff.models)
	next := watched(cutOff.another())
	stop := next.run(next.models)
	next.shows(next.models)

	log.dead.Store(true)
	next.happens("a", 1, renamed("B"))
	began := time.Now()
	next.shows(next.models)
	if took := time.Since(began); took > 6*time.Second { // 3 s on a machine that has nothing else to do
		t.Errorf("it took %v", took)
	}
	if next.moved.Load() == 0 {
		t.Error("nobody took over")
	}
	cutOff.shows(cutOff.models) // as the one who watches: it has Postgres

	log.dead.Store(false)
	stop()
	cutOff.happens("a", 2, renamed("C"))
	cutOff.shows(cutOff.models)
	same(t, "rows", cutOff.dumps(), cutOff.expected())
}

func TestLostListenerIsReplaced(t *testing.T) {
	leader, follower, _ := leading(t)
	for i := range int64(4) {
		leader.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'acta listening'")
		leader.happens("a", 1+i, renamed(fmt.Sprint(i)))
		follower.shows(follower.models)
		if a, _ := follower.account("a"); a.Name != fmt.Sprint(i) {
			t.Fatalf("read %q, want %d", a.Name, i)
		}
	}
}

func TestPostgresThatIsAwayIsSaidToBe(t *testing.T) {
	cluster := postgrestest.Alone(t)
	w := newWorldOn(t, func(t testing.TB) string { return cluster.Alone(t) })
	w.happens("a", 0, created("a@example.com", "hash"), started("s"))
	w.shows(w.started())
	follower := w.another()
	follower.shows(follower.started())
	shown := w.head()
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	queries := map[string]func() (bool, error){
		"account": func() (bool, error) { _, ok, err := w.models.Account(t.Context(), "shop", "a"); return ok, err },
		"session": func() (bool, error) {
			_, ok, err := w.models.Session(t.Context(), "shop", "a", "s", dawn)
			return ok, err
		},
		"sessions": func() (bool, error) {
			_, err := w.models.Sessions(t.Context(), "shop", "a", dawn)
			return err == nil, err
		},
		"count": func() (bool, error) { _, err := w.models.CountAccounts(t.Context(), "shop"); return err == nil, err },
		"by secret": func() (bool, error) {
			_, _, ok, err := w.models.BySecret(t.Context(), "shop", "a", "hash-of-s", dawn)
			return ok, err
		},
		"afterwards": func() (bool, error) { _, ok, err := w.models.Account(t.Context(), "shop", "a"); return ok, err },
	}
	for name, query := range queries {
		began := time.Now()
		_, err := query()
		if !errors.Is(err, ErrAway) || ErrAway.RetryAfter != time.Second {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	for i, models := range []*ReadModels{w.models, follower.models} {
		name := []string{"the one that projects", "the one that watches"}[i]
		w.happens("a", int64(2+i), renamed(name))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		same(t, name, models.Wait(ctx, w.head()), error(ErrBehind))
		err := models.models[0].progress().watch(t.Context(), func(now *mark) (bool, error) { return now.waiting != nil, nil })
		same(t, name+" says so", err, nil)
		// Postgres may come back without what it had shown.
		same(t, name+", for what was shown", models.Wait(ctx, shown), error(ErrBehind))
		cancel()
	}

	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	w.shows(w.models)
	follower.shows(follower.models)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("full service after %v", took)
	}
	for name, query := range queries {
		for ok, err := query(); !ok || err != nil; ok, err = query() { // connections from before are found out one by one
			if !errors.Is(err, ErrAway) || time.Since(began) > 10*time.Second {
				t.Fatalf("%s: %v, %v", name, ok, err)
			}
		}
	}
}

// The line to one of two instances goes dead: nothing is refused, nothing arrives.
func TestPostgresThatSaysNothingIsNoticed(t *testing.T) {
	cluster := postgrestest.Start(t)
	line := cluster.Line(t)
	cutOff := newWorldOn(t, func(t testing.TB) string { return line.DSN(cluster.Database(t)) })
	cutOff.happens("a", 0, created("a@example.com", "hash"), started("s"))
	cutOff.shows(cutOff.started())
	shown := cutOff.head()
	mend := line.Cut()
	defer mend()

	began := time.Now()
	_, _, ok, err := cutOff.models.BySecret(t.Context(), "shop", "a", "hash-of-s", dawn)
	if took := time.Since(began); ok || !errors.Is(err, ErrAway) || took > 2*time.Second {
		t.Errorf("after %v: %v, %v", took, ok, err)
	}
	unknown := func(now *mark) (bool, error) { return now.position == event.Position{} && now.waiting != nil, nil }
	same(t, "it notices", cutOff.models.models[0].progress().watch(t.Context(), unknown), nil)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it noticed after %v", took)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	same(t, "for what was shown", cutOff.models.Wait(ended, shown), error(ErrBehind))

	mend()
	cutOff.happens("a", 2, renamed("B"))
	cutOff.shows(cutOff.models)
	for ok = false; !ok; {
		if _, _, ok, err = cutOff.models.BySecret(t.Context(), "shop", "a", "hash-of-s", dawn); err != nil && !errors.Is(err, ErrAway) {
			t.Fatal(err)
		}
	}
	same(t, "rows", cutOff.dumps(), cutOff.expected())
}

func TestCrashesOfPostgresLoseAndDoubleNothing(t *testing.T) {
	cluster := postgrestest.Alone(t)
	one := newWorldOn(t, func(t testing.TB) string { return cluster.Alone(t) })
	one.happens("a", 0, created("a@example.com", "hash"))
	one.shows(one.started())
	two := one.another()
	two.started()
	revision := int64(1)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		crashed := make(chan error, 1)
		go func() { defer cancel(); crashed <- errors.Join(cluster.Kill(), cluster.Restart()) }()
		for ; ctx.Err() == nil; revision++ {
			one.happens("a", revision, renamed(fmt.Sprint(revision)))
			waiting, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			for _, w := range []*world{one, two} {
				if w.models.Wait(waiting, w.head()) != nil {
					continue // away
				}
				a, ok, err := w.models.Account(t.Context(), "shop", "a")
				if errors.Is(err, ErrAway) {
					continue
				}
				if !ok || err != nil || a.Revision != revision {
					t.Fatalf("after Wait: revision %d, want %d; %v, %v", a.Revision, revision, ok, err)
				}
			}
			cancel()
		}
		if err := <-crashed; err != nil {
			t.Fatal(err)
		}
		one.shows(one.models)
		two.shows(two.models)
	}
	a, ok, err := one.models.Account(t.Context(), "shop", "a")
	for errors.Is(err, ErrAway) {
		a, ok, err = one.models.Account(t.Context(), "shop", "a")
	}
	same(t, "logged", []any{a.Logged, ok, err}, []any{int(revision), true, nil})
	onSQLite := *one
	onSQLite.on = inFile
	same(t, "rows", two.dumps(), onSQLite.expected())
}

func TestRowsBeyondTheLogAreNotShownByFollowers(t *testing.T) {
	leader, follower, _ := leading(t)
	leader.happens("a", 1, renamed("B"))
	follower.shows(follower.models)
	leader.execute("UPDATE checkpoints SET position = ?", event.At(1<<40).String()) // as if the log was restored from a backup
	for i, name := range follower.models.Names() {
		err := follower.models.models[i].progress().watch(t.Context(), func(now *mark) (bool, error) { return errors.Is(now.stopped, ErrAhead), nil })
		same(t, name, err, nil)
	}
	same(t, "wait", follower.models.Wait(t.Context(), leader.head()), error(ErrBehind))
}
