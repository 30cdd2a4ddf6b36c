package protocol

import (
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAStreamIsReadBothWaysWithinBounds(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(6)...)
	w.append("other", esdb.NoStream{}, notes(2)...)
	for _, test := range []struct {
		from  esdb.StreamPosition
		dir   esdb.Direction
		count uint64
		want  []uint64
	}{
		{esdb.Start{}, esdb.Forwards, 100, []uint64{0, 1, 2, 3, 4, 5}},
		{esdb.Start{}, esdb.Forwards, math.MaxUint64, []uint64{0, 1, 2, 3, 4, 5}},
		{esdb.Start{}, esdb.Forwards, 2, []uint64{0, 1}},
		{esdb.Start{}, esdb.Forwards, 0, []uint64{}},
		{esdb.Revision(2), esdb.Forwards, 3, []uint64{2, 3, 4}},
		{esdb.Revision(5), esdb.Forwards, 3, []uint64{5}},
		{esdb.Revision(6), esdb.Forwards, 3, []uint64{}},
		{esdb.Revision(math.MaxUint64), esdb.Forwards, 3, []uint64{}},
		{esdb.End{}, esdb.Forwards, 3, []uint64{}},
		{esdb.End{}, esdb.Backwards, 100, []uint64{5, 4, 3, 2, 1, 0}},
		{esdb.End{}, esdb.Backwards, 1, []uint64{5}},
		{esdb.Revision(600), esdb.Backwards, 2, []uint64{5, 4}},
		{esdb.Revision(3), esdb.Backwards, 2, []uint64{3, 2}},
		{esdb.Revision(0), esdb.Backwards, 6, []uint64{0}},
		{esdb.Start{}, esdb.Backwards, 6, []uint64{0}},
	} {
		events, err := w.tryRead("note", esdb.ReadStreamOptions{From: test.from, Direction: test.dir, ResolveLinkTos: true}, test.count)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, revisions(events)); diff != "" {
			t.Errorf("%d from %v, direction %d:\n%s", test.count, test.from, test.dir, diff)
		}
	}
}

func TestAllEventsAreReadBothWaysWithinBounds(t *testing.T) {
	w := begin(t)
	for i := range 3 {
		w.append(fmt.Sprint("stream-", i), esdb.NoStream{}, notes(2)...)
	}
	at := func(n uint64) esdb.Position { return esdb.Position{Commit: n, Prepare: n} }
	for _, test := range []struct {
		from  esdb.AllPosition
		dir   esdb.Direction
		count uint64
		want  []uint64
	}{
		{esdb.Start{}, esdb.Forwards, 100, []uint64{1, 2, 3, 4, 5, 6}},
		{at(0), esdb.Forwards, 2, []uint64{1, 2}},
		{at(3), esdb.Forwards, 2, []uint64{3, 4}},
		{at(6), esdb.Forwards, 9, []uint64{6}},
		{at(7), esdb.Forwards, 9, []uint64{}},
		{at(math.MaxUint64), esdb.Forwards, 9, []uint64{}},
		{esdb.End{}, esdb.Forwards, 9, []uint64{}},
		{esdb.End{}, esdb.Backwards, 100, []uint64{6, 5, 4, 3, 2, 1}},
		{at(math.MaxUint64), esdb.Backwards, 1, []uint64{6}},
		{at(7), esdb.Backwards, 1, []uint64{6}},
		{at(6), esdb.Backwards, 2, []uint64{5, 4}},
		{at(1), esdb.Backwards, 9, []uint64{}},
		{at(0), esdb.Backwards, 9, []uint64{}},
		{esdb.Start{}, esdb.Backwards, 9, []uint64{}},
	} {
		events, err := drain(w.client.ReadAll(w.ctx, esdb.ReadAllOptions{From: test.from, Direction: test.dir}, test.count))
		if err != nil {
			t.Fatal(err)
		}
		got := []uint64{}
		for _, e := range events {
			got = append(got, e.Position.Commit)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%d from %v, direction %d:\n%s", test.count, test.from, test.dir, diff)
		}
	}
}

func TestMoreThanAPageIsRead(t *testing.T) {
	w := begin(t)
	const n = 3*pageSize + 7
	w.append("note", esdb.NoStream{}, notes(n)...)
	for _, dir := range []esdb.Direction{esdb.Forwards, esdb.Backwards} {
		from, all := esdb.StreamPosition(esdb.Start{}), esdb.AllPosition(esdb.Start{})
		if dir == esdb.Backwards {
			from, all = esdb.End{}, esdb.End{}
		}
		ofStream, err := w.tryRead("note", esdb.ReadStreamOptions{From: from, Direction: dir}, math.MaxUint64)
		if err != nil || len(ofStream) != n {
			t.Fatalf("%d events of the stream, %v", len(ofStream), err)
		}
		ofAll, err := drain(w.client.ReadAll(w.ctx, esdb.ReadAllOptions{From: all, Direction: dir}, math.MaxUint64))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(ofStream, ofAll); diff != "" {
			t.Error(diff)
		}
	}
}

// ask sends a read that the Go client does not, and writes what comes.
func (w *world) ask(o *streams.ReadReq_Options) (all []string, err error) {
	w.Helper()
	call, err := streams.NewStreamsClient(w.raw()).Read(w.ctx, &streams.ReadReq{Options: o})
	if err != nil {
		w.Fatal(err)
	}
	for {
		r, err := call.Recv()
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		switch c := r.Content.(type) {
		case *streams.ReadResp_Event:
			all = append(all, fmt.Sprintf("%s@%d", c.Event.Event.StreamIdentifier.StreamName, c.Event.Event.StreamRevision))
			if o.UuidOption.GetString_() != nil && len(c.Event.Event.Id.GetString_()) != 36 || o.UuidOption.GetStructured() != nil && c.Event.Event.Id.GetStructured() == nil {
				w.Errorf("the id has another form than was asked for: %v", c.Event.Event.Id)
			}
			if c.Event.GetCommitPosition() != c.Event.Event.CommitPosition || c.Event.Event.CommitPosition == 0 {
				w.Errorf("positions: %v", c.Event)
			}
		case *streams.ReadResp_FirstStreamPosition:
			all = append(all, fmt.Sprint("first ", c.FirstStreamPosition))
		case *streams.ReadResp_LastStreamPosition:
			all = append(all, fmt.Sprint("last ", c.LastStreamPosition))
		case *streams.ReadResp_StreamNotFound_:
			all = append(all, fmt.Sprintf("%s not found", c.StreamNotFound.StreamIdentifier.StreamName))
		default:
			all = append(all, fmt.Sprintf("%T", c))
		}
	}
}

var (
	structuredIDs = &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_Structured{}}
	textIDs       = &streams.ReadReq_Options_UUIDOption{Content: &streams.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}}
	fromStart     = &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_Start{}}}
	fromEnd       = &streams.ReadReq_Options_All{All: &streams.ReadReq_Options_AllOptions{AllOption: &streams.ReadReq_Options_AllOptions_End{}}}
	following     = &streams.ReadReq_Options_Subscription{Subscription: &streams.ReadReq_Options_SubscriptionOptions{}}
)

func ofStream(name string) *streams.ReadReq_Options_Stream {
	return &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{
		StreamIdentifier: streamName(name), RevisionOption: &streams.ReadReq_Options_StreamOptions_Start{},
	}}
}

func upTo(n uint64) *streams.ReadReq_Options_Count { return &streams.ReadReq_Options_Count{Count: n} }

func byPrefix(prefixes ...string) *streams.ReadReq_Options_Filter {
	return &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{
		Filter: &streams.ReadReq_Options_FilterOptions_StreamIdentifier{
			StreamIdentifier: &streams.ReadReq_Options_FilterOptions_Expression{Prefix: prefixes},
		},
	}}
}

func TestWhatOnlyOtherClientsAskFor(t *testing.T) {
	w := begin(t)
	for i := range 6 {
		w.append(fmt.Sprint("stream-", i%2), esdb.Any{}, notes(1)...)
	}
	newer := &streams.ReadReq_Options_ControlOption{Compatibility: 1}
	for _, test := range []struct {
		name    string
		options *streams.ReadReq_Options
		want    []string
	}{
		{"ids as text", &streams.ReadReq_Options{StreamOption: ofStream("stream-0"), CountOption: upTo(2), UuidOption: textIDs},
			[]string{"stream-0@0", "stream-0@1"}},
		{"first and last revision", &streams.ReadReq_Options{StreamOption: ofStream("stream-0"), CountOption: upTo(1), UuidOption: structuredIDs, ControlOption: newer},
			[]string{"stream-0@0", "first 0", "last 2"}},
		{"first and last revision of what is not there", &streams.ReadReq_Options{StreamOption: ofStream("x"), CountOption: upTo(1), UuidOption: textIDs, ControlOption: newer},
			[]string{"x not found"}},
		{"all, filtered", &streams.ReadReq_Options{StreamOption: fromStart, CountOption: upTo(2), UuidOption: textIDs, FilterOption: byPrefix("stream-1"), ControlOption: newer},
			[]string{"stream-1@0", "stream-1@1"}},
		{"all backward, filtered", &streams.ReadReq_Options{StreamOption: fromEnd, ReadDirection: streams.ReadReq_Options_Backwards, CountOption: upTo(2), UuidOption: textIDs, FilterOption: byPrefix("stream-1")},
			[]string{"stream-1@2", "stream-1@1"}},
	} {
		got, err := w.ask(test.options)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
}

func TestQuestionsThatMakeNoSenseAreRefused(t *testing.T) {
	w := begin(t)
	regex := func(r string, every uint32) *streams.ReadReq_Options_Filter {
		return &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{CheckpointIntervalMultiplier: every,
			Filter: &streams.ReadReq_Options_FilterOptions_EventType{EventType: &streams.ReadReq_Options_FilterOptions_Expression{Regex: r}}}}
	}
	for name, o := range map[string]*streams.ReadReq_Options{
		"nothing":                 nil,
		"no form of UUIDs":        {StreamOption: ofStream("note"), CountOption: upTo(1)},
		"an empty form of UUIDs":  {StreamOption: ofStream("note"), CountOption: upTo(1), UuidOption: &streams.ReadReq_Options_UUIDOption{}},
		"no stream":               {CountOption: upTo(1), UuidOption: textIDs},
		"a stream without name":   {StreamOption: ofStream(""), CountOption: upTo(1), UuidOption: textIDs},
		"a stream from nowhere":   {StreamOption: &streams.ReadReq_Options_Stream{Stream: &streams.ReadReq_Options_StreamOptions{StreamIdentifier: streamName("x")}}, CountOption: upTo(1), UuidOption: textIDs},
		"all from nowhere":        {StreamOption: &streams.ReadReq_Options_All{}, CountOption: upTo(1), UuidOption: textIDs},
		"no count":                {StreamOption: fromStart, UuidOption: textIDs},
		"following backward":      {StreamOption: fromStart, CountOption: following, ReadDirection: streams.ReadReq_Options_Backwards, UuidOption: textIDs},
		"sideways":                {StreamOption: fromStart, CountOption: upTo(1), ReadDirection: 7, UuidOption: textIDs},
		"a stream filtered":       {StreamOption: ofStream("note"), CountOption: upTo(1), UuidOption: textIDs, FilterOption: byPrefix("x")},
		"an empty filter":         {StreamOption: fromStart, CountOption: upTo(1), UuidOption: textIDs, FilterOption: byPrefix()},
		"a filter by nothing":     {StreamOption: fromStart, CountOption: upTo(1), UuidOption: textIDs, FilterOption: &streams.ReadReq_Options_Filter{Filter: &streams.ReadReq_Options_FilterOptions{}}},
		"a broken expression":     {StreamOption: fromStart, CountOption: upTo(1), UuidOption: textIDs, FilterOption: regex("(", 1)},
		"looking ahead":           {StreamOption: fromStart, CountOption: upTo(1), UuidOption: textIDs, FilterOption: regex("a(?!b)", 1)},
		"a multiplier of nothing": {StreamOption: fromStart, CountOption: following, UuidOption: textIDs, FilterOption: regex("a", 0)},
	} {
		if _, err := w.ask(o); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
