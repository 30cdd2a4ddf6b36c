package database

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/uptrace/bun"
)

// Clone makes an empty table of the same shape, with the same indexes, inside of a transaction. Indexes keep their
// names when a table is renamed and no two may be equal, so the clone's are numbered: sessions_by_account,
// sessions_by_account_2, ...
func (d *DB) Clone(ctx context.Context, tx bun.IDB, table, as string) error {
	var made []struct {
		Type, Name, SQL string
	}
	// What SQLite makes by itself (a primary key's index) has no SQL and comes with the table.
	err := tx.NewRaw("SELECT type, name, sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC, name", table).Scan(ctx, &made)
	if err != nil {
		return fmt.Errorf("clone %s: %w", table, err)
	}
	if len(made) == 0 {
		return fmt.Errorf("clone %s: there is no such table", table)
	}
	for _, m := range made { // the table, then its indexes
		before, columns, _ := strings.Cut(m.SQL, "(")
		statement, args := "CREATE TABLE ? (?", []any{bun.Ident(as)}
		if m.Type == "index" {
			name, err := freeIndexName(ctx, tx, m.Name)
			if err != nil {
				return fmt.Errorf("clone %s: %w", table, err)
			}
			statement, args = "CREATE "+uniqueness(before)+"INDEX ? ON ? (?", []any{bun.Ident(name), bun.Ident(as)}
		}
		if _, err := tx.NewRaw(statement, append(args, bun.Safe(columns))...).Exec(ctx); err != nil {
			return fmt.Errorf("clone %s: %w", table, err)
		}
	}
	return nil
}

func uniqueness(statement string) string {
	if strings.HasPrefix(statement, "CREATE UNIQUE ") {
		return "UNIQUE "
	}
	return ""
}

var numbered = regexp.MustCompile(`_[0-9]+$`)

func freeIndexName(ctx context.Context, tx bun.IDB, taken string) (string, error) {
	base := numbered.ReplaceAllString(taken, "")
	for n := 2; ; n++ {
		name := fmt.Sprintf("%s_%d", base, n)
		var there bool
		err := tx.NewRaw("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?)", name).Scan(ctx, &there)
		if err != nil || !there {
			return name, err
		}
	}
}

// Clone makes an empty table of the same shape, with the same indexes, inside of a transaction. Postgres finds the
// indexes names of their own.
func (p *Postgres) Clone(ctx context.Context, tx bun.IDB, table, as string) error {
	if _, err := tx.NewRaw("CREATE TABLE ? (LIKE ? INCLUDING ALL)", bun.Ident(as), bun.Ident(table)).Exec(ctx); err != nil {
		return fmt.Errorf("clone %s: %w", table, err)
	}
	return nil
}
