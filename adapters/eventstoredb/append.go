package eventstoredb

import (
	"context"
	"errors"
	"fmt"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

// Append stores events at the end of a stream, all or none, if the stream's newest revision is the expected one
// (event.NoStream: it has no events). When it returns nil the server has them durably. The receipt is that of the last
// event.
//
// The same ids appended again at the same expected revision give the receipt of the first time and store nothing: the
// server compares the ids. So after an error that leaves the outcome open (event.ErrUnavailable, or that of a context
// that ended) the caller may repeat the call as it was.
//
// Other errors say that nothing was stored: event.ErrConflict, event.ErrTooLarge, event.ErrDamaged (the stream was
// tombstoned), and one without a name for what no caller should ask: a stream name that is not 1 to 255 bytes of UTF-8, a
// type that is not 1 to 128, no event, an event without an id, an expected revision below event.NoStream.
//
// An append belongs to the log from the call on: its bytes must not be changed.
func (l *Log) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	if err := event.Check(stream, expected, events); err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", stream, err)
	}
	receipt, err := ask(ctx, l, func(ctx context.Context, client *esdb.Client) (event.Receipt, error) {
		written, err := client.AppendToStream(ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: expect(expected)}, wire(events)...)
		if err != nil {
			return event.Receipt{}, err
		}
		position := event.Position{Commit: written.CommitPosition, Prepare: written.PreparePosition}
		if position == (event.Position{}) {
			return findAppended(ctx, client, stream, expected, events)
		}
		return event.Receipt{Revision: int64(written.NextExpectedVersion), Position: position}, nil
	})
	if err != nil {
		return event.Receipt{}, fmt.Errorf("append to %q: %w", stream, err)
	}
	return receipt, nil
}

func expect(revision int64) esdb.ExpectedRevision {
	if revision == event.NoStream {
		return esdb.NoStream{}
	}
	return esdb.Revision(uint64(revision))
}

func wire(events []event.Proposed) []esdb.EventData {
	data := make([]esdb.EventData, len(events))
	for i, e := range events {
		data[i] = esdb.EventData{
			EventID: uuid.UUID(e.ID), EventType: e.Type, ContentType: esdb.ContentTypeJson, Data: e.Data, Metadata: e.Metadata,
		}
	}
	return data
}

// findAppended gives the receipt of an append that was answered without a position. A server may do so when it has
// recognised a repetition; the client makes the same of an answer that it does not understand.
func findAppended(ctx context.Context, client *esdb.Client, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	there, err := readStream(ctx, client, stream, expected+1, event.Forward, len(events))
	if err != nil {
		return event.Receipt{}, err
	}
	if len(there) != len(events) {
		return event.Receipt{}, errors.New("the server's answer does not say what was stored")
	}
	for i, e := range there {
		if e.ID != events[i].ID {
			return event.Receipt{}, errors.New("the server says that it stored what is not there")
		}
	}
	last := there[len(there)-1]
	return event.Receipt{Revision: last.Revision, Position: last.Position}, nil
}
