// Package letterbox keeps the letters of package process: in an SQLite file of their own, or in the Postgres database
// that instances share. It does not know what letters say, nor how they are sent.
package letterbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/commands/process"
)

// Box is a process.Letterbox. It may be used by several goroutines, and what it is in by several processes.
type Box struct {
	write, read *sql.DB
	at          func(time.Time) any // how the database takes a time
	close       func() error
}

var _ process.Letterbox = (*Box)(nil)

// The table of migrations/postgres/0004. Times are milliseconds since 1970.
const schema = `
CREATE TABLE IF NOT EXISTS letters (
	id         TEXT    NOT NULL PRIMARY KEY,
	stream     TEXT    NOT NULL, -- with revision: the event that asks for it
	revision   INTEGER NOT NULL,
	kind       TEXT    NOT NULL,
	channel    TEXT    NOT NULL,
	status     TEXT    NOT NULL CHECK (status IN ('queued', 'sent', 'failed', 'abandoned')),
	attempts   INTEGER NOT NULL,
	first_try  INTEGER,
	next_try   INTEGER NOT NULL,
	expires    INTEGER,
	problem    TEXT    NOT NULL,
	created_at INTEGER NOT NULL,
	updated_at INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS letters_due ON letters (channel, next_try, id) WHERE status = 'queued';
CREATE INDEX IF NOT EXISTS letters_by_age ON letters (created_at, id);
CREATE INDEX IF NOT EXISTS letters_by_status ON letters (status, created_at, id);`

// Open opens the file, or makes one that only its owner can read; the folder must be there. What is stored in it
// survives loss of power.
func Open(path string) (*Box, error) {
	file, err := sqlite.Open(path, sqlite.Full)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write.Exec(schema); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), file.Close())
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Box{file.Write, file.Read, func(t time.Time) any { return t.UnixMilli() }, file.Close}, nil
}

// syncFolder makes the names of new files as durable as what will be written into them.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// OpenPostgres gives the letters of a database, which must be migrated, and which its owner closes.
func OpenPostgres(p *database.Postgres) *Box {
	at := func(t time.Time) any { return t.UTC().Truncate(time.Millisecond) }
	return &Box{p.Write().DB, p.Read().DB, at, func() error { return nil }}
}

// Close closes the file.
func (b *Box) Close() error { return b.close() }

// atOnce is how many rows one statement adds, or names. Each has 8 values; SQLite takes 32,766.
const atOnce = 500

// Add does what process.Letterbox says. What if it fails, or we crash, in the middle: some letters are there, and adding
// them again adds the others.
func (b *Box) Add(ctx context.Context, letters ...process.Letter) error {
	for some := range slices.Chunk(letters, atOnce) {
		var rows strings.Builder
		var values []any
		for i, l := range some {
			next := l.NextTry
			if next.IsZero() {
				next = l.CreatedAt
			}
			n := len(values)
			if i > 0 {
				rows.WriteString(", ")
			}
			fmt.Fprintf(&rows, "($%d, $%d, $%d, $%d, $%d, 'queued', 0, $%d, $%d, '', $%d, $%[8]d)", n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+8)
			values = append(values, l.ID, l.Stream, l.Revision, l.Kind, l.Channel, b.at(next), b.orNull(l.Expires), b.at(l.CreatedAt))
		}
		_, err := b.write.ExecContext(ctx, `INSERT INTO letters
			(id, stream, revision, kind, channel, status, attempts, next_try, expires, problem, created_at, updated_at)
			VALUES `+rows.String()+` ON CONFLICT (id) DO NOTHING`, values...)
		if err != nil {
			return fmt.Errorf("add letters: %w", err)
		}
	}
	return nil
}

// Due does what process.Letterbox says.
func (b *Box) Due(ctx context.Context, channel string, now time.Time, atMost int) ([]process.Letter, error) {
	return b.letters(ctx, "WHERE status = 'queued' AND channel = $1 AND next_try <= $2 ORDER BY next_try, id LIMIT $3",
		channel, b.at(now), atMost)
}

// Next does what process.Letterbox says.
func (b *Box) Next(ctx context.Context, channel string, now time.Time) (next time.Time, ok bool, err error) {
	err = b.read.QueryRowContext(ctx, "SELECT min(next_try) FROM letters WHERE status = 'queued' AND channel = $1 AND next_try > $2",
		channel, b.at(now)).Scan((*moment)(&next))
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look for the next letter: %w", err)
	}
	return next, !next.IsZero(), nil
}

// Update does what process.Letterbox says.
func (b *Box) Update(ctx context.Context, l process.Letter) error {
	_, err := b.write.ExecContext(ctx, `UPDATE letters
		SET status = $2, attempts = $3, first_try = $4, next_try = $5, problem = $6, updated_at = $7
		WHERE id = $1 AND status <> 'sent'`,
		l.ID, string(l.Status), l.Attempts, b.orNull(l.FirstTry), b.at(l.NextTry), l.Problem, b.at(l.UpdatedAt))
	if err != nil {
		return fmt.Errorf("update letter %s: %w", l.ID, err)
	}
	return nil
}

// Count does what process.Letterbox says.
func (b *Box) Count(ctx context.Context) (map[process.Status]int, error) {
	rows, err := b.read.QueryContext(ctx, "SELECT status, count(*) FROM letters GROUP BY status")
	if err != nil {
		return nil, fmt.Errorf("count letters: %w", err)
	}
	defer rows.Close()
	count := map[process.Status]int{}
	for rows.Next() {
		var status process.Status
		var n int
		if err := rows.Scan(&status, &n); err != nil {
			return nil, fmt.Errorf("count letters: %w", err)
		}
		count[status] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count letters: %w", err)
	}
	return count, nil
}

// List does what process.Letterbox says.
func (b *Box) List(ctx context.Context, list process.ListLetters) ([]process.Letter, error) {
	if list.Status == "" {
		return b.letters(ctx, "ORDER BY created_at DESC, id DESC LIMIT $1", list.Limit)
	}
	return b.letters(ctx, "WHERE status = $1 ORDER BY created_at DESC, id DESC LIMIT $2", string(list.Status), list.Limit)
}

// Retry does what process.Letterbox says.
func (b *Box) Retry(ctx context.Context, now time.Time, ids ...string) (int, error) {
	const again = `UPDATE letters SET status = 'queued', attempts = 0, first_try = NULL, next_try = $1, updated_at = $1
		WHERE (expires IS NULL OR expires > $1) AND `
	if len(ids) == 0 {
		return b.change(ctx, again+"status = 'failed'", b.at(now))
	}
	total := 0
	for some := range slices.Chunk(ids, atOnce) {
		values, named := []any{b.at(now)}, make([]string, len(some))
		for i, id := range some {
			values, named[i] = append(values, id), fmt.Sprintf("$%d", i+2)
		}
		n, err := b.change(ctx, again+"status IN ('failed', 'abandoned') AND id IN ("+strings.Join(named, ", ")+")", values...)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// Prune does what process.Letterbox says, a few letters at a time, so that nobody waits long for the writing connection.
func (b *Box) Prune(ctx context.Context, before time.Time) (int, error) {
	for total := 0; ; {
		n, err := b.change(ctx, `DELETE FROM letters WHERE id IN (
			SELECT id FROM letters
			WHERE created_at < $1 AND (status IN ('sent', 'abandoned') OR status = 'failed' AND expires < $1) LIMIT $2)`, b.at(before), atOnce)
		if total += n; err != nil || n < atOnce {
			return total, err
		}
	}
}

// change executes a statement and tells how many rows it changed.
func (b *Box) change(ctx context.Context, statement string, values ...any) (int, error) {
	done, err := b.write.ExecContext(ctx, statement, values...)
	if err != nil {
		return 0, fmt.Errorf("change letters: %w", err)
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// letters reads the letters that the end of a SELECT chooses.
func (b *Box) letters(ctx context.Context, which string, values ...any) ([]process.Letter, error) {
	rows, err := b.read.QueryContext(ctx, `SELECT id, stream, revision, kind, channel, status, attempts, first_try, next_try, expires,
		problem, created_at, updated_at FROM letters `+which, values...)
	if err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	defer rows.Close()
	var letters []process.Letter
	for rows.Next() {
		var l process.Letter
		if err := rows.Scan(&l.ID, &l.Stream, &l.Revision, &l.Kind, &l.Channel, &l.Status, &l.Attempts, (*moment)(&l.FirstTry),
			(*moment)(&l.NextTry), (*moment)(&l.Expires), &l.Problem, (*moment)(&l.CreatedAt), (*moment)(&l.UpdatedAt)); err != nil {
			return nil, fmt.Errorf("read letters: %w", err)
		}
		letters = append(letters, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	return letters, nil
}

// orNull is a time that may never be.
func (b *Box) orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return b.at(t)
}

// moment is a time as the databases give it: SQLite in milliseconds, and NULL for the zero time.
type moment time.Time

// Scan is what database/sql asks for.
func (m *moment) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*m = moment{}
	case int64:
		*m = moment(time.UnixMilli(v).UTC())
	case time.Time:
		*m = moment(v.UTC())
	default:
		return fmt.Errorf("a time comes as %T", value)
	}
	return nil
}
