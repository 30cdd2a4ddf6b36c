// Package database is the place of the read models: SQLite (DB) or Postgres under bun. It opens them, migrates them, and
// keeps what differs between the two in one package, each difference in one file: cloning a table, locks, leases,
// listening to other instances. It does not know what a row means.
//
// SQLite's file is disposable. It holds nothing that the log does not tell again, so it runs with sqlite.Normal, and the
// answer to a file that is damaged is to remove it.
package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/sqlitedialect"

	"github.com/actahq/acta/adapters/sqlite"
)

// What is wrong with a file or a database that cannot be used.
var (
	// ErrDamaged: the file is not what was written. Remove it; the next start fills a new one from the log.
	ErrDamaged = errors.New("the read models' file is damaged; remove it and they are built again from the log")
	// ErrNewer: the tables were migrated by a newer Acta. Start that one, or remove them.
	ErrNewer = errors.New("the read models belong to a newer version; use that version, or remove them and they are built again from the log")
)

// DB is an open file. It may be used by several goroutines, and the file by several processes.
type DB struct {
	path        string
	write, read *bun.DB
}

// Open opens the file, or makes an empty one that only its owner can read. The folder must be there. The error is
// ErrDamaged when the file is no database.
func Open(path string) (*DB, error) {
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

// Update runs a transaction that changes rows.
func (d *DB) Update(ctx context.Context, do func(context.Context, bun.IDB) error) error {
	return d.write.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error { return do(ctx, tx) })
}

// Away says no: a file does not go away.
func (d *DB) Away(error) bool { return false }

// Close closes the file. Statements that run are waited for.
func (d *DB) Close() error { return sqlite.File{Write: d.write.DB, Read: d.read.DB}.Close() }

// told puts the way out before SQLite's own words.
func told(err error) error {
	if sqlite.IsDamaged(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
