package oauth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/peertest"
)

// moody answers with the status it is set to, and counts; while it is 0 it lets everybody wait.
type moody struct{ status, asked atomic.Int64 }

func (m *moody) answer(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	m.asked.Add(1)
	switch status := m.status.Load(); {
	case status == 0:
		<-r.Context().Done()
	case status == 200 && r.URL.Path == "/t":
		says(w, 200, usualToken)
	case status == 200:
		says(w, 200, `{"id":"42"}`)
	default:
		says(w, int(status), `{"error":"invalid_grant"}`)
	}
}

func withMoody(t *testing.T, status int64, test func(t *testing.T, m *moody, p *Provider)) {
	t.Helper()
	m := &moody{}
	m.status.Store(status)
	inBubble(t, m.answer, func(t *testing.T, p *Provider) { test(t, m, p) })
}

func mustBe(t *testing.T, p *Provider, state string) {
	t.Helper()
	if got := p.State(); got != state {
		t.Errorf("the breaker is %s, want %s", got, state)
	}
}

func try(ctx context.Context, p *Provider) error {
	_, err := p.Exchange(ctx, "c0de", attempt, nil)
	return err
}

// trip makes the breaker open.
func trip(t *testing.T, p *Provider) {
	t.Helper()
	for i := range breaker.TripAfter {
		mustBe(t, p, "closed")
		var err error
		if i%2 == 0 {
			err = try(t.Context(), p)
		} else {
			_, err = p.Refresh(t.Context(), "r3fresh")
		}
		if err == nil || errors.Is(err, breaker.ErrResting) {
			t.Errorf("got %v", err)
		}
	}
	mustBe(t, p, "open")
}

const rested = rest + 1 // the breaker opens after its rest, not at its end

func TestAfterFiveFailuresNobodyIsAsked(t *testing.T) {
	for _, status := range []int64{0, 302, 408, 425, 429, 500, 502, 503} {
		withMoody(t, status, func(t *testing.T, m *moody, p *Provider) {
			trip(t, p)
			for range 20 {
				if d := peertest.Took(func() {
					if err := try(t.Context(), p); !errors.Is(err, breaker.ErrResting) || err.Error() != "sign in by gh: given a rest after failures in a row" {
						t.Errorf("%d: %v", status, err)
					}
					if _, err := p.Refresh(t.Context(), "r3fresh"); !errors.Is(err, breaker.ErrResting) {
						t.Errorf("%d: %v", status, err)
					}
				}); d != 0 {
					t.Errorf("%d: to say so took %s", status, d)
				}
			}
			if n := m.asked.Load(); n != breaker.TripAfter {
				t.Errorf("%d: asked %d times", status, n)
			}
			if to, err := p.AuthorizeURL(t.Context(), attempt); err != nil || to == "" {
				t.Errorf("nobody needs to be asked where people sign in: %v", err)
			}
		})
	}
}

func TestNoMetadataIsAFailure(t *testing.T) {
	p := open(t, Config{Provider: "corp", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: issuer + wellKnown})
	s := serve(t, p, func(w http.ResponseWriter, _ asked) { says(w, 500, "canary") })
	for range breaker.TripAfter {
		if _, err := p.AuthorizeURL(t.Context(), attempt); err == nil || errors.Is(err, breaker.ErrResting) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := p.AuthorizeURL(t.Context(), attempt); !errors.Is(err, breaker.ErrResting) {
		t.Errorf("got %v", err)
	}
	if n := len(s.urls()); n != breaker.TripAfter {
		t.Errorf("asked %d times", n)
	}
}

func TestNoKeysAreAFailure(t *testing.T) {
	world := newCorp()
	p := open(t, Config{Provider: "corp", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: issuer + wellKnown})
	serve(t, p, func(w http.ResponseWriter, a asked) {
		if a.url == issuer+"/keys" {
			says(w, 503, "canary")
			return
		}
		world.answer(w, a)
	})
	for range breaker.TripAfter {
		if err := try(t.Context(), p); err == nil || err.Error() != "sign in by corp: the provider has failed, status 503" {
			t.Errorf("got %v", err)
		}
	}
	mustBe(t, p, "open")
}

func TestTheBreakerHealsByOneTry(t *testing.T) {
	withMoody(t, 500, func(t *testing.T, m *moody, p *Provider) {
		trip(t, p)
		time.Sleep(rested)
		mustBe(t, p, "half-open")
		if err := try(t.Context(), p); err == nil || errors.Is(err, breaker.ErrResting) {
			t.Errorf("the try: %v", err)
		}
		mustBe(t, p, "open")

		time.Sleep(rested)
		m.status.Store(0)
		probe := make(chan error)
		go func() { probe <- try(t.Context(), p) }()
		synctest.Wait() // until it waits for its answer
		if err := try(t.Context(), p); !errors.Is(err, breaker.ErrResting) {
			t.Errorf("beside the try: %v", err)
		}
		<-probe
		mustBe(t, p, "open")

		time.Sleep(rested)
		m.status.Store(200)
		for range 3 {
			if err := try(t.Context(), p); err != nil {
				t.Error(err)
			}
			mustBe(t, p, "closed")
		}
	})
}

func TestARefusedCodeProvesThatTheProviderIsWell(t *testing.T) {
	for _, status := range []int64{400, 401, 403, 404} {
		withMoody(t, status, func(t *testing.T, m *moody, p *Provider) {
			for range 4 * breaker.TripAfter {
				if err := try(t.Context(), p); err == nil || errors.Is(err, breaker.ErrResting) {
					t.Error(err)
				}
			}
			mustBe(t, p, "closed")
			m.status.Store(500)
			for range breaker.TripAfter - 1 {
				try(t.Context(), p)
			}
			m.status.Store(status)
			try(t.Context(), p)
			m.status.Store(500)
			trip(t, p) // five more
		})
	}
}

// What is not asked shows nothing, neither that the provider is well nor that it is not.
func TestCallersProveNothing(t *testing.T) {
	withMoody(t, 0, func(t *testing.T, m *moody, p *Provider) {
		leave := func() {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := try(ctx, p); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		tricks := func() {
			t.Helper()
			if _, err := p.Exchange(t.Context(), "", attempt, nil); err == nil || errors.Is(err, breaker.ErrResting) {
				t.Error(err)
			}
			if _, err := p.Refresh(t.Context(), ""); err == nil || errors.Is(err, breaker.ErrResting) {
				t.Error(err)
			}
		}
		for range 4 * breaker.TripAfter {
			leave()
			tricks()
		}
		mustBe(t, p, "closed")
		m.status.Store(500)
		trip(t, p)
		time.Sleep(rested)
		m.status.Store(0)
		leave()
		tricks()
		mustBe(t, p, "half-open")
		m.status.Store(200)
		if err := try(t.Context(), p); err != nil {
			t.Errorf("after a try that was left: %v", err)
		}
		mustBe(t, p, "closed")
	})
}

func TestWhoAsksIsToldTheStateOfTheBreaker(t *testing.T) {
	var mutex sync.Mutex
	var told []string
	o := options()
	o.OnBreaker = func(state string) { mutex.Lock(); told = append(told, state); mutex.Unlock() }
	p, err := New(Config{Provider: "github", ClientID: "cl1ent", ClientSecret: "s3cret"}, o)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, p, func(w http.ResponseWriter, _ asked) { says(w, 500, "") })
	for range breaker.TripAfter {
		p.Exchange(t.Context(), "c0de", attempt, url.Values{})
	}
	if !slices.Equal(told, []string{"open"}) {
		t.Errorf("told %v", told)
	}
}

func TestACallerWhoHasLeftIsNotServed(t *testing.T) {
	p := simple(t)
	s := serve(t, p, func(w http.ResponseWriter, _ asked) { says(w, 200, usualToken) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := try(ctx, p); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := len(s.urls()); n != 0 {
		t.Errorf("asked %d times", n)
	}
}
