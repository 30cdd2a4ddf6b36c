package vault

import (
	"bytes"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/event"
)

func TestForgottenKeysAreGoneFromTheFiles(t *testing.T) {
	t.Parallel()
	in := folder(t.TempDir())
	v := start(t, in)
	if _, err := v.store.(*file).Write.Exec(`PRAGMA synchronous = OFF`); err != nil { // for the test's pace; it does not matter here
		t.Fatal(err)
	}
	// Enough rows, and of unequal length, that a tree which moves rows between its pages leaves copies behind.
	random := mathrand.New(mathrand.NewPCG(1, 4)) // with these the mutation is sure to show: WITHOUT ROWID leaves one behind
	subjects := make([]string, 3000)
	for i := range subjects {
		subjects[i] = fmt.Sprintf("account-%x.%s", random.Uint64(), strings.Repeat("x", random.IntN(200)))
	}
	for some := range slices.Chunk(subjects, 100) {
		must[keys](t)(v.ensure(some))
	}
	before := in.stored(t)
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
	after := in.stored(t)
	for i, s := range subjects {
		if there := bytes.Contains(after, bytesOf[i]); there == forgotten(i) {
			t.Errorf("%s: forgotten %v, in the files %v", s, forgotten(i), there)
		}
		if _, err := v.key(t.Context(), s); errors.Is(err, ErrForgotten) != forgotten(i) {
			t.Errorf("%s: forgotten %v, but: %v", s, forgotten(i), err)
		}
	}
}

func TestForgetSaysWhenTheLogCouldNotBeCleared(t *testing.T) {
	in := folder(t.TempDir())
	v := start(t, in)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	secret := wrapped(t, v, "account-demo.1")
	if _, err := v.store.(*file).Write.Exec(`PRAGMA busy_timeout = 0`); err != nil { // or the test waits 5 s
		t.Fatal(err)
	}
	other := start(t, in)
	reading := must[*sql.Tx](t)(other.store.(*file).Read.Begin())
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
	left := in.killed(t)
	if !bytes.Contains(left.stored(t), secret) {
		t.Fatal("nothing was left to clear")
	}
	reading.Rollback()
	if err := v.Forget(t.Context(), "account-demo.1"); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(in.stored(t), secret) {
		t.Error("the bytes are still there after forgetting again")
	}
	start(t, left)
	if bytes.Contains(left.stored(t), secret) {
		t.Error("the bytes are still there after a crash and opening again")
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	in := folder(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(in), "keys.db"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	v := start(t, in)
	must[cipher.AEAD](t)(v.key(t.Context(), "account-demo.1"))
	files := must[[]string](t)(filepath.Glob(filepath.Join(string(in), "*")))
	if len(files) < 2 {
		t.Fatalf("only %s", files)
	}
	for _, f := range files {
		if mode := must[os.FileInfo](t)(os.Stat(f)).Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o", f, mode)
		}
	}
}
