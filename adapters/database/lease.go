package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/uptrace/bun"
)

// ErrLost: this instance does not hold the lease any more. What it was about to store was not stored.
var ErrLost = errors.New("the lease is another instance's now")

// Without a word for leaseTime, a holder has lost its lease. It renews much more often, so that one lost packet costs
// nothing, and the others look as often as a clean stop should be noticed.
const (
	leaseTime  = 2 * time.Second
	renewEvery = 500 * time.Millisecond
	lookEvery  = 200 * time.Millisecond
)

// What a holder needs besides Postgres is asked for every askEvery, for as long as askTime. A holder who has been without
// it for unfitTime gives its leases up.
const (
	askEvery  = 500 * time.Millisecond
	askTime   = time.Second
	unfitTime = 2 * time.Second
)

// errUnfit: this instance cannot do what it holds the lease for. Another one may.
var errUnfit = errors.New("this instance lacks what it needs besides its lease")

// lease is the right to do alone what name says. It travels in the context that Hold gives.
type lease struct {
	name  string
	token int64
}

type leaseKey struct{}

// Hold runs while: a file has no other instances.
func (d *DB) Hold(ctx context.Context, _ string, while func(context.Context) error) error {
	return while(ctx)
}

// Hold waits until no other instance holds the lease of that name, and runs while under it. When the lease is lost,
// because the server was away or this process stood still, the context of while ends, and it is run again as soon as
// the lease is ours again. So it is when what HoldOnlyWhile names is away: the lease is given up to whoever has it. Hold
// returns what while returns when nothing was lost, or the context's error.
//
// What while stores by Update or Save under its context is refused once another holds the lease. Anything else it does
// may overlap with what its successor does, for as long as it takes to notice.
func (p *Postgres) Hold(ctx context.Context, name string, while func(context.Context) error) error {
	for {
		l, until, err := p.acquire(ctx, name)
		if err != nil {
			return err
		}
		if err := p.keep(ctx, l, until, while); !errors.Is(err, ErrLost) && !errors.Is(err, errUnfit) {
			return err
		}
	}
}

// acquire waits for the lease. It is ours until the moment it gives, by our clock.
func (p *Postgres) acquire(ctx context.Context, name string) (lease, time.Time, error) {
	for {
		if p.needs.met(ctx) == nil {
			asked := time.Now()
			token, err := p.take(ctx, name)
			if err == nil {
				return lease{name, token}, asked.Add(leaseTime), nil
			}
		}
		// Another's, or the server is away: those who read or project say so.
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return lease{}, time.Time{}, ctx.Err()
		}
	}
}

// take takes the lease if it is nobody's, by the server's clock; sql.ErrNoRows says that it is somebody's. Taking it
// waits for a transaction that is fenced by it, and so comes after it or makes it fail.
func (p *Postgres) take(ctx context.Context, name string) (token int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaseTime)
	defer cancel()
	err = p.write.NewRaw(`
		INSERT INTO leases AS l (name, holder, token, expires)
		SELECT ?0, ?1, 1, clock_timestamp() + ?2::interval
		WHERE NOT EXISTS (SELECT FROM leases WHERE name = ?0 AND expires > clock_timestamp())
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = l.token + 1, expires = clock_timestamp() + ?2::interval
		WHERE l.expires <= clock_timestamp()
		RETURNING token`, name, p.holder, leaseTime.String()).Scan(ctx, &token)
	return token, err
}

// keep runs while until it returns, and gives the lease up. While ends what it began after its context has ended, and
// nobody may begin before that is done: until then the lease is renewed.
func (p *Postgres) keep(ctx context.Context, l lease, until time.Time, while func(context.Context) error) error {
	held, end := context.WithCancelCause(context.WithValue(ctx, leaseKey{}, l))
	keeping, done := context.WithCancel(context.WithoutCancel(ctx))
	var renewing sync.WaitGroup
	renewing.Go(func() { end(p.renew(keeping, l, until)) })
	renewing.Go(func() { end(p.attend(held)) })
	err := while(held)
	end(nil)
	done()
	renewing.Wait()
	if errors.Is(context.Cause(held), ErrLost) {
		return ErrLost
	}
	p.release(ctx, l)
	if errors.Is(context.Cause(held), errUnfit) {
		return errUnfit
	}
	return err
}

// attend waits until the context ends, or what is needed has been away for too long.
func (p *Postgres) attend(ctx context.Context) error {
	well := time.Now()
	for {
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return nil
		}
		switch err := p.needs.met(ctx); {
		case err == nil:
			well = time.Now()
		case ctx.Err() == nil && time.Since(well) >= unfitTime:
			return fmt.Errorf("%w: %w", errUnfit, err)
		}
	}
}

// needs is what the leases of an instance are worth nothing without.
type needs struct {
	mu    sync.Mutex
	ready func(context.Context) error // nil = nothing
	asked time.Time
	said  error
}

// HoldOnlyWhile names what this instance needs to do what it holds leases for. Call it before Hold.
func (p *Postgres) HoldOnlyWhile(ready func(context.Context) error) { p.needs.ready = ready }

// met says whether it is there. All leases ask; it is asked once in askEvery.
func (n *needs) met(ctx context.Context) error {
	if n.ready == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Since(n.asked) < askEvery {
		return n.said
	}
	asking, done := context.WithTimeout(ctx, askTime)
	defer done()
	err := n.ready(asking)
	if ctx.Err() == nil { // who did not wait for the answer has none for the others
		n.said, n.asked = err, time.Now()
	}
	return err
}

// renew renews the lease until the context ends, or the lease is lost.
func (p *Postgres) renew(ctx context.Context, l lease, until time.Time) error {
	for {
		select {
		case <-time.After(renewEvery):
		case <-ctx.Done():
			return nil
		}
		asked := time.Now()
		switch ours, err := p.extend(ctx, l); {
		case err == nil && ours:
			until = asked.Add(leaseTime)
		case err == nil:
			return ErrLost
		case ctx.Err() == nil && time.Now().After(until):
			return fmt.Errorf("%w, or nobody's: %w", ErrLost, err)
		}
	}
}

func (p *Postgres) extend(ctx context.Context, l lease) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, renewEvery) // another connection may do better
	defer cancel()
	done, err := p.write.NewRaw("UPDATE leases SET expires = clock_timestamp() + ?::interval WHERE name = ? AND token = ?",
		leaseTime.String(), l.name, l.token).Exec(ctx)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// release lets the next one begin at once. What if we crash here, or the server is away: it begins when the lease expires.
func (p *Postgres) release(ctx context.Context, l lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	_, _ = p.write.NewRaw("UPDATE leases SET holder = '', expires = clock_timestamp() WHERE name = ? AND token = ?", l.name, l.token).Exec(ctx)
}

// fence lets a transaction go on if its context holds no lease, or one that is still ours. Nobody takes it before the
// transaction has ended: whoever wants to waits for this lock, at most until the server ends a holder that stands still.
func fence(ctx context.Context, tx bun.Tx) error {
	l, leased := ctx.Value(leaseKey{}).(lease)
	if !leased {
		return nil
	}
	var token int64
	err := tx.NewRaw("SELECT token FROM leases WHERE name = ? AND token = ? FOR KEY SHARE", l.name, l.token).Scan(ctx, &token)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", l.name, ErrLost)
	}
	return err
}
