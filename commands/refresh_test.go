package commands_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

func gives(access, refresh string) func(context.Context, string) (account.ProviderTokens, error) {
	return func(context.Context, string) (account.ProviderTokens, error) {
		return account.ProviderTokens{Access: access, Refresh: refresh}, nil
	}
}

// rotating is a provider that gives another refresh token each time, and takes all of them back when one comes twice.
type rotating struct {
	mu     sync.Mutex
	token  string
	asked  int
	before func() // is called while it is asked
}

var errReused = errors.New("invalid_grant")

func (r *rotating) ask(_ context.Context, token string) (account.ProviderTokens, error) {
	if r.before != nil {
		r.before()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; token != r.token {
		r.token = "none"
		return account.ProviderTokens{}, errReused
	}
	r.token = fmt.Sprint("refresh ", r.asked)
	return account.ProviderTokens{Access: fmt.Sprint("access ", r.asked), Refresh: r.token}, nil
}

func TestOfManyWhoRefreshASessionOneAsksTheProvider(t *testing.T) {
	const many = 20
	for round := range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			in := from("github", "42", "ada@example.com")
			s := w.enters(w.a, in)
			// All have asked before the provider answers: those who lost wait for it.
			p := &rotating{token: in.Refresh, before: synctest.Wait}
			for again := range 3 {
				w.clock.move(time.Second)
				w.together(many, func(c *commands.Commands, i int) {
					if _, err := c.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, p.ask); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
				if p.asked != again+1 {
					t.Fatalf("round %d: the provider was asked %d times", round, p.asked)
				}
			}
			if got := w.state(s.AccountID).RefreshToken(s.ID); got != p.token {
				t.Errorf("kept is %q, the provider has %q", got, p.token)
			}
			w.checkLog(true)
		})
	}
}

func TestWhoWaitsForARefreshThatFailsIsToldToComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.enters(w.a, from("github", "42", "ada@example.com"))
		p := &rotating{token: "another"}
		var second error
		var waited sync.WaitGroup
		p.before = func() {
			waited.Go(func() {
				_, second = w.b.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, gives("never", "asked"))
			})
			synctest.Wait()
		}
		_, err := w.a.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, p.ask)
		w.refused(err, errReused)
		waited.Wait()
		w.refused(second, commands.ErrContended)
		w.must(w.b.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, gives("access 2", "refresh 2"))) // at once
	})
}

// Who begins and dies holds up the others for as long as a provider may take.
func TestARefreshThatNobodyEndsEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.enters(w.a, from("github", "42", "ada@example.com"))
		refresh := func(c *commands.Commands) error {
			_, err := c.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, gives("access 2", "refresh 2"))
			return err
		}
		func() {
			defer func() { recover() }()
			w.must(w.a.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, func(context.Context, string) (account.ProviderTokens, error) { panic("gone") }))
		}()
		w.refused(refresh(w.b), commands.ErrContended)
		w.clock.move(account.RefreshLife)
		w.must(event.Receipt{}, refresh(w.b))
	})
}

func TestWhatAProviderGaveIsKeptWhenNobodyWaitsForIt(t *testing.T) {
	w := newWorld(t)
	s := w.enters(w.a, from("github", "42", "ada@example.com"))
	ctx, leave := context.WithCancel(t.Context())
	w.must(w.a.RefreshSession(ctx, w.user(s.AccountID), s.AccountID, s.ID, func(ctx context.Context, _ string) (account.ProviderTokens, error) {
		leave()
		return account.ProviderTokens{Access: "access 2", Refresh: "refresh 2"}, ctx.Err()
	}))
	if got := w.state(s.AccountID).RefreshToken(s.ID); got != "refresh 2" {
		t.Errorf("kept is %q", got)
	}
}

func TestASessionWhoseProviderWasDisconnectedIsExtendedWithoutIt(t *testing.T) {
	w := newWorld(t)
	s := w.enters(w.a, from("github", "42", "ada@example.com"))
	w.must(w.b.RemoveIdentity(t.Context(), w.user(s.AccountID), s.AccountID, w.identity(s.AccountID)))
	w.clock.move(1e9)
	w.must(w.a.RefreshSession(t.Context(), w.user(s.AccountID), s.AccountID, s.ID, func(context.Context, string) (account.ProviderTokens, error) {
		t.Error("the provider was asked")
		return account.ProviderTokens{}, nil
	}))
	if got := w.state(s.AccountID).Sessions()[0].Expires; !got.Equal(w.clock.Now().Add(w.project.Auth.SessionDuration)) {
		t.Errorf("it lasts until %s", got)
	}
}
