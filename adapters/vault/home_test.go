package vault

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/actahq/acta/adapters/database/postgrestest"
)

// home is where vaults keep their keys.
type home interface {
	open(master []byte) (*Vault, error)
	// killed is what a killed process would leave there.
	killed(t testing.TB) home
	// stored is everything that is there.
	stored(t testing.TB) []byte
}

// onBoth runs a test in a new place of either kind.
func onBoth(t *testing.T, test func(t *testing.T, in home)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, folder(t.TempDir())) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, instance{postgrestest.Database(t)}) })
}

var master = bytes.Repeat([]byte{7}, 32)

// start opens a vault until the test ends.
func start(t testing.TB, in home) *Vault {
	t.Helper()
	v := must[*Vault](t)(in.open(master))
	t.Cleanup(func() { v.Close() })
	return v
}

type folder string

func (f folder) open(master []byte) (*Vault, error) { return Open(string(f), master) }

func (f folder) killed(t testing.TB) home {
	t.Helper()
	left := t.TempDir()
	for _, name := range []string{"keys.db", "keys.db-wal"} {
		if err := os.WriteFile(filepath.Join(left, name), must[[]byte](t)(os.ReadFile(filepath.Join(string(f), name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder(left)
}

func (f folder) stored(t testing.TB) []byte {
	t.Helper()
	var all []byte
	for _, name := range must[[]string](t)(filepath.Glob(filepath.Join(string(f), "keys.db*"))) {
		all = append(all, must[[]byte](t)(os.ReadFile(name))...)
	}
	return all
}

// instance is one of those that share a database.
type instance struct{ dsn string }

func (i instance) open(master []byte) (*Vault, error) {
	return OpenPostgres(context.Background(), i.dsn, master)
}

func (i instance) killed(testing.TB) home { return i } // what was not committed nobody sees

func (i instance) stored(t testing.TB) []byte {
	t.Helper()
	ctx := t.Context()
	conn := must[*pgx.Conn](t)(pgx.Connect(ctx, i.dsn))
	defer conn.Close(ctx)
	var all bytes.Buffer
	for _, table := range []string{"vault_master", "vault_keys"} {
		if _, err := conn.PgConn().CopyTo(ctx, &all, "COPY "+table+" TO STDOUT"); err != nil {
			t.Fatal(err)
		}
	}
	return all.Bytes()
}

// The vaults below are of either kind; in statements, the tables are called as in keys.db.

func execute(t testing.TB, v *Vault, statement string) {
	t.Helper()
	var err error
	switch s := v.store.(type) {
	case *file:
		_, err = s.Write.Exec(statement)
	case *server:
		_, err = s.pool.Exec(t.Context(), inPostgres(statement))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func query[T any](t testing.TB, v *Vault, statement string) (value T) {
	t.Helper()
	var err error
	switch s := v.store.(type) {
	case *file:
		err = s.Read.QueryRow(statement).Scan(&value)
	case *server:
		err = s.pool.QueryRow(t.Context(), inPostgres(statement)).Scan(&value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wrapped(t testing.TB, v *Vault, subject string) []byte {
	t.Helper()
	return query[[]byte](t, v, `SELECT wrapped FROM keys WHERE subject = '`+subject+`'`)
}

func inPostgres(statement string) string {
	return strings.NewReplacer(" keys", " vault_keys", " master", " vault_master", " x''", ` '\x'`).Replace(statement)
}

// hold keeps the vault from making keys until release is called.
func hold(t testing.TB, v *Vault) (release func()) {
	t.Helper()
	if s, ok := v.store.(*server); ok {
		tx := must[pgx.Tx](t)(s.pool.Begin(t.Context()))
		if _, err := tx.Exec(t.Context(), "LOCK TABLE vault_keys IN SHARE MODE"); err != nil {
			t.Fatal(err)
		}
		return func() { tx.Rollback(t.Context()) }
	}
	tx := must[interface{ Rollback() error }](t)(v.store.(*file).Write.Begin())
	return func() { tx.Rollback() }
}
