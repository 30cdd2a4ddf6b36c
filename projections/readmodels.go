// Package projections is the read models: tables that tell what the log tells, in the shape in which it is asked for.
// A row, its projector and its queries stand in one file. The rows are folds of events and nothing else, so that living,
// catching up and rebuilding are one code path, and a table that was lost is only some minutes of work.
//
// It does not know how commands decide, nor what HTTP is.
package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// Log is the log as read models need it, with what is personal opened or, for those who were forgotten, absent.
// Follow delivers what lies behind a position, without a gap; the first stretch comes at once.
type Log interface {
	Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error)
	Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error
	Head(ctx context.Context) (event.Position, error)
}

// Database is where the tables are, migrated. An implementer guarantees that a transaction of Write, once it changed
// a row, is the only one that changes it until it ends, and that Read sees what was committed before.
type Database interface {
	Write() *bun.DB
	Read() *bun.DB
	// Clone makes an empty table of the same shape, inside of a transaction.
	Clone(ctx context.Context, tx bun.Tx, table, as string) error
	// Lock takes a named lock among all users of the database without waiting. It falls open when its holder dies.
	Lock(ctx context.Context, name string) (unlock func() error, err error)
}

// ErrBehind: the rows do not show yet what the caller has seen happen.
var ErrBehind = refusal.New(refusal.Unavailable, "general_read_model_behind",
	"The change was made but cannot be shown yet. Please try again.").After(time.Second)

// only is the streams that read models are made of.
var only = event.Filter{Streams: []string{accountStreams}}

// ReadModels is all read models over one database and one log.
type ReadModels struct {
	log      Log
	read     *bun.DB
	bySecret *sql.Stmt
	models   []model
	caughtUp chan struct{}
}

// model is a read model without the type of its rows.
type model interface {
	name() string
	run(context.Context) error
	rebuild(context.Context, func(done, total event.Position)) error
	progress() *progress
}

// New gives the read models that are kept in a migrated database. Nothing happens before Run.
func New(db Database, log Log) (*ReadModels, error) {
	bySecret, err := db.Read().DB.Prepare(bySecretQuery)
	if err != nil {
		return nil, fmt.Errorf("prepare the look-up of sessions: %w", err)
	}
	return &ReadModels{
		log:      log,
		read:     db.Read(),
		bySecret: bySecret,
		models: []model{
			newProjector[Account]("accounts", accounts{}, db, log),
			newProjector[Session]("sessions", sessions{}, db, log),
		},
		caughtUp: make(chan struct{}),
	}, nil
}

// Run keeps all read models up to date until the context ends. It returns nil, or the error of saving the last
// checkpoints, which costs no more than reading a few events again. It runs once.
func (r *ReadModels) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { r.awaitCaughtUp(ctx) })
	failed := make([]error, len(r.models))
	for i, m := range r.models {
		running.Go(func() { failed[i] = m.run(ctx) })
	}
	running.Wait()
	return errors.Join(failed...)
}

func (r *ReadModels) awaitCaughtUp(ctx context.Context) {
	var head event.Position
	err := retry(ctx, func() (err error) {
		head, err = r.log.Head(ctx)
		return err
	})
	if err == nil && r.Wait(ctx, head) == nil {
		close(r.caughtUp)
	}
}

// CaughtUp is closed when every read model shows all that the log held when Run began.
func (r *ReadModels) CaughtUp() <-chan struct{} { return r.caughtUp }

// Wait returns nil as soon as every read model shows what happened up to a position, and ErrBehind when the context
// ends before, or when a read model has stopped and never will. It is cheap: it sleeps on a channel, or not at all.
func (r *ReadModels) Wait(ctx context.Context, position event.Position) error {
	for _, m := range r.models {
		if err := m.progress().wait(ctx, position); err != nil {
			return err
		}
	}
	return nil
}

// Status is how far a read model is.
type Status struct {
	Name      string
	Position  event.Position // every event up to here is in the rows
	Head      event.Position // the log's end as far as the read model knows
	Behind    bool           // there is more to apply than has been applied
	LastEvent time.Time      // when the log stored the last event that was applied; zero = none since the start. While Behind, the time since then is the lag
	Waiting   error          // what does not work now and is tried again; nil = nothing
	Stopped   error          // a *Stopped or ErrAhead: the read model is as of Position until somebody acts; nil = it goes on
}

// Status gives the status of every read model.
func (r *ReadModels) Status() []Status {
	all := make([]Status, len(r.models))
	for i, m := range r.models {
		all[i] = m.progress().status(m.name())
	}
	return all
}

// Names lists the read models, as Rebuild takes them.
func (r *ReadModels) Names() []string {
	names := make([]string, len(r.models))
	for i, m := range r.models {
		names[i] = m.name()
	}
	return names
}

// Rebuild fills a read model again from the first event, beside the one that is in use, and puts it in its place. It may
// run beside Run, in this process or in another, and readers see the old rows, then the new ones. The old table stays
// as <name>_last with its checkpoint, to go back to; it is not kept up to date, so it also holds the rows of people who
// are forgotten later, until the next rebuild or somebody drops it. progress is told how far it is, and may be nil. When
// Rebuild fails, or is interrupted, nothing has changed and the next one starts anew. Of two at once, the second is refused.
func (r *ReadModels) Rebuild(ctx context.Context, name string, progress func(done, total event.Position)) error {
	i := slices.IndexFunc(r.models, func(m model) bool { return m.name() == name })
	if i < 0 {
		return fmt.Errorf("there is no read model %q; there are %s", name, strings.Join(r.Names(), ", "))
	}
	if progress == nil {
		progress = func(_, _ event.Position) {}
	}
	if err := r.models[i].rebuild(ctx, progress); err != nil {
		return fmt.Errorf("rebuild %s: %w", name, err)
	}
	return nil
}
