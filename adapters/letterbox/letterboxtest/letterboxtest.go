// Package letterboxtest has letters delivered from a real letterbox, for tests of those who send them.
package letterboxtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/commands/process"
)

// Deliver queues so many letters of a channel, has them sent until taken returns, and wants all of them to be stored as
// sent then. Messages have nothing but an id and a turn.
func Deliver(t *testing.T, channel string, letters int, send func(context.Context, process.Message) error, taken func()) {
	t.Helper()
	box, err := letterbox.Open(filepath.Join(t.TempDir(), "letters.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	for i := range letters {
		if err := box.Add(t.Context(), process.Letter{ID: fmt.Sprintf("%04d", i), Channel: channel, CreatedAt: time.Now().UTC()}); err != nil {
			t.Fatal(err)
		}
	}
	d := process.Delivery{
		Letterbox: box, Now: time.Now,
		Compose: func(context.Context, process.Letter) (process.Message, error) { return process.Message{}, nil },
		Send:    map[string]func(context.Context, process.Message) error{channel: send},
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	taken()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if counts, err := box.Count(t.Context()); err != nil || counts[process.Sent] != letters {
		t.Errorf("stored as %v, %v", counts, err)
	}
}
