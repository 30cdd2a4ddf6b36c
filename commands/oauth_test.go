package commands_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/visit"
)

// from is somebody whom a provider vouches for, with an address that it has verified.
func from(provider, subject string, email account.Email) commands.Enter {
	return commands.Enter{Visitor: account.Visitor{
		Provider: provider, Subject: subject, Email: email, EmailVerified: email != "", Name: "Ada",
		ProviderTokens: account.ProviderTokens{Access: "access 1", Refresh: "refresh 1", AccessExpires: noon.Add(time.Hour)},
	}}
}

// enters lets somebody in, and ends the test when that is refused.
func (w *world) enters(c *commands.Commands, in commands.Enter) commands.Entered {
	w.Helper()
	entered, _, err := c.Enter(w.Context(), w.guest(), in)
	if err != nil {
		w.Fatal(err)
	}
	return entered
}

// happened counts the events of each type, over all accounts. It gives who was created too.
func (w *world) happened() (counts map[string]int, created []string) {
	w.Helper()
	counts = map[string]int{}
	for _, e := range w.events() {
		if counts[e.Type]++; e.Type == (account.Created{}).EventType() {
			_, id, _ := strings.Cut(e.Stream, ".")
			created = append(created, id)
		}
	}
	return counts, created
}

// identity gives the id of the account's newest identity.
func (w *world) identity(id string) string {
	w.Helper()
	events, err := w.log.Read(w.Context(), commands.AccountStream("web", id), event.Start, event.Forward, 100_000)
	if err != nil {
		w.Fatal(err)
	}
	for _, r := range slices.Backward(events) {
		e, err := account.Contract.Read(r)
		if err != nil {
			w.Fatal(err)
		}
		if linked, ok := e.(account.IdentityLinked); ok {
			return linked.ID
		}
	}
	w.Fatalf("%s has no identity", id)
	return ""
}

// The visitors of a hundred visits at once, and how many identities they have between them.
var crowds = map[string]struct {
	visit      func(i int) commands.Enter
	identities int
}{
	"one identity": {func(int) commands.Enter { return from("github", "42", "ada@example.com") }, 1},
	"one identity, tokens wanted by some": {func(i int) commands.Enter {
		in := from("github", "42", "ada@example.com")
		in.Token = i%3 == 0
		return in
	}, 1},
	"one identity under several addresses": {func(i int) commands.Enter {
		return from("github", "42", account.Email(fmt.Sprintf("ada%d@example.com", i%5)))
	}, 1},
	"two providers, one address": {func(i int) commands.Enter {
		return from([]string{"github", "google"}[i/2%2], "42", "ada@example.com")
	}, 2},
	"two providers, two spellings of one mailbox": {func(i int) commands.Enter {
		n := i / 2 % 2
		return from([]string{"github", "google"}[n], "42", []account.Email{"ada@bücher.example", "ada@xn--bcher-kva.example"}[n])
	}, 2},
}

func TestAHundredVisitsOfOneNewPersonMakeOneAccount(t *testing.T) {
	const rounds, many = 10, 100
	for name, crowd := range crowds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range rounds {
				w := newWorld(t)
				var accounts, sessions sync.Map
				w.together(many, func(c *commands.Commands, i int) {
					in := crowd.visit(i)
					entered, _, err := c.Enter(w.Context(), w.guest(), in)
					switch {
					case err != nil && !errors.Is(err, commands.ErrContended):
						t.Error(err)
					case err == nil && in.Token:
						accounts.Store(entered.Token.AccountID, true)
					case err == nil:
						accounts.Store(entered.AccountID, true)
						sessions.Store(entered.ID, true)
					}
				})
				w.checkLog(false)
				w.settle()
				w.checkLog(true)
				counts, created := w.happened()
				if len(created) != 1 || counts["account.identity-linked.v1"] != crowd.identities {
					t.Fatalf("%d accounts with %d identities", len(created), counts["account.identity-linked.v1"])
				}
				accounts.Range(func(id, _ any) bool {
					if id != created[0] {
						t.Errorf("somebody was let in to %s, and the account is %s", id, created[0])
					}
					return true
				})
				for _, s := range w.state(created[0]).Sessions() {
					if _, ok := sessions.Load(s.ID); !ok {
						t.Error("a session was started that nobody was told of")
					}
				}
				if a := w.state(created[0]); !a.EmailVerified || a.Name != "Ada" {
					t.Errorf("the address is verified: %v; the name is %q", a.EmailVerified, a.Name)
				}
			}
		})
	}
}

// An address is no identity: without both sides having verified it, it opens nothing, whoever is faster.
func TestAHundredVisitsOfTwoWhoSayTheyHaveOneAddress(t *testing.T) {
	for range 10 {
		w := newWorld(t)
		var in, out [2]atomic.Int64
		w.together(100, func(c *commands.Commands, i int) {
			n := i / 2 % 2
			visit := from([]string{"github", "google"}[n], "42", "ada@example.com")
			visit.EmailVerified = n == 0
			switch _, _, err := c.Enter(w.Context(), w.guest(), visit); {
			case err == nil:
				in[n].Add(1)
			case errors.Is(err, account.ErrCannotLink) && err.Error() == account.ErrCannotLink.Error():
				out[n].Add(1)
			case !errors.Is(err, commands.ErrContended):
				t.Error(err)
			}
		})
		w.settle()
		w.checkLog(true)
		counts, created := w.happened()
		if len(created) != 1 || counts["account.identity-linked.v1"] != 1 {
			t.Fatalf("%d accounts with %d identities", len(created), counts["account.identity-linked.v1"])
		}
		if won := map[bool]int{true: 0, false: 1}[in[0].Load() > 0]; in[won].Load() == 0 || out[won].Load() > 0 || in[1-won].Load() > 0 || out[1-won].Load() == 0 {
			t.Errorf("let in %d and %d, turned away %d and %d", in[0].Load(), in[1].Load(), out[0].Load(), out[1].Load())
		}
	}
}

// stopping ends a program at its nth append, before or after that is stored: from then on nothing that it asks is done.
func (w *world) stopping(nth int, stored bool) {
	n, stopped := 0, false
	w.log.BeforeAppend = func(string, []event.Proposed) error {
		if n++; stopped || n-1 == nth && !stored {
			stopped = true
			return errStopped
		}
		return nil
	}
	w.log.AfterAppend = func(string, []event.Proposed) error {
		if n-1 == nth && stored {
			stopped = true
			return errStopped
		}
		return nil
	}
}

func (w *world) running() { w.log.BeforeAppend, w.log.AfterAppend = nil, nil }

// A visit of somebody new takes two claims and then makes the account. Wherever it ends, the next visit is let in to one
// account, and nothing is left of the other.
func TestAVisitThatCrashedIsRepaired(t *testing.T) {
	visits := map[string]commands.Enter{
		"the same person":             from("github", "42", "ada@example.com"),
		"the same address":            from("google", "43", "ada@example.com"),
		"the same identity elsewhere": from("github", "42", "grace@example.com"),
	}
	for name, next := range visits {
		for nth := range 3 {
			for _, stored := range []bool{false, true} {
				crashed := func(t *testing.T) *world {
					w := newWorld(t)
					w.stopping(nth, stored)
					_, _, err := w.a.Enter(t.Context(), w.guest(), from("github", "42", "ada@example.com"))
					w.refused(err, errStopped)
					w.running()
					w.checkLog(false)
					return w
				}
				repaired := func(w *world) {
					w.Helper()
					w.checkLog(false)
					w.settle()
					w.checkLog(true)
					if _, created := w.happened(); len(created) != 1 {
						w.Errorf("%d accounts", len(created))
					}
				}
				t.Run(fmt.Sprintf("%s after append %d, stored %v", name, nth, stored), func(t *testing.T) {
					t.Run("by the next visitor, after the grace", func(t *testing.T) {
						w := crashed(t)
						w.clock.move(commands.ClaimGrace)
						w.enters(w.b, next)
						repaired(w)
					})
					t.Run("by the process, at once", func(t *testing.T) {
						w := crashed(t)
						w.settle()
						w.checkLog(true)
						w.enters(w.b, next)
						repaired(w)
					})
					t.Run("within the grace nobody gets it, and nothing is left of who tried", func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := crashed(t)
							_, _, err := w.b.Enter(t.Context(), w.guest(), next)
							claimed := nth == 1 && stored || nth == 2 && !stored // the address, and not held
							if name != "the same address" {
								claimed = claimed || nth == 0 && stored || nth == 1 // the identity, which comes first
							}
							if claimed {
								w.refused(err, commands.ErrContended)
							} else if err != nil {
								t.Fatal(err)
							}
							w.settle()
							w.checkLog(true)
							w.enters(w.b, next)
							repaired(w)
						})
					})
				})
			}
		}
	}
}

func TestWhoseAccountAVisitorEnters(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  func(w *world, in *commands.Enter)
		into    string // "" = a new one
		stored  []string
		refused error
	}{
		{name: "nobody's: a new one", stored: []string{"created", "identity-linked", "email-verified", "session-started"}},
		{name: "nobody's, without an address", before: func(_ *world, in *commands.Enter) { in.Email = "" }, refused: account.ErrNoProviderEmail},
		{name: "nobody's, without an address that anybody has verified, where it would tell who is registered", before: func(w *world, in *commands.Enter) {
			w.project.Auth.Privacy = true
			in.EmailVerified = false
		}, stored: []string{"created", "identity-linked", "session-started"}},
		{name: "nobody's, where it would tell who is registered", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@example.com")
			w.verify("ada")
			w.project.Auth.Privacy = true
			in.EmailVerified = false
		}, stored: []string{"created", "identity-linked", "session-started"}},
		{name: "the one with the address in another spelling", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@bücher.example")
			w.verify("ada")
			in.Email = "ada@xn--bcher-kva.example"
		}, into: "ada", stored: []string{"identity-linked", "session-started"}},
		{name: "nobody's, when there are enough", before: func(w *world, _ *commands.Enter) { w.project.Auth.UsersLimit = 1; w.accounts.Store(1) }, refused: commands.ErrTooManyAccounts},
		{name: "the one with the identity", before: func(w *world, in *commands.Enter) {
			w.connected("ada")
			in.Email = "" // an address is not asked for any more
		}, into: "ada", stored: []string{"session-started"}},
		{name: "the one with the identity, not the one with the address", before: func(w *world, in *commands.Enter) {
			w.connected("ada")
			w.signUp("bob", "bob@example.com")
			in.Email = "bob@example.com"
		}, into: "ada", stored: []string{"session-started"}},
		{name: "the one with the identity, when there are enough", before: func(w *world, _ *commands.Enter) {
			w.connected("ada")
			w.project.Auth.UsersLimit = 1
			w.accounts.Store(1)
		}, into: "ada", stored: []string{"session-started"}},
		{name: "the one with the address", before: func(w *world, _ *commands.Enter) { w.signUp("ada", "ada@example.com"); w.verify("ada") }, into: "ada", stored: []string{"identity-linked", "session-started"}},
		{name: "the one with the address, which it has not verified", before: func(w *world, _ *commands.Enter) { w.signUp("ada", "ada@example.com") }, into: "ada", refused: account.ErrCannotLink},
		{name: "the one with the address, which the provider has not verified", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@example.com")
			w.verify("ada")
			in.EmailVerified = false
		}, into: "ada", refused: account.ErrCannotLink},
		{name: "the one with the address, which is blocked", before: func(w *world, _ *commands.Enter) {
			w.signUp("ada", "ada@example.com")
			w.verify("ada")
			w.must(w.a.Block(w.Context(), w.guest(), "ada"))
		}, into: "ada", refused: account.ErrBlocked},
		{name: "the one they are signed in to", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@example.org")
			in.Account, in.Session = "ada", w.signIn(w.a, "ada", "ada@example.org").ID
		}, into: "ada", stored: []string{"identity-linked", "session-ended", "session-started"}},
		{name: "the one they are signed in to, with a session that ended", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@example.org")
			in.Account, in.Session = "ada", w.signIn(w.a, "ada", "ada@example.org").ID
			w.must(w.b.EndSession(w.Context(), w.user("ada"), "ada", in.Session))
		}, into: "ada", refused: account.ErrSessionUnknown},
		{name: "the one they are signed in to, when another one is connected", before: func(w *world, in *commands.Enter) {
			w.connected("ada")
			w.signUp("bob", "bob@example.com")
			in.Account, in.Session = "bob", w.signIn(w.a, "bob", "bob@example.com").ID
		}, into: "bob", refused: account.ErrIdentityTaken},
		{name: "the one they are signed in to, when another one has the address", before: func(w *world, in *commands.Enter) {
			w.signUp("ada", "ada@example.com")
			w.signUp("bob", "bob@example.com")
			in.Account, in.Session = "bob", w.signIn(w.a, "bob", "bob@example.com").ID
		}, into: "bob", refused: account.ErrVisitorHasAccount},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			in := from("github", "42", "ada@example.com")
			if c.before != nil {
				c.before(w, &in)
			}
			had := w.accountStream(c.into)
			entered, receipt, err := w.b.Enter(t.Context(), w.guest(), in)
			if !errors.Is(err, c.refused) || fmt.Sprint(err) != fmt.Sprint(c.refused) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if c.refused != nil {
				w.checkLog(true) // what was refused left nothing for the processes
				if diff := cmp.Diff(had, w.accountStream(c.into)); diff != "" {
					t.Errorf("added (-before +after):\n%s", diff)
				}
				return
			}
			if c.into != "" && entered.AccountID != c.into {
				t.Fatalf("into %s", entered.AccountID)
			}
			w.storedAs(entered.AccountID, append(had, c.stored...)...)
			w.receiptIs(receipt, entered.AccountID)
			if entered.Provider != "github" || entered.Personal.ProviderUID != "42" || entered.SecretHash != commands.HashSecret(entered.Secret) || entered.Token.ID != "" {
				t.Errorf("entered with %+v", entered)
			}
			w.settle()
			w.checkLog(true)
		})
	}
}

// connected makes an account with the identity of from("github", "42", ...).
func (w *world) connected(id string) {
	w.Helper()
	w.signUp(id, account.Email(id+"@example.org"))
	in := from("github", "42", "")
	in.Account, in.Session = id, w.signIn(w.a, id, account.Email(id+"@example.org")).ID
	w.enters(w.a, in)
}

// verify proves the address of an account.
func (w *world) verify(id string) {
	w.Helper()
	issued, receipt, err := w.a.IssueVerificationToken(w.Context(), w.user(id), id, account.ForEmailVerification, commands.Letter{})
	w.must(receipt, err)
	_, receipt, err = w.b.Verify(w.Context(), w.guest(), id, issued.Secret, account.ForEmailVerification)
	w.must(receipt, err)
}

func TestAnAnonymousAccountTakesOnTheAddressOfItsVisit(t *testing.T) {
	w := newWorld(t)
	anonymous, receipt, err := w.a.SignUpAnonymously(t.Context(), w.guest())
	w.must(receipt, err)
	in := from("github", "42", "ada@example.com")
	in.Account, in.Session = anonymous.AccountID, anonymous.ID
	w.enters(w.b, in)
	w.storedAs(anonymous.AccountID, "created", "session-started", "identity-linked", "email-changed", "email-verified", "name-changed", "session-ended", "session-started")
	w.settle()
	w.checkLog(true)
	_, err = w.a.CreateAccount(t.Context(), w.guest(), newAccount("bob", "ada@example.com"))
	w.refused(err, account.ErrExists)
}

func TestAnIdentityThatIsRemovedIsFreeAtOnce(t *testing.T) {
	w := newWorld(t)
	w.connected("ada")
	w.must(w.b.RemoveIdentity(t.Context(), w.user("ada"), "ada", w.identity("ada")))
	w.checkLog(true) // nothing is left by the time that it answers
	_, err := w.a.RemoveIdentity(t.Context(), w.user("ada"), "ada", w.identity("ada"))
	w.refused(err, account.ErrIdentityUnknown)
	if entered := w.enters(w.a, from("github", "42", "new@example.com")); entered.AccountID == "ada" {
		t.Error("it opens the account that let it go")
	}
	w.settle()
	w.checkLog(true)
}

func TestAnIdentityThatWasConnectedTwiceAtOnceIsFreeOnceItIsRemoved(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		w.signUp("ada", "ada@example.com")
		w.verify("ada")
		w.together(10, func(c *commands.Commands, _ int) {
			if _, _, err := c.Enter(w.Context(), w.guest(), from("github", "42", "ada@example.com")); err != nil && !isNo(err) {
				t.Error(err)
			}
		})
		w.settle()
		w.checkLog(true)
		w.must(w.b.RemoveIdentity(t.Context(), w.user("ada"), "ada", w.identity("ada")))
		w.checkLog(true)
	}
}

func TestADeletedAccountsIdentitiesAreFree(t *testing.T) {
	w := newWorld(t)
	w.connected("ada")
	w.must(w.b.DeleteAccount(t.Context(), w.user("ada"), "ada"))
	w.checkLog(true) // nothing is left by the time that it answers
	if entered := w.enters(w.a, from("github", "42", "ada@example.org")); entered.AccountID == "ada" {
		t.Error("it opens the account that was deleted")
	}
	w.settle()
	w.checkLog(true)
}

func TestAnIdentitysDepartureThatCrashedIsFinishedByTheProcess(t *testing.T) {
	for name, leave := range map[string]func(w *world, ctx context.Context) (event.Receipt, error){
		"removed": func(w *world, ctx context.Context) (event.Receipt, error) {
			return w.a.RemoveIdentity(ctx, w.user("ada"), "ada", w.identity("ada"))
		},
		"deleted": func(w *world, ctx context.Context) (event.Receipt, error) {
			return w.a.DeleteAccount(ctx, w.user("ada"), "ada")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connected("ada")
			w.stopping(0, true)
			if _, err := leave(w, t.Context()); !errors.Is(err, errStopped) {
				t.Fatal(err)
			}
			w.running()
			w.settle()
			w.checkLog(true)
			if entered := w.enters(w.b, from("github", "42", "new@example.com")); entered.AccountID == "ada" {
				t.Error("it opens the account that let it go")
			}
		})
	}
}

func TestAnIdentityThatMovesWhileItsVisitorIsOnTheWay(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		w.connected("ada")
		identity := w.identity("ada")
		w.together(20, func(c *commands.Commands, i int) {
			if i == 7 {
				w.must(c.RemoveIdentity(w.Context(), w.user("ada"), "ada", identity))
				return
			}
			if _, _, err := c.Enter(w.Context(), w.guest(), from("github", "42", "new@example.com")); err != nil && !errors.Is(err, commands.ErrContended) {
				t.Error(err)
			}
		})
		w.settle()
		w.checkLog(true)
		entered := w.enters(w.a, from("github", "42", "new@example.com"))
		if counts, created := w.happened(); entered.AccountID == "ada" || len(created) != 2 || counts["account.identity-linked.v1"] != 2 {
			t.Fatalf("into %s, of %v, with %d identities", entered.AccountID, created, counts["account.identity-linked.v1"])
		}
	}
}

func TestAVisitEndsOnce(t *testing.T) {
	const rounds, many = 50, 100
	for round := range rounds {
		w := newWorld(t)
		v, err := w.either(round).BeginVisit(t.Context(), w.guest(), visit.Begun{Provider: "github"}, commands.Way{Success: "https://app.example.com/in"}, round%3 > 0)
		w.must(event.Receipt{}, err)
		var won atomic.Int64
		w.together(many, func(c *commands.Commands, _ int) {
			switch ended, err := c.EndVisit(w.Context(), w.guest(), "github", v.State, v.Browser); {
			case err == nil:
				won.Add(1)
				if ended.Success != v.Success || ended.Nonce != v.Nonce || ended.Verifier != v.Verifier {
					t.Errorf("ended as %+v, begun as %+v", ended, v)
				}
			case !errors.Is(err, visit.ErrUnknown):
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d: %d came back", round, won.Load())
		}
	}
}

func TestWhoComesBackFromAVisit(t *testing.T) {
	for _, c := range []struct {
		name                     string
		unbound                  bool
		provider, state, browser string // when set, instead of what was begun
		after                    time.Duration
		back                     bool
	}{
		{name: "who went", back: true},
		{name: "in the last moment", after: visit.Lifetime - time.Millisecond, back: true},
		{name: "whom a server sent, with any browser", unbound: true, browser: "any", back: true},
		{name: "too late", after: visit.Lifetime},
		{name: "from another provider", provider: "google"},
		{name: "with another browser", browser: "another"},
		{name: "with a state that nobody drew", state: "made up"},
	} {
		w := newWorld(t)
		v, err := w.a.BeginVisit(t.Context(), w.guest(), visit.Begun{Provider: "github"}, commands.Way{Success: "https://app.example.com/in", Failure: "https://app.example.com/out"}, !c.unbound)
		w.must(event.Receipt{}, err)
		if len(v.State) != 64 || len(v.Nonce) != 32 || len(v.Verifier) != 64 || (len(v.Browser) == 32) == c.unbound {
			t.Errorf("%s: begun as %+v", c.name, v)
		}
		w.clock.move(c.after)
		or := func(set, begun string) string {
			if set != "" {
				return set
			}
			return begun
		}
		ended, err := w.b.EndVisit(t.Context(), w.guest(), or(c.provider, "github"), or(c.state, v.State), or(c.browser, v.Browser))
		if (err == nil) != c.back || err != nil && !errors.Is(err, visit.ErrUnknown) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.back && ended.Failure != v.Failure || !c.back && ended.Begun != (visit.Begun{}) {
			t.Errorf("%s: ended as %+v", c.name, ended.Begun)
		}
		// Nobody who reads the log can come back, and a wrong try costs who went nothing.
		for _, e := range w.events() {
			for _, secret := range slices.DeleteFunc([]string{v.State, v.Browser, v.Nonce, v.Verifier}, func(s string) bool { return s == "" }) {
				if told := e.Stream + string(e.Data) + string(e.Metadata); strings.Contains(told, secret) {
					t.Errorf("%s tells %s", e.Type, secret)
				}
			}
		}
		if _, err := w.a.EndVisit(t.Context(), w.guest(), "github", v.State, v.Browser); (err == nil) != (!c.back && c.after == 0) {
			t.Errorf("%s: who went comes back after that: %v", c.name, err)
		}
	}
}

func TestWhatBelongsToAVisitIsItsOwn(t *testing.T) {
	w := newWorld(t)
	other := w.guest()
	shop := *w.project
	shop.ID = "shop"
	other.Project = &shop
	seen := map[string]bool{}
	for _, by := range []commands.Caller{w.guest(), w.guest(), other} {
		v, err := w.a.BeginVisit(t.Context(), by, visit.Begun{Provider: "github"}, commands.Way{}, true)
		w.must(event.Receipt{}, err)
		for _, drawn := range []string{v.State, v.Browser, v.Nonce, v.Verifier} {
			if seen[drawn] {
				t.Errorf("%s comes twice", drawn)
			}
			seen[drawn] = true
		}
	}
	v, err := w.a.BeginVisit(t.Context(), other, visit.Begun{Provider: "github"}, commands.Way{}, false)
	w.must(event.Receipt{}, err)
	if _, err := w.b.EndVisit(t.Context(), w.guest(), "github", v.State, ""); !errors.Is(err, visit.ErrUnknown) {
		t.Errorf("it ends in another project: %v", err)
	}
}

func TestOfAHundredWhoUseOneTokenOfAVisitOneSucceeds(t *testing.T) {
	const rounds, many = 50, 100
	for round := range rounds {
		w := newWorld(t)
		in := from("github", "42", "ada@example.com")
		in.Token = true
		entered := w.enters(w.either(round), in)
		id := entered.Token.AccountID
		if len(w.state(id).Sessions()) != 0 {
			t.Fatal("a session was started beside the token")
		}
		var won atomic.Int64
		w.together(many, func(c *commands.Commands, _ int) {
			switch session, _, err := c.SignInWithToken(w.Context(), w.guest(), id, entered.Token.Secret, account.ForMagicURL, account.ForOAuth); {
			case err == nil:
				won.Add(1)
				if session.Provider != "github" || session.Personal.ProviderUID != "42" {
					t.Errorf("a session of %+v", session)
				}
			case !errors.Is(err, account.ErrTokenInvalid) && !errors.Is(err, commands.ErrContended):
				t.Error(err)
			}
		})
		if won.Load() != 1 || len(w.state(id).Sessions()) != 1 {
			t.Fatalf("round %d: %d succeeded", round, won.Load())
		}
	}
}

// Whatever append of a visit goes unanswered, stored or not: asking the log again with the same ids has the effect once.
func TestAnUnansweredAppendOfAVisitHasItsEffectOnce(t *testing.T) {
	var undisturbed map[string]int
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
				v, err := w.a.BeginVisit(t.Context(), w.guest(), visit.Begun{Provider: "github"}, commands.Way{}, true)
				w.must(event.Receipt{}, err)
				_, err = w.b.EndVisit(t.Context(), w.guest(), "github", v.State, v.Browser)
				w.must(event.Receipt{}, err)
				in := from("github", "42", "ada@example.com")
				in.Token = true
				token := w.enters(w.a, in).Token
				s, receipt, err := w.b.SignInWithToken(t.Context(), w.guest(), token.AccountID, token.Secret, account.ForOAuth)
				w.must(receipt, err)
				w.must(w.a.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, gives("access 2", "refresh 2")))
				google := from("google", "43", "ada@example.com")
				w.enters(w.b, google)
				w.must(w.a.RemoveIdentity(t.Context(), w.user(s.AccountID), s.AccountID, w.identity(s.AccountID)))
				counts, _ := w.happened()
				if undisturbed == nil {
					undisturbed = maps.Clone(counts)
				}
				if diff := cmp.Diff(undisturbed, counts); diff != "" {
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
