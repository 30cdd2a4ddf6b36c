package eventstoredb

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/domain/event"
)

func TestAnAppendWhoseAnswerWasLostIsStoredOnce(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.onAppend = func(call streams.Streams_AppendServer) error {
		stream, expected, events, err := readAppend(call)
		if err == nil {
			_, err = s.log.Append(call.Context(), stream, expected, events)
		}
		if err == nil {
			err = status.Error(codes.Unavailable, "shutting down")
		}
		return err
	}
	_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 2))
	mustBe(t, "the first time", err, event.ErrUnavailable)
	s.instead(func() { s.onAppend = nil })
	receipt := mustAppend(t, l, "note-1", event.NoStream, proposals(1, 2))
	events, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 10)
	if err != nil || len(events) != 2 || receipt != (event.Receipt{Revision: 1, Position: events[1].Position}) {
		t.Errorf("%+v: %d events, %v", receipt, len(events), err)
	}
}

func TestAnAnswerWithoutAPositionIsCompleted(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.onAppend = func(call streams.Streams_AppendServer) error {
		stream, expected, events, err := readAppend(call)
		if err != nil {
			return err
		}
		receipt, err := s.log.Append(call.Context(), stream, expected, events)
		if err != nil {
			return err
		}
		answer := appended(receipt)
		answer.GetSuccess().PositionOption = &streams.AppendResp_Success_NoPosition{NoPosition: &shared.Empty{}}
		return call.SendAndClose(answer)
	}
	receipt := mustAppend(t, l, "note-1", event.NoStream, proposals(1, 3))
	head, err := s.log.Head(t.Context())
	if err != nil || receipt != (event.Receipt{Revision: 2, Position: head}) {
		t.Errorf("%+v, the head is %s", receipt, head)
	}
}

func TestAnEmptyAnswerIsNoReceipt(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.onAppend = func(call streams.Streams_AppendServer) error { return call.SendAndClose(&streams.AppendResp{}) }
	_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "nothing stored", err, event.ErrUnavailable)
	s.instead(func() { s.onAppend = nil })
	mustAppend(t, l, "note-1", event.NoStream, proposals(2, 1))
	s.instead(func() {
		s.onAppend = func(call streams.Streams_AppendServer) error { return call.SendAndClose(&streams.AppendResp{}) }
	})
	_, err = l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "something else stored", err, event.ErrUnavailable)
}

func TestATombstonedStreamIsDamaged(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	deleted := []string{"exception", "stream-deleted", "stream-name", "note-1"}
	s.onAppend = func(call streams.Streams_AppendServer) error {
		if _, _, _, err := readAppend(call); err != nil {
			return err
		}
		return refuse(call, codes.FailedPrecondition, "Event stream 'note-1' is deleted.", deleted...)
	}
	s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
		return refuse(call, codes.FailedPrecondition, "Event stream 'note-1' is deleted.", deleted...)
	}
	_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "append", err, event.ErrDamaged)
	_, err = l.Read(t.Context(), "note-1", event.Start, event.Forward, 1)
	mustBe(t, "read", err, event.ErrDamaged)
}

func TestAServerWithASmallerLimitSaysTooLarge(t *testing.T) {
	s := startServer(t)
	s.onAppend = func(call streams.Streams_AppendServer) error {
		if _, _, _, err := readAppend(call); err != nil {
			return err
		}
		return refuse(call, codes.InvalidArgument, "Maximum Append Size of 1024 Exceeded.",
			"exception", "maximum-append-size-exceeded", "maximum-append-size", "1024")
	}
	_, err := openLog(t, s).Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "append", err, event.ErrTooLarge)
}
