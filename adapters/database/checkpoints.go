package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// Checkpoints is how far the processes have come, in a file of its own: read models may be thrown away and made
// again, and that must start no process from the beginning. Losing power may take the newest checkpoints; then some
// events are handled again, which processes bear.
type Checkpoints struct{ file sqlite.File }

// OpenCheckpoints opens the file, or makes it.
func OpenCheckpoints(path string) (*Checkpoints, error) {
	file, err := sqlite.Open(path, sqlite.Normal)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write.Exec("CREATE TABLE IF NOT EXISTS checkpoints (process TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID, STRICT"); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), file.Close())
	}
	return &Checkpoints{file}, nil
}

// Load gives the position up to which a process has handled everything; the zero Position for one never seen.
func (c *Checkpoints) Load(ctx context.Context, process string) (event.Position, error) {
	var at string
	err := c.file.Read.QueryRowContext(ctx, "SELECT position FROM checkpoints WHERE process = ?", process).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return event.Position{}, err
	}
	return event.ParsePosition(at)
}

// Save stores it.
func (c *Checkpoints) Save(ctx context.Context, process string, at event.Position) error {
	_, err := c.file.Write.ExecContext(ctx, "INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT (process) DO UPDATE SET position = excluded.position", process, at.String())
	return err
}

// Close closes the file.
func (c *Checkpoints) Close() error { return c.file.Close() }

// SharedCheckpoints is how far the processes have come, in the database that instances share.
type SharedCheckpoints struct{ p *Postgres }

// Checkpoints gives those of this database, which must be migrated.
func (p *Postgres) Checkpoints() SharedCheckpoints { return SharedCheckpoints{p} }

// Load gives the position up to which a process has handled everything; the zero Position for one never seen.
func (c SharedCheckpoints) Load(ctx context.Context, process string) (event.Position, error) {
	var at string
	err := c.p.write.NewRaw("SELECT position FROM processes WHERE name = ?", process).Scan(ctx, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return event.Position{}, err
	}
	return event.ParsePosition(at)
}

// Save stores it. Under a context of Hold it fails with ErrLost once the lease is another's, who goes on from there.
func (c SharedCheckpoints) Save(ctx context.Context, process string, at event.Position) error {
	return c.p.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		_, err := tx.NewRaw("INSERT INTO processes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position", process, at.String()).Exec(ctx)
		return err
	})
}
