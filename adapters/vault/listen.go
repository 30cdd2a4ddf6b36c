package vault

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// channel is where the subject is said that was just forgotten.
const channel = "acta_forgotten"

// An answer to a question asked on the connection that listens comes after all that was said before the question was
// asked. So it makes the cache trustworthy for the moment of the question, and we trust it for a second more: that is how
// long a key may still be used that another instance has destroyed.
const (
	trusted  = time.Second
	askEvery = 300 * time.Millisecond // three chances to be answered in time
)

// listen removes from the cache what other instances forget, until the context ends. Without a connection nobody trusts
// the cache, and keys are read from the table each time.
func (s *server) listen(ctx context.Context, ready *cache) {
	defer close(s.listening)
	for ctx.Err() == nil {
		_ = s.hear(ctx, ready) // those who read keys will say why there is no connection
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
		}
	}
}

// hear listens on one connection until it is lost, or the context ends.
func (s *server) hear(ctx context.Context, ready *cache) error {
	config := s.pool.Config().ConnConfig
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { ready.remove(n.Payload) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	defer ready.trust(time.Time{})
	asked, err := ask(ctx, conn, "LISTEN "+channel)
	ready.empty() // what was said before, we may have missed
	for ; err == nil; asked, err = ask(ctx, conn, "SELECT") {
		ready.trust(asked.Add(trusted))
		if err := wait(ctx, conn); err != nil {
			return err
		}
	}
	return err
}

// ask has a statement executed. While it waits for the answer, it hears.
func ask(ctx context.Context, conn *pgx.Conn, statement string) (asked time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, trusted)
	defer cancel()
	asked = time.Now()
	_, err = conn.Exec(ctx, statement)
	return asked, err
}

// wait hears until it is time to ask again.
func wait(ctx context.Context, conn *pgx.Conn) error {
	quiet, cancel := context.WithTimeout(ctx, askEvery)
	defer cancel()
	var err error
	for err == nil {
		err = conn.PgConn().WaitForNotification(quiet)
	}
	if quiet.Err() != nil && ctx.Err() == nil && !conn.IsClosed() {
		return nil
	}
	return err
}

// hangUp closes a connection that may not answer.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), askEvery)
	defer cancel()
	_ = conn.Close(ctx) // the server notices, one way or the other
}
