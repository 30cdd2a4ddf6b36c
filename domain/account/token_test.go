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

// address is where secrets of a purpose go for an account with created and called.
func address(p account.Purpose) string {
	if p.ByPhone() {
		return "+4917612345678"
	}
	return "ada@example.com"
}

func TestASecretIsSentToTheAccountsOwnAddress(t *testing.T) {
	ask := func(a account.Account, p account.Purpose) ([]account.Event, error) {
		e := issue("t", p, noon)
		e.Personal.To = "mallory@example.org"
		return a.IssueToken(e)
	}
	for _, p := range purposes {
		t.Run(string(p), func(t *testing.T) {
			verified := list(created(), called, account.EmailVerified{}, account.PhoneVerified{})
			for name, c := range map[string]struct {
				given   []account.Event
				refused error
			}{
				"an account":              {list(created(), called), nil},
				"who was sent one before": {list(created(), called, issued("before", p, address(p))), nil},
				"nobody":                  {nil, account.ErrUnknown},
				"who is blocked":          {list(created(), called, account.Blocked{}), account.ErrBlocked},
				"who was deleted":         {list(created(), called, account.Deleted{}), account.ErrUnknown},
				"who has neither":         {list(account.Created{}), map[bool]error{true: account.ErrNoPhone, false: account.ErrNoEmail}[p.ByPhone()]},
				"who proved the other": {list(created(), called, map[bool]account.Event{true: account.EmailVerified{}, false: account.PhoneVerified{}}[p.ByPhone()]), map[account.Purpose]error{
					account.ForMagicURL: account.ErrAddressUnproved, account.ForEmailCode: account.ErrAddressUnproved, account.ForRecovery: account.ErrAddressUnproved, account.ForPhoneCode: account.ErrNumberUnproved,
				}[p]},
				"who proved both already": {verified, map[account.Purpose]error{account.ForEmailVerification: account.ErrEmailVerified, account.ForPhoneVerification: account.ErrPhoneVerified}[p]},
			} {
				a := fold(c.given...)
				events, err := ask(a, p)
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
				if again, err := ask(foldFrom(a, noon, events...), p); len(again) != 0 || c.refused == nil && err != nil {
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
		if _, ok, wrong := a.FindToken("123456", secretOf, noon, p); ok || wrong != nil || a.CanUse(p, "123456", noon) {
			t.Errorf("%s: the right code after five wrong ones: %v %v", p, ok, wrong)
		}
	}
}

func TestWrongCodesCountForEveryCodeTheyWereWeighedAgainst(t *testing.T) {
	a := fold(created(), called, issued("123456", account.ForEmailCode, ""), issued("234567", account.ForPhoneCode, ""), issued("345678", account.ForPhoneVerification, ""))
	guess := func(purposes ...account.Purpose) {
		_, _, wrong := a.FindToken("999999", secretOf, noon, purposes...)
		a = foldFrom(a, noon, wrong...)
	}
	usable := func(email, phone bool) {
		t.Helper()
		if e, p := a.CanUse(account.ForEmailCode, "123456", noon), a.CanUse(account.ForPhoneCode, "234567", noon); e != email || p != phone {
			t.Errorf("the mailed code %v, the one to the phone %v; want %v, %v", e, p, email, phone)
		}
		if !a.CanUse(account.ForPhoneVerification, "345678", noon) {
			t.Error("the code that was not asked for has ended")
		}
	}
	guess(account.ForPhoneCode)
	for range 3 {
		guess(account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode)
	}
	usable(true, true)
	// The right code for one is no wrong code for the other.
	if found, ok, wrong := a.FindToken("234567", secretOf, noon, account.ForEmailCode, account.ForPhoneCode); !ok || found.ID != "234567" || wrong != nil {
		t.Errorf("found %v %v, wrong %v", found, ok, wrong)
	}
	guess(account.ForEmailCode, account.ForPhoneCode)
	usable(true, false)
	guess(account.ForEmailCode, account.ForPhoneCode)
	usable(false, false)
}

func TestAnotherCodeHasFiveTriesOfItsOwn(t *testing.T) {
	first, second := issued("123456", account.ForEmailCode, ""), issued("234567", account.ForEmailCode, "")
	wrong := account.WrongCodeGiven{ID: "123456", Purpose: account.ForEmailCode}
	// The last of them was weighed against the first code and recorded when the second was there already.
	a := fold(created(), first, wrong, wrong, wrong, wrong, second, wrong)
	for try := 1; try <= 5; try++ {
		if !a.CanUse(account.ForEmailCode, "234567", noon) {
			t.Fatalf("ended before wrong code %d", try)
		}
		a = foldFrom(a, noon, account.WrongCodeGiven{ID: "234567", Purpose: account.ForEmailCode})
	}
	if a.CanUse(account.ForEmailCode, "234567", noon) {
		t.Error("it outlived five wrong codes")
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
	next := func(a account.Account, at time.Time) error {
		_, err := a.IssueToken(issue("200000", account.ForEmailCode, at))
		return err
	}
	if err := next(a, noon.Add(time.Hour-1)); !errors.Is(err, account.ErrGuessingCodes) || retryAfter(t, err) != 1 {
		t.Errorf("after fifty wrong codes: %v", err)
	}
	if err := next(a, noon.Add(time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
	if _, err := a.IssueToken(issue("link", account.ForMagicURL, noon)); err != nil {
		t.Errorf("a link, which cannot be guessed: %v", err)
	}
	if err := next(foldFrom(a, noon, account.TokenUsed{ID: "x", Purpose: account.ForMagicURL}), noon); !errors.Is(err, account.ErrGuessingCodes) {
		t.Errorf("after a link, which tells nothing of the codes: %v", err)
	}
	a = foldFrom(a, noon, account.TokenUsed{ID: "x", Purpose: account.ForEmailCode})
	for wrong := range 50 {
		if err := next(a, noon); err != nil {
			t.Errorf("after a right one and %d wrong ones: %v", wrong, err)
		}
		a = foldFrom(a, noon, account.WrongCodeGiven{ID: "x", Purpose: account.ForEmailCode})
	}
	if err := next(a, noon); !errors.Is(err, account.ErrGuessingCodes) {
		t.Errorf("after a right one and fifty wrong ones: %v", err)
	}
}

func TestAClockThatWentBackKeepsNobodyWithoutCodesForLong(t *testing.T) {
	a := fold(created())
	for range 50 {
		a = foldFrom(a, noon, account.WrongCodeGiven{ID: "x", Purpose: account.ForEmailCode})
	}
	for _, back := range []time.Duration{time.Second, 5 * time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
		// Whoever comes back when told to gets a code after two pauses at most.
		now, waited := noon.Add(-back), time.Duration(0)
		for waited <= 2*time.Hour {
			_, err := a.IssueToken(issue("200000", account.ForEmailCode, now))
			left := retryAfter(t, err)
			if left == 0 {
				break
			}
			if left > time.Hour {
				t.Fatalf("%s back: told to wait %s", back, left)
			}
			now, waited = now.Add(left), waited+left
		}
		if waited > 2*time.Hour {
			t.Errorf("%s back: waited %s", back, waited)
		}
	}
	// Small steps back, as between two instances, make no code free.
	if _, err := a.IssueToken(issue("200000", account.ForEmailCode, noon.Add(-5*time.Minute))); err == nil {
		t.Error("a clock five minutes behind sends one at once")
	}
}

// Of a million codes, a guesser who never rests comes to weigh few in a day, even with all kinds sent at once.
func TestAGuesserOfCodesHasFewGuessesADay(t *testing.T) {
	for most, codes := range map[int][]account.Purpose{
		200: {account.ForEmailCode},
		300: {account.ForEmailCode, account.ForPhoneCode},
		500: {account.ForEmailCode, account.ForPhoneCode, account.ForPhoneVerification},
	} {
		a, guesses := fold(created(), called), 0
		for now := noon; now.Before(noon.Add(24 * time.Hour)); now = now.Add(10 * time.Second) {
			for _, p := range codes {
				events, _ := a.IssueToken(issue(fmt.Sprint("111111 ", now), p, now))
				a = foldFrom(a, now, events...)
			}
			_, _, wrong := a.FindToken("999999", secretOf, now, codes...)
			guesses += len(wrong)
			a = foldFrom(a, now, wrong...)
		}
		if guesses < 50 || guesses > most {
			t.Errorf("%d guesses at %v, want at most %d", guesses, codes, most)
		}
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
		a := fold(created(), called)
		for _, other := range purposes {
			a = foldFrom(a, noon, issued("123456", other, ""))
		}
		a = foldFrom(a, noon, issued("234567", p, ""))
		for _, other := range purposes {
			if other != p && !a.CanUse(other, "123456", noon) {
				t.Errorf("%s: the secret for %s went with it", p, other)
			}
		}
		for id, alive := range map[string]bool{"123456": false, "234567": true} {
			if _, ok, _ := a.FindToken(secretOf(a, account.Token{ID: id, Purpose: p}), secretOf, noon, p); ok != alive || a.CanUse(p, id, noon) != alive {
				t.Errorf("%s: %s is %v", p, id, ok)
			}
		}
	}
}

func TestPasswordEmailPhoneBlockAndDeletionEndAllTokens(t *testing.T) {
	// Of every event that can happen to an account, so that a new one is thought about.
	ends := map[string]bool{
		"account.password-changed.v1": true, "account.password-removed.v1": true, "account.email-changed.v1": true, "account.phone-changed.v1": true, "account.blocked.v1": true, "account.deleted.v1": true,
	}
	for wire := range account.Contract {
		a := fold(created(), called)
		for _, p := range purposes {
			a = foldFrom(a, noon, issued("123456", p, ""))
		}
		a = foldFrom(a, noon, read(t, wire, []byte(`{}`)))
		for _, p := range purposes {
			if a.CanUse(p, "123456", noon) == ends[wire] {
				t.Errorf("%s ends the secret for %s: %v", wire, p, !ends[wire])
			}
		}
	}
}

func TestAUsedTokenIsNotFoundAgain(t *testing.T) {
	for _, p := range purposes {
		a := fold(created(), called, account.EmailVerified{}, account.PhoneVerified{}, account.IdentityLinked{ID: "identity"})
		for _, sent := range purposes {
			a = foldFrom(a, noon, issued("123456", sent, address(sent)))
		}
		secret := secretOf(a, account.Token{ID: "123456", Purpose: p})
		found, ok, _ := a.FindToken(secret, secretOf, noon, p)
		if !ok {
			t.Fatalf("%s: the secret is not found", p)
		}
		var events []account.Event
		var err error
		switch p {
		case account.ForEmailVerification, account.ForPhoneVerification:
			events, err = a.Verify(found, "")
		case account.ForRecovery:
			events, err = a.Recover(found, "hash 2", true, "")
		default:
			events, err = a.SignInWithToken(found, started("s", noon.Add(time.Hour)), 10, true, noon)
		}
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		a = foldFrom(a, noon, events...)
		if found, ok, wrong := a.FindToken(secret, secretOf, noon, p); ok || wrong != nil || a.CanUse(p, "123456", noon) {
			t.Errorf("%s: used again: %v %v, wrong %v", p, found, ok, wrong)
		}
		for _, other := range purposes { // a recovered password ends them all
			if other != p && a.CanUse(other, "123456", noon) == (p == account.ForRecovery) {
				t.Errorf("%s was used: is there still one for %s? %v", p, other, p == account.ForRecovery)
			}
		}
	}
}

// A token that was replaced between being found and being used: its use, were it recorded, would not end the new one.
func TestTheUseOfAnOldTokenLeavesTheNewOne(t *testing.T) {
	for _, p := range purposes {
		a := fold(created(), called, issued("123456", p, ""), issued("234567", p, ""), account.TokenUsed{ID: "123456", Purpose: p})
		if !a.CanUse(p, "234567", noon) {
			t.Errorf("%s: the new one has ended", p)
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
		return func(a account.Account) ([]account.Event, error) {
			return a.Verify(account.Token{ID: "t", Purpose: p}, "")
		}
	}
	recover := func(revoke bool) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.Recover(account.Token{ID: "t", Purpose: account.ForRecovery}, "hash 2", revoke, "")
		}
	}
	used := func(p account.Purpose) account.Event { return account.TokenUsed{ID: "t", Purpose: p} }
	known := list(created(), called, account.EmailVerified{}, account.PhoneVerified{})
	nobodys := list(account.Created{}, called, emailChanged("ada@example.com", account.Hold{}, account.Hold{}))
	elsewhere := append(list(known...), started("a", later), started("b", later))
	for _, c := range []struct {
		name    string
		given   []account.Event
		decide  decision
		then    []account.Event
		refused error
	}{
		{name: "a magic URL signs in and proves the address", given: nobodys, decide: signIn(account.ForMagicURL, true),
			then: list(used(account.ForMagicURL), account.EmailVerified{}, account.PhoneChanged{LetGo: phoneHold}, session("magic-url", "email", ""))},
		{name: "a mailed code signs in and proves the address", given: nobodys, decide: signIn(account.ForEmailCode, true),
			then: list(used(account.ForEmailCode), account.EmailVerified{}, account.PhoneChanged{LetGo: phoneHold}, session("token", "email", ""))},
		{name: "a code to the phone signs in and proves the number", given: nobodys, decide: signIn(account.ForPhoneCode, true),
			then: list(used(account.ForPhoneCode), account.PhoneVerified{}, account.EmailChanged{}, session("phone", "phone", ""))},
		{name: "what was proved is not proved again", given: known, decide: signIn(account.ForMagicURL, false), then: list(used(account.ForMagicURL), session("magic-url", "email", ""))},
		{name: "the owner is told of another session by phone", given: elsewhere, decide: signIn(account.ForPhoneCode, true),
			then: list(used(account.ForPhoneCode), session("phone", "phone", "ada@example.com"))},
		{name: "unless the project does not want it", given: elsewhere, decide: signIn(account.ForPhoneCode, false), then: list(used(account.ForPhoneCode), session("phone", "phone", ""))},
		{name: "a mail brought the token: that is telling enough", given: elsewhere, decide: signIn(account.ForMagicURL, true), then: list(used(account.ForMagicURL), session("magic-url", "email", ""))},
		{name: "beyond the limit the oldest session goes", given: elsewhere, decide: func(a account.Account) ([]account.Event, error) {
			return a.SignInWithToken(account.Token{ID: "t", Purpose: account.ForMagicURL}, session("", "", ""), 2, true, noon)
		}, then: append(append(list(used(account.ForMagicURL)), revoked(account.RevokedByLimit, "a")...), session("magic-url", "email", ""))},
		{name: "the way in is told by the token, not by who asks", given: known, decide: func(a account.Account) ([]account.Event, error) {
			return a.SignInWithToken(account.Token{ID: "t", Purpose: account.ForPhoneCode}, session(account.ProviderEmail, account.FactorPassword, ""), 10, true, noon)
		}, then: list(used(account.ForPhoneCode), session("phone", "phone", ""))},
		{name: "who has no address is told of nothing", given: list(account.Created{}, called, account.PhoneVerified{}, started("a", later)), decide: signIn(account.ForPhoneCode, true),
			then: list(used(account.ForPhoneCode), session("phone", "phone", ""))},
		{name: "who is blocked does not get in", given: append(list(known...), account.Blocked{}), decide: signIn(account.ForMagicURL, true), refused: account.ErrBlocked},
		{name: "nobody gets in", decide: signIn(account.ForMagicURL, true), refused: account.ErrTokenInvalid},
		{name: "an address is verified", given: list(created()), decide: verify(account.ForEmailVerification), then: list(used(account.ForEmailVerification), account.EmailVerified{})},
		{name: "a number is verified", given: list(created(), called), decide: verify(account.ForPhoneVerification), then: list(used(account.ForPhoneVerification), account.PhoneVerified{})},
		{name: "an address that was proved meanwhile is not proved again", given: known, decide: verify(account.ForEmailVerification), then: list(used(account.ForEmailVerification))},
		{name: "a number that was proved meanwhile is not proved again", given: known, decide: verify(account.ForPhoneVerification), then: list(used(account.ForPhoneVerification))},
		{name: "nobody is verified", decide: verify(account.ForPhoneVerification), refused: account.ErrUnknown},
		{name: "a password is recovered", given: elsewhere, decide: recover(false), then: list(used(account.ForRecovery), passwordRecovered("hash 2", "ada@example.com"))},
		{name: "recovering proves the address", given: list(created()), decide: recover(true), then: list(used(account.ForRecovery), account.EmailVerified{}, passwordRecovered("hash 2", "ada@example.com"))},
		{name: "recovering ends the sessions", given: elsewhere, decide: recover(true),
			then: append(list(used(account.ForRecovery), passwordRecovered("hash 2", "ada@example.com")), revoked(account.RevokedByPassword, "a", "b")...)},
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

func TestTheFirstSessionIsNoAlert(t *testing.T) {
	later := noon.Add(time.Hour)
	withPassword := func(a account.Account, id string, alerts bool) ([]account.Event, error) {
		return a.SignIn(started(id, later), "hash 1", "", 10, alerts, noon)
	}
	byPhone := func(a account.Account, id string, alerts bool) ([]account.Event, error) {
		return a.SignInWithToken(account.Token{ID: "t", Purpose: account.ForPhoneCode}, started(id, later), 10, alerts, noon)
	}
	for name, signIn := range map[string]func(account.Account, string, bool) ([]account.Event, error){"with a password": withPassword, "by phone": byPhone} {
		a := fold(created(), called, account.EmailVerified{}, account.PhoneVerified{})
		for i, want := range []string{"", "ada@example.com", "ada@example.com"} {
			if events, err := signIn(a, fmt.Sprint(i), false); err != nil || events[len(events)-1].(account.SessionStarted).Personal.Alert != "" {
				t.Errorf("%s, session %d, where no alerts are wanted: %v %v", name, i, events, err)
			}
			events, err := signIn(a, fmt.Sprint(i), true)
			if err != nil || events[len(events)-1].(account.SessionStarted).Personal.Alert != want {
				t.Errorf("%s, session %d: %v %v", name, i, events, err)
			}
			a = foldFrom(a, noon, events...)
		}
	}
}

func TestAnotherNumberIsVerifiedAnew(t *testing.T) {
	a := fold(created(), called, account.EmailVerified{}, account.PhoneVerified{})
	if !a.PhoneVerified {
		t.Fatal("the number is not verified")
	}
	if a = foldFrom(a, noon, phoneChanged("+4917600000000", phoneHold, phoneHold)); a.PhoneVerified || !a.EmailVerified {
		t.Errorf("after another number: the number is verified %v, the address %v", a.PhoneVerified, a.EmailVerified)
	}
	a = foldFrom(a, noon, account.PhoneVerified{}, emailChanged("ada@example.org", account.Hold{}, account.Hold{}))
	if a.EmailVerified || !a.PhoneVerified {
		t.Errorf("after another address: the address is verified %v, the number %v", a.EmailVerified, a.PhoneVerified)
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
