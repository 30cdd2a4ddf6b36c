package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/actahq/acta/domain/event"
)

// watch takes over how far the instance that projects is, until stop is called, so that Wait and Status are right on
// every instance. While it cannot know, nothing is shown: Wait waits, instead of believing what was true before the
// database was away and may have been set back.
func (r *ReadModels) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		_ = retry(ctx, func() error { // ends with the context's
			err := r.db.Listen(ctx, func(told string) error { return r.hear(ctx, told) })
			if ctx.Err() == nil {
				r.unknown(err)
			}
			return err
		})
	})
	return func() { cancel(); watching.Wait() }
}

// hear takes what Listen tells.
func (r *ReadModels) hear(ctx context.Context, told string) error {
	if told == "" {
		return r.look(ctx)
	}
	name, text, _ := strings.Cut(told, " ")
	position, err := event.ParsePosition(text)
	if err != nil {
		return err
	}
	for _, m := range r.models {
		if m.name() == name {
			m.progress().change(func(now *mark) {
				if now.position.Before(position) { // what we have read may be newer than what is told
					now.position, now.behind = position, position.Before(now.head)
				}
			})
		}
	}
	return nil
}

// look reads where the checkpoints are, whatever we thought before.
func (r *ReadModels) look(ctx context.Context) error {
	ctx, cancel := r.asking(ctx)
	defer cancel()
	positions := make([]event.Position, len(r.models))
	for i, m := range r.models {
		var err error
		if positions[i], err = checkpoint(ctx, r.db.Read(), m.name()); err != nil {
			return err
		}
	}
	head, err := r.log.Head(ctx) // after the checkpoints, which another instance is moving on
	for i, m := range r.models {
		m.progress().change(func(now *mark) {
			now.position, now.waiting, now.stopped = positions[i], nil, nil
			if err == nil { // without the log, the rows are still what they are
				now.head = head
			}
			if now.behind = now.position.Before(now.head); err == nil && head.Before(now.position) {
				now.position, now.stopped = event.Position{}, fmt.Errorf("%w: %s is at %s, the log ends at %s", ErrAhead, m.name(), positions[i], head)
			}
		})
	}
	return nil
}

// unknown says that nobody knows how far the read models are, and why.
func (r *ReadModels) unknown(why error) {
	if r.db.Away(why) {
		why = errors.Join(ErrAway, why)
	}
	for _, m := range r.models {
		m.progress().change(func(now *mark) { now.position, now.behind, now.waiting = event.Position{}, true, why })
	}
}
