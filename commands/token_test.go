package commands_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

const phone account.Phone = "+4917612345678"

// ways is every kind of one-time secret: how it is asked for, by who has the address and the phone, and how it is used.
var ways = map[account.Purpose]struct {
	issue func(w *world, c *commands.Commands) (commands.Issued, event.Receipt, error)
	use   func(w *world, c *commands.Commands, secret string) error
}{
	account.ForMagicURL:          {login(account.ForMagicURL), signIn(account.ForMagicURL)},
	account.ForEmailCode:         {login(account.ForEmailCode), signIn(account.ForEmailCode)},
	account.ForPhoneCode:         {login(account.ForPhoneCode), signIn(account.ForPhoneCode)},
	account.ForEmailVerification: {prove(account.ForEmailVerification), verify(account.ForEmailVerification)},
	account.ForPhoneVerification: {prove(account.ForPhoneVerification), verify(account.ForPhoneVerification)},
	account.ForRecovery: {
		func(w *world, c *commands.Commands) (commands.Issued, event.Receipt, error) {
			return c.IssueRecoveryToken(w.Context(), w.guest(), "ada@example.com", commands.Letter{URL: "https://app.example.com"})
		},
		func(w *world, c *commands.Commands, secret string) error {
			_, _, err := c.Recover(w.Context(), w.guest(), "ada", secret, "another password")
			return err
		},
	},
}

func login(p account.Purpose) func(*world, *commands.Commands) (commands.Issued, event.Receipt, error) {
	return func(w *world, c *commands.Commands) (commands.Issued, event.Receipt, error) {
		in := commands.IssueLoginToken{Purpose: p, ID: commands.NewID(), Email: "ada@example.com"}
		if p.ByPhone() {
			in.Email, in.Phone = "", phone
		}
		return c.IssueLoginToken(w.Context(), w.guest(), in)
	}
}

func signIn(p account.Purpose) func(*world, *commands.Commands, string) error {
	return func(w *world, c *commands.Commands, secret string) error {
		_, _, err := c.SignInWithToken(w.Context(), w.guest(), "ada", secret, p)
		return err
	}
}

func prove(p account.Purpose) func(*world, *commands.Commands) (commands.Issued, event.Receipt, error) {
	return func(w *world, c *commands.Commands) (commands.Issued, event.Receipt, error) {
		return c.IssueVerificationToken(w.Context(), w.user("ada"), "ada", p, commands.Letter{URL: "https://app.example.com"})
	}
}

func verify(p account.Purpose) func(*world, *commands.Commands, string) error {
	return func(w *world, c *commands.Commands, secret string) error {
		_, _, err := c.Verify(w.Context(), w.guest(), "ada", secret, p)
		return err
	}
}

// member makes Ada, with an address and a phone.
func (w *world) member() {
	w.Helper()
	w.signUp("ada", "ada@example.com")
	w.must(w.a.ChangePhone(w.Context(), w.user("ada"), "ada", phone, "ada's password"))
}

// together does something so often at once, on both instances by turns.
func (w *world) together(often int, do func(c *commands.Commands, i int)) {
	var ready, all sync.WaitGroup
	ready.Add(often)
	for i := range often {
		all.Go(func() {
			ready.Done()
			ready.Wait()
			do(w.either(i), i)
		})
	}
	all.Wait()
}

func TestOfAHundredWhoUseOneSecretOneSucceeds(t *testing.T) {
	const rounds, many = 50, 100
	for purpose, way := range ways {
		t.Run(string(purpose), func(t *testing.T) {
			t.Parallel()
			for round := range rounds {
				w := newWorld(t)
				w.member()
				issued, receipt, err := way.issue(w, w.either(round))
				w.must(receipt, err)
				var won atomic.Int64
				w.together(many, func(c *commands.Commands, _ int) {
					switch err := way.use(w, c, issued.Secret); {
					case err == nil:
						won.Add(1)
					case !errors.Is(err, account.ErrTokenInvalid) && !errors.Is(err, commands.ErrContended):
						t.Error(err)
					}
				})
				if won.Load() != 1 {
					t.Fatalf("round %d: %d succeeded", round, won.Load())
				}
			}
		})
	}
}

func TestAThousandGuessersHaveFiveGuessesBetweenThem(t *testing.T) {
	for _, purpose := range []account.Purpose{account.ForEmailCode, account.ForPhoneCode, account.ForPhoneVerification} {
		w := newWorld(t)
		w.member()
		issued, receipt, err := ways[purpose].issue(w, w.a)
		w.must(receipt, err)
		w.together(1000, func(c *commands.Commands, i int) {
			guess := fmt.Sprintf("%06d", i)
			if guess == issued.Secret {
				guess = "999999"
			}
			if err := ways[purpose].use(w, c, guess); !errors.Is(err, account.ErrTokenInvalid) && !errors.Is(err, commands.ErrContended) {
				t.Error(err)
			}
		})
		weighed := 0
		for _, e := range w.events() {
			if e.Type == (account.WrongCodeGiven{}).EventType() {
				weighed++
			}
		}
		if weighed != 5 {
			t.Errorf("%s: %d guesses were weighed", purpose, weighed)
		}
		if err := ways[purpose].use(w, w.b, issued.Secret); !errors.Is(err, account.ErrTokenInvalid) {
			t.Errorf("%s: the right code after that: %v", purpose, err)
		}
	}
}

func TestTwoHundredWhoAskForOneNewAddressMakeOneAccount(t *testing.T) {
	w := newWorld(t)
	var owners sync.Map
	w.together(200, func(c *commands.Commands, i int) {
		issued, _, err := c.IssueLoginToken(w.Context(), w.guest(), commands.IssueLoginToken{Purpose: account.ForMagicURL, ID: fmt.Sprintf("id%d", i), Email: "new@example.com"})
		switch {
		case err == nil:
			owners.Store(issued.AccountID, true)
		case refusal.Of(err) == nil || refusal.Of(err).Kind != refusal.Unavailable:
			t.Error(err)
		}
	})
	n := 0
	owners.Range(func(any, any) bool { n++; return true })
	created := 0
	for _, e := range w.events() {
		if e.Type == (account.Created{}).EventType() {
			created++
		}
	}
	if n != 1 || created != 1 {
		t.Errorf("%d accounts were made, letters went to %d", created, n)
	}
}

func TestSessionsByTokenKeepTheLimit(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.SessionLimit = 3
	w.member()
	w.together(50, func(c *commands.Commands, _ int) {
		issued, _, err := ways[account.ForMagicURL].issue(w, c)
		if err != nil {
			t.Error(err)
			return
		}
		// Somebody else's request may have replaced it already.
		if err := ways[account.ForMagicURL].use(w, c, issued.Secret); err != nil && !errors.Is(err, account.ErrTokenInvalid) {
			t.Error(err)
		}
	})
	var a account.Account
	for _, e := range w.events() {
		if e.Stream != commands.AccountStream("web", "ada") {
			continue
		}
		fact, err := account.Contract.Read(e)
		if err != nil {
			t.Fatal(err)
		}
		if a = a.Evolve(noon, fact); len(a.Sessions()) > 3 {
			t.Fatalf("%d sessions", len(a.Sessions()))
		}
	}
}

func TestSecretsDependOnEverythingTheyAreFor(t *testing.T) {
	w := newWorld(t)
	secrets := map[string]string{}
	issued := account.TokenIssued{ID: "token", Purpose: account.ForRecovery}
	other := *w.project
	other.ID = "other"
	another := issued
	another.ID = "another"
	for name, secret := range map[string]string{
		"one":             w.a.Secret(w.project, "ada", issued),
		"another token":   w.a.Secret(w.project, "ada", another),
		"another account": w.a.Secret(w.project, "grace", issued),
		"another project": w.a.Secret(&other, "ada", issued),
		"another purpose": w.a.Secret(w.project, "ada", account.TokenIssued{ID: "token", Purpose: account.ForEmailVerification}),
	} {
		if same, there := secrets[secret]; there || len(secret) != 256 {
			t.Errorf("%s has the secret of %s: %s", name, same, secret)
		}
		secrets[secret] = name
	}
	if w.a.Secret(w.project, "ada", issued) != w.b.Secret(w.project, "ada", issued) {
		t.Error("two instances derive different secrets")
	}
}

func TestAnonymousSignUpsRespectTheUsersLimit(t *testing.T) {
	w := newWorld(t)
	w.project.Auth.UsersLimit = 2
	w.accounts.Store(1)
	if _, receipt, err := w.a.SignUpAnonymously(t.Context(), w.guest()); err != nil || receipt.Revision != 1 {
		t.Errorf("%v %v", receipt, err)
	}
	w.accounts.Store(2)
	_, _, err := w.a.SignUpAnonymously(t.Context(), w.guest())
	w.refused(err, commands.ErrTooManyAccounts)
	_, _, err = w.a.IssueLoginToken(t.Context(), w.guest(), commands.IssueLoginToken{Purpose: account.ForMagicURL, ID: "new", Email: "new@example.com"})
	w.refused(err, commands.ErrTooManyAccounts)
}
