package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/vault"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/projections"
)

// inside is the parts below the API, in a folder of their own.
type inside struct {
	log      *embedded.Log
	events   *vault.Log
	commands *commands.Commands
	by       commands.Caller
	close    func() error
}

// free takes any password at no cost: what is measured here is not hashing.
type free struct{}

func (free) Hash(context.Context, string) (string, error)               { return "free", nil }
func (free) Verify(context.Context, string, string) (bool, bool, error) { return true, false, nil }
func (free) Dummy(context.Context, string) error                        { return nil }

func openInside(dir string) (*inside, error) {
	log, err := embedded.Open(dir)
	if err != nil {
		return nil, err
	}
	keys, err := vault.Open(dir, make([]byte, 32))
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	tenant := project.Standard()
	tenant.ID = "bench"
	i := &inside{log: log, events: keys.Log(log), close: func() error { return errors.Join(keys.Close(), log.Close()) }}
	i.commands = commands.New(commands.Needs{Log: i.events, Passwords: free{}, ClaimKey: make([]byte, 32), Now: time.Now})
	i.by = commands.Caller{
		Project: &tenant, Actor: event.Actor{Kind: event.ActorGuest}, IP: "203.0.113.7",
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
	}
	return i, nil
}

func (i *inside) create(n int) (id string, err error) {
	id = fmt.Sprintf("account%06d", n)
	_, err = i.commands.CreateAccount(context.Background(), i.by, commands.CreateAccount{
		ID: id, Email: account.Email(id + "@example.com"), Password: "correct horse", Name: "Ada Lovelace",
	})
	return id, err
}

// setPrefs makes the n-th change of an account's preferences.
func (i *inside) setPrefs(id string, n int) error {
	_, err := i.commands.ChangePrefs(context.Background(), i.by, id, fmt.Appendf(nil, `{"theme":"dark","language":"en","timezone":"UTC","n":%d}`, n))
	return err
}

// projectionFigures measures both read models from the first event on: accounts with the life of a month.
func projectionFigures(b *bench) ([]figure, error) {
	dir := filepath.Join(b.dir, "projections")
	in, err := openInside(dir)
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := in.live(4_000); err != nil {
		return nil, err
	}
	head, err := in.log.Head(context.Background())
	if err != nil {
		return nil, err
	}
	began := time.Now()
	n := 0
	err = in.events.Follow(context.Background(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		n += len(s.Events)
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reading := float64(n) / time.Since(began).Seconds()

	db, err := database.Open(filepath.Join(dir, "readmodels.db"))
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := db.Migrate(context.Background()); err != nil {
		return nil, err
	}
	models, err := projections.New(db, in.events)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	began = time.Now()
	go func() { ended <- models.Run(ctx) }()
	err = models.Wait(ctx, head)
	got := float64(n) / time.Since(began).Seconds()
	stop()
	<-ended
	return []figure{{"projecting from zero, all read models", whole(got) + " events/s", whole(reading) + " events/s (reading and opening alone)", "30,000 events/s", got >= 30_000}}, err
}

// live makes accounts and lets each have: three sign-ins, a sign-out, five changes of preferences, one of its name.
func (i *inside) live(accounts int) error {
	const writers = 64
	each := func(work func(n int) error) error {
		errs := make(chan error, writers)
		for w := range writers {
			go func() {
				var err error
				for n := w; n < accounts && err == nil; n += writers {
					err = work(n)
				}
				errs <- err
			}()
		}
		var all []error
		for range writers {
			all = append(all, <-errs)
		}
		return errors.Join(all...)
	}
	return each(func(n int) error {
		id, err := i.create(n)
		if err != nil {
			return err
		}
		var last commands.StartedSession
		for range 3 {
			if last, _, err = i.commands.SignIn(context.Background(), i.by, account.Email(id+"@example.com"), "correct horse"); err != nil {
				return err
			}
		}
		if _, err := i.commands.EndSession(context.Background(), i.by, id, last.ID); err != nil {
			return err
		}
		for p := range 5 {
			if err := i.setPrefs(id, p); err != nil {
				return err
			}
		}
		_, err = i.commands.ChangeName(context.Background(), i.by, id, "Augusta Ada King")
		return err
	})
}

// commandFigures compares a command on a long-lived account with one on a young one, both warm.
func commandFigures(b *bench) ([]figure, error) {
	in, err := openInside(filepath.Join(b.dir, "commands"))
	if err != nil {
		return nil, err
	}
	defer in.close()
	var ids [2]string
	for i, age := range []int{10, 10_000} {
		if ids[i], err = in.create(i); err != nil {
			return nil, err
		}
		for n := range age - 1 {
			if err := in.setPrefs(ids[i], n); err != nil {
				return nil, err
			}
		}
	}
	// Alternating, so that whatever else the machine does hits both alike; few enough that the young one stays young.
	var spent [2]time.Duration
	const rounds = 2_000
	for n := range rounds {
		for i := range ids {
			if i == 0 && n%50 == 0 { // a fresh young account every 50 commands
				if ids[0], err = in.create(1_000 + n); err != nil {
					return nil, err
				}
				for p := range 9 {
					if err := in.setPrefs(ids[0], p); err != nil {
						return nil, err
					}
				}
			}
			began := time.Now()
			if err := in.setPrefs(ids[i], 100_000+n); err != nil {
				return nil, err
			}
			spent[i] += time.Since(began)
		}
	}
	ratio := float64(spent[1]) / float64(spent[0])
	return []figure{{
		what:  "a command on an account with 10,000 events",
		got:   fmt.Sprintf("%.2f x (%s)", ratio, (spent[1] / rounds).Round(time.Microsecond)),
		limit: fmt.Sprintf("1 x (%s with 10 events)", (spent[0] / rounds).Round(time.Microsecond)),
		least: "at most 1.3 x", held: ratio <= 1.3,
	}}, nil
}
