// Package hash hashes passwords with Argon2id (RFC 9106) and checks them, a bounded number at a time.
//
// One computation takes 19 MiB and some 40 ms of a core. Unbounded, a burst of sign-ins would take the memory of the
// server; so a Pool computes a few at once, lets a few more wait, and refuses the rest at once.
//
// It does not know whose password it is, nor which passwords are acceptable.
package hash

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// ErrBusy is the answer when as many callers are waiting as may wait. Nothing was decided about the password.
var ErrBusy = refusal.New(refusal.Unavailable, "general_service_busy", "The server is busy. Please try again in a moment.").After(time.Second)

// nobody is a well-formed hash at today's cost that no password is known for.
var nobody = hashed{cost: today, Salt: make([]byte, saltSize), Tag: make([]byte, tagSize)}.String()

// Pool bounds how much hashing happens at once. It needs no closing: it computes in its callers' goroutines.
type Pool struct {
	working chan struct{} // one element per computation under way
	waiting chan struct{} // one element per caller waiting to compute
}

// New makes a pool that computes workers hashes at once, with up to queue callers waiting for their turn, in order of
// arrival. With workers < 1 it uses as many as there are CPUs to use, which respects a container's CPU limit.
func New(workers, queue int) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &Pool{
		working: make(chan struct{}, workers),
		waiting: make(chan struct{}, max(queue, 0)),
	}
}

// Hash gives the PHC string of the password with a new random salt. The whole password counts, however long; the caller
// bounds its length.
//
// Its errors are ErrBusy and, wrapped, that of a context that ended while waiting.
func (p *Pool) Hash(ctx context.Context, password string) (phc string, err error) {
	h := hashed{cost: today, Salt: make([]byte, saltSize)}
	rand.Read(h.Salt) // never fails: it ends the program when the system has no randomness
	if h.Tag, err = p.compute(ctx, h.cost, password, h.Salt, tagSize); err != nil {
		return "", err
	}
	return h.String(), nil
}

// Verify says whether the password is the one that phc was made from, and whether phc is outdated: made with other
// parameters than today's, so that a right password should be hashed anew.
//
// Its errors are those of Hash, and ErrMalformed, which it finds without computing anything.
func (p *Pool) Verify(ctx context.Context, password, phc string) (ok, outdated bool, err error) {
	h, err := parse(phc)
	if err != nil {
		return false, false, err
	}
	tag, err := p.compute(ctx, h.cost, password, h.Salt, len(h.Tag))
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(tag, h.Tag) == 1, h.outdated(), nil
}

// Dummy does what Verify does with a hash at today's cost, and tells nothing. Call it for an unknown user, so that the
// time of the answer does not say whether the account exists (OWASP ASVS 5.0, 6.3.8). Its errors are those of Hash.
func (p *Pool) Dummy(ctx context.Context, password string) error {
	_, _, err := p.Verify(ctx, password, nobody)
	return err
}

func (p *Pool) compute(ctx context.Context, c cost, password string, salt []byte, size int) ([]byte, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { <-p.working }()
	return c.compute(password, salt, size), nil
}

// enter waits for a turn. A turn that ends goes to who waits the longest, since channels serve their senders in order.
func (p *Pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil { // select would choose at random between a free worker and a caller long gone
		return fmt.Errorf("hash: %w", err)
	}
	select {
	case p.working <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.waiting <- struct{}{}:
		defer func() { <-p.waiting }()
	default:
		return ErrBusy
	}
	select {
	case p.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hash: waiting for a turn: %w", ctx.Err())
	}
}

// Stats is a pool at one moment, for metrics.
type Stats struct {
	Busy    int // computations under way
	Queued  int // callers waiting
	Workers int // most computations at once
	Queue   int // most callers waiting
}

// Stats gives the pool as it is now.
func (p *Pool) Stats() Stats {
	return Stats{Busy: len(p.working), Queued: len(p.waiting), Workers: cap(p.working), Queue: cap(p.waiting)}
}
