package projections

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/actahq/acta/domain/event"
)

// progress is how far a read model is, read by everybody without a lock. One at a time writes it: the projector, or
// whoever watches the projector of another instance.
type progress struct {
	now atomic.Pointer[mark]
}

// mark is one moment of a read model. It never changes; moved is closed when the next one is there.
type mark struct {
	position event.Position
	head     event.Position
	behind   bool
	last     time.Time
	waiting  error
	stopped  error
	moved    chan struct{}
}

func newProgress() *progress {
	p := new(progress)
	p.now.Store(&mark{behind: true, moved: make(chan struct{})})
	return p
}

// change makes the next mark of the present one and wakes those who wait.
func (p *progress) change(how func(*mark)) {
	now := p.now.Load()
	next := *now
	how(&next)
	next.moved = make(chan struct{})
	p.now.Store(&next)
	close(now.moved)
}

// wait waits for a position.
func (p *progress) wait(ctx context.Context, position event.Position) error {
	err := p.watch(ctx, func(now *mark) (done bool, err error) {
		if now.position.Before(position) {
			return false, now.stopped
		}
		return true, nil
	})
	if err != nil {
		return ErrBehind
	}
	return nil
}

// watch looks at the present mark and at those that follow until a look says that it is done or gives an error, or the
// context ends. Marks that follow fast may be left out.
func (p *progress) watch(ctx context.Context, look func(*mark) (done bool, err error)) error {
	for {
		now := p.now.Load()
		if done, err := look(now); done || err != nil {
			return err
		}
		select {
		case <-now.moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *progress) status(name string) Status {
	now := p.now.Load()
	return Status{name, now.position, now.head, now.behind, now.last, now.waiting, now.stopped}
}
