package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// connector keeps one connection for all calls. When a call finds it lost, it makes another with a new client, for as
// long as that takes; the old client is closed when its last call has ended.
//
// The client could look for a node again by itself. It would do so with callers waiting in it: they ignore their
// contexts, hang for ever if nothing is found, panic when the client is closed, and the connection they had is never
// closed. So a client is handed out after it has found its node, and no caller ever waits in a search.
type connector struct {
	life    context.Context // ends with the log
	cfg     esdb.Configuration
	pace    pace
	running sync.WaitGroup // the loop, and old connections with calls

	mu      sync.Mutex
	current *connection   // nil while there is none
	cause   error         // why there is none
	changed chan struct{} // closed and replaced when there is one
}

func newConnector(life context.Context, cfg esdb.Configuration, pace pace) *connector {
	c := &connector{life: life, cfg: cfg, pace: pace, changed: make(chan struct{})}
	c.running.Go(c.run)
	return c
}

// run connects, and again whenever the connection is lost, until the log is closed.
func (c *connector) run() {
	for pause := newPause(c.pace); c.life.Err() == nil; {
		conn, err := connect(c.cfg)
		if err != nil {
			c.failed(err)
			pause.wait(c.life)
			continue
		}
		c.offer(conn)
		select {
		case <-conn.lost:
		case <-c.life.Done():
			c.lose(conn, errClosed)
		}
		pause.reset()
	}
}

// connect gives a connection to a node that has answered.
func connect(cfg esdb.Configuration) (*connection, error) {
	client, err := esdb.NewClient(&cfg)
	if err != nil {
		return nil, err
	}
	if _, err := client.GetServerVersion(); err != nil { // the first call searches for a node
		client.Close() // nobody else knows it
		return nil, err
	}
	return &connection{client: client, lost: make(chan struct{})}, nil
}

func (c *connector) failed(cause error) {
	c.mu.Lock()
	first := c.cause == nil
	c.cause = cause
	c.mu.Unlock()
	if first {
		slog.Warn("the event log cannot be reached; trying again until it can", "cause", cause)
	}
}

func (c *connector) offer(conn *connection) {
	c.mu.Lock()
	c.current, c.cause = conn, nil
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
	slog.Info("connected to the event log")
}

// lose takes a connection out of use. Calls that run on it may go on.
func (c *connector) lose(conn *connection, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != conn {
		return // another call was quicker
	}
	c.current, c.cause = nil, cause
	close(conn.lost)
	c.running.Go(func() {
		conn.calls.Wait()
		conn.client.Close()
	})
	if cause != errClosed {
		slog.Warn("the connection to the event log was lost", "cause", cause)
	}
}

// acquire waits for a connection and counts the caller among its calls.
func (c *connector) acquire(ctx context.Context) (*connection, error) {
	for {
		c.mu.Lock()
		conn, changed := c.current, c.changed
		if conn != nil && c.life.Err() == nil {
			conn.calls.Add(1)
			c.mu.Unlock()
			return conn, nil
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-c.life.Done():
			return nil, errClosed
		case <-ctx.Done():
			return nil, fmt.Errorf("not connected: %w", c.whyNot())
		}
	}
}

// whyNot says why there was no connection.
func (c *connector) whyNot() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return errors.New("no node has answered yet")
	}
	return c.cause
}

// pause is the time between two attempts. It doubles, and differs between instances, so that they do not all come at
// the moment a server is back.
type pause struct {
	pace pace
	next time.Duration
}

func newPause(p pace) *pause { return &pause{p, p.first} }

func (p *pause) reset() { p.next = p.pace.first }

func (p *pause) wait(ctx context.Context) {
	timer := time.NewTimer(p.next/2 + rand.N(p.next/2+1))
	defer timer.Stop()
	p.next = min(2*p.next, p.pace.longest)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
