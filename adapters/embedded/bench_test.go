package embedded

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/actahq/acta/domain/event"
)

// proposal makes one event of the usual size: 480 bytes of data and 200 of metadata.
func proposal(n uint64) []event.Proposed {
	e := event.Proposed{
		Type:     "account.email-changed.v1",
		Data:     []byte(`{"personal":"` + strings.Repeat("x", 465) + `"}`),
		Metadata: []byte(`{"personal":"` + strings.Repeat("y", 185) + `"}`),
	}
	binary.BigEndian.PutUint64(e.ID[:], n+1)
	return []event.Proposed{e}
}

// writers runs append b.N times in all, from so many goroutines at once.
func writers(b *testing.B, n int, append func(writer int, i uint64)) {
	var next atomic.Int64
	done := make(chan struct{})
	b.ResetTimer()
	for w := range n {
		go func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				append(w, uint64(i))
			}
			done <- struct{}{}
		}()
	}
	for range n {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}

// BenchmarkDisk is what the disk itself can do: append 4 KiB to a file and sync it. The rates of BenchmarkAppend are to
// be seen beside it.
func BenchmarkDisk(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	writers(b, 1, func(int, uint64) {
		if _, err := f.Write(page); err != nil {
			b.Error(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkAppend appends one event per request, each writer to 20 streams of its own in turn.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", n), func(b *testing.B) {
			l := openLog(b, b.TempDir())
			revisions := make([][20]int64, n)
			turns := make([]int, n)
			writers(b, n, func(w int, i uint64) {
				s := turns[w] % 20
				turns[w]++
				if _, err := l.Append(b.Context(), fmt.Sprintf("account-bench.%d-%d", w, s), revisions[w][s]-1, proposal(i)); err != nil {
					b.Error(err)
				}
				revisions[w][s]++
			})
		})
	}
}

// BenchmarkNewStreams appends each event to a stream that never was, from 64 writers.
func BenchmarkNewStreams(b *testing.B) {
	l := openLog(b, b.TempDir())
	var stream atomic.Uint64
	writers(b, 64, func(_ int, i uint64) {
		if _, err := l.Append(b.Context(), fmt.Sprintf("account-bench.%016x", stream.Add(1)*0x9e3779b97f4a7c15), event.NoStream, proposal(i)); err != nil {
			b.Error(err)
		}
	})
}

// fill appends events in 20 streams and opens the log anew, so that nothing of it is in memory.
func fill(b *testing.B, events int) *Log {
	dir := b.TempDir()
	l := openLog(b, dir)
	for i := 0; i < events; i += 100 {
		var together []event.Proposed
		for n := range 100 {
			together = append(together, proposal(uint64(i+n))...)
		}
		if _, err := l.Append(b.Context(), fmt.Sprintf("account-bench.%d", i/100%20), int64(i/2000*100-1), together); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return openLog(b, dir)
}

// BenchmarkFollowFromZero reads a log of 200,000 events, each one verified.
func BenchmarkFollowFromZero(b *testing.B) {
	const events = 200_000
	l := fill(b, events)
	for b.Loop() {
		seen := 0
		if err := l.Follow(b.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
			if seen += len(s.Events); s.Live {
				return event.ErrStop
			}
			return nil
		}); err != nil || seen != events {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkReadNothingNew is what every command does first: ask for what came behind the revision it knows.
func BenchmarkReadNothingNew(b *testing.B) {
	l := fill(b, 2000)
	for b.Loop() {
		if events, err := l.Read(b.Context(), "account-bench.7", 100, event.Forward, 100); len(events) != 0 || err != nil {
			b.Fatal(len(events), err)
		}
	}
}

// BenchmarkReadStream reads 20 events of a stream.
func BenchmarkReadStream(b *testing.B) {
	l := fill(b, 2000)
	for b.Loop() {
		if events, err := l.Read(b.Context(), "account-bench.7", 0, event.Forward, 20); len(events) != 20 || err != nil {
			b.Fatal(len(events), err)
		}
	}
}

// BenchmarkChecksum verifies one event of the usual size.
func BenchmarkChecksum(b *testing.B) {
	e := event.Recorded{Proposed: proposal(1)[0], Stream: "account-bench.7", Position: event.At(1)}
	for b.Loop() {
		recordChecksum(&e)
	}
}
