package vault

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/domain/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { postgrestest.Stop(); os.Exit(code) }))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(x T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
}

// opens says whether what one key sealed the other opens.
func opens(sealing, opening cipher.AEAD) bool {
	_, err := opening.Open(nil, nil, sealing.Seal(nil, nil, []byte("x"), nil), nil)
	return err == nil
}

func TestKeysOutliveTheProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		key := must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
		other := must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.2"))
		if opens(key, other) {
			t.Error("two subjects have one key")
		}
		for name, in := range map[string]home{"killed": in.killed(t), "still running": in} {
			again := start(t, in)
			if !opens(key, must[cipher.AEAD](t)(again.key(t.Context(), "account-demo.1"))) {
				t.Errorf("%s: another key after opening again", name)
			}
		}
	})
}

func TestAnotherMasterSecretIsRefusedAtOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		if err := start(t, in).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := in.open(bytes.Repeat([]byte{8}, 32)); !errors.Is(err, ErrMaster) {
			t.Errorf("another secret: %v", err)
		}
		if _, err := in.open(master[:31]); err == nil {
			t.Error("a short secret passed")
		}
		start(t, in) // the right one still does
	})
}

func TestKeysWithoutAProofAreRefusedAtOpen(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
		execute(t, v, `DELETE FROM master`)
		v.Close()
		if _, err := in.open(master); !errors.Is(err, event.ErrDamaged) {
			t.Errorf("opened: %v", err)
		}
	})
}

func TestOneKeyWins(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		vaults := []*Vault{start(t, in), start(t, in)} // as two processes would
		const subjects, askers = 20, 16
		var wg sync.WaitGroup
		got := make([][askers]cipher.AEAD, subjects)
		for s := range subjects {
			for a := range askers {
				wg.Go(func() {
					key, err := vaults[a%2].key(context.Background(), fmt.Sprintf("account-demo.%d", s))
					if err != nil {
						t.Error(err)
					}
					got[s][a] = key
				})
			}
		}
		wg.Wait()
		for s := range got {
			for a := range got[s] {
				if !t.Failed() && !opens(got[s][0], got[s][a]) {
					t.Errorf("subject %d: asker %d got another key", s, a)
				}
			}
		}
	})
}

func TestManyKeysShareACommit(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		// The writer is held up at its first key, so that all others come to wait.
		release := hold(t, v)
		var wg sync.WaitGroup
		asked := make(chan struct{}, 100)
		for i := range cap(asked) {
			wg.Go(func() {
				asked <- struct{}{}
				if _, err := v.ask(context.Background(), fmt.Sprintf("account-demo.%d", i)); err != nil {
					t.Error(err)
				}
			})
		}
		for range cap(asked) {
			<-asked
		}
		release()
		wg.Wait()
		if times := query[int](t, v, `SELECT count(DISTINCT created) FROM keys`); times > cap(asked)/2 {
			t.Errorf("%d keys were made by %d commits", cap(asked), times)
		}
	})
}

func TestWhoGivesUpWaitingLeavesTheOthersAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		release := hold(t, v) // no key can be made until this ends
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := v.ask(ctx, "account-demo.1")
			gone <- err
		}()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("gave up with %v", err)
		}
		release()
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	})
}

func TestClosedVaultMakesNoKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		v.Close()
		if _, err := v.ask(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("ask: %v", err)
		}
		if _, err := v.key(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("key: %v", err)
		}
		if err := v.Forget(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("forget: %v", err)
		}
		if err := v.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
	})
}

func TestForgettingIsForEver(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
		for _, s := range []string{"account-demo.1", "account-demo.1", "account-demo.never-had-a-key"} {
			if err := v.Forget(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		for _, v := range []*Vault{v, start(t, in), start(t, in.killed(t))} {
			for _, s := range []string{"account-demo.1", "account-demo.never-had-a-key"} {
				if _, err := v.key(t.Context(), s); !errors.Is(err, ErrForgotten) {
					t.Errorf("%s: %v", s, err)
				}
				if _, err := v.insert(t.Context(), []string{s}); err != nil || wrapped(t, v, s) != nil {
					t.Errorf("%s got a new key: %v", s, err)
				}
			}
		}
		if err := v.Forget(t.Context(), "claim-demo.1"); err == nil {
			t.Error("a stream that is no subject was forgotten")
		}
	})
}

// A reader that read the key just before it was destroyed must not put it into the cache just after.
func TestForgottenWhileBeingRead(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		for i := range 100 {
			s := fmt.Sprintf("account-demo.%d", i)
			must[cipher.AEAD](t)(v.key(t.Context(), s))
			var destroyed atomic.Bool
			var wg sync.WaitGroup
			wg.Go(func() {
				for !destroyed.Load() {
					v.ready.remove(s)
					if _, err := v.load(context.Background(), []string{s}); err != nil {
						t.Error(err)
					}
				}
			})
			if err := v.destroy(t.Context(), s); err != nil {
				t.Error(err)
			}
			destroyed.Store(true)
			wg.Wait()
			if _, err := v.key(t.Context(), s); !errors.Is(err, ErrForgotten) {
				t.Fatalf("%s: %v", s, err)
			}
		}
	})
}

func TestKeyPutInThePlaceOfAnotherIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.2"))
		execute(t, v, `UPDATE keys SET wrapped = (SELECT wrapped FROM keys WHERE subject = 'account-demo.1')`)
		v.ready.empty()
		if _, err := v.key(t.Context(), "account-demo.1"); err != nil {
			t.Error(err)
		}
		if _, err := v.key(t.Context(), "account-demo.2"); !errors.Is(err, event.ErrDamaged) || errors.Is(err, event.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	})
}

// Only Forget makes a person absent: a key that was lost otherwise is damage.
func TestLostKeyIsNotAForgottenOne(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
		execute(t, v, `UPDATE keys SET wrapped = x''`)
		v.ready.empty()
		if _, err := v.key(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}

// Were this to change, no key would open any more. The value comes from another implementation of RFC 5869.
func TestDeriveStaysWhatItIs(t *testing.T) {
	const derived = "2dbcbc8d4465fd6967b5d05d577af2d77f9440fe926caa4a2bfe515ca81d15b7"
	got := fmt.Sprintf("%x", Derive(master, "acta claim v1"))
	if diff := cmp.Diff(derived, got); diff != "" {
		t.Error(diff)
	}
	if strings.HasPrefix(got, fmt.Sprintf("%x", Derive(master, "acta vault v1"))) {
		t.Error("two labels give one key")
	}
}
