package protocol

import (
	"slices"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"

	"github.com/actahq/acta/domain/event"
)

// take gives the message a consumer answers; nil when it was given to another meanwhile, or answered before.
func (g *group) take(c *consumer, id event.ID) *message {
	m := g.out[id]
	if m == nil || m.to != c {
		return nil
	}
	g.back(m)
	return m
}

// back takes a message from its consumer.
func (g *group) back(m *message) {
	delete(g.out, m.event.ID)
	m.to.held--
	m.to = nil
}

// ack: the consumer has done these events.
func (g *group) ack(c *consumer, ids []event.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		if m := g.take(c, id); m != nil {
			g.finish(m)
		}
	}
	g.look()
}

// nack: the consumer could not do these events, and says what shall happen with them.
func (g *group) nack(c *consumer, ids []event.ID, action persistent.ReadReq_Nack_Action, reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range ids {
		m := g.take(c, id)
		switch {
		case m == nil:
		case action == persistent.ReadReq_Nack_Park:
			m.reason = reason
			g.parking = append(g.parking, m)
		case action == persistent.ReadReq_Nack_Skip:
			g.finish(m)
		case action == persistent.ReadReq_Nack_Stop:
			g.waiting = slices.Insert(g.waiting, 0, m)
		default:
			g.retry(m, reason)
		}
	}
	if action == persistent.ReadReq_Nack_Stop {
		c.drop(nil)
	}
	g.look()
}

// retry hands an event out once more, or parks it when that was done often enough.
func (g *group) retry(m *message, reason string) {
	if m.retries >= g.settings.MaxRetries {
		m.reason = reason
		g.parking = append(g.parking, m)
		return
	}
	m.retries++
	g.waiting = slices.Insert(g.waiting, 0, m)
}

// expire takes back what was not answered in time.
func (g *group) expire(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.out {
		if !m.deadline.IsZero() && !now.Before(m.deadline) {
			g.back(m)
			g.retry(m, "it was not answered in time")
		}
	}
}

// finish: nothing more is to be done with an event.
func (g *group) finish(m *message) {
	m.done = true
	if m.replayed {
		return
	}
	g.window = g.window[leading(g.window):]
	if g.unsaved++; g.unsaved == 1 {
		g.since = time.Now()
	}
}

// leading gives how many messages at the beginning are done.
func leading(window []*message) int {
	i := slices.IndexFunc(window, func(m *message) bool { return !m.done })
	if i < 0 {
		return len(window)
	}
	return i
}

// resume gives the first revision or position that is not done.
func (g *group) resume() uint64 {
	if len(g.window) == 0 {
		return g.next
	}
	return g.window[0].place
}

// save notes how far the group is, when that is due or asked for.
func (g *group) save(now bool) error {
	g.mu.Lock()
	resume := g.resume()
	if resume == g.saved {
		g.unsaved = 0 // what was done stands behind something that is not
	}
	many := g.settings.MaxCheckpoint > 0 && g.unsaved >= int(g.settings.MaxCheckpoint)
	due := g.unsaved > 0 && (now || many || time.Since(g.since) >= g.settings.CheckpointAfter)
	g.mu.Unlock()
	if due {
		if err := g.groups.file.note(g.id, resume); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.since = time.Now().Add(again)
			return err
		}
		g.mu.Lock()
		g.saved, g.unsaved = resume, 0
		g.mu.Unlock()
	}
	return g.forgetParked()
}
