package protocol

import (
	"cmp"
	"context"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/actahq/acta/domain/event"
)

// again is how long a group waits after the log or its own file could not be used.
const again = time.Second

// group is one persistent subscription. It works while it has consumers: one goroutine reads the log into the window,
// hands events to consumers that have room, takes back those whose time is over and notes how far the group is. What
// if we crash here: the group goes on behind what it has noted, so that consumers see some events twice, and none never.
type group struct {
	id     int64 // in the file
	key    groupKey
	groups *groups
	wake   chan struct{} // something has changed that the goroutine shall look at

	mu        sync.Mutex
	settings  settings
	filter    *filter
	consumers []*consumer
	working   bool
	turn      int // of the consumer that comes next

	next    uint64     // revision or position to be read next
	window  []*message // read and not done, or with one before them that is not, in order
	replay  replay
	waiting []*message            // to be handed out
	out     map[event.ID]*message // handed out
	parking []*message            // to be parked
	saved   uint64                // how far the file says the group is
	unsaved int                   // events done that the file does not know of
	since   time.Time             // when the first of them was done
	total   int64                 // events handed out since the server began
}

// message is an event on its way through a group.
type message struct {
	event    event.Recorded
	place    uint64 // revision or position; of a replayed one the revision in the stream of parked events
	replayed bool
	retries  int32
	done     bool
	reason   string // why it is parked
	to       *consumer
	deadline time.Time // zero: none
}

// consumer is a client that is connected to a group.
type consumer struct {
	buffer  int // so many events may be unanswered
	held    int // that are
	total   int64
	events  chan delivery
	dropped chan struct{} // closed when the group ends the subscription
	cause   error         // why; nil when the client asked for it
}

// delivery is an event for a consumer.
type delivery struct {
	event   event.Recorded
	retries int32
}

func (gs *groups) newGroup(key groupKey, s settings) (*group, error) {
	g := &group{key: key, groups: gs, wake: make(chan struct{}, 1), settings: s, next: s.Start, saved: s.Start, out: map[event.ID]*message{}}
	if f := s.Filter; f != nil {
		var err error
		if g.filter, err = readFilter(f.ByType, f); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// look makes the goroutine look again.
func (g *group) look() {
	select {
	case g.wake <- struct{}{}:
	default: // it will anyway
	}
}

func (g *group) connect(buffer int) (*consumer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if most := int(g.settings.MaxConsumers); most > 0 && len(g.consumers) >= most {
		return nil, g.key.refuse(codes.FailedPrecondition, "has all the consumers it may have", "maximum-subscribers-reached")
	}
	if g.groups.ctx.Err() != nil {
		return nil, errStopping
	}
	c := &consumer{buffer: buffer, events: make(chan delivery, buffer), dropped: make(chan struct{})}
	g.consumers = append(g.consumers, c)
	if g.working {
		g.look()
	} else {
		g.working = true
		g.groups.running.Go(g.work)
	}
	return c, nil
}

// leave ends what a consumer held: it goes to the others, as something that was not tried.
func (g *group) leave(c *consumer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.consumers = slices.DeleteFunc(g.consumers, func(other *consumer) bool { return other == c })
	var back []*message
	for id, m := range g.out {
		if m.to == c {
			delete(g.out, id)
			m.to = nil
			back = append(back, m)
		}
	}
	slices.SortFunc(back, func(a, b *message) int { return cmp.Compare(a.place, b.place) })
	g.waiting = slices.Concat(back, g.waiting)
	g.look()
}

// drop ends the subscriptions of all consumers.
func (g *group) drop(cause error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.consumers {
		c.drop(cause)
	}
}

// drop is called with the group's lock held.
func (c *consumer) drop(cause error) {
	select {
	case <-c.dropped:
	default:
		c.cause = cause
		close(c.dropped)
	}
}

// work runs while there are consumers.
func (g *group) work() {
	ctx := g.groups.ctx
	for {
		_, grown, err := g.groups.log.Watch(ctx) // before reading, so that nothing can come unnoticed in between
		if err == nil {
			err = g.read(ctx)
		}
		g.expire(time.Now())
		g.handOut(time.Now())
		if failed := g.park(ctx); err == nil {
			err = failed
		}
		if failed := g.save(false); err == nil {
			err = failed
		}
		if g.idle() {
			return
		}
		stopped := ctx.Done()
		if ctx.Err() != nil {
			stopped = nil // the consumers are leaving; the last one ends the work
		} else if err != nil {
			slog.Warn("a persistent subscription waits", "group", g.key.String(), "cause", err)
		}
		wait := time.NewTimer(g.rest(time.Now(), err))
		select {
		case <-g.wake:
		case <-grown: // nil, and so never, when the log could not be asked
		case <-wait.C:
		case <-stopped:
		}
		wait.Stop()
	}
}

// idle ends the work when nobody is there any more, and says so.
func (g *group) idle() bool {
	g.mu.Lock()
	alone := len(g.consumers) == 0
	g.mu.Unlock()
	if !alone {
		return false
	}
	if err := g.save(true); err != nil {
		slog.Warn("a persistent subscription could not note how far it is", "group", g.key.String(), "cause", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.working = len(g.consumers) > 0 // one may have come meanwhile
	return !g.working
}

// rest gives how long nothing is to be done unless something happens.
func (g *group) rest(now time.Time, err error) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	wait := time.Duration(math.MaxInt64)
	if err != nil || len(g.parking) > 0 {
		wait = again
	}
	for _, m := range g.out {
		if !m.deadline.IsZero() {
			wait = min(wait, m.deadline.Sub(now))
		}
	}
	if g.unsaved > 0 {
		wait = min(wait, g.since.Add(g.settings.CheckpointAfter).Sub(now))
	}
	return max(wait, time.Millisecond)
}

// read adds one page of the log, or of what is to be replayed, to what can be handed out. When there may be more the
// goroutine will look again.
func (g *group) read(ctx context.Context) error {
	g.mu.Lock()
	from, filter := g.next, g.filter
	room := g.settings.held() - len(g.window) - len(g.replay.window)
	g.mu.Unlock()
	if room <= 0 {
		return nil
	}
	if more, err := g.readParked(ctx, room); err != nil {
		return err
	} else if more {
		g.look()
		return nil
	}
	events, err := g.page(ctx, from, min(room, pageSize))
	if err != nil || len(events) == 0 {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range events {
		e := &events[i]
		place := g.place(e)
		g.next = place + 1
		if filter.admits(e) && !(g.key.source == allEvents && isOurs(e.Stream)) {
			m := &message{event: *e, place: place}
			g.window = append(g.window, m)
			g.waiting = append(g.waiting, m)
		}
	}
	if len(g.window) == 0 && g.unsaved == 0 {
		g.unsaved, g.since = 1, time.Now() // what is skipped is done too
	}
	g.look()
	return nil
}

func (g *group) page(ctx context.Context, from uint64, limit int) ([]event.Recorded, error) {
	if g.key.source == allEvents {
		return g.groups.log.ReadAll(ctx, event.At(from), event.Forward, limit)
	}
	return g.groups.log.ReadPage(ctx, g.key.source, int64(min(from, math.MaxInt64)), event.Forward, limit)
}

func (g *group) place(e *event.Recorded) uint64 {
	if g.key.source == allEvents {
		return e.Position.Commit
	}
	return uint64(e.Revision)
}

// isOurs says that a stream is kept for a persistent subscription. Groups of all events do not see them: parking an
// event would bring another one.
func isOurs(stream string) bool {
	return strings.HasPrefix(strings.TrimPrefix(stream, "$$"), "$persistentsubscription-")
}

// handOut gives events to consumers that have room for them, in order.
func (g *group) handOut(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	given := 0
	for _, m := range g.waiting {
		c := g.choose(m)
		if c == nil || g.out[m.event.ID] != nil { // answers name ids, so one id is out once at a time
			break
		}
		select {
		case c.events <- delivery{m.event, m.retries}:
		default: // it was taken back, but the client has not taken it yet
			c = nil
		}
		if c == nil {
			break
		}
		c.held++
		c.total++
		g.total++
		given++
		m.to, m.deadline = c, time.Time{}
		if g.settings.MessageTimeout > 0 {
			m.deadline = now.Add(g.settings.MessageTimeout)
		}
		g.out[m.event.ID] = m
	}
	g.waiting = slices.Delete(g.waiting, 0, given)
}

// choose gives the consumer for an event, nil when it must wait.
func (g *group) choose(m *message) *consumer {
	n := len(g.consumers)
	if n == 0 {
		return nil
	}
	switch g.settings.Strategy {
	case pinned:
		hash := fnv.New32a()
		hash.Write([]byte(m.event.Stream))
		return g.consumers[hash.Sum32()%uint32(n)].ifRoom()
	case roundRobin:
		for range n {
			g.turn++
			if c := g.consumers[g.turn%n].ifRoom(); c != nil {
				return c
			}
		}
	default:
		for _, c := range g.consumers {
			if c.ifRoom() != nil {
				return c
			}
		}
	}
	return nil
}

func (c *consumer) ifRoom() *consumer {
	if c.held >= c.buffer {
		return nil
	}
	return c
}
