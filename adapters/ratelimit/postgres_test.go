package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/domain/refusal"
)

func open(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func execute(t testing.TB, pool *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), statement, arguments...); err != nil {
		t.Fatal(err)
	}
}

func rows(t testing.TB, pool *pgxpool.Pool, where string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM rate_limits WHERE "+where).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var secret = []byte("of all instances")

// Nobody has made the table yet, and all want to count at once.
func TestInstancesShareTheirLimit(t *testing.T) {
	dsn := postgrestest.Database(t)
	now := at(hour).now
	instances := []*Postgres{NewPostgres(open(t, dsn), secret, now), NewPostgres(open(t, dsn), secret, now)}
	for round := range 20 {
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if take(t, instances[i%2], 10, time.Hour, fmt.Sprint("ip:", round), fmt.Sprint("email:", round, i)).Allowed {
					allowed.Add(1)
				}
			})
		}
		all.Wait()
		if got := allowed.Load(); got != 10 {
			t.Errorf("%d of 200 allowed, want 10", got)
		}
	}
	if n := rows(t, instances[0].pool, "hits NOT IN (0, 1, 10)"); n != 0 {
		t.Errorf("%d counters count what was refused", n)
	}
}

// Calls with the same keys, new to all and named in any order, neither hold up one another for ever nor lose a count.
func TestCallsWithSeveralKeysDoNotLockUp(t *testing.T) {
	dsn := postgrestest.Database(t)
	now := at(hour).now
	instances := []*Postgres{NewPostgres(open(t, dsn), secret, now), NewPostgres(open(t, dsn), secret, now)}
	const callers, calls, keys = 8, 20, 120
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range calls {
				named := make([]string, keys)
				for n := range named {
					named[n] = fmt.Sprint("key ", (n+caller*keys/callers)%keys, " of call ", i)
				}
				take(t, instances[caller%2], callers, time.Hour, named...)
			}
		})
	}
	all.Wait()
	if n := rows(t, instances[0].pool, fmt.Sprint("hits = ", callers)); n != calls*keys {
		t.Errorf("%d counters have counted all, want %d", n, calls*keys)
	}
}

func TestAddressesAreNotInTheDatabase(t *testing.T) {
	pool := open(t, postgrestest.Database(t))
	take(t, NewPostgres(pool, secret, at(hour).now), 3, time.Hour, "email:ada@example.test")
	if n := rows(t, pool, "length(key) = 16 AND position('ada' IN encode(key, 'escape')) = 0"); n != 1 {
		t.Errorf("%d hashed keys, want 1", n)
	}
	if d := take(t, NewPostgres(pool, []byte("another"), at(hour).now), 3, time.Hour, "email:ada@example.test"); d.Remaining != 2 {
		t.Errorf("the hash does not depend on the secret: %+v", d)
	}
}

func TestRefusedCallsWriteNothing(t *testing.T) {
	pool := open(t, postgrestest.Database(t))
	l := NewPostgres(pool, secret, at(hour).now)
	take(t, l, 1, time.Hour, "ip:192.0.2.1")
	written := func() (state string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT string_agg(concat(ctid, xmin, xmax, hits), ' ') FROM rate_limits").Scan(&state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	before := written()
	for i := range 5 {
		if d := take(t, l, 1, time.Hour, "ip:192.0.2.1", fmt.Sprint("email:", i)); d.Allowed {
			t.Errorf("%+v", d)
		}
	}
	if after := written(); after != before {
		t.Errorf("the rows were %s, and are %s", before, after)
	}
}

func TestEndedCountersAreRemoved(t *testing.T) {
	pool := open(t, postgrestest.Database(t))
	c := at(hour)
	l := NewPostgres(pool, secret, c.now)
	for i := range 2 * swept {
		take(t, l, 1, time.Minute, fmt.Sprint(i))
	}
	ended := "ends = to_timestamp(" + fmt.Sprint(hour+60) + ")"
	c.unix.Add(60 + 30) // somebody else's clock may not be there yet
	for i := range sweepEvery {
		take(t, l, 1, time.Minute, fmt.Sprint(i))
	}
	if n := rows(t, pool, ended); n != 2*swept {
		t.Errorf("%d counters, want %d", n, 2*swept)
	}
	c.unix.Add(60)
	for i := range 2 * sweepEvery {
		take(t, l, 1, time.Hour, fmt.Sprint(i))
	}
	if n := rows(t, pool, ended); n != 0 {
		t.Errorf("%d counters are left of %d", n, 2*swept)
	}
}

func TestAFloodOfKeysInPostgresIsBoundedAndLiftsNoLimit(t *testing.T) {
	pool := open(t, postgrestest.Database(t))
	l := NewPostgres(pool, secret, at(hour).now)
	l.max = 4 * sampled
	const victims = 10
	for v := range victims {
		for range 5 {
			take(t, l, 5, time.Hour, fmt.Sprint("victim", v))
		}
	}
	execute(t, pool, `INSERT INTO rate_limits SELECT to_timestamp($1), sha256(n::text::bytea), 1 FROM generate_series(1, $2) n`, hour+3600, 2*l.max)
	execute(t, pool, "ANALYZE rate_limits") // for the statistics
	full := rows(t, pool, "true")
	const sweeps = 8
	for i := range sweeps * sweepEvery {
		if d := take(t, l, 5, time.Hour, fmt.Sprint("invented", i)); !d.Allowed {
			t.Fatalf("a new key is refused: %+v", d)
		}
	}
	if n, want := rows(t, pool, "true"), full+sweeps*(sweepEvery-swept); n > want+swept {
		t.Errorf("%d counters of %d, want about %d", n, full, want)
	}
	for v := range victims {
		if d := take(t, l, 5, time.Hour, fmt.Sprint("victim", v)); d.Allowed {
			t.Errorf("the flood lifted the limit of key %d", v)
		}
	}
}

func TestNothingIsAllowedWhilePostgresIsAway(t *testing.T) {
	cluster := postgrestest.Alone(t)
	l := NewPostgres(open(t, cluster.Database(t)), secret, at(hour).now)
	take(t, l, 3, time.Hour, "k")
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	isAway(t, l)
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; { // each connection of the pool notices by itself
		d, err := l.Take(t.Context(), 3, time.Hour, "k")
		if err == nil {
			if !d.Allowed {
				t.Errorf("after the restart: %+v", d)
			}
			break
		}
		if !errors.Is(err, ErrAway) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestPostgresThatDoesNotAnswerIsAway(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	l := NewPostgres(open(t, "postgres://acta:hunter2@"+silent.Addr().String()+"/acta?sslmode=disable&connect_timeout=2"), secret, time.Now)
	isAway(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Take(ctx, 3, time.Hour, "k"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrAway) {
		t.Errorf("the caller gave up: %v", err)
	}
}

func isAway(t *testing.T, l *Postgres) {
	t.Helper()
	asked := time.Now()
	d, err := l.Take(t.Context(), 3, time.Hour, "k")
	if r := refusal.Of(err); !errors.Is(err, ErrAway) || d.Allowed || r.Kind != refusal.Unavailable || r.RetryAfter == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("the error tells the password: %v", err)
	}
	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("took %v to say so", took)
	}
}

func BenchmarkTakeFromPostgres(b *testing.B) {
	pool := open(b, postgrestest.Database(b))
	l := NewPostgres(pool, secret, time.Now)
	var n atomic.Int64
	for name, keys := range map[string]func() []string{
		"new":     func() []string { i := n.Add(1); return []string{fmt.Sprint("ip:", i), fmt.Sprint("email:", i)} },
		"known":   func() []string { i := n.Add(1) % 1000; return []string{fmt.Sprint("ip:", i), fmt.Sprint("email:", i)} },
		"one":     func() []string { return []string{"ip:192.0.2.1"} },
		"refused": func() []string { return []string{"refused"} },
	} {
		b.Run(name, func(b *testing.B) {
			limit := 1 << 30
			if name == "refused" {
				limit = 1
			}
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					take(b, l, limit, time.Hour, keys()...)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}
