// Package sqlite opens SQLite files the one way Acta uses them: write-ahead log, one writing connection, several
// reading ones. It knows nothing of what the files hold.
package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	driver "modernc.org/sqlite" // also registers "sqlite" with database/sql
	code "modernc.org/sqlite/lib"
)

// Durability says what a committed transaction survives.
type Durability string

// FULL survives loss of power; NORMAL survives the death of the process, and loss of power may take the newest commits.
const (
	Full   Durability = "FULL"
	Normal Durability = "NORMAL"
)

// File is one database file.
type File struct {
	Write *sql.DB // one connection; transactions begin IMMEDIATE, so reading before writing cannot fail with SQLITE_BUSY
	Read  *sql.DB // read-only connections
}

// readers is enough to keep two cores busy; each connection costs about 100 KiB and its page cache.
const readers = 4

// Open opens the file, or makes one that only its owner can read; the folder must be there.
func Open(path string, durability Durability) (File, error) {
	// SQLite would take the umask's permissions. Those of -wal and -shm follow the file's.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return File{}, err
	}
	f.Close()
	write, err := sql.Open("sqlite", dsn(path, url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + string(durability) + ")", "secure_delete(1)", "foreign_keys(1)", "cache_size(-2000)"},
		"_txlock": {"immediate"},
	}))
	if err != nil {
		return File{}, fmt.Errorf("open %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	if err := write.Ping(); err != nil { // makes the file and turns on WAL, which the readers need
		write.Close()
		return File{}, fmt.Errorf("open %s: %w", path, err)
	}
	read, err := openReaders(path)
	if err != nil {
		write.Close()
		return File{}, err
	}
	return File{write, read}, nil
}

// OpenReader opens a file that another process may be writing to. It cannot write: File.Write is nil.
func OpenReader(path string) (File, error) {
	read, err := openReaders(path)
	return File{Read: read}, err
}

func openReaders(path string) (*sql.DB, error) {
	read, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(5000)", "query_only(1)", "cache_size(-2000)"},
	}))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return read, nil
}

func dsn(path string, options url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: options.Encode()}).String()
}

// Close closes the readers, then the writer, which folds the write-ahead log into the file.
func (f File) Close() error {
	err := f.Read.Close()
	if f.Write != nil {
		err = errors.Join(err, f.Write.Close())
	}
	return err
}

// IsFull says that a statement failed because no room was left: nothing was committed, and it may be tried again.
func IsFull(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == code.SQLITE_FULL
}

// IsDamaged says that SQLite itself found the file not to be as it was written.
func IsDamaged(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (e.Code()&0xff == code.SQLITE_CORRUPT || e.Code()&0xff == code.SQLITE_NOTADB)
}
