package sms

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/adapters/breaker"
)

// moody answers with the status it is set to, and counts; while it is 0 it lets everybody wait.
type moody struct{ status, tries atomic.Int64 }

func (m *moody) answer(w http.ResponseWriter, r *http.Request) {
	m.tries.Add(1)
	if status := m.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	hangs(nil)(w, r)
}

func withMoody(t *testing.T, status int64, test func(t *testing.T, m *moody, s *Sender)) {
	t.Helper()
	m := &moody{}
	m.status.Store(status)
	inBubble(t, all["webhook"], m.answer, func(t *testing.T, s *Sender) { test(t, m, s) })
}

func mustBe(t *testing.T, s *Sender, state string) {
	t.Helper()
	if got := s.State(); got != state {
		t.Errorf("the breaker is %s, want %s", got, state)
	}
}

// trip makes the breaker open.
func trip(t *testing.T, s *Sender) {
	t.Helper()
	for range breaker.TripAfter {
		mustBe(t, s, "closed")
		if err := s.Send(t.Context(), message); err == nil || errors.Is(err, breaker.ErrResting) || errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
	}
	mustBe(t, s, "open")
}

const rest = 5*time.Second + 1 // the breaker opens after its rest, not at its end

func TestAfterFiveFailuresNothingIsTried(t *testing.T) {
	for _, status := range []int64{0, 302, 401, 402, 403, 404, 405, 408, 410, 429, 500, 503} {
		withMoody(t, status, func(t *testing.T, m *moody, s *Sender) {
			trip(t, s)
			for range 20 {
				if err := s.Send(t.Context(), message); !errors.Is(err, breaker.ErrResting) {
					t.Errorf("%d: %v", status, err)
				}
			}
			if n := m.tries.Load(); n != breaker.TripAfter {
				t.Errorf("%d: %d tries", status, n)
			}
		})
	}
}

func TestNoConnectionIsAFailure(t *testing.T) {
	trip(t, open(t, at(all["webhook"], closed(t))))
}

func TestTheBreakerHealsByOneTry(t *testing.T) {
	withMoody(t, 500, func(t *testing.T, m *moody, s *Sender) {
		trip(t, s)
		time.Sleep(rest)
		mustBe(t, s, "half-open")
		if err := s.Send(t.Context(), message); err == nil || errors.Is(err, breaker.ErrResting) {
			t.Errorf("the try: %v", err)
		}
		mustBe(t, s, "open")

		time.Sleep(rest)
		m.status.Store(0)
		probe := make(chan error)
		go func() { probe <- s.Send(t.Context(), message) }()
		synctest.Wait() // until it waits for its answer
		if err := s.Send(t.Context(), message); !errors.Is(err, breaker.ErrResting) {
			t.Errorf("beside the try: %v", err)
		}
		<-probe
		mustBe(t, s, "open")

		time.Sleep(rest)
		m.status.Store(200)
		for range 3 {
			if err := s.Send(t.Context(), message); err != nil {
				t.Error(err)
			}
			mustBe(t, s, "closed")
		}
		if n := m.tries.Load(); n != breaker.TripAfter+1+1+3 {
			t.Errorf("%d tries", n)
		}
	})
}

func TestRefusedMessagesProveThatTheProviderIsWell(t *testing.T) {
	withMoody(t, 400, func(t *testing.T, m *moody, s *Sender) {
		for range 4 * breaker.TripAfter {
			if err := s.Send(t.Context(), message); !errors.Is(err, ErrRefused) {
				t.Error(err)
			}
		}
		mustBe(t, s, "closed")
		m.status.Store(500)
		for range breaker.TripAfter - 1 {
			s.Send(t.Context(), message)
		}
		m.status.Store(400)
		s.Send(t.Context(), message)
		m.status.Store(500)
		trip(t, s) // five more
	})
}

func TestCallersWhoLeaveProveNothing(t *testing.T) {
	withMoody(t, 0, func(t *testing.T, m *moody, s *Sender) {
		leave := func() {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := s.Send(ctx, message); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		for range 4 * breaker.TripAfter {
			leave()
		}
		mustBe(t, s, "closed")

		trip(t, s)
		time.Sleep(rest)
		leave()
		mustBe(t, s, "half-open")
		m.status.Store(200)
		if err := s.Send(t.Context(), message); err != nil {
			t.Errorf("after a try that was left: %v", err)
		}
		mustBe(t, s, "closed")
	})
}
