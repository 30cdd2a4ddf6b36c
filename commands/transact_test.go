package commands_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

func TestAConflictIsDecidedAgain(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	var meanwhile atomic.Bool
	w.log.BeforeAppend = func(string, []event.Proposed) error {
		if meanwhile.CompareAndSwap(false, true) { // somebody else is faster
			w.must(w.b.ChangeName(t.Context(), w.user("ada"), "ada", "Ada of b"))
		}
		return nil
	}
	w.must(w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada of a"))
	w.storedAs("ada", "created", "name-changed", "name-changed")
	if got := w.state("ada").Name; got != "Ada of a" {
		t.Errorf("the name is %q", got)
	}
}

func TestAConflictThatDidWhatWasAskedForNeedsNothingMore(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	var meanwhile atomic.Bool
	w.log.BeforeAppend = func(string, []event.Proposed) error {
		if meanwhile.CompareAndSwap(false, true) {
			w.must(w.b.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King"))
		}
		return nil
	}
	receipt, err := w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King")
	w.must(receipt, err)
	w.storedAs("ada", "created", "name-changed")
	w.receiptIs(receipt, "ada")
}

func TestEndlessConflictsEndInARefusal(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.log.BeforeAppend = func(string, []event.Proposed) error { return event.ErrConflict }
	_, err := w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King")
	w.refused(err, commands.ErrContended)
	if refusal.Of(err).RetryAfter <= 0 {
		t.Error("it does not say when to try again")
	}
	w.storedAs("ada", "created")
}

// aLife asks for everything that can be asked for, once.
func aLife(w *world) {
	w.Helper()
	ctx, ada := w.Context(), w.user("ada")
	w.must(w.a.CreateAccount(ctx, w.guest(), commands.CreateAccount{ID: "ada", Email: "ada@example.com", Password: "ada's password", Name: "Ada"}))
	first := w.signIn(w.a, "ada", "ada@example.com")
	w.signIn(w.b, "ada", "ada@example.com")
	w.must(w.a.ChangeName(ctx, ada, "ada", "Ada King"))
	w.must(w.b.ChangePrefs(ctx, ada, "ada", json.RawMessage(`{"theme":"dark"}`)))
	_, _, err := w.a.SignIn(ctx, w.guest(), "ada@example.com", "a guess")
	w.refused(err, account.ErrInvalidCredentials)
	w.must(w.b.ChangeEmail(ctx, ada, "ada", "king@example.com", "ada's password"))
	w.must(w.a.ChangePassword(ctx, ada, "ada", "another password", "ada's password", first.ID))
	w.clock.move(25 * time.Hour)
	w.must(event.Receipt{}, w.b.NoteAccess(ctx, ada, "ada"))
	w.must(w.a.ExtendSession(ctx, ada, "ada", first.ID))
	w.must(w.b.EndSession(ctx, ada, "ada", first.ID))
	if _, _, err := w.a.SignIn(ctx, w.guest(), "king@example.com", "another password"); err != nil {
		w.Fatal(err)
	}
	w.must(w.a.EndSessions(ctx, ada, "ada"))
	w.must(w.b.Block(ctx, w.user("operator"), "ada"))
	w.must(w.a.DeleteAccount(ctx, ada, "ada"))
}

func TestALifeLeavesTheseEvents(t *testing.T) {
	w := newWorld(t)
	aLife(w)
	w.storedAs("ada",
		"created", "session-started", "session-started", "name-changed", "prefs-changed", "wrong-password-given",
		"email-changed", "password-changed", "session-revoked", "accessed", "session-extended", "session-ended",
		"session-started", "signed-out-everywhere", "session-revoked", "blocked", "deleted")
	w.checkLog(true)
}

// Whatever append goes unanswered, stored or not: asking the log again with the same ids has the effect once.
func TestAnUnansweredAppendHasItsEffectOnce(t *testing.T) {
	var undisturbed []string
	for _, stored := range []bool{false, true} {
		for nth := -1; ; nth++ {
			disturbed := false
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				n := 0
				hook := func(string, []event.Proposed) error {
					if n++; n-1 == nth {
						disturbed = true
						return fmt.Errorf("time is up: %w", event.ErrUnavailable)
					}
					return nil
				}
				if stored {
					w.log.AfterAppend = hook
				} else {
					w.log.BeforeAppend = hook
				}
				aLife(w)
				var got []string
				for _, e := range w.events() {
					got = append(got, e.Stream+" "+e.Type)
				}
				if undisturbed == nil {
					undisturbed = got
				}
				if diff := cmp.Diff(undisturbed, got); diff != "" {
					t.Errorf("append %d unanswered, stored %v (-undisturbed +got):\n%s", nth, stored, diff)
				}
				w.checkLog(true)
			})
			if t.Failed() || nth >= 0 && !disturbed {
				break
			}
		}
	}
}

// awayLog is a log whose reads can be away too.
type awayLog struct {
	commands.Log
	away atomic.Bool
}

func (l *awayLog) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	if l.away.Load() {
		return event.Receipt{}, event.ErrUnavailable
	}
	return l.Log.Append(ctx, stream, expected, events)
}

func (l *awayLog) Read(ctx context.Context, stream string, from int64, d event.Direction, limit int) ([]event.Recorded, error) {
	if l.away.Load() {
		return nil, event.ErrUnavailable
	}
	return l.Log.Read(ctx, stream, from, d, limit)
}

// everything is every use case on ada's account.
func everything(w *world, c *commands.Commands, session string) map[string]func() error {
	ctx, ada := w.Context(), w.user("ada")
	receipt := func(_ event.Receipt, err error) error { return err }
	return map[string]func() error{
		"create": func() error { return receipt(c.CreateAccount(ctx, w.guest(), newAccount("bob", "bob@example.com"))) },
		"sign in": func() error {
			_, _, err := c.SignIn(ctx, w.guest(), "ada@example.com", "ada's password")
			return err
		},
		"sign in wrongly": func() error {
			_, _, err := c.SignIn(ctx, w.guest(), "ada@example.com", "a guess")
			return err
		},
		"name":     func() error { return receipt(c.ChangeName(ctx, ada, "ada", "Ada King")) },
		"prefs":    func() error { return receipt(c.ChangePrefs(ctx, ada, "ada", json.RawMessage(`{"a":1}`))) },
		"email":    func() error { return receipt(c.ChangeEmail(ctx, ada, "ada", "new@example.com", "ada's password")) },
		"password": func() error { return receipt(c.ChangePassword(ctx, ada, "ada", "another", "ada's password", "")) },
		"extend":   func() error { return receipt(c.ExtendSession(ctx, ada, "ada", session)) },
		"end":      func() error { return receipt(c.EndSession(ctx, ada, "ada", session)) },
		"end all":  func() error { return receipt(c.EndSessions(ctx, ada, "ada")) },
		"block":    func() error { return receipt(c.Block(ctx, ada, "ada")) },
		"delete":   func() error { return receipt(c.DeleteAccount(ctx, ada, "ada")) },
		"access":   func() error { return c.NoteAccess(ctx, ada, "ada") },
	}
}

// The ways in which a log can be away for good.
var awayFor = map[string]func(*world, *awayLog){
	"reads and appends": func(_ *world, l *awayLog) { l.away.Store(true) },
	"appends": func(w *world, _ *awayLog) {
		w.log.BeforeAppend = func(string, []event.Proposed) error { return event.ErrUnavailable }
	},
	"answers": func(w *world, _ *awayLog) {
		w.log.AfterAppend = func(string, []event.Proposed) error { return event.ErrUnavailable }
	},
}

func TestALogThatIsAwayIsAPromptRefusalThatMayBeTriedAgain(t *testing.T) {
	for how, goAway := range awayFor {
		for what := range everything(newWorld(t), nil, "") {
			t.Run(what+" without "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					log := &awayLog{Log: w.log}
					c := w.instance(log)
					w.signUp("ada", "ada@example.com")
					session := w.signIn(w.a, "ada", "ada@example.com")
					w.clock.move(25 * time.Hour)
					do := everything(w, c, session.ID)[what]
					goAway(w, log)
					before := len(w.events())

					began := time.Now()
					err := do()
					w.refused(err, commands.ErrLogAway)
					if took := time.Since(began); took >= 2*time.Second {
						t.Errorf("the answer took %s", took)
					}
					if r := refusal.Of(err); r.Kind != refusal.Unavailable || r.RetryAfter <= 0 {
						t.Errorf("the refusal is %+v", r)
					}
					if how != "answers" && len(w.events()) != before {
						t.Error("something was stored")
					}

					log.away.Store(false)
					w.log.BeforeAppend, w.log.AfterAppend = nil, nil
					switch err := do(); {
					case err == nil, how == "answers" && isNo(err): // what was stored is already so
					case what == "sign in wrongly":
						w.refused(err, account.ErrInvalidCredentials)
					default:
						t.Errorf("with the log back: %v", err)
					}
					w.settle()
					w.checkLog(true)
				})
			})
		}
	}
}

func TestDamageIsNotTriedAgainAndNotARefusal(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	tries := 0
	w.log.BeforeAppend = func(string, []event.Proposed) error {
		tries++
		return event.ErrDamaged
	}
	_, err := w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King")
	if !errors.Is(err, event.ErrDamaged) || isNo(err) || tries != 1 {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

func TestAnUnknownEventStopsEveryCommandOfItsStream(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	_, err := w.log.Append(t.Context(), commands.AccountStream("web", "ada"), 0, []event.Proposed{{ID: event.ID{1}, Type: "account.ascended.v1", Data: []byte(`{}`), Metadata: []byte(`{}`)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King"); !errors.Is(err, event.ErrUnknownType) || isNo(err) {
		t.Errorf("got %v", err)
	}
}

func TestACallerThatHangsUpStopsTheTrying(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	ctx, hangUp := context.WithCancel(t.Context())
	tries := 0
	w.log.BeforeAppend = func(string, []event.Proposed) error {
		tries++
		hangUp()
		return event.ErrUnavailable
	}
	_, err := w.a.ChangeName(ctx, w.user("ada"), "ada", "Ada King")
	w.refused(err, commands.ErrLogAway)
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
}

func TestAStreamLongerThanAPageIsReadToItsEnd(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for i := range 2500 {
		w.must(w.a.ChangeName(t.Context(), w.user("ada"), "ada", fmt.Sprint("Ada ", i)))
	}
	w.must(w.b.ChangeName(t.Context(), w.user("ada"), "ada", "Ada the last")) // b reads it all
	if got := w.state("ada").Name; got != "Ada the last" || len(w.accountStream("ada")) != 2502 {
		t.Errorf("the name is %q after %d events", got, len(w.accountStream("ada")))
	}
}

// receiptIs checks that a receipt tells where a stream's last event stands.
func (w *world) receiptIs(got event.Receipt, id string) {
	w.Helper()
	last, err := w.log.Read(w.Context(), commands.AccountStream("web", id), event.End, event.Backward, 1)
	if err != nil || len(last) != 1 {
		w.Fatal(last, err)
	}
	if want := (event.Receipt{Revision: last[0].Revision, Position: last[0].Position}); got != want {
		w.Errorf("receipt %+v, the log says %+v", got, want)
	}
}

// What instances remember is what the log tells, and receipts tell where it stands, after whatever commands in whatever
// order on whatever instance, with appends that fail before and after they are stored.
func TestWhatIsRememberedIsWhatTheLogTells(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			w := newWorld(t)
			w.signUp("ada", "ada@example.com")
			unavailable := func(string, []event.Proposed) error {
				if r.IntN(12) == 0 {
					return event.ErrUnavailable
				}
				return nil
			}
			w.log.BeforeAppend, w.log.AfterAppend = unavailable, unavailable
			var last event.Receipt
			password, emails := "ada's password", []account.Email{"ada@example.com", "new@example.com"}
			for range 40 {
				w.clock.move(time.Duration(r.IntN(1000)) * time.Minute)
				c, ada := w.either(r.IntN(2)), w.user("ada")
				a := w.state("ada")
				session := "none"
				if s := a.Sessions(); len(s) > 0 {
					session = s[r.IntN(len(s))].ID
				}
				var receipt event.Receipt
				var err error
				switch r.IntN(10) {
				case 0:
					receipt, err = c.ChangeName(t.Context(), ada, "ada", fmt.Sprint("Ada ", r.IntN(3)))
				case 1:
					receipt, err = c.ChangePrefs(t.Context(), ada, "ada", json.RawMessage(fmt.Sprintf(`{"html":"<&>","n":%d}`, r.IntN(3))))
				case 2:
					receipt, err = c.ChangeEmail(t.Context(), ada, "ada", emails[r.IntN(2)], password)
				case 3:
					to := fmt.Sprint("password ", r.IntN(3))
					if receipt, err = c.ChangePassword(t.Context(), ada, "ada", to, password, session); w.state("ada").Password == "plain:"+to {
						password = to
					}
				case 4:
					receipt, err = c.EndSession(t.Context(), ada, "ada", session)
				case 5:
					receipt, err = c.ExtendSession(t.Context(), ada, "ada", session)
				case 6:
					_, _, err = c.SignIn(t.Context(), w.guest(), a.Email, "a guess")
				case 7:
					_, receipt, err = c.SignIn(t.Context(), w.guest(), a.Email, password)
				case 8:
					receipt, err = c.EndSessions(t.Context(), ada, "ada")
				case 9:
					receipt, err = c.Block(t.Context(), ada, "nobody")
				}
				if err != nil {
					if !isNo(err) {
						t.Fatalf("seed %d: %v", seed, err)
					}
					continue
				}
				w.receiptIs(receipt, "ada")
				if receipt.Position.Before(last.Position) || receipt.Revision < last.Revision {
					t.Errorf("seed %d: receipt %+v after %+v", seed, receipt, last)
				}
				last = receipt
			}
			w.log.BeforeAppend, w.log.AfterAppend = nil, nil
			for _, c := range []*commands.Commands{w.a, w.b} {
				_, _ = c.ChangeName(t.Context(), w.user("ada"), "ada", "Ada the last") // brings it up to date
				known, asOf, ok := c.Known("web", "ada")
				if !ok {
					t.Fatalf("seed %d: nothing is remembered", seed)
				}
				if diff := cmp.Diff(w.state("ada"), known, wholeState); diff != "" {
					t.Errorf("seed %d (-log +remembered):\n%s", seed, diff)
				}
				w.receiptIs(asOf, "ada")
			}
			w.checkLog(false)
			w.settle()
			w.checkLog(true)
		})
		if t.Failed() {
			return
		}
	}
}

func TestEveryAppendIsObserved(t *testing.T) {
	w := newWorld(t)
	var seen []error
	c := commands.New(commands.Needs{
		Log: w.log, Passwords: w.passwords, Now: w.clock.Now,
		Observe: func(err error, took time.Duration) { seen = append(seen, err) },
	})
	w.must(c.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com")))
	w.log.BeforeAppend = once(holds(account.NameChanged{}), event.ErrUnavailable)
	w.must(c.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King"))
	if len(seen) != 4 || seen[0] != nil || seen[1] != nil || !errors.Is(seen[2], event.ErrUnavailable) || seen[3] != nil {
		t.Errorf("observed %v", seen)
	}
}

// Streams are named after ids and keyed hashes, and whatever tells something about a person stands in a personal member,
// which the vault seals. The rest of the log may be read by anybody who operates it.
func TestNothingPersonalStandsOutsideOfPersonal(t *testing.T) {
	w := newWorld(t)
	aLife(w)
	w.signUp("bob", "canary@example.net")
	secret := w.signIn(w.a, "bob", "canary@example.net").Secret
	w.takeClaimAnew("bob", "canary@example.net")
	w.settle()
	for _, e := range w.events() {
		open := e.Stream + e.Type
		for _, part := range []json.RawMessage{e.Data, e.Metadata} {
			var members map[string]json.RawMessage
			if err := json.Unmarshal(part, &members); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(e.Stream, "claim-") && members["personal"] != nil {
				t.Errorf("%s: nobody's stream has a personal member: %s", e.Stream, members["personal"])
			}
			delete(members, "personal")
			for _, value := range members {
				open += string(value)
			}
		}
		for _, personal := range []string{"example.", "canary", "King", "Name of", "password\"", "plain:", "another", "dark", w.guest().IP, w.guest().UserAgent} {
			if strings.Contains(open, personal) && !(personal == "password\"" && strings.Contains(e.Type, "session")) {
				t.Errorf("%s tells %q: %s", e.Type, personal, open)
			}
		}
		if strings.Contains(string(e.Data)+string(e.Metadata), secret) {
			t.Errorf("%s holds the secret of a session", e.Type)
		}
	}
}

func TestMetadataTellWhoAskedAndFromWhere(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.signIn(w.a, "ada", "ada@example.com")
	by := w.user("ada")
	by.Request, by.Cause = "request-2", "event-1"
	w.must(w.a.DeleteAccount(t.Context(), by, "ada"))
	by.Actor = event.Actor{Kind: event.ActorSystem}
	w.takeClaimAnew("ada", "ada@example.com")
	w.must(event.Receipt{}, w.a.RepairClaim(t.Context(), by, "ada", account.Hold{Claim: w.a.EmailClaim("ada@example.com"), Taking: "anew"}))

	trace := event.Trace{IP: "203.0.113.7", UserAgent: "test/1", Email: "ada@example.com", Name: "Name of ada"}
	ada := event.Actor{Kind: event.ActorUser, ID: "ada"}
	want := []event.Metadata{
		{Actor: event.Actor{Kind: event.ActorGuest}, Request: "request-1", Correlation: "request-1", Personal: &trace},
		{Actor: ada, Request: "request-1", Correlation: "request-1", Personal: &trace}, // who signs in is no guest any more
		{Actor: ada, Request: "request-2", Correlation: "request-2", Causation: "event-1", Personal: &trace},
		{Actor: ada, Request: "request-2", Correlation: "request-2", Causation: "event-1", Personal: &trace}, // of who it was
		{Actor: by.Actor, Request: "request-2", Correlation: "request-2", Causation: "event-1"},              // nobody's: the person may be forgotten
	}
	events, err := w.log.Read(t.Context(), commands.AccountStream("web", "ada"), event.Start, event.Forward, 10)
	if err != nil {
		t.Fatal(err)
	}
	var got []event.Metadata
	for i, e := range events {
		m, err := e.ReadMetadata()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
		if i < len(want) {
			want[i].At, want[i].Project = noon, "web"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
