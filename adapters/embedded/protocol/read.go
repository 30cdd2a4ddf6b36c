package protocol

import (
	"context"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/actahq/acta/domain/event"
)

// pageSize is how many events are read at once; so many are in memory for a client that takes its time.
const pageSize = 256

// Read answers questions of all five kinds.
func (s streamsService) Read(request *streams.ReadReq, call streams.Streams_ReadServer) error {
	q, err := readQuestion(request)
	if err != nil {
		return err
	}
	ctx, cancel := s.live(call.Context())
	defer cancel()
	out := &output{call, q.textIDs}
	switch {
	case q.follow && q.stream == "":
		return s.followAll(ctx, q, out)
	case q.follow:
		return s.followStream(ctx, q, out)
	case q.stream == "":
		return s.readAll(ctx, q, out)
	default:
		return s.readStream(ctx, q, out)
	}
}

func (s *service) readStream(ctx context.Context, q *question, out *output) error {
	state, err := s.log.State(ctx, q.stream)
	switch {
	case err != nil:
		return err
	case state.Tombstoned:
		return streamDeleted(q.stream)
	case !state.Found:
		return out.send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
			StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: streamName(q.stream)},
		}})
	}
	from := q.revision
	for left := q.count; left > 0; {
		events, err := s.log.ReadPage(ctx, q.stream, from, q.dir, int(min(left, pageSize)))
		if err != nil {
			return err
		}
		if err := out.events(events); err != nil {
			return err
		}
		if len(events) == 0 {
			break
		}
		left -= uint64(len(events))
		if from = events[len(events)-1].Revision; q.dir == event.Forward {
			from++
		} else if from--; from < 0 {
			break
		}
	}
	if q.compatible && state.First <= state.Last {
		if err := out.send(&streams.ReadResp{Content: &streams.ReadResp_FirstStreamPosition{FirstStreamPosition: uint64(state.First)}}); err != nil {
			return err
		}
		return out.send(&streams.ReadResp{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: uint64(state.Last)}})
	}
	return nil
}

func (s *service) readAll(ctx context.Context, q *question, out *output) error {
	if q.atEnd && q.dir == event.Forward {
		return nil
	}
	from := q.position
	for left := q.count; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		limit := pageSize
		if q.filter == nil {
			limit = int(min(left, pageSize))
		}
		events, err := s.log.ReadAll(ctx, from, q.dir, limit)
		if err != nil || len(events) == 0 {
			return err
		}
		for i := range events {
			if left > 0 && q.filter.admits(&events[i]) {
				if err := out.event(&events[i]); err != nil {
					return err
				}
				left--
			}
		}
		if from = events[len(events)-1].Position; q.dir == event.Forward {
			from = event.At(from.Commit + 1)
		}
	}
	return nil
}

// output is what goes to a client that reads. Sending waits until the client has taken enough of what was sent before.
type output struct {
	call    streams.Streams_ReadServer
	textIDs bool
}

func (o *output) send(r *streams.ReadResp) error { return o.call.Send(r) }

func (o *output) events(events []event.Recorded) error {
	for i := range events {
		if err := o.event(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o *output) event(e *event.Recorded) error {
	all, metadata := properties(e)
	return o.send(&streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id:               writeID(e.ID, o.textIDs),
			StreamIdentifier: streamName(e.Stream),
			StreamRevision:   uint64(e.Revision),
			CommitPosition:   e.Position.Commit,
			PreparePosition:  e.Position.Prepare,
			Metadata:         all,
			CustomMetadata:   metadata,
			Data:             e.Data,
		},
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: e.Position.Commit},
	}}})
}

// confirm is the first message of a subscription.
func (o *output) confirm() error {
	return o.send(&streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: newSubscriptionID()},
	}})
}

func (o *output) checkpoint(at event.Position) error {
	return o.send(&streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: at.Commit, PreparePosition: at.Prepare},
	}})
}

func (o *output) caughtUp() error {
	return o.send(&streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}})
}
