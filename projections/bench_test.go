package projections

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// recording is a log that was written before: it delivers stretches as large as real logs do.
type recording struct{ events []event.Recorded }

func (r recording) Read(context.Context, string, int64, event.Direction, int) ([]event.Recorded, error) {
	return nil, nil
}

func (r recording) Head(context.Context) (event.Position, error) {
	return event.At(uint64(len(r.events))), nil
}

func (r recording) Follow(ctx context.Context, from event.Position, _ event.Filter, deliver func(event.Stretch) error) error {
	for n := from.Commit; ; {
		end := min(n+1000, uint64(len(r.events)))
		if err := deliver(event.Stretch{Events: r.events[n:end], UpTo: event.At(end), Live: end == uint64(len(r.events))}); err != nil {
			return err
		}
		if n = end; n == uint64(len(r.events)) {
			<-ctx.Done()
			return ctx.Err()
		}
	}
}

// life is what happens to an account in the mean.
func life(id string) []account.Event {
	events := []account.Event{created(id+"@example.com", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo")}
	for i := range 3 {
		events = append(events, started(fmt.Sprintf("%s-%d", id, i)))
	}
	for i := range 5 {
		events = append(events, prefs(fmt.Sprintf(`{"theme":"dark","language":"en","count":%d}`, i)))
	}
	return append(events, account.SessionEnded{ID: id + "-0"}, renamed("Ada Lovelace"))
}

// history is the lives of accounts of which so many are led at the same time.
func history(w *world, lives, together int) []event.Recorded {
	w.trace.UserAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	var all []event.Recorded
	for first := 0; first < lives; first += together {
		var group [][]event.Proposed
		for i := first; i < first+together; i++ {
			group = append(group, w.proposed(0, life(fmt.Sprintf("%020d", i))...))
		}
		for r := range group[0] {
			for i, events := range group {
				all = append(all, event.Recorded{
					Proposed: events[r], Stream: Key{"shop", fmt.Sprintf("%020d", first+i)}.accountStream(),
					Revision: int64(r), Position: event.At(uint64(len(all) + 1)), Recorded: dawn,
				})
			}
		}
	}
	return all
}

func onEach(b *testing.B, bench func(b *testing.B, on place)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, inFile) })
	b.Run("postgres", func(b *testing.B) { bench(b, postgrestest.Database) })
}

// Together tells how many accounts are at work at once: the more, the less there is to fold.
func BenchmarkProjectFromZero(b *testing.B) {
	for _, together := range []int{50, 1000} {
		events := history(newWorld(b), 10_000, together)
		onEach(b, func(b *testing.B, on place) {
			b.Run(fmt.Sprintf("together=%d", together), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					m, err := New(openDatabase(b, on(b)), recording{events})
					if err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					stop := (&world{t: b}).run(m)
					if err := m.Wait(b.Context(), event.At(uint64(len(events)))); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					stop()
					b.StartTimer()
				}
				b.ReportMetric(float64(b.N*len(events))/b.Elapsed().Seconds(), "events/s")
			})
		})
	}
}

func BenchmarkBySecret(b *testing.B) {
	const lives = 10_000
	events := history(newWorld(b), lives, 50)
	onEach(b, func(b *testing.B, on place) {
		m, err := New(openDatabase(b, on(b)), recording{events})
		if err != nil {
			b.Fatal(err)
		}
		stop := (&world{t: b}).run(m)
		if err := m.Wait(b.Context(), event.At(uint64(len(events)))); err != nil {
			b.Fatal(err)
		}
		stop()
		var n atomic.Int64
		b.SetParallelism(4) // 8 goroutines on 2 cores
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			ctx, cancel := context.WithCancel(b.Context()) // as a request's
			defer cancel()
			for pb.Next() {
				id := fmt.Sprintf("%020d", n.Add(7919)%lives)
				if _, _, ok, err := m.BySecret(ctx, "shop", id, "hash-of-"+id+"-1", dawn); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}

// From the append to the answer, with everything idle.
func BenchmarkLiveApply(b *testing.B) {
	onEach(b, func(b *testing.B, on place) {
		w := newWorldOn(b, on)
		w.happens("a", 0, created("a@example.com", "hash"))
		w.run(w.models)
		w.shows(w.models)
		revision := int64(1)
		for b.Loop() {
			p := w.proposed(revision, renamed(fmt.Sprint(revision)))
			receipt, err := w.log.Append(b.Context(), Key{"shop", "a"}.accountStream(), revision-1, p)
			if err != nil {
				b.Fatal(err)
			}
			if err := w.models.Wait(b.Context(), receipt.Position); err != nil {
				b.Fatal(err)
			}
			revision++
		}
	})
}
