package commands

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
)

// ClaimGrace is how long a claim may stand before its account must hold the address. Between the two lie a few
// milliseconds; only a crash makes it longer.
const ClaimGrace = 10 * time.Second

// EmailClaim names the claim on an e-mail address: a keyed hash over its one canonical form, so that spellings that
// reach one mailbox (case, Unicode form, IDN or punycode domain) meet in one claim.
func (c *Commands) EmailClaim(e account.Email) string {
	local, domain, _ := strings.Cut(strings.ToLower(norm.NFC.String(string(e))), "@")
	// Its error would refuse a domain (which is not the question here); what it gives is in canonical form all the same.
	domain, _ = idna.Lookup.ToASCII(domain)
	return c.claimName("email", local+"@"+domain)
}

// PhoneClaim names the claim on a phone number.
func (c *Commands) PhoneClaim(p account.Phone) string { return c.claimName("phone", string(p)) }

// IdentityClaim names the claim on a provider's account.
func (c *Commands) IdentityClaim(provider, subject string) string {
	return c.claimName("identity", provider+"\x00"+subject)
}

func (c *Commands) claimName(kind, canonical string) string {
	mac := hmac.New(sha256.New, c.ClaimKey)
	mac.Write([]byte(kind + "\x00" + canonical))
	return hex.EncodeToString(mac.Sum(nil))
}

// owner gives the account that really holds an address, or "" when none does.
func (c *Commands) owner(ctx context.Context, by Caller, name string) (string, folded[account.Account], error) {
	cl, err := c.claim(ctx, by, name)
	if err != nil || cl.Owner == "" {
		return "", folded[account.Account]{}, err
	}
	current, err := c.account(ctx, by, cl.Owner)
	if err != nil || !current.state.Holds(name) {
		return "", current, err
	}
	return cl.Owner, current, nil
}

// holdAddress makes an address an account's own, as holdAddresses does with several.
func (c *Commands) holdAddress(ctx context.Context, by Caller, id, name string, decide func(account.Account, account.Hold) ([]account.Event, error)) (event.Receipt, error) {
	return c.holdAddresses(ctx, by, id, []string{name}, func(a account.Account, holds []account.Hold) ([]account.Event, error) { return decide(a, holds[0]) })
}

// holdAddresses makes addresses an account's own: it takes their claims and lets the account say so, in that order.
//
// The account's state is read before the claims are taken, and the append goes exactly there. Whoever finds a claim
// standing without its account holding the address writes to the account's stream first (lapse) and takes the claim
// after. So a command that was slow, or that a crash brought back, meets a conflict and starts again with a new
// taking; two accounts can never come to hold one address. decide is given a hold for each name, in their order.
func (c *Commands) holdAddresses(ctx context.Context, by Caller, id string, names []string, decide func(account.Account, []account.Hold) ([]account.Event, error)) (event.Receipt, error) {
	done, err := c.turns.take(ctx, AccountStream(by.Project.ID, id))
	if err != nil {
		return event.Receipt{}, err
	}
	defer done()
	var took []account.Hold
	giveBack := func() {
		for _, hold := range took {
			// Should giving it back fail, the process will.
			_ = c.RepairClaim(ctx, by, id, hold)
		}
	}
	for range maxConflicts {
		current, err := c.account(ctx, by, id)
		if err != nil {
			return event.Receipt{}, err
		}
		holds := make([]account.Hold, len(names))
		for i, name := range names {
			holds[i] = account.Hold{Claim: name, Taking: randomHex(16)}
		}
		// Ask before taking: what is refused or already so needs no claim.
		if events, err := decide(current.state, holds); err != nil || len(events) == 0 {
			giveBack() // somebody decided this after the claims were taken
			return current.receipt(), err
		}
		took = nil
		for _, hold := range holds {
			if err := c.takeClaim(ctx, by, id, hold); err != nil {
				giveBack()
				return event.Receipt{}, err
			}
			took = append(took, hold)
		}
		receipt, err := c.appendAccount(ctx, by, id, current, func(a account.Account) ([]account.Event, error) { return decide(a, holds) })
		if isConflict(err) {
			continue
		}
		return receipt, err
	}
	return event.Receipt{}, ErrContended
}

// takeClaim takes a claim, from a taking that lapsed if need be.
func (c *Commands) takeClaim(ctx context.Context, by Caller, owner string, hold account.Hold) error {
	lapsed := ""
	for range 2 {
		var held claim.Claim
		_, err := c.changeClaim(ctx, by, hold.Claim, func(cl claim.Claim) ([]claim.Event, error) {
			held = cl
			return cl.Take(owner, hold.Taking, lapsed)
		})
		if !errors.Is(err, claim.ErrTaken) {
			return err
		}
		if c.now().Sub(held.Since).Abs() < ClaimGrace { // one that lies far ahead was written by a clock that was wrong
			return claim.ErrTaken // its owner may be on the way
		}
		if err := c.lapse(ctx, by, held.Owner, hold.Claim); err != nil {
			if errors.Is(err, account.ErrExists) {
				return claim.ErrTaken
			}
			return err
		}
		lapsed = held.Taking
	}
	return claim.ErrTaken
}

// lapse makes sure that an account that does not hold a claimed address cannot come to hold it by this claim.
// account.ErrExists when it does hold it.
func (c *Commands) lapse(ctx context.Context, by Caller, owner, name string) error {
	system := Caller{Project: by.Project, Actor: event.Actor{Kind: event.ActorSystem}, Request: by.Request, Cause: by.Cause}
	current, err := c.account(ctx, system, owner)
	if err != nil {
		return err
	}
	for range maxConflicts {
		_, err = c.appendAccount(ctx, system, owner, current, func(a account.Account) ([]account.Event, error) { return a.LapseClaim(name) })
		if !isConflict(err) {
			return err
		}
		if current, err = c.account(ctx, system, owner); err != nil {
			return err
		}
	}
	return ErrContended
}

// ReleaseClaim frees an address that its account let go.
func (c *Commands) ReleaseClaim(ctx context.Context, by Caller, owner string, hold account.Hold) error {
	standing, err := c.release(ctx, by, hold)
	if err == nil && standing.Owner == owner && standing.Taking != hold.Taking {
		// The account took the address again since, and may hold it or be on the way to it; or nothing came of it
		// while it still held the address, and then nobody else will look after that taking.
		return c.RepairClaim(ctx, by, owner, account.Hold{Claim: hold.Claim, Taking: standing.Taking})
	}
	return err
}

// RepairClaim frees an address whose taking came to nothing, because of a crash between the claim and the account.
// An address that was taken again since stays: that taking is looked after in its turn.
func (c *Commands) RepairClaim(ctx context.Context, by Caller, owner string, hold account.Hold) error {
	standing, err := c.claim(ctx, by, hold.Claim)
	if err != nil || standing.Owner != owner || standing.Taking != hold.Taking {
		return err
	}
	switch err := c.lapse(ctx, by, owner, hold.Claim); {
	case errors.Is(err, account.ErrExists):
		return nil // it holds the address after all
	case err != nil:
		return err
	}
	_, err = c.release(ctx, by, hold)
	return err
}

// release frees the claim if it is still this taking's, and tells what it found.
func (c *Commands) release(ctx context.Context, by Caller, hold account.Hold) (found claim.Claim, err error) {
	_, err = c.changeClaim(ctx, by, hold.Claim, func(cl claim.Claim) ([]claim.Event, error) {
		found = cl
		return cl.Release(hold.Taking)
	})
	return found, err
}
