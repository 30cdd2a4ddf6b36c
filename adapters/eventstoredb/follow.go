package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/actahq/acta/domain/event"
)

// errShort: the log, as the node has it, ends before the place where a follower stands.
var errShort = errors.New("the log ends before the follower's position")

// patience is how many times in a row a log may end too early before we believe that it has lost events. A node of a
// cluster that has not yet all that another had gets there meanwhile.
const patience = 30

// Follow hands over every event behind a position, in order, each once: first those that are there, then those that
// come. A stretch without admitted events is handed over too, so that the follower's checkpoint moves on; the first
// one comes at once, also at the end of the log. Live says that the stretch reached the end. Events whose type begins
// with "$" are the server's own, in whichever stream, and are left out.
//
// While the log is away it waits, and goes on where it was. It ends with nil when deliver returns event.ErrStop, with
// any other error of deliver, with the context's, with event.ErrUnavailable when the log was closed, or with
// event.ErrDamaged when the log stays shorter than from: then it lost events.
func (l *Log) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.life, cancel)()
	pause, tooShort := newPause(l.pace), 0
	for {
		reached, err := l.followOnce(ctx, from, only, deliver)
		refused, isRefused := errors.AsType[refusedDelivery](err)
		switch {
		case isRefused && errors.Is(refused.error, event.ErrStop):
			return nil
		case isRefused:
			return refused.error
		case caller.Err() != nil:
			return caller.Err()
		case l.life.Err() != nil:
			return fmt.Errorf("follow the log behind %s: %w", reached, errClosed)
		}
		if tooShort++; !errors.Is(err, errShort) {
			tooShort = 0
		}
		if tooShort == patience {
			return fmt.Errorf("follow the log behind %s: %w: %w", reached, event.ErrDamaged, err)
		}
		if from != reached {
			from = reached
			pause.reset()
		}
		slog.Warn("a subscription to the event log ended and is taken up again", "position", from.String(), "cause", err)
		pause.wait(ctx)
	}
}

// refusedDelivery is an error of a follower's deliver function.
type refusedDelivery struct{ error }

// followOnce hands over what one subscription brings, until it ends. It gives the position up to which all was handed over.
func (l *Log) followOnce(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) (event.Position, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := l.connector.acquire(ctx)
	if err != nil {
		return from, err
	}
	arriving := newArriving(from)
	ended := use(l.connector, conn, func(client *esdb.Client) (struct{}, error) {
		return struct{}{}, l.receive(ctx, client, from, only, arriving)
	})
	for {
		var over error
		select {
		case <-arriving.news:
		case a := <-ended:
			over = a.err // what came before it is still handed over
		case <-ctx.Done():
			return from, ctx.Err()
		}
		if stretch, ok := arriving.take(); ok {
			if err := deliver(stretch); err != nil {
				return from, refusedDelivery{err}
			}
			from = stretch.UpTo
		}
		if over != nil {
			return from, over
		}
	}
}
