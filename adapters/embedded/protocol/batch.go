package protocol

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// Bounds of one call of BatchAppend.
const (
	maxOpen    = 256 // batches of which the end has not come
	maxWaiting = 64  // batches that wait for the disk
)

// batch is one append of a call that carries many.
type batch struct {
	draft
	options  *streams.BatchAppendReq_Options
	id       *shared.UUID
	deadline time.Time
}

// BatchAppend stores many appends over one call. They are decided in the order in which their last chunks came;
// answers come as they are ready, each with the id of its batch.
func (s streamsService) BatchAppend(call streams.Streams_BatchAppendServer) error {
	ctx, cancel := s.live(call.Context())
	defer cancel()
	open := map[event.ID]*batch{}
	waiting := make(chan struct{}, maxWaiting)
	var answering sync.WaitGroup
	defer answering.Wait() // what was submitted is answered, also when the server stops
	var sending sync.Mutex
	answer := func(b *batch, receipt event.Receipt, err error) {
		sending.Lock()
		defer sending.Unlock()
		call.Send(b.answer(receipt, err)) // a client that cannot be told is noticed by receiving
	}
	chunks := incoming(call.Context(), call.Recv)
	for {
		var chunk *streams.BatchAppendReq
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c, ok := <-chunks:
			if !ok {
				return nil
			} else if c.err != nil {
				return c.err
			}
			chunk = c.message
		}
		id, err := readID(chunk.GetCorrelationId())
		if err != nil {
			return err
		}
		b := open[id]
		if b == nil {
			if len(open) == maxOpen {
				return refuse(codes.ResourceExhausted, "too many batches are open")
			}
			b = s.newBatch(chunk)
			open[id] = b
		}
		for _, p := range chunk.GetProposedMessages() {
			b.add(p)
		}
		if !chunk.GetIsFinal() {
			continue
		}
		delete(open, id)
		select {
		case waiting <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		// In the call's context: what was submitted is answered also when the server stops.
		writing, done := context.WithDeadlineCause(call.Context(), b.deadline, errTimeout)
		pending, err := s.submit(writing, &b.draft)
		answering.Go(func() {
			defer func() { done(); <-waiting }()
			var receipt event.Receipt
			if err == nil {
				receipt, err = pending.Wait(writing)
				err = b.failure(writing, err)
			}
			answer(b, receipt, err)
		})
	}
}

// newBatch begins a batch with its first chunk, which holds the options.
func (s *service) newBatch(chunk *streams.BatchAppendReq) *batch {
	o := chunk.GetOptions()
	b := &batch{options: o, id: chunk.GetCorrelationId(), deadline: time.Now().Add(s.writeTimeout)}
	var expected int64
	var err error
	switch e := o.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		expected, err = readRevision(e.StreamPosition)
	case *streams.BatchAppendReq_Options_NoStream:
		expected = event.NoStream
	case *streams.BatchAppendReq_Options_Any:
		expected = embedded.Any
	case *streams.BatchAppendReq_Options_StreamExists:
		expected = embedded.StreamExists
	default:
		err = invalid("no expected revision was given")
	}
	b.draft = *newDraft(o.GetStreamIdentifier(), expected)
	b.fail(err)
	asked := b.deadline
	switch d := o.GetDeadlineOption().(type) {
	case *streams.BatchAppendReq_Options_Deadline:
		asked = time.Now().Add(d.Deadline.AsDuration())
	case *streams.BatchAppendReq_Options_Deadline_21_10_0:
		asked = d.Deadline_21_10_0.AsTime()
	}
	if asked.Before(b.deadline) {
		b.deadline = asked
	}
	return b
}

func (b *batch) answer(receipt event.Receipt, err error) *streams.BatchAppendResp {
	r := &streams.BatchAppendResp{CorrelationId: b.id, StreamIdentifier: b.options.GetStreamIdentifier()}
	switch e := b.options.GetExpectedStreamPosition().(type) {
	case *streams.BatchAppendReq_Options_StreamPosition:
		r.ExpectedStreamPosition = &streams.BatchAppendResp_StreamPosition{StreamPosition: e.StreamPosition}
	case *streams.BatchAppendReq_Options_NoStream:
		r.ExpectedStreamPosition = &streams.BatchAppendResp_NoStream{NoStream: e.NoStream}
	case *streams.BatchAppendReq_Options_Any:
		r.ExpectedStreamPosition = &streams.BatchAppendResp_Any{Any: e.Any}
	case *streams.BatchAppendReq_Options_StreamExists:
		r.ExpectedStreamPosition = &streams.BatchAppendResp_StreamExists{StreamExists: e.StreamExists}
	}
	if err != nil {
		r.Result = &streams.BatchAppendResp_Error{Error: batchError(b.stream, err)}
		return r
	}
	success := &streams.BatchAppendResp_Success{
		CurrentRevisionOption: &streams.BatchAppendResp_Success_CurrentRevision{CurrentRevision: uint64(receipt.Revision)},
		PositionOption: &streams.BatchAppendResp_Success_Position{Position: &shared.AllStreamPosition{
			CommitPosition: receipt.Position.Commit, PreparePosition: receipt.Position.Prepare,
		}},
	}
	if receipt.Revision == event.NoStream {
		success.CurrentRevisionOption = &streams.BatchAppendResp_Success_NoStream{NoStream: &emptypb.Empty{}}
	}
	if receipt.Position == (event.Position{}) {
		success.PositionOption = &streams.BatchAppendResp_Success_NoPosition{NoPosition: &emptypb.Empty{}}
	}
	r.Result = &streams.BatchAppendResp_Success_{Success: success}
	return r
}

// batchError is an error within a call that goes on; what it stands for is told by the message in its details.
func batchError(stream string, err error) *rpcstatus.Status {
	var conflict *embedded.ConflictError
	var r *refusal
	switch {
	case errors.As(err, &conflict):
		return statusWith(codes.AlreadyExists, "WrongExpectedVersion", batchConflict(conflict))
	case errors.As(err, &r) && r.code == codes.FailedPrecondition:
		return statusWith(r.code, r.text, &shared.StreamDeleted{StreamIdentifier: streamName(stream)})
	case errors.Is(err, errTooLarge):
		return statusWith(errTooLarge.code, errTooLarge.text, &shared.MaximumAppendSizeExceeded{MaxAppendSize: event.MaxAppend})
	case errors.Is(err, errTimeout):
		return statusWith(errTimeout.code, errTimeout.text, &shared.Timeout{})
	case errors.As(err, &r) && r.code == codes.PermissionDenied:
		return statusWith(r.code, r.text, &shared.AccessDenied{})
	case errors.As(err, &r):
		return statusWith(r.code, r.text, &shared.BadRequest{Message: r.text})
	case errors.Is(err, event.ErrUnavailable):
		return statusWith(codes.Unavailable, err.Error(), &shared.Unknown{})
	}
	return statusWith(codes.Unknown, err.Error(), &shared.Unknown{})
}

func statusWith(code codes.Code, text string, details proto.Message) *rpcstatus.Status {
	s := &rpcstatus.Status{Code: int32(code), Message: text}
	if packed, err := anypb.New(details); err == nil {
		s.Details = []*anypb.Any{packed}
	}
	return s
}

func batchConflict(c *embedded.ConflictError) *shared.WrongExpectedVersion {
	w := &shared.WrongExpectedVersion{}
	if c.Current == event.NoStream {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentNoStream{CurrentNoStream: &emptypb.Empty{}}
	} else {
		w.CurrentStreamRevisionOption = &shared.WrongExpectedVersion_CurrentStreamRevision{CurrentStreamRevision: uint64(c.Current)}
	}
	switch c.Expected {
	case embedded.Any:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedAny{ExpectedAny: &emptypb.Empty{}}
	case embedded.StreamExists:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamExists{ExpectedStreamExists: &emptypb.Empty{}}
	case event.NoStream:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedNoStream{ExpectedNoStream: &emptypb.Empty{}}
	default:
		w.ExpectedStreamPositionOption = &shared.WrongExpectedVersion_ExpectedStreamPosition{ExpectedStreamPosition: uint64(c.Expected)}
	}
	return w
}

// received is a message of a client, or the error that ended them.
type received[M any] struct {
	message M
	err     error
}

// incoming hands on what a client sends, so that one can wait for it and for something else. The channel is closed
// when the client has sent all.
func incoming[M any](ctx context.Context, recv func() (M, error)) <-chan received[M] {
	messages := make(chan received[M])
	go func() {
		defer close(messages)
		for {
			m, err := recv()
			if errors.Is(err, io.EOF) {
				return
			}
			select {
			case messages <- received[M]{m, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return messages
}
