//go:build linux

package e2e

import (
	"math/rand/v2"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// Another instance projects when the one that did is killed, ends, or stands still and then goes on as if nothing had
// been. Nobody who writes elsewhere waits for long, and nothing is lost or there twice.
func TestTakeover(t *testing.T) {
	c := newCluster(t, 3)
	c.guest()
	l := c.load(2)
	l.more(100)

	killed := c.guest()
	killed.now().kill()
	t.Logf("killed: %s; the others' changes were acknowledged %s later", c.name(killed), l.goesOn(time.Now(), 3*time.Second, c.except(killed)...))
	c.restart(killed)
	l.goesOn(time.Now(), 10*time.Second, c.members...)

	ended := c.guest()
	ended.now().signal(syscall.SIGTERM)
	ended.now().awaitEnd()
	t.Logf("ended: %s; the others' changes were acknowledged %s later", c.name(ended), l.goesOn(time.Now(), time.Second, c.except(ended)...))
	c.restart(ended)
	l.goesOn(time.Now(), 10*time.Second, c.members...)

	still := c.guest()
	still.now().signal(syscall.SIGSTOP)
	t.Logf("stands still: %s; the others' changes were acknowledged %s later", c.name(still), l.goesOn(time.Now(), 3*time.Second, c.except(still)...))
	l.more(100)
	still.now().signal(syscall.SIGCONT)
	t.Logf("and after it went on, everybody's %s later", l.goesOn(time.Now(), 10*time.Second, c.members...))
	if c.holder() == still {
		t.Error("it projects though it had stood still for longer than a lease")
	}
	l.check()
}

// Whichever instance is killed, whenever that is: what was acknowledged is there, on all others and after it is back.
func TestNothingAcknowledgedIsLostByKillingInstances(t *testing.T) {
	t.Parallel()
	const rounds = 30
	c := newCluster(t, 3)
	l := c.load(2)
	killed, projecting, began := map[string]int{}, 0, time.Now()
	for range rounds {
		l.more(1 + rand.Int64N(50))
		victim := c.members[rand.IntN(len(c.members))]
		if c.holder() == victim {
			projecting++
		}
		killed[c.name(victim)]++
		victim.now().kill()
		c.restart(victim)
	}
	t.Logf("killed in %s: %v, %d times the one that projects", time.Since(began).Round(time.Second), killed, projecting)
	l.goesOn(time.Now(), 10*time.Second, c.members...)
	l.check()
	for _, m := range c.members {
		if a, err := m.now().ask("", "GET", "/health/ready", ""); err != nil || a.status != http.StatusOK {
			t.Errorf("not ready: %s %v", a, err)
		}
	}
}
