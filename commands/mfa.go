package commands

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// SwitchMFA asks an account for a second factor from now on, or no longer. The session is the one that asks.
func (c *Commands) SwitchMFA(ctx context.Context, by Caller, id, session string, on bool) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		return a.SwitchMFA(on, session, by.Locale)
	})
}

// seedBytes is how long the seed of an authenticator is: 160 bits, as RFC 4226 section 4 recommends.
const seedBytes = 20

// AddAuthenticator draws the seed of an authenticator, in Base32. It proves nothing until VerifyAuthenticator.
func (c *Commands) AddAuthenticator(ctx context.Context, by Caller, id string) (seed string, at event.Receipt, err error) {
	drawn := make([]byte, seedBytes)
	rand.Read(drawn) // never fails: it ends the process instead
	added := account.AuthenticatorAdded{ID: NewID()}
	added.Personal.Seed = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(drawn)
	at, err = c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.AddAuthenticator(added) })
	return added.Personal.Seed, at, err
}

// Seed gives the seed of an authenticator that was not verified yet, and no other.
func (c *Commands) Seed(ctx context.Context, by Caller, id string) (string, error) {
	current, err := c.account(ctx, by, id)
	if err != nil {
		return "", err
	}
	return current.state.SeedToVerify()
}

// VerifyAuthenticator takes the first code of an authenticator, and asks for it from then on where MFA is on.
func (c *Commands) VerifyAuthenticator(ctx context.Context, by Caller, id, session, code string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		return a.VerifyAuthenticator(code, stepOf(c.now()), session, by.Locale)
	})
}

// RemoveAuthenticator removes the authenticator.
func (c *Commands) RemoveAuthenticator(ctx context.Context, by Caller, id, session string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		return a.RemoveAuthenticator(session, by.Locale, c.now())
	})
}

// totpOptions is what every authenticator program does when it is told nothing else.
var totpOptions = totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// stepOf compares a code with that of now and of one step each way (RFC 6238 section 5.2), always all three.
func stepOf(now time.Time) account.StepOf {
	return func(seed, code string) (found int64, ok bool) {
		for drift := int64(-1); drift <= 1; drift++ {
			step := now.Unix()/int64(totpOptions.Period) + drift
			expected, err := totp.GenerateCodeCustom(seed, time.Unix(step*int64(totpOptions.Period), 0), totpOptions)
			if err == nil && subtle.ConstantTimeCompare([]byte(expected), []byte(code)) == 1 {
				found, ok = step, true
			}
		}
		return found, ok
	}
}

// IssuedChallenge is a challenge that a session can answer.
type IssuedChallenge struct {
	account.ChallengeIssued
	At time.Time
}

// IssueChallenge asks a session to prove a factor; for e-mail and phone a code is sent.
func (c *Commands) IssueChallenge(ctx context.Context, by Caller, id, session, factor string) (IssuedChallenge, event.Receipt, error) {
	issued := IssuedChallenge{At: c.now()}
	issued.ID, issued.Factor, issued.Session, issued.Locale = NewID(), factor, session, by.Locale
	at, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		events, err := a.IssueChallenge(issued.ChallengeIssued, issued.At)
		if len(events) > 0 {
			issued.ChallengeIssued = events[0].(account.ChallengeIssued)
		}
		return events, err
	})
	return issued, at, err
}

// PassChallenge proves a factor to the session that was asked for it. A wrong answer is recorded before it is refused:
// that is what bounds the guesses, whoever asks at once.
func (c *Commands) PassChallenge(ctx context.Context, by Caller, id, session, challenge, answer string) (event.Receipt, error) {
	passed := false
	answers := account.Answers{SentCode: c.sentCode(by.Project, id), StepOf: stepOf(c.now()), CodeOf: c.recoveryCodeOf(by.Project, id)}
	at, err := c.changeAccount(ctx, by, id, func(a account.Account) (events []account.Event, err error) {
		events, passed, err = a.PassChallenge(challenge, session, strings.TrimSpace(answer), answers, by.Locale, c.now())
		return events, err
	})
	if err == nil && !passed {
		err = account.ErrTokenInvalid
	}
	return at, err
}

// CountsMailbox says whether a code in a mail would be another factor for a session, where there are others to ask for.
func (c *Commands) CountsMailbox(ctx context.Context, by Caller, id, session string) (bool, error) {
	current, err := c.account(ctx, by, id)
	return current.state.CountsMailbox(session), err
}

// CanPass says whether a challenge that was issued could still be passed.
func (c *Commands) CanPass(ctx context.Context, by Caller, id string, e account.ChallengeIssued) (bool, error) {
	current, err := c.account(ctx, by, id)
	return current.state.CanPass(e.ID, c.now()), err
}

// ChallengeCode derives the code that a challenge sent, so that a letter can be written at any time.
func (c *Commands) ChallengeCode(p *project.Project, id string, e account.ChallengeIssued) string {
	a := account.Account{Phone: account.Phone(e.Personal.To)}
	return c.sentCode(p, id)(a, account.Challenge{ID: e.ID, Factor: e.Factor})
}

func (c *Commands) sentCode(p *project.Project, id string) func(account.Account, account.Challenge) string {
	return func(a account.Account, ch account.Challenge) string {
		if ch.Factor == account.FactorPhone {
			if mock, ok := p.MockNumber(string(a.Phone)); ok {
				return mock.OTP
			}
		}
		return fmt.Sprintf("%06d", binary.BigEndian.Uint64(c.derive(8, p.ID, id, ch.ID, "challenge"))%1_000_000)
	}
}

// recoveryCodeOf derives the codes of an account's sets: ten hex digits, as the reference gives them.
func (c *Commands) recoveryCodeOf(p *project.Project, id string) account.CodeOf {
	return func(set string, index int) string {
		return hex.EncodeToString(c.derive(5, p.ID, id, set, "recovery-code", strconv.Itoa(index)))
	}
}

// MakeRecoveryCodes gives an account a set of recovery codes; renew replaces the one it has.
func (c *Commands) MakeRecoveryCodes(ctx context.Context, by Caller, id, session string, renew bool) ([]string, event.Receipt, error) {
	made := account.RecoveryCodesMade{Set: NewID(), Locale: by.Locale}
	at, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		if renew {
			return a.RenewRecoveryCodes(made, session, c.now())
		}
		return a.MakeRecoveryCodes(made)
	})
	codes := make([]string, account.RecoveryCodes)
	for i := range codes {
		codes[i] = c.recoveryCodeOf(by.Project, id)(made.Set, i)
	}
	return codes, at, err
}

// RecoveryCodes gives the codes that were not used yet.
func (c *Commands) RecoveryCodes(ctx context.Context, by Caller, id, session string) ([]string, error) {
	current, err := c.account(ctx, by, id)
	if err != nil {
		return nil, err
	}
	return current.state.RecoveryCodesLeft(c.recoveryCodeOf(by.Project, id), session, c.now())
}

// derive gives bytes that nothing in the log tells without TokenKey. The parts name what they are for.
func (c *Commands) derive(bytes int, parts ...string) []byte {
	secret, err := hkdf.Expand(sha256.New, c.TokenKey, strings.Join(parts, "\x00"), bytes)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return secret
}
