package database

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/migrate"

	"github.com/actahq/acta/migrations"
)

// applied is the table that names the migrations that were made.
const applied = "migrations"

// Migrate gives the tables today's shape; where they have it, it does nothing. The errors are ErrNewer when the file
// was migrated further than this program knows, and ErrDamaged.
func (d *DB) Migrate(ctx context.Context) error {
	var files migrate.Migrations
	if err := files.Discover(migrations.SQLite); err != nil {
		return fmt.Errorf("migrate the read models: %w", err)
	}
	m := migrate.NewMigrator(d.write, &files,
		migrate.WithTableName(applied),
		migrate.WithLocksTableName(applied+"_lock"), // made by bun, never used: the writing transaction is the lock
		migrate.WithMarkAppliedOnSuccess(true),
		migrate.WithUpsert(true),
		migrate.AfterMigration(d.mark))
	if err := m.Init(ctx); err != nil {
		return fmt.Errorf("migrate the read models: %w", told(err))
	}
	switch unknown, err := m.MissingMigrations(ctx); {
	case err != nil:
		return fmt.Errorf("migrate the read models: %w", told(err))
	case len(unknown) > 0:
		return fmt.Errorf("migrate the read models: %w (it knows migration %s)", ErrNewer, unknown[0].Name)
	}
	if _, err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate the read models: %w", told(err))
	}
	return nil
}

// mark notes a migration inside of its own transaction. What if we crash here: bun notes it only after the commit, and
// a crash in between would make the next start apply it again, which fails for ever. bun's own note then changes nothing.
func (d *DB) mark(ctx context.Context, tx bun.IConn, m *migrate.Migration) error {
	note := *m // bun writes the row's id into what it inserts
	_, err := d.write.NewInsert().Conn(tx).Model(&note).ModelTableExpr(applied).Exec(ctx)
	return err
}
