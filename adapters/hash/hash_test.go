package hash

import (
	"context"
	"errors"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/actahq/acta/domain/refusal"
)

func TestAPasswordIsVerifiedAgainstItsHash(t *testing.T) {
	p := New(2, 8)
	for _, password := range []string{"correct horse", "", "пароль 密码 🔑", "nul\x00byte", strings.Repeat("x", 256)} {
		phc, err := p.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if ok, outdated, err := p.Verify(t.Context(), password, phc); !ok || outdated || err != nil {
			t.Errorf("%q: ok %v, outdated %v, err %v", password, ok, outdated, err)
		}
		if ok, _, err := p.Verify(t.Context(), password+" ", phc); ok || err != nil {
			t.Errorf("%q: another password: ok %v, err %v", password, ok, err)
		}
	}
}

func TestAHashSaysHowItWasMadeAndHasItsOwnSalt(t *testing.T) {
	p := New(2, 8)
	shape := regexp.MustCompile(`^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`)
	seen := map[string]bool{}
	for range 2 {
		phc, err := p.Hash(t.Context(), "one password")
		if err != nil {
			t.Fatal(err)
		}
		if !shape.MatchString(phc) {
			t.Errorf("%s is not of the shape %s", phc, shape)
		}
		seen[phc] = true
	}
	if len(seen) != 2 {
		t.Error("two hashes of one password are equal")
	}
}

func TestTheLastOf256BytesCounts(t *testing.T) {
	p := New(2, 8)
	long := strings.Repeat("x", 255)
	phc, err := p.Hash(t.Context(), long+"y")
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := p.Verify(t.Context(), long+"z", phc); ok || err != nil {
		t.Errorf("ok %v, err %v", ok, err)
	}
}

func TestOtherParametersAreVerifiedAndOutdated(t *testing.T) {
	p := New(2, 8)
	for name, h := range map[string]hashed{
		"less memory":  {cost{256, today.Passes, today.Threads}, make([]byte, saltSize), make([]byte, tagSize)},
		"more memory":  {cost{32768, today.Passes, today.Threads}, make([]byte, saltSize), make([]byte, tagSize)},
		"more passes":  {cost{today.Memory, 3, today.Threads}, make([]byte, saltSize), make([]byte, tagSize)},
		"more threads": {cost{today.Memory, today.Passes, 3}, make([]byte, saltSize), make([]byte, tagSize)},
		"shorter salt": {today, make([]byte, 8), make([]byte, tagSize)},
		"longer tag":   {today, make([]byte, saltSize), make([]byte, 64)},
	} {
		t.Run(name, func(t *testing.T) {
			h.Tag = h.compute("password", h.Salt, len(h.Tag))
			if ok, outdated, err := p.Verify(t.Context(), "password", h.String()); !ok || !outdated || err != nil {
				t.Errorf("ok %v, outdated %v, err %v", ok, outdated, err)
			}
			if ok, _, err := p.Verify(t.Context(), "Password", h.String()); ok || err != nil {
				t.Errorf("another password: ok %v, err %v", ok, err)
			}
		})
	}
}

func TestAMalformedHashIsAnErrorAndTakesNoTurn(t *testing.T) {
	p := New(1, 0)
	occupy(t, p) // so that a computation would be refused as busy
	ok, _, err := p.Verify(t.Context(), "password", "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$AAAA")
	if ok || !errors.Is(err, ErrMalformed) {
		t.Errorf("ok %v, err %v", ok, err)
	}
	if strings.Contains(err.Error(), "c29tZXNhbHQ") {
		t.Errorf("the error repeats the hash: %v", err)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	p := New(2, 3)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	waiting := fill(ctx, t, p)

	start := time.Now()
	_, errHash := p.Hash(t.Context(), "password")
	_, _, errVerify := p.Verify(t.Context(), "password", nobody)
	errDummy := p.Dummy(t.Context(), "password")
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("three refusals took %v", took)
	}
	for _, err := range []error{errHash, errVerify, errDummy} {
		r := refusal.Of(err)
		if !errors.Is(err, ErrBusy) || r == nil || r.Kind != refusal.Unavailable || r.RetryAfter != time.Second {
			t.Errorf("err = %#v", err)
		}
	}
	if got, want := p.Stats(), (Stats{Busy: 2, Queued: 3, Workers: 2, Queue: 3}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	leave()
	waiting.Wait()
}

func TestACancelledCallerLeavesTheQueue(t *testing.T) {
	p := New(1, 2)
	ctx, leave := context.WithCancel(t.Context())
	waiting := fill(ctx, t, p)
	leave()
	waiting.Wait() // fill asserts that each ended with the context's error
	if got, want := p.Stats(), (Stats{Busy: 1, Queued: 0, Workers: 1, Queue: 2}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	<-p.working
	if err := p.Dummy(t.Context(), "password"); err != nil {
		t.Errorf("after they left: %v", err)
	}
	if _, err := p.Hash(ctx, "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller already gone: %v", err)
	}
}

func TestWhoWaitsIsServed(t *testing.T) {
	const callers = 20
	p := New(2, callers)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if err := p.Dummy(t.Context(), "password"); err != nil {
				t.Error(err)
			}
			if s := p.Stats(); s.Busy > s.Workers {
				t.Errorf("stats %+v", s)
			}
		})
	}
	all.Wait()
	if got, want := p.Stats(), (Stats{Workers: 2, Queue: callers}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func TestSizesOfAPool(t *testing.T) {
	if s := New(0, -1).Stats(); s.Workers < 1 || s.Queue != 0 {
		t.Errorf("stats %+v", s)
	}
}

// occupy takes every worker, as computations that never end would.
func occupy(t *testing.T, p *Pool) {
	t.Helper()
	for range cap(p.working) {
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// fill takes every worker and every place in the queue. The waiting ones wait until ctx ends.
func fill(ctx context.Context, t *testing.T, p *Pool) *sync.WaitGroup {
	t.Helper()
	occupy(t, p)
	var all sync.WaitGroup
	for range cap(p.waiting) {
		all.Go(func() {
			if err := p.Dummy(ctx, "password"); !errors.Is(err, context.Canceled) {
				t.Errorf("waiting ended with %v", err)
			}
		})
	}
	for p.Stats().Queued < cap(p.waiting) {
		runtime.Gosched()
	}
	return &all
}

// The pool must reach 0.97 of the rate that the bare function reaches on as many goroutines.
func BenchmarkRate(b *testing.B) {
	salt := make([]byte, saltSize)
	b.Run("bare", func(b *testing.B) {
		parallel(b, func() {
			argon2.IDKey([]byte("password"), salt, today.Passes, today.Memory, today.Threads, tagSize)
		})
	})
	p := New(2, 64)
	b.Run("pool", func(b *testing.B) {
		parallel(b, func() {
			if err := p.Dummy(b.Context(), "password"); err != nil {
				b.Error(err)
			}
		})
	})
}

// The two must not differ by more than 20 %, or their difference tells which accounts exist.
func BenchmarkUnknownUser(b *testing.B) {
	p := New(1, 1)
	phc, err := p.Hash(b.Context(), "password")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := p.Verify(b.Context(), "wrong password", phc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("dummy", func(b *testing.B) {
		for b.Loop() {
			if err := p.Dummy(b.Context(), "wrong password"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// parallel shares b.N calls between two goroutines and reports their rate.
func parallel(b *testing.B, call func()) {
	turns := make(chan struct{}, b.N)
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	var both sync.WaitGroup
	b.ResetTimer()
	for range 2 {
		both.Go(func() {
			for range turns {
				call()
			}
		})
	}
	both.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hashes/s")
}
