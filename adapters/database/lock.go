package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// ErrLocked: somebody else holds the lock.
var ErrLocked = errors.New("is already going on")

// Lock takes a named lock among all who have this database open, in this process and in others, without waiting.
// The kernel gives it free when the process dies, however it dies. The error is ErrLocked when somebody else has it.
func (d *DB) Lock(_ context.Context, name string) (unlock func() error, err error) {
	f, err := os.OpenFile(d.path+"."+name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// The file stays when the lock is given up: removing it would let two holders each lock a file of its own.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s %w", name, ErrLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return f.Close, nil
}

// Lock takes a named lock among all instances, without waiting. It is held by a connection of its own: Postgres gives it
// free when that ends, with the process or with its machine. The error is ErrLocked when somebody else has it.
func (p *Postgres) Lock(ctx context.Context, name string) (unlock func() error, err error) {
	conn, err := pgx.ConnectConfig(ctx, p.config)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	var ours bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended('acta ' || $1, 0))", name).Scan(&ours)
	switch {
	case err != nil:
		hangUp(conn)
		return nil, fmt.Errorf("lock %s: %w", name, err)
	case !ours:
		hangUp(conn)
		return nil, fmt.Errorf("%s %w", name, ErrLocked)
	}
	return func() error { hangUp(conn); return nil }, nil
}
