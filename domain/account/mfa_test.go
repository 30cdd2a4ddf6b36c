package account_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
)

// asked is one decision on a state, and what comes of it.
type asked struct {
	name    string
	given   []account.Event
	decide  decision
	then    []account.Event
	refused error
	counts  bool // asking again adds again, and must
}

// decided plays cases. A refusal is told from others of its type by its sentence.
func decided(t *testing.T, cases []asked) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := fold(c.given...)
			events, err := c.decide(before)
			if !errors.Is(err, c.refused) || fmt.Sprint(err) != fmt.Sprint(c.refused) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(fold(c.given...), before, wholeState); diff != "" {
				t.Errorf("deciding changed the state:\n%s", diff)
			}
			again, err := c.decide(foldFrom(before, noon, events...))
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

// The events of these tests, short.

func added(id string) account.AuthenticatorAdded {
	e := account.AuthenticatorAdded{ID: id}
	e.Personal.Seed = "SEED" + id
	return e
}

func verified(id string, step int64) account.AuthenticatorVerified {
	return account.AuthenticatorVerified{ID: id, Step: step, Locale: "de"}
}

func made(set string) account.RecoveryCodesMade {
	return account.RecoveryCodesMade{Set: set, Locale: "de"}
}

func proved(session string, factors ...string) account.SessionProved {
	return account.SessionProved{ID: session, Factors: append([]string{}, factors...)}
}

// challenged is a session that has passed a challenge.
func challenged(session string, factors ...string) account.SessionProved {
	e := proved(session, factors...)
	e.Challenged = true
	return e
}

func challenge(id, factor, session, to string) account.ChallengeIssued {
	e := account.ChallengeIssued{ID: id, Factor: factor, Session: session, Expires: noon.Add(15 * time.Minute), Locale: "de"}
	e.Personal.To = to
	return e
}

func recovered(id string, code int) account.ChallengePassed {
	return account.ChallengePassed{ID: id, Factor: account.FactorRecovery, Code: &code, Locale: "de"}
}

// allUsed is a set of recovery codes of which none is left.
func allUsed(set string) []account.Event {
	events := list(made(set))
	for i := range account.RecoveryCodes {
		events = append(events, recovered("past", i))
	}
	return events
}

func wrongAnswers(n int) []account.Event {
	return slices.Repeat(list(account.WrongAnswerGiven{ID: "another"}), n)
}

// stepOfSeed takes codes that tell their seed and step: SEEDa 100.
func stepOfSeed(seed, code string) (step int64, ok bool) {
	of, number, _ := strings.Cut(code, " ")
	step, err := strconv.ParseInt(number, 10, 64)
	return step, err == nil && of == seed
}

// factors is all that a challenge can ask for.
var factors = []string{account.FactorEmail, account.FactorPhone, account.FactorTOTP, account.FactorRecovery}

// known is somebody who has proved everything, signed in twice.
func known(more ...account.Event) []account.Event {
	later := noon.Add(time.Hour)
	return append(list(created(), called, account.EmailVerified{}, account.PhoneVerified{}, added("x"), verified("x", 100), made("set"),
		started("a", later), started("b", later)), more...)
}

func challenges(a account.Account) int { return reflect.ValueOf(a).FieldByName("challenges").Len() }

func TestSwitchingASecondFactorOnLocksNobodyOut(t *testing.T) {
	later := noon.Add(time.Hour)
	switched := func(on bool, session string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.SwitchMFA(on, session, "de") }
	}
	on, off := account.MFASwitched{On: true, Locale: "de"}, account.MFASwitched{Locale: "de"}
	byMail := started("a", later)
	byMail.Factors = []string{account.FactorEmail}
	decided(t, []asked{
		{name: "a factor is asked for from now on", given: list(created(), started("a", later)), decide: switched(true, "a"), then: list(on)},
		{name: "the session that asks counts as proved with all that is verified", given: known(), decide: switched(true, "b"),
			then: list(on, proved("b", account.FactorTOTP, account.FactorEmail, account.FactorPhone))},
		{name: "what it was proved with is not noted again", given: list(created(), called, account.EmailVerified{}, account.PhoneVerified{}, byMail), decide: switched(true, "a"),
			then: list(on, proved("a", account.FactorPhone))},
		{name: "the first factor again is no second one", given: list(created(), account.EmailVerified{}, byMail), decide: switched(true, "a"), refused: account.ErrOneFactorOnly},
		{name: "what is not verified proves nothing", given: list(created(), called, added("x"), made("set"), started("a", later)), decide: switched(true, "a"), then: list(on)},
		{name: "no factor is asked for any more", given: known(account.MFASwitched{On: true}), decide: switched(false, "a"), then: list(off)},
		{name: "on is on", given: known(account.MFASwitched{On: true}), decide: switched(true, "a")},
		{name: "off is off", given: known(), decide: switched(false, "a")},
		{name: "on, off and on again", given: known(on, proved("a", account.FactorTOTP, account.FactorEmail, account.FactorPhone), off), decide: switched(true, "a"), then: list(on)},
		{name: "a session that never was switches nothing", given: known(), decide: switched(true, "z"), refused: account.ErrSessionUnknown},
		{name: "nor does one that ended", given: known(account.SessionEnded{ID: "a"}), decide: switched(true, "a"), refused: account.ErrSessionUnknown},
		{name: "nobody switches nothing", decide: switched(true, "a"), refused: account.ErrUnknown},
		{name: "a deleted account switches nothing", given: known(account.Deleted{}), decide: switched(true, "a"), refused: account.ErrUnknown},
	})
}

func TestAnAccountHasOneAuthenticator(t *testing.T) {
	add := func(id string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.AddAuthenticator(added(id)) }
	}
	decided(t, []asked{
		{name: "the first", given: list(created()), decide: add("x"), then: list(added("x"))},
		{name: "the same again changes nothing", given: list(created(), added("x")), decide: add("x")},
		{name: "one that was never verified gives way", given: list(created(), added("x")), decide: add("y"), then: list(added("y"))},
		{name: "one that was verified does not", given: list(created(), added("x"), verified("x", 1)), decide: add("y"), refused: account.ErrAuthenticatorVerified},
		{name: "not even to itself", given: list(created(), added("x"), verified("x", 1)), decide: add("x"), refused: account.ErrAuthenticatorVerified},
		{name: "another one after it was removed", given: list(created(), added("x"), verified("x", 1), account.AuthenticatorRemoved{ID: "x"}), decide: add("y"), then: list(added("y"))},
		{name: "nobody has none", decide: add("x"), refused: account.ErrUnknown},
		{name: "a deleted account has none", given: list(created(), added("x"), account.Deleted{}), decide: add("y"), refused: account.ErrUnknown},
	})
}

func TestASeedIsShownUntilItWasVerified(t *testing.T) {
	for _, c := range []struct {
		name    string
		given   []account.Event
		seed    string
		refused error
	}{
		{"added", list(created(), added("x")), "SEEDx", nil},
		{"replaced", list(created(), added("x"), added("y")), "SEEDy", nil},
		{"verified", list(created(), added("x"), verified("x", 1)), "", account.ErrAuthenticatorVerified},
		{"removed", list(created(), added("x"), verified("x", 1), account.AuthenticatorRemoved{ID: "x"}), "", account.ErrAuthenticatorUnknown},
		{"there is none", list(created()), "", account.ErrAuthenticatorUnknown},
		{"deleted", list(created(), added("x"), account.Deleted{}), "", account.ErrAuthenticatorUnknown},
	} {
		if seed, err := fold(c.given...).SeedToVerify(); seed != c.seed || !errors.Is(err, c.refused) {
			t.Errorf("%s: %q %v", c.name, seed, err)
		}
	}
}

func TestAnAuthenticatorIsVerifiedByItsFirstCode(t *testing.T) {
	later := noon.Add(time.Hour)
	verify := func(code, session string) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.VerifyAuthenticator(code, stepOfSeed, session, "de")
		}
	}
	signedIn := list(created(), started("a", later), started("b", later), added("x"))
	decided(t, []asked{
		{name: "and the session that brought it is proved", given: signedIn, decide: verify("SEEDx 100", "b"), then: list(verified("x", 100), proved("b", account.FactorTOTP))},
		{name: "unless it was before, with another one", given: append(signedIn, proved("b", account.FactorTOTP)), decide: verify("SEEDx 100", "b"), then: list(verified("x", 100))},
		{name: "not by another code", given: signedIn, decide: verify("SEEDx", "b"), refused: account.ErrTokenInvalid},
		{name: "not by one of the seed that was replaced", given: append(signedIn, added("y")), decide: verify("SEEDx 100", "b"), refused: account.ErrTokenInvalid},
		{name: "not twice", given: append(signedIn, verified("x", 100)), decide: verify("SEEDx 101", "b"), refused: account.ErrAuthenticatorVerified},
		{name: "not when there is none", given: list(created(), started("a", later)), decide: verify(" 100", "a"), refused: account.ErrAuthenticatorUnknown},
		{name: "not when it was removed", given: append(signedIn, verified("x", 100), account.AuthenticatorRemoved{ID: "x"}), decide: verify("SEEDx 101", "a"), refused: account.ErrAuthenticatorUnknown},
		{name: "not by a session that never was", given: signedIn, decide: verify("SEEDx 100", "z"), refused: account.ErrSessionUnknown},
		{name: "not by one that ended", given: append(signedIn, account.SessionEnded{ID: "a"}), decide: verify("SEEDx 100", "a"), refused: account.ErrSessionUnknown},
		{name: "not nobody's", decide: verify("SEEDx 100", "a"), refused: account.ErrUnknown},
		{name: "not a deleted account's", given: append(signedIn, account.Deleted{}), decide: verify("SEEDx 100", "a"), refused: account.ErrUnknown},
	})
}

func TestAStepOfAnAuthenticatorIsUsedOnceAndNoneBeforeIt(t *testing.T) {
	a := foldFrom(fold(created(), started("a", noon.Add(time.Hour)), added("x")), noon)
	events, err := a.VerifyAuthenticator("SEEDx 100", stepOfSeed, "a", "de")
	if err != nil {
		t.Fatal(err)
	}
	a = foldFrom(a, noon, events...)
	pass := func(code string, want bool) {
		t.Helper()
		a = foldFrom(a, noon, challenge("c "+code, account.FactorTOTP, "a", ""))
		events, passed, err := a.PassChallenge("c "+code, "a", code, account.Answers{StepOf: stepOfSeed}, "de", noon)
		if passed != want || err != nil {
			t.Errorf("%s: passed %v, want %v: %v", code, passed, want, err)
		}
		a = foldFrom(a, noon, events...)
	}
	for _, used := range []string{"SEEDx 100", "SEEDx 99", "SEEDx 1", "SEEDx 0", "SEEDx -1"} {
		pass(used, false)
	}
	pass("SEEDx 101", true)
	pass("SEEDx 101", false)
	pass("SEEDx 103", true)
	pass("SEEDx 102", false) // it was skipped, and is gone
	pass("SEEDx 103", false)
	pass("SEEDx 104", true)

	// Another authenticator counts anew.
	a = foldFrom(a, noon, account.AuthenticatorRemoved{ID: "x"}, added("y"), verified("y", 50))
	pass("SEEDx 105", false)
	pass("SEEDy 50", false)
	pass("SEEDy 51", true)
}

func TestWhatNeedsARecentProof(t *testing.T) {
	remove := func(session string, after time.Duration) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.RemoveAuthenticator(session, "de", noon.Add(after))
		}
	}
	renew := func(session string, after time.Duration) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.RenewRecoveryCodes(made("next"), session, noon.Add(after))
		}
	}
	for what, c := range map[string]struct {
		decide func(session string, after time.Duration) decision
		then   account.Event
	}{
		"removing the authenticator": {remove, account.AuthenticatorRemoved{ID: "x", Locale: "de"}},
		"renewing recovery codes":    {renew, made("next")},
	} {
		t.Run(what, func(t *testing.T) {
			switchedOn := account.MFASwitched{On: true}
			decided(t, []asked{
				{name: "at once", given: known(challenged("a", account.FactorTOTP)), decide: c.decide("a", 0), then: list(c.then)},
				{name: "proved with what it had been proved with", given: known(proved("a", account.FactorTOTP), challenged("a")), decide: c.decide("a", 0), then: list(c.then)},
				{name: "in the last moment", given: known(challenged("a", account.FactorTOTP)), decide: c.decide("a", 30*time.Minute-1), then: list(c.then)},
				{name: "half an hour after", given: known(challenged("a", account.FactorTOTP)), decide: c.decide("a", 30*time.Minute), refused: account.ErrChallengeRequired},
				{name: "proved, but by no challenge", given: known(switchedOn, proved("a", account.FactorTOTP, account.FactorEmail, account.FactorPhone)), decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
				{name: "proved with another factor since, but by no challenge", given: known(challenged("a", account.FactorTOTP), proved("a", account.FactorEmail)), decide: c.decide("a", 30*time.Minute), refused: account.ErrChallengeRequired},
				{name: "never proved", given: known(), decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
				{name: "another session was", given: known(challenged("b", account.FactorTOTP)), decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
				{name: "a session that never was", given: known(challenged("a")), decide: c.decide("z", 0), refused: account.ErrChallengeRequired},
				{name: "a session that ended", given: known(challenged("a"), account.SessionEnded{ID: "a"}), decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
				{name: "a deleted account's", given: known(challenged("a"), account.Deleted{}), decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
				{name: "nobody's", decide: c.decide("a", 0), refused: account.ErrChallengeRequired},
			})
			a := foldFrom(fold(known(challenged("a"))...), noon.Add(time.Hour), challenged("a"))
			if events, err := c.decide("a", 90*time.Minute-1)(a); len(events) != 1 || err != nil {
				t.Errorf("proved again an hour later: %v %v", events, err)
			}
		})
	}
	later := noon.Add(time.Hour)
	decided(t, []asked{
		{name: "one that was never verified is removed", given: list(created(), started("a", later), added("x"), challenged("a")), decide: remove("a", 0), then: list(account.AuthenticatorRemoved{ID: "x", Locale: "de"})},
		{name: "none is not removed", given: list(created(), started("a", later), challenged("a")), decide: remove("a", 0), refused: account.ErrAuthenticatorUnknown},
		{name: "who has none and proved nothing is not told so", given: list(created(), started("a", later)), decide: remove("a", 0), refused: account.ErrChallengeRequired},
		{name: "codes that were used are renewed", given: known(recovered("past", 0), recovered("past", 5), challenged("a")), decide: renew("a", 0), then: list(made("next"))},
		{name: "codes that were all used are not renewed: they are made", given: append(list(created(), started("a", later), challenged("a")), allUsed("set")...), decide: renew("a", 0), refused: account.ErrRecoveryCodesUnknown},
		{name: "no codes are not renewed", given: list(created(), started("a", later), challenged("a")), decide: renew("a", 0), refused: account.ErrRecoveryCodesUnknown},
		{name: "who has no codes and proved nothing is not told so", given: list(created(), started("a", later)), decide: renew("a", 0), refused: account.ErrChallengeRequired},
		{name: "codes that were renewed already are not renewed again, proof or none", given: known(made("next")), decide: renew("a", time.Hour)},
	})
}

func TestRecoveryCodesAreMadeWhenThereAreNone(t *testing.T) {
	mk := func(a account.Account) ([]account.Event, error) { return a.MakeRecoveryCodes(made("next")) }
	five := allUsed("set")[:account.RecoveryCodes]
	decided(t, []asked{
		{name: "the first set", given: list(created()), decide: mk, then: list(made("next"))},
		{name: "the same set again changes nothing", given: list(created(), made("next")), decide: mk},
		{name: "the same set again, of which all were used", given: append(list(created()), allUsed("next")...), decide: mk},
		{name: "none while there is one", given: list(created(), made("set")), decide: mk, refused: account.ErrRecoveryCodesExist},
		{name: "none while one code is left", given: append(list(created()), five...), decide: mk, refused: account.ErrRecoveryCodesExist},
		{name: "another one when all were used", given: append(list(created()), allUsed("set")...), decide: mk, then: list(made("next"))},
		{name: "nobody needs none", decide: mk, refused: account.ErrUnknown},
		{name: "a deleted account needs none", given: list(created(), account.Deleted{}), decide: mk, refused: account.ErrUnknown},
	})
}

func TestRecoveryCodesThatAreLeftAreShownToWhoProvedThemselves(t *testing.T) {
	five := allUsed("set")[1:account.RecoveryCodes]
	for _, c := range []struct {
		name    string
		given   []account.Event
		after   time.Duration
		left    []string
		refused error
	}{
		{"all", known(challenged("a")), 0, []string{"set/0", "set/1", "set/2", "set/3", "set/4", "set/5"}, nil},
		{"those that were not used", known(challenged("a"), recovered("past", 4), recovered("past", 0)), 30*time.Minute - 1, []string{"set/1", "set/2", "set/3", "set/5"}, nil},
		{"the last", known(append(five, challenged("a"))...), 0, []string{"set/5"}, nil},
		{"those of the next set", known(recovered("past", 0), made("next"), recovered("past", 1), challenged("a")), 0, []string{"next/0", "next/2", "next/3", "next/4", "next/5"}, nil},
		{"none when all were used", known(append(allUsed("set"), challenged("a"))...), 0, nil, account.ErrRecoveryCodesUnknown},
		{"none when there never were any", list(created(), started("a", noon.Add(time.Hour)), challenged("a")), 0, nil, account.ErrRecoveryCodesUnknown},
		{"none half an hour later", known(challenged("a")), 30 * time.Minute, nil, account.ErrChallengeRequired},
		{"none to another session", known(challenged("b")), 0, nil, account.ErrChallengeRequired},
		{"nobody's", nil, 0, nil, account.ErrChallengeRequired},
	} {
		a := fold(c.given...)
		left, err := a.RecoveryCodesLeft(codeOf, "a", noon.Add(c.after))
		if diff := cmp.Diff(c.left, left); diff != "" || !errors.Is(err, c.refused) {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
		if c.refused == nil && !a.HasRecoveryCodes() || errors.Is(c.refused, account.ErrRecoveryCodesUnknown) && a.HasRecoveryCodes() {
			t.Errorf("%s: has codes %v", c.name, a.HasRecoveryCodes())
		}
	}
}

func TestAChallengeAsksForWhatTheAccountHas(t *testing.T) {
	later := noon.Add(time.Hour)
	issue := func(factor, session string) decision {
		return func(a account.Account) ([]account.Event, error) {
			e := challenge("c", factor, session, "mallory@example.org") // the account fills in its own
			e.Expires = noon.Add(1000 * time.Hour)
			return a.IssueChallenge(e, noon)
		}
	}
	bare, unproved := list(account.Created{}, started("a", later)), list(created(), called, added("x"), started("a", later))
	onlyMail, onlyPhone := append(unproved[:len(unproved):len(unproved)], account.EmailVerified{}), append(unproved[:len(unproved):len(unproved)], account.PhoneVerified{})
	plain := func(factor string) account.ChallengeIssued { return challenge("c", factor, "a", "mallory@example.org") }
	decided(t, []asked{
		{name: "e-mail", given: known(), decide: issue(account.FactorEmail, "a"), then: list(challenge("c", account.FactorEmail, "a", "ada@example.com"))},
		{name: "e-mail that alone was verified", given: onlyMail, decide: issue(account.FactorEmail, "a"), then: list(challenge("c", account.FactorEmail, "a", "ada@example.com"))},
		{name: "e-mail that was not verified", given: onlyPhone, decide: issue(account.FactorEmail, "a"), refused: account.ErrEmailUnproved},
		{name: "no e-mail", given: bare, decide: issue(account.FactorEmail, "a"), refused: account.ErrNoEmail},
		{name: "e-mail that changed", given: known(emailChanged("ada@example.org", account.Hold{}, account.Hold{})), decide: issue(account.FactorEmail, "a"), refused: account.ErrEmailUnproved},
		{name: "phone", given: known(), decide: issue(account.FactorPhone, "a"), then: list(challenge("c", account.FactorPhone, "a", "+4917612345678"))},
		{name: "phone that alone was verified", given: onlyPhone, decide: issue(account.FactorPhone, "a"), then: list(challenge("c", account.FactorPhone, "a", "+4917612345678"))},
		{name: "phone that was not verified", given: onlyMail, decide: issue(account.FactorPhone, "a"), refused: account.ErrPhoneUnproved},
		{name: "no phone", given: bare, decide: issue(account.FactorPhone, "a"), refused: account.ErrNoPhone},
		{name: "phone that changed", given: known(phoneChanged("+4917600000000", phoneHold, phoneHold)), decide: issue(account.FactorPhone, "a"), refused: account.ErrPhoneUnproved},
		// Whether there is an authenticator, or a code, is not told before an answer was given.
		{name: "an authenticator", given: known(), decide: issue(account.FactorTOTP, "a"), then: list(plain(account.FactorTOTP))},
		{name: "an authenticator that was not verified", given: unproved, decide: issue(account.FactorTOTP, "a"), then: list(plain(account.FactorTOTP))},
		{name: "no authenticator", given: bare, decide: issue(account.FactorTOTP, "a"), then: list(plain(account.FactorTOTP))},
		{name: "recovery codes", given: known(), decide: issue(account.FactorRecovery, "a"), then: list(plain(account.FactorRecovery))},
		{name: "no recovery codes", given: bare, decide: issue(account.FactorRecovery, "a"), then: list(plain(account.FactorRecovery))},
	})
	for _, factor := range factors {
		then := list(plain(factor))
		switch factor {
		case account.FactorEmail:
			then = list(challenge("c", factor, "a", "ada@example.com"))
		case account.FactorPhone:
			then = list(challenge("c", factor, "a", "+4917612345678"))
		}
		t.Run("whatever the factor: "+factor, func(t *testing.T) {
			decided(t, []asked{
				{name: "the challenge that is there already", given: known(challenge("c", factor, "a", "")), decide: issue(factor, "a")},
				{name: "another one of the same factor", given: known(challenge("b", factor, "a", "")), decide: issue(factor, "a"), then: then},
				{name: "a session that never was", given: known(), decide: issue(factor, "z"), refused: account.ErrSessionUnknown},
				{name: "a session that ended", given: known(account.SessionEnded{ID: "a"}), decide: issue(factor, "a"), refused: account.ErrSessionUnknown},
				{name: "nobody", decide: issue(factor, "a"), refused: account.ErrUnknown},
				{name: "a deleted account", given: known(account.Deleted{}), decide: issue(factor, "a"), refused: account.ErrUnknown},
				{name: "after 49 wrong answers", given: known(wrongAnswers(49)...), decide: issue(factor, "a"), then: then},
				{name: "after fifty", given: known(wrongAnswers(50)...), decide: issue(factor, "a"), refused: account.ErrGuessingCodes},
				{name: "after fifty and a right one", given: known(append(wrongAnswers(50), account.ChallengePassed{ID: "b"})...), decide: issue(factor, "a"), then: then},
				{name: "after a right one and fifty", given: known(append(list(account.ChallengePassed{ID: "b"}), wrongAnswers(50)...)...), decide: issue(factor, "a"), refused: account.ErrGuessingCodes},
			})
		})
	}
}

func TestGuessersWaitForTheirNextChallenge(t *testing.T) {
	a := fold(known()...)
	next := func(at time.Time) error {
		_, err := a.IssueChallenge(challenge("next", account.FactorEmail, "a", ""), at)
		return err
	}
	for n := range 10 {
		id := fmt.Sprint("c", n)
		if events, err := a.IssueChallenge(challenge(id, account.FactorEmail, "a", ""), noon); err != nil || len(events) != 1 {
			t.Fatalf("challenge %d: %v", n, err)
		}
		a = foldFrom(a, noon, challenge(id, account.FactorEmail, "a", ""))
		for range 5 {
			events, passed, err := a.PassChallenge(id, "a", "a guess", answers, "de", noon)
			if diff := cmp.Diff(list(account.WrongAnswerGiven{ID: id}), events); passed || err != nil || diff != "" {
				t.Fatalf("%v %v %s", passed, err, diff)
			}
			a = foldFrom(a, noon, events...)
		}
	}
	if err := next(noon.Add(time.Hour - 1)); !errors.Is(err, account.ErrGuessingCodes) || retryAfter(t, err) != 1 {
		t.Errorf("after fifty wrong answers: %v", err)
	}
	if err := next(noon.Add(time.Hour)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// Whoever knows an address can guess at codes that were sent there. Who has the first factor must not wait for them.
func TestAStrangersGuessesKeepNobodyFromTheirSecondFactor(t *testing.T) {
	a := fold(known(slices.Repeat(list(account.WrongCodeGiven{ID: "x", Purpose: account.ForEmailCode}), 50)...)...)
	if _, err := a.IssueToken(issue("200000", account.ForEmailCode, noon)); !errors.Is(err, account.ErrGuessingCodes) {
		t.Errorf("a code to sign in with, after fifty wrong ones: %v", err)
	}
	for _, factor := range factors {
		if _, err := a.IssueChallenge(challenge("c", factor, "a", ""), noon); err != nil {
			t.Errorf("a challenge of %s, after fifty wrong codes: %v", factor, err)
		}
	}
}

// Signing in anew is no right answer: guesses at the second factor go on being counted.
func TestAFirstFactorForgivesNoWrongAnswers(t *testing.T) {
	a := fold(known(wrongAnswers(50)...)...)
	a = foldFrom(a, noon, account.TokenUsed{ID: "t", Purpose: account.ForEmailCode}, started("d", noon.Add(time.Hour)))
	if _, err := a.IssueChallenge(challenge("c", account.FactorTOTP, "d", ""), noon); !errors.Is(err, account.ErrGuessingCodes) {
		t.Errorf("another challenge: %v", err)
	}
}

func TestAChallengeReplacesTheLastOfItsSessionAndFactor(t *testing.T) {
	a := fold(known()...)
	for _, session := range []string{"a", "b"} {
		for _, factor := range factors {
			a = foldFrom(a, noon, challenge(session+" "+factor, factor, session, ""))
		}
	}
	if n := challenges(a); n != 8 {
		t.Fatalf("%d challenges", n)
	}
	for _, replaced := range factors {
		after := foldFrom(a, noon, challenge("next", replaced, "a", ""))
		for _, session := range []string{"a", "b"} {
			for _, factor := range factors {
				if gone := session == "a" && factor == replaced; after.CanPass(session+" "+factor, noon) == gone {
					t.Errorf("another %s challenge of a: is that of %s of %s gone? %v", replaced, factor, session, !gone)
				}
			}
		}
		if !after.CanPass("next", noon) {
			t.Errorf("%s: the next one cannot be passed", replaced)
		}
	}
	// Those that nobody can pass any more go, when another one comes.
	signedOut := foldFrom(a, noon, account.SessionEnded{ID: "b"})
	if signedOut.CanPass("b totp", noon) {
		t.Error("a challenge of a session that ended can be passed")
	}
	if after := foldFrom(signedOut, noon, challenge("next", account.FactorTOTP, "a", "")); challenges(after) != 4 {
		t.Errorf("%d challenges, of which the session is there: 4", challenges(after))
	}
	late := challenge("next", account.FactorTOTP, "a", "")
	late.Expires = noon.Add(30 * time.Minute)
	if after := foldFrom(a, noon.Add(15*time.Minute-1), late); challenges(after) != 8 {
		t.Errorf("%d challenges, none of them expired", challenges(after))
	}
	if after := foldFrom(a, noon.Add(15*time.Minute), late); challenges(after) != 1 {
		t.Errorf("%d challenges, all but one expired", challenges(after))
	}
}

// passing answers a challenge, and checks that what is told of it is what is recorded.
func passing(t *testing.T, id, session, answer string, after time.Duration) decision {
	return func(a account.Account) ([]account.Event, error) {
		events, passed, err := a.PassChallenge(id, session, answer, account.Answers{SentCode: sentCode, StepOf: stepOfSeed, CodeOf: codeOf}, "de", noon.Add(after))
		recorded := false
		if len(events) > 0 {
			_, recorded = events[0].(account.ChallengePassed)
		}
		if passed != recorded || err != nil && len(events) > 0 {
			t.Errorf("passed %v, refused %v, with %v", passed, err, events)
		}
		return events, err
	}
}

// right is an answer to each factor's challenge, of an account that is known, and what comes of it for session a.
var right = map[string]struct {
	answer string
	passed account.ChallengePassed
}{
	account.FactorEmail:    {"the code of c", account.ChallengePassed{ID: "c", Factor: account.FactorEmail}},
	account.FactorPhone:    {"the code of c", account.ChallengePassed{ID: "c", Factor: account.FactorPhone}},
	account.FactorTOTP:     {"SEEDx 101", account.ChallengePassed{ID: "c", Factor: account.FactorTOTP, Step: 101}},
	account.FactorRecovery: {"set/3", recovered("c", 3)},
}

func TestAChallengeIsPassedOnceInTimeByWhomItWasAsked(t *testing.T) {
	for _, factor := range factors {
		t.Run(factor, func(t *testing.T) {
			answer, passed := right[factor].answer, right[factor].passed
			given := func(more ...account.Event) []account.Event {
				return append(known(challenge("c", factor, "a", "somewhere")), more...)
			}
			wrong := list(account.WrongAnswerGiven{ID: "c"})
			decided(t, []asked{
				{name: "passed", given: given(), decide: passing(t, "c", "a", answer, 0), then: list(passed, challenged("a", factor))},
				{name: "passed with a factor that was proved before", given: given(proved("a", factor)), decide: passing(t, "c", "a", answer, 0), then: list(passed, challenged("a"))},
				{name: "in the last moment", given: given(), decide: passing(t, "c", "a", answer, 15*time.Minute-1), then: list(passed, challenged("a", factor))},
				{name: "too late", given: given(), decide: passing(t, "c", "a", answer, 15*time.Minute), refused: account.ErrTokenInvalid},
				{name: "too late and wrong is not counted", given: given(), decide: passing(t, "c", "a", "a guess", 15*time.Minute), refused: account.ErrTokenInvalid},
				{name: "twice", given: given(passed), decide: passing(t, "c", "a", answer, 0), refused: account.ErrTokenInvalid},
				{name: "by another session", given: given(), decide: passing(t, "c", "b", answer, 0), refused: account.ErrTokenInvalid},
				{name: "by a session that never was", given: given(), decide: passing(t, "c", "z", answer, 0), refused: account.ErrTokenInvalid},
				{name: "by a session that ended", given: given(account.SessionEnded{ID: "a"}), decide: passing(t, "c", "a", answer, 0), refused: account.ErrTokenInvalid},
				{name: "one that was never issued", given: given(), decide: passing(t, "d", "a", answer, 0), refused: account.ErrTokenInvalid},
				{name: "one that was replaced", given: given(challenge("d", factor, "a", "somewhere")), decide: passing(t, "c", "a", answer, 0), refused: account.ErrTokenInvalid},
				{name: "wrong", given: given(), decide: passing(t, "c", "a", "a guess", 0), then: wrong, counts: true},
				{name: "nothing is wrong", given: given(), decide: passing(t, "c", "a", "", 0), then: wrong, counts: true},
				{name: "after four wrong ones", given: given(slices.Repeat(wrong, 4)...), decide: passing(t, "c", "a", answer, 0), then: list(passed, challenged("a", factor))},
				{name: "after five wrong ones", given: given(slices.Repeat(wrong, 5)...), decide: passing(t, "c", "a", answer, 0), refused: account.ErrTokenInvalid},
				{name: "the fifth wrong one is the last that counts", given: given(slices.Repeat(wrong, 4)...), decide: passing(t, "c", "a", "a guess", 0), then: wrong},
				{name: "wrong ones of another challenge", given: given(wrongAnswers(5)...), decide: passing(t, "c", "a", answer, 0), then: list(passed, challenged("a", factor))},
				{name: "nobody's", decide: passing(t, "c", "a", answer, 0), refused: account.ErrUnknown},
				{name: "a deleted account's", given: given(account.Deleted{}), decide: passing(t, "c", "a", answer, 0), refused: account.ErrUnknown},
			})
			for other, o := range right {
				if o.answer == answer {
					continue
				}
				decided(t, []asked{{name: "by the answer to " + other, given: given(), decide: passing(t, "c", "a", o.answer, 0), then: wrong, counts: true}})
			}
		})
	}
}

func TestWhatNeverPassesAChallenge(t *testing.T) {
	later := noon.Add(time.Hour)
	totp, recovery := challenge("c", account.FactorTOTP, "a", ""), challenge("c", account.FactorRecovery, "a", "")
	wrong := list(account.WrongAnswerGiven{ID: "c"})
	signedIn := func(more ...account.Event) []account.Event {
		return append(list(created(), started("a", later)), more...)
	}
	decided(t, []asked{
		{name: "an authenticator that was not verified", given: signedIn(added("x"), totp), decide: passing(t, "c", "a", "SEEDx 100", 0), then: wrong, counts: true},
		{name: "one that was removed", given: known(totp, account.AuthenticatorRemoved{ID: "x"}), decide: passing(t, "c", "a", "SEEDx 101", 0), then: wrong, counts: true},
		{name: "one that came in its place and was not verified", given: known(totp, account.AuthenticatorRemoved{ID: "x"}, added("y")), decide: passing(t, "c", "a", "SEEDy 101", 0), then: wrong, counts: true},
		{name: "a step that was used", given: known(totp), decide: passing(t, "c", "a", "SEEDx 100", 0), then: wrong, counts: true},
		{name: "no authenticator", given: signedIn(totp), decide: passing(t, "c", "a", " 101", 0), then: wrong, counts: true},
		{name: "a recovery code that was used", given: known(recovered("past", 3), recovery), decide: passing(t, "c", "a", "set/3", 0), then: wrong, counts: true},
		{name: "a recovery code of a set that was replaced", given: known(made("next"), recovery), decide: passing(t, "c", "a", "set/3", 0), then: wrong, counts: true},
		{name: "a recovery code beyond the set", given: known(recovery), decide: passing(t, "c", "a", "set/6", 0), then: wrong, counts: true},
		{name: "a recovery code of no set", given: signedIn(recovery), decide: passing(t, "c", "a", "/3", 0), then: wrong, counts: true},
	})
	// A code of the same place of the next set is another code.
	decided(t, []asked{{name: "the next set's", given: known(recovered("past", 3), made("next"), recovery), decide: passing(t, "c", "a", "next/3", 0),
		then: list(recovered("c", 3), challenged("a", account.FactorRecovery))}})
}

func TestARecoveryCodeAndAStepServeOneOfTwoSessions(t *testing.T) {
	for _, factor := range []string{account.FactorTOTP, account.FactorRecovery} {
		a := fold(known(challenge("c", factor, "a", ""), challenge("d", factor, "b", ""))...)
		events, err := passing(t, "c", "a", right[factor].answer, 0)(a)
		if err != nil {
			t.Fatal(err)
		}
		a = foldFrom(a, noon, events...)
		if events, err := passing(t, "d", "b", right[factor].answer, 0)(a); err != nil || cmp.Diff(list(account.WrongAnswerGiven{ID: "d"}), events) != "" {
			t.Errorf("%s: used by two sessions: %v %v", factor, events, err)
		}
	}
}

func TestEmailPhonePasswordBlockAndDeletionEndAllChallenges(t *testing.T) {
	// Of every event that can happen to an account, so that a new one is thought about.
	ends := map[string]bool{
		"account.password-changed.v1": true, "account.password-removed.v1": true, "account.email-changed.v1": true, "account.phone-changed.v1": true, "account.blocked.v1": true, "account.deleted.v1": true,
	}
	for wire := range account.Contract {
		for _, factor := range factors {
			a := fold(known(challenge("c", factor, "a", "somewhere"))...)
			if a = foldFrom(a, noon, read(t, wire, []byte(`{}`))); a.CanPass("c", noon) == ends[wire] {
				t.Errorf("%s ends a challenge of %s: %v", wire, factor, !ends[wire])
			}
			if !ends[wire] {
				continue
			}
			if events, err := passing(t, "c", "a", right[factor].answer, 0)(a); err == nil || len(events) != 0 {
				t.Errorf("%s: a challenge of %s was passed after it: %v %v", wire, factor, events, err)
			}
		}
	}
}

func TestAChallengeCanBePassedUntilItsTime(t *testing.T) {
	a := fold(known(challenge("c", account.FactorEmail, "a", "ada@example.com"))...)
	if !a.CanPass("c", noon.Add(15*time.Minute-1)) || a.CanPass("c", noon.Add(15*time.Minute)) || a.CanPass("d", noon) || a.CanPass("", noon) {
		t.Error("not until its time, or another one")
	}
	if (account.Account{}).CanPass("c", noon) {
		t.Error("nobody's can")
	}
}
