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

// Database is where the tables are, migrated. An implementer guarantees that a transaction of Update, once it changed
// a row, is the only one that changes it until it ends, and that Read sees what was committed before.
type Database interface {
	Read() *bun.DB
	// Update runs a transaction that changes rows. Under a context of Hold it fails if somebody else holds the lease.
	Update(ctx context.Context, do func(ctx context.Context, tx bun.IDB) error) error
	// Clone makes an empty table of the same shape, inside of a transaction.
	Clone(ctx context.Context, tx bun.IDB, table, as string) error
	// Lock takes a named lock among all users of the database without waiting. It falls open when its holder dies.
	Lock(ctx context.Context, name string) (unlock func() error, err error)
	// Away says that an error is the database's being away, and not about what it was asked.
	Away(error) bool
	Instances
}

// Instances is how several programs with the same log and database share the work.
type Instances interface {
	// Shared says whether there may be others. The rest has little to do when not.
	Shared() bool
	// Hold runs while under the lease of that name, which one instance holds at a time, as often as it gets it: when
	// it is lost, the context of while ends. It returns what while returned when it was not lost, or the context's error.
	Hold(ctx context.Context, name string, while func(context.Context) error) error
	// Listen calls hear with each row of checkpoints that is committed, "<name> <position>", and with an empty text at
	// the beginning and now and then: what was committed before can be read now. It ends when it cannot go on, when hear
	// fails or when the context ends.
	Listen(ctx context.Context, hear func(told string) error) error
}

// ErrBehind: the rows do not show yet what the caller has seen happen.
var ErrBehind = refusal.New(refusal.Unavailable, "general_read_model_behind",
	"The change was made but cannot be shown yet. Please try again.").After(time.Second)

// ErrAway: the read models cannot be asked. Whatever the question was, it has no answer now.
var ErrAway = refusal.New(refusal.Unavailable, "general_read_models_unavailable",
	"The server cannot answer at the moment. Please try again.").After(time.Second)

// answerWithin is how long a query may take. Callers can do more with ErrAway than with waiting for a server that is gone.
const answerWithin = 1500 * time.Millisecond

// only is the streams that read models are made of.
var only = event.Filter{Streams: []string{accountStreams}}

// ReadModels is all read models over one database and one log.
type ReadModels struct {
	log      Log
	db       Database
	bySecret *sql.Stmt
	byID     *sql.Stmt
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
	byID, err := db.Read().DB.Prepare(accountQuery)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the look-up of accounts: %w", err), bySecret.Close())
	}
	return &ReadModels{
		log:      log,
		db:       db,
		bySecret: bySecret,
		byID:     byID,
		models: []model{
			newProjector[Account]("accounts", accounts{}, db, log),
			newProjector[Session]("sessions", sessions{}, db, log),
			newProjector[Identity]("identities", identities{}, db, log),
		},
		caughtUp: make(chan struct{}),
	}, nil
}

// lease is held by the instance that projects.
const lease = "projectors"

// Run keeps all read models up to date until the context ends: one instance does, and the others watch how far it is. It
// returns nil, or the error of saving the last checkpoints, which costs no more than reading a few events again. It
// runs once.
func (r *ReadModels) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { r.awaitCaughtUp(ctx) })
	stop := r.watch(ctx)
	err := r.db.Hold(ctx, lease, func(held context.Context) error {
		stop() // from here on, the projectors tell how far they are
		defer func() { stop = r.watch(ctx) }()
		return r.project(held)
	})
	stop()
	running.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// project runs the projectors until the context ends, also when each of them has stopped: another instance of the same
// program could not apply that event either.
func (r *ReadModels) project(ctx context.Context) error {
	var running sync.WaitGroup
	failed := make([]error, len(r.models))
	for i, m := range r.models {
		running.Go(func() { failed[i] = m.run(ctx) })
	}
	running.Wait()
	<-ctx.Done()
	return errors.Join(failed...)
}

func (r *ReadModels) awaitCaughtUp(ctx context.Context) {
	var head event.Position
	err := retry(ctx, func() (err error) {
		head, err = r.log.Head(ctx)
		return err
	})
	for _, m := range r.models {
		if err == nil { // also when it has stopped here: another instance may bring it further
			err = m.progress().watch(ctx, func(now *mark) (bool, error) { return !now.position.Before(head), nil })
		}
	}
	if err == nil {
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

// asking bounds a query. One of a file that is here takes microseconds: once it has begun, a context that can end would
// only cost it a goroutine to watch.
func (r *ReadModels) asking(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.db.Shared() && ctx.Err() == nil {
		return context.WithoutCancel(ctx), func() {}
	}
	return context.WithTimeout(ctx, answerWithin)
}

// failed gives the error of a query, which is ErrAway when another time may bring an answer.
func (r *ReadModels) failed(what string, err error) error {
	if r.db.Away(err) {
		return fmt.Errorf("%s: %w: %w", what, ErrAway, err)
	}
	return fmt.Errorf("%s: %w", what, err)
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
// as <name>_last with its checkpoint, to go back to; of what happens later it is told only which rows are no more.
// progress is told how far it is, and may be nil. When Rebuild fails, or is interrupted, nothing has changed and the next
// one starts anew. Of two at once, the second is refused.
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
