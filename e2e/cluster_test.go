//go:build linux

package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's driver "pgx"

	"github.com/actahq/acta/adapters/database/postgrestest"
)

// cluster is several instances that share an event log and a Postgres. The first one has the log and serves it.
type cluster struct {
	t       *testing.T
	rows    *sql.DB // past all links
	members []*member
	going   sync.Once
}

// member is an instance and the links to what it depends on.
type member struct {
	run      atomic.Pointer[server] // the latest
	log      *link                  // nil: it has the log
	postgres *link
}

func (m *member) now() *server { return m.run.Load() }

func newCluster(t *testing.T, size int, env ...string) *cluster {
	t.Helper()
	dsn := postgrestest.Database(t)
	c := &cluster{t: t}
	var err error
	if c.rows, err = sql.Open("pgx", dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.rows.Close() })
	log := freeAddress(t)
	for i := range size {
		database, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		m := &member{postgres: newLink(t, database.Host)}
		database.Host = m.postgres.address
		env := append(slices.Clone(env), "ACTA_READ_MODELS="+database.String())
		if i == 0 {
			env = append(env, "ACTA_EVENT_STORE_LISTEN="+log)
		} else {
			m.log = newLink(t, log)
			env = append(env, "ACTA_EVENT_STORE=esdb://"+m.log.address+"?tls=false")
		}
		c.members = append(c.members, m)
		m.run.Store(start(t, t.TempDir(), env...))
		t.Cleanup(c.stop)
	}
	return c
}

// stop ends all members at once. Each looks by itself at how that went.
func (c *cluster) stop() {
	c.going.Do(func() {
		for _, m := range c.members {
			if c.t.Failed() {
				m.now().kill()
			} else {
				m.now().signal(syscall.SIGTERM)
			}
		}
		for _, m := range c.members {
			if !c.t.Failed() {
				m.now().awaitEnd()
			}
		}
	})
}

// restart starts a member that has ended.
func (c *cluster) restart(m *member) {
	c.t.Helper()
	m.run.Store(m.now().again())
	c.t.Cleanup(c.stop)
}

// holder is the member that projects.
func (c *cluster) holder() *member {
	c.t.Helper()
	var holder *member
	await(c.t, minute, "somebody projects", func() bool {
		var name string
		err := c.rows.QueryRow("SELECT holder FROM leases WHERE name = 'projectors' AND expires > clock_timestamp()").Scan(&name)
		if err != nil {
			return false // nobody, for the moment
		}
		for _, m := range c.members {
			if s := m.now(); !s.ended() && strings.HasSuffix(name, fmt.Sprintf(", process %d", s.command.Process.Pid)) {
				holder = m
			}
		}
		return holder != nil
	})
	return holder
}

// guest makes the holder a member that has not the log, so that the one can be taken away without the other.
func (c *cluster) guest() *member {
	c.t.Helper()
	for {
		holder := c.holder()
		if holder != c.members[0] {
			return holder
		}
		// Whoever looks first has it now, and the one that it is taken from is mostly the last to know.
		_, err := c.rows.Exec("UPDATE leases SET token = token + 1, expires = clock_timestamp() WHERE name = 'projectors'")
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

// content is the read models as text.
func (c *cluster) content() string {
	c.t.Helper()
	var b strings.Builder
	for _, table := range []string{"accounts", "sessions", "identities"} {
		if err := dump(&b, c.rows, table); err != nil {
			c.t.Fatalf("read %s: %v", table, err)
		}
	}
	return b.String()
}

// check fails the test when the read models are not what the log makes of them. Nobody writes.
func (c *cluster) check() {
	c.t.Helper()
	last := c.members[len(c.members)-1].now()
	// What was asked for before this and not answered is shown when this is.
	last.people(c.t, 1)
	before := c.content()
	last.rebuild(c.t)
	if diff := cmp.Diff(before, c.content()); diff != "" {
		c.t.Errorf("the read models are not what a rebuild makes of the log (-live +rebuilt):\n%s", diff)
	}
}

// Who was answered by one instance reads what they wrote on all others.
func TestYouReadWhatYouWroteElsewhere(t *testing.T) {
	t.Parallel()
	const persons, pairs = 5, 100
	c := newCluster(t, 3)
	people := c.members[0].now().people(t, persons)
	var late, reads atomic.Int64
	each(t, persons, func(i int) error {
		for n := range pairs {
			name, at := fmt.Sprintf("name %d of %d", n, i), (i+n)%len(c.members)
			a, err := c.members[at].now().ask(people[i].session, "PATCH", "/v1/account/name", fmt.Sprintf(`{"name":%q}`, name))
			if err == nil && a.later() {
				late.Add(1)
				continue
			}
			if err != nil || a.status != http.StatusOK {
				return fmt.Errorf("write: %s %v", a, err)
			}
			for elsewhere := range c.members {
				if elsewhere == at {
					continue
				}
				a, err := c.members[elsewhere].now().ask(people[i].session, "GET", "/v1/account", "")
				if err != nil {
					return err
				}
				if a.later() {
					late.Add(1)
					continue
				}
				var got struct{ Name string }
				if a.into(t, &got); got.Name != name {
					return fmt.Errorf("wrote %q at %d and read at %d: %s", name, at, elsewhere, a)
				}
				reads.Add(1)
			}
		}
		return nil
	})
	t.Logf("%d changes were read %d times elsewhere", persons*pairs, reads.Load())
	fewAre(t, "late", late.Load(), persons*pairs*int64(len(c.members)))
	c.check()
}

// A revocation that one instance has answered holds on all others, at once.
func TestRevokedMeansRevokedElsewhere(t *testing.T) {
	t.Parallel()
	const together, sessionsEach = 10, 200
	c := newCluster(t, 3)
	var revoked, used atomic.Int64
	each(t, together, func(i int) error {
		for n := range sessionsEach {
			at := (i + n) % len(c.members)
			session, err := c.members[n%len(c.members)].now().signInAnonymously()
			if err != nil {
				return err
			}
			var others []*server
			for elsewhere, m := range c.members {
				if elsewhere != at {
					others = append(others, m.now())
				}
			}
			for _, s := range others { // who has seen it might remember it
				if a, err := s.insist(func() *http.Request { return s.request(session, "GET", "/v1/account", "") }); err != nil || a.status != http.StatusOK {
					return fmt.Errorf("before: %s %v", a, err)
				}
			}
			a, err := c.members[at].now().ask(session, "DELETE", "/v1/account/sessions/current", "")
			if err == nil && a.later() {
				continue // nothing was promised yet
			}
			if err != nil || a.status != http.StatusNoContent {
				return fmt.Errorf("revoke: %s %v", a, err)
			}
			revoked.Add(1)
			var all sync.WaitGroup
			errs := make(chan error, len(others))
			for _, s := range others {
				all.Go(func() {
					a, err := s.ask(session, "GET", "/v1/account", "")
					if err != nil || a.status != http.StatusUnauthorized && !a.later() {
						errs <- fmt.Errorf("after it was revoked elsewhere: %s %v", a, err)
					} else if a.status == http.StatusUnauthorized {
						used.Add(1)
					}
				})
			}
			all.Wait()
			if len(errs) > 0 {
				return <-errs
			}
		}
		return nil
	})
	t.Logf("%d revocations, %d uses at once on other instances, none let in", revoked.Load(), used.Load())
	fewAre(t, "unanswered", together*sessionsEach-revoked.Load(), together*sessionsEach)
	fewAre(t, "late", together*sessionsEach*2-used.Load(), together*sessionsEach*2)
}

// Of two hundred who sign up with one address over two instances at the same moment one gets the account.
func TestOneAddressIsWonOnceElsewhere(t *testing.T) {
	t.Parallel()
	rounds := 50
	if raced {
		rounds = 10 // hashing takes several times as long
	}
	c := newCluster(t, 2)
	addressIsWonOnce(t, rounds, []*server{c.members[0].now(), c.members[1].now()})
	c.check()
}
