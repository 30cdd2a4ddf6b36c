package ratelimit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actahq/acta/domain/refusal"
)

// ErrAway: Postgres cannot say whether the call is allowed, so it is not.
var ErrAway = refusal.New(refusal.Unavailable, "general_rate_limit_unavailable",
	"The server cannot check the rate limit right now. Please try again later.").After(2 * time.Second)

// patience is how long Postgres is waited for before it is said to be away.
const patience = time.Second

// Postgres is a Limiter whose counters are shared by all instances that use the same database and the same key. They
// survive a restart of the instances, and of Postgres unless it crashes: the table is not logged.
//
// It is safe for concurrent use and keeps nothing running; closing the pool is up to its owner.
type Postgres struct {
	pool *pgxpool.Pool
	key  []byte
	now  func() time.Time
	max  int          // counters; see sweep for what happens beyond
	used atomic.Int64 // keys, since the start
}

// NewPostgres makes a limiter that keeps its counters in the table rate_limits, which the first call makes. The key is
// any secret that all instances share; it keeps addresses out of the database. The instances' clocks should agree to
// within a second: while they stand in different windows, each window's limit counts.
//
// The pool's transactions have to be READ COMMITTED, as they are in Postgres where nobody changed that, and its
// connect_timeout should be short: closing the pool waits for connections under way.
func NewPostgres(pool *pgxpool.Pool, key []byte, now func() time.Time) *Postgres {
	return &Postgres{pool: pool, key: key, now: now, max: maxCounters}
}

// Take does what a Limiter's does, for all instances together. The error is ErrMisuse, ErrAway or the context's.
func (p *Postgres) Take(ctx context.Context, limit int, length time.Duration, keys ...string) (Decision, error) {
	if limit <= 0 || length <= 0 || len(keys) == 0 {
		return Decision{}, ErrMisuse
	}
	now := p.now()
	_, end := bounds(now, length)
	d := Decision{Limit: limit, Reset: time.Unix(0, end).UTC()}
	before, counted, err := p.count(ctx, limit, d.Reset, p.hash(length, keys))
	if err != nil {
		return Decision{}, away(ctx, err)
	}
	if !counted {
		return d, nil
	}
	d.Allowed, d.Remaining = true, limit-before-1
	if n := int64(len(keys)); p.used.Add(n)%sweepEvery < n {
		p.sweep(ctx, now) // an error here will meet the next one who asks for something
	}
	return d, nil
}

// hash gives what stands for the keys in the table: 128 bits of HMAC-SHA-256 of window length and key. They are in
// order, lest two calls with the same keys wait for each other.
func (p *Postgres) hash(length time.Duration, keys []string) [][]byte {
	hashes := make([][]byte, len(keys))
	for i, k := range keys {
		h := hmac.New(sha256.New, p.key)
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(length)))
		h.Write([]byte(k))
		hashes[i] = h.Sum(nil)[:16]
	}
	slices.SortFunc(hashes, bytes.Compare)
	return hashes
}

// A row is a counter in one window, so that instances on either side of a window's end do not disturb each other. Rows
// are found, and when they have ended removed, by the one index there is. Counting changes no indexed column, and leaves
// room for itself on the page.
const schema = `
CREATE UNLOGGED TABLE IF NOT EXISTS rate_limits (
	ends timestamptz,
	key  bytea,
	hits integer NOT NULL,
	PRIMARY KEY (ends, key)
) WITH (fillfactor = 70)`

// Two statements in one round trip and one transaction. The first adds the counters that are missing, and waits for
// others who are about to add the same. The second, which sees all of them, locks them, looks, and counts. When a counter
// is seen at the limit, both leave everything as it is, so that a flood of refused calls writes nothing.
//
// No two calls wait for each other: rows are added in order, and then locked in order. Who locks wants rows that were
// committed before, and so never waits for somebody who adds.
const (
	full = `EXISTS (SELECT FROM rate_limits WHERE ends = $1 AND key = ANY($2) AND hits >= $3::bigint)`

	add = `INSERT INTO rate_limits (ends, key, hits)
		SELECT $1::timestamptz, key, 0 FROM unnest($2::bytea[]) AS new (key) WHERE NOT ` + full + `
		ON CONFLICT DO NOTHING`

	count = `WITH
		locked AS (SELECT hits FROM rate_limits WHERE ends = $1 AND key = ANY($2) AND NOT ` + full + ` ORDER BY key FOR UPDATE),
		highest AS (SELECT max(hits) AS hits FROM locked HAVING max(hits) < $3::bigint),
		counted AS (UPDATE rate_limits AS r SET hits = r.hits + 1 FROM highest WHERE ends = $1 AND key = ANY($2))
		SELECT hits FROM highest`
)

// count counts a call unless a counter is at the limit, and gives the highest counter before it.
func (p *Postgres) count(ctx context.Context, limit int, ends time.Time, hashes [][]byte) (before int, counted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before, err = p.ask(ctx, limit, ends, hashes)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == "42P01" { // undefined_table
		if err = p.makeTable(ctx); err == nil {
			before, err = p.ask(ctx, limit, ends, hashes)
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, false, nil
	}
	return before, err == nil, err
}

func (p *Postgres) ask(ctx context.Context, limit int, ends time.Time, hashes [][]byte) (before int, err error) {
	var b pgx.Batch
	b.Queue(add, ends, hashes, limit)
	b.Queue(count, ends, hashes, limit)
	answers := p.pool.SendBatch(ctx, &b)
	defer func() { err = errors.Join(err, answers.Close()) }()
	if _, err := answers.Exec(); err != nil {
		return 0, err
	}
	return before, answers.QueryRow().Scan(&before)
}

// makeTable makes the table. IF NOT EXISTS alone is not enough when two instances do so at once.
func (p *Postgres) makeTable(ctx context.Context) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('acta rate limits', 0))`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

// away says what an error of Postgres means to those who limit calls.
func away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err() // the caller gave up
	}
	return fmt.Errorf("%w (%w)", ErrAway, err)
}
