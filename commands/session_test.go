package commands_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

func TestSigningInStartsASessionWhoseSecretOnlyTheCallerHas(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	s, receipt, err := w.a.SignIn(t.Context(), w.guest(), "ada@example.com", "ada's password")
	w.must(receipt, err)
	w.receiptIs(receipt, "ada")
	if raw, err := hex.DecodeString(s.Secret); err != nil || len(raw) != 128 || s.AccountID != "ada" || len(s.ID) != 20 {
		t.Errorf("got %+v", s)
	}
	events := w.events()
	e, err := account.Contract.Read(events[len(events)-1])
	if err != nil {
		t.Fatal(err)
	}
	started := e.(account.SessionStarted)
	if started.ID != s.ID || started.SecretHash != commands.HashSecret(s.Secret) || !started.Expires.Equal(noon.Add(w.project.Auth.SessionDuration)) {
		t.Errorf("stored %+v", started)
	}
	if other := w.signIn(w.a, "ada", "ada@example.com"); other.Secret == s.Secret || other.ID == s.ID {
		t.Error("two sessions are the same")
	}
}

func TestWhoIsBlockedDoesNotGetInAndIsOnlyToldSoWithTheRightPassword(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.signIn(w.a, "ada", "ada@example.com")
	w.must(w.a.Block(t.Context(), w.user("operator"), "ada"))
	w.must(w.b.Block(t.Context(), w.user("operator"), "ada"))
	w.refused(w.guess(w.b, "ada@example.com", "ada's password"), account.ErrBlocked)
	w.refused(w.guess(w.b, "ada@example.com", "a guess"), account.ErrInvalidCredentials)
	w.storedAs("ada", "created", "session-started", "blocked", "wrong-password-given")
}

func TestBlockingWhileThePasswordIsWeighedKeepsOut(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.passwords.during = func(string) { w.must(w.b.Block(t.Context(), w.user("operator"), "ada")) }
	w.refused(w.guess(w.a, "ada@example.com", "ada's password"), account.ErrBlocked)
}

func TestTheSessionLimitHoldsWhileTwoHundredSignIn(t *testing.T) {
	for _, limit := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			w := newWorld(t)
			w.project.Auth.SessionLimit = limit
			w.signUp("ada", "ada@example.com")
			var in atomic.Int64
			at(200, func(i int) {
				switch err := w.guess(w.either(i), "ada@example.com", "ada's password"); {
				case err == nil:
					in.Add(1)
				case !errors.Is(err, commands.ErrContended):
					t.Error(err)
				}
			})
			w.checkLog(true) // looks at every revision
			if n := len(w.state("ada").Sessions()); n != min(limit, int(in.Load())) || in.Load() < 100 {
				t.Errorf("%d sessions after %d sign-ins", n, in.Load())
			}
		})
	}
}

func TestASessionIsExtendedByAProjectsDurationUntilItEnds(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.SessionDuration = time.Hour
	w.signUp("ada", "ada@example.com")
	s := w.signIn(w.a, "ada", "ada@example.com")
	w.clock.move(59 * time.Minute)
	w.must(w.b.ExtendSession(t.Context(), w.user("ada"), "ada", s.ID))
	if got := w.state("ada").Sessions()[0].Expires; !got.Equal(noon.Add(119 * time.Minute)) {
		t.Errorf("it lasts until %s", got)
	}
	w.must(w.b.ExtendSession(t.Context(), w.user("ada"), "ada", s.ID)) // already so
	w.clock.move(time.Hour)
	_, err := w.a.ExtendSession(t.Context(), w.user("ada"), "ada", s.ID)
	w.refused(err, account.ErrSessionUnknown)
	w.storedAs("ada", "created", "session-started", "session-extended")
}

func TestSigningOut(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.signUp("bob", "bob@example.com")
	here, there := w.signIn(w.a, "ada", "ada@example.com"), w.signIn(w.a, "ada", "ada@example.com")
	_, err := w.a.EndSession(t.Context(), w.user("bob"), "bob", here.ID) // not his
	w.refused(err, account.ErrSessionUnknown)
	w.must(w.b.EndSession(t.Context(), w.user("ada"), "ada", here.ID))
	_, err = w.a.EndSession(t.Context(), w.user("ada"), "ada", here.ID)
	w.refused(err, account.ErrSessionUnknown)
	if s := w.state("ada").Sessions(); len(s) != 1 || s[0].ID != there.ID {
		t.Errorf("left are %v", s)
	}
	w.must(w.a.EndSessions(t.Context(), w.user("ada"), "ada"))
	w.must(w.b.EndSessions(t.Context(), w.user("ada"), "ada")) // already so
	_, err = w.b.EndSessions(t.Context(), w.user("nobody"), "nobody")
	w.refused(err, account.ErrUnknown)
	w.storedAs("ada", "created", "session-started", "session-started", "session-ended", "signed-out-everywhere", "session-revoked")
}

func TestAProjectWithoutRoomTakesNobodyIn(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.UsersLimit = 2
	w.accounts.Store(2)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com"))
	w.refused(err, commands.ErrTooManyAccounts)
	if w.passwords.hashed.Load() != 0 || len(w.events()) != 0 {
		t.Error("it cost something")
	}
	w.accounts.Store(1)
	w.signUp("ada", "ada@example.com")
	w.accounts.Store(1000)
	w.project.Auth.UsersLimit = 0
	w.signUp("bob", "bob@example.com")
}

func TestAHeldAddressIsRefusedBeforeThePasswordIsHashed(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	hashed := w.passwords.hashed.Load()
	_, err := w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "ada@example.com"))
	w.refused(err, account.ErrExists)
	if w.passwords.hashed.Load() != hashed {
		t.Error("a hash was made")
	}
}

func TestAnAccessIsNotedOnceADay(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for hour := range 72 {
		w.must(event.Receipt{}, w.either(hour).NoteAccess(t.Context(), w.user("ada"), "ada"))
		w.clock.move(time.Hour)
	}
	w.storedAs("ada", "created", "accessed", "accessed")
	w.clock.move(24 * time.Hour)
	at(100, func(i int) {
		if err := w.either(i).NoteAccess(t.Context(), w.user("ada"), "ada"); err != nil {
			t.Error(err)
		}
	})
	w.storedAs("ada", "created", "accessed", "accessed", "accessed")
	w.must(event.Receipt{}, w.a.NoteAccess(t.Context(), w.user("nobody"), "nobody"))
}

func TestTheProfileChangesOnlyWhenItDiffers(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	for range 2 {
		w.must(w.a.ChangeName(t.Context(), w.user("ada"), "ada", "Ada King"))
		w.must(w.b.ChangePrefs(t.Context(), w.user("ada"), "ada", json.RawMessage(`{"html":"<b>&amp;</b>"}`)))
	}
	w.storedAs("ada", "created", "name-changed", "prefs-changed")
	events := w.events()
	if got, want := string(events[len(events)-1].Data), `{"personal":{"prefs":{"html":"<b>&amp;</b>"}}}`; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	for name, err := range map[string]error{
		"name":   second(w.a.ChangeName(t.Context(), w.user("nobody"), "nobody", "Nobody")),
		"prefs":  second(w.a.ChangePrefs(t.Context(), w.user("nobody"), "nobody", json.RawMessage(`{}`))),
		"block":  second(w.a.Block(t.Context(), w.user("nobody"), "nobody")),
		"delete": second(w.a.DeleteAccount(t.Context(), w.user("nobody"), "nobody")),
	} {
		if !errors.Is(err, account.ErrUnknown) {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
}

func second(_ event.Receipt, err error) error { return err }
