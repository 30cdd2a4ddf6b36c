package protocol

import (
	"context"
	"errors"
	"io"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// streamsService is event_store.client.streams.Streams.
type streamsService struct {
	streams.UnimplementedStreamsServer
	*service
}

// Append stores the events of one call, which is read to its end even when it has failed already (see readOut).
func (s streamsService) Append(call streams.Streams_AppendServer) error {
	var d *draft
	for {
		request, err := call.Recv()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		switch content := request.GetContent().(type) {
		case *streams.AppendReq_Options_:
			if d != nil {
				d.fail(invalid("the options were given twice"))
				continue
			}
			o := content.Options
			expected, err := readExpected(o, o.GetExpectedStreamRevision() != nil)
			d = newDraft(o.GetStreamIdentifier(), expected)
			d.fail(err)
		case *streams.AppendReq_ProposedMessage_:
			if d == nil {
				d = newDraft(nil, 0)
			}
			d.add(content.ProposedMessage)
		}
	}
	if d == nil {
		return invalid("an append begins with its options")
	}
	ctx, cancel := context.WithTimeoutCause(call.Context(), s.writeTimeout, errTimeout)
	defer cancel()
	receipt, err := s.write(ctx, d)
	var conflict *embedded.ConflictError
	switch {
	case errors.As(err, &conflict):
		return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{WrongExpectedVersion: writeConflict(conflict)}})
	case err != nil:
		return err
	}
	return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_Success_{Success: appended(receipt)}})
}

func appended(receipt event.Receipt) *streams.AppendResp_Success {
	success := &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(receipt.Revision)},
		PositionOption: &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{
			CommitPosition: receipt.Position.Commit, PreparePosition: receipt.Position.Prepare,
		}},
	}
	if receipt.Revision == event.NoStream {
		success.CurrentRevisionOption = &streams.AppendResp_Success_NoStream{NoStream: &shared.Empty{}}
	}
	if receipt.Position == (event.Position{}) {
		success.PositionOption = &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}}
	}
	return success
}

// draft is an append while its messages come in. After a failure it holds no events any more, however many come.
type draft struct {
	stream   string
	expected int64
	events   []event.Proposed
	size     int
	err      error
}

// newDraft begins an append to a stream; without one it has failed.
func newDraft(stream *shared.StreamIdentifier, expected int64) *draft {
	d := &draft{stream: string(stream.GetStreamName()), expected: expected}
	switch d.stream {
	case "":
		d.fail(invalid("an append begins with the name of its stream"))
	case "$all":
		d.fail(refuse(codes.PermissionDenied, "nothing can be appended to $all", "exception", "access-denied"))
	}
	return d
}

func (d *draft) fail(err error) {
	if err != nil && d.err == nil {
		d.err, d.events = err, nil
	}
}

func (d *draft) add(p proposed) {
	if d.err != nil {
		return
	}
	e, err := proposedEvent(p)
	if d.size += len(p.GetData()) + len(p.GetCustomMetadata()); err == nil && d.size > event.MaxAppend {
		err = errTooLarge
	}
	if err != nil {
		d.fail(err)
		return
	}
	d.events = append(d.events, e)
}

// write stores a draft and waits for the disk.
func (s *service) write(ctx context.Context, d *draft) (event.Receipt, error) {
	pending, err := s.submit(ctx, d)
	if err != nil {
		return event.Receipt{}, err
	}
	receipt, err := pending.Wait(ctx)
	return receipt, d.failure(ctx, err)
}

func (s *service) submit(ctx context.Context, d *draft) (*embedded.Pending, error) {
	if d.err != nil {
		return nil, d.err
	}
	pending, err := s.log.Submit(ctx, d.stream, d.expected, d.events)
	return pending, d.failure(ctx, err)
}

// failure is the log's error as clients know it.
func (d *draft) failure(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, event.ErrConflict), errors.Is(err, event.ErrUnavailable), errors.Is(err, event.ErrDamaged):
		return err
	case errors.Is(err, embedded.ErrDeleted):
		return streamDeleted(d.stream)
	case errors.Is(err, event.ErrTooLarge):
		return errTooLarge
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return invalid("%v", err) // a name or a type that cannot be
}
