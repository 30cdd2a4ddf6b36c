package protocol

import (
	"encoding/binary"
	"encoding/json"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

// The properties that every event has on the wire.
const (
	typeKey        = "type"
	contentTypeKey = "content-type"
	createdKey     = "created" // hundreds of nanoseconds since 1970, in decimal; without it the Go client ends its process
)

const (
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
)

// proposed is an event as clients send it, in Append and in BatchAppend.
type proposed interface {
	GetId() *shared.UUID
	GetMetadata() map[string]string
	GetCustomMetadata() []byte
	GetData() []byte
}

func proposedEvent(p proposed) (event.Proposed, error) {
	id, err := readID(p.GetId())
	if err != nil {
		return event.Proposed{}, err
	}
	properties := p.GetMetadata()
	for _, name := range []string{typeKey, contentTypeKey} {
		if properties[name] == "" {
			return event.Proposed{}, missingProperty(name)
		}
	}
	return event.Proposed{
		ID: id, Type: properties[typeKey], Data: p.GetData(),
		Metadata: markMetadata(p.GetCustomMetadata(), properties[contentTypeKey] == jsonType),
	}, nil
}

// properties gives what every recorded event tells, and its metadata as the client sent them.
func properties(e *event.Recorded) (all map[string]string, metadata []byte) {
	metadata, isJSON := unmarkMetadata(e.Metadata)
	contentType := binaryType
	if isJSON {
		contentType = jsonType
	}
	return map[string]string{
		typeKey:        e.Type,
		contentTypeKey: contentType,
		createdKey:     strconv.FormatInt(e.Recorded.UnixMicro()*10, 10),
	}, metadata
}

// The log holds events whose data are JSON, as Acta's are. Those of others need not be; then their metadata begin with
// a byte that begins no JSON, and one that tells what the data are.
const (
	marked     = 0x00
	markJSON   = 'j' // only the metadata begin with the mark by themselves
	markBinary = 'b'
)

func markMetadata(metadata []byte, isJSON bool) json.RawMessage {
	switch {
	case !isJSON:
		return append([]byte{marked, markBinary}, metadata...)
	case len(metadata) > 0 && metadata[0] == marked:
		return append([]byte{marked, markJSON}, metadata...)
	}
	return metadata
}

func unmarkMetadata(metadata json.RawMessage) (_ []byte, isJSON bool) {
	if len(metadata) < 2 || metadata[0] != marked {
		return metadata, true
	}
	return metadata[2:], metadata[1] == markJSON
}

// readID reads a UUID in either of its forms.
func readID(u *shared.UUID) (id event.ID, _ error) {
	switch v := u.GetValue().(type) {
	case *shared.UUID_Structured_:
		binary.BigEndian.PutUint64(id[:8], uint64(v.Structured.GetMostSignificantBits()))
		binary.BigEndian.PutUint64(id[8:], uint64(v.Structured.GetLeastSignificantBits()))
	case *shared.UUID_String_:
		parsed, err := uuid.Parse(v.String_)
		if err != nil {
			return event.ID{}, invalid("%q is not a UUID", v.String_)
		}
		id = event.ID(parsed)
	}
	if id == (event.ID{}) {
		return event.ID{}, invalid("a UUID is missing")
	}
	return id, nil
}

// writeID writes a UUID in the form the client asked for.
func writeID(id event.ID, asText bool) *shared.UUID {
	if asText {
		return &shared.UUID{Value: &shared.UUID_String_{String_: id.String()}}
	}
	return &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
		MostSignificantBits:  int64(binary.BigEndian.Uint64(id[:8])),
		LeastSignificantBits: int64(binary.BigEndian.Uint64(id[8:])),
	}}}
}

func streamName(name string) *shared.StreamIdentifier {
	return &shared.StreamIdentifier{StreamName: []byte(name)}
}
