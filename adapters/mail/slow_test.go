package mail

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/adapters/mail/mailtest"
	"github.com/actahq/acta/commands/process"
)

// Each answer takes two fifths of what a server may take: whoever waits for two others has waited for longer.
func TestASlowServerGetsEveryLetterOnce(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", pace{patience: 250 * time.Millisecond, rest: time.Hour})
	s.Delay(mailtest.End, 100*time.Millisecond)
	box, err := letterbox.Open(filepath.Join(t.TempDir(), "letters.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	const letters = 12
	for i := range letters {
		at := time.Now().UTC()
		if err := box.Add(t.Context(), process.Letter{ID: fmt.Sprintf("%04d", i), Channel: "email", CreatedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	d := process.Delivery{
		Letterbox: box, Now: time.Now,
		Compose: func(context.Context, process.Letter) (process.Message, error) { return process.Message{}, nil },
		Send: map[string]func(context.Context, process.Message) error{"email": func(ctx context.Context, of process.Message) error {
			letter := message
			letter.ID, letter.Turn = of.ID, of.Turn
			return m.Send(ctx, letter)
		}},
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	s.Wait(t, letters)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	took := map[string]int{}
	for _, got := range s.Mails() {
		took[got.Read(t).Header.Get("Message-ID")]++
	}
	if len(took) != letters || len(s.Mails()) != letters || s.Tries() != letters {
		t.Errorf("%d tries brought %d mails: %v", s.Tries(), len(s.Mails()), took)
	}
	if counts, err := box.Count(t.Context()); err != nil || counts[process.Sent] != letters {
		t.Errorf("stored as %v, %v", counts, err)
	}
	mustBe(t, m, "closed")
}
