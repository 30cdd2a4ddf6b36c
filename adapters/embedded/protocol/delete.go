package protocol

import (
	"context"
	"errors"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// Delete hides the events of a stream until it is appended to again.
func (s streamsService) Delete(ctx context.Context, request *streams.DeleteReq) (*streams.DeleteResp, error) {
	o := request.GetOptions()
	at, err := s.remove(ctx, s.log.Delete, string(o.GetStreamIdentifier().GetStreamName()), o, o.GetExpectedStreamRevision() != nil)
	if err != nil {
		return nil, err
	}
	return &streams.DeleteResp{PositionOption: &streams.DeleteResp_Position_{Position: &streams.DeleteResp_Position{
		CommitPosition: at.Commit, PreparePosition: at.Prepare,
	}}}, nil
}

// Tombstone ends a stream for ever.
func (s streamsService) Tombstone(ctx context.Context, request *streams.TombstoneReq) (*streams.TombstoneResp, error) {
	o := request.GetOptions()
	at, err := s.remove(ctx, s.log.Tombstone, string(o.GetStreamIdentifier().GetStreamName()), o, o.GetExpectedStreamRevision() != nil)
	if err != nil {
		return nil, err
	}
	return &streams.TombstoneResp{PositionOption: &streams.TombstoneResp_Position_{Position: &streams.TombstoneResp_Position{
		CommitPosition: at.Commit, PreparePosition: at.Prepare,
	}}}, nil
}

type removal func(ctx context.Context, stream string, expected int64) (event.Position, error)

func (s *service) remove(ctx context.Context, remove removal, stream string, e expectation, given bool) (event.Position, error) {
	expected, err := readExpected(e, given)
	if err != nil {
		return event.Position{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.writeTimeout, errTimeout)
	defer cancel()
	at, err := remove(ctx, stream, expected)
	var conflict *embedded.ConflictError
	if errors.As(err, &conflict) {
		return at, wrongVersion(stream, conflict)
	}
	return at, (&draft{stream: stream}).failure(ctx, err)
}
