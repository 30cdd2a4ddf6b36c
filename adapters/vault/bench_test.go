package vault

import (
	"context"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

// usual is an event of usual size, with something personal in both parts.
func usual(n int) event.Proposed {
	e := event.Proposed{
		Type: "account.session-started.v1",
		Data: json.RawMessage(`{"session":"66b2a7c1d0e3f4a5b6c7","provider":"email","expires":"2027-01-31T09:30:00.000Z","factors":["password"],` +
			`"personal":{"ip":"203.0.113.195","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","country":"ch"}}`),
		Metadata: json.RawMessage(`{"at":"2026-01-31T09:30:00.000Z","actor":{"kind":"user","id":"65f0c1"},"project":"demo","request":"0199f3c2-5f7e-7c3a-9d42-1f2b3c4d5e6f",` +
			`"personal":{"ip":"203.0.113.195","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0","email":"someone@example.org","name":"Some One"}}`),
	}
	e.ID[0], e.ID[14], e.ID[15] = 1, byte(n>>8), byte(n)
	return e
}

func BenchmarkSeal(b *testing.B) {
	v := start(b, folder(b.TempDir()))
	events := []event.Proposed{usual(1)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.seal(b.Context(), ann, events); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	v := start(b, folder(b.TempDir()))
	sealed, err := v.seal(b.Context(), ann, []event.Proposed{usual(1)})
	if err != nil {
		b.Fatal(err)
	}
	events := []event.Recorded{{Proposed: sealed[0], Stream: ann}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.open(b.Context(), events); err != nil {
			b.Fatal(err)
		}
	}
}

// A stretch of 1000 events of 100 people, whose keys are ready or have to be read first.
func BenchmarkOpenStretch(b *testing.B) {
	v := start(b, folder(b.TempDir()))
	var events []event.Recorded
	for i := range 1000 {
		stream := fmt.Sprintf("account-demo.65f0c1a2b3%d", i%100)
		sealed, err := v.seal(b.Context(), stream, []event.Proposed{usual(i)})
		if err != nil {
			b.Fatal(err)
		}
		events = append(events, event.Recorded{Proposed: sealed[0], Stream: stream})
	}
	for name, before := range map[string]func(){"ready": func() {}, "read": v.ready.empty} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				before()
				if _, err := v.open(b.Context(), events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/event")
		})
	}
}

// Events without a person are only looked at.
func BenchmarkNothingPersonal(b *testing.B) {
	v := start(b, folder(b.TempDir()))
	e := usual(1)
	for _, p := range parts {
		text := p.of(&e)
		*text = json.RawMessage(strings.Replace(string(*text), `"personal"`, `"impersonal"`, 1))
	}
	l := v.Log(logtest.NewMemory())
	events := []event.Proposed{e}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.vault.seal(b.Context(), ann, events); err != nil {
			b.Fatal(err)
		}
	}
}

// Sign-ups: 32 at a time, each waiting until its key is on the disk.
func BenchmarkCreateKey(b *testing.B) {
	eachHome(b, func(b *testing.B, v *Vault) {
		var n atomic.Int64
		b.SetParallelism(32 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := v.key(context.Background(), fmt.Sprintf("account-demo.%d", n.Add(1))); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "keys/s")
	})
}

// What a command costs more when its account's key is not ready.
func BenchmarkReadKey(b *testing.B) {
	eachHome(b, func(b *testing.B, v *Vault) {
		must[cipher.AEAD](b)(v.key(b.Context(), ann))
		for b.Loop() {
			v.ready.empty()
			if _, err := v.key(b.Context(), ann); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkForget(b *testing.B) {
	eachHome(b, func(b *testing.B, v *Vault) {
		n := 0
		for b.Loop() {
			n++
			if err := v.Forget(b.Context(), fmt.Sprintf("account-demo.%d", n)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func eachHome(b *testing.B, bench func(*testing.B, *Vault)) {
	for name, in := range map[string]home{"sqlite": folder(b.TempDir()), "postgres": instance{postgrestest.Database(b)}} {
		v := start(b, in)
		b.Run(name, func(b *testing.B) { bench(b, v) })
	}
}
