package database

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/migrate"

	"github.com/actahq/acta/migrations"
)

// applied is the table that names the migrations that were made.
const applied = "migrations"

// Migrate gives the tables today's shape; where they have it, it does nothing. The errors are ErrNewer when the file
// was migrated further than this program knows, and ErrDamaged.
func (d *DB) Migrate(ctx context.Context) error {
	return told(upToDate(ctx, d.write, migrations.SQLite)) // the writing transaction is the lock
}

// migrating is the lock under which Postgres is migrated: "acta" in ASCII.
const migrating = 0x61637461

// Migrate gives the tables today's shape; where they have it, it does nothing. Of several at once, one migrates and the
// others wait for it. The errors are ErrNewer when the database was migrated further than this program knows, and
// those that are Away; then it may be tried again.
func (p *Postgres) Migrate(ctx context.Context) error {
	// A migration takes the time it takes, and so does waiting for somebody else's.
	config := with(with(with(p.config, "statement_timeout", "0"), "lock_timeout", "0"), "idle_in_transaction_session_timeout", "0")
	// There is one connection, and it takes the lock before it does anything else. What if it is lost in between: so is
	// the lock, and the connection that is made in its place waits for the lock again.
	db := bun.NewDB(pool(config, 1, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrating)
		return err
	})), pgdialect.New())
	defer db.Close()
	return upToDate(ctx, db, migrations.Postgres)
}

// upToDate makes the migrations that were not made yet. Nobody else may do so at the same time.
func upToDate(ctx context.Context, db *bun.DB, all fs.FS) error {
	var files migrate.Migrations
	if err := files.Discover(all); err != nil {
		return fmt.Errorf("migrate the read models: %w", err)
	}
	m := migrate.NewMigrator(db, &files,
		migrate.WithTableName(applied),
		migrate.WithLocksTableName(applied+"_lock"), // made by bun, never used: a row stays locked when its owner dies
		migrate.WithMarkAppliedOnSuccess(true),
		migrate.WithUpsert(true),
		migrate.AfterMigration(func(ctx context.Context, tx bun.IConn, m *migrate.Migration) error { return mark(ctx, db, tx, m) }))
	if err := m.Init(ctx); err != nil {
		return fmt.Errorf("migrate the read models: %w", err)
	}
	switch unknown, err := m.MissingMigrations(ctx); {
	case err != nil:
		return fmt.Errorf("migrate the read models: %w", err)
	case len(unknown) > 0:
		return fmt.Errorf("migrate the read models: %w (it knows migration %s)", ErrNewer, unknown[0].Name)
	}
	if _, err := m.Migrate(ctx); err != nil {
		return fmt.Errorf("migrate the read models: %w", err)
	}
	return nil
}

// mark notes a migration inside of its own transaction. What if we crash here: bun notes it only after the commit, and
// a crash in between would make the next start apply it again, which fails for ever. bun's own note then changes nothing.
func mark(ctx context.Context, db *bun.DB, tx bun.IConn, m *migrate.Migration) error {
	note := *m // bun writes the row's id into what it inserts
	_, err := db.NewInsert().Conn(tx).Model(&note).ModelTableExpr(applied).Exec(ctx)
	return err
}
