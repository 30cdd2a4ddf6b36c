package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

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

// store writes rows, new ones and changed ones. No two may have the same key.
func (t table[Row]) store(ctx context.Context, tx bun.Tx, rows []*Row) error {
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

// remove removes rows; those that are not there do not matter.
func (t table[Row]) remove(ctx context.Context, tx bun.Tx, keys []Key) error {
	for some := range slices.Chunk(keys, atOnce) {
		_, err := tx.NewDelete().TableExpr("?", bun.Ident(t.name)).Where("(project, id) IN (VALUES ?)", bun.List(some)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("remove rows of %s: %w", t.name, err)
		}
	}
	return nil
}

// errMoved: the checkpoint is not where this projector left it. Another one moved it, or the table was rebuilt.
var errMoved = errors.New("the checkpoint was moved by somebody else")

// checkpoint gives the position up to which every event is in the rows.
func (t table[Row]) checkpoint(ctx context.Context, db bun.IDB) (event.Position, error) {
	var text string
	err := db.NewRaw("SELECT position FROM checkpoints WHERE name = ?", t.name).Scan(ctx, &text)
	if errors.Is(err, sql.ErrNoRows) {
		// Not a beginning: rows without a checkpoint would be folded a second time.
		return event.Position{}, fmt.Errorf("%s has no checkpoint", t.name)
	}
	if err != nil {
		return event.Position{}, fmt.Errorf("read the checkpoint of %s: %w", t.name, err)
	}
	return event.ParsePosition(text)
}

// move moves the checkpoint if it is where it was left. It is a transaction's first statement, so that whoever comes
// second waits here, and then sees that he is second.
func (t table[Row]) move(ctx context.Context, tx bun.Tx, from, to event.Position) error {
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
