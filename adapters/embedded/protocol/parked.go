package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// linkType is the type of an event that points to another; its data are "revision@stream".
const linkType = "$>"

// park writes what no consumer could do into a stream of its own, as links. An event is done when its link is stored.
func (g *group) park(ctx context.Context) error {
	for {
		g.mu.Lock()
		if len(g.parking) == 0 {
			g.mu.Unlock()
			return nil
		}
		m := g.parking[0]
		g.mu.Unlock()
		metadata, err := json.Marshal(map[string]any{"added": time.Now().UTC(), "reason": m.reason})
		if err != nil {
			return err
		}
		err = g.append(ctx, g.key.parked(), event.Proposed{
			ID: event.ID(uuid.New()), Type: linkType, Metadata: metadata,
			Data: fmt.Appendf(nil, "%d@%s", m.event.Revision, m.event.Stream),
		})
		if err != nil {
			return fmt.Errorf("park an event: %w", err)
		}
		g.mu.Lock()
		g.parking = g.parking[1:]
		g.finish(m)
		g.mu.Unlock()
	}
}

func (g *group) append(ctx context.Context, stream string, e event.Proposed) error {
	pending, err := g.groups.log.Submit(ctx, stream, embedded.Any, []event.Proposed{e})
	if err == nil {
		_, err = pending.Wait(ctx)
	}
	return err
}

// replay is what was asked to be tried again of the parked events.
type replay struct {
	from, until int64      // revisions in the stream of parked events that are still to be read, until excluded
	window      []*message // read and not done, or with one before them that is not, in order
	forget      int64      // revisions below it need not be kept; 0 when that was written
}

// replayParked has parked events handed out again: those that are there now, or those below a revision.
func (g *group) replayParked(ctx context.Context, stopAt int64) error {
	state, err := g.groups.log.State(ctx, g.key.parked())
	if err != nil || !state.Found {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replay.from = max(g.replay.from, state.First)
	g.replay.until = max(g.replay.until, min(state.Last+1, stopAt))
	g.look()
	return nil
}

// readParked reads parked events that are to be replayed, and says whether there were some.
func (g *group) readParked(ctx context.Context, room int) (more bool, _ error) {
	g.mu.Lock()
	from, until := g.replay.from, g.replay.until
	g.mu.Unlock()
	if from >= until {
		return false, nil
	}
	links, err := g.groups.log.ReadPage(ctx, g.key.parked(), from, event.Forward, min(room, pageSize, int(min(until-from, math.MaxInt32))))
	if err != nil {
		return false, err
	}
	var messages []*message
	for i := range links {
		m := &message{place: uint64(links[i].Revision), replayed: true}
		there, err := g.resolve(ctx, &links[i])
		switch {
		case err != nil:
			return false, err
		case len(there) == 0:
			m.done = true // it cannot be read any more
		default:
			m.event = there[0]
		}
		messages = append(messages, m)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replay.from = until
	if len(links) > 0 {
		g.replay.from = links[len(links)-1].Revision + 1
	}
	g.replay.window = append(g.replay.window, messages...)
	for _, m := range messages {
		if !m.done {
			g.waiting = append(g.waiting, m)
		}
	}
	return true, nil
}

// resolve gives the event a link points to, or none.
func (g *group) resolve(ctx context.Context, link *event.Recorded) ([]event.Recorded, error) {
	number, stream, _ := strings.Cut(string(link.Data), "@")
	revision, err := strconv.ParseInt(number, 10, 64)
	if err != nil || link.Type != linkType {
		return nil, nil // somebody else has written this
	}
	events, err := g.groups.log.ReadPage(ctx, stream, revision, event.Forward, 1)
	if len(events) == 1 && events[0].Revision != revision {
		events = nil
	}
	return events, err
}

// forgetParked hides the parked events that were replayed and done. What if we crash here: they are still parked, and
// nothing is lost by trying them twice.
func (g *group) forgetParked() error {
	g.mu.Lock()
	if done := leading(g.replay.window); done > 0 {
		g.replay.forget = int64(g.replay.window[done-1].place) + 1
		g.replay.window = g.replay.window[done:]
	}
	below := g.replay.forget
	g.mu.Unlock()
	if below == 0 {
		return nil
	}
	// Not in the context of the server's work: this is also how it ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(g.groups.ctx), again)
	defer cancel()
	err := g.append(ctx, "$$"+g.key.parked(), event.Proposed{
		ID: event.ID(uuid.New()), Type: "$metadata", Data: fmt.Appendf(nil, `{"$tb":%d}`, below),
	})
	if err != nil && !errors.Is(err, embedded.ErrDeleted) {
		return fmt.Errorf("forget parked events: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.replay.forget == below {
		g.replay.forget = 0
	}
	return nil
}
