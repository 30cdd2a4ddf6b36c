package protocol

import (
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"

	"github.com/actahq/acta/domain/event"
)

// question is what a client wants to read, in one of five ways: a stream or all events, forward or backward, or
// following them.
type question struct {
	stream     string // empty: all events
	dir        event.Direction
	revision   int64          // of a stream; beforeStart to follow from its start
	position   event.Position // of all events
	atEnd      bool           // begin at the end, instead of at the revision or position
	follow     bool
	count      uint64  // at most so many events; not of one that follows
	filter     *filter // of all events
	textIDs    bool    // answer ids as strings
	compatible bool    // tell the first and the last revision too; older clients crash on that
}

// beforeStart lies before every revision.
const beforeStart int64 = -1

func readQuestion(request *streams.ReadReq) (*question, error) {
	o := request.GetOptions()
	q := &question{compatible: o.GetControlOption().GetCompatibility() >= 1}
	switch o.GetUuidOption().GetContent().(type) {
	case *streams.ReadReq_Options_UUIDOption_Structured:
	case *streams.ReadReq_Options_UUIDOption_String_:
		q.textIDs = true
	default:
		return nil, invalid("the form of UUIDs was not given")
	}
	switch o.GetReadDirection() {
	case streams.ReadReq_Options_Forwards:
	case streams.ReadReq_Options_Backwards:
		q.dir = event.Backward
	default:
		return nil, invalid("%d is not a direction", o.GetReadDirection())
	}
	switch c := o.GetCountOption().(type) {
	case *streams.ReadReq_Options_Count:
		q.count = c.Count
	case *streams.ReadReq_Options_Subscription:
		q.follow = true
	default:
		return nil, invalid("neither a count nor a subscription was asked for")
	}
	if q.follow && q.dir == event.Backward {
		return nil, invalid("a subscription goes forward")
	}
	if f := o.GetFilter(); f != nil {
		var err error
		if q.filter, err = questionFilter(f); err != nil {
			return nil, err
		}
		if q.follow && q.filter.every == 0 {
			return nil, invalid("the checkpoint interval multiplier is 0")
		}
	}
	switch of := o.GetStreamOption().(type) {
	case *streams.ReadReq_Options_Stream:
		if q.filter != nil {
			return nil, invalid("only $all is read with a filter")
		}
		return q, q.ofStream(of.Stream)
	case *streams.ReadReq_Options_All:
		return q, q.ofAll(of.All)
	}
	return nil, invalid("neither a stream nor $all was asked for")
}

func questionFilter(o *streams.ReadReq_Options_FilterOptions) (f *filter, err error) {
	switch by := o.GetFilter().(type) {
	case *streams.ReadReq_Options_FilterOptions_StreamIdentifier:
		f, err = readFilter(false, by.StreamIdentifier)
	case *streams.ReadReq_Options_FilterOptions_EventType:
		f, err = readFilter(true, by.EventType)
	default:
		return nil, invalid("a filter looks at the stream or at the type")
	}
	if err != nil {
		return nil, err
	}
	window := uint64(o.GetMax())
	if window == 0 {
		window = defaultWindow
	}
	f.every = window * uint64(o.GetCheckpointIntervalMultiplier())
	return f, nil
}

func (q *question) ofStream(o *streams.ReadReq_Options_StreamOptions) error {
	if q.stream = string(o.GetStreamIdentifier().GetStreamName()); q.stream == "" {
		return invalid("the stream has no name")
	}
	switch at := o.GetRevisionOption().(type) {
	case *streams.ReadReq_Options_StreamOptions_Revision:
		q.revision = int64(min(at.Revision, math.MaxInt64))
	case *streams.ReadReq_Options_StreamOptions_Start:
		if q.follow {
			q.revision = beforeStart
		}
	case *streams.ReadReq_Options_StreamOptions_End:
		q.atEnd, q.revision = true, event.End
	default:
		return invalid("no revision was given")
	}
	return nil
}

func (q *question) ofAll(o *streams.ReadReq_Options_AllOptions) error {
	switch at := o.GetAllOption().(type) {
	case *streams.ReadReq_Options_AllOptions_Position:
		q.position = event.Position{Commit: at.Position.GetCommitPosition(), Prepare: at.Position.GetPreparePosition()}
		q.atEnd = q.position.Commit == math.MaxUint64 // which is how some clients write it
	case *streams.ReadReq_Options_AllOptions_Start:
	case *streams.ReadReq_Options_AllOptions_End:
		q.atEnd, q.position = true, event.At(math.MaxUint64)
	default:
		return invalid("no position was given")
	}
	return nil
}
