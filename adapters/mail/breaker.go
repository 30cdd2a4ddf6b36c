package mail

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// tripAfter is how many failures in a row open the breaker.
const tripAfter = 5

// newBreaker makes the breaker in front of the server, so that letters do not queue for one that is down or does not
// know us any more. An answer about one letter proves that the server is well; a caller who left, or whose turn did not
// come, proves nothing; one whose deadline passed was not answered in time.
func newBreaker(rest time.Duration) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "mail",
		Timeout:      rest,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, ErrRefused) || errors.Is(err, errLater) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errNoTurn) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			slog.Warn("the breaker of mail has changed", "from", from.String(), "to", to.String())
		},
	})
}

// throughBreaker makes a try unless the breaker is open; half open it lets one pass.
func throughBreaker(b *gobreaker.CircuitBreaker[struct{}], try func() error) error {
	_, err := b.Execute(func() (struct{}, error) { return struct{}{}, try() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrResting
	}
	return err
}

// State gives the state of the breaker in front of the server, for health and metrics: "closed" (letters are tried),
// "open" (they get ErrResting at once), "half-open" (one is tried to see).
func (m *Mailer) State() string { return m.breaker.State().String() }
