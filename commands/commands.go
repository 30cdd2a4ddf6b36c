// Package commands is what can be asked of Acta: one struct, one method per use case.
//
// A command gathers what cannot be predicted (the time, ids, hashes, secrets), asks the domain for a decision and
// appends the events it gave. It answers with a receipt: what was asked is done and durable as of that position. It
// does not know HTTP, SQL or read models.
package commands

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// Log is the event log, personal data in clear. Package event tells what it must guarantee.
type Log interface {
	// Append stores the events after the expected revision (event.NoStream = the stream is new).
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error)
	// Read gives at most limit events from a revision on, in a direction. A stream that does not exist has none.
	Read(ctx context.Context, stream string, from int64, direction event.Direction, limit int) ([]event.Recorded, error)
}

// Hasher hashes and checks passwords, a bounded number at once. It refuses at once when too many wait.
type Hasher interface {
	Hash(ctx context.Context, password string) (phc string, err error)
	Verify(ctx context.Context, password, phc string) (ok, outdated bool, err error)
	// Dummy takes as long as Verify.
	Dummy(ctx context.Context, password string) error
}

// Needs is what commands are made of.
type Needs struct {
	Log           Log
	Passwords     Hasher
	CountAccounts func(ctx context.Context, project string) (int, error)
	ClaimKey      []byte           // names claims: a keyed hash keeps addresses out of stream names
	TokenKey      []byte           // one-time secrets are derived from it; 32 bytes
	Now           func() time.Time // wall clock
	// Observe, when set, is told the outcome of every append: nil, event.ErrConflict, ... and how long it took.
	Observe func(err error, took time.Duration)
}

// Commands is what can be asked.
type Commands struct {
	Needs
	accounts *lru.Cache[string, folded[account.Account]]
	turns    *turns
}

// rememberedAccounts is how many folded accounts are kept; each takes one or two kilobytes.
const rememberedAccounts = 8192

// New makes commands.
func New(needs Needs) *Commands {
	accounts, err := lru.New[string, folded[account.Account]](rememberedAccounts)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &Commands{Needs: needs, accounts: accounts, turns: newTurns()}
}

// Caller is who asks, and from where: what every event's metadata tells.
type Caller struct {
	Project   *project.Project
	Actor     event.Actor
	Request   string // id of the request
	IP        string
	UserAgent string
	Cause     string // id of the event that this follows from; empty for requests
	Locale    string // the language of letters, as the client asks for it; may be empty
}

// Uniform says that the caller is answered alike whoever has an address, as the project asks for: servers with a key are
// told, everybody else is not.
func (by Caller) Uniform() bool {
	return by.Project.Auth.Privacy && by.Actor.Kind != event.ActorKey
}

// as is the caller who has become an account by what they did: what they do next they do as that account.
func (by Caller) as(id string) Caller {
	if by.Actor.Kind == event.ActorGuest {
		by.Actor = event.Actor{Kind: event.ActorUser, ID: id}
	}
	return by
}

// now is the time as events keep it.
func (c *Commands) now() time.Time { return c.Now().UTC().Truncate(time.Millisecond) }

// NewID draws an id for an account, a session and the like: 20 lower-case hex digits, as the client libraries make them.
func NewID() string { return randomHex(10) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails: it ends the process instead
	return hex.EncodeToString(b)
}

// AccountStream names the stream of an account.
func AccountStream(project, id string) string { return "account-" + project + "." + id }

func claimStream(project, name string) string { return "claim-" + project + "." + name }

// account gives an account's state and where its stream stands.
func (c *Commands) account(ctx context.Context, by Caller, id string) (folded[account.Account], error) {
	stream := AccountStream(by.Project.ID, id)
	known, _ := c.accounts.Get(stream)
	current, err := fold(ctx, c.Log, stream, account.Contract, known)
	if err == nil && current.next > known.next {
		c.accounts.Add(stream, current)
	}
	return current, err
}

// changeAccount decides on an account and appends, deciding again when somebody else was faster.
func (c *Commands) changeAccount(ctx context.Context, by Caller, id string, decide func(account.Account) ([]account.Event, error)) (event.Receipt, error) {
	stream := AccountStream(by.Project.ID, id)
	// One at a time in this process: it saves conflicts, it does not replace them.
	done, err := c.turns.take(ctx, stream)
	if err != nil {
		return event.Receipt{}, err
	}
	defer done()
	for range maxConflicts {
		current, err := c.account(ctx, by, id)
		if err != nil {
			return event.Receipt{}, err
		}
		receipt, err := c.appendAccount(ctx, by, id, current, decide)
		if !isConflict(err) {
			return receipt, err
		}
	}
	return event.Receipt{}, ErrContended
}

// appendAccount decides on a known state of an account and appends exactly there: event.ErrConflict when it moved on.
func (c *Commands) appendAccount(ctx context.Context, by Caller, id string, current folded[account.Account], decide func(account.Account) ([]account.Event, error)) (event.Receipt, error) {
	events, err := decide(current.state)
	if err != nil || len(events) == 0 {
		return current.receipt(), err
	}
	at := c.now()
	after := current.state
	for _, e := range events {
		after = after.Evolve(at, e)
	}
	proposed, err := propose(events, by.metadata(at, by.trace(current.state, after)))
	if err != nil {
		return event.Receipt{}, err
	}
	stream := AccountStream(by.Project.ID, id)
	receipt, err := c.append(ctx, stream, current.next-1, proposed)
	if err != nil {
		return event.Receipt{}, err
	}
	c.accounts.Add(stream, folded[account.Account]{after, receipt.Revision + 1, receipt.Position})
	for _, e := range events {
		for _, hold := range account.LetGo(e) {
			if !after.Holds(hold.Claim) {
				// So that it is free by the time we answer. If we crash here, the process that follows the log does it.
				_ = c.ReleaseClaim(ctx, by, id, hold)
			}
		}
	}
	return receipt, nil
}

// change decides on what a short stream tells and appends, deciding again when somebody else was faster.
func change[S evolving[S, E], E event.Fact](ctx context.Context, c *Commands, by Caller, stream string, contract event.Contract[E], decide func(S) ([]E, error)) (event.Receipt, error) {
	for range maxConflicts {
		current, err := fold(ctx, c.Log, stream, contract, folded[S]{})
		if err != nil {
			return event.Receipt{}, err
		}
		events, err := decide(current.state)
		if err != nil || len(events) == 0 {
			return current.receipt(), err
		}
		proposed, err := propose(events, by.metadata(c.now(), nil))
		if err != nil {
			return event.Receipt{}, err
		}
		receipt, err := c.append(ctx, stream, current.next-1, proposed)
		if !isConflict(err) {
			return receipt, err
		}
	}
	return event.Receipt{}, ErrContended
}

func (c *Commands) changeClaim(ctx context.Context, by Caller, name string, decide func(claim.Claim) ([]claim.Event, error)) (event.Receipt, error) {
	return change(ctx, c, by, claimStream(by.Project.ID, name), claim.Contract, decide)
}

// claim gives a claim's state.
func (c *Commands) claim(ctx context.Context, by Caller, name string) (claim.Claim, error) {
	current, err := fold(ctx, c.Log, claimStream(by.Project.ID, name), claim.Contract, folded[claim.Claim]{})
	if err != nil {
		return claim.Claim{}, fmt.Errorf("read the claim: %w", err)
	}
	return current.state, nil
}

// trace tells where the caller came from and who the account was. What Acta does by itself leaves none: it comes from
// nowhere, and it must be possible in the stream of an account whose person was forgotten.
func (by Caller) trace(before, after account.Account) *event.Trace {
	if by.Actor.Kind == event.ActorSystem {
		return nil
	}
	if after.Deleted() {
		after = before
	}
	return &event.Trace{IP: by.IP, UserAgent: by.UserAgent, Email: string(after.Email), Name: after.Name}
}

func (by Caller) metadata(at time.Time, who *event.Trace) event.Metadata {
	return event.Metadata{
		At: at, Actor: by.Actor, Project: by.Project.ID,
		Request: by.Request, Correlation: by.Request, Causation: by.Cause,
		Personal: who,
	}
}
