// Package eventstoredb is the event log on EventStoreDB or KurrentDB, through the official client.
//
// The client has faults that this package keeps from its callers: calls that hang without heeding their context, a
// client that is dead for good after a failed search for a node, panics, connections nobody closes, subscriptions that
// nobody takes up again. How each is removed is told where it is done: connector.go (finding a node, and another one),
// connection.go (one use of the client), failures.go (what errors mean), follow.go and receive.go (subscriptions),
// configuration.go (settings). Two cannot be removed: the client ends the process when a server sends an event whose
// time of recording is not a number, and when a node names a leader who cannot be reached, the client never closes what
// it began to that leader.
//
// What the log promises rests on the server: an append is durable when it has answered, and the same event ids at the
// same expected revision are stored once. A server of version 23.10 or later is needed: earlier ones do not tell a
// subscription that it has caught up. The user of the connection must be allowed to read $all.
//
// The package knows nothing of what events mean.
package eventstoredb

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/domain/event"
)

// Log is an event log on a server or a cluster. Its methods may be called from many goroutines.
type Log struct {
	pace      pace
	life      context.Context // ends with Close
	end       context.CancelFunc
	connector *connector
	breaker   breaker.Breaker
}

// pace is how long things take at most.
type pace struct {
	deadline time.Duration // for an append or a read, with the wait for a connection
	silence  time.Duration // of a subscription that has not caught up
	first    time.Duration // pause before trying again to connect or to subscribe
	longest  time.Duration // that pause, after it has doubled again and again
	refusal  time.Duration // of the breaker, before it lets one call try
	farewell time.Duration // of Close to calls that are still running
}

var defaultPace = pace{
	deadline: 1500 * time.Millisecond, // callers have an answer within two seconds
	silence:  10 * time.Second,
	first:    50 * time.Millisecond,
	longest:  time.Second,
	refusal:  time.Second,
	farewell: 10 * time.Second,
}

// Option changes how a log is opened.
type Option func(*esdb.Configuration, *pace)

// WithRootCAs sets the authorities that sign the servers' certificates. The default is those of the connection
// string's tlsCAFile, else the system's.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(cfg *esdb.Configuration, _ *pace) { cfg.RootCAs = pool }
}

// Open gives the log behind a connection string: esdb://host:port, esdb+discover://name:port for a cluster known to
// DNS, several hosts separated by commas, and the same with kurrentdb. It fails if the string is wrong. It does not wait
// for the server, which may come, go and come back while the log is open.
//
// The settings maxDiscoverAttempts and discoveryInterval have no effect: a node is searched for as long as it takes.
// defaultDeadline (milliseconds, 1500 when absent) bounds each append and each read.
func Open(connection string, options ...Option) (*Log, error) {
	cfg, err := configure(connection)
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l := &Log{pace: defaultPace}
	if cfg.DefaultDeadline != nil {
		l.pace.deadline = *cfg.DefaultDeadline
	}
	for _, o := range options {
		o(cfg, &l.pace)
	}
	cfg.DefaultDeadline = &l.pace.deadline
	l.life, l.end = context.WithCancel(context.Background())
	l.breaker = newBreaker(l.pace.refusal)
	l.connector = newConnector(l.life, *cfg, l.pace)
	return l, nil
}

// Close refuses new calls, ends followers with event.ErrUnavailable and waits for the appends and reads that are
// running, each of which has a deadline. It is an error if some do not end.
func (l *Log) Close() error {
	l.end()
	ended := make(chan struct{})
	go func() {
		l.connector.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(l.pace.farewell):
		return fmt.Errorf("close event log: calls are still running after %s", l.pace.farewell)
	}
}

// Ready is nil when the log answers, else it says why not. While the breaker is open, it is Ready's call that finds out
// whether the log is back, so that an instance without traffic recovers too.
func (l *Log) Ready(ctx context.Context) error {
	_, err := l.Head(ctx)
	return err
}

// Head gives the position of the newest event, of whatever stream; zero when there is none. Errors:
// event.ErrUnavailable and that of the context.
func (l *Log) Head(ctx context.Context) (event.Position, error) {
	head, err := ask(ctx, l, newest)
	if err != nil {
		return event.Position{}, fmt.Errorf("read the head of the log: %w", err)
	}
	return head, nil
}
