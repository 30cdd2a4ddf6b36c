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

// renamer is a person who takes one name after the other, and the journal of what they were told about it. The owner's
// security log lists the names, so that none can be lost and none can be there twice without being seen.
type renamer struct {
	person
	acknowledged []bool       // of each name that was asked for
	good         atomic.Int64 // when the last one that was acknowledged was asked for
}

func (s *server) renamers(t *testing.T, n int) []*renamer {
	t.Helper()
	all := make([]*renamer, n)
	for i, p := range s.people(t, n) {
		all[i] = &renamer{person: p}
	}
	return all
}

// rename asks for the next name.
func (r *renamer) rename(s *server) (answer, error) {
	n, began := len(r.acknowledged), time.Now()
	r.acknowledged = append(r.acknowledged, false)
	a, err := s.ask(r.session, "PATCH", "/v1/account/name", fmt.Sprintf(`{"name":"%d"}`, n))
	if err == nil && a.status == http.StatusOK {
		r.acknowledged[n] = true
		r.good.Store(began.UnixNano())
	}
	return a, err
}

// check compares the journal with the log and with the read models: all that was acknowledged is there, once and in
// order. What was asked for and not answered may be there once or not at all.
func (r *renamer) check(s *server) error {
	a, err := s.insist(func() *http.Request {
		return s.request(r.session, "GET", "/v1/account/logs?queries[]=limit(5000)", "")
	})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("read the security log: %w", &a)
	}
	var list struct {
		Total int
		Logs  []struct{ Event, UserName string }
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		return fmt.Errorf("%w: %s", err, a)
	}
	if list.Total != len(list.Logs) {
		return fmt.Errorf("the row counts %d events and the log has %d", list.Total, len(list.Logs))
	}
	last := -1
	for _, line := range slices.Backward(list.Logs) { // the oldest first
		if line.Event != "user.update" {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(line.UserName, "%d", &n); err != nil || n <= last || n >= len(r.acknowledged) {
			return fmt.Errorf("the name %q follows on %d, and %d were asked for", line.UserName, last, len(r.acknowledged))
		}
		if lost := slices.Index(r.acknowledged[last+1:n], true); lost >= 0 {
			return fmt.Errorf("the name %d was acknowledged and is lost", last+1+lost)
		}
		last = n
	}
	if lost := slices.Index(r.acknowledged[last+1:], true); lost >= 0 {
		return fmt.Errorf("the name %d was acknowledged and is lost", last+1+lost)
	}
	return nil
}

// load is people who write at all members of a cluster for as long as it is wanted.
type load struct {
	t        *testing.T
	c        *cluster
	renamers [][]*renamer // of each member
	answered atomic.Int64
	done     atomic.Bool
	running  sync.WaitGroup
}

func (c *cluster) load(writers int) *load {
	c.t.Helper()
	l := &load{t: c.t, c: c}
	for _, m := range c.members {
		l.renamers = append(l.renamers, m.now().renamers(c.t, writers))
	}
	for i, m := range c.members {
		for _, r := range l.renamers[i] {
			l.running.Go(func() { l.write(m, r) })
		}
	}
	c.t.Cleanup(l.stop)
	return l
}

// write writes at a member. It may be away, and it may say that it cannot now; any other no is wrong.
func (l *load) write(m *member, r *renamer) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !l.done.Load() {
		a, err := r.rename(m.now())
		switch {
		case err == nil && a.status == http.StatusOK:
			l.answered.Add(1)
		case err == nil && !a.later():
			l.t.Errorf("change a name: %s", a)
			return
		default:
			<-again.C
		}
	}
}

func (l *load) stop() {
	l.done.Store(true)
	l.running.Wait()
}

// more waits until so many more changes were acknowledged.
func (l *load) more(n int64) {
	l.t.Helper()
	enough := l.answered.Load() + n
	await(l.t, minute, "load", func() bool { return l.answered.Load() >= enough || l.t.Failed() })
}

// goesOn waits until everybody who writes at these members was acknowledged a change that they asked for after a
// moment, and gives how long after it that was.
func (l *load) goesOn(after time.Time, within time.Duration, members ...*member) time.Duration {
	l.t.Helper()
	await(l.t, within, "changes are acknowledged", func() bool {
		for i, m := range l.c.members {
			for _, r := range l.renamers[i] {
				if slices.Contains(members, m) && r.good.Load() < after.UnixNano() {
					return false
				}
			}
		}
		return true
	})
	return time.Since(after)
}

// check ends the load and fails the test when something is lost or there twice, or when the read models are not what
// the log makes of them.
func (l *load) check() {
	l.t.Helper()
	l.stop()
	all := slices.Concat(l.renamers...)
	each(l.t, len(all), func(i int) error { return all[i].check(l.c.members[i%len(l.c.members)].now()) })
	l.c.check()
	asked := 0
	for _, r := range all {
		asked += len(r.acknowledged)
	}
	l.t.Logf("%d changes were acknowledged and %d not answered", l.answered.Load(), asked-int(l.answered.Load()))
}

// except gives the other members.
func (c *cluster) except(one *member) []*member {
	return slices.DeleteFunc(slices.Clone(c.members), func(m *member) bool { return m == one })
}

// name says which member it is.
func (c *cluster) name(m *member) string {
	name := fmt.Sprintf("instance %d", 1+slices.Index(c.members, m))
	if m.log == nil {
		name += " with the log"
	}
	return name
}
