package protocol

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (w *world) followStream(stream string, from esdb.StreamPosition) *esdb.Subscription {
	w.Helper()
	sub, err := w.client.SubscribeToStream(w.ctx, stream, esdb.SubscribeToStreamOptions{From: from})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { sub.Close() })
	return sub
}

func (w *world) followAll(options esdb.SubscribeToAllOptions) *esdb.Subscription {
	w.Helper()
	sub, err := w.client.SubscribeToAll(w.ctx, options)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { sub.Close() })
	return sub
}

// told writes what a subscription was told, up to and with what ends it.
func told(sub *esdb.Subscription, until string) (all []string) {
	for {
		var said string
		switch e := sub.Recv(); {
		case e.EventAppeared != nil:
			said = fmt.Sprintf("%s@%d", e.EventAppeared.Event.StreamID, int64(e.EventAppeared.Event.EventNumber))
		case e.CheckPointReached != nil:
			said = fmt.Sprintf("checkpoint %d", e.CheckPointReached.Commit)
		case e.CaughtUp != nil:
			said = "caught up"
		case e.SubscriptionDropped != nil:
			return append(all, fmt.Sprintf("dropped: %s", status.Code(e.SubscriptionDropped.Error)))
		}
		if all = append(all, said); said == until {
			return all
		}
	}
}

func TestASubscriptionBeginsBehindARevision(t *testing.T) {
	w := begin(t)
	w.append("other", esdb.NoStream{}, notes(2)...)
	w.append("note", esdb.NoStream{}, notes(3)...)
	for _, test := range []struct {
		from esdb.StreamPosition
		want []string
	}{
		{esdb.Start{}, []string{"note@0", "note@1", "note@2", "caught up"}},
		{esdb.Revision(0), []string{"note@1", "note@2", "caught up"}},
		{esdb.Revision(2), []string{"caught up"}},
		{esdb.Revision(7), []string{"caught up"}},
		{esdb.End{}, []string{"caught up"}},
	} {
		if diff := cmp.Diff(test.want, told(w.followStream("note", test.from), "caught up")); diff != "" {
			t.Errorf("from %v:\n%s", test.from, diff)
		}
	}
	live := map[string]*esdb.Subscription{}
	for name, from := range map[string]esdb.StreamPosition{"the start": esdb.Start{}, "the end": esdb.End{}, "later": esdb.Revision(3), "never": esdb.Revision(math.MaxInt64)} {
		live[name] = w.followStream("note", from)
		told(live[name], "caught up")
	}
	w.append("note", esdb.Revision(2), notes(2)...)
	w.append("other", esdb.Any{}, notes(1)...)
	for name, want := range map[string][]string{"the start": {"note@3", "note@4"}, "the end": {"note@3", "note@4"}, "later": {"note@4"}} {
		if diff := cmp.Diff(want, told(live[name], "note@4")); diff != "" {
			t.Errorf("live from %s:\n%s", name, diff)
		}
	}
}

func TestASubscriptionToWhatIsNotThereYetWaits(t *testing.T) {
	w := begin(t)
	sub := w.followStream("note", esdb.Start{})
	told(sub, "caught up")
	w.append("note", esdb.NoStream{}, notes(1)...)
	if diff := cmp.Diff([]string{"note@0"}, told(sub, "note@0")); diff != "" {
		t.Error(diff)
	}
}

func TestASubscriptionToAllBeginsBehindAPosition(t *testing.T) {
	w := begin(t)
	w.append("a", esdb.NoStream{}, notes(2)...)
	w.append("b", esdb.NoStream{}, notes(1)...)
	for _, test := range []struct {
		from esdb.AllPosition
		want []string
	}{
		{esdb.Start{}, []string{"a@0", "a@1", "b@0", "caught up"}},
		{esdb.Position{}, []string{"a@0", "a@1", "b@0", "caught up"}},
		{esdb.Position{Commit: 1, Prepare: 1}, []string{"a@1", "b@0", "caught up"}},
		{esdb.Position{Commit: 3, Prepare: 3}, []string{"caught up"}},
		{esdb.Position{Commit: math.MaxUint64, Prepare: math.MaxUint64}, []string{"caught up"}},
		{esdb.End{}, []string{"caught up"}},
	} {
		sub := w.followAll(esdb.SubscribeToAllOptions{From: test.from})
		if diff := cmp.Diff(test.want, told(sub, "caught up")); diff != "" {
			t.Errorf("from %v:\n%s", test.from, diff)
		}
	}
	_, err := w.client.SubscribeToAll(w.ctx, esdb.SubscribeToAllOptions{From: esdb.Position{Commit: 4, Prepare: 4}})
	if err == nil || !strings.Contains(err.Error(), codes.DataLoss.String()) {
		t.Errorf("behind a position that was lost: %v", err)
	}
}

func TestAFilterChoosesAndTellsHowFarItIs(t *testing.T) {
	w := begin(t)
	for i := range 10 {
		e := note("")
		e.EventType = fmt.Sprintf("type-%d", i%2)
		w.append(fmt.Sprintf("stream-%d", i%3), esdb.Any{}, e)
	}
	for _, test := range []struct {
		name   string
		filter esdb.SubscriptionFilter
		window int
		every  int
		want   []string
	}{
		{"stream by prefix", esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"stream-1", "stream-9"}}, 32, 1,
			[]string{"stream-1@0", "stream-1@1", "stream-1@2", "checkpoint 10", "caught up"}},
		{"stream by expression", esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Regex: `am-[2]$`}, 2, 2,
			[]string{"stream-2@0", "checkpoint 4", "stream-2@1", "checkpoint 8", "stream-2@2", "checkpoint 10", "caught up"}},
		{"type by prefix", esdb.SubscriptionFilter{Type: esdb.EventFilterType, Prefixes: []string{"type-1"}}, 5, 1,
			[]string{"stream-1@0", "stream-0@1", "checkpoint 5", "stream-2@1", "stream-1@2", "stream-0@3", "checkpoint 10", "checkpoint 10", "caught up"}},
		{"type by expression", esdb.SubscriptionFilter{Type: esdb.EventFilterType, Regex: `^[^\$].*2`}, esdb.NoMaxSearchWindow, 1,
			[]string{"checkpoint 10", "caught up"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sub := w.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}, Filter: &test.filter, MaxSearchWindow: test.window, CheckpointInterval: test.every})
			if diff := cmp.Diff(test.want, told(sub, "caught up")); diff != "" {
				t.Error(diff)
			}
		})
	}
	// Live, events that are skipped move the checkpoint too.
	sub := w.followAll(esdb.SubscribeToAllOptions{From: esdb.End{}, Filter: esdb.ExcludeSystemEventsFilter(), MaxSearchWindow: 2})
	told(sub, "caught up")
	system := note("")
	system.EventType = "$system"
	w.append("$settings", esdb.Any{}, system)
	w.append("seen", esdb.Any{}, notes(1)...)
	if diff := cmp.Diff([]string{"seen@0", "checkpoint 12"}, told(sub, "checkpoint 12")); diff != "" {
		t.Error(diff)
	}
	for _, regex := range []string{`(?=x)`, `(a)\1`, `(`} {
		_, err := w.client.SubscribeToAll(w.ctx, esdb.SubscribeToAllOptions{Filter: &esdb.SubscriptionFilter{Regex: regex}})
		if err == nil || !strings.Contains(err.Error(), codes.InvalidArgument.String()) {
			t.Errorf("%s: %v", regex, err)
		}
	}
}

func TestSubscriptionsHaveNoGapUnderConcurrentAppends(t *testing.T) {
	w := begin(t)
	const writers, each, followers = 6, 60, 4
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				if err := w.tryAppend(fmt.Sprint("stream-", i), esdb.Any{}, notes(2)...); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	seen := make([][]uint64, followers)
	for i := range followers {
		wg.Go(func() {
			sub, err := w.client.SubscribeToAll(w.ctx, esdb.SubscribeToAllOptions{From: esdb.Start{}})
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			for len(seen[i]) < writers*each*2 {
				e := sub.Recv()
				if e.SubscriptionDropped != nil {
					t.Error(e.SubscriptionDropped.Error)
					return
				}
				if e.EventAppeared != nil {
					seen[i] = append(seen[i], e.EventAppeared.Event.Position.Commit)
				}
			}
		})
		wg.Go(func() {
			sub, err := w.client.SubscribeToStream(w.ctx, fmt.Sprint("stream-", i), esdb.SubscribeToStreamOptions{From: esdb.Start{}})
			if err != nil {
				t.Error(err)
				return
			}
			defer sub.Close()
			for next := uint64(0); next < each*2; {
				e := sub.Recv()
				if e.SubscriptionDropped != nil {
					t.Error(e.SubscriptionDropped.Error)
					return
				}
				if e.EventAppeared != nil {
					if e.EventAppeared.Event.EventNumber != next {
						t.Errorf("revision %d where %d was expected", e.EventAppeared.Event.EventNumber, next)
						return
					}
					next++
				}
			}
		})
	}
	wg.Wait()
	want := []uint64{}
	for i := range uint64(writers * each * 2) {
		want = append(want, i+1)
	}
	for i := range followers {
		if !slices.Equal(seen[i], want) {
			t.Errorf("follower %d saw %d events, not all in order", i, len(seen[i]))
		}
	}
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	w := begin(t)
	sub := w.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}})
	told(sub, "caught up")
	sub.Close()
	if e := sub.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("got %+v", e)
	}
}
