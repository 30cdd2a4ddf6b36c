//go:build linux

package e2e

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Killed under load again and again, the program has everything it acknowledged: changes, sign-ups, revocations. What
// nobody was told of happened whole or not at all.
func TestNothingAcknowledgedIsLostByKilling(t *testing.T) {
	t.Parallel()
	const rounds, clients = 5, 16
	s := start(t, t.TempDir())
	writers := s.writers(t, clients)
	joiner := joiner{}
	visitor := visitor{person: s.people(t, 1)[0]}

	for round := range rounds {
		var load sync.WaitGroup
		var answered atomic.Int64
		enough, reached := int64(100+rand.IntN(900)), make(chan struct{})
		again := func(do func() bool) {
			load.Go(func() {
				for do() {
					if answered.Add(1) == enough {
						close(reached)
					}
				}
			})
		}
		for _, w := range writers {
			again(func() bool { a, err := w.write(s); return err == nil && a.status == http.StatusOK })
		}
		again(func() bool { return joiner.join(s) })
		again(func() bool { return visitor.visit(s) })
		stopped := make(chan struct{})
		go func() { load.Wait(); close(stopped) }()
		select {
		case <-reached:
		case <-stopped:
			t.Fatalf("round %d: all were refused before it was killed", round)
		}
		s.kill()
		<-stopped

		s = s.again()
		each(t, clients, func(i int) error { return writers[i].check(s) })
		joiner.check(t, s)
		visitor.check(t, s)
		before := rows(t, s.dir)
		s.rebuild(t)
		if diff := cmp.Diff(before, rows(t, s.dir)); diff != "" {
			t.Fatalf("round %d: the read models are not what a rebuild makes of the log (-live +rebuilt):\n%s", round, diff)
		}
	}
	changes := 0
	for _, w := range writers {
		changes += w.acknowledged
	}
	t.Logf("%d changes, %d sign-ups and %d revocations were acknowledged", changes, len(joiner.joined), len(visitor.gone))
}

// joiner signs up one person after the other.
type joiner struct {
	joined []person
	unsure *person // signed up when the program was killed
}

func (j *joiner) join(s *server) bool {
	p := newPerson()
	j.unsure = &p
	a, err := s.ask("", "POST", "/v1/account", p.signUp())
	if err != nil || a.status != http.StatusCreated {
		return false
	}
	j.joined, j.unsure = append(j.joined, p), nil
	return true
}

func (j *joiner) check(t *testing.T, s *server) {
	t.Helper()
	for _, p := range j.joined {
		s.want(t, http.StatusConflict, "", "POST", "/v1/account", p.signUp())
	}
	if j.unsure == nil {
		return
	}
	// The address is the account's or free: never held by nobody, never somebody's without an account.
	if err := s.signUp(*j.unsure); err != nil {
		t.Fatalf("an interrupted sign-up asked for again: %v", err)
	}
	if _, _, err := s.signIn(*j.unsure); err != nil {
		t.Fatalf("after an interrupted sign-up: %v", err)
	}
}

// visitor signs in twice and out once, again and again.
type visitor struct {
	person
	gone, kept []string // sessions
}

func (v *visitor) visit(s *server) bool {
	if len(v.kept) < 50 { // below the limit on sessions, which ends old ones
		session, _, err := s.signIn(v.person)
		if err != nil {
			return false
		}
		v.kept = append(v.kept, session)
	}
	session, _, err := s.signIn(v.person)
	if err != nil {
		return false
	}
	a, err := s.ask(session, "DELETE", "/v1/account/sessions/current", "")
	if err != nil || a.status != http.StatusNoContent {
		return false
	}
	v.gone = append(v.gone, session)
	return true
}

func (v *visitor) check(t *testing.T, s *server) {
	t.Helper()
	for _, session := range v.gone {
		s.want(t, http.StatusUnauthorized, session, "GET", "/v1/account", "")
	}
	for _, session := range v.kept {
		s.want(t, http.StatusOK, session, "GET", "/v1/account", "")
	}
}
