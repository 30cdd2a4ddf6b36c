package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

// Checkpoints is how far the processes have come, in a file of its own: read models may be thrown away and made
// again, and that must start no process from the beginning. Losing power may take the newest checkpoints; then some
// events are handled again, which processes bear.
type Checkpoints struct{ file sqlite.File }

// processes is the tables of migrations/postgres/0002 and 0003, where checkpoints is called processes.
const processes = `
CREATE TABLE IF NOT EXISTS checkpoints (process TEXT PRIMARY KEY, position TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS set_aside (
	process  TEXT    NOT NULL,
	position TEXT    NOT NULL,
	stream   TEXT    NOT NULL,
	revision INTEGER NOT NULL,
	type     TEXT    NOT NULL,
	reason   TEXT    NOT NULL,
	at       TEXT    NOT NULL,
	PRIMARY KEY (process, position)
) WITHOUT ROWID, STRICT;`

const setAside = "INSERT INTO set_aside (process, position, stream, revision, type, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

// OpenCheckpoints opens the file, or makes it.
func OpenCheckpoints(path string) (*Checkpoints, error) {
	file, err := sqlite.Open(path, sqlite.Normal)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write.Exec(processes); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), file.Close())
	}
	return &Checkpoints{file}, nil
}

// Load gives the position up to which a process has handled everything; the zero Position for one never seen.
func (c *Checkpoints) Load(ctx context.Context, name string) (at event.Position, seen bool, err error) {
	var text string
	err = c.file.Read.QueryRowContext(ctx, "SELECT position FROM checkpoints WHERE process = ?", name).Scan(&text)
	return parse(text, err)
}

// parse reads the position of the row that was looked for.
func parse(text string, err error) (at event.Position, seen bool, _ error) {
	if errors.Is(err, sql.ErrNoRows) {
		return at, false, nil
	}
	if err == nil {
		at, err = event.ParsePosition(text)
	}
	return at, err == nil, err
}

// Begin stores where a process begins that was never seen, and has the disk keep it at once: where nothing is stored, it
// would begin elsewhere.
func (c *Checkpoints) Begin(ctx context.Context, name string, at event.Position) error {
	_, err := c.file.Write.ExecContext(ctx, "INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT DO NOTHING", name, at.String())
	if err != nil {
		return err
	}
	_, err = c.file.Write.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// Save stores it.
func (c *Checkpoints) Save(ctx context.Context, name string, at event.Position) error {
	_, err := c.file.Write.ExecContext(ctx, "INSERT INTO checkpoints VALUES (?, ?) ON CONFLICT (process) DO UPDATE SET position = excluded.position", name, at.String())
	return err
}

// SetAside keeps an event that a process can never finish.
func (c *Checkpoints) SetAside(ctx context.Context, a process.Aside) error {
	_, err := c.file.Write.ExecContext(ctx, setAside, a.Process, a.Position.String(), a.Stream, a.Revision, a.Type, a.Reason, a.At.Format(time.RFC3339Nano))
	return err
}

// CountAside tells how many events each process has set aside.
func (c *Checkpoints) CountAside(ctx context.Context) (map[string]int, error) {
	return countAside(c.file.Read.QueryContext(ctx, counting))
}

const counting = "SELECT process, count(*) FROM set_aside GROUP BY process"

func countAside(rows *sql.Rows, err error) (map[string]int, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var process string
		var n int
		if err := rows.Scan(&process, &n); err != nil {
			return nil, err
		}
		counts[process] = n
	}
	return counts, rows.Err()
}

// Close closes the file.
func (c *Checkpoints) Close() error { return c.file.Close() }

// SharedCheckpoints is how far the processes have come, in the database that instances share.
type SharedCheckpoints struct{ p *Postgres }

// Checkpoints gives those of this database, which must be migrated.
func (p *Postgres) Checkpoints() SharedCheckpoints { return SharedCheckpoints{p} }

// Load gives the position up to which a process has handled everything; the zero Position for one never seen.
func (c SharedCheckpoints) Load(ctx context.Context, name string) (at event.Position, seen bool, err error) {
	var text string
	err = c.p.write.NewRaw("SELECT position FROM processes WHERE name = ?", name).Scan(ctx, &text)
	return parse(text, err)
}

// Begin stores where a process begins that was never seen. Of several instances that start at once, the first decides.
func (c SharedCheckpoints) Begin(ctx context.Context, name string, at event.Position) error {
	_, err := c.p.write.NewRaw("INSERT INTO processes VALUES (?, ?) ON CONFLICT DO NOTHING", name, at.String()).Exec(ctx)
	return err
}

// Save stores it. Under a context of Hold it fails with ErrLost once the lease is another's, who goes on from there.
func (c SharedCheckpoints) Save(ctx context.Context, name string, at event.Position) error {
	return c.p.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		_, err := tx.NewRaw("INSERT INTO processes VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position", name, at.String()).Exec(ctx)
		return err
	})
}

// SetAside keeps an event that a process can never finish.
func (c SharedCheckpoints) SetAside(ctx context.Context, a process.Aside) error {
	return c.p.Update(ctx, func(ctx context.Context, tx bun.IDB) error {
		_, err := tx.NewRaw(setAside, a.Process, a.Position.String(), a.Stream, a.Revision, a.Type, a.Reason, a.At).Exec(ctx)
		return err
	})
}

// CountAside tells how many events each process has set aside.
func (c SharedCheckpoints) CountAside(ctx context.Context) (map[string]int, error) {
	return countAside(c.p.read.DB.QueryContext(ctx, counting))
}
