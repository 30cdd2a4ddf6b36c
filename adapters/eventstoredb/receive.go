package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"

	"github.com/actahq/acta/domain/event"
)

// errSilent: a subscription said nothing although it had not caught up.
var errSilent = errors.New("the server fell silent")

// receive subscribes to what lies behind a position and puts what comes into arriving, until the subscription ends. It
// always gives an error: why it ended.
func (l *Log) receive(ctx context.Context, client *esdb.Client, from event.Position, only event.Filter, arriving *arriving) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(l.pace.silence, func() { cancel(errSilent) })
	defer silence.Stop()

	head, err := newest(ctx, client)
	if err != nil {
		return reason(ctx, err)
	}
	if head.Before(from) {
		return fmt.Errorf("%w: it ends at %s, the follower stands at %s", errShort, head, from)
	}
	subscription, err := client.SubscribeToAll(ctx, selecting(from, only))
	if err != nil {
		return reason(ctx, err)
	}
	defer subscription.Close()
	known := head // the newest event we know of
	for live := false; ; {
		message := subscription.Recv()
		switch {
		case message.SubscriptionDropped != nil:
			return reason(ctx, message.SubscriptionDropped.Error)
		case message.EventAppeared != nil:
			silence.Stop() // now it may be the follower who takes time
			e := recorded(message.EventAppeared.OriginalEvent())
			if !from.Before(e.Position) {
				return fmt.Errorf("the server went back from %s to %s", from, e.Position)
			}
			from, known = e.Position, later(known, e.Position)
			if err := arriving.add(ctx, e, only.Admits(e.Stream) && !strings.HasPrefix(e.Type, "$")); err != nil {
				return err
			}
		case message.CheckPointReached != nil:
			checkpoint := place(*message.CheckPointReached)
			if known.Before(checkpoint) {
				silence.Reset(l.pace.silence)
				if known, err = newest(ctx, client); err != nil {
					return reason(ctx, err)
				}
			}
			// A checkpoint may be where the next event will stand: whoever goes on behind it would miss that one.
			if known.Before(checkpoint) {
				checkpoint = known
			}
			from = later(from, checkpoint)
			arriving.reached(from)
		case message.CaughtUp != nil:
			live = true
			from = later(from, head) // was the end when we subscribed; what was filtered out before it was considered
			arriving.caughtUp(from)
		case message.FellBehind != nil:
			live = false
			arriving.fellBehind()
		}
		if silence.Stop(); !live {
			silence.Reset(l.pace.silence)
		}
	}
}

// reason says why a subscription ended, if it was we who ended it.
func reason(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

// selecting asks the server to filter: for prefixes if there are some, else for what is not a system stream.
func selecting(from event.Position, only event.Filter) esdb.SubscribeToAllOptions {
	options := esdb.SubscribeToAllOptions{
		From:   esdb.Position{Commit: from.Commit, Prepare: from.Prepare},
		Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: only.Streams},
	}
	if from == (event.Position{}) {
		options.From = esdb.Start{}
	}
	if len(only.Streams) == 0 {
		options.Filter.Regex = `^[^\$]`
	}
	return options
}

func later(p, q event.Position) event.Position {
	if p.Before(q) {
		return q
	}
	return p
}
