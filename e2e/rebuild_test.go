//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Read models are made anew while the service runs: nobody who writes or reads notices, and the rows are the same.
func TestRebuildWhileServing(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	writers := s.writers(t, 8)
	var load sync.WaitGroup
	var done atomic.Bool
	var answered, late atomic.Int64
	for _, w := range writers {
		load.Go(func() {
			for !done.Load() {
				a, err := w.write(s)
				if err == nil && a.later() {
					late.Add(1)
				} else if err == nil && a.status != http.StatusOK {
					err = fmt.Errorf("write: %w", &a)
				}
				if err == nil {
					err = w.check(s)
				}
				if err != nil {
					t.Errorf("after %d: %v", w.acknowledged, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	stop := sync.OnceFunc(func() { done.Store(true); load.Wait() })
	defer stop()

	progress := regexp.MustCompile(`(?s)accounts +100%.*\n.*sessions +100%.*\n.*identities +100%`)
	for n := range int64(4) {
		await(t, minute, "load", func() bool { return answered.Load() >= 500*(n+1) || t.Failed() })
		stdout, stderr := s.rebuild(t)
		if !progress.MatchString(stderr) {
			t.Errorf("no progress was shown: %q", stderr)
		}
		for _, model := range []string{"accounts", "sessions", "identities"} {
			if !regexp.MustCompile(`(?m)^` + model + `: rebuilt in .*`).MatchString(stdout) {
				t.Errorf("it does not say that %s was rebuilt: %q", model, stdout)
			}
		}
	}
	stop()
	fewAre(t, "late", late.Load(), answered.Load())
	before := rows(t, s.dir)
	s.rebuild(t)
	if diff := cmp.Diff(before, rows(t, s.dir)); diff != "" {
		t.Errorf("the rows differ (-before +rebuilt):\n%s", diff)
	}

	// Also without a service beside it.
	s.stop()
	s.rebuild(t)
	if diff := cmp.Diff(before, rows(t, s.dir)); diff != "" {
		t.Errorf("the rows differ when nobody serves (-before +rebuilt):\n%s", diff)
	}
}
