package oauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// tripAfter is how many failures in a row open the breaker.
	tripAfter = 5
	// rest is how long a provider that has failed is left alone before one is let through to see.
	rest = 10 * time.Second
)

// newBreaker makes the breaker in front of a provider, so that requests do not queue for one that is down. A code that is
// refused proves that the provider is well; a caller who left proves nothing, one whose deadline passed was not answered in
// time.
func newBreaker(provider string, told func(state string)) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:        provider,
		Timeout:     rest,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsSuccessful: func(err error) bool {
			failure, ok := errors.AsType[*Failure](err)
			return err == nil || ok && failure.well
		},
		IsExcluded: func(err error) bool {
			failure, ok := errors.AsType[*Failure](err)
			return errors.Is(err, context.Canceled) || ok && failure.moot
		},
		OnStateChange: func(provider string, from, to gobreaker.State) {
			slog.Warn("the breaker of a sign-in provider has changed", "provider", provider, "from", from.String(), "to", to.String())
			if told != nil {
				told(to.String())
			}
		},
	})
}

// through asks the provider unless the breaker is open; half open it lets one pass. All that the request takes together has
// ten seconds.
func (p *Provider) through(ctx context.Context, ask func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := p.breaker.Execute(func() (struct{}, error) {
		within, cancel := context.WithTimeout(ctx, p.patience)
		defer cancel()
		return struct{}{}, p.late(ctx, within, ask(within))
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return ErrResting
	}
	return err
}

// late tells a caller who left, or whose own deadline has passed, from an answer that took too long. What is no Failure
// may quote an answer or a URL and ends here.
func (p *Provider) late(caller, within context.Context, err error) error {
	failure, ok := errors.AsType[*Failure](err)
	switch {
	case err == nil:
		return nil
	case caller.Err() != nil:
		return caller.Err()
	case within.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		return failed(fmt.Sprintf("no answer within %s", p.patience))
	case ok:
		return failure
	}
	return unreadable(0, "it cannot be read")
}

// State gives the state of the breaker in front of the provider, for health and metrics: "closed" (it is asked), "open"
// (callers get ErrResting at once), "half-open" (one is let through to see).
func (p *Provider) State() string { return p.breaker.State().String() }
