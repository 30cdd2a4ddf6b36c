package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actahq/acta/domain/event"
)

// patience is how long Postgres is waited for, all in all, before it is said to be away.
const patience = 1500 * time.Millisecond

// connections are as many as one instance opens, and one more to listen. Keys that are ready need none.
const connections = 4

// server is the keys in a Postgres database.
type server struct {
	pool      *pgxpool.Pool
	stop      context.CancelFunc // listening
	listening chan struct{}      // closed when it has stopped
}

const postgresSchema = `
CREATE TABLE IF NOT EXISTS vault_master (
	id    smallint PRIMARY KEY CHECK (id = 1),
	proof bytea NOT NULL -- nothing at all, sealed by the wrapping key
);
CREATE TABLE IF NOT EXISTS vault_keys (
	subject   text COLLATE "C" PRIMARY KEY,
	wrapped   bytea, -- the subject's key, sealed by the wrapping key; NULL = forgotten
	created   timestamptz NOT NULL DEFAULT now(),
	forgotten timestamptz,
	CHECK ((wrapped IS NULL) = (forgotten IS NOT NULL))
);`

// openServer connects when the first statement asks for it.
func openServer(dsn string, ready *cache) (store, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err // pgx leaves out the password
	}
	config.MaxConns = connections
	// Keys are seldom read, so we can afford to notice here that Postgres was restarted, and not by an error. There is time
	// for a new connection when one is dead.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	config.PingTimeout = patience / 3
	config.ConnConfig.ConnectTimeout = patience
	settings := config.ConnConfig.RuntimeParams
	if settings["application_name"] == "" {
		settings["application_name"] = "acta keys"
	}
	settings["synchronous_commit"] = "on" // whatever the database's default: a key must not be lost that sealed something
	settings["default_transaction_isolation"] = "read committed"
	settings["statement_timeout"] = fmt.Sprint(patience.Milliseconds()) // for statements whose client has given up
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &server{pool, stop, make(chan struct{})}
	ready.shared = true
	go s.listen(ctx, ready)
	return s, nil
}

func (s *server) prepare(ctx context.Context, proof []byte) (kept []byte, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// IF NOT EXISTS is not enough when two instances start at once.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('acta vault', 0))`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, postgresSchema); err != nil {
			return err
		}
		const first = `INSERT INTO vault_master SELECT 1, $1 WHERE NOT EXISTS (SELECT FROM vault_keys) ON CONFLICT DO NOTHING`
		if _, err := tx.Exec(ctx, first, proof); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `SELECT proof FROM vault_master`).Scan(&kept)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return kept, err
}

func (s *server) read(ctx context.Context, subjects []string, row func(string, []byte, bool) error) error {
	// An error of Query comes again from the rows.
	rows, _ := s.pool.Query(ctx, `SELECT subject, wrapped, forgotten IS NOT NULL FROM vault_keys WHERE subject = ANY($1)`, subjects)
	var subject string
	var wrapped []byte
	var forgotten bool
	_, err := pgx.ForEachRow(rows, []any{&subject, &wrapped, &forgotten}, func() error { return row(subject, wrapped, forgotten) })
	return err
}

// In order, lest two instances wait for each other.
func (s *server) insert(ctx context.Context, subjects []string, wrapped [][]byte) error {
	_, err := s.pool.Exec(ctx, `INSERT INTO vault_keys (subject, wrapped)
		SELECT subject, wrapped FROM unnest($1::text[], $2::bytea[]) AS new (subject, wrapped) ORDER BY subject COLLATE "C"
		ON CONFLICT DO NOTHING`, subjects, wrapped)
	return err
}

// The others are told in the same transaction, and also when asked again: who asks again may have lost the answer.
func (s *server) destroy(ctx context.Context, subject string) error {
	_, err := s.pool.Exec(ctx, `WITH mark AS (
			INSERT INTO vault_keys AS k (subject, forgotten) VALUES ($1, now())
			ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, forgotten = now() WHERE k.forgotten IS NULL)
		SELECT pg_notify('`+channel+`', $1)`, subject)
	return err
}

// clear does nothing: Postgres does not overwrite. OpenPostgres tells what stays.
func (s *server) clear(context.Context) error { return nil }

func (s *server) trouble(err error) error {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && (answer.Code == "XX001" || answer.Code == "XX002") { // data or index corrupted
		return fmt.Errorf("%w: the keys in Postgres: %w", event.ErrDamaged, err)
	}
	return fmt.Errorf("%w: the keys in Postgres: %w", event.ErrUnavailable, err)
}

func (s *server) close() error {
	s.stop()
	<-s.listening
	s.pool.Close()
	return nil
}
