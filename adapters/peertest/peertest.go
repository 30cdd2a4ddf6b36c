// Package peertest plays the servers of others that adapters talk to.
package peertest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Dial is that of http.Transport, DialContext.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)

// InBubble runs a test where time passes only when everybody waits (see testing/synctest). Whatever is dialed answers
// HTTP with answer.
func InBubble(t *testing.T, answer http.HandlerFunc, test func(t *testing.T, dial Dial)) {
	synctest.Test(t, func(t *testing.T) {
		wire := make(pipes)
		server := &http.Server{Handler: answer}
		ended := make(chan error)
		go func() { ended <- server.Serve(wire) }()
		test(t, wire.dial)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// pipes is a network of one host. Unlike sockets, pipes let the time of a bubble pass.
type pipes chan net.Conn

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	if c, open := <-p; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "peer.test"} }

// Took gives how long a call takes by the bubble's clock.
func Took(call func()) time.Duration {
	start := time.Now()
	call()
	return time.Since(start)
}

// Listen is a server that may do what no program with good manners does: answer has one connection after the other,
// each closed when it returns. It gives host and port.
func Listen(t testing.TB, answer func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-ended })
	return listener.Addr().String()
}
