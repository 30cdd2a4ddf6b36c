package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// Postgres is the read models in a Postgres database, which any number of instances share. It may be used by several
// goroutines. What it loses it connects to again; meanwhile statements fail with errors that are Away.
type Postgres struct {
	config      *pgx.ConnConfig
	write, read *bun.DB
	holder      string // who we are, for people who look at leases
	needs       needs
}

// An instance opens at most these, and one connection each for listening and for a rebuild. Four instances fit into the
// 100 connections that Postgres has by default.
const (
	writers = 6  // projectors, leases and processes
	readers = 16 // requests
)

// How long a server that says nothing is waited for.
const (
	connectWithin = 1500 * time.Millisecond
	connectionAge = 30 * time.Minute // then it is made anew, so that a server behind the same name gets its share
)

// settings are those of each connection, where the DSN does not say otherwise.
var settings = map[string]string{
	"application_name":  "acta",
	"timezone":          "UTC",
	"statement_timeout": "5s", // what takes longer is a mistake, or a server that is no help now
	"lock_timeout":      "2s",
	// A holder of a lease that is paused in the middle of a transaction must not hold up its successor.
	"idle_in_transaction_session_timeout": "1s",
	// A client whose machine is gone gives its locks free in 8 seconds instead of 2 hours.
	"tcp_keepalives_idle":     "5",
	"tcp_keepalives_interval": "1",
	"tcp_keepalives_count":    "3",
}

// OpenPostgres connects to a database: postgres://user:password@host:port/database, with the parameters of libpq and
// of the server. It wants sessions of its own; of a pooler in between, only session pooling will do. The error is Away
// when the server cannot be reached, and never holds the password.
func OpenPostgres(ctx context.Context, dsn string) (*Postgres, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("open the read models: %w", err)
	}
	config.ConnectTimeout = connectWithin
	config.DialFunc = (&net.Dialer{
		Timeout:         connectWithin,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: time.Second, Count: 3},
	}).DialContext
	// bun writes arguments into the text of its queries; preparing each of those would be a round trip for nothing.
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for name, value := range settings {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	host, _ := os.Hostname()
	p := &Postgres{
		config: config,
		write:  bun.NewDB(pool(config, writers), pgdialect.New()),
		read:   bun.NewDB(pool(with(config, "default_transaction_read_only", "on"), readers), pgdialect.New()),
		holder: fmt.Sprintf("%s, process %d", host, os.Getpid()),
	}
	if err := p.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the read models: %w", err), p.Close())
	}
	return p, nil
}

// with gives the same configuration with one setting changed.
func with(config *pgx.ConnConfig, name, value string) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams[name] = value
	return config
}

func pool(config *pgx.ConnConfig, size int, options ...stdlib.OptionOpenDB) *sql.DB {
	db := stdlib.OpenDB(*config, options...)
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxLifetime(connectionAge)
	return db
}

// Write is the connections that write.
func (p *Postgres) Write() *bun.DB { return p.write }

// Read is the connections that cannot write. They see what was committed when their statement began. What is prepared
// on them is prepared in the server, once per connection.
func (p *Postgres) Read() *bun.DB { return p.read }

// Close closes all connections. Statements that run are waited for. A server that is away is not missed.
func (p *Postgres) Close() error {
	read, write := p.read.Close(), p.write.Close()
	if p.Away(read) {
		read = nil
	}
	if p.Away(write) {
		write = nil
	}
	return errors.Join(read, write)
}

// Update runs a transaction that changes rows. Under a context of Hold it fails with ErrLost, and changes nothing, once
// the lease is another's. Beside the statements of bun, its tx has a Copy.
func (p *Postgres) Update(ctx context.Context, do func(context.Context, bun.IDB) error) error {
	conn, err := p.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.RunInTx(ctx, nil, func(ctx context.Context, tx bun.Tx) error {
		if err := fence(ctx, tx); err != nil {
			return err
		}
		return do(ctx, update{tx, conn})
	})
}

// update is a transaction and the connection it is on.
type update struct {
	bun.Tx
	conn bun.Conn
}

// Copy adds rows that are not there yet, by the protocol that Postgres has for many.
func (u update) Copy(ctx context.Context, table string, columns []string, rows [][]any) error {
	return u.conn.Raw(func(conn any) error {
		_, err := conn.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
}

// awayClasses are the classes of SQLSTATE with which a server says: not now. See appendix A of Postgres' manual.
var awayClasses = []string{
	"08", // connection exception
	"40", // transaction rollback: deadlock, serialization
	"53", // insufficient resources: connections, memory, disk
	"55", // not in the state that is needed: a lock was not given in time
	"57", // operator intervention: shutting down, starting up, a statement took too long
	"58", // system error
}

// awayStates are single ones: a transaction that was idle for too long, and a server that has become a standby.
var awayStates = []string{"25P03", "25006"}

// Away says that an error is not about the statement: the server cannot be reached, or cannot do it now. Whether a
// transaction was committed is unknown. The end of a context's time counts, its cancelling does not.
func (p *Postgres) Away(err error) bool {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		return slices.Contains(awayStates, answer.Code) || slices.ContainsFunc(awayClasses, func(class string) bool {
			return strings.HasPrefix(answer.Code, class)
		})
	}
	if errors.Is(err, context.Canceled) {
		return false
	}
	_, network := errors.AsType[net.Error](err) // also the end of a context's time
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || pgconn.SafeToRetry(err) || slices.ContainsFunc(gone, func(e error) bool { return errors.Is(err, e) })
}

// gone is what is left of a connection.
var gone = []error{io.EOF, io.ErrUnexpectedEOF, driver.ErrBadConn, sql.ErrConnDone, net.ErrClosed}
