package protocol

import (
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/protobuf/proto"

	"github.com/actahq/acta/domain/event"
)

// Whatever comes over the wire, it is understood or refused.
func FuzzQuestions(f *testing.F) {
	for _, o := range []*streams.ReadReq_Options{
		nil,
		{StreamOption: ofStream("note"), CountOption: upTo(2), UuidOption: structuredIDs},
		{StreamOption: fromStart, CountOption: following, UuidOption: textIDs, FilterOption: byPrefix("a", "b")},
		{StreamOption: fromEnd, CountOption: upTo(1), ReadDirection: streams.ReadReq_Options_Backwards, UuidOption: textIDs},
	} {
		b, err := proto.Marshal(&streams.ReadReq{Options: o})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var request streams.ReadReq
		if proto.Unmarshal(b, &request) != nil {
			return
		}
		q, err := readQuestion(&request)
		if err != nil {
			return
		}
		if q.follow && q.filter != nil && q.filter.every == 0 {
			t.Error("a checkpoint after every 0 events")
		}
		if q.revision < beforeStart {
			t.Errorf("revision %d", q.revision)
		}
		q.filter.admits(&event.Recorded{Stream: "note"})
	})
}

func FuzzFilters(f *testing.F) {
	for _, r := range []string{"", `^[^\$].*`, `(?=x)`, `(`, `a{1000}{1000}`, `\p{Greek}`, "\xff"} {
		f.Add(r, "note", true)
	}
	f.Fuzz(func(t *testing.T, regex, name string, byType bool) {
		filter, err := readFilter(byType, &groupFilter{Regex: regex})
		if err != nil {
			return
		}
		e := &event.Recorded{Stream: name}
		e.Type = name
		if filter.admits(e) != filter.regex.MatchString(name) {
			t.Errorf("%q of %q", regex, name)
		}
	})
}

func FuzzProposedEvents(f *testing.F) {
	f.Add([]byte{}, []byte{0, 'b'}, true)
	f.Fuzz(func(t *testing.T, raw, metadata []byte, isJSON bool) {
		var p streams.AppendReq_ProposedMessage
		if proto.Unmarshal(raw, &p) == nil {
			proposedEvent(&p)
		}
		var o persistent.CreateReq_AllOptions_FilterOptions
		if proto.Unmarshal(raw, &o) == nil {
			readGroupFilter(&o)
		}
		got, gotJSON := unmarkMetadata(markMetadata(metadata, isJSON))
		if string(got) != string(metadata) || gotJSON != isJSON {
			t.Errorf("%q, %t became %q, %t", metadata, isJSON, got, gotJSON)
		}
	})
}
