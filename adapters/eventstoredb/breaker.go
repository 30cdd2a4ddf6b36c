package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/actahq/acta/domain/event"
)

// tripAfter is how many failures in a row open the breaker.
const tripAfter = 5

// newBreaker makes the breaker in front of appends and reads, so that nobody queues for a log that does not answer.
// Only failures of the log count. An answer that we do not like, such as a conflict, proves that the log is well; a
// caller who left proves nothing, one whose deadline passed was not answered in time.
func newBreaker(refusal time.Duration) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "event log",
		Timeout:      refusal,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return !errors.Is(err, event.ErrUnavailable) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			slog.Warn("the breaker of the event log has changed", "from", from.String(), "to", to.String())
		},
	})
}

// throughBreaker makes a call unless the breaker is open; half open it lets one pass.
func throughBreaker(b *gobreaker.CircuitBreaker[struct{}], call func() error) error {
	_, err := b.Execute(func() (struct{}, error) { return struct{}{}, call() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
	return err
}

// Breaker gives the state of the breaker in front of appends and reads, for health and metrics: "closed" (calls pass),
// "open" (they get event.ErrUnavailable at once), "half-open" (one is let through to see).
func (l *Log) Breaker() string { return l.breaker.State().String() }
