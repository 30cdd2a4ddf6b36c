package projections

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/actahq/acta/domain/event"
)

// atOnce is how many rows one statement reads or writes.
const atOnce = 500

// table is the rows of one read model and the checkpoint that belongs to them.
type table[Row keyed] struct {
	name string
}

// load gives the rows that are there.
func (t table[Row]) load(ctx context.Context, db bun.IDB, keys []Key) (map[Key]*Row, error) {
	there := make(map[Key]*Row, len(keys))
	for some := range slices.Chunk(keys, atOnce) {
		var rows []*Row
		err := db.NewSelect().Model(&rows).ModelTableExpr("? AS ?TableAlias", bun.Ident(t.name)).
			Where("(project, id) IN (VALUES ?)", bun.List(some)).Scan(ctx)
		if err != nil {
			return nil, fmt.Errorf("load rows of %s: %w", t.name, err)
		}
		for _, row := range rows {
			there[(*row).key()] = row
		}
	}
	return there, nil
}

// copier is what a transaction of Postgres can besides: its protocol for many rows is several times as fast as
// statements are.
type copier interface {
	Copy(ctx context.Context, table string, columns []string, rows [][]any) error
}

// copyFrom is how many new rows are worth it.
const copyFrom = 20

// add writes rows that are not there.
func (t table[Row]) add(ctx context.Context, tx bun.IDB, rows []*Row) error {
	c, ok := tx.(copier)
	if !ok || len(rows) < copyFrom {
		return t.store(ctx, tx, rows)
	}
	columns, values, err := columnar(tx.Dialect(), rows)
	if err != nil {
		return fmt.Errorf("add rows to %s: %w", t.name, err)
	}
	if err := c.Copy(ctx, t.name, columns, values); err != nil {
		return fmt.Errorf("add rows to %s: %w", t.name, err)
	}
	return nil
}

// columnar gives the columns of a table and the values that bun would write to them: what is not a column's type by
// itself is JSON.
func columnar[Row any](dialect schema.Dialect, rows []*Row) (columns []string, values [][]any, err error) {
	fields := dialect.Tables().Get(reflect.TypeFor[Row]()).Fields
	for _, f := range fields {
		columns = append(columns, f.Name)
	}
	for _, row := range rows {
		line := make([]any, len(fields))
		for i, f := range fields {
			switch value := f.Value(reflect.ValueOf(row).Elem()); v := value.Interface().(type) {
			case json.RawMessage:
				line[i] = string(v)
			case []string:
				text, err := json.Marshal(v)
				if err != nil {
					return nil, nil, err
				}
				line[i] = string(text)
			default:
				if !f.NullZero || !f.HasZeroValue(reflect.ValueOf(row).Elem()) {
					line[i] = v
				}
			}
		}
		values = append(values, line)
	}
	return columns, values, nil
}

// store writes rows, new ones and changed ones. No two may have the same key.
func (t table[Row]) store(ctx context.Context, tx bun.IDB, rows []*Row) error {
	for some := range slices.Chunk(rows, atOnce) {
		_, err := tx.NewInsert().Model(&some).ModelTableExpr("? AS ?TableAlias", bun.Ident(t.name)).
			On("CONFLICT (project, id) DO UPDATE").
			Returning("NULL"). // bun would read back what it wrote as NULL
			Exec(ctx)
		if err != nil {
			return fmt.Errorf("store rows of %s: %w", t.name, err)
		}
	}
	return nil
}

// last is the table that the last rebuild took out of use.
func (t table[Row]) last() table[Row] { return table[Row]{t.name + "_last"} }

// remove removes rows; those that are not there do not matter. They go from the table before the last rebuild too:
// nothing else would, and whoever is forgotten must be forgotten there.
func (t table[Row]) remove(ctx context.Context, tx bun.IDB, keys []Key) error {
	if len(keys) == 0 {
		return nil
	}
	from := []string{t.name}
	switch _, err := t.last().checkpoint(ctx, tx); {
	case err == nil:
		from = append(from, t.last().name)
	case !errors.Is(err, errNoCheckpoint):
		return err
	}
	for some := range slices.Chunk(keys, atOnce) {
		for _, name := range from {
			_, err := tx.NewDelete().TableExpr("?", bun.Ident(name)).Where("(project, id) IN (VALUES ?)", bun.List(some)).Exec(ctx)
			if err != nil {
				return fmt.Errorf("remove rows of %s: %w", name, err)
			}
		}
	}
	return nil
}

// errMoved: the checkpoint is not where this projector left it. Another one moved it, or the table was rebuilt.
var errMoved = errors.New("the checkpoint was moved by somebody else")

// errNoCheckpoint: there is no such table, or it is not ours. It is not a beginning: rows without a checkpoint would be
// folded a second time.
var errNoCheckpoint = errors.New("has no checkpoint")

// checkpoint gives the position up to which every event is in the rows.
func (t table[Row]) checkpoint(ctx context.Context, db bun.IDB) (event.Position, error) {
	return checkpoint(ctx, db, t.name)
}

func checkpoint(ctx context.Context, db bun.IDB, name string) (event.Position, error) {
	var text string
	err := db.NewRaw("SELECT position FROM checkpoints WHERE name = ?", name).Scan(ctx, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return event.Position{}, fmt.Errorf("%s %w", name, errNoCheckpoint)
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("read the checkpoint of %s: %w", name, err)
	}
	return event.ParsePosition(text)
}

// move moves the checkpoint if it is where it was left. It is a transaction's first statement, so that whoever comes
// second waits here, and then sees that he is second.
func (t table[Row]) move(ctx context.Context, tx bun.IDB, from, to event.Position) error {
	done, err := tx.NewRaw("UPDATE checkpoints SET position = ? WHERE name = ? AND position = ?", to.String(), t.name, from.String()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move the checkpoint of %s: %w", t.name, err)
	}
	switch n, err := done.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("move the checkpoint of %s: %w", t.name, err)
	case n == 0:
		return errMoved
	}
	return nil
}
