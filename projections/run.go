package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/event"
)

// A checkpoint that moved over events that touch no row is saved when it moved this far or this long ago. Losing it
// costs reading them again.
const (
	saveAfterEvents = 10_000
	saveAfter       = 5 * time.Second
)

// Stretches are joined while a projector is behind, up to so many events and for so long.
const (
	joinEvents = 5_000
	joinFor    = 100 * time.Millisecond
)

// ErrAhead: the rows know more than the log, which therefore is not the log they were made of (a backup was restored).
// Following on would leave out what happens next. Rebuild the read model.
var ErrAhead = errors.New("the read model is ahead of the log and must be rebuilt")

// projector keeps one table up to date. All that it remembers is where it is; what it knows is in the table.
type projector[Row keyed] struct {
	model   ReadModel[Row]
	table   table[Row]
	db      Database
	log     Log
	reached event.Position // every event up to here was applied or touches nothing
	saved   event.Position // what the table's checkpoint says, if nobody else moved it
	savedAt time.Time
	skipped int // events between the two
	shown   *progress
}

func newProjector[Row keyed](name string, model ReadModel[Row], db Database, log Log) *projector[Row] {
	return &projector[Row]{model: model, table: table[Row]{name}, db: db, log: log, shown: newProgress()}
}

func (p *projector[Row]) name() string        { return p.table.name }
func (p *projector[Row]) progress() *progress { return p.shown }

// run follows the log until the context ends or an event cannot be applied. What fails otherwise is tried again.
func (p *projector[Row]) run(ctx context.Context) error {
	_ = retry(ctx, func() error { // ends without an error, or with the context's
		err := p.follow(ctx)
		for errors.Is(err, errMoved) { // go on from where it was moved to
			err = p.follow(ctx)
		}
		if stopped := new(Stopped); errors.As(err, &stopped) || errors.Is(err, ErrAhead) {
			p.shown.change(func(m *mark) { m.stopped = err })
			return nil
		}
		if ctx.Err() == nil {
			p.shown.change(func(m *mark) {
				m.waiting = err
				if p.db.Away(err) {
					m.position = event.Position{} // nobody knows what it comes back with
				}
			})
		}
		return err
	})
	return p.flush(ctx)
}

// follow applies what the log has from the checkpoint on.
func (p *projector[Row]) follow(ctx context.Context) error {
	saved, err := p.table.checkpoint(ctx, p.db.Read())
	if err != nil {
		return err
	}
	if saved != p.saved {
		p.reached, p.saved = saved, saved
	}
	p.savedAt, p.skipped = time.Now(), 0
	head, err := p.log.Head(ctx) // after the checkpoint, which another projector may be moving on
	if err != nil {
		return err
	}
	if head.Before(p.reached) {
		return fmt.Errorf("%w: %s is at %s, the log ends at %s", ErrAhead, p.table.name, p.reached, head)
	}
	p.shown.change(func(m *mark) { m.position, m.head, m.stopped = p.reached, head, nil })
	return p.log.Follow(ctx, p.reached, only, joined(func(s event.Stretch) error { return p.apply(ctx, s) }))
}

// joined makes long stretches of short ones as long as there is more: the more events are folded at once, the fewer
// rows are read and written. Those that were joined and not applied are read again.
func joined(apply func(event.Stretch) error) func(event.Stretch) error {
	var whole event.Stretch
	var since time.Time
	return func(s event.Stretch) error {
		if len(whole.Events) == 0 {
			whole, since = s, time.Now()
			whole.Events = slices.Clip(s.Events) // what lies behind them is not ours to write to
		} else {
			whole.Events = append(whole.Events, s.Events...)
			whole.UpTo, whole.Live = s.UpTo, s.Live
		}
		if !s.Live && len(whole.Events) > 0 && len(whole.Events) < joinEvents && time.Since(since) < joinFor {
			return nil
		}
		s, whole = whole, event.Stretch{}
		return apply(s)
	}
}

// apply applies a stretch and moves the checkpoint, in one transaction: a crash at any place leaves both as they were
// or both as they become. Rows are loaded and folded before it begins, so that it is short; if they are not what they
// were when it does begin, the checkpoint is not either.
func (p *projector[Row]) apply(ctx context.Context, s event.Stretch) error {
	changed, upTo, stopped, err := p.evolve(ctx, p.db.Read(), s)
	if err != nil {
		return err
	}
	p.skipped += len(s.Events)
	overdue := p.skipped > saveAfterEvents || time.Since(p.savedAt) > saveAfter
	heard := p.db.Shared() && s.Live && upTo != p.saved // other instances wait for it
	// Before we say that an event cannot be applied, the checkpoint must tell that these were the rows to apply it to.
	if !changed.none() || overdue || heard || stopped != nil {
		err := p.db.Update(ctx, func(ctx context.Context, tx bun.IDB) error { return p.save(ctx, tx, changed, upTo) })
		if err != nil {
			return err // committed or not: if it was, the checkpoint is not where we left it
		}
		p.saved, p.savedAt, p.skipped = upTo, time.Now(), 0
	}
	p.reached = upTo
	p.shown.change(func(m *mark) {
		m.position, m.waiting = upTo, nil
		m.behind = !s.Live || stopped != nil
		if m.head.Before(s.UpTo) {
			m.head = s.UpTo
		}
		if n := len(s.Events); n > 0 && stopped == nil {
			m.last = s.Events[n-1].Recorded
		}
	})
	if stopped != nil {
		return stopped
	}
	return nil
}

// evolve tells what a stretch changes, and up to which position that is all. When an event cannot be applied, that is the event before.
func (p *projector[Row]) evolve(ctx context.Context, db bun.IDB, s event.Stretch) (changes[Row], event.Position, *Stopped, error) {
	touched, failed := plan(p.model, s.Events)
	there, err := p.table.load(ctx, db, unique(touched))
	if err != nil {
		return changes[Row]{}, event.Position{}, nil, err
	}
	changed, applied, why := fold(p.model, s.Events, touched, there)
	if why != nil {
		failed = why // stands before the one that cannot be read
	}
	if failed == nil {
		return changed, s.UpTo, nil, nil
	}
	upTo, at := p.reached, s.Events[applied]
	if applied > 0 {
		upTo = s.Events[applied-1].Position
	}
	return changed, upTo, &Stopped{p.table.name, at.Position, at.Type, failed}, nil
}

func unique(touched [][]Key) []Key {
	var keys []Key
	seen := make(map[Key]bool, len(touched))
	for _, some := range touched {
		for _, key := range some {
			if !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// save writes rows and checkpoint.
func (p *projector[Row]) save(ctx context.Context, tx bun.IDB, changed changes[Row], upTo event.Position) error {
	if err := p.table.move(ctx, tx, p.saved, upTo); err != nil {
		return err
	}
	if err := p.table.add(ctx, tx, changed.add); err != nil {
		return err
	}
	if err := p.table.store(ctx, tx, changed.store); err != nil {
		return err
	}
	return p.table.remove(ctx, tx, changed.remove)
}

// flush saves a checkpoint that moved over events that touch no row.
func (p *projector[Row]) flush(ctx context.Context) error {
	if p.reached == p.saved {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveAfter)
	defer cancel()
	err := p.db.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		return p.table.move(ctx, tx, p.saved, p.reached)
	})
	if err == nil {
		p.saved = p.reached
	}
	if errors.Is(err, errMoved) {
		return nil // the other one knows better
	}
	return err
}

// retry tries again what fails, with a growing pause, until it does not or the context ends.
func retry(ctx context.Context, try func() error) error {
	const first, longest = 50 * time.Millisecond, 2 * time.Second
	for pause := first; ; pause = min(2*pause, longest) {
		began := time.Now()
		err := try()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > longest:
			pause = first // it worked for a while: this is another failure
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
