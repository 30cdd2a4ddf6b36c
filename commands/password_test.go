package commands_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

func (w *world) guess(c *commands.Commands, email account.Email, password string) error {
	_, _, err := c.SignIn(w.Context(), w.guest(), email, password)
	return err
}

func TestWrongPasswordsAreCountedAndTheRightOneForgivesThem(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for i := range 9 {
		w.refused(w.guess(w.either(i), "ada@example.com", "a guess"), account.ErrInvalidCredentials)
	}
	if n := w.state("ada").WrongPasswords; n != 9 {
		t.Errorf("%d were counted", n)
	}
	w.signIn(w.b, "ada", "ada@example.com")
	if n := w.state("ada").WrongPasswords; n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestAfterTenWrongPasswordsEachCostsTwiceTheTimeOfTheOneBefore(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for i := range 10 {
		w.refused(w.guess(w.either(i), "ada@example.com", "a guess"), account.ErrInvalidCredentials)
	}
	for wait := time.Second; wait <= 8*time.Second; wait *= 2 {
		weighed := w.passwords.verified.Load()
		for _, password := range []string{"a guess", "ada's password"} { // neither is weighed
			err := w.guess(w.b, "ada@example.com", password)
			w.refused(err, account.ErrGuessing)
			if left := refusal.Of(err).RetryAfter; left != wait {
				t.Errorf("wait %s, want %s", left, wait)
			}
		}
		if n := w.passwords.verified.Load(); n != weighed {
			t.Error("a password was weighed before its time")
		}
		w.clock.move(wait)
		w.refused(w.guess(w.a, "ada@example.com", "a guess"), account.ErrInvalidCredentials)
	}
	w.clock.move(16 * time.Second)
	w.signIn(w.b, "ada", "ada@example.com")
	w.refused(w.guess(w.a, "ada@example.com", "a guess"), account.ErrInvalidCredentials) // from the beginning
}

// Asking for a change of the account is as good for guessing as signing in.
func TestWrongPasswordsAreCountedWhereverTheyAreGiven(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for i := range 10 {
		var err error
		if i%2 == 0 {
			_, err = w.a.ChangeEmail(t.Context(), w.user("ada"), "ada", "new@example.com", "a guess")
		} else {
			_, err = w.b.ChangePassword(t.Context(), w.user("ada"), "ada", "another", "a guess", "")
		}
		w.refused(err, account.ErrInvalidCredentials)
	}
	w.refused(w.guess(w.a, "ada@example.com", "ada's password"), account.ErrGuessing)
}

func TestOfAThousandParallelGuessesHardlyMoreThanTenAreWeighed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.signUp("ada", "ada@example.com")
		w.passwords.during = func(string) { time.Sleep(40 * time.Millisecond) } // time enough for all to come in
		at(1000, func(i int) {
			err := w.guess(w.either(i), "ada@example.com", "a guess")
			if !errors.Is(err, account.ErrInvalidCredentials) && !errors.Is(err, account.ErrGuessing) {
				t.Errorf("got %v", err)
			}
		})
		const instances = 2
		weighed, counted := w.passwords.verified.Load(), w.state("ada").WrongPasswords
		if weighed > 10+instances || weighed < 10 {
			t.Errorf("%d guesses were weighed", weighed)
		}
		if int64(counted) != weighed {
			t.Errorf("%d guesses were weighed and %d counted", weighed, counted)
		}
		w.refused(w.guess(w.instance(w.log), "ada@example.com", "ada's password"), account.ErrGuessing) // a restart forgives nothing
	})
}

// Who hangs up, or asks and closes its half of the connection, learns nothing and pays for the guess.
func TestHangingUpDoesNotMakeAGuessFree(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	ctx, hangUp := context.WithCancel(t.Context())
	w.passwords.during = func(string) { hangUp() }
	_, _, err := w.a.SignIn(ctx, w.guest(), "ada@example.com", "a guess")
	w.refused(err, account.ErrInvalidCredentials)
	w.storedAs("ada", "created", "wrong-password-given")
}

func TestAGuessThatCannotBeCountedIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.signUp("ada", "ada@example.com")
		w.log.BeforeAppend = func(string, []event.Proposed) error { return event.ErrUnavailable }
		wrong, right := w.guess(w.a, "ada@example.com", "a guess"), w.guess(w.a, "ada@example.com", "ada's password")
		if !errors.Is(wrong, commands.ErrLogAway) || !errors.Is(right, commands.ErrLogAway) {
			t.Errorf("wrong: %v; right: %v", wrong, right)
		}
	})
}

func TestNobodysAddressIsRefusedAsAWrongPasswordIs(t *testing.T) {
	w := newWorld(t)
	w.refused(w.guess(w.a, "nobody@example.com", "a guess"), account.ErrInvalidCredentials)
	if w.passwords.dummies.Load() != 1 {
		t.Error("it took no time")
	}
	if events := w.events(); len(events) != 0 {
		t.Errorf("it left %v", events)
	}
}

func TestAPasswordThatChangesWhileItIsWeighedIsWeighedAgain(t *testing.T) {
	for _, c := range []struct {
		name, given string
		want        error
	}{
		{"what was wrong may have become right", "another", nil},
		{"what was right may have become wrong", "ada's password", account.ErrInvalidCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.signUp("ada", "ada@example.com")
			var changed atomic.Bool
			w.passwords.during = func(string) {
				if changed.CompareAndSwap(false, true) {
					w.must(w.b.ChangePassword(t.Context(), w.user("ada"), "ada", "another", "ada's password", ""))
				}
			}
			if err := w.guess(w.a, "ada@example.com", c.given); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			a := w.state("ada")
			if started, counted := len(a.Sessions()) == 1, a.WrongPasswords == 1; started != (c.want == nil) || counted != (c.want != nil) {
				t.Errorf("started %v, counted %v", started, counted)
			}
		})
	}
}

// The password is proved, and changes before the change is stored.
func TestAProofDoesNotOutliveThePassword(t *testing.T) {
	for name, ask := range map[string]func(w *world) error{
		"sign in": func(w *world) error { return w.guess(w.a, "ada@example.com", "ada's password") },
		"email": func(w *world) error {
			_, err := w.a.ChangeEmail(w.Context(), w.user("ada"), "ada", "new@example.com", "ada's password")
			return err
		},
		"password": func(w *world) error {
			_, err := w.a.ChangePassword(w.Context(), w.user("ada"), "ada", "a third", "ada's password", "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.signUp("ada", "ada@example.com")
			var changed atomic.Bool
			w.log.BeforeAppend = func(string, []event.Proposed) error {
				if changed.CompareAndSwap(false, true) {
					w.must(w.b.ChangePassword(t.Context(), w.user("ada"), "ada", "another", "ada's password", ""))
				}
				return nil
			}
			w.refused(ask(w), account.ErrInvalidCredentials)
			if a := w.state("ada"); a.Email != "ada@example.com" || a.Password != "plain:another" || len(a.Sessions()) != 0 || a.WrongPasswords != 1 {
				t.Errorf("it came to %v", w.accountStream("ada"))
			}
			w.settle()
			w.checkLog(true)
		})
	}
}

func TestDeletedWhileThePasswordIsWeighedIsAWrongPassword(t *testing.T) {
	for _, password := range []string{"ada's password", "a guess"} {
		w := newWorld(t)
		w.signUp("ada", "ada@example.com")
		w.passwords.during = func(string) { w.must(w.b.DeleteAccount(t.Context(), w.user("ada"), "ada")) }
		w.refused(w.guess(w.a, "ada@example.com", password), account.ErrInvalidCredentials)
		w.storedAs("ada", "created", "deleted")
	}
}

func TestSigningInKeepsThePasswordUnderTodaysParameters(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.givenPassword("ada", "old:ada's password")
	w.signIn(w.a, "ada", "ada@example.com")
	if got := w.state("ada").Password; got != "plain:ada's password" {
		t.Errorf("the hash is %q", got)
	}
	w.storedAs("ada", "created", "password-changed", "password-rehashed", "session-started")
	w.signIn(w.b, "ada", "ada@example.com")
	w.storedAs("ada", "created", "password-changed", "password-rehashed", "session-started", "session-started")
}

func TestOutdatedHashesAreReplacedOnceHoweverManySignIn(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.SessionLimit = 100
	w.signUp("ada", "ada@example.com")
	w.givenPassword("ada", "old:ada's password")
	at(20, func(i int) {
		if err := w.guess(w.either(i), "ada@example.com", "ada's password"); err != nil {
			t.Error(err)
		}
	})
	rehashed := 0
	for _, name := range w.accountStream("ada") {
		if name == "password-rehashed" {
			rehashed++
		}
	}
	if a := w.state("ada"); rehashed != 1 || len(a.Sessions()) != 20 || a.WrongPasswords != 0 {
		t.Errorf("hashed anew %d times for %d sessions", rehashed, len(a.Sessions()))
	}
}

// givenPassword stores a hash that commands would not make.
func (w *world) givenPassword(id, hash string) {
	w.Helper()
	stream := commands.AccountStream("web", id)
	next := int64(len(w.stream(stream)))
	_, err := w.log.Append(w.Context(), stream, next-1, []event.Proposed{{
		ID: event.ID{2}, Type: account.PasswordChanged{}.EventType(),
		Data:     fmt.Appendf(nil, `{"personal":{"password":%q}}`, hash),
		Metadata: fmt.Appendf(nil, `{"at":%q,"actor":{"kind":"user"},"project":"web"}`, w.clock.Now().Format(time.RFC3339Nano)),
	}})
	if err != nil {
		w.Fatal(err)
	}
}

func TestAnotherPasswordOpensTheAccountAndTheOldOneDoesNot(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.must(w.a.ChangePassword(t.Context(), w.user("ada"), "ada", "another", "ada's password", ""))
	w.refused(w.guess(w.b, "ada@example.com", "ada's password"), account.ErrInvalidCredentials)
	if err := w.guess(w.b, "ada@example.com", "another"); err != nil {
		t.Error(err)
	}
}

func TestAnotherPasswordEndsTheOtherSessionsIfTheProjectSaysSo(t *testing.T) {
	for _, c := range []struct {
		invalidate bool
		keep       bool
		left       int
	}{{true, true, 1}, {false, true, 3}, {true, false, 3}} {
		w := newWorld(t)
		w.project.Auth.InvalidateSessions = c.invalidate
		w.signUp("ada", "ada@example.com")
		w.signIn(w.a, "ada", "ada@example.com")
		here := w.signIn(w.b, "ada", "ada@example.com")
		w.signIn(w.a, "ada", "ada@example.com")
		keep := ""
		if c.keep {
			keep = here.ID
		}
		w.must(w.a.ChangePassword(t.Context(), w.user("ada"), "ada", "another", "ada's password", keep))
		sessions := w.state("ada").Sessions()
		if len(sessions) != c.left {
			t.Errorf("%+v: %d sessions are left", c, len(sessions))
		}
		if c.left == 1 && sessions[0].ID != here.ID {
			t.Errorf("%+v: another session was kept", c)
		}
	}
}

func TestRecentPasswordsAreRefused(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.PasswordHistory = 2
	w.signUp("ada", "ada@example.com")
	change := func(to, old string) error {
		_, err := w.a.ChangePassword(t.Context(), w.user("ada"), "ada", to, old, "")
		return err
	}
	w.refused(change("ada's password", "ada's password"), account.ErrPasswordRecent)
	for _, step := range []struct {
		to, old string
		want    error
	}{
		{"second", "ada's password", nil},
		{"second", "second", account.ErrPasswordRecent},
		{"ada's password", "second", account.ErrPasswordRecent},
		{"third", "second", nil},
		{"ada's password", "third", nil}, // two others lie between
	} {
		if err := change(step.to, step.old); !errors.Is(err, step.want) {
			t.Errorf("%q after %q: %v", step.to, step.old, err)
		}
	}
	w.refused(change("fourth", "a guess"), account.ErrInvalidCredentials)
}

func TestAPasswordThatTellsOfThePersonIsRefusedIfTheProjectSaysSo(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.PersonalDataCheck = true
	in := commands.CreateAccount{ID: "u1x9", Email: "ada@example.com", Password: "I am ADA!", Name: "Lovelace"}
	_, err := w.a.CreateAccount(t.Context(), w.guest(), in)
	w.refused(err, account.ErrPasswordPersonal)
	if len(w.events()) != 0 {
		t.Error("something was stored")
	}
	in.Password = "correct horse"
	w.must(w.a.CreateAccount(t.Context(), w.guest(), in))
	_, err = w.a.ChangePassword(t.Context(), w.user("u1x9"), "u1x9", "lovelace1815", "correct horse", "")
	w.refused(err, account.ErrPasswordPersonal)
	w.must(w.a.ChangePassword(t.Context(), w.user("u1x9"), "u1x9", "battery staple", "correct horse", ""))

	w.project.Auth.PersonalDataCheck = false
	w.must(w.a.ChangePassword(t.Context(), w.user("u1x9"), "u1x9", "lovelace1815", "battery staple", ""))
}

func TestTheFirstPasswordNeedsNoOldOneAndIsFirstOnce(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		_, err := w.log.Append(t.Context(), commands.AccountStream("web", "ada"), event.NoStream, []event.Proposed{{
			ID: event.ID{3}, Type: account.Created{}.EventType(), Data: []byte(`{"personal":{}}`), Metadata: []byte(`{}`),
		}})
		if err != nil {
			t.Fatal(err)
		}
		var set atomic.Int64
		at(4, func(i int) {
			_, err := w.either(i).ChangePassword(t.Context(), w.user("ada"), "ada", fmt.Sprint("password ", i), "", "")
			switch {
			case err == nil:
				set.Add(1)
			case !errors.Is(err, account.ErrInvalidCredentials):
				t.Errorf("a later one was told %v", err)
			}
		})
		if set.Load() != 1 {
			t.Fatalf("%d first passwords", set.Load())
		}
	}
}

func TestNobodyHasNoPasswordToChange(t *testing.T) {
	w := newWorld(t)
	_, err := w.a.ChangePassword(t.Context(), w.user("nobody"), "nobody", "another", "", "")
	w.refused(err, account.ErrInvalidCredentials)
	if len(w.events()) != 0 {
		t.Error("something was stored")
	}
}

// Else many guesses at once would take longer where there is an account than where there is none.
func TestGuessesAtOneAddressAreWeighedOneAtATimeWhoeverHasIt(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.Privacy = true
	w.signUp("ada", "ada@example.com")
	w.signUp("bob", "bob@example.com")
	for range 10 { // from now on he has to wait
		w.refused(w.guess(w.a, "bob@example.com", "wrong"), account.ErrInvalidCredentials)
	}
	for _, address := range []account.Email{"ada@example.com", "bob@example.com", "nobody@example.com"} {
		var under, weighed atomic.Int64
		w.passwords.during = func(string) {
			if under.Add(1) > 1 {
				t.Errorf("%s: two at once", address)
			}
			runtime.Gosched()
			weighed.Add(1)
			under.Add(-1)
		}
		at(9, func(int) {
			if err := w.guess(w.a, address, "wrong"); !errors.Is(err, account.ErrInvalidCredentials) {
				t.Errorf("%s: %v", address, err)
			}
		})
		if weighed.Load() != 9 {
			t.Errorf("%s: %d of 9 passwords were weighed", address, weighed.Load())
		}
	}
}
