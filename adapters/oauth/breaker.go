package oauth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/actahq/acta/adapters/breaker"
)

// rest is how long a provider that has failed is left alone before one is let through to see.
const rest = 10 * time.Second

// newBreaker makes the breaker in front of a provider, so that requests do not queue for one that is down. A code that is
// refused proves that the provider is well.
func newBreaker(provider string, told func(state string)) breaker.Breaker {
	return breaker.New(breaker.Settings{
		Of:   "sign-ins by " + provider,
		Rest: rest,
		Well: func(err error) bool {
			failure, ok := errors.AsType[*Failure](err)
			return ok && failure.well
		},
		Moot: func(err error) bool {
			failure, ok := errors.AsType[*Failure](err)
			return ok && failure.moot
		},
		Changed: told,
	})
}

// through asks the provider unless the breaker is open; half open it lets one pass. All that the request takes together has
// ten seconds.
func (p *Provider) through(ctx context.Context, ask func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.breaker.Through(func() error {
		within, cancel := context.WithTimeout(ctx, p.patience)
		defer cancel()
		return p.late(ctx, within, ask(within))
	})
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

// State gives the state of the breaker in front of the provider.
func (p *Provider) State() string { return p.breaker.State() }
