//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// From the moment a revocation is answered, nobody is let in with what was revoked, however hard they try.
func TestRevokedMeansRevoked(t *testing.T) {
	t.Parallel()
	const persons, sessionsEach, hammers = 6, 84, 2 // below the limit on sessions
	s := start(t, t.TempDir())
	people := s.people(t, persons)
	other := s.freshClient() // those who try use other connections than the one that revokes
	defer other.CloseIdleConnections()
	var revoked atomic.Int64

	// end revokes sessions by one request while others use them.
	end := func(by, method, path, body string, status int, sessions ...string) error {
		var answered atomic.Bool
		var trying sync.WaitGroup
		errs := make(chan error, len(sessions)*hammers)
		for _, session := range sessions {
			for range hammers {
				trying.Go(func() {
					for after := 0; after < 2; {
						late := answered.Load()
						a, err := send(other, s.request(session, "GET", "/v1/account", ""))
						switch {
						case err != nil:
							errs <- err
							return
						case late && a.status != http.StatusUnauthorized:
							errs <- fmt.Errorf("let in after %s %s was answered: %s", method, path, a)
							return
						case late:
							after++
						}
					}
				})
			}
		}
		a, err := s.ask(by, method, path, body)
		if err == nil && a.later() { // nothing was promised yet
			err = poll(minute, "the revocation is shown", func() (bool, error) {
				a, err := send(other, s.request(sessions[0], "GET", "/v1/account", ""))
				return a.status == http.StatusUnauthorized, err
			})
		} else if err == nil && a.status != status {
			err = fmt.Errorf("%s %s: %w", method, path, &a)
		} else {
			revoked.Add(int64(len(sessions)))
		}
		answered.Store(true)
		trying.Wait()
		if err == nil && len(errs) > 0 {
			err = <-errs
		}
		return err
	}

	each(t, persons, func(i int) error {
		p := people[i]
		var ids, sessions []string
		for range sessionsEach - 1 {
			session, id, err := s.signIn(p)
			if err != nil {
				return err
			}
			ids, sessions = append(ids, id), append(sessions, session)
		}
		// One by one, by another session and by itself; then the others at once by a new password, the last by signing
		// out everywhere or by closing the account.
		const single = sessionsEach - 10
		for n := range single {
			by, which := p.session, ids[n]
			if n%2 == 1 {
				by, which = sessions[n], "current"
			}
			if err := end(by, "DELETE", "/v1/account/sessions/"+which, "", http.StatusNoContent, sessions[n]); err != nil {
				return err
			}
		}
		body := fmt.Sprintf(`{"password":"battery staple","oldPassword":%q}`, p.password)
		if err := end(p.session, "PATCH", "/v1/account/password", body, http.StatusOK, sessions[single:]...); err != nil {
			return err
		}
		last := [][]string{{"DELETE", "/v1/account/sessions", "204"}, {"PATCH", "/v1/account/status", "200"}, {"DELETE", "/v1/account", "204"}}[i%3]
		status := http.StatusNoContent
		if last[2] == "200" {
			status = http.StatusOK
		}
		return end(p.session, last[0], last[1], "", status, p.session)
	})
	t.Logf("%d revocations were answered", revoked.Load())
	fewAre(t, "unanswered", persons*sessionsEach-revoked.Load(), persons*sessionsEach)
}

// Who was answered reads what they wrote, on every connection.
func TestYouReadWhatYouWrote(t *testing.T) {
	t.Parallel()
	const persons, pairs = 8, 125
	s := start(t, t.TempDir())
	people := s.people(t, persons)
	var late atomic.Int64
	each(t, persons, func(i int) error {
		readers := []*http.Client{s.freshClient(), s.freshClient()}
		for n := range pairs {
			name := fmt.Sprintf("name %d of %d", n, i)
			a, err := s.ask(people[i].session, "PATCH", "/v1/account/name", fmt.Sprintf(`{"name":%q}`, name))
			if err == nil && a.refusal() == "general_read_model_behind" {
				late.Add(1)
				continue
			}
			if err != nil || a.status != http.StatusOK {
				return fmt.Errorf("write: %s %v", a, err)
			}
			for _, reader := range readers {
				a, err := send(reader, s.request(people[i].session, "GET", "/v1/account", ""))
				if err != nil {
					return err
				}
				var got struct{ Name string }
				if a.into(t, &got); got.Name != name {
					return fmt.Errorf("wrote %q and read %q", name, got.Name)
				}
			}
		}
		for _, reader := range readers {
			reader.CloseIdleConnections()
		}
		return nil
	})
	fewAre(t, "late", late.Load(), persons*pairs)
}

// fewAre fails the test when more than one in a hundred was answered to come back: that is for machines that are busy.
func fewAre(t *testing.T, what string, n, of int64) {
	t.Helper()
	if n*100 > of {
		t.Errorf("%d of %d were %s", n, of, what)
	} else if n > 0 {
		t.Logf("%d of %d were %s", n, of, what)
	}
}
