//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An instance that cannot reach the event log, or Postgres, or both, says so soon and promises nothing that it cannot
// keep. When they are back it serves again, soon and without help, and nothing is lost or there twice.
func TestAwayAndBack(t *testing.T) {
	for _, away := range []struct {
		name  string
		links func(m *member) []*link
	}{
		{"event log", func(m *member) []*link { return []*link{m.log} }},
		{"Postgres", func(m *member) []*link { return []*link{m.postgres} }},
		{"both", func(m *member) []*link { return []*link{m.log, m.postgres} }},
	} {
		t.Run(away.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			o := &outage{t: t, c: c, hit: c.guest(), links: away.links(c.members[1])}
			o.renamers = o.hit.now().renamers(t, 4)
			for _, fault := range []struct {
				name string
				do   func(*link)
			}{
				{"cut", (*link).cut},
				{"delayed", func(l *link) { l.delay(30 * time.Second) }},
				{"reset", (*link).reset},
			} {
				role := "the other projects"
				if c.holder() == o.hit {
					role = "it projects"
				}
				o.begin(fault.do)
				back := o.end()
				t.Logf("%s, %s: %d refusals, the slowest took %s; all is well %s after it is back", fault.name, role,
					o.refusals.Swap(0), time.Duration(o.slowest.Swap(0)).Round(time.Millisecond), back.Round(time.Millisecond))
			}
			t.Logf("in %d of the 3 the other instance was held up at first; it refused for the last time after %s", o.others,
				o.heldUp.Round(time.Millisecond))
			each(t, len(o.renamers), func(i int) error { return o.renamers[i].check(c.members[i%2].now()) })
			c.check()
		})
	}
}

// refusedWithin bounds how long an instance may think about its no: less than two seconds, and the rest is for a
// machine that is busy with other things.
const refusedWithin = 2500 * time.Millisecond

// outage is an instance that cannot reach something.
type outage struct {
	t        *testing.T
	c        *cluster
	hit      *member
	links    []*link
	renamers []*renamer
	joiners  []*person // who signed up meanwhile

	refusals, slowest atomic.Int64
	others            int           // outages in which the other instance refused too
	heldUp            time.Duration // how long after the fault it did, at most
}

// ask asks the instance. It must answer, and soon if it is a refusal.
func (o *outage) ask(session, method, path, body string) (answer, error) {
	began := time.Now()
	a, err := o.hit.now().ask(session, method, path, body)
	return a, o.look(began, a, err)
}

// look looks at an answer that was asked for at a moment.
func (o *outage) look(began time.Time, a answer, err error) error {
	took := time.Since(began)
	switch {
	case err != nil:
		return err
	case a.status < http.StatusInternalServerError:
		return nil
	case !a.later():
		return fmt.Errorf("neither done nor to come back: %w", &a)
	case took > refusedWithin:
		return fmt.Errorf("refused after %s: %w", took, &a)
	}
	o.refusals.Add(1)
	for longest := o.slowest.Load(); int64(took) > longest && !o.slowest.CompareAndSwap(longest, int64(took)); {
		longest = o.slowest.Load()
	}
	return nil
}

// begin breaks the links under load, and sees what the instance says.
func (o *outage) begin(fault func(*link)) {
	t, healthy := o.t, o.c.members[0].now()
	t.Helper()
	visitor := healthy.people(t, 1)[0]
	doomed, id, err := healthy.signIn(visitor)
	if err != nil {
		t.Fatal(err)
	}
	o.hit.now().want(t, http.StatusOK, doomed, "GET", "/v1/account", "") // it might remember

	var load sync.WaitGroup
	defer load.Wait()
	errs := make(chan error, len(o.renamers))
	begun := make(chan struct{}, len(o.renamers))
	for _, r := range o.renamers {
		load.Go(func() {
			for refused := 0; refused < 2; {
				began := time.Now()
				a, err := r.rename(o.hit.now())
				if err := o.look(began, a, err); err != nil || a.status != http.StatusOK && !a.later() {
					errs <- fmt.Errorf("change a name: %s %w", a, err)
					return
				}
				if a.later() {
					refused++
				} else {
					select {
					case begun <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	for range o.renamers {
		<-begun
	}
	broken := time.Now()
	for _, l := range o.links {
		fault(l)
	}

	// What the other instance does meanwhile, this one shows or says that it cannot.
	revoked, err := healthy.ask(visitor.session, "DELETE", "/v1/account/sessions/"+id, "")
	if err != nil || revoked.status != http.StatusNoContent && !revoked.later() {
		t.Errorf("revoke by the other: %s %v", revoked, err)
	}
	named, err := healthy.ask(visitor.session, "PATCH", "/v1/account/name", `{"name":"new"}`)
	if err != nil || named.status != http.StatusOK && !named.later() {
		t.Errorf("change a name by the other: %s %v", named, err)
	}
	if named.later() || revoked.later() {
		o.others++
		o.heldUp = max(o.heldUp, time.Since(broken))
	}
	p := newPerson()
	o.joiners = append(o.joiners, &p)
	var asking sync.WaitGroup
	for range 3 {
		asking.Go(func() {
			a, err := o.ask(doomed, "GET", "/v1/account", "")
			if err != nil || a.status == http.StatusOK && revoked.status == http.StatusNoContent {
				t.Errorf("with a session that was revoked by the other (%d): %s %v", revoked.status, a, err)
			}
		})
		asking.Go(func() {
			a, err := o.ask(visitor.session, "GET", "/v1/account", "")
			if err != nil || a.status != http.StatusOK && !a.later() {
				t.Errorf("read an account: %s %v", a, err)
			} else if a.status == http.StatusOK && named.status == http.StatusOK {
				var got struct{ Name string }
				if err := json.Unmarshal(a.body, &got); err != nil || got.Name != "new" {
					t.Errorf("a name that was changed by the other is not shown: %s", a)
				}
			}
		})
	}
	asking.Go(func() {
		if a, err := o.ask("", "POST", "/v1/account", p.signUp()); err != nil || !a.later() {
			t.Errorf("sign up: %s %v", a, err)
		}
	})
	asking.Wait()
	if a, err := o.ask("", "GET", "/health/live", ""); err != nil || a.status != http.StatusOK {
		t.Errorf("it says that it is not alive: %s %v", a, err)
	}
	load.Wait()
	if len(errs) > 0 {
		t.Fatal(<-errs)
	}
	// Whatever this one held alone, the other has taken over soon, and keeps while it lasts.
	n := 0
	await(t, minute, "the other instance was asked for long enough", func() bool {
		n++
		a, err := healthy.ask(visitor.session, "PATCH", "/v1/account/name", fmt.Sprintf(`{"name":"name %d"}`, n))
		since := time.Since(broken)
		switch {
		case err == nil && a.status == http.StatusOK:
		case err != nil || !a.later() || since > takenOver:
			t.Fatalf("change a name by the other, %s after: %s %v", since, a, err)
		default:
			o.heldUp = max(o.heldUp, since)
		}
		return since > takenOver+time.Second
	})
}

// takenOver bounds how long a healthy instance may be held up by one that is not.
const takenOver = 4 * time.Second

// end heals the links, and gives how long it takes until all is as before.
func (o *outage) end() time.Duration {
	o.t.Helper()
	healed := time.Now()
	for _, l := range o.links {
		l.heal()
	}
	all := slices.Clone(o.c.members)
	for _, m := range all {
		await(o.t, 10*time.Second-time.Since(healed), o.c.name(m)+" serves again", func() bool {
			for _, r := range o.renamers {
				if a, err := r.rename(m.now()); err != nil || a.status != http.StatusOK {
					return false
				}
			}
			a, err := m.now().ask("", "GET", "/health/ready", "")
			return err == nil && a.status == http.StatusOK
		})
	}
	took := time.Since(healed)
	// Who was told to come back does: the address is theirs, now or already.
	for _, p := range o.joiners {
		a, err := o.hit.now().ask("", "POST", "/v1/account", p.signUp())
		if err != nil || a.status != http.StatusCreated && a.status != http.StatusConflict {
			o.t.Errorf("sign up again: %s %v", a, err)
		}
		if _, _, err := o.c.members[0].now().signIn(*p); err != nil {
			o.t.Errorf("after signing up again (%s): %v", a, err)
		}
	}
	o.joiners = nil
	return took
}
