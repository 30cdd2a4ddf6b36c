package account_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
)

// prepared is an account that somebody made with another's address and number, and filled with ways in of their own.
func prepared() []account.Event {
	later := noon.Add(time.Hour)
	return list(created(), called, linked(), added("x"), made("set"), account.MFASwitched{On: true}, started("a", later), started("b", later))
}

func TestWhoProvesAnAddressFirstFindsNoWayInOfWhoeverPreparedTheAccount(t *testing.T) {
	gone := list(account.MFASwitched{Reason: "owner"}, account.AuthenticatorRemoved{ID: "x", Reason: "owner"}, account.RecoveryCodesRemoved{Set: "set"})
	gone = append(gone, account.IdentityRemoved{ID: linked().ID, Provider: linked().Provider, LetGo: linked().Hold, Reason: "owner"})
	gone = append(gone, revoked("owner", "a", "b")...)
	number := account.PhoneChanged{LetGo: phoneHold}
	for purpose, c := range map[account.Purpose]struct{ proof, other, way account.Event }{
		account.ForMagicURL:  {account.EmailVerified{}, number, account.SessionStarted{ID: "s", Provider: "magic-url", Factors: []string{"email"}}},
		account.ForEmailCode: {account.EmailVerified{}, number, account.SessionStarted{ID: "s", Provider: "token", Factors: []string{"email"}}},
		account.ForPhoneCode: {account.PhoneVerified{}, account.EmailChanged{LetGo: created().(account.Created).EmailHold}, account.SessionStarted{ID: "s", Provider: "phone", Factors: []string{"phone"}}},
		account.ForRecovery:  {account.EmailVerified{}, number, passwordRecovered("hash 2", "ada@example.com")},
	} {
		t.Run(string(purpose), func(t *testing.T) {
			token := account.Token{ID: "t", Purpose: purpose}
			want := append(list(account.TokenUsed{ID: "t", Purpose: purpose}, c.proof, c.other), gone...)
			a := fold(prepared()...)
			enter := func() ([]account.Event, error) {
				if purpose == account.ForRecovery {
					return a.Recover(token, "hash 2", true, "")
				}
				return a.SignInWithToken(token, account.SessionStarted{ID: "s"}, 10, true, noon)
			}
			if purpose != account.ForRecovery { // which sets another one
				want = append(want, passwordRemoved(address(purpose)))
			}
			want = append(want, c.way)
			events, err := enter()
			if diff := cmp.Diff(want, events); err != nil || diff != "" {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			// Whoever owns it keeps what they have: the next time it ends nothing.
			a = foldFrom(a, noon, append(events, passwordChanged("hash 3"), added("y"), verified("y", 101), started("c", noon.Add(time.Hour)))...)
			if events, err = enter(); err != nil || len(events) > 3 {
				t.Errorf("the second time: %v %v", events, err)
			}
		})
	}
}

// An authenticator that is asked for may be that of somebody who never proved an address: a mailbox must not take it away.
func TestALetterDoesNotTakeAGuardedAccount(t *testing.T) {
	guarded := slices.Clip(append(prepared(), verified("x", 100)))
	a := fold(guarded...)
	in := account.SessionStarted{ID: "s", Provider: "magic-url", Factors: []string{"email"}}
	signIn := func(a account.Account) ([]account.Event, error) {
		return a.SignInWithToken(account.Token{ID: "t", Purpose: account.ForMagicURL}, account.SessionStarted{ID: "s"}, 10, true, noon)
	}
	events, err := signIn(a)
	if diff := cmp.Diff(list(account.TokenUsed{ID: "t", Purpose: account.ForMagicURL}, in), events); err != nil || diff != "" {
		t.Errorf("by a link: %v %s", err, diff)
	}
	events, err = a.Recover(account.Token{ID: "t", Purpose: account.ForRecovery}, "hash 2", true, "")
	want := append(list(account.TokenUsed{ID: "t", Purpose: account.ForRecovery}, passwordRecovered("hash 2", "ada@example.com")), revoked("password", "a", "b")...)
	if diff := cmp.Diff(want, events); err != nil || diff != "" {
		t.Errorf("by recovering: %v %s", err, diff)
	}
	// Once nothing guards it any more, whoever proves the address finds nothing that was left there.
	off, err := signIn(fold(append(guarded, account.MFASwitched{})...))
	if err != nil || len(off) != 10 || off[1] != (account.EmailVerified{}) || off[3] != (account.AuthenticatorRemoved{ID: "x", Reason: "owner"}) {
		t.Errorf("after it was switched off: %v %v", off, err)
	}
	// Its owner verifies the address from inside.
	if events, err := a.Verify(account.Token{ID: "t", Purpose: account.ForEmailVerification}, ""); err != nil || len(events) != 2 {
		t.Errorf("verified: %v %v", events, err)
	}
}

// Ada is let in by half to an account that Mallory prepared and guards with an authenticator. When Mallory takes the guard
// away, Ada must not find herself in it whole, beside Mallory: what letters opened ends, and the next one ends all the rest.
func TestWhatLettersOpenedEndsWithTheGuard(t *testing.T) {
	guarded := slices.Clip(append(prepared(), verified("x", 100)))
	half := started("ada's", noon.Add(time.Hour))
	half.Factors = []string{"email"}
	whole := challenged("a", "totp")
	whole.Factors = append(whole.Factors, "recoverycode")
	off := account.MFASwitched{Locale: "de"}
	gone := account.AuthenticatorRemoved{ID: "x", Locale: "de"}
	byProvider := started("m", noon.Add(time.Hour))
	byProvider.Factors = []string{"oauth2"}
	entered := challenged("m", "totp")
	decided(t, []asked{
		{name: "switched off", given: append(guarded, half, whole), decide: func(a account.Account) ([]account.Event, error) { return a.SwitchMFA(false, "a", "de") },
			then: append(list(off), revoked("owner", "ada's")...)},
		{name: "authenticator removed", given: append(guarded, half, whole), decide: func(a account.Account) ([]account.Event, error) { return a.RemoveAuthenticator("a", "de", noon) },
			then: append(list(gone), revoked("owner", "ada's")...)},
		{name: "by who did not set the password that was recovered", given: append(guarded, passwordRecovered("hash 2", ""), byProvider, entered), decide: func(a account.Account) ([]account.Event, error) { return a.SwitchMFA(false, "m", "de") },
			then: append(list(off, passwordRemoved("")), revoked("owner", "a", "b")...)},
		{name: "by who did", given: append(guarded, passwordRecovered("hash 2", ""), whole), decide: func(a account.Account) ([]account.Event, error) { return a.SwitchMFA(false, "a", "de") },
			then: append(list(off), revoked("owner", "b")...)},
		{name: "an account that somebody owns keeps its sessions", given: append(guarded, account.EmailVerified{}, half, whole), decide: func(a account.Account) ([]account.Event, error) { return a.SwitchMFA(false, "a", "de") },
			then: list(off)},
	})
}

func TestWhatWasSentToWhoeverPreparedAnAccountEndsWithIt(t *testing.T) {
	a := fold(prepared()...)
	for _, p := range purposes {
		a = foldFrom(a, noon, issued("123456", p, address(p)))
	}
	events, err := a.SignInWithToken(account.Token{ID: "123456", Purpose: account.ForMagicURL}, account.SessionStarted{ID: "s"}, 10, true, noon)
	if err != nil {
		t.Fatal(err)
	}
	a = foldFrom(a, noon, events...)
	for _, p := range purposes {
		if a.CanUse(p, "123456", noon) {
			t.Errorf("the secret for %s goes on", p)
		}
	}
}

func TestAnAddressThatItsOwnerNeverProvedIsNoWayIn(t *testing.T) {
	ownedBy := func(proof account.Event, more ...account.Event) []account.Event {
		return append(list(created(), called, proof), more...)
	}
	moved := emailChanged("ada@example.org", account.Hold{}, account.Hold{})
	for _, c := range []struct {
		name  string
		given []account.Event
		shut  map[account.Purpose]error
	}{
		{"nobody owns it", list(created(), called), nil},
		{"owned by its address", ownedBy(account.EmailVerified{}), map[account.Purpose]error{account.ForPhoneCode: account.ErrNumberUnproved}},
		{"owned by its number", ownedBy(account.PhoneVerified{}), map[account.Purpose]error{
			account.ForMagicURL: account.ErrAddressUnproved, account.ForEmailCode: account.ErrAddressUnproved, account.ForRecovery: account.ErrAddressUnproved,
		}},
		{"moved to another address", ownedBy(account.EmailVerified{}, account.PhoneVerified{}, moved), map[account.Purpose]error{
			account.ForMagicURL: account.ErrAddressUnproved, account.ForEmailCode: account.ErrAddressUnproved, account.ForRecovery: account.ErrAddressUnproved,
		}},
		{"moved, and proved", ownedBy(account.EmailVerified{}, account.PhoneVerified{}, moved, account.EmailVerified{}), nil},
		{"owned by both", ownedBy(account.EmailVerified{}, account.PhoneVerified{}), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := fold(c.given...)
			for _, p := range []account.Purpose{account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode, account.ForRecovery} {
				if _, err := a.IssueToken(issue("t", p, noon)); err != c.shut[p] {
					t.Errorf("a secret for %s is sent: %v, want %v", p, err, c.shut[p])
				}
				// One that was sent before is not taken either.
				var err error
				if token := (account.Token{ID: "t", Purpose: p}); p == account.ForRecovery {
					_, err = a.Recover(token, "hash 2", true, "")
				} else {
					_, err = a.SignInWithToken(token, account.SessionStarted{ID: "s"}, 10, true, noon)
				}
				if err != c.shut[p] {
					t.Errorf("a secret for %s is taken: %v, want %v", p, err, c.shut[p])
				}
			}
			// Proving is always possible.
			if _, err := a.IssueToken(issue("t", account.ForEmailVerification, noon)); err != nil && err != account.ErrEmailVerified {
				t.Error(err)
			}
		})
	}
}

func TestAMailboxIsNotTwoFactors(t *testing.T) {
	later := noon.Add(time.Hour)
	with := func(factors ...string) account.Event {
		e := started("s", later)
		e.Factors = factors
		return e
	}
	totp := list(added("x"), verified("x", 100))
	recovered, own := passwordRecovered("hash 2", "ada@example.com"), passwordChanged("hash 3")
	for _, c := range []struct {
		name    string
		given   []account.Event
		refused error
	}{
		{"a link, and an authenticator to ask", append(totp, with("email")), account.ErrMailboxCounted},
		{"a recovered password", append(totp, recovered, with("password")), account.ErrMailboxCounted},
		{"one of the owner's own", append(totp, with("password")), nil},
		{"a recovered one that was changed since", append(totp, recovered, own, with("password")), nil},
		{"a provider, who recovers by mail as well", append(totp, with("oauth2")), account.ErrMailboxCounted},
		{"a provider and the authenticator", append(totp, with("oauth2", "totp")), nil},
		{"a recovered password and a recovery code", append(totp, recovered, with("password", "recoverycode")), nil},
		{"a code to the phone", append(totp, account.PhoneVerified{}, with("phone")), nil},
		{"a recovered password, and a phone to ask", list(account.PhoneVerified{}, recovered, with("password")), account.ErrMailboxCounted},
		{"a recovered password, and nothing else to ask", list(recovered, with("password")), nil},
		{"an authenticator that was not verified is nothing to ask", list(added("x"), recovered, with("password")), nil},
	} {
		a := fold(append(list(created(), called, account.EmailVerified{}), c.given...)...)
		if _, err := a.IssueChallenge(challenge("c", account.FactorEmail, "s", ""), noon); err != c.refused || a.CountsMailbox("s") != (c.refused == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.refused)
		}
	}
}

func TestNobodyRemovesTheLastSecondFactorThatIsAskedFor(t *testing.T) {
	later := noon.Add(time.Hour)
	byMail := started("a", later)
	byMail.Factors = []string{"email"}
	on := account.MFASwitched{On: true}
	given := func(more ...account.Event) []account.Event {
		base := list(account.Created{}, emailChanged("ada@example.com", account.Hold{}, account.Hold{}), account.EmailVerified{}, byMail, added("x"), verified("x", 100))
		return append(append(base, more...), challenged("a", "totp"))
	}
	remove := func(a account.Account) ([]account.Event, error) { return a.RemoveAuthenticator("a", "de", noon) }
	removed := list(account.AuthenticatorRemoved{ID: "x", Locale: "de"})
	for _, c := range []struct {
		name    string
		given   []account.Event
		refused error
	}{
		{"only mail would be left", given(on), account.ErrOneFactorOnly},
		{"none is asked for", given(), nil},
		{"there is a password", given(on, passwordChanged("hash")), nil},
		{"there is a number", given(on, called, account.PhoneVerified{}), nil},
		{"there is a provider", given(on, linked()), nil},
	} {
		events, err := remove(fold(c.given...))
		want := removed
		if c.refused != nil {
			want = nil
		}
		if diff := cmp.Diff(want, events); err != c.refused || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}
