package sms

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/commands/process"
)

// Each answer takes two fifths of what a provider may take: whoever waits for two others has waited for longer.
func TestASlowProviderGetsEveryMessageOnce(t *testing.T) {
	const messages = 12
	var mu sync.Mutex
	took := map[string]int{}
	done := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		took[r.Header.Get("Idempotency-Key")]++
		last := len(took) == messages
		mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		if last {
			close(done)
		}
	})
	s, err := newSender(at(all["webhook"], url), pace{patience: 250 * time.Millisecond, rest: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	box, err := letterbox.Open(filepath.Join(t.TempDir(), "letters.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	for i := range messages {
		at := time.Now().UTC()
		if err := box.Add(t.Context(), process.Letter{ID: fmt.Sprintf("%04d", i), Channel: "sms", CreatedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	d := process.Delivery{
		Letterbox: box, Now: time.Now,
		Compose: func(context.Context, process.Letter) (process.Message, error) { return process.Message{}, nil },
		Send: map[string]func(context.Context, process.Message) error{"sms": func(ctx context.Context, of process.Message) error {
			m := message
			m.ID, m.Turn = of.ID, of.Turn
			return s.Send(ctx, m)
		}},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	<-done
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for id, n := range took {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	if counts, err := box.Count(t.Context()); err != nil || counts[process.Sent] != messages {
		t.Errorf("stored as %v, %v", counts, err)
	}
	mustBe(t, s, "closed")
}

// A provider that takes long to connect to must not hold up the messages that are connected.
func TestTheTurnIsTakenOnAConnection(t *testing.T) {
	inBubble(t, all["webhook"], says(200, ""), func(t *testing.T, s *Sender) {
		transport := s.client.Transport.(*http.Transport)
		dial := transport.DialContext
		connected := false
		transport.DialContext = func(ctx context.Context, network, address string) (c net.Conn, err error) {
			time.Sleep(4 * time.Second)
			connected = true
			return dial(ctx, network, address)
		}
		m := message
		m.Turn = func(context.Context) error {
			if !connected {
				t.Error("it takes its turn and has no connection yet")
			}
			return nil
		}
		if err := s.Send(t.Context(), m); err != nil {
			t.Error(err)
		}
	})
}
