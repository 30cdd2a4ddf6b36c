package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/event"
)

// A disk that failed once is not believed again: what it holds is only known after reading it anew.
func TestAFailedCommitIsFinalUntilTheLogIsOpenedAnew(t *testing.T) {
	failed := errors.New("input/output error")
	for _, test := range []struct {
		name   string
		stored bool // the disk had it, only the answer of the disk was an error
	}{{"before storing", false}, {"after storing", true}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			broken := false
			l := openLog(t, dir, withCommit(func(commit func([]event.Recorded) error) func([]event.Recorded) error {
				return func(events []event.Recorded) error {
					if !broken {
						return commit(events)
					}
					broken = false // the next sync would succeed
					if test.stored {
						return errors.Join(commit(events), failed)
					}
					return failed
				}
			}))
			mustAppend(t, l, "note.1", event.NoStream, proposals(1, 2))
			before := mustFollow(t, l)

			broken = true
			for range 3 {
				if _, err := l.Append(t.Context(), "note.1", 1, proposals(2, 2)); !errors.Is(err, event.ErrUnavailable) || !errors.Is(err, failed) {
					t.Fatalf("got %v", err)
				}
			}
			if err := l.Ready(t.Context()); !errors.Is(err, failed) {
				t.Errorf("ready: %v", err)
			}
			if diff := cmp.Diff(before, mustFollow(t, l)); diff != "" {
				t.Errorf("reads changed:\n%s", diff)
			}
			if events, err := l.Read(t.Context(), "note.1", event.Start, event.Forward, 10); err != nil || len(events) != 2 {
				t.Errorf("read %d events, %v", len(events), err)
			}
			l.Close()

			l = openLog(t, dir)
			if got := len(mustFollow(t, l)) == 4; got != test.stored {
				t.Errorf("after opening anew the events are there: %t", got)
			}
			mustAppend(t, l, "note.1", 1, proposals(2, 2))
			if n := len(mustFollow(t, l)); n != 4 {
				t.Errorf("%d events after the retry", n)
			}
		})
	}
}

func TestAllOfAFailedBatchAreToldSo(t *testing.T) {
	l := openLog(t, t.TempDir(), withCommit(func(func([]event.Recorded) error) func([]event.Recorded) error {
		return func([]event.Recorded) error { return errors.New("input/output error") }
	}))
	var wg sync.WaitGroup
	for i := range uint64(50) {
		wg.Go(func() {
			// Half of them conflict with events that were only staged: that is no answer to give either.
			if _, err := l.Append(t.Context(), fmt.Sprintf("note.%d", i/2), event.NoStream, proposals(i, 1)); !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
}

// fillUp appends until the disk is full; it gives the events that were refused, and the revision before them.
func fillUp(t *testing.T, l *Log) (refused []event.Proposed, expected int64) {
	t.Helper()
	expected = event.NoStream
	for seed := uint64(1); seed < 10_000; seed++ {
		events := proposals(seed, 2)
		events[0].Data = []byte(`"` + strings.Repeat("x", 10_000) + `"`)
		receipt, err := l.Append(t.Context(), "note.1", expected, events)
		if errors.Is(err, event.ErrUnavailable) {
			return events, expected
		} else if err != nil {
			t.Fatal(err)
		}
		expected = receipt.Revision
	}
	t.Fatal("the disk does not get full")
	return nil, 0
}

// afterFull checks that a full disk refused appends and nothing else, and that they are stored when there is room again.
func afterFull(t *testing.T, dir string, l *Log, makeRoom func()) {
	t.Helper()
	refused, expected := fillUp(t, l)
	before := mustFollow(t, l)
	if int64(len(before)) != expected+1 {
		t.Errorf("%d events are there, %d were acknowledged", len(before), expected+1)
	}
	makeRoom()
	if err := l.Ready(t.Context()); err != nil {
		t.Errorf("ready when there is room again: %v", err)
	}
	mustAppend(t, l, "note.1", expected, refused)
	after := mustFollow(t, l)
	if len(after) != len(before)+len(refused) {
		t.Errorf("%d events were there, %d are", len(before), len(after))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(after, mustFollow(t, openLog(t, dir))) {
		t.Error("after opening anew the log tells another story")
	}
}

func TestAFullFileRefusesAppendsUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	limit := func(pages int) {
		if _, err := l.file.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(100)
	afterFull(t, dir, l, func() { limit(1 << 30) })
}

func TestAFullDiskRefusesAppendsUntilThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("needs the right to mount a small disk; the limit of a full file is tested all the same: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 6<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, dir)
	afterFull(t, dir, l, func() {
		if err := l.Ready(t.Context()); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("ready while the disk is full: %v", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
}
