package commands_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// errStopped is what a command gets that its program died under.
var errStopped = errors.New("the program stopped")

func TestSpellingsThatReachOneMailboxMeetInOneClaim(t *testing.T) {
	w := newWorld(t)
	for _, same := range [][]string{
		{"ada@example.com", "ADA@example.com", "ada@EXAMPLE.com"},
		{"ada@bücher.example", "ada@bu\u0308cher.example", "ada@xn--bcher-kva.example", "Ada@BÜCHER.Example", "ada@XN--BCHER-KVA.example"},
		{"ada@faß.example", "ada@xn--fa-hia.example"},
		{"ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah"},
		{"ada@bücher.ab--c.example", "ada@xn--bcher-kva.ab--c.example"}, // a label that IDNA has no room for
		{"ada@example.com", "ada@ｅxample.com"},
	} {
		for _, other := range same[1:] {
			if w.a.EmailClaim(parsed(t, same[0])) != w.a.EmailClaim(parsed(t, other)) {
				t.Errorf("%q and %q have two claims", same[0], other)
			}
		}
	}
	different := map[string]string{}
	for _, s := range []string{"ada@example.com", "ada@example.org", "a.da@example.com", "ada+x@example.com", "bob@example.com", "ada@bücher.example", "ada@bucher.example", "ada@faß.example", "ada@fass.example", "ada@sub.example.com", "ada@ab--c.com", "ada@ac--c.com"} {
		name := w.a.EmailClaim(parsed(t, s))
		if other := different[name]; other != "" {
			t.Errorf("%q and %q have one claim", s, other)
		}
		if different[name] = s; strings.Contains(name, "ada") || len(name) != 64 {
			t.Errorf("%q: the claim is named %s", s, name)
		}
	}
	other := commands.New(commands.Needs{ClaimKey: []byte("another key")})
	if other.EmailClaim("ada@example.com") == w.a.EmailClaim("ada@example.com") {
		t.Error("the name of a claim does not depend on the key")
	}
}

func parsed(t *testing.T, s string) account.Email {
	t.Helper()
	e, ok := account.ParseEmail(s)
	if !ok {
		t.Fatalf("%q is no address", s)
	}
	return e
}

func TestOfTwoHundredSignUpsOfOneAddressOneWins(t *testing.T) {
	spellings := []string{"zoe@bücher.example", "Zoe@Bücher.Example", "ZOE@BÜCHER.EXAMPLE", "zoe@bu\u0308cher.example", "zoe@xn--bcher-kva.example"}
	for range 50 {
		w := newWorld(t)
		var won atomic.Int64
		at(200, func(i int) {
			_, err := w.either(i).CreateAccount(t.Context(), w.guest(), newAccount(fmt.Sprint("id", i), parsed(t, spellings[i%len(spellings)])))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, account.ErrExists):
				t.Errorf("a loser was told %v", err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("%d won", won.Load())
		}
		w.settle()
		w.checkLog(true)
	}
}

func TestAnIDIsGivenToOneAndTheLosersAddressesAreFree(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		address := func(i int) account.Email { return account.Email(fmt.Sprintf("person%d@example.com", i)) }
		var winner atomic.Int64
		winner.Store(-1)
		at(10, func(i int) {
			_, err := w.either(i).CreateAccount(t.Context(), w.guest(), newAccount("same", address(i)))
			switch {
			case err == nil:
				if !winner.CompareAndSwap(-1, int64(i)) {
					t.Error("two won")
				}
			case !errors.Is(err, account.ErrExists):
				t.Errorf("a loser was told %v", err)
			}
		})
		w.checkLog(true) // nothing is left for the processes
		for i := range 10 {
			_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount(fmt.Sprint("other", i), address(i)))
			if (err == nil) == (int64(i) == winner.Load()) {
				t.Errorf("the address of %d, when %d has won: %v", i, winner.Load(), err)
			}
		}
	}
}

func TestATakenIDIsRefusedWithoutTouchingTheAddress(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	_, err := w.b.CreateAccount(t.Context(), w.guest(), newAccount("ada", "bob@example.com"))
	w.refused(err, account.ErrExists)
	if got := w.stream(commands.ClaimStream("web", w.a.EmailClaim("bob@example.com"))); len(got) != 0 {
		t.Errorf("the address has a history: %v", got)
	}
	w.storedAs("ada", "created")
}

func TestTwoAccountsThatWantEachOthersAddress(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		w.signUp("ada", "ada@example.com")
		w.signUp("bob", "bob@example.com")
		at(2, func(i int) {
			id, to := []string{"ada", "bob"}[i], []account.Email{"bob@example.com", "ada@example.com"}[i]
			if _, err := w.either(i).ChangeEmail(t.Context(), w.user(id), id, to, id+"'s password"); !errors.Is(err, commands.ErrAddressTaken) {
				t.Errorf("%s: %v", id, err)
			}
		})
		w.checkLog(true)
	}
}

func TestMovingToAndFroOnTwoInstances(t *testing.T) {
	for round := range 50 {
		w := newWorld(t)
		w.signUp("ada", "one@example.com")
		w.signUp("bob", "bob@example.com")
		addresses := []account.Email{"one@example.com", "two@example.com"}
		at(6, func(i int) {
			for turn := range 4 {
				id, to := "ada", addresses[(i+turn)%2]
				if i == 5 { // and somebody else who wants both
					id = "bob"
				}
				if _, err := w.either(i+round).ChangeEmail(t.Context(), w.user(id), id, to, id+"'s password"); err != nil && !isNo(err) {
					t.Error(err)
				}
			}
		})
		w.checkLog(false)
		w.settle()
		w.checkLog(true)
		free := 0
		for i, address := range append(addresses, "bob@example.com") {
			if _, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount(fmt.Sprint("new", i), address)); err == nil {
				free++
			}
		}
		if free != 1 {
			t.Errorf("of three addresses two are held, and %d were free", free)
		}
	}
}

// afterClaiming lets a command end between the claim and the account, once.
func (w *world) afterClaiming(crash error) {
	var crashed atomic.Bool
	w.log.AfterAppend = func(stream string, _ []event.Proposed) error {
		if strings.HasPrefix(stream, "claim-") && crashed.CompareAndSwap(false, true) {
			return crash
		}
		return nil
	}
}

func TestACrashBetweenClaimAndAccountHoldsTheAddressForTheGraceOnly(t *testing.T) {
	w := newWorld(t)
	w.afterClaiming(errStopped)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "shared@example.com"))
	w.refused(err, errStopped)

	w.clock.move(commands.ClaimGrace - time.Millisecond)
	_, err = w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com"))
	w.refused(err, account.ErrExists)
	w.storedAs("ada")

	w.clock.move(time.Millisecond)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com")))
	w.storedAs("ada", "claim-lapsed")
	w.storedAs("bob", "created")
	w.checkLog(true)

	// The id is not lost either.
	w.must(w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com")))
	w.checkLog(true)
}

func TestWhoCrashedMayTryAgainAtOnceUnderTheSameID(t *testing.T) {
	w := newWorld(t)
	w.afterClaiming(errStopped)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com"))
	w.refused(err, errStopped)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com")))
	w.checkLog(true)
}

func TestAPanicBetweenClaimAndAccountLeavesNoTurnBehind(t *testing.T) {
	w := newWorld(t)
	w.log.AfterAppend = func(string, []event.Proposed) error { panic("out of luck") }
	func() {
		defer func() { _ = recover() }()
		_, _ = w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com"))
	}()
	w.log.AfterAppend = nil
	w.must(w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "ada@example.com")))
}

// holdBack blocks the first append of an event until it is let go, and then lets it arrive.
func (w *world) holdBack(e event.Fact) (held <-chan struct{}, letGo func()) {
	h, g := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	fits := holds(e)
	w.log.BeforeAppend = func(stream string, events []event.Proposed) error {
		if fits(stream, events) && first.CompareAndSwap(false, true) {
			close(h)
			<-g
		}
		return nil
	}
	return h, func() { close(g) }
}

func TestASignUpThatWasSlowerThanTheGraceDoesNotGetTheAddressToo(t *testing.T) {
	w := newWorld(t)
	held, letGo := w.holdBack(account.Created{})
	slow := make(chan error)
	go func() {
		_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("slow", "shared@example.com"))
		slow <- err
	}()
	<-held
	w.clock.move(commands.ClaimGrace)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("fast", "shared@example.com")))
	letGo()
	w.refused(<-slow, account.ErrExists)
	w.storedAs("slow", "claim-lapsed")
	w.checkLog(true)
}

func TestAMoveThatWasSlowerThanTheGraceDoesNotGetTheAddressToo(t *testing.T) {
	w := newWorld(t)
	w.signUp("slow", "slow@example.com")
	held, letGo := w.holdBack(account.EmailChanged{})
	slow := make(chan error)
	go func() {
		_, err := w.a.ChangeEmail(t.Context(), w.user("slow"), "slow", "shared@example.com", "slow's password")
		slow <- err
	}()
	<-held
	w.clock.move(commands.ClaimGrace)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("fast", "shared@example.com")))
	letGo()
	w.refused(<-slow, commands.ErrAddressTaken)
	w.storedAs("slow", "created", "claim-lapsed")
	w.checkLog(true)
}

func TestAMoveThatTheProcessOvertookStartsAgain(t *testing.T) {
	w := newWorld(t)
	w.signUp("slow", "slow@example.com")
	held, letGo := w.holdBack(account.EmailChanged{})
	slow := make(chan error)
	go func() {
		_, err := w.a.ChangeEmail(t.Context(), w.user("slow"), "slow", "shared@example.com", "slow's password")
		slow <- err
	}()
	<-held
	w.clock.move(2 * commands.ClaimGrace)
	w.settle()
	letGo()
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	w.storedAs("slow", "created", "claim-lapsed", "email-changed")
	w.checkLog(true)
}

func TestAClaimThatArrivesAfterAnothersComesToNothing(t *testing.T) {
	w := newWorld(t)
	var first atomic.Bool
	held, g := make(chan struct{}), make(chan struct{})
	w.log.BeforeAppend = func(stream string, _ []event.Proposed) error {
		if strings.HasPrefix(stream, "claim-") && first.CompareAndSwap(false, true) {
			close(held)
			<-g
		}
		return nil
	}
	slow := make(chan error)
	go func() {
		_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("slow", "shared@example.com"))
		slow <- err
	}()
	<-held
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("fast", "shared@example.com")))
	close(g)
	w.refused(<-slow, account.ErrExists)
	w.storedAs("slow")
	w.checkLog(true)
}

func TestTheProcessFreesAnAddressThatACrashLeftBehind(t *testing.T) {
	w := newWorld(t)
	w.afterClaiming(errStopped)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "shared@example.com"))
	w.refused(err, errStopped)
	w.settle()
	w.checkLog(true)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com"))) // nobody waits for a grace
}

func TestRepairingLeavesAHeldAddressAndALaterTakingAlone(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	hold := w.state("ada").EmailHold
	w.must(event.Receipt{}, w.a.RepairClaim(t.Context(), w.guest(), "ada", hold))
	w.must(event.Receipt{}, w.a.RepairClaim(t.Context(), w.guest(), "ada", account.Hold{Claim: hold.Claim, Taking: "an earlier one"}))
	w.must(event.Receipt{}, w.a.RepairClaim(t.Context(), w.guest(), "bob", hold))
	w.must(event.Receipt{}, w.a.RepairClaim(t.Context(), w.guest(), "ada", account.Hold{Claim: "nobody ever wanted it", Taking: hold.Taking}))
	w.storedAs("ada", "created")
	w.checkLog(true)
}

// A double click that reaches two instances, or a crash: the account's own address is claimed anew, and nothing comes of
// it since the account holds the address already. The account knows the first taking, the claim the second.
func TestATakingThatCameToNothingDoesNotOutliveTheHolding(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "shared@example.com")
	w.takeClaimAnew("ada", "shared@example.com")
	w.settle() // the process finds the address held, and will not look again
	w.must(w.a.DeleteAccount(t.Context(), w.user("ada"), "ada"))
	w.checkLog(true) // nothing is left by the time that it answers
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com")))
	w.settle()
	w.checkLog(true)
}

// takeClaimAnew is a command of an account that dies after taking the claim on the account's own address.
func (w *world) takeClaimAnew(id string, email account.Email) {
	w.Helper()
	stream := commands.ClaimStream("web", w.a.EmailClaim(email))
	metadata := fmt.Sprintf(`{"at":%q,"actor":{"kind":"user","id":%q},"project":"web"}`, w.clock.Now().Format(time.RFC3339Nano), id)
	next := int64(len(w.stream(stream)))
	_, err := w.log.Append(w.Context(), stream, next-1, []event.Proposed{{
		ID: event.ID{1}, Type: "claim.taken.v1",
		Data:     fmt.Appendf(nil, `{"owner":%q,"taking":"anew"}`, id),
		Metadata: []byte(metadata),
	}})
	if err != nil {
		w.Fatal(err)
	}
}

func TestAClaimFromAClockThatWasAheadHoldsNothingForLong(t *testing.T) {
	const year = 365 * 24 * time.Hour
	w := newWorld(t)
	w.clock.move(year)
	w.afterClaiming(errStopped)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "shared@example.com"))
	w.refused(err, errStopped)
	w.clock.move(-year)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com")))
	w.checkLog(true)
}

func TestAClaimFromAClockThatIsALittleAheadHasItsGrace(t *testing.T) {
	w := newWorld(t)
	w.clock.move(commands.ClaimGrace / 2)
	w.afterClaiming(errStopped)
	_, err := w.a.CreateAccount(t.Context(), w.guest(), newAccount("ada", "shared@example.com"))
	w.refused(err, errStopped)
	w.clock.move(-commands.ClaimGrace / 2)
	_, err = w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "shared@example.com"))
	w.refused(err, account.ErrExists)
}

func TestADeletedAccountsAddressIsFreeAndItsIDIsNot(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	w.signIn(w.a, "ada", "ada@example.com")
	w.must(w.a.DeleteAccount(t.Context(), w.user("ada"), "ada"))
	w.must(w.b.DeleteAccount(t.Context(), w.user("ada"), "ada")) // again, somewhere else
	w.storedAs("ada", "created", "session-started", "session-revoked", "deleted")
	w.checkLog(true)

	_, _, err := w.b.SignIn(t.Context(), w.guest(), "ada@example.com", "ada's password")
	w.refused(err, account.ErrInvalidCredentials)
	_, err = w.b.CreateAccount(t.Context(), w.guest(), newAccount("ada", "other@example.com"))
	w.refused(err, account.ErrExists)
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "ada@example.com")))
	w.checkLog(true)
}

func TestADepartureThatCrashedIsFinishedByTheProcess(t *testing.T) {
	for name, leave := range map[string]func(w *world) error{
		"deleted": func(w *world) error {
			_, err := w.a.DeleteAccount(w.Context(), w.user("ada"), "ada")
			return err
		},
		"moved": func(w *world) error {
			_, err := w.a.ChangeEmail(w.Context(), w.user("ada"), "ada", "new@example.com", "ada's password")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.signUp("ada", "ada@example.com")
			var down atomic.Bool
			old := commands.ClaimStream("web", w.a.EmailClaim("ada@example.com"))
			w.log.BeforeAppend = func(stream string, _ []event.Proposed) error {
				if stream == old && down.Load() {
					return errStopped
				}
				return nil
			}
			down.Store(true)
			if err := leave(w); err != nil {
				t.Fatal(err) // what was asked for is done
			}
			down.Store(false)
			w.settle()
			w.checkLog(true)
			w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "ada@example.com")))
		})
	}
}

func TestAnotherSpellingOfTheSameMailboxIsNoOneElses(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@bücher.example")
	w.must(w.b.ChangeEmail(t.Context(), w.user("ada"), "ada", "ada@xn--bcher-kva.example", "ada's password"))
	w.settle() // letting the old spelling go does not free the mailbox
	w.checkLog(true)
	_, err := w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "ada@bücher.example"))
	w.refused(err, account.ErrExists)
	w.signIn(w.a, "ada", "ada@bücher.example")
}

func TestMovingAwayFreesTheAddressAtOnce(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "old@example.com")
	w.must(w.a.ChangeEmail(t.Context(), w.user("ada"), "ada", "new@example.com", "ada's password"))
	w.must(w.b.CreateAccount(t.Context(), w.guest(), newAccount("bob", "old@example.com")))
	_, err := w.a.ChangeEmail(t.Context(), w.user("ada"), "ada", "old@example.com", "ada's password")
	w.refused(err, commands.ErrAddressTaken)
	w.must(w.a.ChangeEmail(t.Context(), w.user("ada"), "ada", "new@example.com", "ada's password")) // already so
	w.storedAs("ada", "created", "email-changed")
	w.checkLog(true)
}

func TestChangingAnAddressNeedsThePassword(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	_, err := w.a.ChangeEmail(t.Context(), w.user("ada"), "ada", "new@example.com", "wrong")
	w.refused(err, account.ErrInvalidCredentials)
	_, err = w.a.ChangeEmail(t.Context(), w.user("nobody"), "nobody", "new@example.com", "nobody's password")
	w.refused(err, account.ErrInvalidCredentials)
	w.storedAs("ada", "created", "wrong-password-given")
	if got := w.stream(commands.ClaimStream("web", w.a.EmailClaim("new@example.com"))); len(got) != 0 {
		t.Errorf("the address has a history: %v", got)
	}
}

func TestProjectsDoNotMeet(t *testing.T) {
	w := newWorld(t)
	w.signUp("ada", "ada@example.com")
	other := w.guest()
	p := *w.project
	p.ID = "shop"
	other.Project = &p
	w.must(w.a.CreateAccount(context.Background(), other, newAccount("ada", "ada@example.com")))
	if _, _, err := w.a.SignIn(t.Context(), other, "ada@example.com", "ada's password"); err != nil {
		t.Error(err)
	}
	w.storedAs("ada", "created")
}
