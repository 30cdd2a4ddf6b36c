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

// Quick tries of an event, before it is left for a while and then tried again.
const (
	quickTries = 3
	firstRetry = 20 * time.Millisecond
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
	poison, err := middleware.PoisonQueueWithFilter(asides{p.Name, checkpoints}, p.Name, unreadable)
	if err != nil {
		return err
	}
	router.AddMiddleware(
		middleware.Recoverer,
		poison,
		middleware.NewCircuitBreaker(gobreaker.Settings{
			Name: p.Name, Timeout: breakerRest,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
			IsSuccessful: func(err error) bool { return err == nil || unreadable(err) || errors.Is(err, context.Canceled) },
		}).Middleware,
		middleware.Retry{
			MaxRetries: quickTries, InitialInterval: firstRetry, Multiplier: 2, RandomizationFactor: .5,
			ShouldRetry: func(r middleware.RetryParams) bool { return ctx.Err() == nil && !unreadable(r.Err) },
			Logger:      watermill.NopLogger{},
		}.Middleware,
	)
	events := &subscriber{process: p, log: log, checkpoints: checkpoints}
	router.AddConsumerHandler(p.Name, p.Name, events, func(m *message.Message) (err error) {
		e, _ := m.Context().Value(eventKey{}).(event.Recorded)
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
			return err
		}
		wait(ctx, min(time.Until(m.At.Add(p.Delay)), p.Delay)) // a clock that was ahead must not hold up what follows
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.On[e.Type](ctx, e)
}

// unreadable says that trying an event again is useless: this version cannot read it.
func unreadable(err error) bool {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	return errors.Is(err, event.ErrUnknownType) || errors.As(err, &kind) || errors.As(err, &syntax)
}

// asides is the poison queue of a process. What cannot be kept there is tried again: it is never lost.
type asides struct {
	process     string
	checkpoints Checkpoints
}

// Publish keeps messages that were given up.
func (a asides) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		e, _ := m.Context().Value(eventKey{}).(event.Recorded)
		slog.Error("an event cannot be read and is set aside", "process", a.process, "type", e.Type, "position", e.Position.String())
		err := a.checkpoints.SetAside(m.Context(), Aside{
			Process: a.process, Position: e.Position, Stream: e.Stream, Revision: e.Revision, Type: e.Type,
			Reason: "this version cannot read it", At: time.Now().UTC().Truncate(time.Millisecond),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Close has nothing to close.
func (asides) Close() error { return nil }
