package vault

import (
	"bytes"
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/domain/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var master = bytes.Repeat([]byte{7}, 32)

func start(t testing.TB, dir string) *Vault {
	t.Helper()
	v, err := Open(dir, master)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
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

// onDisk is everything the vault's files hold.
func onDisk(t testing.TB, dir string) []byte {
	t.Helper()
	var all []byte
	for _, f := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "keys.db*"))) {
		all = append(all, must[[]byte](t)(os.ReadFile(f))...)
	}
	return all
}

// crash gives a copy of what a killed process would leave.
func crash(t testing.TB, dir string) string {
	t.Helper()
	left := t.TempDir()
	for _, name := range []string{"keys.db", "keys.db-wal"} {
		if err := os.WriteFile(filepath.Join(left, name), must[[]byte](t)(os.ReadFile(filepath.Join(dir, name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return left
}

func wrapped(t testing.TB, v *Vault, subject string) []byte {
	t.Helper()
	var b []byte
	if err := v.file.Read.QueryRow(`SELECT wrapped FROM keys WHERE subject = ?`, subject).Scan(&b); err != nil {
		t.Fatal(err)
	}
	return b
}

// opens says whether what one key sealed the other opens.
func opens(sealing, opening cipher.AEAD) bool {
	_, err := opening.Open(nil, nil, sealing.Seal(nil, nil, []byte("x"), nil), nil)
	return err == nil
}

func TestKeysOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	v := start(t, dir)
	key := must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	other := must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.2"))
	if opens(key, other) {
		t.Error("two subjects have one key")
	}
	for name, dir := range map[string]string{"killed": crash(t, dir), "still running": dir} {
		again := start(t, dir)
		if !opens(key, must[cipher.AEAD](t)(again.key(t.Context(), "account-demo.1"))) {
			t.Errorf("%s: another key after opening again", name)
		}
	}
}

func TestAnotherMasterSecretIsRefusedAtOpen(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, bytes.Repeat([]byte{8}, 32)); !errors.Is(err, ErrMaster) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := Open(dir, master[:31]); err == nil {
		t.Error("a short secret passed")
	}
	start(t, dir) // the right one still does
}

func TestKeysWithoutAProofAreRefusedAtOpen(t *testing.T) {
	dir := t.TempDir()
	v := start(t, dir)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	if _, err := v.file.Write.Exec(`DELETE FROM master`); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if _, err := Open(dir, master); !errors.Is(err, event.ErrDamaged) {
		t.Errorf("opened: %v", err)
	}
}

func TestOneKeyWins(t *testing.T) {
	dir := t.TempDir()
	vaults := []*Vault{start(t, dir), start(t, dir)} // as two processes would
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
}

func TestManyKeysShareACommit(t *testing.T) {
	v := start(t, t.TempDir())
	// The writer is held up at its first key, so that all others come to wait.
	tx := must[*sql.Tx](t)(v.file.Write.Begin())
	var wg sync.WaitGroup
	asked := make(chan struct{}, 100)
	for i := range cap(asked) {
		wg.Go(func() {
			asked <- struct{}{}
			if _, err := v.create(context.Background(), fmt.Sprintf("account-demo.%d", i)); err != nil {
				t.Error(err)
			}
		})
	}
	for range cap(asked) {
		<-asked
	}
	tx.Rollback()
	wg.Wait()
	var times int
	if err := v.file.Read.QueryRow(`SELECT count(DISTINCT created) FROM keys`).Scan(&times); err != nil {
		t.Fatal(err)
	}
	if times > cap(asked)/2 {
		t.Errorf("%d keys were made by %d commits", cap(asked), times)
	}
}

func TestWhoGivesUpWaitingLeavesTheOthersAlone(t *testing.T) {
	v := start(t, t.TempDir())
	tx := must[*sql.Tx](t)(v.file.Write.Begin()) // no key can be made until this ends
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := v.create(ctx, "account-demo.1")
		gone <- err
	}()
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("gave up with %v", err)
	}
	tx.Rollback()
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
}

func TestClosedVaultMakesNoKeys(t *testing.T) {
	v := start(t, t.TempDir())
	v.Close()
	if _, err := v.create(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("create: %v", err)
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
}

func TestForgottenKeysAreGoneFromTheFiles(t *testing.T) {
	dir := t.TempDir()
	v := start(t, dir)
	if _, err := v.file.Write.Exec(`PRAGMA synchronous = OFF`); err != nil { // for the test's pace; it does not matter here
		t.Fatal(err)
	}
	// Enough rows, and of unequal length, that a tree which moves rows between its pages leaves copies behind.
	random := mathrand.New(mathrand.NewPCG(1, 4)) // with these the mutation is sure to show: WITHOUT ROWID leaves one behind
	subjects := make([]string, 3000)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("account-%x.%s", random.Uint64(), strings.Repeat("x", random.IntN(200)))
	}
	for some := range slices.Chunk(subjects, 100) {
		must[keys](t)(v.insert(some))
	}
	before := onDisk(t, dir)
	bytesOf := make([][]byte, len(subjects))
	for i, s := range subjects {
		if bytesOf[i] = wrapped(t, v, s); !bytes.Contains(before, bytesOf[i]) {
			t.Fatalf("%s: the wrapped key is not in the files even before", s)
		}
	}
	// A run of neighbours, which empties pages, and some here and there.
	forgotten := func(i int) bool { return i < 1000 || i%3 == 0 }
	for i, s := range subjects {
		if forgotten(i) {
			if err := v.destroy(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := v.Forget(t.Context(), subjects[0]); err != nil { // clears the write-ahead log of all of them
		t.Fatal(err)
	}
	after := onDisk(t, dir)
	for i, s := range subjects {
		if there := bytes.Contains(after, bytesOf[i]); there == forgotten(i) {
			t.Errorf("%s: forgotten %v, in the files %v", s, forgotten(i), there)
		}
		if _, err := v.key(t.Context(), s); errors.Is(err, ErrForgotten) != forgotten(i) {
			t.Errorf("%s: forgotten %v, but: %v", s, forgotten(i), err)
		}
	}
}

func TestForgettingIsForEver(t *testing.T) {
	dir := t.TempDir()
	v := start(t, dir)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	for _, s := range []string{"account-demo.1", "account-demo.1", "account-demo.never-had-a-key"} {
		if err := v.Forget(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []*Vault{v, start(t, dir), start(t, crash(t, dir))} {
		for _, s := range []string{"account-demo.1", "account-demo.never-had-a-key"} {
			if _, err := v.key(t.Context(), s); !errors.Is(err, ErrForgotten) {
				t.Errorf("%s: %v", s, err)
			}
			if _, err := v.create(t.Context(), s); err != nil || wrapped(t, v, s) != nil {
				t.Errorf("%s got a new key: %v", s, err)
			}
		}
	}
	if err := v.Forget(t.Context(), "claim-demo.1"); err == nil {
		t.Error("a stream that is no subject was forgotten")
	}
}

func TestForgetSaysWhenTheLogCouldNotBeCleared(t *testing.T) {
	dir := t.TempDir()
	v := start(t, dir)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	secret := wrapped(t, v, "account-demo.1")
	if _, err := v.file.Write.Exec(`PRAGMA busy_timeout = 0`); err != nil { // or the test waits 5 s
		t.Fatal(err)
	}
	other := start(t, dir)
	reading := must[*sql.Tx](t)(other.file.Read.Begin())
	var n int
	if err := reading.QueryRow(`SELECT count(*) FROM keys`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := v.Forget(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("while another reads the log: %v", err)
	}
	if _, err := v.key(t.Context(), "account-demo.1"); !errors.Is(err, ErrForgotten) {
		t.Errorf("the key is still there: %v", err)
	}
	left := crash(t, dir)
	if !bytes.Contains(onDisk(t, left), secret) {
		t.Fatal("nothing was left to clear")
	}
	reading.Rollback()
	if err := v.Forget(t.Context(), "account-demo.1"); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(onDisk(t, dir), secret) {
		t.Error("the bytes are still there after forgetting again")
	}
	start(t, left)
	if bytes.Contains(onDisk(t, left), secret) {
		t.Error("the bytes are still there after a crash and opening again")
	}
}

// A reader that read the key just before it was destroyed must not put it into the cache just after.
func TestForgottenWhileBeingRead(t *testing.T) {
	v := start(t, t.TempDir())
	for i := range 100 {
		s := fmt.Sprintf("account-demo.%d", i)
		must[cipher.AEAD](t)(v.key(t.Context(), s))
		var destroyed atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for !destroyed.Load() {
				v.ready.Remove(s)
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
}

func TestKeyPutInThePlaceOfAnotherIsRefused(t *testing.T) {
	v := start(t, t.TempDir())
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.2"))
	if _, err := v.file.Write.Exec(`UPDATE keys SET wrapped = (SELECT wrapped FROM keys WHERE subject = 'account-demo.1')`); err != nil {
		t.Fatal(err)
	}
	v.ready.Purge()
	if _, err := v.key(t.Context(), "account-demo.1"); err != nil {
		t.Error(err)
	}
	if _, err := v.key(t.Context(), "account-demo.2"); !errors.Is(err, event.ErrDamaged) || errors.Is(err, event.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Only Forget makes a person absent: a key that was lost otherwise is damage.
func TestLostKeyIsNotAForgottenOne(t *testing.T) {
	v := start(t, t.TempDir())
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	if _, err := v.file.Write.Exec(`UPDATE keys SET wrapped = x''`); err != nil {
		t.Fatal(err)
	}
	v.ready.Purge()
	if _, err := v.key(t.Context(), "account-demo.1"); !errors.Is(err, event.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "keys.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	v := start(t, dir)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	files := must[[]string](t)(filepath.Glob(filepath.Join(dir, "*")))
	if len(files) < 2 {
		t.Fatalf("only %s", files)
	}
	for _, f := range files {
		if mode := must[os.FileInfo](t)(os.Stat(f)).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", f, mode)
		}
	}
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
