package commands

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/visit"
)

// Visit is somebody's way to a provider and back. Who has its state can come back once.
type Visit struct {
	visit.Begun
	Way
	State    string // 256 random bits, hex; the provider hands it on
	Browser  string // 128 random bits, hex; their browser keeps it. Empty = a server began the visit
	Nonce    string // for the provider's ID token (OpenID Connect Core section 3.1.2.1)
	Verifier string // for PKCE (RFC 7636 section 4.1)
}

// Way is where somebody goes after a visit. What an application puts into its addresses may tell who they are.
type Way struct {
	Success string `json:"success"`
	Failure string `json:"failure"`
}

// BeginVisit sends somebody to a provider. bound: they come back with the browser they go with.
func (c *Commands) BeginVisit(ctx context.Context, by Caller, begun visit.Begun, way Way, bound bool) (Visit, error) {
	v := c.visitOf(by, randomHex(32))
	v.Way = way
	open, err := encode(way)
	if err != nil {
		return Visit{}, err
	}
	begun.Way = base64.RawURLEncoding.EncodeToString(c.sealWay(by, v.State).Seal(nil, noNonce, open, nil))
	begun.Expires = c.now().Add(visit.Lifetime)
	if bound {
		v.Browser = randomHex(16)
		begun.Browser = HashSecret(v.Browser)
	}
	v.Begun = begun
	return v, c.changeVisit(ctx, by, v.State, func(s visit.Visit) ([]visit.Event, error) { return s.Begin(begun) })
}

// EndVisit lets somebody come back from a provider: once, in time, and with the browser they went with. visit.ErrUnknown
// otherwise; what the visit was about is given all the same once the browser is theirs.
func (c *Commands) EndVisit(ctx context.Context, by Caller, provider, state, browser string) (Visit, error) {
	v, now := c.visitOf(by, state), c.now()
	err := c.changeVisit(ctx, by, state, func(s visit.Visit) ([]visit.Event, error) {
		events, err := s.End(provider, HashSecret(browser), now)
		if err == nil {
			v.Begun = s.Begun
		}
		return events, err
	})
	if err != nil {
		return v, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(v.Begun.Way)
	if err == nil {
		var open []byte
		if open, err = c.sealWay(by, state).Open(nil, noNonce, sealed, nil); err == nil {
			err = json.Unmarshal(open, &v.Way)
		}
	}
	if err != nil {
		return v, fmt.Errorf("open the way of a visit: %w", err)
	}
	return v, nil
}

// noNonce will do: the key of a state seals once.
var noNonce = make([]byte, 12)

// sealWay seals, and opens, by a key that only who has the state can have derived.
func (c *Commands) sealWay(by Caller, state string) cipher.AEAD {
	block, err := aes.NewCipher(c.derive(32, by.Project.ID, state, "way"))
	if err != nil {
		panic(err) // only for keys of another length
	}
	sealing, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for ciphers of another kind
	}
	return sealing
}

// visitOf derives what belongs to a state.
func (c *Commands) visitOf(by Caller, state string) Visit {
	return Visit{
		State:    state,
		Nonce:    hex.EncodeToString(c.derive(16, by.Project.ID, state, "nonce")),
		Verifier: hex.EncodeToString(c.derive(32, by.Project.ID, state, "verifier")),
	}
}

func (c *Commands) changeVisit(ctx context.Context, by Caller, state string, decide func(visit.Visit) ([]visit.Event, error)) error {
	_, err := change(ctx, c, by, "visit-"+by.Project.ID+"."+c.claimName("visit", state), visit.Contract, decide)
	return err
}

// Enter is somebody whom a provider has vouched for, on the way in.
type Enter struct {
	account.Visitor
	Account string // they are signed in to it; empty = they are not
	Session string // by which session; it ends when another one starts
	Token   bool   // a token is wanted that starts a session, not a session
}

// Entered is what somebody got who was let in: a session, or a token.
type Entered struct {
	StartedSession
	Token Issued // if asked for
}

// Enter lets somebody in whom a provider has vouched for. Which account is theirs (contract rule 7): the one they are
// signed in to; the one that their identity is connected with; the one that has their address, if both sides have
// verified it; otherwise a new one. An identity is a provider and a subject, never an address: claims make sure that it
// opens one account only.
func (c *Commands) Enter(ctx context.Context, by Caller, in Enter) (Entered, event.Receipt, error) {
	fresh := NewID() // of an account, should they need one: one id for all tries
	for range maxConflicts {
		entered, at, err := c.enter(ctx, by, in, fresh)
		switch {
		case errors.Is(err, account.ErrIdentityMoved):
			continue
		case errors.Is(err, claim.ErrTaken):
			// Somebody else is on the way to hold the identity or the address.
			select {
			case <-ctx.Done():
				return Entered{}, event.Receipt{}, ctx.Err()
			case <-time.After(claimPause):
			}
			continue
		}
		return entered, at, err
	}
	return Entered{}, event.Receipt{}, ErrContended
}

func (c *Commands) enter(ctx context.Context, by Caller, in Enter, fresh string) (Entered, event.Receipt, error) {
	withoutAddress := by.Project.Auth.Privacy && !in.EmailVerified
	if withoutAddress {
		in.Email = "" // anybody can write it into a profile, and what came of that would tell who is registered
	}
	identity := c.IdentityClaim(in.Provider, in.Subject)
	connected, _, err := c.owner(ctx, by, identity)
	if err != nil {
		return Entered{}, event.Receipt{}, err
	}
	holder := "" // of the address
	if in.Email != "" {
		if holder, _, err = c.owner(ctx, by, c.EmailClaim(in.Email)); err != nil {
			return Entered{}, event.Receipt{}, err
		}
	}
	id, why := connected, account.ByIdentity
	switch {
	case in.Account != "":
		switch {
		case connected != "" && connected != in.Account:
			return Entered{}, event.Receipt{}, account.ErrIdentityTaken
		case holder != "" && holder != in.Account:
			return Entered{}, event.Receipt{}, account.ErrVisitorHasAccount
		}
		id, why = in.Account, account.BySession
	case connected != "":
	case in.Email == "" && !withoutAddress:
		return Entered{}, event.Receipt{}, account.ErrNoProviderEmail
	case holder != "":
		id, why = holder, account.ByAddress
	default:
		if err := c.mayCreate(ctx, by); err != nil {
			return Entered{}, event.Receipt{}, err
		}
		id, why = fresh, account.AsNew
	}
	return c.enterAs(ctx, by.as(id), in, id, why, connected != "")
}

// enterAs lets somebody into an account. connected: their identity is connected with it already.
func (c *Commands) enterAs(ctx context.Context, by Caller, in Enter, id string, why account.Why, connected bool) (Entered, event.Receipt, error) {
	entered := Entered{StartedSession: c.newSession(by, id)}
	entry := account.Entry{
		Visitor: in.Visitor, Why: why, By: in.Session, IdentityID: NewID(), EmailTarget: NewID(),
		Started: entered.SessionStarted, Limit: by.Project.Auth.SessionLimit, Locale: by.Locale,
	}
	if in.Token {
		entered.Token = c.draw(by, id, account.ForOAuth, Letter{})
		entry.Token = entered.Token.TokenIssued
	}
	current, err := c.account(ctx, by, id)
	if err != nil {
		return Entered{}, event.Receipt{}, err
	}
	var names []string
	needs := func(name string) (index int) { names = append(names, name); return len(names) - 1 }
	identityAt, emailAt := -1, -1
	if !connected {
		identityAt = needs(c.IdentityClaim(in.Provider, in.Subject))
	}
	if in.Email != "" && current.state.Email == "" && (why == account.AsNew || why == account.BySession) {
		emailAt = needs(c.EmailClaim(in.Email))
	}
	entry.Identity.Claim, entry.EmailClaim = c.IdentityClaim(in.Provider, in.Subject), c.EmailClaim(in.Email)
	at, err := c.holdAddresses(ctx, by, id, names, func(a account.Account, holds []account.Hold) ([]account.Event, error) {
		if identityAt >= 0 {
			entry.Identity = holds[identityAt]
		}
		if entry.EmailHold = (account.Hold{}); emailAt >= 0 && a.Email == "" {
			entry.EmailHold = holds[emailAt]
		}
		events, err := a.Enter(entry, entered.At)
		if len(events) > 0 && !in.Token {
			entered.SessionStarted = events[len(events)-1].(account.SessionStarted)
		}
		return events, err
	})
	if in.Token && err == nil {
		entered.Token.Secret = c.Secret(by.Project, id, entered.Token.TokenIssued)
	}
	return entered, at, err
}

// RemoveIdentity disconnects a provider's account.
func (c *Commands) RemoveIdentity(ctx context.Context, by Caller, id, identity string) (event.Receipt, error) {
	return c.changeAccount(ctx, by, id, func(a account.Account) ([]account.Event, error) { return a.RemoveIdentity(identity, by.Locale) })
}
