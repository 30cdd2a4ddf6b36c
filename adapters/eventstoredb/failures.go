package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/domain/event"
)

var errClosed = fmt.Errorf("%w: it was closed", event.ErrUnavailable)

// understood gives the meaning of what a call by a caller with this context came to. What we do not know for certain
// leaves the outcome open.
//
// Some errors of the client are its own, some those of gRPC, some wrap either.
func understood(ctx context.Context, err error) error {
	known, _ := errors.AsType[*esdb.Error](err)
	switch {
	case err == nil, errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrDamaged):
		return err
	case known != nil && known.Code() == esdb.ErrorCodeWrongExpectedVersion:
		return fmt.Errorf("%w: %w", event.ErrConflict, known.Err())
	case known != nil && known.Code() == esdb.ErrorCodeStreamDeleted:
		// Somebody has made away with events that we had acknowledged. An empty stream would be the wrong answer.
		return fmt.Errorf("%w: the stream was tombstoned", event.ErrDamaged)
	case status.Code(err) == codes.InvalidArgument && saysTooLarge(err):
		return fmt.Errorf("%w: %w", event.ErrTooLarge, err)
	case status.Code(err) == codes.InvalidArgument:
		return err // nobody should ask it; nothing was stored
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w: %w", event.ErrUnavailable, ctx.Err(), err)
	default:
		return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
	}
}

// saysTooLarge recognises the refusal by its text ("Maximum Append Size of 1048576 Exceeded."), for the client drops
// the trailer that names it ("maximum-append-size-exceeded").
func saysTooLarge(err error) bool {
	return strings.Contains(strings.ReplaceAll(strings.ToLower(err.Error()), "-", " "), "maximum append size")
}

// isLost says whether a connection is of no more use after this error.
func isLost(err error) bool {
	known, _ := errors.AsType[*esdb.Error](err)
	return status.Code(err) == codes.Unavailable || errors.Is(err, errPanicked) ||
		known != nil && (known.Code() == esdb.ErrorUnavailable || known.Code() == esdb.ErrorCodeConnectionClosed)
}

// isNotFound says whether a read came to a stream without events. The client has the same code for whatever a server or
// something in between answers with gRPC's NOT_FOUND, which is no such thing.
func isNotFound(err error) bool {
	known, ok := errors.AsType[*esdb.Error](err)
	return ok && known.Code() == esdb.ErrorCodeResourceNotFound && status.Code(err) != codes.NotFound
}
