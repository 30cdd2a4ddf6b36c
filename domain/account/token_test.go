package account_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
)

func issued(id string, p account.Purpose, to string) account.TokenIssued {
	e := issue(id, p, noon)
	e.Personal.To = to
	return e
}

func phoneChanged(to account.Phone, hold, letGo account.Hold) account.Event {
	e := account.PhoneChanged{Hold: hold, LetGo: letGo}
	e.Personal.Phone = to
	return e
}

var (
	phoneHold = account.Hold{Claim: "her phone's", Taking: "3"}
	called    = phoneChanged("+4917612345678", phoneHold, account.Hold{})
)

// addresses is where secrets of a purpose go for an account with created and called.
func address(p account.Purpose) string {
	if p.ByPhone() {
		return "+4917612345678"
	}
	return "ada@example.com"
}

func TestASecretIsSentToTheAccountsOwnAddress(t *testing.T) {
	for _, p := range purposes {
		t.Run(string(p), func(t *testing.T) {
			verified := list(created(), called, account.EmailVerified{}, account.PhoneVerified{})
			for name, c := range map[string]struct {
				given   []account.Event
				refused error
			}{
				"an account":              {list(created(), called), nil},
				"nobody":                  {nil, account.ErrUnknown},
				"who is blocked":          {list(created(), called, account.Blocked{}), account.ErrBlocked},
				"who was deleted":         {list(created(), called, account.Deleted{}), account.ErrUnknown},
				"who has neither":         {list(account.Created{}), map[bool]error{true: account.ErrNoPhone, false: account.ErrNoEmail}[p.ByPhone()]},
				"who proved both already": {verified, map[account.Purpose]error{account.ForEmailVerification: account.ErrEmailVerified, account.ForPhoneVerification: account.ErrPhoneVerified}[p]},
			} {
				a := fold(c.given...)
				events, err := a.IssueToken(issue("t", p, noon))
				if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
					t.Errorf("%s: refused with %v, want %v", name, err, c.refused)
				}
				want := list(issued("t", p, address(p)))
				if c.refused != nil {
					want = nil
				}
				if diff := cmp.Diff(want, events); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				if again, err := foldFrom(a, noon, events...).IssueToken(issue("t", p, noon)); len(again) != 0 || c.refused == nil && err != nil {
					t.Errorf("%s: asked again: %v %v", name, again, err)
				}
			}
		})
	}
}

func TestASecretServesOnlyThePurposeItWasSentFor(t *testing.T) {
	a := fold(created(), called)
	for i, p := range purposes {
		a = foldFrom(a, noon, issued(fmt.Sprintf("%06d", 111111*(i+1)), p, address(p)))
	}
	for i, sent := range purposes {
		secret := secretOf(a, account.Token{ID: fmt.Sprintf("%06d", 111111*(i+1)), Purpose: sent})
		for _, asked := range purposes {
			if found, ok, _ := a.FindToken(secret, secretOf, noon, asked); ok != (asked == sent) || ok && found.Purpose != sent {
				t.Errorf("the secret for %s serves %s: %v", sent, asked, ok)
			}
		}
		if found, ok, _ := a.FindToken(secret, secretOf, noon, purposes...); !ok || found.Purpose != sent {
			t.Errorf("the secret for %s among all: %v %v", sent, found, ok)
		}
	}
}

func TestTheFifthWrongCodeEndsIt(t *testing.T) {
	for _, p := range []account.Purpose{account.ForEmailCode, account.ForPhoneCode, account.ForPhoneVerification} {
		a := fold(created(), called, issued("123456", p, address(p)))
		for try := 1; try <= 5; try++ {
			if _, ok, _ := a.FindToken("123456", secretOf, noon, p); !ok {
				t.Fatalf("%s: ended before wrong code %d", p, try)
			}
			_, ok, wrong := a.FindToken("654321", secretOf, noon, p)
			if diff := cmp.Diff(list(account.WrongCodeGiven{ID: "123456", Purpose: p}), wrong); ok || diff != "" {
				t.Fatalf("%s: wrong code %d: %v %s", p, try, ok, diff)
			}
			a = foldFrom(a, noon, wrong...)
		}
		if _, ok, wrong := a.FindToken("123456", secretOf, noon, p); ok || wrong != nil {
			t.Errorf("%s: the right code after five wrong ones: %v %v", p, ok, wrong)
		}
	}
}

func TestWhatCannotBeACodeIsNoGuess(t *testing.T) {
	a := fold(created(), called, issued("123456", account.ForEmailCode, ""), issued("234567", account.ForPhoneCode, ""), issued("link", account.ForMagicURL, ""))
	for _, secret := range []string{"", "12345", "1234567", "12345a", "12345\x00", "１２３４５６", "the secret of nothing"} {
		if _, ok, wrong := a.FindToken(secret, secretOf, noon, purposes...); ok || wrong != nil {
			t.Errorf("%q: %v %v", secret, ok, wrong)
		}
	}
	// One that can be is a guess at all that are asked for.
	want := list(account.WrongCodeGiven{ID: "123456", Purpose: account.ForEmailCode}, account.WrongCodeGiven{ID: "234567", Purpose: account.ForPhoneCode})
	if _, _, wrong := a.FindToken("999999", secretOf, noon, account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode); cmp.Diff(want, wrong) != "" {
		t.Errorf("%v", wrong)
	}
}

func TestGuessersWaitForTheirNextCode(t *testing.T) {
	a := fold(created())
	for n := range 10 {
		code := issued(fmt.Sprintf("%06d", 100000+n), account.ForEmailCode, "ada@example.com")
		if events, err := a.IssueToken(code); err != nil || len(events) != 1 {
			t.Fatalf("code %d: %v", n, err)
		}
		a = foldFrom(a, noon, code)
		for range 5 {
			_, _, wrong := a.FindToken("000000", secretOf, noon, account.ForEmailCode)
			a = foldFrom(a, noon, wrong...)
		}
	}
	next := func(at time.Time) error {
		_, err := a.IssueToken(issue("200000", account.ForEmailCode, at))
		return err
	}
	if err := next(noon.Add(time.Hour - 1)); !errors.Is(err, account.ErrGuessingCodes) || retryAfter(t, err) != 1 {
		t.Errorf("after fifty wrong codes: %v", err)
	}
	if err := next(noon.Add(time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	if _, err := a.IssueToken(issue("link", account.ForMagicURL, noon)); err != nil {
		t.Errorf("a link, which cannot be guessed: %v", err)
	}
	a = foldFrom(a, noon, account.TokenUsed{ID: "x", Purpose: account.ForEmailCode})
	if err := next(noon); err != nil {
		t.Errorf("after a right one: %v", err)
	}
}

func TestATokenExpiresAtItsTime(t *testing.T) {
	for p, life := range map[account.Purpose]time.Duration{
		account.ForMagicURL: time.Hour, account.ForRecovery: time.Hour, account.ForEmailVerification: 7 * 24 * time.Hour,
		account.ForEmailCode: 15 * time.Minute, account.ForPhoneCode: 15 * time.Minute, account.ForPhoneVerification: 15 * time.Minute,
	} {
		if p.Lifetime() != life {
			t.Errorf("%s lasts %s, want %s", p, p.Lifetime(), life)
		}
		e := issued("123456", p, "")
		a := fold(created(), called, e)
		secret := secretOf(a, account.Token{ID: e.ID, Purpose: p})
		if _, ok, _ := a.FindToken(secret, secretOf, e.Expires.Add(-time.Millisecond), p); !ok || !a.CanUse(p, e.ID, e.Expires.Add(-time.Millisecond)) {
			t.Errorf("%s: dead a millisecond too early", p)
		}
		if _, ok, wrong := a.FindToken(secret, secretOf, e.Expires, p); ok || wrong != nil || a.CanUse(p, e.ID, e.Expires) {
			t.Errorf("%s: alive when it has expired", p)
		}
	}
}

func TestANewTokenReplacesTheOldOne(t *testing.T) {
	for _, p := range purposes {
		a := fold(created(), called, issued("123456", p, ""), issued("234567", p, ""))
		for id, alive := range map[string]bool{"123456": false, "234567": true} {
			if _, ok, _ := a.FindToken(secretOf(a, account.Token{ID: id, Purpose: p}), secretOf, noon, p); ok != alive || a.CanUse(p, id, noon) != alive {
				t.Errorf("%s: %s is %v", p, id, ok)
			}
		}
	}
}

func TestPasswordAddressBlockAndDeletionEndAllTokens(t *testing.T) {
	for name, end := range map[string]account.Event{
		"a new password": passwordChanged("hash 2"), "another address": emailChanged("a@example.org", account.Hold{}, account.Hold{}),
		"another phone": phoneChanged("+4917600000000", account.Hold{}, account.Hold{}), "a block": account.Blocked{}, "deletion": account.Deleted{},
	} {
		a := fold(created(), called)
		for _, p := range purposes {
			a = foldFrom(a, noon, issued("123456", p, ""))
		}
		a = foldFrom(a, noon, end)
		for _, p := range purposes {
			if a.CanUse(p, "123456", noon) {
				t.Errorf("%s leaves a secret for %s", name, p)
			}
		}
	}
}

func TestWhatATokenOpens(t *testing.T) {
	later := noon.Add(time.Hour)
	signIn := func(p account.Purpose, alerts bool) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.SignInWithToken(account.Token{ID: "t", Purpose: p}, account.SessionStarted{ID: "s", SecretHash: "hash", Expires: later}, 10, alerts, noon)
		}
	}
	session := func(provider, factor, alert string) account.SessionStarted {
		e := account.SessionStarted{ID: "s", SecretHash: "hash", Provider: provider, Factors: []string{factor}, Expires: later}
		e.Personal.Alert = alert
		return e
	}
	verify := func(p account.Purpose) decision {
		return func(a account.Account) ([]account.Event, error) { return a.Verify(account.Token{ID: "t", Purpose: p}) }
	}
	recover := func(revoke bool) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.Recover(account.Token{ID: "t", Purpose: account.ForRecovery}, "hash 2", revoke)
		}
	}
	used := func(p account.Purpose) account.Event { return account.TokenUsed{ID: "t", Purpose: p} }
	known := list(created(), called, account.EmailVerified{}, account.PhoneVerified{})
	elsewhere := append(list(known...), started("a", later), started("b", later))
	for _, c := range []struct {
		name    string
		given   []account.Event
		decide  decision
		then    []account.Event
		refused error
	}{
		{name: "a magic URL signs in and proves the address", given: list(created()), decide: signIn(account.ForMagicURL, true),
			then: list(used(account.ForMagicURL), account.EmailVerified{}, session("magic-url", "email", ""))},
		{name: "a mailed code signs in and proves the address", given: list(created()), decide: signIn(account.ForEmailCode, true),
			then: list(used(account.ForEmailCode), account.EmailVerified{}, session("token", "email", ""))},
		{name: "a code to the phone signs in and proves the number", given: list(created(), called), decide: signIn(account.ForPhoneCode, true),
			then: list(used(account.ForPhoneCode), account.PhoneVerified{}, session("phone", "phone", ""))},
		{name: "what was proved is not proved again", given: known, decide: signIn(account.ForMagicURL, false), then: list(used(account.ForMagicURL), session("magic-url", "email", ""))},
		{name: "the owner is told of another session by phone", given: elsewhere, decide: signIn(account.ForPhoneCode, true),
			then: list(used(account.ForPhoneCode), session("phone", "phone", "ada@example.com"))},
		{name: "unless the project does not want it", given: elsewhere, decide: signIn(account.ForPhoneCode, false), then: list(used(account.ForPhoneCode), session("phone", "phone", ""))},
		{name: "a mail brought the token: that is telling enough", given: elsewhere, decide: signIn(account.ForMagicURL, true), then: list(used(account.ForMagicURL), session("magic-url", "email", ""))},
		{name: "who is blocked does not get in", given: append(list(known...), account.Blocked{}), decide: signIn(account.ForMagicURL, true), refused: account.ErrBlocked},
		{name: "nobody gets in", decide: signIn(account.ForMagicURL, true), refused: account.ErrTokenInvalid},
		{name: "an address is verified", given: list(created()), decide: verify(account.ForEmailVerification), then: list(used(account.ForEmailVerification), account.EmailVerified{})},
		{name: "a number is verified", given: list(created(), called), decide: verify(account.ForPhoneVerification), then: list(used(account.ForPhoneVerification), account.PhoneVerified{})},
		{name: "nobody is verified", decide: verify(account.ForPhoneVerification), refused: account.ErrUnknown},
		{name: "a password is recovered", given: elsewhere, decide: recover(false), then: list(used(account.ForRecovery), passwordChanged("hash 2"))},
		{name: "recovering proves the address", given: list(created()), decide: recover(true), then: list(used(account.ForRecovery), account.EmailVerified{}, passwordChanged("hash 2"))},
		{name: "recovering ends the sessions", given: elsewhere, decide: recover(true),
			then: append(list(used(account.ForRecovery), passwordChanged("hash 2")), revoked(account.RevokedByPassword, "a", "b")...)},
		{name: "who is blocked does not recover", given: append(list(known...), account.Blocked{}), decide: recover(true), refused: account.ErrBlocked},
		{name: "nobody recovers", decide: recover(true), refused: account.ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			events, err := c.decide(fold(c.given...))
			if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheFirstSessionIsNoNews(t *testing.T) {
	later := noon.Add(time.Hour)
	a := fold(created())
	for i, want := range []string{"", "ada@example.com"} {
		events, err := a.SignIn(started(fmt.Sprint(i), later), "hash 1", "", 10, true, noon)
		if err != nil || events[0].(account.SessionStarted).Personal.Alert != want {
			t.Errorf("session %d: %v %v", i, events, err)
		}
		a = foldFrom(a, noon, events...)
	}
}

func TestPhones(t *testing.T) {
	next := account.Hold{Claim: "another's", Taking: "4"}
	for _, c := range []struct {
		name    string
		given   []account.Event
		decide  decision
		then    []account.Event
		refused error
	}{
		{name: "a first number", given: list(created()), decide: changePhone("+4917612345678", phoneHold, ""), then: list(called)},
		{name: "another number lets the old one go", given: list(created(), called), decide: changePhone("+4917600000000", next, ""), then: list(phoneChanged("+4917600000000", next, phoneHold))},
		{name: "the same number again changes nothing", given: list(created(), called), decide: changePhone("+4917612345678", next, "")},
		{name: "an account without a password takes one on", given: list(account.Created{}), decide: changePhone("+4917612345678", phoneHold, "hash 1"), then: list(called, passwordChanged("hash 1"))},
		{name: "nobody has no number", decide: changePhone("+4917612345678", phoneHold, ""), refused: account.ErrUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := fold(c.given...)
			events, err := c.decide(before)
			if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			if again, _ := c.decide(foldFrom(before, noon, events...)); len(again) != 0 {
				t.Errorf("asked again it added %v", again)
			}
		})
	}
	a := fold(created(), called)
	if !a.Holds("her phone's") || a.Holds("another's") {
		t.Error("the claim on the phone is not held")
	}
	if a = foldFrom(a, noon, account.PhoneVerified{}, phoneChanged("+4917600000000", next, phoneHold)); a.PhoneVerified {
		t.Error("another number counts as verified")
	}
	events, err := a.Delete()
	want := list(account.Deleted{LetGo: []account.Hold{{Claim: "ada's", Taking: "1"}, next}})
	if diff := cmp.Diff(want, events); diff != "" || err != nil {
		t.Errorf("deletion lets go: %v\n%s", err, diff)
	}
}

func changePhone(to account.Phone, hold account.Hold, first string) decision {
	return func(a account.Account) ([]account.Event, error) { return a.ChangePhone(to, hold, first) }
}

func TestAccountsThatBeginWithoutAPassword(t *testing.T) {
	s := started("s", noon.Add(time.Hour))
	signedIn := func(a account.Account) ([]account.Event, error) { return a.CreateSignedIn(account.Created{}, s) }
	e := created().(account.Created)
	e.Personal.Password = ""
	sent := func(a account.Account) ([]account.Event, error) {
		return a.CreateAndSend(e, issue("t", account.ForMagicURL, noon), noon)
	}
	for name, c := range map[string]struct {
		decide decision
		then   []account.Event
	}{
		"anonymous, signed in": {signedIn, list(account.Created{}, s)},
		"with a letter":        {sent, list(e, issued("t", account.ForMagicURL, "ada@example.com"))},
	} {
		for given, before := range map[string][]account.Event{"nobody": nil, "somebody": list(created()), "who was deleted": list(created(), account.Deleted{})} {
			events, err := c.decide(fold(before...))
			want := c.then
			if before != nil {
				want = nil
			}
			if diff := cmp.Diff(want, events); diff != "" || errors.Is(err, account.ErrExists) != (before != nil) {
				t.Errorf("%s, %s: %v\n%s", name, given, err, diff)
			}
		}
	}
	if again, err := signedIn(fold(account.Created{}, s)); again != nil || err != nil {
		t.Errorf("asked again: %v %v", again, err)
	}
	events, err := fold(account.Created{}).ChangeEmail("ada@example.com", account.Hold{Claim: "ada's", Taking: "1"}, "hash 1")
	want := list(emailChanged("ada@example.com", account.Hold{Claim: "ada's", Taking: "1"}, account.Hold{}), passwordChanged("hash 1"))
	if diff := cmp.Diff(want, events); diff != "" || err != nil {
		t.Errorf("taking on an address: %v\n%s", err, diff)
	}
}

func TestTheOwnerIsToldOncePerDayThatSomebodyTriedToSignUp(t *testing.T) {
	a := fold(created())
	var want account.SignUpTried
	want.Locale, want.Personal.To = "de", "ada@example.com"
	events, err := a.NoteSignUp("de", noon)
	if diff := cmp.Diff(list(want), events); diff != "" || err != nil {
		t.Fatal(err, diff)
	}
	a = foldFrom(a, noon, events...)
	for at, told := range map[time.Duration]bool{0: false, 24*time.Hour - 1: false, 24 * time.Hour: true} {
		if events, _ := a.NoteSignUp("de", noon.Add(at)); (len(events) == 1) != told {
			t.Errorf("%s later: %v", at, events)
		}
	}
	for name, a := range map[string]account.Account{"nobody": {}, "blocked": fold(created(), account.Blocked{}), "no address": fold(account.Created{})} {
		if events, err := a.NoteSignUp("de", noon); events != nil || err != nil {
			t.Errorf("%s: %v %v", name, events, err)
		}
	}
}

func TestParsePhone(t *testing.T) {
	for s, ok := range map[string]bool{
		"+4917612345678": true, "+1234567": true, "+123456789012345": true,
		"": false, "+": false, "4917612345678": false, "+0917612345678": false, "+123456": false, "+1234567890123456": false,
		"+49 176 12345678": false, "+4917612345678\n": false, "+49176123456７8": false, "++491761234567": false, "004917612345678": false,
	} {
		if got, valid := account.ParsePhone(s); valid != ok || string(got) != s {
			t.Errorf("%q: %v", s, valid)
		}
	}
}
