package ratelimit

import (
	"context"
	"time"
)

// For each sweepEvery keys that calls were counted under, one call removes up to swept counters, which is more than there
// can be new ones. That takes it a few milliseconds.
const (
	sweepEvery = 128
	swept      = 256
	sampled    = 20 * swept // at least, when the lowest are sought
)

// lag is how far the clock of another instance may be behind. It still counts where we see an end.
const lag = time.Minute

// Rows that are locked stay where they are, so that their places name them, whatever the plan.
const (
	removeEnded = `DELETE FROM rate_limits WHERE ctid = ANY (ARRAY (
		SELECT ctid FROM rate_limits WHERE ends < $1 ORDER BY ends, key LIMIT $2 FOR UPDATE SKIP LOCKED))`

	// As evict does it: the lowest of some taken at random. How many counters there are, Postgres' statistics know, a
	// second or so late.
	removeLowest = `DELETE FROM rate_limits WHERE ctid = ANY (ARRAY (
		SELECT ctid FROM rate_limits TABLESAMPLE SYSTEM ($3)
		WHERE pg_stat_get_live_tuples('rate_limits'::regclass) > $1 ORDER BY hits LIMIT $2 FOR UPDATE SKIP LOCKED))`
)

// sweep removes counters whose window has ended and, when there are too many, some of the lowest. It waits for nobody.
func (p *Postgres) sweep(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := p.pool.Exec(ctx, removeEnded, now.Add(-lag), swept); err == nil {
		_, _ = p.pool.Exec(ctx, removeLowest, p.max, swept, 100*float64(sampled)/float64(p.max))
	}
}
