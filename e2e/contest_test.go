//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// decide goes on until so many rounds of a contest were decided.
func decide(t *testing.T, rounds int, round func(n int) (decided bool)) {
	t.Helper()
	for n, decided := 0, 0; decided < rounds; n++ {
		if n == 3*rounds {
			t.Fatalf("the machine is too busy: of %d rounds %d were decided", n, decided)
		}
		if round(n) {
			decided++
		}
	}
}

// Of two hundred who sign up with one address at the same moment one gets the account. The others are told that it is
// taken, or to come back: then it is taken.
// contest lets many ask at the same moment, again when they are told to come back; all but one must be refused with this
// status and type. Where nobody knows to have won, it was one who was told to come back: that decides nothing.
func contest(t *testing.T, many int, ask func(i int) (answer, error), status int, typ string) (winner answer, decided bool) {
	t.Helper()
	var mu sync.Mutex
	var together sync.WaitGroup
	together.Add(many)
	won, later := 0, false
	each(t, many, func(i int) error {
		together.Done()
		together.Wait()
		a, err := insist(func() (answer, error) {
			a, err := ask(i)
			mu.Lock()
			defer mu.Unlock()
			later = later || a.later()
			return a, err
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			return err
		case a.status < 400:
			won, winner = won+1, a
			return nil
		case a.status == status && strings.Contains(string(a.body), typ): // in an envelope, or on a page
			return nil
		}
		return &a
	})
	if won > 1 || won == 0 && !later {
		t.Fatalf("%d succeeded", won)
	}
	return winner, won == 1
}

// Of two hundred who sign up with one address at the same moment one gets the account.
func TestOneAddressIsWonOnce(t *testing.T) {
	t.Parallel()
	addressIsWonOnce(t, 2, []*server{start(t, t.TempDir())})
}

func addressIsWonOnce(t *testing.T, rounds int, instances []*server) {
	t.Helper()
	decide(t, rounds, func(int) bool {
		const many = 200
		winner := newPerson()
		bodies := make([]string, many)
		for i := range bodies {
			p := winner
			if p.id = newID(); i%4 > 1 {
				p.email = strings.ToUpper(p.email) // the same address
			}
			bodies[i] = p.signUp()
		}
		ask := func(i int) (answer, error) {
			return instances[i%len(instances)].ask("", "POST", "/v1/account", bodies[i])
		}
		_, decided := contest(t, many, ask, http.StatusConflict, "user_already_exists")
		each(t, many, func(i int) error { // who comes back is told the same
			a, err := insist(func() (answer, error) { return ask(i) })
			if err == nil && a.status != http.StatusConflict {
				err = &a
			}
			return err
		})
		if _, _, err := instances[len(instances)-1].signIn(winner); err != nil {
			t.Error(err)
		}
		return decided
	})
}

// However many sign in at once, an account never has more sessions than its project allows, whenever one looks.
func TestSessionLimitIsNeverExceeded(t *testing.T) {
	t.Parallel()
	const limit, many = 3, 60
	s := start(t, t.TempDir(), fmt.Sprintf("ACTA_PROJECTS_0_AUTH_SESSION_LIMIT=%d", limit))
	p := newPerson()
	if err := s.signUp(p); err != nil {
		t.Fatal(err)
	}
	each(t, many, func(int) error {
		session, _, err := s.signIn(p)
		if err != nil {
			return err
		}
		a, err := s.insist(func() *http.Request { return s.request(session, "GET", "/v1/account/sessions", "") })
		if err != nil {
			return err
		}
		if a.status == http.StatusUnauthorized {
			return nil // or after
		}
		var list struct{ Total int }
		if a.into(t, &list); list.Total > limit || list.Total == 0 {
			return fmt.Errorf("%d sessions", list.Total)
		}
		return nil
	})
	session, _, err := s.signIn(p)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Total int }
	if s.want(t, http.StatusOK, session, "GET", "/v1/account/sessions", "").into(t, &list); list.Total != limit {
		t.Errorf("%d sessions are left, the limit is %d", list.Total, limit)
	}
}
