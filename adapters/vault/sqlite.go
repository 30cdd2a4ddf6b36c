package vault

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// file is the keys in <dir>/keys.db.
type file struct {
	sqlite.File
	dir string
}

// Rows are appended and never removed, they only shrink, and never to less than a third: SQLite then has no reason to
// move a row to another page, where secure_delete would overwrite the copy it knows and leave the one it moved from.
// That is what the number is for, and why the times are text.
const sqliteSchema = `
CREATE TABLE IF NOT EXISTS master (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	proof BLOB NOT NULL -- nothing at all, sealed by the wrapping key
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
	number    INTEGER PRIMARY KEY,
	subject   TEXT NOT NULL UNIQUE,
	wrapped   BLOB,          -- the subject's key, sealed by the wrapping key; NULL = forgotten
	created   TEXT NOT NULL, -- RFC 3339
	forgotten TEXT,          -- RFC 3339
	CHECK ((wrapped IS NULL) = (forgotten IS NOT NULL))
) STRICT;`

func openFile(dir string) (store, error) {
	path := filepath.Join(dir, "keys.db")
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	f, err := sqlite.Open(path, sqlite.Full)
	if err != nil {
		return nil, err
	}
	return &file{f, dir}, nil
}

// makePrivate makes folder and file for their owner only, before SQLite would make the file for all to read. SQLite
// gives the write-ahead log the mode of the file.
func makePrivate(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(dir, 0o700), syncFolder(filepath.Dir(dir))); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (f *file) prepare(ctx context.Context, proof []byte) (kept []byte, err error) {
	err = f.transaction(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, sqliteSchema); err != nil {
			return err
		}
		const first = `INSERT INTO master SELECT 1, ? WHERE NOT EXISTS (SELECT 1 FROM keys) ON CONFLICT DO NOTHING`
		if _, err := tx.ExecContext(ctx, first, proof); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `SELECT proof FROM master`).Scan(&kept)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// A crash between the two steps of Forget leaves the bytes of a destroyed key in the write-ahead log. Whether they
	// could be cleared just now does not matter: what keeps them there is a process that clears them when it closes.
	if err := f.clear(ctx); err != nil && !errors.Is(err, errRead) {
		return nil, err
	}
	return kept, syncFolder(f.dir) // the names of new files are as durable as what will be written into them
}

func (f *file) read(ctx context.Context, subjects []string, row func(string, []byte, bool) error) error {
	list, err := json.Marshal(subjects)
	if err != nil {
		return err
	}
	// One parameter, however many subjects: nothing to split, and one statement to prepare.
	rows, err := f.Read.QueryContext(ctx, `SELECT subject, wrapped, forgotten IS NOT NULL FROM keys
		WHERE subject IN (SELECT value FROM json_each(?))`, string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	var subject string
	var wrapped sql.RawBytes
	var forgotten bool
	for rows.Next() {
		if err := rows.Scan(&subject, &wrapped, &forgotten); err != nil {
			return err
		}
		if err := row(subject, wrapped, forgotten); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (f *file) insert(ctx context.Context, subjects []string, wrapped [][]byte) error {
	return f.transaction(ctx, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `INSERT INTO keys (subject, wrapped, created) VALUES (?, ?, ?)
			ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		at := now()
		for i, s := range subjects {
			if _, err := stmt.ExecContext(ctx, s, wrapped[i], at); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *file) destroy(ctx context.Context, subject string) error {
	return f.transaction(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO keys (subject, created, forgotten) VALUES (?1, ?2, ?2)
			ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, forgotten = ?2 WHERE forgotten IS NULL`, subject, now())
		return err
	})
}

var errRead = errors.New("the key is destroyed, but another process still reads keys.db-wal")

// clear folds the write-ahead log into the file and cuts it to nothing. The error is errRead when somebody is reading
// from it.
func (f *file) clear(ctx context.Context) error {
	var busy, pages, folded int
	err := f.Write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &folded)
	if err == nil && busy != 0 {
		return errRead
	}
	return err
}

// transaction does all of do, or nothing. With secure_delete SQLite writes zeros over what it no longer needs; it is
// a property of the connection, and the pool may have made a new one since the last time.
func (f *file) transaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := f.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `PRAGMA secure_delete = ON`); err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func (f *file) trouble(err error) error {
	if sqlite.IsDamaged(err) {
		return fmt.Errorf("%w: keys.db: %w", event.ErrDamaged, err)
	}
	return fmt.Errorf("%w: keys.db: %w", event.ErrUnavailable, err)
}

func (f *file) close() error { return f.File.Close() }

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }
