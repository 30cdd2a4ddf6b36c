package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is where the trigger of the table checkpoints speaks.
const channel = "acta_checkpoint"

// quiet is how long nothing may be said before we ask whether anybody is there.
const quiet = time.Second

// Shared says no: one process does everything.
func (d *DB) Shared() bool { return false }

// Shared says that instances read what others write.
func (p *Postgres) Shared() bool { return true }

// Listen hears nothing, as there is nobody else, until the context ends.
func (d *DB) Listen(ctx context.Context, _ func(told string) error) error {
	<-ctx.Done()
	return ctx.Err()
}

// Listen hears of checkpoints in the order in which they are committed: "<name> <position>". It begins with an empty
// text, and gives one again whenever nothing was said for a second: what was committed before may be read now, what is
// committed later will be told. It ends with an error when the connection is lost, hear fails or the context ends.
func (p *Postgres) Listen(ctx context.Context, hear func(told string) error) error {
	conn, err := pgx.ConnectConfig(ctx, with(p.config, "application_name", p.config.RuntimeParams["application_name"]+" listening"))
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	for told := ""; ; {
		if err := hear(told); err != nil {
			return err
		}
		if told, err = next(ctx, conn); err != nil {
			return err
		}
	}
}

// next gives the next notification, or an empty text if there was none and the server answers.
func next(ctx context.Context, conn *pgx.Conn) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		return n.Payload, nil
	case ctx.Err() != nil:
		return "", ctx.Err()
	case waiting.Err() == nil:
		return "", err
	}
	asking, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	return "", conn.Ping(asking)
}

// hangUp closes a connection that may not answer.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), quiet)
	defer cancel()
	_ = conn.Close(ctx) // the server notices, one way or the other
}
