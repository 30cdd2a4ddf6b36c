package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/uptrace/bun"

	"github.com/actahq/acta/adapters/database/postgrestest"
)

func openPostgres(t *testing.T, dsn string) *Postgres {
	t.Helper()
	p, err := OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// instances opens one database several times, as programs do that share it.
func instances(t *testing.T, n int) []*Postgres {
	t.Helper()
	dsn := postgrestest.Database(t)
	all := make([]*Postgres, n)
	for i := range all {
		all[i] = openPostgres(t, fmt.Sprintf("%s&application_name=instance-%d", dsn, i))
	}
	if err := all[0].Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return all
}

func execute(t *testing.T, db *bun.DB, statement string, arguments ...any) {
	t.Helper()
	if _, err := db.NewRaw(statement, arguments...).Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func column[T any](t *testing.T, db *bun.DB, query string, arguments ...any) []T {
	t.Helper()
	var all []T
	if err := db.NewRaw(query, arguments...).Scan(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// shape is the tables and columns of a Postgres database, with what differs from each other in a column.
func shape(t *testing.T, p *Postgres) []string {
	t.Helper()
	return column[string](t, p.Read(), `
		SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(collation_name, '')
		FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1`)
}

func TestBothDialectsHaveTheSameTablesAndColumns(t *testing.T) {
	lite, post := migrated(t), instances(t, 1)[0]
	want := column[string](t, lite.Read(), `
		SELECT t.name || '.' || c.name || CASE WHEN c."notnull" OR c.pk THEN '' ELSE ' NULL' END
		FROM sqlite_master AS t, pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE 'migrations%' ORDER BY 1`)
	got := column[string](t, post.Read(), `
		SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'YES' THEN ' NULL' ELSE '' END
		FROM information_schema.columns
		WHERE table_schema = 'public' AND table_name NOT LIKE 'migrations%' AND table_name NOT IN ('leases', 'processes', 'letters', 'set_aside') ORDER BY 1`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-sqlite +postgres):\n%s", diff)
	}
	keys := column[string](t, post.Read(), `
		SELECT DISTINCT a.attname || ' ' || c.collname FROM pg_index AS i
		JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) JOIN pg_collation AS c ON c.oid = a.attcollation
		WHERE i.indrelid IN ('accounts'::regclass, 'sessions'::regclass) ORDER BY 1`)
	if diff := cmp.Diff([]string{"account_id C", "id C", "project C", "secret_hash C"}, keys); diff != "" {
		t.Errorf("SQLite compares keys byte by byte (-want +got):\n%s", diff)
	}
}

func TestPostgresIsMigratedOnceByManyAtOnce(t *testing.T) {
	dsn := postgrestest.Database(t)
	var migrating sync.WaitGroup
	for range 8 {
		p := openPostgres(t, dsn)
		migrating.Go(func() {
			if err := p.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	migrating.Wait()
	p := openPostgres(t, dsn)
	if err := p.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"0001", "0002", "0003", "0004", "0005", "0006"}, column[string](t, p.Read(), "SELECT name FROM ? ORDER BY id", bun.Ident(applied))); diff != "" {
		t.Errorf("noted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"accounts", "identities", "sessions"}, column[string](t, p.Read(), "SELECT name FROM checkpoints ORDER BY 1")); diff != "" {
		t.Errorf("checkpoints (-want +got):\n%s", diff)
	}
}

func TestPostgresMigrationThatIsInterruptedIsMadeLater(t *testing.T) {
	p := openPostgres(t, postgrestest.Database(t))
	execute(t, p.Write(), "CREATE TABLE sessions (in_the_way int)")
	if err := p.Migrate(t.Context()); err == nil {
		t.Fatal("it did not meet the table")
	}
	if diff := cmp.Diff([]string{"sessions.in_the_way integer YES "}, column[string](t, p.Read(), `
		SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'migrations%'`)); diff != "" {
		t.Errorf("half of it stayed (-want +got):\n%s", diff)
	}
	execute(t, p.Write(), "DROP TABLE sessions")
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shape(t, instances(t, 1)[0]), shape(t, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNewerPostgresIsRefused(t *testing.T) {
	p := instances(t, 1)[0]
	execute(t, p.Write(), "INSERT INTO ? (name, group_id) VALUES ('9999', 7)", bun.Ident(applied))
	if err := p.Migrate(t.Context()); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), "9999") {
		t.Errorf("got %v", err)
	}
}

func TestPostgresReadCannotWrite(t *testing.T) {
	p := instances(t, 1)[0]
	if _, err := p.Read().NewRaw("DELETE FROM checkpoints").Exec(t.Context()); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("got %v", err)
	}
}

func TestPasswordIsInNoError(t *testing.T) {
	for _, dsn := range []string{"postgres://acta:hunter2@127.0.0.1:1/acta?sslmode=disable", "postgres://acta:hunter2@127.0.0.1:no/acta"} {
		_, err := OpenPostgres(t.Context(), dsn)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func TestPostgresCloneHasTheShapeAndTheIndexes(t *testing.T) {
	p := instances(t, 1)[0]
	execute(t, p.Write(), "CREATE TABLE things (a text COLLATE \"C\" NOT NULL DEFAULT 'x', b int, PRIMARY KEY (a)); CREATE UNIQUE INDEX things_by_b ON things (b) WHERE b > 0")
	indexes := func(table string) []string {
		return column[string](t, p.Read(), `SELECT regexp_replace(indexdef, '(INDEX|ON) \S+', '\1', 'g') FROM pg_indexes WHERE tablename = ? ORDER BY 1`, table)
	}
	columns := func(table string) []string {
		return column[string](t, p.Read(), `SELECT column_name || data_type || is_nullable || coalesce(column_default, '') || coalesce(collation_name, '')
			FROM information_schema.columns WHERE table_name = ? ORDER BY ordinal_position`, table)
	}
	wantColumns, wantIndexes := columns("things"), indexes("things")
	for range 3 { // the swap leaves the names of indexes behind
		err := p.Update(t.Context(), func(ctx context.Context, tx bun.IDB) error { return p.Clone(ctx, tx, "things", "things_next") })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantColumns, columns("things_next")); diff != "" {
			t.Errorf("columns (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantIndexes, indexes("things_next")); diff != "" {
			t.Errorf("indexes (-want +got):\n%s", diff)
		}
		execute(t, p.Write(), "DROP TABLE IF EXISTS things_last; ALTER TABLE things RENAME TO things_last; ALTER TABLE things_next RENAME TO things")
	}
	err := p.Update(t.Context(), func(ctx context.Context, tx bun.IDB) error { return p.Clone(ctx, tx, "nothing", "nothing_next") })
	if err == nil {
		t.Error("what is not there was cloned")
	}
}

func TestPostgresLockIsHeldByOne(t *testing.T) {
	all := instances(t, 2)
	orphan, err := all[0].Lock(t.Context(), "rebuild")
	if err != nil {
		t.Fatal(err)
	}
	defer orphan()
	for _, p := range all {
		if _, err := p.Lock(t.Context(), "rebuild"); !errors.Is(err, ErrLocked) {
			t.Errorf("held: %v", err)
		}
	}
	other, err := all[1].Lock(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	if err := other(); err != nil {
		t.Error(err)
	}
	kill(t, all[1], "instance-0") // its holder dies
	for {
		unlock, err := all[1].Lock(t.Context(), "rebuild")
		if errors.Is(err, ErrLocked) {
			continue // it is not dead yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := unlock(); err != nil {
			t.Error(err)
		}
		return
	}
}

// kill ends an instance's connections.
func kill(t *testing.T, p *Postgres, instance string) {
	t.Helper()
	column[bool](t, p.Write(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE ? AND datname = current_database()", instance+"%")
}

func TestStatementsThatTakeTooLongAreEnded(t *testing.T) {
	dsn := postgrestest.Database(t)
	p := openPostgres(t, dsn)
	if got := column[string](t, p.Read(), "SHOW statement_timeout"); got[0] != "5s" {
		t.Errorf("statements may take %s", got[0])
	}
	hasty := openPostgres(t, dsn+"&statement_timeout=50ms")
	_, err := hasty.Read().NewRaw("SELECT pg_sleep(60)").Exec(t.Context())
	if !hasty.Away(err) {
		t.Errorf("got %v", err)
	}
	if err := hasty.Migrate(t.Context()); err != nil { // which takes the time it takes
		t.Error(err)
	}
}

func TestWhoHoldsALockWithoutDoingAnythingIsEnded(t *testing.T) {
	all := instances(t, 2)
	held := all[0].Update(t.Context(), func(ctx context.Context, tx bun.IDB) error {
		if _, err := tx.NewRaw("UPDATE checkpoints SET position = '1/1'").Exec(ctx); err != nil {
			return err
		}
		execute(t, all[1].Write(), "UPDATE checkpoints SET position = '2/2'") // waits until the server ends the other one
		return nil
	})
	if !all[0].Away(held) {
		t.Errorf("the one who stood still: %v", held)
	}
	if diff := cmp.Diff([]string{"2/2", "2/2", "2/2"}, column[string](t, all[0].Read(), "SELECT position FROM checkpoints")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatCountsAsAway(t *testing.T) {
	p := new(Postgres)
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for name, c := range map[string]struct {
		err  error
		away bool
	}{
		"nothing":               {nil, false},
		"no such row":           {sql.ErrNoRows, false},
		"a wrong statement":     {&pgconn.PgError{Code: "42601"}, false},
		"a doubled key":         {&pgconn.PgError{Code: "23505"}, false},
		"lost":                  {ErrLost, false},
		"the caller went away":  {context.Canceled, false},
		"the caller's time":     {late.Err(), true},
		"shutting down":         {&pgconn.PgError{Code: "57P01"}, true},
		"starting up":           {&pgconn.PgError{Code: "57P03"}, true},
		"too slow":              {&pgconn.PgError{Code: "57014"}, true},
		"too many":              {&pgconn.PgError{Code: "53300"}, true},
		"no room":               {&pgconn.PgError{Code: "53100"}, true},
		"locked for too long":   {&pgconn.PgError{Code: "55P03"}, true},
		"deadlock":              {&pgconn.PgError{Code: "40P01"}, true},
		"stood still":           {&pgconn.PgError{Code: "25P03"}, true},
		"a standby":             {&pgconn.PgError{Code: "25006"}, true},
		"not listening":         {&net.OpError{Op: "dial", Err: errors.New("connection refused")}, true},
		"hung up":               {io.ErrUnexpectedEOF, true},
		"hung up, said so":      {&pgconn.ConnectError{}, true},
		"a connection was gone": {sql.ErrConnDone, true},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := p.Away(err); got != c.away {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPreparedOnReadIsPreparedInTheServer(t *testing.T) {
	p := instances(t, 1)[0]
	s, err := p.Read().Prepare("SELECT position FROM checkpoints WHERE name = $1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p.Read().SetMaxOpenConns(1)
	for range 3 {
		var at string
		if err := s.QueryRowContext(t.Context(), "accounts").Scan(&at); err != nil || at != "0/0" {
			t.Fatal(at, err)
		}
	}
	if n := column[int](t, p.Read(), "SELECT generic_plans + custom_plans FROM pg_prepared_statements"); len(n) != 1 || n[0] != 3 {
		t.Errorf("prepared and used: %v", n)
	}
}

func TestCopyIsPartOfTheTransaction(t *testing.T) {
	p := instances(t, 1)[0]
	mistake := errors.New("a mistake")
	for _, end := range []error{mistake, nil} {
		err := p.Update(t.Context(), func(ctx context.Context, tx bun.IDB) error {
			rows := [][]any{{"a", "1/1"}, {"b", "2/2"}}
			if err := tx.(update).Copy(ctx, "processes", []string{"name", "position"}, rows); err != nil {
				return err
			}
			return end
		})
		if !errors.Is(err, end) {
			t.Fatal(err)
		}
		want := 2
		if end != nil {
			want = 0
		}
		if n := column[int](t, p.Read(), "SELECT count(*) FROM processes"); n[0] != want {
			t.Errorf("after %v there are %d rows", end, n[0])
		}
	}
}

func TestListenHearsWhatIsCommittedInItsOrder(t *testing.T) {
	all := instances(t, 2)
	var heard []string
	done := errors.New("all was heard")
	err := all[0].Listen(t.Context(), func(told string) error {
		switch told {
		case "":
			if len(heard) == 0 {
				execute(t, all[1].Write(), "BEGIN; UPDATE checkpoints SET position = '6/6' WHERE name = 'accounts'; ROLLBACK")
				execute(t, all[1].Write(), "UPDATE checkpoints SET position = '7/6' WHERE name = 'accounts'")
				execute(t, all[1].Write(), "UPDATE checkpoints SET position = '8/8' WHERE name = 'sessions'")
			}
		default:
			heard = append(heard, told)
		}
		if len(heard) == 2 {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"accounts 7/6", "sessions 8/8"}, heard); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListenEndsWithItsConnection(t *testing.T) {
	all := instances(t, 2)
	err := all[0].Listen(t.Context(), func(string) error {
		kill(t, all[1], "instance-0")
		return nil
	})
	if !all[0].Away(err) {
		t.Errorf("got %v", err)
	}
}

func TestListenAsksWhenItIsQuiet(t *testing.T) {
	p := instances(t, 1)[0]
	enough := errors.New("it asked")
	began, times := time.Now(), 0
	err := p.Listen(t.Context(), func(told string) error {
		if times++; times == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || time.Since(began) > 10*quiet {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// A connection to nowhere: what is sent to it is lost, as when a machine is gone.
func TestServerThatDoesNotAnswerIsNoticed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	config, began := fmt.Sprintf("postgres://acta@%s/acta?sslmode=disable", l.Addr()), time.Now()
	_, err = OpenPostgres(t.Context(), config)
	if _, timely := errors.AsType[*pgconn.ConnectError](err); !timely || time.Since(began) > 3*connectWithin {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if p := (&Postgres{config: &pgx.ConnConfig{}}); !p.Away(err) {
		t.Errorf("it is not away: %v", err)
	}
}
