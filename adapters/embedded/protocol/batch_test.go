package protocol

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/actahq/acta/domain/event"
)

func batchMessages(n, size int) (all []*streams.BatchAppendReq_ProposedMessage) {
	for range n {
		all = append(all, &streams.BatchAppendReq_ProposedMessage{
			Id: writeID(event.ID(uuid.New()), true), Data: make([]byte, size),
			Metadata: map[string]string{typeKey: "x", contentTypeKey: binaryType},
		})
	}
	return all
}

func correlation(n byte) *shared.UUID { return writeID(event.ID{15: n}, false) }

// said writes an answer.
func said(r *streams.BatchAppendResp) string {
	id, _ := readID(r.CorrelationId)
	if e := r.GetError(); e != nil {
		details := ""
		for _, d := range e.Details {
			details += " " + string(d.MessageName().Name())
		}
		return fmt.Sprintf("%d: %s%s", id[15], codes.Code(e.Code), details)
	}
	if r.GetSuccess().GetNoStream() != nil {
		return fmt.Sprintf("%d: no stream", id[15])
	}
	return fmt.Sprintf("%d: %d", id[15], r.GetSuccess().GetCurrentRevision())
}

func TestBatchesComeInChunksAndAreAnsweredByTheirIDs(t *testing.T) {
	w := begin(t)
	w.append("there", esdb.NoStream{}, notes(3)...)
	w.ok("tombstone", w.tombstone("gone", esdb.Any{}))
	call, err := streams.NewStreamsClient(w.raw()).BatchAppend(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	any := &streams.BatchAppendReq_Options_Any{Any: &emptypb.Empty{}}
	at := func(n uint64) *streams.BatchAppendReq_Options_StreamPosition {
		return &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: n}
	}
	late := &streams.BatchAppendReq_Options_Deadline{Deadline: durationpb.New(-time.Second)}
	repeated := batchMessages(2, 10)
	chunks := []*streams.BatchAppendReq{
		{CorrelationId: correlation(1), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: any}, ProposedMessages: batchMessages(2, 10)},
		{CorrelationId: correlation(2), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: &streams.BatchAppendReq_Options_NoStream{}}, ProposedMessages: batchMessages(1, 10), IsFinal: true},
		{CorrelationId: correlation(1), ProposedMessages: batchMessages(3, 10)},
		{CorrelationId: correlation(1), IsFinal: true},
		{CorrelationId: correlation(3), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: at(5)}, ProposedMessages: repeated, IsFinal: true},
		{CorrelationId: correlation(4), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: at(5)}, ProposedMessages: repeated, IsFinal: true},
		{CorrelationId: correlation(5), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: at(5)}, ProposedMessages: batchMessages(1, 10), IsFinal: true},
		{CorrelationId: correlation(6), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("gone"), ExpectedStreamPosition: any}, ProposedMessages: batchMessages(1, 10), IsFinal: true},
		{CorrelationId: correlation(7), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: any}, ProposedMessages: batchMessages(3, 400_000), IsFinal: true},
		{CorrelationId: correlation(8), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: any, DeadlineOption: late}, ProposedMessages: batchMessages(1, 10), IsFinal: true},
		{CorrelationId: correlation(9), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: any}, ProposedMessages: []*streams.BatchAppendReq_ProposedMessage{{Id: correlation(1)}}, IsFinal: true},
		{CorrelationId: correlation(10), IsFinal: true},
		{CorrelationId: correlation(11), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("empty"), ExpectedStreamPosition: any}, IsFinal: true},
		{CorrelationId: correlation(12), Options: &streams.BatchAppendReq_Options{StreamIdentifier: streamName("never"), ExpectedStreamPosition: &streams.BatchAppendReq_Options_StreamExists{}}, ProposedMessages: batchMessages(1, 10), IsFinal: true},
	}
	for _, c := range chunks {
		if err := call.Send(c); err != nil {
			t.Fatal(err)
		}
	}
	call.CloseSend()
	got := map[string]bool{}
	for range 12 {
		r, err := call.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got[said(r)] = true
		id, _ := readID(r.CorrelationId)
		if id[15] == 5 && (string(r.StreamIdentifier.StreamName) != "note" || r.GetStreamPosition() != 5) {
			t.Errorf("the answer does not tell what was asked: %v", r)
		}
	}
	want := map[string]bool{
		"1: 5": true, "2: 0": true, "3: 7": true, "4: 7": true, "11: no stream": true,
		"5: AlreadyExists WrongExpectedVersion": true, "12: AlreadyExists WrongExpectedVersion": true,
		"6: FailedPrecondition StreamDeleted": true, "7: InvalidArgument MaximumAppendSizeExceeded": true,
		"8: Aborted Timeout": true, "9: InvalidArgument BadRequest": true, "10: InvalidArgument BadRequest": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBatchesOfOneStreamKeepTheirOrder(t *testing.T) {
	w := begin(t)
	call, err := streams.NewStreamsClient(w.raw()).BatchAppend(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	const n = 200
	go func() {
		for i := range n {
			expected := &streams.BatchAppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamPosition: &streams.BatchAppendReq_Options_NoStream{}}
			if i > 0 {
				expected.ExpectedStreamPosition = &streams.BatchAppendReq_Options_StreamPosition{StreamPosition: uint64(i) - 1}
			}
			call.Send(&streams.BatchAppendReq{CorrelationId: correlation(byte(i%200 + 1)), Options: expected, ProposedMessages: batchMessages(1, 1), IsFinal: true})
		}
		call.CloseSend()
	}()
	for range n {
		r, err := call.Recv()
		if err != nil || r.GetError() != nil {
			t.Fatal(r, err)
		}
	}
	if got := len(w.read("note")); got != n {
		t.Errorf("%d events", got)
	}
}

func TestAnAppendThatIsNotOneIsRefused(t *testing.T) {
	w := begin(t)
	client := streams.NewStreamsClient(w.raw())
	options := func(o *streams.AppendReq_Options) *streams.AppendReq {
		return &streams.AppendReq{Content: &streams.AppendReq_Options_{Options: o}}
	}
	message := func(m *streams.AppendReq_ProposedMessage) *streams.AppendReq {
		return &streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: m}}
	}
	right := options(&streams.AppendReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamRevision: &streams.AppendReq_Options_Any{}})
	for _, test := range []struct {
		name      string
		requests  []*streams.AppendReq
		exception string
	}{
		{"nothing", nil, ""},
		{"no options", []*streams.AppendReq{message(&streams.AppendReq_ProposedMessage{})}, ""},
		{"options twice", []*streams.AppendReq{right, right}, ""},
		{"nothing expected", []*streams.AppendReq{options(&streams.AppendReq_Options{StreamIdentifier: streamName("note")})}, ""},
		{"no id", []*streams.AppendReq{right, message(&streams.AppendReq_ProposedMessage{Metadata: map[string]string{typeKey: "x", contentTypeKey: jsonType}})}, ""},
		{"no UUID", []*streams.AppendReq{right, message(&streams.AppendReq_ProposedMessage{Id: &shared.UUID{Value: &shared.UUID_String_{String_: "x"}}})}, ""},
		{"no type", []*streams.AppendReq{right, message(&streams.AppendReq_ProposedMessage{Id: correlation(1), Metadata: map[string]string{contentTypeKey: jsonType}})}, "missing-required-metadata-property"},
		{"no content type", []*streams.AppendReq{right, message(&streams.AppendReq_ProposedMessage{Id: correlation(1), Metadata: map[string]string{typeKey: "x"}})}, "missing-required-metadata-property"},
	} {
		var trailer metadata.MD
		call, err := client.Append(w.ctx, grpc.Trailer(&trailer))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range test.requests {
			call.Send(r)
		}
		_, err = call.CloseAndRecv()
		if got := append(trailer.Get("exception"), "")[0]; status.Code(err) != codes.InvalidArgument || got != test.exception {
			t.Errorf("%s: %v, exception %q", test.name, err, got)
		}
	}
}

func TestAConflictIsToldInBothForms(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(3)...)
	client := streams.NewStreamsClient(w.raw())
	for _, test := range []struct {
		stream string
		o      *streams.AppendReq_Options
		want   string
	}{
		{"note", &streams.AppendReq_Options{ExpectedStreamRevision: &streams.AppendReq_Options_NoStream{}},
			"current_revision_20_6_0:2 expected_revision_20_6_0:18446744073709551615 current_revision:2 expected_no_stream:{}"},
		{"note", &streams.AppendReq_Options{ExpectedStreamRevision: &streams.AppendReq_Options_Revision{Revision: 7}},
			"current_revision_20_6_0:2 expected_revision_20_6_0:7 current_revision:2 expected_revision:7"},
		{"x", &streams.AppendReq_Options{ExpectedStreamRevision: &streams.AppendReq_Options_StreamExists{}},
			"no_stream_20_6_0:{} stream_exists_20_6_0:{} current_no_stream:{} expected_stream_exists:{}"},
	} {
		test.o.StreamIdentifier = streamName(test.stream)
		call, err := client.Append(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: test.o}})
		call.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
			Id: correlation(1), Metadata: map[string]string{typeKey: "x", contentTypeKey: jsonType},
		}}})
		r, err := call.CloseAndRecv()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, squeeze(r.GetWrongExpectedVersion().String())); diff != "" {
			t.Error(diff)
		}
	}
}

// squeeze makes the text of a message the same in every run: its spaces vary on purpose.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }
