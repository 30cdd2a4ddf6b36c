package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/event"
)

// patience is how long a rebuild waits for a log or a database that does not work.
const patience = 30 * time.Second

// rebuild fills <table>_next with a projector like the one of the table, and swaps.
func (p *projector[Row]) rebuild(ctx context.Context, progress func(done, total event.Position)) (err error) {
	unlock, err := p.db.Lock(ctx, "rebuild-"+p.name())
	if err != nil {
		return err
	}
	defer unlock()
	next := newProjector(p.name()+"_next", p.model, p.db, p.log)
	if err := next.begin(ctx, p.table); err != nil {
		return err
	}
	if err := next.fill(ctx, progress); err != nil {
		return err
	}
	// What if we crash here: a full table that nobody reads, and that the next rebuild removes.
	return next.exchange(ctx, p.table)
}

// exchange swaps. A database that is away, or busy with a reader who is in no hurry, must not cost the work of hours.
func (p *projector[Row]) exchange(ctx context.Context, live table[Row]) (err error) {
	began, unsure := time.Now(), false
	ended := retry(ctx, func() error {
		err = p.swap(ctx, live)
		switch {
		case unsure && errors.Is(err, errNoCheckpoint):
			err = nil // it was swapped the time before, and only the answer was lost
		case p.db.Away(err) && time.Since(began) < patience:
			unsure = true
			return err
		}
		return nil
	})
	return errors.Join(ended, err)
}

// begin makes the table anew. An interrupted rebuild may have left one.
func (p *projector[Row]) begin(ctx context.Context, like table[Row]) error {
	return p.db.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		if err := drop(ctx, tx, p.name()); err != nil {
			return err
		}
		if err := p.db.Clone(ctx, tx, like.name, p.name()); err != nil {
			return err
		}
		_, err := tx.NewRaw("INSERT INTO checkpoints (name, position) VALUES (?, ?)", p.name(), event.Position{}.String()).Exec(ctx)
		return err
	})
}

// fill runs the projector until it has reached the end that the log had, and stops it.
func (p *projector[Row]) fill(ctx context.Context, progress func(done, total event.Position)) error {
	head, err := p.log.Head(ctx)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- p.run(running) }()
	reached, at := event.Position{}, time.Now()
	err = p.shown.watch(ctx, func(m *mark) (done bool, err error) {
		progress(m.position, head)
		switch {
		case !m.position.Before(head):
			return true, nil
		case m.stopped != nil:
			return false, m.stopped
		case m.position != reached:
			reached, at = m.position, time.Now()
		case m.waiting != nil && time.Since(at) > patience:
			return false, m.waiting
		}
		return false, nil
	})
	stop()
	if failed := <-ended; err == nil {
		err = failed
	}
	return err
}

// swap puts the table in the place of the one in use, with all that this one shows. It is one transaction, so readers
// see one or the other, and the projector of the one in use finds its checkpoint moved, or where it left it with the same rows.
func (p *projector[Row]) swap(ctx context.Context, live table[Row]) error {
	return p.db.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		// Touching the checkpoints first holds whoever wants to move them, until we are done. Of ours, that is a
		// transaction that we have cancelled when it was about to be committed: only the table knows whether it was.
		if _, err := tx.NewRaw("UPDATE checkpoints SET position = position WHERE name IN (?, ?)", live.name, p.name()).Exec(ctx); err != nil {
			return err
		}
		shown, err := live.checkpoint(ctx, tx)
		if err != nil {
			return err
		}
		if p.saved, err = p.table.checkpoint(ctx, tx); err != nil {
			return err
		}
		p.reached = p.saved
		if err := p.catchUp(ctx, tx, shown); err != nil {
			return err
		}
		last := live.last().name
		if err := drop(ctx, tx, last); err != nil {
			return err
		}
		if err := rename(ctx, tx, live.name, last); err != nil {
			return err
		}
		return rename(ctx, tx, p.name(), live.name)
	})
}

// catchUp applies, inside of a transaction, what came since the projector was stopped, at least up to a position that
// another table shows. A log that ends before it is not the one that table was made of; its end has to do.
func (p *projector[Row]) catchUp(ctx context.Context, tx bun.IDB, upTo event.Position) error {
	head, err := p.log.Head(ctx)
	if err != nil {
		return err
	}
	if head.Before(upTo) {
		upTo = head
	}
	if !p.reached.Before(upTo) {
		return nil
	}
	return p.log.Follow(ctx, p.reached, only, func(s event.Stretch) error {
		changed, to, stopped, err := p.evolve(ctx, tx, s)
		switch {
		case err != nil:
			return err
		case stopped != nil:
			return stopped
		}
		if err := p.save(ctx, tx, changed, to); err != nil {
			return err
		}
		p.reached, p.saved = to, to
		if to.Before(upTo) {
			return nil
		}
		return event.ErrStop
	})
}

func drop(ctx context.Context, tx bun.IDB, table string) error {
	if _, err := tx.NewRaw("DROP TABLE IF EXISTS ?", bun.Ident(table)).Exec(ctx); err != nil {
		return fmt.Errorf("drop %s: %w", table, err)
	}
	_, err := tx.NewRaw("DELETE FROM checkpoints WHERE name = ?", table).Exec(ctx)
	return err
}

// rename renames a table and its checkpoint.
func rename(ctx context.Context, tx bun.IDB, table, to string) error {
	if _, err := tx.NewRaw("ALTER TABLE ? RENAME TO ?", bun.Ident(table), bun.Ident(to)).Exec(ctx); err != nil {
		return fmt.Errorf("rename %s: %w", table, err)
	}
	_, err := tx.NewRaw("UPDATE checkpoints SET name = ? WHERE name = ?", to, table).Exec(ctx)
	return err
}
