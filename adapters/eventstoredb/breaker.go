package eventstoredb

import (
	"errors"
	"fmt"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/domain/event"
)

// newBreaker makes the breaker in front of appends and reads, so that nobody queues for a log that does not answer.
// Only failures of the log count. An answer that we do not like, such as a conflict, proves that the log is well.
func newBreaker(refusal time.Duration) breaker.Breaker {
	return breaker.New(breaker.Settings{
		Of:   "the event log",
		Rest: refusal,
		Well: func(err error) bool { return !errors.Is(err, event.ErrUnavailable) },
	})
}

// through makes a call unless the breaker is open.
func (l *Log) through(call func() error) error {
	err := l.breaker.Through(call)
	if errors.Is(err, breaker.ErrResting) {
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	return err
}

// Breaker gives the state of the breaker in front of appends and reads.
func (l *Log) Breaker() string { return l.breaker.State() }
