package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// schemaVersion is written into the file as SQLite's user_version.
const schemaVersion = 1

const schema = `
CREATE TABLE events ( -- every event, in order
	position INTEGER PRIMARY KEY, -- dense, from 1
	stream   TEXT    NOT NULL,
	revision INTEGER NOT NULL,    -- dense, from 0 in each stream; a tombstone has 2^63-1
	id       BLOB    NOT NULL,    -- UUID, 16 bytes
	type     TEXT    NOT NULL,
	data     BLOB    NOT NULL,    -- JSON, unless metadata begin with a zero byte (see package protocol)
	metadata BLOB    NOT NULL,    -- JSON, or whatever other clients store
	recorded INTEGER NOT NULL,    -- microseconds since 1970, UTC
	checksum INTEGER NOT NULL     -- CRC-32C of all of the above
) STRICT;
CREATE UNIQUE INDEX events_by_stream ON events (stream, revision);
CREATE TABLE streams ( -- the newest event of each stream
	stream   TEXT    NOT NULL PRIMARY KEY,
	revision INTEGER NOT NULL,
	position INTEGER NOT NULL,
	checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE head ( -- the newest event of all; one row
	position INTEGER NOT NULL,
	checksum INTEGER NOT NULL
) STRICT;
`

// file is the database of a log that appends.
type file struct {
	*reading          // for everyone
	own      *reading // for the writer alone, so that it never waits for readers
	db       sqlite.File
	writer   *sql.Conn

	begin, insert, point, advance, touch, end, rollback *sql.Stmt
}

func openFile(path string) (_ *file, err error) {
	ctx := context.Background()
	f := &file{}
	if f.db, err = sqlite.Open(path, sqlite.Full); err != nil {
		return nil, damage(path, err)
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.writer, err = f.db.Write.Conn(ctx); err != nil {
		return nil, damage(path, err)
	}
	if err := f.ensureSchema(ctx, path); err != nil {
		return nil, err
	}
	if f.reading, err = prepareReading(ctx, path, f.db.Read); err != nil {
		return nil, err
	}
	if f.own, err = prepareReading(ctx, path, f.writer); err != nil {
		return nil, err
	}
	err = prepare(ctx, path, f.writer, []statement{
		{&f.begin, `BEGIN IMMEDIATE`},
		{&f.insert, `INSERT INTO events (` + recordColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`},
		{&f.point, `INSERT INTO streams (stream, revision, position, checksum) VALUES (?, ?, ?, ?)
			ON CONFLICT (stream) DO UPDATE SET revision = excluded.revision, position = excluded.position, checksum = excluded.checksum`},
		{&f.advance, `UPDATE head SET position = ?, checksum = ?`},
		{&f.touch, `UPDATE head SET position = position`},
		{&f.end, `COMMIT`},
		{&f.rollback, `ROLLBACK`},
	})
	return f, err
}

// ensureSchema makes the tables in a new file, all of them or none.
func (f *file) ensureSchema(ctx context.Context, path string) error {
	version, tables, err := versionOf(ctx, path, f.writer)
	switch {
	case err != nil:
		return err
	case version == schemaVersion:
		return nil
	case tables > 0:
		return fmt.Errorf("%w: %s: tables without a schema version", event.ErrDamaged, path)
	}
	_, err = f.writer.ExecContext(ctx, fmt.Sprintf(`BEGIN IMMEDIATE; %s INSERT INTO head VALUES (0, %d); PRAGMA user_version = %d; COMMIT`,
		schema, headChecksum(0), schemaVersion))
	return err
}

// errNotBegun: the transaction did not begin, so nothing was written.
var errNotBegun = errors.New("the transaction could not begin")

// commit stores events and what witnesses them, durably, in one transaction. What if we crash here: before SQLite has
// written the transaction's last frame whole, none of it was stored; after, all of it; nobody was told of either.
func (f *file) commit(events []event.Recorded) error {
	ctx := context.Background() // a commit under way is not given up
	if _, err := f.begin.ExecContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	err := f.store(ctx, events)
	if err == nil {
		_, err = f.end.ExecContext(ctx)
	}
	if err != nil {
		f.rollback.ExecContext(ctx) // fails when SQLite has rolled back already
	}
	return err
}

func (f *file) store(ctx context.Context, events []event.Recorded) error {
	changed := make(map[string]head, len(events))
	for i := range events {
		e := &events[i]
		if _, err := f.insert.ExecContext(ctx, int64(e.Position.Commit), e.Stream, e.Revision, e.ID[:], e.Type,
			[]byte(e.Data), []byte(e.Metadata), e.Recorded.UnixMicro(), int64(recordChecksum(e))); err != nil {
			return err
		}
		changed[e.Stream] = head{e.Revision, e.Position.Commit}
	}
	for stream, h := range changed {
		if _, err := f.point.ExecContext(ctx, stream, h.revision, int64(h.position), int64(streamChecksum(stream, h))); err != nil {
			return err
		}
	}
	if len(events) == 0 {
		_, err := f.touch.ExecContext(ctx)
		return err
	}
	newest := events[len(events)-1].Position.Commit
	_, err := f.advance.ExecContext(ctx, int64(newest), int64(headChecksum(newest)))
	return err
}

// close ends with SQLite folding its write-ahead log into the file; that takes all statements to be closed before.
func (f *file) close() error {
	statements := []*sql.Stmt{f.begin, f.insert, f.point, f.advance, f.touch, f.end, f.rollback}
	for _, r := range []*reading{f.reading, f.own} {
		if r != nil {
			statements = append(statements, r.log, r.stream, r.forward, r.backward, r.pieces, r.earlier, r.metadata)
		}
	}
	for _, s := range statements {
		if s != nil {
			s.Close()
		}
	}
	if f.writer != nil {
		f.writer.Close()
	}
	return f.db.Close()
}
