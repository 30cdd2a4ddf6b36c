// Package database is the place of the read models: SQLite under bun. It opens the file, migrates it, and keeps what
// differs between databases (cloning a table, locks) in one package. It does not know what a row means.
//
// The file is disposable. It holds nothing that the log does not tell again, so it runs with sqlite.Normal, and the
// answer to a file that is damaged is to remove it.
package database

import (
	"errors"
	"fmt"
	"os"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/actahq/acta/adapters/sqlite"
)

// What is wrong with a file that cannot be used.
var (
	// ErrDamaged: the file is not what was written. Remove it; the next start fills a new one from the log.
	ErrDamaged = errors.New("the read models' file is damaged; remove it and they are built again from the log")
	// ErrNewer: the file was migrated by a newer Acta. Start that one, or remove the file.
	ErrNewer = errors.New("the read models' file belongs to a newer version; use that version, or remove the file and the read models are built again from the log")
)

// DB is an open file. It may be used by several goroutines, and the file by several processes.
type DB struct {
	path        string
	write, read *bun.DB
}

// Open opens the file, or makes an empty one that only its owner can read. The folder must be there. The error is
// ErrDamaged when the file is no database.
func Open(path string) (*DB, error) {
	// SQLite would make the file with the umask's permissions; those of -wal and -shm follow the file's.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the read models: %w", err)
	}
	f.Close()
	file, err := sqlite.Open(path, sqlite.Normal)
	if err != nil {
		return nil, told(err)
	}
	return &DB{path, bun.NewDB(file.Write, sqlitedialect.New()), bun.NewDB(file.Read, sqlitedialect.New())}, nil
}

// Write is the one connection that writes. Its transactions begin IMMEDIATE: what they read stays so until they end.
// The *sql.DB below it is the field DB.
func (d *DB) Write() *bun.DB { return d.write }

// Read is the connections that cannot write. They see what was committed when their statement began.
func (d *DB) Read() *bun.DB { return d.read }

// Close closes the file. Statements that run are waited for.
func (d *DB) Close() error { return sqlite.File{Write: d.write.DB, Read: d.read.DB}.Close() }

// told puts the way out before SQLite's own words.
func told(err error) error {
	if sqlite.IsDamaged(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
