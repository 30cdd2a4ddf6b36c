package sms

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/letterbox/letterboxtest"
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
	letterboxtest.Deliver(t, "sms", messages, func(ctx context.Context, of process.Message) error {
		m := message
		m.ID, m.Turn = of.ID, of.Turn
		return s.Send(ctx, m)
	}, func() { <-done })
	for id, n := range took {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
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
