//go:build linux

package e2e

import (
	"net"
	"sync"
	"testing"
	"time"
)

// link is the network between a program and one that it depends on. It works until it is told otherwise.
type link struct {
	address string
	target  string

	mu      sync.Mutex
	held    time.Duration // each piece of data is underway for so long
	refuses bool
	changed chan struct{} // closed at every change
	ends    map[*net.TCPConn]bool
	running sync.WaitGroup
}

// forever is longer than any test.
const forever = time.Hour

func newLink(t *testing.T, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: listener.Addr().String(), target: target, changed: make(chan struct{}), ends: map[*net.TCPConn]bool{}}
	l.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			l.running.Go(func() { l.carry(near.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.reset()
		l.running.Wait()
	})
	return l
}

// cut lets nothing through and tells nobody. What is underway arrives after heal, as TCP has it.
func (l *link) cut() { l.become(forever, false) }

// delay makes everything late.
func (l *link) delay(by time.Duration) { l.become(by, false) }

// reset breaks all connections, those to come too.
func (l *link) reset() { l.become(0, true) }

func (l *link) heal() { l.become(0, false) }

func (l *link) become(held time.Duration, refuses bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held, l.refuses = held, refuses
	close(l.changed)
	l.changed = make(chan struct{})
	if refuses {
		for end := range l.ends {
			abort(end)
		}
	}
}

// abort makes the other side see a reset connection, not an ended one.
func abort(end *net.TCPConn) {
	_ = end.SetLinger(0) // it may be closed
	end.Close()
}

// carry carries a connection to the target, in both directions until one side ends it.
func (l *link) carry(near *net.TCPConn) {
	defer abort(near)
	if !l.open(near) {
		return
	}
	defer l.close(near)
	conn, err := net.Dial("tcp", l.target)
	if err != nil {
		return // the target is away: so are we
	}
	far := conn.(*net.TCPConn)
	defer abort(far)
	if !l.open(far) {
		return
	}
	defer l.close(far)
	var ways sync.WaitGroup
	ways.Go(func() { l.pump(near, far) })
	ways.Go(func() { l.pump(far, near) })
	ways.Wait()
}

// open notes an end of a connection, unless none may be made.
func (l *link) open(end *net.TCPConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.refuses {
		l.ends[end] = true
	}
	return !l.refuses
}

func (l *link) close(end *net.TCPConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.ends, end)
}

func (l *link) pump(to, from *net.TCPConn) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		l.pass(time.Now())
		if n > 0 {
			if _, err := to.Write(piece[:n]); err != nil {
				abort(from)
				return
			}
		}
		if err != nil {
			to.Close()
			return
		}
	}
}

// pass waits for as long as what was sent at a moment is underway.
func (l *link) pass(sent time.Time) {
	for {
		l.mu.Lock()
		arrives, changed := time.Until(sent.Add(l.held)), l.changed
		l.mu.Unlock()
		if arrives <= 0 {
			return
		}
		select {
		case <-time.After(arrives):
		case <-changed:
		}
	}
}
