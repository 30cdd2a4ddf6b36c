package mail

import (
	"context"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/letterbox/letterboxtest"
	"github.com/actahq/acta/adapters/mail/mailtest"
	"github.com/actahq/acta/commands/process"
)

// Each answer takes two fifths of what a server may take: whoever waits for two others has waited for longer.
func TestASlowServerGetsEveryLetterOnce(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", pace{patience: 250 * time.Millisecond, rest: time.Hour})
	s.Delay(mailtest.End, 100*time.Millisecond)
	const letters = 12
	letterboxtest.Deliver(t, "email", letters, func(ctx context.Context, of process.Message) error {
		letter := message
		letter.ID, letter.Turn = of.ID, of.Turn
		return m.Send(ctx, letter)
	}, func() { s.Wait(t, letters) })
	took := map[string]int{}
	for _, got := range s.Mails() {
		took[got.Read(t).Header.Get("Message-ID")]++
	}
	if len(took) != letters || len(s.Mails()) != letters || s.Tries() != letters {
		t.Errorf("%d tries brought %d mails: %v", s.Tries(), len(s.Mails()), took)
	}
	mustBe(t, m, "closed")
}
