package vault

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy is the network between an instance and its Postgres.
type proxy struct {
	listener net.Listener
	to       string
	gate     sync.RWMutex // held alone while nothing passes
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// through gives a DSN that leads to the same database through a proxy.
func through(t *testing.T, dsn string) (*proxy, string) {
	t.Helper()
	u := must[*url.URL](t)(url.Parse(dsn))
	p := &proxy{listener: must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0")), to: u.Host}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	u.Host = p.listener.Addr().String()
	return p, u.String()
}

// freeze lets nothing pass any more, and closes nothing: the cable is out.
func (p *proxy) freeze() { p.gate.Lock() }
func (p *proxy) thaw()   { p.gate.Unlock() }

func (p *proxy) accept() {
	for {
		here, err := p.listener.Accept()
		if err != nil {
			return
		}
		there, err := net.Dial("tcp", p.to)
		if err != nil {
			here.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, here, there)
		p.mu.Unlock()
		p.running.Go(func() { p.pass(here, there) })
		p.running.Go(func() { p.pass(there, here) })
	}
}

func (p *proxy) pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(gated{to, p}, from)
}

type gated struct {
	net.Conn
	p *proxy
}

func (g gated) Write(b []byte) (int, error) {
	g.p.gate.RLock()
	defer g.p.gate.RUnlock()
	return g.Conn.Write(b)
}

func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
