package commands_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// guarded is Ada with everything that a factor can be proved with, signed in twice.
type guarded struct {
	*world
	seed     string
	recovery []string
	sessions [2]string
}

// newGuarded makes her. Of the authenticator's steps none of now or later is used.
func newGuarded(t *testing.T) *guarded {
	t.Helper()
	w := newWorld(t)
	w.member()
	g := &guarded{world: w}
	for _, p := range []account.Purpose{account.ForEmailVerification, account.ForPhoneVerification} {
		issued, receipt, err := w.a.IssueVerificationToken(w.Context(), w.user("ada"), "ada", p, commands.Letter{})
		w.must(receipt, err)
		_, receipt, err = w.b.Verify(w.Context(), w.user("ada"), "ada", issued.Secret, p)
		w.must(receipt, err)
	}
	for i := range g.sessions {
		g.sessions[i] = w.signIn(w.either(i), "ada", "ada@example.com").ID
	}
	var receipt event.Receipt
	var err error
	g.seed, receipt, err = w.a.AddAuthenticator(w.Context(), w.user("ada"), "ada")
	w.must(receipt, err)
	w.must(w.b.VerifyAuthenticator(w.Context(), w.user("ada"), "ada", g.sessions[0], g.code(-30*time.Second)))
	g.recovery, receipt, err = w.a.MakeRecoveryCodes(w.Context(), w.user("ada"), "ada", "", false)
	w.must(receipt, err)
	return g
}

// code is what the authenticator shows some time from now.
func (g *guarded) code(away time.Duration) string {
	g.Helper()
	code, err := totp.GenerateCode(g.seed, g.clock.Now().Add(away))
	if err != nil {
		g.Fatal(err)
	}
	return code
}

func (g *guarded) challenge(c *commands.Commands, session int, factor string) commands.IssuedChallenge {
	g.Helper()
	issued, receipt, err := c.IssueChallenge(g.Context(), g.user("ada"), "ada", g.sessions[session], factor)
	g.must(receipt, err)
	return issued
}

func (g *guarded) pass(c *commands.Commands, session int, challenge, answer string) error {
	_, err := c.PassChallenge(g.Context(), g.user("ada"), "ada", g.sessions[session], challenge, answer)
	return err
}

// answer is the right one to a challenge.
func (g *guarded) answer(issued commands.IssuedChallenge) string {
	switch issued.Factor {
	case account.FactorTOTP:
		return g.code(0)
	case account.FactorRecovery:
		return g.recovery[3]
	}
	return g.a.ChallengeCode(g.project, "ada", issued.ChallengeIssued)
}

var factors = []string{account.FactorEmail, account.FactorPhone, account.FactorTOTP, account.FactorRecovery}

// An answer is good for one challenge: a code that was sent by being for that one, a step and a recovery code by being
// used up, even by two sessions that were asked on their own.
func TestOfAHundredWhoGiveOneAnswerOneSucceeds(t *testing.T) {
	const rounds, many = 50, 100
	for _, factor := range factors {
		for _, sessions := range []int{1, 2} {
			if sessions == 2 && factor != account.FactorTOTP && factor != account.FactorRecovery {
				continue // each is sent a code of its own
			}
			t.Run(fmt.Sprintf("%s, asked of %d", factor, sessions), func(t *testing.T) {
				t.Parallel()
				for round := range rounds {
					g := newGuarded(t)
					var ids [2]string
					var answer string
					for i := range sessions {
						issued := g.challenge(g.either(round+i), i, factor)
						ids[i], answer = issued.ID, g.answer(issued)
					}
					var won atomic.Int64
					g.together(many, func(c *commands.Commands, i int) {
						session := i / 2 % sessions // both on both instances
						switch err := g.pass(c, session, ids[session], answer); {
						case err == nil:
							won.Add(1)
						case !errors.Is(err, account.ErrTokenInvalid) && !errors.Is(err, commands.ErrContended):
							t.Error(err)
						}
					})
					counts, _ := g.happened()
					if won.Load() != 1 || counts["account.challenge-passed.v1"] != 1 || counts["account.wrong-answer-given.v1"] > 5 {
						t.Fatalf("round %d: %d succeeded; %v", round, won.Load(), counts)
					}
				}
			})
		}
	}
}

func TestAThousandGuessersHaveFiveAnswersBetweenThem(t *testing.T) {
	for _, factor := range factors {
		g := newGuarded(t)
		issued := g.challenge(g.a, 0, factor)
		right := g.answer(issued)
		g.together(1000, func(c *commands.Commands, i int) {
			guess := fmt.Sprintf("%06d", i)
			if guess == right {
				guess = "999999"
			}
			if err := g.pass(c, 0, issued.ID, guess); !errors.Is(err, account.ErrTokenInvalid) && !errors.Is(err, commands.ErrContended) {
				t.Error(err)
			}
		})
		if counts, _ := g.happened(); counts["account.wrong-answer-given.v1"] != 5 || counts["account.challenge-passed.v1"] != 0 {
			t.Errorf("%s: %d answers were weighed", factor, counts["account.wrong-answer-given.v1"])
		}
		if err := g.pass(g.b, 0, issued.ID, right); !errors.Is(err, account.ErrTokenInvalid) {
			t.Errorf("%s: the right answer after that: %v", factor, err)
		}
	}
}

func TestAChallengeIsPassedByWhomItWasAsked(t *testing.T) {
	for _, factor := range factors {
		g := newGuarded(t)
		issued := g.challenge(g.a, 0, factor)
		if issued.Factor != factor || issued.Session != g.sessions[0] || !issued.At.Equal(noon) || !issued.Expires.Equal(noon.Add(15*time.Minute)) {
			t.Errorf("%s: issued %+v", factor, issued)
		}
		answer := g.answer(issued)
		if err := g.pass(g.b, 1, issued.ID, answer); !errors.Is(err, account.ErrTokenInvalid) {
			t.Errorf("%s: by another session: %v", factor, err)
		}
		if can, err := g.b.CanPass(t.Context(), g.guest(), "ada", issued.ChallengeIssued); !can || err != nil {
			t.Errorf("%s: it cannot be passed: %v", factor, err)
		}
		// People copy codes with the blanks around them.
		if err := g.pass(g.b, 0, issued.ID, " "+answer+"\n"); err != nil {
			t.Errorf("%s: %v", factor, err)
		}
		if can, err := g.a.CanPass(t.Context(), g.guest(), "ada", issued.ChallengeIssued); can || err != nil {
			t.Errorf("%s: it can be passed again: %v", factor, err)
		}
		g.must(g.a.RemoveAuthenticator(t.Context(), g.user("ada"), "ada", g.sessions[0]))
	}
}

func TestAnAuthenticatorsCodeIsGoodForOneStepEachWay(t *testing.T) {
	for away, good := range map[time.Duration]bool{
		-2 * time.Minute: false, -60 * time.Second: false, -30 * time.Second: true, 0: true, 29 * time.Second: true, 30 * time.Second: true, 60 * time.Second: false,
	} {
		g := newGuarded(t)
		g.clock.move(10 * time.Minute) // the step that verified it is long past
		code := g.code(away)
		if err := g.pass(g.b, 0, g.challenge(g.a, 0, account.FactorTOTP).ID, code); (err == nil) != good {
			t.Errorf("a code of %s away: %v", away, err)
		}
	}
	g := newGuarded(t)
	if len(g.seed) != 32 || strings.ToUpper(g.seed) != g.seed {
		t.Errorf("the seed %q is not 160 bits of Base32", g.seed)
	}
	if seed, err := g.b.Seed(t.Context(), g.user("ada"), "ada"); seed != "" || !errors.Is(err, account.ErrAuthenticatorVerified) {
		t.Errorf("a seed that was verified is shown: %q %v", seed, err)
	}
	if err := g.pass(g.b, 0, g.challenge(g.a, 0, account.FactorTOTP).ID, g.code(-30*time.Second)); !errors.Is(err, account.ErrTokenInvalid) {
		t.Errorf("the code that verified it: %v", err)
	}
}

func TestOfAHundredWhoVerifyOneAuthenticatorOneSucceeds(t *testing.T) {
	for round := range 10 {
		w := newWorld(t)
		w.member()
		session := w.signIn(w.a, "ada", "ada@example.com").ID
		seed, receipt, err := w.a.AddAuthenticator(t.Context(), w.user("ada"), "ada")
		w.must(receipt, err)
		if shown, err := w.b.Seed(t.Context(), w.user("ada"), "ada"); shown != seed || err != nil {
			t.Errorf("the seed is %q, and %q is shown: %v", seed, shown, err)
		}
		code, err := totp.GenerateCode(seed, noon)
		w.must(event.Receipt{}, err)
		var won atomic.Int64
		w.together(100, func(c *commands.Commands, _ int) {
			switch _, err := c.VerifyAuthenticator(w.Context(), w.user("ada"), "ada", session, code); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, account.ErrAuthenticatorVerified) && !errors.Is(err, commands.ErrContended):
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d: %d succeeded", round, won.Load())
		}
	}
}

func TestOfAHundredWhoAskForRecoveryCodesOneIsGivenThem(t *testing.T) {
	for round := range 10 {
		w := newWorld(t)
		w.member()
		session := w.signIn(w.a, "ada", "ada@example.com").ID
		var given atomic.Pointer[[]string]
		w.together(100, func(c *commands.Commands, _ int) {
			switch codes, _, err := c.MakeRecoveryCodes(w.Context(), w.user("ada"), "ada", session, false); {
			case err == nil:
				if !given.CompareAndSwap(nil, &codes) {
					t.Error("two were given codes")
				}
			case !errors.Is(err, account.ErrRecoveryCodesExist) && !errors.Is(err, commands.ErrContended):
				t.Error(err)
			}
		})
		if given.Load() == nil {
			t.Fatalf("round %d: nobody was given codes", round)
		}
		g := &guarded{world: w, recovery: *given.Load(), sessions: [2]string{session}}
		if _, err := w.b.RecoveryCodes(t.Context(), w.user("ada"), "ada", session); !errors.Is(err, account.ErrChallengeRequired) {
			t.Errorf("they are shown to who proved nothing: %v", err)
		}
		w.must(event.Receipt{}, g.pass(w.b, 0, g.challenge(w.a, 0, account.FactorRecovery).ID, g.recovery[3]))
		left, err := w.b.RecoveryCodes(t.Context(), w.user("ada"), "ada", session)
		if diff := cmp.Diff(append(g.recovery[:3:3], g.recovery[4:]...), left); diff != "" || err != nil {
			t.Errorf("left: %v (-want +got):\n%s", err, diff)
		}
		renewed, receipt, err := w.a.MakeRecoveryCodes(t.Context(), w.user("ada"), "ada", session, true)
		w.must(receipt, err)
		if left, err := w.b.RecoveryCodes(t.Context(), w.user("ada"), "ada", session); cmp.Diff(renewed, left) != "" || err != nil {
			t.Errorf("renewed: %v, left: %v %v", renewed, left, err)
		}
		all := map[string]bool{}
		for _, code := range append(renewed, g.recovery...) {
			if all[code] = true; len(code) != 10 {
				t.Errorf("a code is %q", code)
			}
		}
		if len(all) != 2*account.RecoveryCodes {
			t.Errorf("%d different codes", len(all))
		}
	}
}

func TestAMockedPhonesChallengeHasTheKnownCode(t *testing.T) {
	g := newGuarded(t)
	g.project.Auth.MockNumbers = []project.MockNumber{{Phone: string(phone), OTP: "424242"}}
	byPhone, byMail := g.challenge(g.a, 0, account.FactorPhone), g.challenge(g.a, 0, account.FactorEmail)
	if code := g.b.ChallengeCode(g.project, "ada", byPhone.ChallengeIssued); code != "424242" {
		t.Errorf("the code is %s", code)
	}
	if err := g.pass(g.b, 0, byPhone.ID, "424242"); err != nil {
		t.Error(err)
	}
	if err := g.pass(g.b, 0, byMail.ID, "424242"); !errors.Is(err, account.ErrTokenInvalid) {
		t.Errorf("by mail: %v", err)
	}
}

func TestAChallengesCodeDependsOnEverythingItIsFor(t *testing.T) {
	w := newWorld(t)
	other := *w.project
	other.ID = "other"
	issued := func(id string) account.ChallengeIssued {
		return account.ChallengeIssued{ID: id, Factor: account.FactorEmail}
	}
	// Two of a few six-digit codes may be the same by chance; those of eight challenges are not.
	code := func(p *project.Project, owner, challenge string) string {
		var all strings.Builder
		for i := range 8 {
			all.WriteString(w.a.ChallengeCode(p, owner, issued(fmt.Sprint(challenge, i))))
		}
		return all.String()
	}
	codes := map[string]string{}
	for name, code := range map[string]string{
		"one":               code(w.project, "ada", "challenge"),
		"another challenge": code(w.project, "ada", "another"),
		"another account":   code(w.project, "grace", "challenge"),
		"another project":   code(&other, "ada", "challenge"),
	} {
		if same, there := codes[code]; there || len(code) != 8*6 {
			t.Errorf("%s has the code of %s: %s", name, same, code)
		}
		codes[code] = name
	}
	if w.a.ChallengeCode(w.project, "ada", issued("challenge")) != w.b.ChallengeCode(w.project, "ada", issued("challenge")) {
		t.Error("two instances derive different codes")
	}
}

// What was shown or sent can be had from the log by nobody: codes are derived, and the seed is personal.
func TestNoCodeStandsInTheLog(t *testing.T) {
	g := newGuarded(t)
	secrets := append([]string{}, g.recovery...)
	for _, factor := range factors {
		issued := g.challenge(g.a, 0, factor)
		answer := g.answer(issued)
		secrets = append(secrets, answer)
		g.must(event.Receipt{}, g.pass(g.b, 0, issued.ID, answer))
	}
	for _, e := range g.events() {
		for _, secret := range secrets {
			if strings.Contains(string(e.Data), `"`+secret) {
				t.Errorf("%s tells %s: %s", e.Type, secret, e.Data)
			}
		}
		if open, personal, _ := strings.Cut(string(e.Data), `"personal"`); strings.Contains(open, g.seed) || strings.Contains(personal, g.seed) && e.Type != "account.authenticator-added.v1" {
			t.Errorf("%s tells the seed: %s", e.Type, e.Data)
		}
	}
}
