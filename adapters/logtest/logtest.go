// Package logtest is the conformance suite that every log of events must pass, and a log in memory that passes it.
//
// The suite assumes nothing that only one log does: positions may be pairs and have gaps, the log may hold system
// events and those of earlier runs, and it may be a server that other tests use at the same time.
package logtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/event"
)

// Log is what is tested; package event tells what each log must guarantee.
type Log interface {
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error)
	Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error)
	Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error
	Head(ctx context.Context) (event.Position, error)
}

// patience bounds each test, so that a follower who is never called is a failure and not a hang.
const patience = time.Minute

// Run runs the suite; open gives a log for one test and closes it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Log) {
	for _, test := range []struct {
		name string
		run  func(suite)
	}{
		{"WhatWasAppendedIsReadBackAsItWas", suite.appendedIsRead},
		{"RevisionsAreGapFreeAndPositionsRise", suite.revisionsAndPositions},
		{"AnExpectedRevisionIsMetOrConflicts", suite.expectedRevision},
		{"OfAppendsAtOneRevisionOneWins", suite.oneWins},
		{"TheSameIDsAgainGiveTheFirstReceipt", suite.sameAgain},
		{"TheSameIDsAtOnceAreStoredOnce", suite.sameAtOnce},
		{"AnAppendIsStoredWholeOrNotAtAll", suite.whole},
		{"AStreamIsReadBothWaysWithinBounds", suite.readBothWays},
		{"AStreamThatNeverWasIsEmpty", suite.neverWas},
		{"WhatNoLogStoresIsRefused", suite.refused},
		{"AnEndedContextEndsEverything", suite.endedContext},
		{"AFollowerSeesAllFromAnyPosition", suite.followFromAnywhere},
		{"AFollowerAtTheEndIsToldSoAtOnce", suite.followFromEnd},
		{"AFilterMovesOnOverWhatItSkips", suite.filter},
		{"AFollowerEndsAsDeliverSays", suite.deliverEnds},
		{"FollowersSeeConcurrentAppendsOnceAndInOrder", suite.followWriters},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test.run(suite{t, ctx, open(t), "logtest-" + rand.Text() + "."})
		})
	}
}

// suite is one test with its log; it uses only streams that begin with its prefix.
type suite struct {
	*testing.T
	ctx    context.Context
	log    Log
	prefix string
}

// mine admits the test's own streams.
func (s suite) mine() event.Filter { return event.Filter{Streams: []string{s.prefix}} }

// propose makes n events with new ids.
func propose(n int) []event.Proposed {
	events := make([]event.Proposed, n)
	for i := range events {
		e := event.Proposed{Type: "note.written.v1"}
		rand.Read(e.ID[:])
		e.Data = fmt.Appendf(nil, `{"text":"%s"}`, e.ID)
		e.Metadata = fmt.Appendf(nil, `{"number":%d}`, i)
		events[i] = e
	}
	return events
}

func (s suite) append(stream string, expected int64, events []event.Proposed) event.Receipt {
	s.Helper()
	r, err := s.log.Append(s.ctx, stream, expected, events)
	if err != nil {
		s.Fatalf("append to %s at %d: %v", stream, expected, err)
	}
	return r
}

func (s suite) read(stream string, from int64, dir event.Direction, limit int) []event.Recorded {
	s.Helper()
	events, err := s.log.Read(s.ctx, stream, from, dir, limit)
	if err != nil {
		s.Fatalf("read %s from %d: %v", stream, from, err)
	}
	return events
}

// collect follows until n events have come.
func (s suite) collect(from event.Position, only event.Filter, n int) []event.Recorded {
	s.Helper()
	all, err := s.follow(from, only, n)
	if err != nil {
		s.Fatalf("follow, %d of %d events seen: %v", len(all), n, err)
	}
	return all
}

// follow follows until n events have come, and checks that stretches go forward.
func (s suite) follow(from event.Position, only event.Filter, n int) (all []event.Recorded, err error) {
	err = s.log.Follow(s.ctx, from, only, func(stretch event.Stretch) error {
		for _, e := range stretch.Events {
			if !from.Before(e.Position) || stretch.UpTo.Before(e.Position) {
				return fmt.Errorf("%s does not lie behind %s and up to %s", e.Position, from, stretch.UpTo)
			}
			from = e.Position
		}
		if stretch.UpTo.Before(from) {
			return fmt.Errorf("the stretch goes back from %s to %s", from, stretch.UpTo)
		}
		from = stretch.UpTo
		if all = append(all, stretch.Events...); len(all) >= n {
			return event.ErrStop
		}
		return nil
	})
	return all, err
}

func (s suite) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func (s suite) is(what string, got, want error) {
	s.Helper()
	if !errors.Is(got, want) {
		s.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

func ids(events []event.Recorded) []string {
	all := []string{}
	for _, e := range events {
		all = append(all, e.ID.String())
	}
	return all
}

func proposedIDs(events ...[]event.Proposed) []string {
	all := []string{}
	for _, e := range slices.Concat(events...) {
		all = append(all, e.ID.String())
	}
	return all
}

func revisions(events []event.Recorded) []int64 {
	all := []int64{}
	for _, e := range events {
		all = append(all, e.Revision)
	}
	return all
}

func (s suite) appendedIsRead() {
	stream, events := s.prefix+"ä/1", propose(3)
	events[1].Data = []byte(`{"text":"ÿ\u0000 \" <&>","n":1e400,"n":2, "` + strings.Repeat("x", 70_000) + `":null}`)
	receipt := s.append(stream, event.NoStream, events)
	there := s.read(stream, event.Start, event.Forward, 10)
	if len(there) != len(events) {
		s.Fatalf("%d events are there, want %d", len(there), len(events))
	}
	for i, e := range there {
		if e.Stream != stream || e.Revision != int64(i) || e.ID != events[i].ID || e.Type != events[i].Type ||
			!bytes.Equal(e.Data, events[i].Data) || !bytes.Equal(e.Metadata, events[i].Metadata) {
			s.Errorf("event %d is not what was appended: %+v", i, e)
		}
		if age := time.Since(e.Recorded); age < -time.Hour || age > time.Hour {
			s.Errorf("event %d was recorded at %s", i, e.Recorded)
		}
	}
	newest := there[len(there)-1]
	s.equal("receipt", receipt, event.Receipt{Revision: newest.Revision, Position: newest.Position})
	if head, err := s.log.Head(s.ctx); err != nil || head.Before(receipt.Position) {
		s.Errorf("the head is %s, %v, but %s was acknowledged", head, err, receipt.Position)
	}
	s.equal("followed", s.collect(event.Position{}, s.mine(), len(events)), there)
}

func (s suite) revisionsAndPositions() {
	last := event.Position{}
	for i := range int64(20) {
		for _, name := range []string{"a", "b"} {
			r := s.append(s.prefix+name, 2*i-1, propose(2))
			if r.Revision != 2*i+1 || !last.Before(r.Position) {
				s.Fatalf("receipt %+v after position %s", r, last)
			}
			last = r.Position
		}
	}
	for _, name := range []string{"a", "b"} {
		last = event.Position{}
		for i, e := range s.read(s.prefix+name, event.Start, event.Forward, 100) {
			if e.Revision != int64(i) || !last.Before(e.Position) {
				s.Fatalf("event %d has revision %d and position %s after %s", i, e.Revision, e.Position, last)
			}
			last = e.Position
		}
	}
}

func (s suite) expectedRevision() {
	stream := s.prefix + "1"
	s.append(stream, event.NoStream, propose(3))
	for _, test := range []struct {
		name     string
		stream   string
		expected int64
	}{
		{"no stream, but it is there", stream, event.NoStream},
		{"behind", stream, 1},
		{"ahead", stream, 3},
		{"a revision, but there is no stream", s.prefix + "2", 0},
		{"far ahead of no stream", s.prefix + "2", 7},
	} {
		_, err := s.log.Append(s.ctx, test.stream, test.expected, propose(1))
		s.is(test.name, err, event.ErrConflict)
	}
	s.equal("revisions", revisions(s.read(stream, event.Start, event.Forward, 10)), []int64{0, 1, 2})
	s.equal("the other stream", len(s.read(s.prefix+"2", event.Start, event.Forward, 10)), 0)
	s.append(stream, 2, propose(1))
}

func (s suite) oneWins() {
	const rounds, rivals = 20, 100
	for round := range int64(rounds) {
		var mu sync.Mutex
		var winners []event.ID
		s.together(rivals, func(int) {
			mine := propose(1)
			switch _, err := s.log.Append(s.ctx, s.prefix+"1", round-1, mine); {
			case err == nil:
				mu.Lock()
				winners = append(winners, mine[0].ID)
				mu.Unlock()
			case !errors.Is(err, event.ErrConflict):
				s.Errorf("round %d: a loser got %v", round, err)
			}
		})
		there := s.read(s.prefix+"1", event.Start, event.Forward, 2*rounds)
		if len(winners) != 1 || int64(len(there)) != round+1 || there[round].ID != winners[0] {
			s.Fatalf("round %d: %d winners, %d events", round, len(winners), len(there))
		}
	}
}

// together calls f n times at once and waits for all.
func (s suite) together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func (s suite) sameAgain() {
	stream := s.prefix + "1"
	first, second, third := propose(1), propose(3), propose(2)
	s.append(stream, event.NoStream, first)
	receipt := s.append(stream, 0, second)
	s.equal("at the end", s.append(stream, 0, second), receipt)
	s.append(stream, 3, third)
	s.equal("further back", s.append(stream, 0, second), receipt)
	s.equal("the beginning of what was appended", s.append(stream, 0, second[:2]).Revision, int64(2))
	s.equal("over two appends", s.append(stream, 2, slices.Concat(second[2:], third)).Revision, int64(5))

	other := propose(1)
	for _, test := range []struct {
		name     string
		expected int64
		events   []event.Proposed
	}{
		{"another first id", 0, slices.Concat(other, second[1:])},
		{"another last id", 0, slices.Concat(second[:2], other)},
		{"in another order", 0, []event.Proposed{second[1], second[0], second[2]}},
		{"at another revision", 1, second},
		{"and one more than is there", 3, slices.Concat(third, other)},
	} {
		_, err := s.log.Append(s.ctx, stream, test.expected, test.events)
		s.is(test.name, err, event.ErrConflict)
	}
	s.equal("stored", ids(s.read(stream, event.Start, event.Forward, 100)), proposedIDs(first, second, third))

	// The same ids in another stream are other events.
	s.equal("elsewhere", s.append(s.prefix+"2", event.NoStream, second).Revision, int64(2))
}

func (s suite) sameAtOnce() {
	for round := range 20 {
		stream, events := fmt.Sprint(s.prefix, round), propose(2)
		receipts := make([]event.Receipt, 20)
		s.together(len(receipts), func(i int) {
			var err error
			if receipts[i], err = s.log.Append(s.ctx, stream, event.NoStream, events); err != nil {
				s.Errorf("round %d: %v", round, err)
			}
		})
		for _, r := range receipts {
			s.equal("receipt", r, receipts[0])
		}
		s.equal("stored", ids(s.read(stream, event.Start, event.Forward, 100)), proposedIDs(events))
	}
}

func (s suite) whole() {
	stream := s.prefix + "1"
	const writers, size, rounds = 8, 5, 10
	s.together(writers, func(int) {
		for range rounds {
			for events := propose(size); ; {
				there, err := s.log.Read(s.ctx, stream, event.End, event.Backward, 1)
				if err != nil {
					s.Error(err)
					return
				}
				expected := event.NoStream
				if len(there) == 1 {
					expected = there[0].Revision
				}
				if (expected+1)%size != 0 {
					s.Errorf("a part of an append was seen: %d", expected)
				}
				if _, err := s.log.Append(s.ctx, stream, expected, events); err == nil {
					break
				} else if !errors.Is(err, event.ErrConflict) {
					s.Error(err)
					return
				}
			}
		}
	})
	for i, e := range s.read(stream, event.Start, event.Forward, 2*writers*rounds*size) {
		if e.Revision != int64(i) || string(e.Metadata) != fmt.Sprintf(`{"number":%d}`, i%size) {
			s.Fatalf("event %d is torn from its append: revision %d, %s", i, e.Revision, e.Metadata)
		}
	}
}

func (s suite) readBothWays() {
	stream := s.prefix + "1"
	s.append(stream, event.NoStream, propose(6))
	s.append(s.prefix+"2", event.NoStream, propose(2))
	for _, test := range []struct {
		from  int64
		dir   event.Direction
		limit int
		want  []int64
	}{
		{event.Start, event.Forward, 100, []int64{0, 1, 2, 3, 4, 5}},
		{event.Start, event.Forward, 6, []int64{0, 1, 2, 3, 4, 5}},
		{event.Start, event.Forward, 2, []int64{0, 1}},
		{2, event.Forward, 3, []int64{2, 3, 4}},
		{5, event.Forward, 3, []int64{5}},
		{6, event.Forward, 3, []int64{}},
		{600, event.Forward, 3, []int64{}},
		{event.End, event.Forward, 3, []int64{}},
		{event.End, event.Backward, 100, []int64{5, 4, 3, 2, 1, 0}},
		{event.End, event.Backward, 1, []int64{5}},
		{600, event.Backward, 2, []int64{5, 4}},
		{5, event.Backward, 2, []int64{5, 4}},
		{3, event.Backward, 2, []int64{3, 2}},
		{1, event.Backward, 6, []int64{1, 0}},
		{0, event.Backward, 6, []int64{0}},
	} {
		s.equal(fmt.Sprintf("from %d, direction %d, limit %d", test.from, test.dir, test.limit),
			revisions(s.read(stream, test.from, test.dir, test.limit)), test.want)
	}
}

func (s suite) neverWas() {
	for _, dir := range []event.Direction{event.Forward, event.Backward} {
		for _, from := range []int64{event.Start, 5, event.End} {
			if there := s.read(s.prefix+"1", from, dir, 10); len(there) != 0 {
				s.Errorf("direction %d from %d: %d events", dir, from, len(there))
			}
		}
	}
	// Having been asked for does not begin a stream.
	s.append(s.prefix+"1", event.NoStream, propose(1))
}

func (s suite) refused() {
	of := func(change func(*event.Proposed)) []event.Proposed {
		events := propose(2)
		change(&events[1])
		return events
	}
	size := func(n int) []event.Proposed {
		return of(func(e *event.Proposed) { e.Data = []byte(`"` + strings.Repeat("x", n) + `"`) })
	}
	stream := s.prefix + "1"
	for _, test := range []struct {
		name     string
		stream   string
		expected int64
		events   []event.Proposed
		want     error // nil: any but those that say it is stored, or may be
	}{
		{"too large", stream, event.NoStream, size(event.MaxAppend), event.ErrTooLarge},
		{"no stream name", "", event.NoStream, propose(1), nil},
		{"a long stream name", s.prefix + strings.Repeat("x", 256), event.NoStream, propose(1), nil},
		{"a stream name that is not UTF-8", s.prefix + "\xff", event.NoStream, propose(1), nil},
		{"no type", stream, event.NoStream, of(func(e *event.Proposed) { e.Type = "" }), nil},
		{"a long type", stream, event.NoStream, of(func(e *event.Proposed) { e.Type = strings.Repeat("x", 129) }), nil},
		{"no id", stream, event.NoStream, of(func(e *event.Proposed) { e.ID = event.ID{} }), nil},
		{"no events", stream, event.NoStream, nil, nil},
		{"not a revision", stream, -2, propose(1), nil},
	} {
		_, err := s.log.Append(s.ctx, test.stream, test.expected, test.events)
		switch {
		case err == nil, errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrConflict):
			s.Errorf("%s: got %v", test.name, err)
		case test.want != nil:
			s.is(test.name, err, test.want)
		}
	}
	if _, err := s.log.Read(s.ctx, stream, event.Start, event.Forward, 0); err == nil {
		s.Error("a read of no events was answered")
	}
	s.equal("stored", len(s.read(stream, event.Start, event.Forward, 10)), 0)

	// What is just not too large is stored.
	s.append(stream, event.NoStream, size(event.MaxAppend-1000))
	s.append(s.prefix+strings.Repeat("x", 255-len(s.prefix)), event.NoStream, of(func(e *event.Proposed) { e.Type = strings.Repeat("x", 128) }))
}

func (s suite) endedContext() {
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	events := propose(1)
	_, err := s.log.Append(ended, s.prefix+"1", event.NoStream, events)
	s.is("append", err, context.Canceled)
	_, err = s.log.Read(ended, s.prefix+"1", event.Start, event.Forward, 1)
	s.is("read", err, context.Canceled)
	s.is("follow", s.log.Follow(ended, event.Position{}, s.mine(), func(event.Stretch) error { return nil }), context.Canceled)

	// Whether the append was stored is open; asking again closes it.
	s.append(s.prefix+"1", event.NoStream, events)
	s.equal("stored", ids(s.read(s.prefix+"1", event.Start, event.Forward, 10)), proposedIDs(events))

	// A follower that waits at the end is ended too.
	waiting, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.is("a follower at the end", s.log.Follow(waiting, event.Position{}, s.mine(), func(stretch event.Stretch) error {
		if stretch.Live {
			cancel()
		}
		return nil
	}), context.Canceled)
}

func (s suite) followFromAnywhere() {
	const n = 30
	var all []event.Proposed
	for i := range n {
		events := propose(i%3 + 1)
		all = append(all, events...)
		s.append(fmt.Sprint(s.prefix, i), event.NoStream, events)
	}
	seen := s.collect(event.Position{}, s.mine(), len(all))
	s.equal("from zero", ids(seen), proposedIDs(all))
	for i, e := range seen[:len(seen)-1] {
		s.equal(fmt.Sprintf("behind event %d", i), s.collect(e.Position, s.mine(), len(all)-i-1), seen[i+1:])
	}
}

func (s suite) followFromEnd() {
	s.append(s.prefix+"1", event.NoStream, propose(3))
	end, err := s.log.Head(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	late := propose(2)
	var seen []event.Recorded
	stretches := 0
	err = s.log.Follow(s.ctx, end, s.mine(), func(stretch event.Stretch) error {
		if stretches++; stretches == 1 {
			if len(stretch.Events) > 0 || stretch.UpTo.Before(end) {
				return fmt.Errorf("first stretch: %+v", stretch)
			}
		}
		if stretch.Live && late != nil {
			s.append(s.prefix+"1", 2, late)
			end, late = stretch.UpTo, nil
		}
		if seen = append(seen, stretch.Events...); len(seen) >= 2 {
			return event.ErrStop
		}
		return nil
	})
	s.is("follow", err, nil)
	s.equal("revisions", revisions(seen), []int64{3, 4})
}

func (s suite) filter() {
	const n = 1200 // more than one stretch
	wanted := event.Filter{Streams: []string{s.prefix + "wanted", s.prefix + "also"}}
	first := s.append(s.prefix+"wanted", event.NoStream, propose(1))
	for i := int64(0); i < n; i += 100 {
		s.append(s.prefix+"skipped", i-1, propose(100))
	}
	last := s.append(s.prefix+"skipped", n-1, propose(1))

	upTo := event.Position{}
	var seen []event.Recorded
	err := s.log.Follow(s.ctx, event.Position{}, wanted, func(stretch event.Stretch) error {
		seen = append(seen, stretch.Events...)
		if upTo = stretch.UpTo; !upTo.Before(last.Position) {
			return event.ErrStop
		}
		return nil
	})
	s.is("follow", err, nil)
	if len(seen) != 1 || seen[0].Position != first.Position {
		s.Fatalf("%d events were seen", len(seen))
	}

	// A checkpoint within what was skipped is a place to go on from.
	also := s.append(s.prefix+"also", event.NoStream, propose(1))
	s.equal("behind what was skipped", s.collect(upTo, wanted, 1)[0].Position, also.Position)

	// Without prefixes everything is seen but system streams.
	everything := 0
	err = s.log.Follow(s.ctx, first.Position, event.Filter{}, func(stretch event.Stretch) error {
		for _, e := range stretch.Events {
			if strings.HasPrefix(e.Stream, "$") {
				return fmt.Errorf("an event of %s was seen", e.Stream)
			}
			if strings.HasPrefix(e.Stream, s.prefix) {
				everything++
			}
		}
		if !stretch.UpTo.Before(also.Position) {
			return event.ErrStop
		}
		return nil
	})
	s.is("follow everything", err, nil)
	s.equal("events behind the first", everything, n+2)
}

func (s suite) deliverEnds() {
	s.append(s.prefix+"1", event.NoStream, propose(1))
	broken := errors.New("the row does not fit")
	for _, test := range []struct{ said, want error }{
		{event.ErrStop, nil},
		{fmt.Errorf("enough: %w", event.ErrStop), nil},
		{broken, broken},
	} {
		calls := 0
		err := s.log.Follow(s.ctx, event.Position{}, s.mine(), func(event.Stretch) error {
			calls++
			return test.said
		})
		s.is(fmt.Sprint(test.said), err, test.want)
		s.equal("calls", calls, 1)
	}
}

func (s suite) followWriters() {
	const writers, each, followers = 8, 40, 10
	var wg sync.WaitGroup
	seen := make([][]event.Recorded, followers)
	for i := range followers {
		wg.Go(func() {
			var err error
			if seen[i], err = s.follow(event.Position{}, s.mine(), writers*each); err != nil {
				s.Errorf("follower %d: %v", i, err)
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for i := range int64(each) {
				if _, err := s.log.Append(s.ctx, fmt.Sprint(s.prefix, w), i-1, propose(1)); err != nil {
					s.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if s.Failed() {
		return
	}
	// All have seen the same, whoever was how far behind; and what was seen live is what is read later.
	again := s.collect(event.Position{}, s.mine(), writers*each)
	next := map[string]int64{}
	for _, e := range again {
		if e.Revision != next[e.Stream] {
			s.Fatalf("%s: revision %d where %d was expected", e.Stream, e.Revision, next[e.Stream])
		}
		next[e.Stream]++
	}
	for i := range followers {
		s.equal(fmt.Sprintf("follower %d", i), seen[i], again)
	}
}
