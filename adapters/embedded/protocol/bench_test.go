package protocol

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
)

// proposal makes one event of the usual size: 480 bytes of data and 200 of metadata.
func proposal() esdb.EventData {
	return esdb.EventData{
		EventID: uuid.New(), EventType: "account.email-changed.v1", ContentType: esdb.ContentTypeJson,
		Data:     []byte(`{"personal":"` + strings.Repeat("x", 465) + `"}`),
		Metadata: []byte(`{"personal":"` + strings.Repeat("y", 185) + `"}`),
	}
}

// BenchmarkAppend appends one event per request through the Go client, each writer to 20 streams of its own in turn.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			address, _ := serve(b, New(openLog(b, b.TempDir())))
			client := dial(b, "esdb://"+address+"?tls=false")
			var next atomic.Int64
			done := make(chan struct{})
			b.ResetTimer()
			for w := range writers {
				go func() {
					defer func() { done <- struct{}{} }()
					for n := 0; next.Add(1) <= int64(b.N); n++ {
						expected := esdb.ExpectedRevision(esdb.NoStream{})
						if n >= 20 {
							expected = esdb.Revision(uint64(n/20 - 1))
						}
						if _, err := client.AppendToStream(b.Context(), fmt.Sprintf("account-bench.%d-%d", w, n%20),
							esdb.AppendToStreamOptions{ExpectedRevision: expected}, proposal()); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			for range writers {
				<-done
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkReadAll reads 20,000 events through the Go client.
func BenchmarkReadAll(b *testing.B) {
	const events = 20_000
	address, _ := serve(b, New(openLog(b, b.TempDir())))
	client := dial(b, "esdb://"+address+"?tls=false")
	for i := range events / 100 {
		var together []esdb.EventData
		for range 100 {
			together = append(together, proposal())
		}
		if _, err := client.AppendToStream(b.Context(), fmt.Sprint("account-bench.", i%20), esdb.AppendToStreamOptions{}, together...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		all, err := drain(client.ReadAll(b.Context(), esdb.ReadAllOptions{From: esdb.Start{}}, math.MaxUint64))
		if err != nil || len(all) != events {
			b.Fatal(len(all), err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
