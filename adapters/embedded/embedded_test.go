package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

func TestMain(m *testing.M) {
	if play, ok := children[os.Getenv(childVariable)]; ok {
		play(os.Args[1])
		return
	}
	goleak.VerifyTestMain(m)
}

func TestTheEmbeddedLogIsALog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Log { return openLog(t, t.TempDir()) })
}

func openLog(t testing.TB, dir string, options ...Option) *Log {
	t.Helper()
	l, err := Open(dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// withCommit puts another commit before the log's own.
func withCommit(wrap func(commit func([]event.Recorded) error) func([]event.Recorded) error) Option {
	return func(l *Log) { l.commit = wrap(l.commit) }
}

// proposals makes n events with ids that follow from seed.
func proposals(seed uint64, n int) []event.Proposed {
	events := make([]event.Proposed, n)
	for i := range events {
		e := &events[i]
		binary.BigEndian.PutUint64(e.ID[:], seed)
		binary.BigEndian.PutUint64(e.ID[8:], uint64(i)+1)
		e.Type = "note.written.v1"
		e.Data = fmt.Appendf(nil, `{"text":"%d.%d %s"}`, seed, i, strings.Repeat("x", int(seed%300)))
		e.Metadata = []byte(`{"actor":{"kind":"guest"}}`)
	}
	return events
}

func mustAppend(t testing.TB, l *Log, stream string, expected int64, events []event.Proposed) event.Receipt {
	t.Helper()
	receipt, err := l.Append(t.Context(), stream, expected, events)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// followed is every event of a log, in order.
func followed(log interface {
	Follow(context.Context, event.Position, event.Filter, func(event.Stretch) error) error
}) (all []event.Recorded, err error) {
	err = log.Follow(context.Background(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		if all = append(all, s.Events...); s.Live {
			return event.ErrStop
		}
		return nil
	})
	return all, err
}

func mustFollow(t testing.TB, l *Log) []event.Recorded {
	t.Helper()
	all, err := followed(l)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestARestartKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	l := openLog(t, dir, WithClock(func() time.Time { return time.Unix(1_800_000_000, 123_456_789) }))
	for i := range uint64(50) {
		mustAppend(t, l, fmt.Sprintf("note.%d", i%7), int64(i/7)*3-1, proposals(i, 3))
	}
	live := mustFollow(t, l) // from memory
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, dir)
	if diff := cmp.Diff(live, mustFollow(t, l)); diff != "" {
		t.Errorf("the file tells another story than memory did (-memory +file):\n%s", diff)
	}
	again := mustAppend(t, l, "note.0", -1, proposals(0, 3))
	if want := (event.Receipt{Revision: 2, Position: event.At(3)}); again != want {
		t.Errorf("the first append once more: %+v, want %+v", again, want)
	}
	if receipt := mustAppend(t, l, "note.0", 23, proposals(50, 1)); receipt.Position != event.At(151) {
		t.Errorf("after the restart the log goes on at %s", receipt.Position)
	}
}

func TestClosingLeavesOneFileToCopy(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	mustAppend(t, l, "note.1", event.NoStream, proposals(1, 1))
	mustFollow(t, l)
	if _, err := l.Read(t.Context(), "note.2", event.Start, event.Forward, 1); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, walFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the write-ahead log is still there: %v", err)
	}
}

func TestOnlyTheOwnerCanReadTheFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	mustAppend(t, openLog(t, dir), "note.1", event.NoStream, proposals(1, 1))
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAFileOfALaterVersionIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	if _, err := l.file.writer.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", schemaVersion+1)); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "schema version 2") {
		t.Errorf("opened: %v", err)
	}
	if _, err := OpenReader(dir); err == nil || !strings.Contains(err.Error(), "schema version 2") {
		t.Errorf("opened to read: %v", err)
	}
}

func TestAReaderSeesWhatIsBeingAppended(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReader(dir); err == nil {
		t.Fatal("a reader opened a log that is not there")
	}
	l := openLog(t, dir)
	mustAppend(t, l, "note.1", event.NoStream, proposals(1, 2))
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var seen []int64
	if err := r.Follow(t.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		for _, e := range s.Events {
			seen = append(seen, e.Revision)
		}
		if s.Live && len(seen) == 2 {
			mustAppend(t, l, "note.1", 1, proposals(2, 2))
		}
		if len(seen) == 4 {
			return event.ErrStop
		}
		return nil
	}); err != nil || !slices.Equal(seen, []int64{0, 1, 2, 3}) {
		t.Errorf("followed %v, %v", seen, err)
	}
	events, err := r.Read(t.Context(), "note.1", event.End, event.Backward, 1)
	if err != nil || len(events) != 1 || events[0].Revision != 3 {
		t.Errorf("read %v, %v", events, err)
	}
	if head, err := r.Head(t.Context()); err != nil || head != event.At(4) {
		t.Errorf("head %s, %v", head, err)
	}
}

func TestAFollowerAheadOfTheLogIsNotLeftWaiting(t *testing.T) {
	l := openLog(t, t.TempDir())
	mustAppend(t, l, "note.1", event.NoStream, proposals(1, 1))
	err := l.Follow(t.Context(), event.At(2), event.Filter{}, func(event.Stretch) error { return nil })
	if !errors.Is(err, event.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// slowDisk makes every commit say that it was entered, if anybody listens, and wait for the gate.
func slowDisk(entered chan<- int, gate <-chan struct{}) Option {
	return withCommit(func(commit func([]event.Recorded) error) func([]event.Recorded) error {
		return func(events []event.Recorded) error {
			select {
			case entered <- len(events):
			default:
			}
			<-gate
			return commit(events)
		}
	})
}

func TestWhoWaitsForTheDiskSharesASync(t *testing.T) {
	const appends = 200
	entered, gate := make(chan int, appends+1), make(chan struct{})
	l := openLog(t, t.TempDir(), slowDisk(entered, gate))
	var wg sync.WaitGroup
	start := func(i uint64) {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), fmt.Sprintf("note.%d", i), event.NoStream, proposals(i, 1)); err != nil {
				t.Error(err)
			}
		})
	}
	start(0)
	if n := <-entered; n != 1 {
		t.Fatalf("the first commit has %d events", n)
	}
	for i := range uint64(appends) {
		start(i + 1)
	}
	for len(l.requests) < appends {
		runtime.Gosched()
	}
	close(gate)
	wg.Wait()
	if n := <-entered; n != appends || len(entered) > 0 {
		t.Errorf("the second commit has %d events, and %d more commits followed", n, len(entered))
	}
}

func TestAnAppendGivenUpWhileWaitingIsFoundByAskingAgain(t *testing.T) {
	entered, gate := make(chan int, 1), make(chan struct{})
	l := openLog(t, t.TempDir(), slowDisk(entered, gate))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-entered
		cancel()
	}()
	if _, err := l.Append(ctx, "note.1", event.NoStream, proposals(1, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(gate)
	mustAppend(t, l, "note.1", event.NoStream, proposals(1, 1))
	if n := len(mustFollow(t, l)); n != 1 {
		t.Errorf("%d events are stored", n)
	}
}

func TestClosingAnswersEveryone(t *testing.T) {
	entered, gate := make(chan int, 1), make(chan struct{})
	l := openLog(t, t.TempDir(), slowDisk(entered, gate))
	var wg sync.WaitGroup
	results := make(chan error, 20)
	for i := range uint64(20) {
		wg.Go(func() {
			_, err := l.Append(context.Background(), fmt.Sprintf("note.%d", i), event.NoStream, proposals(i, 1))
			results <- err
		})
	}
	wg.Go(func() {
		if err := l.Follow(context.Background(), event.Position{}, event.Filter{}, func(event.Stretch) error { return nil }); !errors.Is(err, event.ErrUnavailable) {
			t.Errorf("the follower got %v", err)
		}
	})
	<-entered
	wg.Go(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	<-l.closing
	close(gate)
	wg.Wait()
	close(results)
	for err := range results {
		if err != nil && !errors.Is(err, event.ErrUnavailable) {
			t.Error(err)
		}
	}
	if _, err := l.Append(t.Context(), "note.x", event.NoStream, proposals(99, 1)); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("an append after closing got %v", err)
	}
	if err := l.Ready(t.Context()); !errors.Is(err, event.ErrUnavailable) {
		t.Errorf("ready after closing: %v", err)
	}
}

func TestAnOldHeadIsNotRemembered(t *testing.T) {
	h := newHeads()
	_, ok, asOf := h.get("note.1")
	if ok {
		t.Fatal("a head was known from the beginning")
	}
	h.publish(map[string]head{"note.1": {0, 1}})
	h.offer("note.1", noHead, asOf) // read before the commit
	if got, _, _ := h.get("note.1"); got != (head{0, 1}) {
		t.Errorf("got %+v", got)
	}
}

func TestTheTailIsBounded(t *testing.T) {
	for _, test := range []struct {
		name        string
		events      int
		size        int
		first, last uint64
	}{
		{"few", 10, 1, 1, 10},
		{"many", maxTailEvents + 100, 1, 101, maxTailEvents + 100},
		{"large", 20, 1 << 20, 5, 20},
		{"larger than all", 3, maxTailBytes + 1, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tail tail
			data := make([]byte, test.size)
			for i := range uint64(test.events) {
				tail.publish([]event.Recorded{{Proposed: event.Proposed{Data: data}, Position: event.At(i + 1)}})
			}
			if tail.head != uint64(test.events) {
				t.Errorf("the head is %d", tail.head)
			}
			if test.last == 0 {
				if _, ok := tail.between(0, 1, event.Filter{}); ok || len(tail.events) > 0 {
					t.Errorf("%d events are kept", len(tail.events))
				}
				return
			}
			if _, ok := tail.between(test.first-2, test.last, event.Filter{}); ok && test.first > 1 {
				t.Error("events that were dropped are there")
			}
			events, ok := tail.between(test.first-1, test.last, event.Filter{})
			if !ok || uint64(len(events)) != test.last-test.first+1 || events[0].Position.Commit != test.first {
				t.Errorf("%d events from %d on, %t", len(events), tail.events[0].Position.Commit, ok)
			}
		})
	}
}
