package postgrestest

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// Line is a network between a program and a cluster. It can go dead as networks do: nothing arrives, in neither
// direction, and nobody is told.
type Line struct {
	address string // of the program's end
	cluster string // of the other
	dead    sync.RWMutex
	running sync.WaitGroup
}

// Line gives a line to the cluster. It ends with the test.
func (c *Cluster) Line(t testing.TB) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{address: listener.Addr().String(), cluster: c.address()}
	l.running.Go(func() { l.accept(listener) })
	t.Cleanup(func() { listener.Close(); l.running.Wait() })
	return l
}

// DSN names the same database at the other end of the line.
func (l *Line) DSN(dsn string) string { return strings.Replace(dsn, l.cluster, l.address, 1) }

// Cut lets the line go dead, until mend is called.
func (l *Line) Cut() (mend func()) {
	l.dead.Lock()
	return sync.OnceFunc(l.dead.Unlock)
}

func (l *Line) accept(listener net.Listener) {
	for {
		program, err := listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() {
			server, err := net.Dial("tcp", l.cluster)
			if err != nil {
				program.Close()
				return
			}
			l.running.Go(func() { l.carry(server, program) })
			l.carry(program, server)
		})
	}
}

// carry carries bytes from one end to the other until either hangs up.
func (l *Line) carry(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		l.dead.RLock()
		_, written := to.Write(buffer[:n])
		l.dead.RUnlock()
		if err != nil || written != nil {
			return
		}
	}
}
