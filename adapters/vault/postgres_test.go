package vault

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

// soon is longer than an answer may take when Postgres is away.
const soon = patience + 500*time.Millisecond

// ready waits until the subject's key is in the cache, and the cache is trusted.
func ready(t testing.TB, v *Vault, subject string) {
	t.Helper()
	until(t, func() error {
		if _, err := v.key(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		if _, ok := v.ready.get(subject); !ok {
			return errors.New("the key is not kept ready")
		}
		return nil
	})
}

// until waits for a condition.
func until(t testing.TB, met func() error) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for err := met(); err != nil; err = met() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal(err)
		}
	}
}

// forgets waits until an instance does not use the key any more; since is when it was destroyed.
func forgets(t testing.TB, v *Vault, subject string, since time.Time) {
	t.Helper()
	until(t, func() error {
		asked := time.Now()
		_, err := v.key(t.Context(), subject)
		if err == nil && asked.Sub(since) > trusted {
			t.Fatalf("%s: the key is used %v after it was destroyed", subject, asked.Sub(since))
		}
		if !errors.Is(err, ErrForgotten) {
			return fmt.Errorf("%s: not forgotten, but: %w", subject, err)
		}
		return nil
	})
}

func TestInstancesThatStartAtOnceShareOneDatabase(t *testing.T) {
	in := instance{postgrestest.Database(t)}
	var starting sync.WaitGroup
	got := make([]cipher.AEAD, 8)
	for i := range got {
		starting.Go(func() {
			v, err := in.open(master)
			if err != nil {
				t.Error(err)
				return
			}
			defer v.Close()
			if got[i], err = v.key(t.Context(), ann); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	for _, key := range got {
		if !t.Failed() && !opens(got[0], key) {
			t.Error("two instances have two keys")
		}
	}
}

func TestInstancesMakeTheSameKeysInAnyOrder(t *testing.T) {
	in := instance{postgrestest.Database(t)}
	var making sync.WaitGroup
	for i := range 4 {
		v := start(t, in)
		making.Go(func() {
			for round := range 20 {
				subjects := make([]string, 100)
				for n := range subjects { // some upwards, some downwards
					subjects[n] = fmt.Sprintf("account-demo.%d.%d", round, (99*(i%2) - n*(2*(i%2)-1)))
				}
				if found, err := v.ensure(subjects); err != nil || len(found) != len(subjects) {
					t.Errorf("%d keys, %v", len(found), err)
				}
			}
		})
	}
	making.Wait()
}

func TestForgettingReachesTheOtherInstances(t *testing.T) {
	t.Parallel()
	in := instance{postgrestest.Database(t)}
	a, b := start(t, in), start(t, in)
	for i := range 50 {
		subject := fmt.Sprintf("account-demo.%d", i)
		ready(t, b, subject)
		if err := a.Forget(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		forgets(t, b, subject, time.Now())
	}
}

func TestForgettingReachesAnInstanceWhoseConnectionsBroke(t *testing.T) {
	t.Parallel()
	in := instance{postgrestest.Database(t)}
	a, b := start(t, in), start(t, instance{in.dsn + "&application_name=b"})
	ready(t, b, ann)
	ready(t, b, bob)
	// What nobody says stands for what is said while b cannot hear.
	execute(t, a, `UPDATE keys SET wrapped = NULL, forgotten = '2026-01-31' WHERE subject = '`+ann+`'`)
	execute(t, a, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'b'`)
	until(t, func() error {
		if _, kept := b.ready.get(bob); kept {
			return errors.New("the cache is trusted without a connection")
		}
		return nil
	})
	ready(t, b, bob) // b hears again
	if _, err := b.key(t.Context(), ann); !errors.Is(err, ErrForgotten) {
		t.Errorf("forgotten while nobody heard, and now: %v", err)
	}
}

func TestInstanceThatCannotHearStopsUsingItsKeys(t *testing.T) {
	t.Parallel()
	in := instance{postgrestest.Database(t)}
	network, dsn := through(t, in.dsn)
	a, b := start(t, in), start(t, instance{dsn})
	inner := logtest.NewMemory()
	appendTo(t, b.Log(inner), ann, event.NoStream, changed(1, "ann@example.org"))
	ready(t, b, ann)
	ready(t, b, bob)
	network.freeze()
	if err := a.Forget(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	since := time.Now()
	until(t, func() error {
		if _, kept := b.ready.get(ann); kept {
			return errors.New("the key is kept")
		}
		return nil
	})
	if took := time.Since(since); took > trusted {
		t.Errorf("the key was used for %v", took)
	}
	var asking sync.WaitGroup
	for what, ask := range map[string]func() error{
		"read":   func() error { _, err := b.Log(inner).Read(t.Context(), ann, event.Start, event.Forward, 1); return err },
		"seal":   func() error { _, err := b.key(t.Context(), bob); return err },
		"forget": func() error { return b.Forget(t.Context(), bob) },
	} {
		asking.Go(func() {
			asked := time.Now()
			if err := ask(); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(asked); took > soon {
				t.Errorf("%s took %v to say so", what, took)
			}
		})
	}
	asking.Wait()
	network.thaw()
	forgets(t, b, ann, since)
}

// Whoever comes while keys cannot be made does not wait for those before him to fail.
func TestNobodyWaitsLongForKeysThatCannotBeMade(t *testing.T) {
	t.Parallel()
	in := instance{postgrestest.Database(t)}
	v := start(t, in)
	release := hold(t, start(t, in))
	defer release()
	var asking sync.WaitGroup
	for i := range 200 {
		asking.Go(func() {
			asked := time.Now()
			if _, err := v.key(t.Context(), fmt.Sprintf("account-demo.%d", i)); !errors.Is(err, event.ErrUnavailable) {
				t.Error(err)
			}
			if took := time.Since(asked); took > soon {
				t.Errorf("took %v", took)
			}
		})
	}
	asking.Wait()
}

func TestKeysOutlivePostgresBeingKilled(t *testing.T) {
	t.Parallel()
	cluster := postgrestest.Alone(t)
	dsn := cluster.Database(t)
	cluster.Execute(t, "postgres", "ALTER DATABASE "+dsn[strings.LastIndex(dsn, "/")+1:strings.Index(dsn, "?")]+" SET synchronous_commit = off")
	v, inner := start(t, instance{dsn}), logtest.NewMemory()
	l := v.Log(inner)
	want := changed(1, "ann@example.org")
	appendTo(t, l, ann, event.NoStream, want)
	for i := range 20 {
		must[cipher.AEAD](t)(v.key(t.Context(), fmt.Sprintf("account-demo.%d", i)))
	}
	if err := v.Forget(t.Context(), "account-demo.0"); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	gone := time.Now()
	until(t, func() error {
		events, err := l.Read(t.Context(), ann, event.Start, event.Forward, 1)
		switch {
		case err == nil && cmp.Diff([]event.Proposed{want}, proposed(events)) != "":
			t.Fatal("the person is absent")
		case err == nil && time.Since(gone) > 2*trusted:
			t.Fatal("the cache is trusted though nobody can hear")
		case err == nil:
			return errors.New("a key is still ready")
		case !errors.Is(err, event.ErrUnavailable):
			t.Fatal(err)
		}
		return nil
	})
	for what, err := range map[string]error{
		"create": func() error { _, err := v.key(t.Context(), bob); return err }(),
		"forget": v.Forget(t.Context(), ann),
		"open":   func() error { _, err := instance{dsn}.open(master); return err }(),
	} {
		if !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := cluster.Restart(); err != nil {
		t.Fatal(err)
	}
	until(t, func() error { _, err := v.key(t.Context(), bob); return err })
	if diff := cmp.Diff([]event.Proposed{want}, read(t, l, ann)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := query[int](t, v, `SELECT count(*) FROM keys`); n != 22 {
		t.Errorf("%d keys, want 22", n)
	}
	if _, err := v.key(t.Context(), "account-demo.0"); !errors.Is(err, ErrForgotten) {
		t.Errorf("forgotten before, and now: %v", err)
	}
	ready(t, v, ann)
}

func TestPostgresThatIsAwayAtOpenIsUnavailable(t *testing.T) {
	t.Parallel()
	silent := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer silent.Close()
	closed := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	closed.Close()
	for what, l := range map[string]net.Listener{"silent": silent, "closed": closed} {
		asked := time.Now()
		_, err := instance{"postgres://acta:hunter2@" + l.Addr().String() + "/acta?sslmode=disable"}.open(master)
		if !errors.Is(err, event.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(asked); took > soon {
			t.Errorf("%s: took %v to say so", what, took)
		}
	}
	if _, err := (instance{"postgres://acta:hunter2@[/"}).open(master); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("no address: %v", err)
	}
}

func TestWhoGaveUpIsNotToldThatPostgresIsAway(t *testing.T) {
	v := start(t, instance{postgrestest.Database(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.key(ctx, ann); !errors.Is(err, context.Canceled) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestDamageInPostgresIsDamage(t *testing.T) {
	err := (&server{}).trouble(&pgconn.PgError{Code: "XX001"})
	if !errors.Is(err, event.ErrDamaged) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}
