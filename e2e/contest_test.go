//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// Of two hundred who sign up with one address at the same moment one gets the account. The others are told that it is
// taken, or to come back: then it is taken.
func TestOneAddressIsWonOnce(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	for range 2 {
		const many = 200
		winner := newPerson()
		bodies := make([]string, many)
		for i := range bodies {
			p := winner
			if p.id = newID(); i%2 == 1 {
				p.email = strings.ToUpper(p.email) // the same address
			}
			bodies[i] = p.signUp()
		}
		var won atomic.Int64
		at, ready := make(chan struct{}), make(chan struct{}, many)
		go func() {
			for range many {
				<-ready
			}
			close(at)
		}()
		each(t, many, func(i int) error {
			ready <- struct{}{}
			<-at
			a, err := s.ask("", "POST", "/v1/account", bodies[i])
			switch {
			case err != nil:
				return err
			case a.status == http.StatusCreated:
				won.Add(1)
				return nil
			case a.status == http.StatusConflict && a.refusal() == "user_already_exists":
				return nil
			case a.later(): // too many passwords to hash
				return nil
			}
			return &a
		})
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
		each(t, many, func(i int) error { // who comes back is told the same
			a, err := s.ask("", "POST", "/v1/account", bodies[i])
			if err == nil && a.status != http.StatusConflict {
				err = &a
			}
			return err
		})
		if _, _, err := s.signIn(winner); err != nil {
			t.Error(err)
		}
	}
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
		a, err := s.ask(session, "GET", "/v1/account/sessions", "")
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
