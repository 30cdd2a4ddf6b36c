package mail

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/mail/mailtest"
)

// trip makes the breaker open.
func trip(t *testing.T, m *Mailer) {
	t.Helper()
	for range breaker.TripAfter {
		mustBe(t, m, "closed")
		mustFail(t, m, nil)
	}
}

func TestAfterFiveFailuresNothingIsTried(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	s.Answer(mailtest.Connect, 421)
	trip(t, m)
	mustBe(t, m, "open")
	for range 20 {
		mustFail(t, m, breaker.ErrResting)
	}
	if n := s.Tries(); n != breaker.TripAfter {
		t.Errorf("it was tried %d times", n)
	}
}

func TestAnAnswerAboutALetterEndsARowOfFailures(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	for range breaker.TripAfter {
		s.Answer(mailtest.Recipient, 421)
		for range breaker.TripAfter - 1 {
			mustFail(t, m, nil)
		}
		s.Answer(mailtest.Recipient, 550)
		mustFail(t, m, ErrRefused)
	}
	mustBe(t, m, "closed")
}

func TestAfterARestOneLetterIsTried(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	p := patient
	p.rest = 50 * time.Millisecond
	m := open(t, s, "", p)
	s.Answer(mailtest.Connect, 421)
	trip(t, m)

	await(t, m, "half-open")
	s.Hang(mailtest.Connect)
	before, ended := s.Tries(), make(chan error)
	go func() { ended <- m.Send(t.Context(), message) }()
	s.WaitHanging(t, 1)
	for range 20 {
		mustFail(t, m, breaker.ErrResting)
	}
	if n := s.Tries() - before; n != 1 {
		t.Errorf("%d letters were tried", n)
	}
	s.Heal() // which cuts the one that hangs
	if err := <-ended; err == nil || errors.Is(err, breaker.ErrResting) {
		t.Errorf("got %v", err)
	}

	await(t, m, "half-open") // after another rest
	mustSend(t, m, message)
	mustBe(t, m, "closed")
	mustSend(t, m, message)
}

func TestARefusedLetterProvesThatTheServerIsBack(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	p := patient
	p.rest = 50 * time.Millisecond
	m := open(t, s, "", p)
	s.Answer(mailtest.Connect, 421)
	trip(t, m)
	s.Heal()
	s.Answer(mailtest.Recipient, 550)
	await(t, m, "half-open")
	mustFail(t, m, ErrRefused)
	mustBe(t, m, "closed")
}

func TestACallerWhoLeavesLeavesTheTryAfterARestToTheNext(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	p := patient
	p.rest = 50 * time.Millisecond
	m := open(t, s, "", p)
	s.Answer(mailtest.Connect, 421)
	trip(t, m)
	await(t, m, "half-open")
	s.Hang(mailtest.Connect)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- m.Send(ctx, message) }()
	s.WaitHanging(t, 1)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustBe(t, m, "half-open")
	s.Heal()
	mustSend(t, m, message)
	mustBe(t, m, "closed")
}
