package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// reading reads the file and believes nothing: what it gives back was compared with its checksum, and a piece of the
// log or of a stream is whole or an error.
type reading struct {
	path string

	log, stream, forward, backward, pieces, earlier, metadata *sql.Stmt
}

func prepareReading(ctx context.Context, path string, on preparer) (*reading, error) {
	r := &reading{path: path}
	return r, prepare(ctx, path, on, []statement{
		{&r.log, `SELECT position, checksum, (SELECT coalesce(max(position), 0) FROM events) FROM head`},
		// One statement sees one moment, so a stream that is being begun cannot look like one that lost its row.
		{&r.stream, `SELECT s.revision, s.position, s.checksum, EXISTS (SELECT 1 FROM events WHERE stream = ?1)
			FROM (SELECT 1) LEFT JOIN streams s ON s.stream = ?1`},
		{&r.forward, `SELECT ` + recordColumns + ` FROM events WHERE stream = ? AND revision BETWEEN ? AND ? ORDER BY revision`},
		{&r.backward, `SELECT ` + recordColumns + ` FROM events WHERE stream = ? AND revision BETWEEN ? AND ? ORDER BY revision DESC`},
		{&r.pieces, `SELECT ` + recordColumns + ` FROM events WHERE position BETWEEN ? AND ? ORDER BY position`},
		{&r.earlier, `SELECT ` + recordColumns + ` FROM events WHERE position BETWEEN ? AND ? ORDER BY position DESC`},
		// Names that begin with $$ stand between these two; each table is a witness for the other.
		{&r.metadata, `SELECT EXISTS (SELECT 1 FROM streams WHERE stream >= '$$' AND stream < '$%')
			OR EXISTS (SELECT 1 FROM events WHERE stream >= '$$' AND stream < '$%')`},
	})
}

// statement is a text to be prepared and where it goes.
type statement struct {
	to   **sql.Stmt
	text string
}

// preparer is a connection, or all those of a pool.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func prepare(ctx context.Context, path string, on preparer, statements []statement) (err error) {
	for _, s := range statements {
		if *s.to, err = on.PrepareContext(ctx, s.text); err != nil {
			return damage(path, err)
		}
	}
	return nil
}

// versionOf gives the version of the schema, 0 when the file is new, and how many tables and indexes there are.
func versionOf(ctx context.Context, path string, on queryer) (version, tables int, err error) {
	err = on.QueryRowContext(ctx, `SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)`).Scan(&version, &tables)
	switch {
	case err != nil:
		return 0, 0, damage(path, err)
	case version < 0 || version > schemaVersion:
		return 0, 0, fmt.Errorf("%s has schema version %d; this program knows up to %d", path, version, schemaVersion)
	}
	return version, tables, nil
}

type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// head gives the position of the newest event, 0 when there is none.
func (r *reading) head(ctx context.Context) (uint64, error) {
	var columns [3]any
	if err := r.log.QueryRowContext(ctx).Scan(&columns[0], &columns[1], &columns[2]); err != nil {
		return 0, r.failure(ctx, err)
	}
	position, ok1 := columns[0].(int64)
	sum, ok2 := columns[1].(int64)
	newest, ok3 := columns[2].(int64)
	if !ok1 || !ok2 || !ok3 || position != newest || sum != int64(headChecksum(uint64(position))) {
		return 0, r.damaged("the log ends at position %d, but its head is %v", newest, columns[0])
	}
	return uint64(position), nil
}

// streamHead gives the newest event of a stream, noHead when it has none.
func (r *reading) streamHead(ctx context.Context, stream string) (head, error) {
	var columns [3]any
	var begun bool
	if err := r.stream.QueryRowContext(ctx, stream).Scan(&columns[0], &columns[1], &columns[2], &begun); err != nil {
		return noHead, r.failure(ctx, err)
	}
	if columns == [3]any{} && !begun {
		return noHead, nil
	}
	revision, ok1 := columns[0].(int64)
	position, ok2 := columns[1].(int64)
	sum, ok3 := columns[2].(int64)
	h := head{revision, uint64(position)}
	if !ok1 || !ok2 || !ok3 || !begun || sum != int64(streamChecksum(stream, h)) {
		return noHead, r.damaged("the row that tells the head of a stream, at position %v, is missing or is not what was written", columns[1])
	}
	return h, nil
}

// streamEvents gives the events of a stream with oldest <= revision <= newest. The caller knows that all exist.
func (r *reading) streamEvents(ctx context.Context, stream string, oldest, newest int64, dir event.Direction) ([]event.Recorded, error) {
	return r.streamPage(ctx, stream, oldest, newest, dir, math.MaxInt)
}

// streamPage is streamEvents that ends early when the events read so far take the given bytes.
func (r *reading) streamPage(ctx context.Context, stream string, oldest, newest int64, dir event.Direction, bytes int) ([]event.Recorded, error) {
	stmt, next, step := r.forward, oldest, int64(1)
	if dir == event.Backward {
		stmt, next, step = r.backward, newest, -1
	}
	return r.collect(ctx, stmt, int(newest-oldest+1), bytes, func(e *event.Recorded) bool {
		expected := e.Stream == stream && e.Revision == next
		next += step
		return expected
	}, stream, oldest, newest)
}

// between gives the events with after < position <= upTo, fewer when they would take more than maxStretchBytes. The
// caller knows that all exist.
func (r *reading) between(ctx context.Context, after, upTo uint64) ([]event.Recorded, error) {
	next := after
	return r.collect(ctx, r.pieces, int(upTo-after), maxStretchBytes, func(e *event.Recorded) bool {
		next++
		return e.Position.Commit == next
	}, int64(after+1), int64(upTo))
}

// before gives the same events as between, newest first.
func (r *reading) before(ctx context.Context, after, upTo uint64) ([]event.Recorded, error) {
	next := upTo + 1
	return r.collect(ctx, r.earlier, int(upTo-after), maxStretchBytes, func(e *event.Recorded) bool {
		next--
		return e.Position.Commit == next
	}, int64(after+1), int64(upTo))
}

// collect gives exactly n events, each of them the expected one; fewer when they take the given bytes.
func (r *reading) collect(ctx context.Context, stmt *sql.Stmt, n, bytes int, expected func(*event.Recorded) bool, args ...any) ([]event.Recorded, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, r.failure(ctx, err)
	}
	defer rows.Close()
	events := make([]event.Recorded, 0, n)
	for rows.Next() {
		e, err := scanRecord(rows)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, r.damaged("position %d: %w", e.Position.Commit, err)
		case len(events) == n || !expected(&e):
			return nil, r.damaged("position %d stands where another event was expected", e.Position.Commit)
		}
		events = append(events, e)
		if bytes -= weight(&e); bytes <= 0 {
			return events, nil
		}
	}
	if err := rows.Err(); err != nil {
		return nil, r.failure(ctx, err)
	}
	if len(events) < n {
		var last uint64
		if len(events) > 0 {
			last = events[len(events)-1].Position.Commit
		}
		return nil, r.damaged("%d of %d events are missing behind position %d", n-len(events), n, last)
	}
	return events, nil
}

// admitted gives the events with after < position <= upTo that the filter admits, and how far it got.
func (r *reading) admitted(ctx context.Context, after, upTo uint64, only event.Filter) ([]event.Recorded, uint64, error) {
	events, err := r.between(ctx, after, upTo)
	if err != nil {
		return nil, 0, err
	}
	upTo = after + uint64(len(events))
	return slices.DeleteFunc(events, func(e event.Recorded) bool { return !only.Admits(e.Stream) }), upTo, nil
}

func (r *reading) damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", event.ErrDamaged, r.path, fmt.Errorf(format, args...))
}

// failure is what a caller is told of an error of the database.
func (r *reading) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return damage(r.path, err)
}

// damage tells damage from a file that could not be read now.
func damage(path string, err error) error {
	if sqlite.IsDamaged(err) || errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: %s: %w", event.ErrDamaged, path, err)
	}
	return fmt.Errorf("%w: %s: %w", event.ErrUnavailable, path, err)
}

// readStream answers Read from a stream's readable part: with it, which events must exist is known before they are
// read. It ends early when the events read so far take the given bytes.
func (r *reading) readStream(ctx context.Context, stream string, there span, from int64, dir event.Direction, limit, bytes int) ([]event.Recorded, error) {
	if limit < 1 {
		return nil, fmt.Errorf("read %q: the limit is %d", stream, limit)
	}
	oldest, newest := max(from, there.first), there.last
	if dir == event.Backward {
		oldest, newest = there.first, min(from, there.last)
	}
	if oldest > newest {
		return nil, nil
	}
	if reach := int64(min(limit, math.MaxInt32)) - 1; dir == event.Backward {
		oldest = max(oldest, newest-reach)
	} else {
		newest = min(newest, oldest+reach)
	}
	return r.streamPage(ctx, stream, oldest, newest, dir, bytes)
}
