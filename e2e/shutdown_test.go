//go:build linux

package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// A supervisor's SIGTERM costs nobody a request: what was taken is finished and answered, what was not taken did not
// happen, and the program says that it is going.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	writers := s.writers(t, 8)

	// Slow requests, all of them taken: each waits for a turn to hash.
	const slow = 40
	var answered atomic.Int64
	var slowOnes, load sync.WaitGroup
	joined := make([]person, slow)
	for i := range joined {
		joined[i] = newPerson()
		slowOnes.Go(func() {
			a, err := s.ask("", "POST", "/v1/account", joined[i].signUp())
			if err != nil || a.status != http.StatusCreated {
				t.Errorf("a request that was taken: %s %v", a, err)
			}
			answered.Add(1)
		})
	}
	await(t, minute, "the slow requests are taken", func() bool {
		before := int(answered.Load())
		return before+s.metric(t, "acta_hashing_busy")+s.metric(t, "acta_hashing_queued") == slow
	})
	for _, w := range writers {
		load.Go(func() {
			for {
				a, err := w.write(s)
				if err != nil {
					return // not taken: it is going
				}
				if a.status != http.StatusOK {
					t.Errorf("a request that was taken: %s", a)
					return
				}
			}
		})
	}
	await(t, minute, "load", func() bool {
		return s.metric(t, `acta_commands_total{command="accountUpdatePrefs",outcome="ok"}`) >= 50
	})

	s.signal(syscall.SIGTERM)
	await(t, minute, "it says that it stops", func() bool { return strings.Contains(s.log.String(), "stopping") })
	// A load balancer must hear of it before connections are refused.
	if a, err := s.ask("", "GET", "/health/ready", ""); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("not said to be stopping: %s %v", a, err)
	}
	s.awaitEnd()
	slowOnes.Wait()
	load.Wait()

	s = s.again()
	for _, w := range writers {
		w.tried = w.acknowledged // exactly
		if err := w.check(s); err != nil {
			t.Errorf("what was not answered: %v", err)
		}
	}
	for _, p := range joined {
		s.want(t, http.StatusConflict, "", "POST", "/v1/account", p.signUp())
	}
}

// metric reads one figure that the program counts; 0 when it has none.
func (s *server) metric(t *testing.T, name string) int {
	t.Helper()
	a := s.want(t, http.StatusOK, "", "GET", "/metrics", "")
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(a.body)
	if found == nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return int(f)
}
