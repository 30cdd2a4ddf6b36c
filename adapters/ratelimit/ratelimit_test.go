package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database/postgrestest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { postgrestest.Stop(); os.Exit(code) }))
}

// clock is set by hand.
type clock struct{ unix atomic.Int64 }

func at(unix int64) *clock {
	c := &clock{}
	c.unix.Store(unix)
	return c
}

func (c *clock) now() time.Time { return time.Unix(c.unix.Load(), 0) }

const hour = 1_700_002_800 // the Unix time of a full hour

// taker is a limiter of either kind.
type taker interface {
	Take(ctx context.Context, limit int, length time.Duration, keys ...string) (Decision, error)
}

// onBoth runs a test with each kind of limiter. Each that it makes starts without counters.
func onBoth(t *testing.T, test func(t *testing.T, limiter func(now func() time.Time) taker)) {
	t.Run("memory", func(t *testing.T) {
		test(t, func(now func() time.Time) taker { return New(now) })
	})
	t.Run("postgres", func(t *testing.T) {
		pool, secret := open(t, postgrestest.Database(t)), byte(0)
		test(t, func(now func() time.Time) taker {
			secret++ // under another key everybody counts anew
			return NewPostgres(pool, []byte{secret}, now)
		})
	})
}

func take(t testing.TB, l taker, limit int, length time.Duration, keys ...string) Decision {
	t.Helper()
	d, err := l.Take(t.Context(), limit, length, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAWindowAllowsItsLimitAndNoMore(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour + 1234).now)
		reset := time.Unix(hour+3600, 0).UTC()
		for i, want := range []Decision{
			{Limit: 3, Remaining: 2, Reset: reset, Allowed: true},
			{Limit: 3, Remaining: 1, Reset: reset, Allowed: true},
			{Limit: 3, Remaining: 0, Reset: reset, Allowed: true},
			{Limit: 3, Remaining: 0, Reset: reset, Allowed: false},
			{Limit: 3, Remaining: 0, Reset: reset, Allowed: false},
		} {
			if diff := cmp.Diff(want, take(t, l, 3, time.Hour, "ip:192.0.2.1")); diff != "" {
				t.Errorf("call %d (-want +got):\n%s", i+1, diff)
			}
		}
		if d := take(t, l, 3, time.Hour, "ip:192.0.2.2"); d.Remaining != 2 {
			t.Errorf("another key: %+v", d)
		}
	})
}

func TestWindowsAreAlignedToTheEpoch(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		for _, c := range []struct {
			now    int64
			length time.Duration
			reset  int64
		}{
			{hour, time.Hour, hour + 3600},
			{hour + 3599, time.Hour, hour + 3600},
			{hour + 3600, time.Hour, hour + 7200},
			{hour + 59, time.Minute, hour + 60},
			{100, 7 * time.Second, 105}, // does not divide the time since the year 1, which time.Truncate counts from
		} {
			d := take(t, limiter(at(c.now).now), 1, c.length, "k")
			if want := time.Unix(c.reset, 0); !d.Reset.Equal(want) {
				t.Errorf("%v at %d: reset %v, want %v", c.length, c.now, d.Reset, want)
			}
		}
	})
}

func TestTheNextWindowCountsAnew(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		c := at(hour + 3599)
		l := limiter(c.now)
		take(t, l, 1, time.Hour, "k")
		if d := take(t, l, 1, time.Hour, "k"); d.Allowed {
			t.Error("the limit is not kept")
		}
		c.unix.Add(1)
		if d := take(t, l, 1, time.Hour, "k"); !d.Allowed {
			t.Error("the next window refuses")
		}
	})
}

func TestTheTightestKeyDecides(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour).now)
		take(t, l, 3, time.Hour, "ip:192.0.2.1")
		take(t, l, 3, time.Hour, "ip:192.0.2.1")
		if d := take(t, l, 3, time.Hour, "email:ada@example.test", "ip:192.0.2.1"); !d.Allowed || d.Remaining != 0 {
			t.Errorf("the third call of the address: %+v", d)
		}
		for range 5 {
			if d := take(t, l, 3, time.Hour, "email:ada@example.test", "ip:192.0.2.1"); d.Allowed || d.Remaining != 0 {
				t.Errorf("the address has no calls left: %+v", d)
			}
		}
		if d := take(t, l, 3, time.Hour, "email:ada@example.test"); !d.Allowed || d.Remaining != 1 {
			t.Errorf("refused calls were counted under the other key: %+v", d)
		}
	})
}

func TestWindowsOfDifferentLengthCountApart(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour).now)
		take(t, l, 1, time.Minute, "k")
		if d := take(t, l, 1, time.Hour, "k"); !d.Allowed {
			t.Errorf("%+v", d)
		}
	})
}

func TestEachCallGivesItsOwnLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour).now)
		take(t, l, 5, time.Hour, "k")
		take(t, l, 5, time.Hour, "k")
		if d := take(t, l, 2, time.Hour, "k"); d.Allowed || d.Remaining != 0 {
			t.Errorf("a lower limit: %+v", d)
		}
		if d := take(t, l, 5, time.Hour, "k"); !d.Allowed || d.Remaining != 2 {
			t.Errorf("the first limit: %+v", d)
		}
	})
}

func TestConcurrentCallsGetExactlyTheLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour).now)
		var allowed atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				if take(t, l, 10, time.Hour, "ip:192.0.2.1", fmt.Sprint("email:", i)).Allowed {
					allowed.Add(1)
				}
			})
		}
		all.Wait()
		if got := allowed.Load(); got != 10 {
			t.Errorf("%d of 200 allowed, want 10", got)
		}
	})
}

func TestMisuseIsAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, limiter func(now func() time.Time) taker) {
		l := limiter(at(hour).now)
		for name, try := range map[string]func() (Decision, error){
			"no limit":  func() (Decision, error) { return l.Take(t.Context(), 0, time.Hour, "k") },
			"no window": func() (Decision, error) { return l.Take(t.Context(), 1, 0, "k") },
			"no keys":   func() (Decision, error) { return l.Take(t.Context(), 1, time.Hour) },
		} {
			if d, err := try(); !errors.Is(err, ErrMisuse) || d.Allowed {
				t.Errorf("%s: %+v, %v", name, d, err)
			}
		}
	})
}

func TestExpiredWindowsAreDropped(t *testing.T) {
	c := at(hour)
	l := New(c.now)
	for i := range 100 {
		take(t, l, 1, time.Minute, fmt.Sprint(i))
	}
	c.unix.Add(3600)
	take(t, l, 1, time.Hour, "k")
	if n := len(l.windows); n != 1 {
		t.Errorf("%d windows are kept, want 1", n)
	}
}

func TestAFloodOfKeysIsBoundedAndLiftsNoLimit(t *testing.T) {
	l := New(at(hour).now)
	l.max = 1000
	const victims = 10 // keys with all their calls used, which a flood should not give back
	for v := range victims {
		for range 5 {
			take(t, l, 5, time.Hour, fmt.Sprint("victim", v))
		}
	}
	for i := range 20 * l.max {
		if d := take(t, l, 5, time.Hour, fmt.Sprint("invented", i)); !d.Allowed {
			t.Fatalf("a new key is refused: %+v", d)
		}
	}
	if n := len(l.windows[time.Hour].counts); n != l.max {
		t.Errorf("%d counters, want %d", n, l.max)
	}
	for v := range victims {
		if d := take(t, l, 5, time.Hour, fmt.Sprint("victim", v)); d.Allowed {
			t.Errorf("the flood lifted the limit of key %d", v)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	l := New(time.Now)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			take(b, l, 1<<30, time.Hour, "url:localhost/v1/account,email:ada@example.test", "url:localhost/v1/account,ip:192.0.2.1")
		}
	})
}

func BenchmarkTakeWhenFull(b *testing.B) {
	l := New(time.Now)
	n := 0
	for ; n < maxCounters; n++ {
		take(b, l, 10, time.Hour, strconv.Itoa(n))
	}
	for b.Loop() {
		take(b, l, 10, time.Hour, strconv.Itoa(n))
		n++
	}
}
