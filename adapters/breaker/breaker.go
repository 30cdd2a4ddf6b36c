// Package breaker stands in front of what others do for Acta, so that nobody queues for one that is down.
package breaker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

// TripAfter is how many failures in a row open a breaker.
const TripAfter = 5

// ErrResting: what stands behind the breaker has failed several times in a row and is left alone for a while. Nothing was
// tried.
var ErrResting = errors.New("given a rest after failures in a row")

// Settings say what a breaker stands in front of.
type Settings struct {
	Of      string             // what it is, for the log
	Rest    time.Duration      // how long it is left alone before one try is let through to see
	Well    func(error) bool   // the error proves that it is well, as an answer does that is only not liked
	Moot    func(error) bool   // the error proves nothing, as that of a caller who has left never does; nil = no other
	Changed func(state string) // is told of each change; nil = nobody is
}

// Breaker is safe for concurrent use.
type Breaker struct {
	breaker *gobreaker.CircuitBreaker[struct{}]
}

// New makes a breaker that is closed. Whatever is neither well nor moot is a failure, also a deadline that has passed: it
// was not answered in time.
func New(s Settings) Breaker {
	return Breaker{gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         s.Of,
		Timeout:      s.Rest,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= TripAfter },
		IsSuccessful: func(err error) bool { return err == nil || s.Well(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) || s.Moot != nil && s.Moot(err) },
		OnStateChange: func(of string, from, to gobreaker.State) {
			slog.Warn("a breaker has changed", "of", of, "from", from.String(), "to", to.String())
			if s.Changed != nil {
				s.Changed(to.String())
			}
		},
	})}
}

// Through makes a try and gives its error, or ErrResting while the breaker is open.
func (b Breaker) Through(try func() error) error {
	_, err := b.breaker.Execute(func() (struct{}, error) { return struct{}{}, try() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrResting
	}
	return err
}

// State is "closed" (tries are made), "open" (callers get ErrResting at once) or "half-open" (one is made to see), for
// health and metrics.
func (b Breaker) State() string { return b.breaker.State().String() }
