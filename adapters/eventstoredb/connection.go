package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// connection is a client that has found its node, and the calls that run on it.
type connection struct {
	client *esdb.Client
	calls  sync.WaitGroup // counted by acquire
	lost   chan struct{}  // closed when no more calls are given to it
}

// ask puts a question to the log, within the deadline and through the breaker. A node that is not the leader makes the
// client connect to the leader, but the call is lost: it is made once more.
func ask[T any](ctx context.Context, l *Log, question func(context.Context, *esdb.Client) (T, error)) (value T, err error) {
	switch {
	case l.life.Err() != nil:
		return value, errClosed
	case ctx.Err() != nil:
		return value, ctx.Err()
	}
	err = l.through(func() error {
		within, cancel := context.WithTimeout(ctx, l.pace.deadline)
		defer cancel()
		var err error
		value, err = askOnce(within, l.connector, question)
		if known, ok := errors.AsType[*esdb.Error](err); ok && known.Code() == esdb.ErrorCodeNotLeader {
			value, err = askOnce(within, l.connector, question)
		}
		return understood(ctx, err)
	})
	return value, err
}

func askOnce[T any](ctx context.Context, c *connector, question func(context.Context, *esdb.Client) (T, error)) (T, error) {
	var none T
	conn, err := c.acquire(ctx)
	if err != nil {
		return none, err
	}
	answered := use(c, conn, func(client *esdb.Client) (T, error) { return question(ctx, client) })
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// answer is what one use of a client gave.
type answer[T any] struct {
	value T
	err   error
}

// use runs one use of an acquired connection in a goroutine of its own, so that the caller can leave a client that does
// not heed its context.
func use[T any](c *connector, conn *connection, f func(*esdb.Client) (T, error)) <-chan answer[T] {
	answered := make(chan answer[T], 1)
	go func() {
		defer conn.calls.Done()
		value, err := withoutPanic(conn.client, f)
		if isLost(err) {
			c.lose(conn, err)
		}
		answered <- answer[T]{value, err}
	}()
	return answered
}

// errPanicked: the client met what it does not expect. It may be in any state and is not used again.
var errPanicked = errors.New("the client panicked")

func withoutPanic[T any](client *esdb.Client, f func(*esdb.Client) (T, error)) (value T, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case unavailable:
			err = p.cause
		default:
			err = fmt.Errorf("%w: %v", errPanicked, p)
			slog.Error("the client of the event log panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	return f(client)
}

// unavailable is the panic by which listen ends a call.
type unavailable struct{ cause error }

// callFailed is what the client logs, in the goroutine of the caller, when a call has failed and before it gives up its
// connection, because of which the next caller would have to search for a node.
const callFailed = "unexpected exception: %v"

// listen is the client's logger. It passes on what the client says, and it keeps the client from searching for a node
// (see connector): the call of whose failure it is told ends here, with the panic that withoutPanic expects.
func listen(level esdb.LogLevel, format string, args ...any) {
	if format == callFailed && len(args) == 1 {
		if cause, ok := args[0].(error); ok && status.Code(cause) == codes.Unavailable {
			panic(unavailable{cause})
		}
	}
	slog.Debug("event store client: "+fmt.Sprintf(format, args...), "as", level)
}
