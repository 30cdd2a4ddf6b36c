package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/sony/gobreaker"

	"github.com/actahq/acta/domain/event"
)

// Quick tries of an event, before it is left for a while and then tried again: about 15, 34 and 76 ms after each other,
// because the middleware draws two intervals for each and waits for the second.
const (
	quickTries    = 3
	firstInterval = 10 * time.Millisecond
	longInterval  = 200 * time.Millisecond // without one there is no growth
)

// The breaker keeps a process whose every try fails from trying all the time.
const (
	tripAfter   = 5
	breakerRest = 5 * time.Second
)

// closeTime is how long a handler may take to end once its context has.
const closeTime = 5 * time.Second

// Run follows the log until ctx ends. Events go through a watermill router, one at a time: what panics is a failure
// (outermost), what can never be read is set aside, a process that only fails is given a rest, and what failed is tried
// again quickly before all that (innermost).
func (p *Process) Run(ctx context.Context, log Log, checkpoints Checkpoints) error {
	words := watermill.NewSlogLoggerWithLevelMapping(slog.Default(), map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug, // what is worth a line is logged here
	})
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTime}, words)
	if err != nil {
		return err
	}
	events := &subscriber{process: p, log: log, checkpoints: checkpoints}
	poison, err := middleware.PoisonQueueWithFilter(asides{events}, p.Name, permanent)
	if err != nil {
		return err
	}
	router.AddMiddleware(
		middleware.Recoverer,
		poison,
		middleware.NewCircuitBreaker(gobreaker.Settings{
			Name: p.Name, Timeout: breakerRest,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
			IsSuccessful: func(err error) bool { return err == nil || permanent(err) || errors.Is(err, context.Canceled) },
		}).Middleware,
		middleware.Retry{
			MaxRetries: quickTries, InitialInterval: firstInterval, MaxInterval: longInterval, Multiplier: 1.5, RandomizationFactor: .5,
			ShouldRetry: func(r middleware.RetryParams) bool { return ctx.Err() == nil && !permanent(r.Err) },
			Logger:      watermill.NopLogger{},
		}.Middleware,
	)
	router.AddConsumerHandler(p.Name, p.Name, events, func(m *message.Message) (err error) {
		e := eventOf(m)
		defer func() {
			if r := recover(); r != nil {
				events.note(e, fmt.Errorf("panic: %v", r))
				panic(r) // for the Recoverer
			}
			events.note(e, err)
		}()
		return p.handle(m.Context(), e)
	})
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("run the process %s: %w", p.Name, err)
	}
	return ctx.Err()
}

// handle finishes an event when it is old enough.
func (p *Process) handle(ctx context.Context, e event.Recorded) error {
	if p.Delay > 0 {
		m, err := e.ReadMetadata()
		if err != nil {
			return Permanent(errors.New("its metadata cannot be read")) // the error may quote them
		}
		wait(ctx, min(time.Until(m.At.Add(p.Delay)), p.Delay)) // a clock that was ahead must not hold up what follows
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.On[e.Type](ctx, e)
}

// Permanent marks an error that trying again cannot help: the event is set aside. The text of err is kept as the reason,
// so it must not tell anything about a person. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return hopeless{err}
}

type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// permanent says that trying an event again is useless: it was marked so, or this version cannot read the event.
func permanent(err error) bool {
	var marked hopeless
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var moment *time.ParseError // of a time within JSON
	return errors.As(err, &marked) || errors.Is(err, event.ErrUnknownType) ||
		errors.As(err, &kind) || errors.As(err, &syntax) || errors.As(err, &moment)
}

// reason tells why an event was set aside, without what may quote it.
func reason(err error) string {
	var marked hopeless
	switch {
	case errors.As(err, &marked):
		return problem(marked)
	case errors.Is(err, event.ErrUnknownType):
		return "this version does not know a type of event that it needs"
	}
	return "this version cannot read it"
}

// asides is the poison queue of a process. What cannot be kept there is tried again: it is never lost.
type asides struct{ events *subscriber }

// Publish keeps messages that were given up.
func (a asides) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		e, why := eventOf(m), reason(a.events.heldUpBy())
		err := a.events.checkpoints.SetAside(m.Context(), Aside{
			Process: a.events.process.Name, Position: e.Position, Stream: e.Stream, Revision: e.Revision, Type: e.Type,
			Reason: why, At: time.Now().UTC().Truncate(time.Millisecond),
		})
		if err != nil {
			a.events.note(e, fmt.Errorf("set it aside, because %s: %w", why, err))
			return err
		}
		slog.Error("an event is set aside", "process", a.events.process.Name, "type", e.Type, "position", e.Position.String(), "reason", why)
	}
	return nil
}

// Close has nothing to close.
func (asides) Close() error { return nil }
