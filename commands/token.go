package commands

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// Issued is a one-time secret that is on its way.
type Issued struct {
	account.TokenIssued
	AccountID string
	Secret    string
	At        time.Time
}

// Letter is what who asks for a secret may say about the letter that brings it.
type Letter struct {
	URL    string // where the link leads; the caller checked that the project allows it
	Phrase bool   // whether a phrase shows that the letter belongs to the request
}

// IssueLoginToken asks for a secret to sign in with.
type IssueLoginToken struct {
	Purpose account.Purpose
	ID      string        // of the account, if the address is nobody's yet
	Email   account.Email // the address; empty for purposes that go by phone
	Phone   account.Phone
	Letter
}

// IssueLoginToken sends a secret to an address. If nobody holds it, an account is made that does. account.ErrExists when
// that would need an id that is taken. Where answers are uniform, what cannot be sent is answered as if it had been.
func (c *Commands) IssueLoginToken(ctx context.Context, by Caller, in IssueLoginToken) (Issued, event.Receipt, error) {
	issued, receipt, err := c.issueLogin(ctx, by, in)
	return c.orImagined(by, in.Purpose, in.Letter, issued, receipt, err)
}

// LoginClaim is the claim on the address that a secret is to be sent to.
func (c *Commands) LoginClaim(in IssueLoginToken) string {
	if in.Purpose.ByPhone() {
		return c.PhoneClaim(in.Phone)
	}
	return c.EmailClaim(in.Email)
}

func (c *Commands) issueLogin(ctx context.Context, by Caller, in IssueLoginToken) (Issued, event.Receipt, error) {
	name := c.LoginClaim(in)
	for range maxConflicts {
		owner, _, err := c.owner(ctx, by, name)
		if err != nil {
			return Issued{}, event.Receipt{}, err
		}
		if owner != "" {
			issued, receipt, err := c.issue(ctx, by, owner, in.Purpose, in.Letter)
			if errors.Is(err, account.ErrUnknown) {
				continue // deleted since; the address may be free
			}
			return issued, receipt, err
		}
		issued, receipt, err := c.createAndSend(ctx, by, name, in)
		if !errors.Is(err, claim.ErrTaken) {
			return issued, receipt, err
		}
		select { // somebody else is on the way to hold it
		case <-ctx.Done():
			return Issued{}, event.Receipt{}, ctx.Err()
		case <-time.After(claimPause):
		}
	}
	return Issued{}, event.Receipt{}, ErrContended
}

// claimPause is a little more than lies between a claim and its account's first event.
const claimPause = 20 * time.Millisecond

func (c *Commands) createAndSend(ctx context.Context, by Caller, name string, in IssueLoginToken) (Issued, event.Receipt, error) {
	if err := c.mayCreate(ctx, by); err != nil {
		return Issued{}, event.Receipt{}, err
	}
	issued := c.draw(by, in.ID, in.Purpose, in.Letter)
	var created account.Created
	if in.Purpose.ByPhone() {
		created.Personal.Phone, created.PhoneTarget = in.Phone, NewID()
	} else {
		created.Personal.Email, created.EmailTarget = in.Email, NewID()
	}
	var after account.Account
	receipt, err := c.holdAddress(ctx, by, in.ID, name, func(a account.Account, hold account.Hold) ([]account.Event, error) {
		if in.Purpose.ByPhone() {
			created.PhoneHold = hold
		} else {
			created.EmailHold = hold
		}
		after = a.Evolve(issued.At, created)
		return a.CreateAndSend(created, issued.TokenIssued, issued.At)
	})
	issued.Secret = c.secretOf(by.Project, in.ID)(after, issued.token())
	return issued, receipt, err
}

// IssueRecoveryToken sends a secret to set a new password with. account.ErrUnknown when nobody has the address. Where
// answers are uniform, what cannot be sent is answered as if it had been.
func (c *Commands) IssueRecoveryToken(ctx context.Context, by Caller, email account.Email, letter Letter) (Issued, event.Receipt, error) {
	issued, receipt, err := c.issueRecovery(ctx, by, email, letter)
	return c.orImagined(by, account.ForRecovery, letter, issued, receipt, err)
}

// orImagined gives what came of issuing a token. Where answers are uniform and it tells of an account, it gives a token
// instead that nobody was sent, of an account that nobody has.
func (c *Commands) orImagined(by Caller, purpose account.Purpose, letter Letter, issued Issued, at event.Receipt, err error) (Issued, event.Receipt, error) {
	if by.Uniform() && tellsOfAccount(err) {
		return c.draw(by, NewID(), purpose, letter), event.Receipt{}, nil
	}
	return issued, at, err
}

// tellsOfAccount says that a refusal to send tells whether there is an account, or something of it.
func tellsOfAccount(err error) bool {
	return slices.ContainsFunc([]error{
		account.ErrUnknown, account.ErrBlocked, account.ErrGuessingCodes, account.ErrAddressUnproved, account.ErrNumberUnproved, ErrTooManyAccounts,
	}, func(telling error) bool { return errors.Is(err, telling) })
}

func (c *Commands) issueRecovery(ctx context.Context, by Caller, email account.Email, letter Letter) (Issued, event.Receipt, error) {
	owner, _, err := c.owner(ctx, by, c.EmailClaim(email))
	switch {
	case err != nil:
		return Issued{}, event.Receipt{}, err
	case owner == "":
		return Issued{}, event.Receipt{}, account.ErrUnknown
	}
	return c.issue(ctx, by, owner, account.ForRecovery, letter)
}

// IssueVerificationToken sends a secret that proves an address or a number of the account.
func (c *Commands) IssueVerificationToken(ctx context.Context, by Caller, id string, purpose account.Purpose, letter Letter) (Issued, event.Receipt, error) {
	return c.issue(ctx, by, id, purpose, letter)
}

func (c *Commands) issue(ctx context.Context, by Caller, id string, purpose account.Purpose, letter Letter) (Issued, event.Receipt, error) {
	issued := c.draw(by, id, purpose, letter)
	receipt, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		issued.Secret = c.secretOf(by.Project, id)(a, issued.token())
		return a.IssueToken(issued.TokenIssued)
	})
	return issued, receipt, err
}

// draw makes all of a token that cannot be predicted.
func (c *Commands) draw(by Caller, account string, purpose account.Purpose, letter Letter) Issued {
	issued := Issued{AccountID: account, At: c.now()}
	issued.ID, issued.Purpose, issued.Expires = NewID(), purpose, issued.At.Add(purpose.Lifetime())
	issued.Locale, issued.Personal.URL = by.Locale, letter.URL
	if letter.Phrase {
		issued.Personal.Phrase = phrase()
	}
	return issued
}

func (i Issued) token() account.Token {
	return account.Token{ID: i.ID, Purpose: i.Purpose, Expires: i.Expires}
}

// SignInWithToken starts a session for a secret that was sent for one of the purposes.
func (c *Commands) SignInWithToken(ctx context.Context, by Caller, id, secret string, purposes ...account.Purpose) (StartedSession, event.Receipt, error) {
	session := c.newSession(by, id)
	session.Locale = by.Locale // a number that this proves is told of, alerts or not
	by = by.as(id)
	receipt, err := c.redeem(ctx, by, id, secret, purposes, func(a account.Account, t account.Token) ([]account.Event, error) {
		events, err := a.SignInWithToken(t, session.SessionStarted, by.Project.Auth.SessionLimit, by.Project.Auth.SessionAlerts, session.At)
		if err == nil {
			session.SessionStarted = events[len(events)-1].(account.SessionStarted)
		}
		return events, err
	})
	return session, receipt, err
}

// Verify proves an address or a number by the secret that was sent there.
func (c *Commands) Verify(ctx context.Context, by Caller, id, secret string, purpose account.Purpose) (account.Token, event.Receipt, error) {
	if err := c.known(ctx, by, id); err != nil {
		return account.Token{}, event.Receipt{}, err
	}
	var used account.Token
	receipt, err := c.redeem(ctx, by, id, secret, []account.Purpose{purpose}, func(a account.Account, t account.Token) ([]account.Event, error) {
		used = t
		return a.Verify(t, by.Locale)
	})
	return used, receipt, err
}

// Recover sets a new password by the secret that was sent for it.
func (c *Commands) Recover(ctx context.Context, by Caller, id, secret, password string) (account.Token, event.Receipt, error) {
	if err := c.known(ctx, by, id); err != nil {
		return account.Token{}, event.Receipt{}, err
	}
	current, err := c.account(ctx, by, id)
	if err != nil {
		return account.Token{}, event.Receipt{}, err
	}
	a := current.state
	used, ok, _ := a.FindToken(secret, c.secretOf(by.Project, id), c.now(), account.ForRecovery)
	if !ok {
		return account.Token{}, event.Receipt{}, account.ErrTokenInvalid // before the time of a hash is spent on it
	}
	if err := c.notRecent(ctx, by, a, password); err != nil {
		return account.Token{}, event.Receipt{}, err
	}
	hash, err := c.Passwords.Hash(ctx, password)
	if err != nil {
		return account.Token{}, event.Receipt{}, err
	}
	receipt, err := c.redeem(ctx, by, id, secret, []account.Purpose{account.ForRecovery}, func(a account.Account, t account.Token) ([]account.Event, error) {
		return a.Recover(t, hash, by.Project.Auth.InvalidateSessions, by.Locale)
	})
	return used, receipt, err
}

// known refuses an account that is none. Projects that keep to themselves who is registered let the secret be wrong
// instead.
func (c *Commands) known(ctx context.Context, by Caller, id string) error {
	current, err := c.account(ctx, by, id)
	if err != nil || current.state.Exists() || by.Project.Auth.Privacy {
		return err
	}
	return account.ErrUnknown
}

// redeem uses the token that a secret is of, of those sent for one of the purposes; it is used up by the events that
// decide gives. A wrong code is recorded before it is refused: that is what bounds the guesses, whoever asks at once.
func (c *Commands) redeem(ctx context.Context, by Caller, id, secret string, purposes []account.Purpose,
	decide func(account.Account, account.Token) ([]account.Event, error),
) (event.Receipt, error) {
	invalid := false
	receipt, err := c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) {
		t, ok, wrong := a.FindToken(secret, c.secretOf(by.Project, id), c.now(), purposes...)
		if invalid = !ok; invalid {
			return wrong, nil
		}
		return decide(a, t)
	})
	if err == nil && invalid {
		err = account.ErrTokenInvalid
	}
	return receipt, err
}

// CanUse says whether a token that was issued could be used now.
func (c *Commands) CanUse(ctx context.Context, by Caller, id string, e account.TokenIssued) (bool, error) {
	current, err := c.account(ctx, by, id)
	return current.state.CanUse(e.Purpose, e.ID, c.now()), err
}

// Secret derives the secret of a token that was issued, so that a letter can be written at any time.
func (c *Commands) Secret(p *project.Project, id string, e account.TokenIssued) string {
	a := account.Account{Phone: account.Phone(e.Personal.To)}
	return c.secretOf(p, id)(a, account.Token{ID: e.ID, Purpose: e.Purpose})
}

// secretOf derives the secrets of an account's tokens: six digits for codes, otherwise hex. Nothing that the log holds
// tells them without TokenKey. A mock number's code is the configured one.
func (c *Commands) secretOf(p *project.Project, id string) account.SecretOf {
	return func(a account.Account, t account.Token) string {
		if t.Purpose.ByPhone() {
			if mock, ok := p.MockNumber(string(a.Phone)); ok {
				return mock.OTP
			}
		}
		secret := c.derive(secretBytes(t.Purpose), p.ID, id, t.ID, string(t.Purpose))
		if t.Purpose.IsCode() {
			return fmt.Sprintf("%06d", binary.BigEndian.Uint64(secret)%1_000_000)
		}
		return hex.EncodeToString(secret)
	}
}

// secretBytes is how long secrets are in the reference, which reads them out of its links by their length.
func secretBytes(p account.Purpose) int {
	switch {
	case p.IsCode():
		return 8
	case p == account.ForMagicURL || p == account.ForOAuth:
		return 32
	default:
		return 128
	}
}
