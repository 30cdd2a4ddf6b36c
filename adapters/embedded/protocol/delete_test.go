package protocol

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

func (w *world) delete(stream string, expected esdb.ExpectedRevision) error {
	_, err := w.client.DeleteStream(w.ctx, stream, esdb.DeleteStreamOptions{ExpectedRevision: expected})
	return err
}

func (w *world) tombstone(stream string, expected esdb.ExpectedRevision) error {
	_, err := w.client.TombstoneStream(w.ctx, stream, esdb.TombstoneStreamOptions{ExpectedRevision: expected})
	return err
}

func (w *world) ok(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

func TestADeletedStreamIsNotFoundUntilItComesBack(t *testing.T) {
	for name, expected := range map[string]esdb.ExpectedRevision{"any": esdb.Any{}, "no stream": esdb.NoStream{}, "its revision": esdb.Revision(2)} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			first, second := notes(3), notes(2)
			w.append("note", esdb.NoStream{}, first...)
			w.ok("delete", w.delete("note", esdb.Revision(2)))
			w.ok("delete again", w.delete("note", esdb.Any{}))
			for _, dir := range []esdb.Direction{esdb.Forwards, esdb.Backwards} {
				_, err := w.tryRead("note", esdb.ReadStreamOptions{From: esdb.End{}, Direction: dir}, 10)
				w.is("read", err, esdb.ErrorCodeResourceNotFound)
			}
			if there, err := w.log.Read(t.Context(), "note", event.Start, event.Forward, 10); err != nil || len(there) != 0 {
				t.Errorf("the port reads %d events, %v", len(there), err)
			}
			w.is("asked to exist", w.tryAppend("note", esdb.StreamExists{}, notes(1)...), esdb.ErrorCodeStreamDeleted)
			w.is("another revision", w.tryAppend("note", esdb.Revision(1), notes(1)...), esdb.ErrorCodeWrongExpectedVersion)

			if got := w.append("note", expected, second...).NextExpectedVersion; got != 4 {
				t.Errorf("it comes back at %d", got)
			}
			if got := w.append("note", expected, second...).NextExpectedVersion; got != 4 {
				t.Errorf("the same once more: %d", got)
			}
			if diff := cmp.Diff(proposedIDs(second), ids(w.read("note"))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff([]uint64{3, 4}, revisions(w.read("note"))); diff != "" {
				t.Error(diff)
			}
			meta, err := w.client.GetStreamMetadata(w.ctx, "note", esdb.ReadStreamOptions{})
			if err != nil || *meta.TruncateBefore() != 3 {
				t.Errorf("metadata: %+v, %v", meta, err)
			}
			all, err := drain(w.client.ReadAll(w.ctx, esdb.ReadAllOptions{From: esdb.Start{}}, 100))
			if err != nil || len(all) != 7 || all[3].StreamID != "$$note" || all[3].EventType != "$metadata" || string(all[3].Data) != `{"$tb":9223372036854775807}` {
				t.Errorf("the log holds %d events, %v", len(all), err)
			}
		})
	}
}

func TestATombstoneIsForEver(t *testing.T) {
	dir := memory(t)
	log := openLog(t, dir)
	address, stop := serve(t, New(log))
	w := &world{t, t.Context(), log, address, dial(t, "esdb://"+address+"?tls=false")}
	w.append("note", esdb.NoStream{}, notes(2)...)
	sub := w.followStream("note", esdb.Start{})
	told(sub, "caught up")
	w.ok("tombstone", w.tombstone("note", esdb.Revision(1)))
	if diff := cmp.Diff([]string{"note@9223372036854775807", "dropped: FailedPrecondition"}, told(sub, "")); diff != "" {
		t.Errorf("its follower was told:\n%s", diff)
	}
	check := func() {
		t.Helper()
		for name, err := range map[string]error{
			"append":              w.tryAppend("note", esdb.Any{}, notes(1)...),
			"append to no stream": w.tryAppend("note", esdb.NoStream{}, notes(1)...),
			"append nothing":      w.tryAppend("note", esdb.Any{}),
			"set metadata":        w.tryAppend("$$note", esdb.Any{}, notes(1)...),
			"delete":              w.delete("note", esdb.Any{}),
			"tombstone":           w.tombstone("note", esdb.Any{}),
		} {
			w.is(name, err, esdb.ErrorCodeStreamDeleted)
		}
		for _, stream := range []string{"note", "$$note"} {
			_, err := w.tryRead(stream, esdb.ReadStreamOptions{}, 10)
			w.is("read "+stream, err, esdb.ErrorCodeStreamDeleted)
		}
		_, err := w.client.SubscribeToStream(w.ctx, "note", esdb.SubscribeToStreamOptions{})
		w.is("subscribe", err, esdb.ErrorCodeStreamDeleted)
		if there, err := w.log.Read(t.Context(), "note", event.End, event.Backward, 10); err != nil || len(there) != 0 {
			t.Errorf("the port reads %d events, %v", len(there), err)
		}
		for _, expected := range []int64{event.NoStream, 1, event.End} {
			e := event.Proposed{ID: event.ID{1}, Type: "x"}
			if _, err := w.log.Append(t.Context(), "note", expected, []event.Proposed{e}); !errors.Is(err, embedded.ErrDeleted) {
				t.Errorf("the port appends at %d: %v", expected, err)
			}
		}
		all, err := drain(w.client.ReadAll(w.ctx, esdb.ReadAllOptions{From: esdb.End{}, Direction: esdb.Backwards}, 2))
		if err != nil || all[0].EventType != "$streamDeleted" || all[0].EventNumber != 1<<63-1 || all[1].StreamID != "note" {
			t.Errorf("the log ends with %+v, %v", all, err)
		}
	}
	check()
	stop()
	log.Close()
	w.log = openLog(t, dir)
	w.address, _ = serve(t, New(w.log))
	w.client = dial(t, "esdb://"+w.address+"?tls=false")
	check()
	w.ok("one that never was", w.tombstone("never", esdb.NoStream{}))
	w.is("append to it", w.tryAppend("never", esdb.Any{}, notes(1)...), esdb.ErrorCodeStreamDeleted)
}

func TestDeletingAtAnotherRevisionSaysWhereTheStreamIs(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(3)...)
	client := streams.NewStreamsClient(w.raw())
	at := &streams.DeleteReq_Options_Revision{Revision: 1}
	any := &streams.DeleteReq_Options_Any{Any: &shared.Empty{}}
	for _, test := range []struct {
		name             string
		options          *streams.DeleteReq_Options
		expected, actual string
	}{
		{"another revision", &streams.DeleteReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamRevision: at}, "1", "2"},
		{"no stream", &streams.DeleteReq_Options{StreamIdentifier: streamName("note"), ExpectedStreamRevision: &streams.DeleteReq_Options_NoStream{NoStream: &shared.Empty{}}}, "-1", "2"},
		{"never was", &streams.DeleteReq_Options{StreamIdentifier: streamName("x"), ExpectedStreamRevision: any}, "-2", "-1"},
		{"never was, at a revision", &streams.DeleteReq_Options{StreamIdentifier: streamName("x"), ExpectedStreamRevision: at}, "1", "-1"},
		{"never was, asked to exist", &streams.DeleteReq_Options{StreamIdentifier: streamName("x"), ExpectedStreamRevision: &streams.DeleteReq_Options_StreamExists{StreamExists: &shared.Empty{}}}, "-4", "-1"},
	} {
		var trailer metadata.MD
		_, err := client.Delete(w.ctx, &streams.DeleteReq{Options: test.options}, grpc.Trailer(&trailer))
		got := []string{status.Code(err).String()}
		for _, key := range []string{"exception", "stream-name", "expected-version", "actual-version"} {
			got = append(got, strings.Join(trailer.Get(key), ","))
		}
		want := []string{codes.FailedPrecondition.String(), "wrong-expected-version", string(test.options.StreamIdentifier.StreamName), test.expected, test.actual}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", test.name, diff)
		}
	}
	if _, err := client.Delete(w.ctx, &streams.DeleteReq{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("nothing: %v", err)
	}
	if n := len(w.read("note")); n != 3 {
		t.Errorf("%d events are left", n)
	}
}

func (w *world) describe(stream string, change func(*esdb.StreamMetadata)) {
	w.Helper()
	var m esdb.StreamMetadata
	change(&m)
	if _, err := w.client.SetStreamMetadata(w.ctx, stream, esdb.AppendToStreamOptions{}, m); err != nil {
		w.Fatal(err)
	}
}

func TestMetadataLimitWhatCanBeRead(t *testing.T) {
	now := time.Now()
	dir := memory(t)
	log := openLog(t, dir, embedded.WithClock(func() time.Time { return now }))
	address, _ := serve(t, New(log))
	w := &world{t, t.Context(), log, address, dial(t, "esdb://"+address+"?tls=false")}
	sees := func(what string, want ...uint64) {
		t.Helper()
		if diff := cmp.Diff(append([]uint64{}, want...), revisions(w.read("note"))); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
		back, err := w.tryRead("note", esdb.ReadStreamOptions{From: esdb.End{}, Direction: esdb.Backwards}, 100)
		if err != nil || len(back) != len(want) || len(want) > 0 && back[0].EventNumber != want[len(want)-1] {
			t.Errorf("%s, backward: %v, %v", what, revisions(back), err)
		}
	}
	for range 10 {
		w.append("note", esdb.Any{}, notes(1)...)
		now = now.Add(time.Minute)
	}
	_, err := w.client.GetStreamMetadata(w.ctx, "note", esdb.ReadStreamOptions{})
	w.is("no metadata", errors.Unwrap(err), esdb.ErrorCodeResourceNotFound)
	w.describe("note", func(m *esdb.StreamMetadata) { m.SetMaxCount(3) })
	sees("at most three", 7, 8, 9)
	w.append("note", esdb.Revision(9), notes(1)...)
	sees("and one more", 8, 9, 10)
	now = now.Add(time.Minute)
	w.describe("note", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(5) })
	sees("truncated", 5, 6, 7, 8, 9, 10)
	w.describe("note", func(m *esdb.StreamMetadata) { m.SetMaxAge(2*time.Minute + time.Second); m.SetMaxCount(4) })
	sees("not older than two minutes", 9, 10)
	now = now.Add(time.Hour)
	sees("all too old")
	w.describe("note", func(m *esdb.StreamMetadata) { m.SetTruncateBefore(100) })
	sees("truncated beyond its end")
	w.append("$$note", esdb.Any{}, notes(1)...)
	sees("metadata that say nothing", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	if n := len(w.read("$$note")); n != 1 {
		t.Errorf("%d metadata can be read", n)
	}
	w.describe("note", func(m *esdb.StreamMetadata) { m.SetMaxCount(2) })
	log.Close()
	w.log = openLog(t, dir)
	w.address, _ = serve(t, New(w.log))
	w.client = dial(t, "esdb://"+w.address+"?tls=false")
	sees("after a restart", 9, 10)
	if diff := cmp.Diff([]string{"note@9", "note@10", "caught up"}, told(w.followStream("note", esdb.Start{}), "caught up")); diff != "" {
		t.Error(diff)
	}
	// A stream that is described but has no events can be asked to exist.
	w.describe("empty", func(m *esdb.StreamMetadata) { m.SetMaxCount(2) })
	w.append("empty", esdb.StreamExists{}, notes(3)...)
}
