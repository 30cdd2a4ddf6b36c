package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/refusal"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// wholeState lets go-cmp look at everything a state holds.
var wholeState = cmp.Exporter(func(reflect.Type) bool { return true })

func fold(events ...account.Event) account.Account {
	return foldFrom(account.Account{}, noon, events...)
}

func foldFrom(a account.Account, at time.Time, events ...account.Event) account.Account {
	for _, e := range events {
		a = a.Evolve(at, e)
	}
	return a
}

// The events of these tests, short.

func created() account.Event {
	e := account.Created{EmailHold: account.Hold{Claim: "ada's", Taking: "1"}}
	e.Personal.Email, e.Personal.Name, e.Personal.Password = "ada@example.com", "Ada", "hash 1"
	return e
}

func emailChanged(to account.Email, hold, letGo account.Hold) account.Event {
	e := account.EmailChanged{Hold: hold, LetGo: letGo}
	e.Personal.Email = to
	return e
}

func nameChanged(to string) account.Event {
	var e account.NameChanged
	e.Personal.Name = to
	return e
}

func prefsChanged(to string) account.Event {
	var e account.PrefsChanged
	e.Personal.Prefs = json.RawMessage(to)
	return e
}

func passwordChanged(to string) account.Event {
	var e account.PasswordChanged
	e.Personal.Password = to
	return e
}

func passwordRecovered(to, tell string) account.Event {
	e := account.PasswordChanged{Recovered: true}
	e.Personal.Password, e.Personal.Tell = to, tell
	return e
}

func passwordRemoved(tell string) account.Event {
	var e account.PasswordRemoved
	e.Personal.Tell = tell
	return e
}

func rehashed(to string) account.Event {
	var e account.PasswordRehashed
	e.Personal.Password = to
	return e
}

func started(id string, expires time.Time) account.SessionStarted {
	return account.SessionStarted{ID: id, SecretHash: "secret of " + id, Provider: account.ProviderEmail, Factors: []string{account.FactorPassword}, Expires: expires}
}

func revoked(reason string, ids ...string) []account.Event {
	var events []account.Event
	for _, id := range ids {
		events = append(events, account.SessionRevoked{ID: id, Reason: reason})
	}
	return events
}

func list(events ...account.Event) []account.Event { return events }

type decision = func(account.Account) ([]account.Event, error)

func TestDecisions(t *testing.T) {
	later := noon.Add(time.Hour)
	hold := account.Hold{Claim: "ada's", Taking: "1"}
	next := account.Hold{Claim: "another", Taking: "2"}
	deleted := list(created(), account.Deleted{})
	const ada = "ada@example.com"
	signedIn := list(created(), started("a", later), started("b", later), started("c", later))

	create := func(a account.Account) ([]account.Event, error) { return a.Create(created().(account.Created)) }
	changeEmail := func(to account.Email, hold account.Hold) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ChangeEmail(to, hold, "", "") }
	}
	changeName := func(to string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ChangeName(to) }
	}
	changePrefs := func(to string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ChangePrefs(json.RawMessage(to)) }
	}
	changePassword := func(checked, hash string, revoke bool, keep string) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.ChangePassword(checked, hash, revoke, keep, "")
		}
	}
	wrong := func(checked string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.NoteWrongPassword(checked) }
	}
	signIn := func(id, checked, rehashed string, limit int) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.SignIn(started(id, later), checked, rehashed, limit, false, noon)
		}
	}
	extend := func(id string, until, now time.Time) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ExtendSession(id, until, now) }
	}
	end := func(id string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.EndSession(id) }
	}
	createSignedIn := func(a account.Account) ([]account.Event, error) {
		return a.CreateSignedIn(account.Created{}, started("s", later))
	}
	createAndSend := func(e account.Created, p account.Purpose) decision {
		return func(a account.Account) ([]account.Event, error) { return a.CreateAndSend(e, issue("t", p, noon), noon) }
	}
	takeOnEmail := func(to account.Email, hold account.Hold, first string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ChangeEmail(to, hold, first, "") }
	}
	changePhone := func(to account.Phone, hold account.Hold, first string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.ChangePhone(to, hold, first, "") }
	}
	byEmail, byPhone := created().(account.Created), account.Created{PhoneHold: phoneHold}
	byEmail.Personal.Password, byPhone.Personal.Phone = "", "+4917612345678"

	lapse := func(claim string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.LapseClaim(claim) }
	}
	access := func(now time.Time) decision {
		return func(a account.Account) ([]account.Event, error) { return a.Access(now) }
	}

	for _, c := range []struct {
		name    string
		given   []account.Event
		decide  decision
		then    []account.Event
		refused error
		after   time.Duration // since noon, when it was decided
		counts  bool          // asking again adds again, and must
	}{
		{name: "an account is created", decide: create, then: list(created())},
		{name: "an id is given once", given: list(created()), decide: create, refused: account.ErrExists},
		{name: "a deleted account's id is never given again", given: deleted, decide: create, refused: account.ErrExists},
		{name: "a claim that lapsed before the account was created is no obstacle", given: list(account.ClaimLapsed{Claim: "ada's"}), decide: create, then: list(created())},

		{name: "an anonymous account is signed in where it is made", decide: createSignedIn, then: list(account.Created{}, started("s", later))},
		{name: "an anonymous account is made once", given: list(account.Created{}, started("s", later)), decide: createSignedIn},
		{name: "an anonymous account takes nobody's id", given: list(created()), decide: createSignedIn, refused: account.ErrExists},
		{name: "an anonymous account takes no deleted account's id", given: deleted, decide: createSignedIn, refused: account.ErrExists},
		{name: "an account made for an address is sent its secret there", decide: createAndSend(byEmail, account.ForMagicURL), then: list(byEmail, issued("t", account.ForMagicURL, "ada@example.com"))},
		{name: "an account made for a number is sent its code there", decide: createAndSend(byPhone, account.ForPhoneCode), then: list(byPhone, issued("t", account.ForPhoneCode, "+4917612345678"))},
		{name: "an account that could be sent nothing is not made", decide: createAndSend(byPhone, account.ForMagicURL), refused: account.ErrNoEmail},
		{name: "an account made for an address takes nobody's id", given: list(created()), decide: createAndSend(byEmail, account.ForMagicURL), refused: account.ErrExists},
		{name: "an account made for an address takes no deleted account's id", given: deleted, decide: createAndSend(byEmail, account.ForMagicURL), refused: account.ErrExists},

		{name: "a claim that the account does not hold lapses, every time it is asked", given: list(created()), decide: lapse("another"), then: list(account.ClaimLapsed{Claim: "another"}), counts: true},
		{name: "a claim lapses for an account that never was", decide: lapse("ada's"), then: list(account.ClaimLapsed{Claim: "ada's"}), counts: true},
		{name: "a claim lapses for an account that was deleted", given: deleted, decide: lapse("ada's"), then: list(account.ClaimLapsed{Claim: "ada's"}), counts: true},
		{name: "a claim that the account holds does not lapse", given: list(created()), decide: lapse("ada's"), refused: account.ErrExists},
		{name: "nor does the claim on its number", given: list(created(), called), decide: lapse("her phone's"), refused: account.ErrExists},
		{name: "nor that on a number it was made for", given: list(byPhone), decide: lapse("her phone's"), refused: account.ErrExists},
		{name: "the claim on an address that was left lapses", given: list(created(), emailChanged("ada@example.org", next, hold)), decide: lapse("ada's"), then: list(account.ClaimLapsed{Claim: "ada's"}), counts: true},
		{name: "the claim on a number that was left lapses", given: list(created(), called, phoneChanged("+4917600000000", next, phoneHold)), decide: lapse("her phone's"), then: list(account.ClaimLapsed{Claim: "her phone's"}), counts: true},

		{name: "another address lets the old one go", given: list(created()), decide: changeEmail("ada@example.org", next), then: list(emailChanged("ada@example.org", next, hold))},
		{name: "the same address again changes nothing", given: list(created()), decide: changeEmail("ada@example.com", next)},
		{name: "another spelling under the same claim is a change", given: list(created()), decide: changeEmail("ada@xn--bcher-kva.example", account.Hold{Claim: "ada's", Taking: "2"}),
			then: list(emailChanged("ada@xn--bcher-kva.example", account.Hold{Claim: "ada's", Taking: "2"}, hold))},
		{name: "an account without a password takes one on with its address", given: list(account.Created{}), decide: takeOnEmail("ada@example.com", hold, "hash 1"),
			then: list(emailChanged("ada@example.com", hold, account.Hold{}), passwordChanged("hash 1"))},
		{name: "nobody takes on no password", decide: takeOnEmail("ada@example.com", hold, "hash 1"), refused: account.ErrUnknown},
		{name: "nobody has no address", decide: changeEmail("ada@example.org", next), refused: account.ErrUnknown},
		{name: "a deleted account has no address", given: deleted, decide: changeEmail("ada@example.org", next), refused: account.ErrUnknown},

		{name: "a first number", given: list(created()), decide: changePhone("+4917612345678", phoneHold, ""), then: list(telling(called, ada))},
		{name: "another number lets the old one go", given: list(created(), called), decide: changePhone("+4917600000000", next, ""), then: list(telling(phoneChanged("+4917600000000", next, phoneHold), ada))},
		{name: "the same number again changes nothing", given: list(created(), called), decide: changePhone("+4917612345678", next, "")},
		{name: "an account without a password takes one on with its number", given: list(account.Created{}), decide: changePhone("+4917612345678", phoneHold, "hash 1"), then: list(called, passwordChanged("hash 1"))},
		{name: "nobody has no number", decide: changePhone("+4917612345678", phoneHold, ""), refused: account.ErrUnknown},
		{name: "a deleted account has no number", given: deleted, decide: changePhone("+4917612345678", phoneHold, ""), refused: account.ErrUnknown},

		{name: "another name", given: list(created()), decide: changeName("Ada King"), then: list(nameChanged("Ada King"))},
		{name: "no name is a name", given: list(created()), decide: changeName(""), then: list(nameChanged(""))},
		{name: "the same name again changes nothing", given: list(created()), decide: changeName("Ada")},
		{name: "nobody has no name", decide: changeName("Ada"), refused: account.ErrUnknown},
		{name: "a deleted account has no name", given: deleted, decide: changeName(""), refused: account.ErrUnknown},

		{name: "other preferences", given: list(created()), decide: changePrefs(`{"a":1}`), then: list(prefsChanged(`{"a":1}`))},
		{name: "preferences are empty at first", given: list(created()), decide: changePrefs(`{}`)},
		{name: "the same preferences again change nothing", given: list(created(), prefsChanged(`{"a":1}`)), decide: changePrefs(`{"a":1}`)},
		{name: "preferences are emptied", given: list(created(), prefsChanged(`{"a":1}`)), decide: changePrefs(`{}`), then: list(prefsChanged(`{}`))},
		{name: "nobody has no preferences", decide: changePrefs(`{}`), refused: account.ErrUnknown},
		{name: "a deleted account has no preferences", given: deleted, decide: changePrefs(`{}`), refused: account.ErrUnknown},

		{name: "another password", given: signedIn, decide: changePassword("hash 1", "hash 2", false, "b"), then: list(telling(passwordChanged("hash 2"), ada))},
		{name: "another password ends the other sessions", given: signedIn, decide: changePassword("hash 1", "hash 2", true, "b"),
			then: append(list(telling(passwordChanged("hash 2"), ada)), revoked(account.RevokedByPassword, "a", "c")...)},
		{name: "another password set from nowhere ends all sessions", given: signedIn, decide: changePassword("hash 1", "hash 2", true, ""),
			then: append(list(telling(passwordChanged("hash 2"), ada)), revoked(account.RevokedByPassword, "a", "b", "c")...)},
		{name: "the same hash again changes nothing", given: signedIn, decide: changePassword("hash 0", "hash 1", true, "")},
		{name: "a password that was checked before it moved changes nothing", given: list(created(), passwordChanged("hash 2")), decide: changePassword("hash 1", "hash 3", true, ""), refused: account.ErrPasswordMoved},
		{name: "a password that was checked before it was hashed anew is checked again", given: list(created(), rehashed("hash 1b")), decide: changePassword("hash 1", "hash 3", true, ""), refused: account.ErrPasswordMoved},
		{name: "the first password", given: list(account.Created{}), decide: changePassword("", "hash 1", true, ""), then: list(passwordChanged("hash 1"))},
		{name: "nobody has no password", decide: changePassword("", "hash 1", false, ""), refused: account.ErrUnknown},
		{name: "a deleted account has no password", given: deleted, decide: changePassword("", "hash 1", false, ""), refused: account.ErrUnknown},

		{name: "each wrong password counts", given: list(created()), decide: wrong("hash 1"), then: list(account.WrongPasswordGiven{}), counts: true},
		{name: "a password that was wrong for an earlier hash is checked again", given: list(created(), passwordChanged("hash 2")), decide: wrong("hash 1"), refused: account.ErrPasswordMoved},
		{name: "nobody has no wrong password", decide: wrong(""), refused: account.ErrUnknown},
		{name: "a deleted account has no wrong password", given: deleted, decide: wrong(""), refused: account.ErrUnknown},

		{name: "signing in starts a session", given: list(created()), decide: signIn("a", "hash 1", "", 10), then: list(started("a", later))},
		{name: "signing in keeps the password under today's parameters", given: list(created()), decide: signIn("a", "hash 1", "hash 1b", 10), then: list(rehashed("hash 1b"), started("a", later))},
		{name: "the session that is there already is not started again", given: signedIn, decide: signIn("b", "hash 1", "", 3)},
		{name: "beyond the limit the oldest session goes", given: signedIn, decide: signIn("d", "hash 1", "", 3), then: append(revoked(account.RevokedByLimit, "a"), started("d", later))},
		{name: "a lower limit ends as many as it takes", given: signedIn, decide: signIn("d", "hash 1", "", 1), then: append(revoked(account.RevokedByLimit, "a", "b", "c"), started("d", later))},
		{name: "an expired session goes before the oldest", given: list(created(), started("a", later), started("b", noon), started("c", later)), decide: signIn("d", "hash 1", "", 3),
			then: append(revoked(account.RevokedByLimit, "b"), started("d", later))},
		{name: "a password that moved starts nothing", given: list(created(), passwordChanged("hash 2")), decide: signIn("a", "hash 1", "", 10), refused: account.ErrPasswordMoved},
		{name: "who is blocked does not get in", given: list(created(), account.Blocked{}), decide: signIn("a", "hash 1", "", 10), refused: account.ErrBlocked},
		{name: "who is blocked and wrong is not told so", given: list(created(), account.Blocked{}, passwordChanged("hash 2")), decide: signIn("a", "hash 1", "", 10), refused: account.ErrPasswordMoved},
		{name: "nobody gets in as nobody", decide: signIn("a", "", "", 10), refused: account.ErrInvalidCredentials},
		{name: "nobody gets in as a deleted account", given: deleted, decide: signIn("a", "", "", 10), refused: account.ErrInvalidCredentials},

		{name: "a session is extended", given: signedIn, decide: extend("a", later.Add(1), noon), then: list(account.SessionExtended{ID: "a", Expires: later.Add(1)})},
		{name: "a session that lasts until then already is not extended", given: signedIn, decide: extend("a", later.In(time.FixedZone("CET", 3600)), noon)},
		{name: "a session that expired does not come back", given: signedIn, decide: extend("a", later.Add(1), later), refused: account.ErrSessionUnknown},
		{name: "a session that ended does not come back", given: append(signedIn, account.SessionEnded{ID: "a"}), decide: extend("a", later.Add(1), noon), refused: account.ErrSessionUnknown},
		{name: "a session that never was is not extended", given: signedIn, decide: extend("z", later.Add(1), noon), refused: account.ErrSessionUnknown},
		{name: "a deleted account's session is not extended", given: append(signedIn, account.Deleted{}), decide: extend("a", later.Add(1), noon), refused: account.ErrSessionUnknown},

		{name: "one session ends", given: signedIn, decide: end("b"), then: list(account.SessionEnded{ID: "b"})},
		{name: "a session that expired can still be ended", given: list(created(), started("a", noon.Add(-1))), decide: end("a"), then: list(account.SessionEnded{ID: "a"})},
		{name: "a session that never was does not end", given: signedIn, decide: end("z"), refused: account.ErrSessionUnknown},
		{name: "a session that was revoked does not end", given: append(signedIn, revoked("limit", "b")...), decide: end("b"), refused: account.ErrSessionUnknown},
		{name: "nobody has no session", decide: end(""), refused: account.ErrSessionUnknown},

		{name: "signing out everywhere names every session", given: signedIn, decide: account.Account.EndSessions,
			then: append(list(account.SignedOutEverywhere{}), revoked(account.RevokedEverywhere, "a", "b", "c")...)},
		{name: "without sessions there is nothing to sign out of", given: list(created()), decide: account.Account.EndSessions},
		{name: "nobody signs out nowhere", decide: account.Account.EndSessions, refused: account.ErrUnknown},
		{name: "a deleted account signs out nowhere", given: append(signedIn, account.Deleted{}), decide: account.Account.EndSessions, refused: account.ErrUnknown},

		{name: "an account is blocked", given: signedIn, decide: account.Account.Block, then: list(account.Blocked{})},
		{name: "blocked is blocked", given: list(created(), account.Blocked{}), decide: account.Account.Block},
		{name: "nobody is not blocked", decide: account.Account.Block, refused: account.ErrUnknown},
		{name: "a deleted account is not blocked", given: deleted, decide: account.Account.Block, refused: account.ErrUnknown},

		{name: "a deleted account lets its sessions and its address go", given: signedIn, decide: account.Account.Delete,
			then: append(revoked(account.RevokedByDeletion, "a", "b", "c"), account.Deleted{LetGo: []account.Hold{hold}})},
		{name: "an account without an address lets none go", given: list(account.Created{}), decide: account.Account.Delete, then: list(account.Deleted{})},
		{name: "a deleted account lets its number go too", given: list(created(), called), decide: account.Account.Delete, then: list(account.Deleted{LetGo: []account.Hold{hold, phoneHold}})},
		{name: "an account without an address lets its number go", given: list(byPhone), decide: account.Account.Delete, then: list(account.Deleted{LetGo: []account.Hold{phoneHold}})},
		{name: "a deleted account lets go what it holds, not what it held", given: list(created(), called, emailChanged("ada@example.org", next, hold), phoneChanged("+4917600000000", account.Hold{Claim: "new", Taking: "4"}, phoneHold)),
			decide: account.Account.Delete, then: list(account.Deleted{LetGo: []account.Hold{next, {Claim: "new", Taking: "4"}}})},
		{name: "a blocked account is deleted", given: list(created(), account.Blocked{}), decide: account.Account.Delete, then: list(account.Deleted{LetGo: []account.Hold{hold}})},
		{name: "deleted is deleted", given: deleted, decide: account.Account.Delete},
		{name: "nobody is not deleted", decide: account.Account.Delete, refused: account.ErrUnknown},

		{name: "an access is noted a day after the last", given: list(created()), decide: access(noon.Add(account.AccessInterval)), after: account.AccessInterval, then: list(account.Accessed{})},
		{name: "a second access within a day is not", given: list(created()), decide: access(noon.Add(account.AccessInterval - 1))},
		{name: "signing in is an access", given: list(created(), started("a", later)), decide: access(noon.Add(account.AccessInterval - 1))},
		{name: "a clock that went back notes no access", given: list(created()), decide: access(noon.Add(-365 * 24 * time.Hour))},
		{name: "nobody's access is not noted", decide: access(noon)},
		{name: "a deleted account's access is not noted", given: deleted, decide: access(noon.Add(account.AccessInterval))},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := fold(c.given...)
			events, err := c.decide(before)
			if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(fold(c.given...), before, wholeState); diff != "" {
				t.Errorf("deciding changed the state:\n%s", diff)
			}
			again, err := c.decide(foldFrom(before, noon.Add(c.after), events...))
			switch {
			case c.counts:
				if diff := cmp.Diff(c.then, again); diff != "" || err != nil {
					t.Errorf("asked again (-want +got): %v\n%s", err, diff)
				}
			case len(again) != 0:
				t.Errorf("asked again it added %v", again)
			}
		})
	}
}

func TestADeletedAccountIsForgottenByItsState(t *testing.T) {
	a := fold(created(), called, account.EmailVerified{}, account.PhoneVerified{}, prefsChanged(`{"a":1}`), started("a", noon.Add(time.Hour)), account.WrongPasswordGiven{},
		account.SignUpTried{}, issued("t", account.ForEmailCode, "ada@example.com"), account.WrongCodeGiven{ID: "t", Purpose: account.ForEmailCode}, account.Deleted{})
	if diff := cmp.Diff(fold(account.Deleted{}), a, wholeState); diff != "" || !a.Deleted() || a.Exists() || a.Holds("ada's") || a.Holds("her phone's") {
		t.Errorf("left behind:\n%s", diff)
	}
}

func TestAnAccountWithoutAnAddressHoldsNoClaim(t *testing.T) {
	if a := fold(account.Created{}); a.Holds("another") {
		t.Error("it holds a claim it never took")
	}
	if a := fold(created(), called); !a.Holds("ada's") || !a.Holds("her phone's") || a.Holds("another") {
		t.Error("with both it holds one, or one it never took")
	}
	if (account.Account{}).Holds("") || fold(created(), account.Deleted{}).Holds("") {
		t.Error("nobody holds a claim without a name")
	}
}

func TestTheNewestSessionsAreKeptAndExpiredOnesGoFirst(t *testing.T) {
	for _, limit := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			a, now := fold(created()), noon
			for i := range 3*limit + 7 {
				now = now.Add(time.Minute)
				life := 1000 * time.Hour
				if i%3 == 0 {
					life = 90 * time.Second // gone by the sign-in after the next
				}
				before := a.Sessions()
				s := started(fmt.Sprint(i), now.Add(life))
				events, err := a.SignIn(s, "hash 1", "", limit, false, now)
				if err != nil {
					t.Fatal(err)
				}
				a = foldFrom(a, now, events...)

				sessions := a.Sessions()
				if len(sessions) > limit {
					t.Fatalf("%d sessions after sign-in %d", len(sessions), i)
				}
				if newest := sessions[len(sessions)-1]; newest.ID != s.ID {
					t.Fatalf("the newest is %s, not %s", newest.ID, s.ID)
				}
				alive := slices.DeleteFunc(before, func(s account.Session) bool { return !s.Expires.After(now) })
				want := alive[max(0, len(alive)-(limit-1)):]
				if kept := sessions[:len(sessions)-1]; !slices.EqualFunc(want, kept, func(a, b account.Session) bool { return a.ID == b.ID && a.Expires.Equal(b.Expires) }) {
					t.Fatalf("kept of the others %v, want %v", kept, want)
				}
			}
		})
	}
}

func TestWaitingForTheNextPasswordGrows(t *testing.T) {
	const s, m = time.Second, time.Minute
	want := []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 * s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 128 * s, 256 * s, 512 * s, 15 * m, 15 * m, 15 * m}
	a := fold(created())
	for wrong, wait := range want {
		left := retryAfter(t, a.MayTryPassword(noon))
		if left != wait {
			t.Errorf("after %d wrong passwords: wait %s, want %s", wrong, left, wait)
		}
		if wait > 0 {
			if left := retryAfter(t, a.MayTryPassword(noon.Add(wait-1))); left != 1 {
				t.Errorf("after %d, just before: %s", wrong, left)
			}
			if err := a.MayTryPassword(noon.Add(wait)); err != nil {
				t.Errorf("after %d, having waited: %v", wrong, err)
			}
		}
		a = a.Evolve(noon, account.WrongPasswordGiven{})
	}
	for range 1000 {
		a = a.Evolve(noon, account.WrongPasswordGiven{})
	}
	if left := retryAfter(t, a.MayTryPassword(noon)); left != 15*m {
		t.Errorf("after a thousand: %s", left)
	}
}

func retryAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	if !errors.Is(err, account.ErrGuessing) {
		t.Fatal(err)
	}
	return refusal.Of(err).RetryAfter
}

func TestAClockThatWentBackMakesNobodyWaitForLong(t *testing.T) {
	for _, wrong := range []int{10, 14, 30} {
		a := fold(created())
		for range wrong {
			a = a.Evolve(noon, account.WrongPasswordGiven{})
		}
		wait := retryAfter(t, a.MayTryPassword(noon))
		for _, back := range []time.Duration{time.Second, 5 * time.Minute, time.Hour, 365 * 24 * time.Hour} {
			// Whoever comes back when told to gets a try after twice the longest wait at most.
			now, waited := noon.Add(-back), time.Duration(0)
			for left := retryAfter(t, a.MayTryPassword(now)); left > 0; left = retryAfter(t, a.MayTryPassword(now)) {
				if left > wait {
					t.Fatalf("%d wrong, %s back: told to wait %s, more than %s", wrong, back, left, wait)
				}
				now, waited = now.Add(left), waited+left
			}
			if waited > 30*time.Minute {
				t.Errorf("%d wrong, %s back: waited %s", wrong, back, waited)
			}
		}
		// Small steps back, as between two instances, make no guess free.
		if err := a.MayTryPassword(noon.Add(-5 * time.Minute)); err == nil {
			t.Errorf("%d wrong: a clock five minutes behind lets guess at once", wrong)
		}
	}
}

func TestARightPasswordForgivesTheWrongOnes(t *testing.T) {
	hold := account.Hold{Claim: "another", Taking: "2"}
	for _, c := range []struct {
		name     string
		e        account.Event
		forgiven bool
	}{
		{"signing in", started("a", noon.Add(1)), true},
		{"another password", passwordChanged("hash 2"), true},
		{"another address", emailChanged("ada@example.org", hold, account.Hold{}), true},
		{"another phone", called, true},
		{"a proved address", account.EmailVerified{}, false},
		{"a token that was used", account.TokenUsed{ID: "t", Purpose: account.ForPhoneCode}, false},
		{"a session without a password", account.SessionStarted{ID: "a", Provider: "magic-url"}, false},
		{"another name", nameChanged("Ada King"), false},
		{"an access", account.Accessed{}, false},
		{"a lapsed claim", account.ClaimLapsed{Claim: "x"}, false},
	} {
		a := fold(created(), account.WrongPasswordGiven{}, account.WrongPasswordGiven{}, c.e)
		if got := a.WrongPasswords == 0; got != c.forgiven {
			t.Errorf("%s: forgiven %v", c.name, got)
		}
	}
}

func TestRecentPasswordsAreNewestFirst(t *testing.T) {
	a := fold(created(), passwordChanged("hash 2"), passwordChanged("hash 3"), rehashed("hash 3b"))
	for n, want := range [][]string{{}, {"hash 3b"}, {"hash 3b", "hash 2"}, {"hash 3b", "hash 2", "hash 1"}, {"hash 3b", "hash 2", "hash 1"}} {
		if got := a.RecentPasswords(n); !slices.Equal(want, got) {
			t.Errorf("the newest %d: %q, want %q", n, got, want)
		}
	}
	if got := (account.Account{}).RecentPasswords(20); len(got) != 0 {
		t.Errorf("nobody had %v", got)
	}
}

func TestAPasswordThatTellsOfThePerson(t *testing.T) {
	for _, c := range []struct {
		password, id string
		email        account.Email
		name         string
		phone        account.Phone
		tells        bool
	}{
		{"correct horse battery", "u1x9", "ada@example.com", "Lovelace", "", false},
		{"my-u1x9-secret", "u1x9", "ada@example.com", "Lovelace", "", true},
		{"MY-U1X9-SECRET", "u1x9", "ada@example.com", "Lovelace", "", true},
		{"xADA@EXAMPLE.COMx", "u1x9", "ada@example.com", "Lovelace", "", true},
		{"i-am-ada-1815", "u1x9", "ada@example.com", "Lovelace", "", true},
		{"example.com", "u1x9", "ada@example.com", "Lovelace", "", false},
		{"loveLACE1815", "u1x9", "ada@example.com", "LoveLace", "", true},
		{"ÄDALINE-1815", "u1x9", "", "ädaline", "", true},
		{"anything", "", "", "", "", false},
		{"call-+4917612345678-now", "u1x9", "", "", "+4917612345678", true},
		{"call-4917612345678-now", "u1x9", "", "", "+4917612345678", true},
		{"call-491761234567-now", "u1x9", "", "", "+4917612345678", false},
		{"+++", "u1x9", "ada@example.com", "Lovelace", "", false},
	} {
		if got := account.TellsOfPerson(c.password, c.id, c.email, c.name, c.phone); got != c.tells {
			t.Errorf("%q of %q, %q, %q: %v", c.password, c.id, c.email, c.name, got)
		}
	}
}
