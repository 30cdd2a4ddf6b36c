package database

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database/postgrestest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { postgrestest.Stop(); os.Exit(code) }))
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func migrated(t *testing.T) *DB {
	t.Helper()
	db := open(t, filepath.Join(t.TempDir(), "readmodels.db"))
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// schema is the DDL of all that was made on request, in the order of the names.
func schema(t *testing.T, db *DB, like string) []string {
	t.Helper()
	var ddl []string
	err := db.Read().NewRaw("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name LIKE ? ORDER BY name", like).Scan(t.Context(), &ddl)
	if err != nil {
		t.Fatal(err)
	}
	return ddl
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "readmodels.db")
	db := open(t, path)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + "-wal"} {
		f, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, f.Mode())
		}
	}
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(garbage); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), garbage) {
		t.Errorf("garbage: %v", err)
	}

	half := filepath.Join(dir, "half.db")
	db := open(t, half)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(half)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(content); i++ { // all but the first page
		content[i] = 0xff
	}
	if err := os.WriteFile(half, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, half).Migrate(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged pages: %v", err)
	}

	if _, err := Open(filepath.Join(dir, "no", "folder.db")); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("no folder: %v", err)
	}
}

func TestMigrateAgainChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "readmodels.db")
	var first []string
	for i := range 3 {
		db := open(t, path)
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = schema(t, db, "%")
		}
		if diff := cmp.Diff(first, schema(t, db, "%")); diff != "" {
			t.Errorf("(-first +now):\n%s", diff)
		}
		if n, err := db.Read().NewSelect().Table(applied).Count(t.Context()); n != 3 || err != nil {
			t.Errorf("%d migrations are noted, %v", n, err)
		}
	}
}

// dies ends the process before the n-th statement.
type dies struct{ before int }

func (d *dies) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context {
	if d.before--; d.before > 0 {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (d *dies) AfterQuery(context.Context, *bun.QueryEvent) {}

func TestMigrationThatIsInterruptedAnywhereIsMadeLater(t *testing.T) {
	want := schema(t, migrated(t), "%")
	for n, survived := 1, false; !survived; n++ {
		path := filepath.Join(t.TempDir(), "readmodels.db")
		db := open(t, path)
		//lint:ignore SA1019 the database is open when the test comes to it
		db.Write().AddQueryHook(&dies{n})
		survived = db.Migrate(t.Context()) == nil
		again := open(t, path)
		if err := again.Migrate(t.Context()); err != nil {
			t.Fatalf("after a crash at statement %d: %v", n, err)
		}
		if diff := cmp.Diff(want, schema(t, again, "%")); diff != "" {
			t.Errorf("after a crash at statement %d (-want +got):\n%s", n, diff)
		}
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	db := migrated(t)
	if _, err := db.Write().NewRaw("INSERT INTO ? (name, group_id) VALUES ('9999', 7)", bun.Ident(applied)).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context()); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "9999") {
		t.Errorf("got %v", err)
	}
}

func TestReadCannotWrite(t *testing.T) {
	if _, err := migrated(t).Read().NewRaw("DELETE FROM checkpoints").Exec(t.Context()); err == nil {
		t.Error("it did")
	}
}

func TestCloneHasTheShapeAndTheIndexes(t *testing.T) {
	db := migrated(t)
	write := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := db.Write().NewRaw(s).Exec(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	clone := func(table, as string) error {
		return db.Write().RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error { return db.Clone(ctx, tx, table, as) })
	}
	write("CREATE TABLE things (a TEXT NOT NULL DEFAULT '?(x)', b INT, PRIMARY KEY (a)) WITHOUT ROWID",
		"CREATE UNIQUE INDEX things_by_b ON things (b) WHERE b > 0",
		"CREATE INDEX things_by_both ON things (b, a DESC)")
	if err := clone("things", "things_next"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`CREATE INDEX "things_by_both_2" ON "things_next" (b, a DESC)`,
		`CREATE TABLE "things_next" (a TEXT NOT NULL DEFAULT '?(x)', b INT, PRIMARY KEY (a)) WITHOUT ROWID`,
		`CREATE UNIQUE INDEX "things_by_b_2" ON "things_next" (b) WHERE b > 0`,
	}
	got := append(append(schema(t, db, "things_by_both_2"), schema(t, db, "things_next")...), schema(t, db, "things_by_b_2")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// As after a swap: the names are taken by the old ones, and a renamed table's DDL is quoted.
	write("ALTER TABLE things RENAME TO things_last", "ALTER TABLE things_next RENAME TO things")
	if err := clone("things", "things_next"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`CREATE UNIQUE INDEX "things_by_b_3" ON "things_next" (b) WHERE b > 0`}, schema(t, db, "things_by_b_3")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := clone("nothing", "nothing_next"); err == nil {
		t.Error("what is not there was cloned")
	}
}

func TestLockIsHeldByOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "readmodels.db")
	one, two := open(t, path), open(t, path)
	unlock, err := one.Lock(t.Context(), "rebuild")
	if err != nil {
		t.Fatal(err)
	}
	for _, db := range []*DB{one, two} {
		if _, err := db.Lock(t.Context(), "rebuild"); !errors.Is(err, ErrLocked) {
			t.Errorf("held: %v", err)
		}
	}
	other, err := two.Lock(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range []func() error{other, unlock} {
		if err := u(); err != nil {
			t.Error(err)
		}
	}
	again, err := two.Lock(t.Context(), "rebuild")
	if err != nil {
		t.Fatal(err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}
