// Package ratelimit counts calls in fixed windows: a Limiter inside one process, a Postgres for several that share one.
//
// Windows are aligned to the Unix epoch, as API clients can read from the X-RateLimit-Reset header: a window of an hour
// starts at every full hour.
//
// It does not know what is counted. Keys hold IP and e-mail addresses, so only their keyed hashes are kept.
package ratelimit

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// ErrMisuse says that the limit, the window or the keys given to Take make no sense: a mistake of the program.
var ErrMisuse = errors.New("ratelimit: a limit and a window above zero and at least one key are needed")

// maxCounters bounds the memory of one window to about 40 MB. See evict for what happens beyond.
const maxCounters = 1_000_000

// Decision is the answer to one call, told for the tightest of its keys: the one with the least remaining.
type Decision struct {
	Limit     int       // calls in one window
	Remaining int       // calls left in this window after this one, never below zero
	Reset     time.Time // end of the window, UTC; then counting begins anew
	Allowed   bool
}

// Limiter holds the counters of one process, which do not survive it. It is safe for concurrent use: one lock around a
// few map accesses serves millions of calls a second, far more than the calls it limits.
//
// Of a key it keeps 64 bits of maphash under a seed drawn at start. Two of a million keys share a counter by accident
// with a probability of 3e-8.
type Limiter struct {
	now  func() time.Time
	seed maphash.Seed
	max  int

	mu      sync.Mutex
	windows map[time.Duration]*window // by length
}

// window is the current window of one length. All its counters expire together, so they are dropped with it.
type window struct {
	start, end int64 // Unix nanoseconds
	counts     map[uint64]uint32
}

// New makes an empty limiter that reads the time from now.
func New(now func() time.Time) *Limiter {
	return &Limiter{now: now, seed: maphash.MakeSeed(), max: maxCounters, windows: map[time.Duration]*window{}}
}

// Take counts a call under each of the keys and says whether it is allowed: all keys had fewer than limit calls in the
// current window. A refused call is counted under none of them.
//
// Keys are counted per window length; whoever makes them up keeps unrelated ones apart. The error is ErrMisuse. The
// context is there for Postgres, which has to ask.
func (l *Limiter) Take(_ context.Context, limit int, length time.Duration, keys ...string) (Decision, error) {
	if limit <= 0 || length <= 0 || len(keys) == 0 {
		return Decision{}, ErrMisuse
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.window(length) // reads the clock under the lock, lest a late caller brings back the window before

	highest := 0
	for _, k := range keys {
		highest = max(highest, int(w.counts[l.hash(k)]))
	}
	d := Decision{Limit: limit, Reset: time.Unix(0, w.end).UTC(), Allowed: highest < limit}
	if !d.Allowed {
		return d, nil
	}
	for _, k := range keys {
		l.count(w, l.hash(k))
	}
	d.Remaining = limit - highest - 1
	return d, nil
}

func (l *Limiter) hash(key string) uint64 { return maphash.String(l.seed, key) }

// window gives the current window of the length. A clock set back begins an earlier window with no counts: some calls
// too many are better than refusing everybody until the clock is there again.
func (l *Limiter) window(length time.Duration) *window {
	now := l.now()
	start, end := bounds(now, length)
	if w := l.windows[length]; w != nil && w.start == start {
		return w
	}
	for other, w := range l.windows {
		if w.end <= now.UnixNano() {
			delete(l.windows, other)
		}
	}
	w := &window{start: start, end: end, counts: map[uint64]uint32{}}
	l.windows[length] = w
	return w
}

// bounds gives the window of that length around a moment, in Unix nanoseconds.
func bounds(now time.Time, length time.Duration) (start, end int64) {
	n := now.UnixNano()
	start = n - n%int64(length)
	return start, start + int64(length)
}

func (l *Limiter) count(w *window, key uint64) {
	if _, known := w.counts[key]; !known && len(w.counts) >= l.max {
		evict(w.counts)
	}
	w.counts[key]++
}

// evict makes room by forgetting the lowest of a few counters taken at random. Only somebody who makes up keys by the
// million (sign-ins with invented addresses) gets here. Refusing new keys would let him lock out everybody else, and not
// counting them would lift his own limit. This way his own single calls are forgotten first, and counters that refuse,
// which are the highest, last.
func evict(counts map[uint64]uint32) {
	const sample = 16
	var victim uint64
	lowest, seen := ^uint32(0), 0
	for k, n := range counts { // the order of a map is random
		if n <= lowest {
			victim, lowest = k, n
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(counts, victim)
}
