package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/event"
)

func mustSubmit(t *testing.T, l *Log, stream string, expected int64, events []event.Proposed) event.Receipt {
	t.Helper()
	pending, err := l.Submit(t.Context(), stream, expected, events)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := pending.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func describing(seed uint64, metadata string) []event.Proposed {
	events := proposals(seed, 1)
	events[0].Type, events[0].Data = metadataType, []byte(metadata)
	return events
}

// reads gives the revisions that can be read of a stream.
func reads(t *testing.T, log interface {
	Read(context.Context, string, int64, event.Direction, int) ([]event.Recorded, error)
}, stream string) (all []int64) {
	t.Helper()
	events, err := log.Read(t.Context(), stream, event.Start, event.Forward, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		all = append(all, e.Revision)
	}
	return all
}

func TestThePortGivesWhatCanBeRead(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	for i, stream := range []string{"plain", "hidden", "back", "buried", "short"} {
		mustAppend(t, l, stream, event.NoStream, proposals(uint64(i), 4))
	}
	if l.limited.Load() {
		t.Error("streams without metadata are looked up for some")
	}
	mustSubmit(t, l, "$$short", Any, describing(10, `{"$maxCount":2}`))
	for _, stream := range []string{"hidden", "back"} {
		if _, err := l.Delete(t.Context(), stream, 3); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Tombstone(t.Context(), "buried", Any); err != nil {
		t.Fatal(err)
	}
	again := proposals(11, 2)
	first := mustAppend(t, l, "back", event.NoStream, again)
	if first.Revision != 5 || mustAppend(t, l, "back", event.NoStream, again) != first {
		t.Errorf("it came back at %+v", first)
	}
	if _, err := l.Append(t.Context(), "buried", 3, proposals(12, 1)); !errors.Is(err, ErrDeleted) {
		t.Errorf("an append to what was deleted for ever: %v", err)
	}
	check := func(what string, read func(stream string) []int64) {
		t.Helper()
		for stream, want := range map[string][]int64{"plain": {0, 1, 2, 3}, "hidden": nil, "back": {4, 5}, "buried": nil, "short": {2, 3}} {
			if diff := cmp.Diff(want, read(stream)); diff != "" {
				t.Errorf("%s, %s:\n%s", what, stream, diff)
			}
		}
	}
	check("the log", func(stream string) []int64 { return reads(t, l, stream) })
	r, err := OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check("a reader", func(stream string) []int64 { return reads(t, r, stream) })
	l.Close()
	l = openLog(t, dir)
	check("after a restart", func(stream string) []int64 { return reads(t, l, stream) })
	if n := len(mustFollow(t, l)); n != 5*4+2 {
		t.Errorf("followers see %d events", n)
	}
}

// In one batch everything is decided upon what was staged before, though nothing of it is stored yet.
func TestABatchKnowsWhatItHasStaged(t *testing.T) {
	entered, gate := make(chan int, 1), make(chan struct{})
	l := openLog(t, t.TempDir(), slowDisk(entered, gate))
	begin, err := l.Submit(t.Context(), "other", Any, proposals(1, 1))
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	events := proposals(2, 2)
	enqueue := func(r *request) *Pending {
		p, err := l.enqueue(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ask := func(expected int64, events []event.Proposed) *Pending {
		return enqueue(&request{stream: "note", expected: expected, events: events, remember: true})
	}
	steps := []struct {
		*Pending
		revision int64
		err      error
	}{
		{ask(Any, events), 1, nil},
		{ask(Any, events), 1, nil}, // recognised, though only staged
		{ask(StreamExists, proposals(3, 1)), 2, nil},
		{enqueue(&request{stream: "note", expected: 2, deed: hiding, events: describing(4, fmt.Sprintf(`{"$tb":%d}`, gone))}), 0, nil},
		{ask(StreamExists, proposals(5, 1)), 0, ErrDeleted},
		{ask(event.NoStream, proposals(6, 1)), 3, nil}, // comes back
		{ask(event.NoStream, proposals(7, 1)), 0, event.ErrConflict},
		{enqueue(&request{stream: "note", expected: Any, deed: burying, events: proposals(8, 1)}), gone, nil},
		{ask(Any, proposals(9, 1)), 0, ErrDeleted},
		{enqueue(&request{stream: "$$note", expected: Any, events: describing(10, `{}`)}), 0, ErrDeleted},
	}
	close(gate)
	if _, err := begin.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		receipt, err := step.Wait(t.Context())
		if !errors.Is(err, step.err) || receipt.Revision != step.revision {
			t.Errorf("step %d: %+v, %v", i, receipt, err)
		}
	}
}

func TestWhatACommitDidNotStoreIsNotRemembered(t *testing.T) {
	full := true
	l := openLog(t, t.TempDir(), withCommit(func(commit func([]event.Recorded) error) func([]event.Recorded) error {
		return func(events []event.Recorded) error {
			if full {
				return errNotBegun
			}
			return commit(events)
		}
	}))
	events := proposals(1, 1)
	pending, err := l.Submit(t.Context(), "note", Any, events)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(t.Context()); !errors.Is(err, event.ErrUnavailable) {
		t.Fatal(err)
	}
	full = false
	if r := mustSubmit(t, l, "note", Any, events); r.Position != event.At(1) || len(reads(t, l, "note")) != 1 {
		t.Errorf("the retry got %+v", r)
	}
}

// What hides events is as well witnessed as they are: no flipped bit brings back what was deleted.
func TestDamageBringsNothingBack(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	streams := []string{"plain", "hidden", "buried", "short"}
	for i, stream := range streams {
		mustAppend(t, l, stream, event.NoStream, proposals(uint64(i), 4))
	}
	mustSubmit(t, l, "$$short", Any, describing(10, `{"$maxCount":2}`))
	if _, err := l.Delete(t.Context(), "hidden", Any); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tombstone(t.Context(), "buried", Any); err != nil {
		t.Fatal(err)
	}
	tell := func(l *Log) (told [][]event.Recorded, refused int) {
		for _, stream := range streams {
			events, err := l.Read(t.Context(), stream, event.Start, event.Forward, 100)
			if err != nil {
				refused++
				events = nil
			}
			told = append(told, events)
		}
		return told, refused
	}
	want, _ := tell(l)
	l.Close()
	whole := snapshot(t, dir)
	refused := 0
	for range 500 {
		bit := rand.IntN(len(whole[eventsFile]) * 8)
		damaged, err := Open(whole.with(eventsFile, flip(bit)).write(t))
		if err != nil {
			refused++
			continue
		}
		told, n := tell(damaged)
		damaged.Close()
		refused += n
		for i := range told {
			if told[i] != nil && !reflect.DeepEqual(told[i], want[i]) {
				t.Fatalf("bit %d: %s reads %d events, not %d", bit, streams[i], len(told[i]), len(want[i]))
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
}

func TestLargeEventsAreReadInSmallerPieces(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	const n = 40
	for i := range uint64(n) {
		events := proposals(i, 1)
		events[0].Data = make([]byte, 900_000)
		mustAppend(t, l, "note", int64(i)-1, events)
	}
	l.Close()
	l = openLog(t, dir) // nothing is in memory
	stretches := 0
	seen := 0
	if err := l.Follow(t.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		stretches++
		if seen += len(s.Events); s.UpTo != event.At(uint64(seen)) || s.Live != (seen == n) {
			t.Errorf("after %d events: up to %s, live %t", seen, s.UpTo, s.Live)
		}
		if s.Live {
			return event.ErrStop
		}
		return nil
	}); err != nil || seen != n || stretches < 3 {
		t.Errorf("%d events in %d stretches, %v", seen, stretches, err)
	}
	page, err := l.ReadPage(t.Context(), "note", 0, event.Forward, n)
	if err != nil || len(page) == 0 || len(page) == n {
		t.Errorf("a page of %d events, %v", len(page), err)
	}
	if events, err := l.Read(t.Context(), "note", 0, event.Forward, n); err != nil || len(events) != n {
		t.Errorf("the port reads %d events, %v", len(events), err)
	}
	back, err := l.ReadAll(t.Context(), event.At(n+1), event.Backward, n)
	if err != nil || len(back) == 0 || len(back) == n || back[0].Position != event.At(n) {
		t.Errorf("backward %d events, %v", len(back), err)
	}
}
