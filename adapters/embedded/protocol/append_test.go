package protocol

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

func TestWhatWasAppendedIsReadAsItWas(t *testing.T) {
	w := begin(t)
	before := time.Now().Truncate(time.Microsecond)
	events := []esdb.EventData{
		note("one"),
		{EventID: uuid.New(), EventType: "image", ContentType: esdb.ContentTypeBinary, Data: []byte{0, 255, 1}, Metadata: []byte("not JSON")},
		{EventID: uuid.New(), EventType: "looks like JSON", ContentType: esdb.ContentTypeBinary, Data: []byte(`{}`)},
		{EventID: uuid.New(), EventType: "marked", ContentType: esdb.ContentTypeJson, Data: []byte(`1`), Metadata: []byte{0, 'b', 3}},
		{EventID: uuid.New(), EventType: "empty", ContentType: esdb.ContentTypeJson},
	}
	result := w.append("ä/1", esdb.NoStream{}, events...)
	if result.NextExpectedVersion != 4 || result.CommitPosition != 5 || result.PreparePosition != 5 {
		t.Errorf("result: %+v", result)
	}
	got := w.read("ä/1")
	if len(got) != len(events) {
		t.Fatalf("%d events were read", len(got))
	}
	for i, e := range got {
		contentType := "application/json"
		if events[i].ContentType == esdb.ContentTypeBinary {
			contentType = "application/octet-stream"
		}
		if e.EventID != events[i].EventID || e.EventType != events[i].EventType || e.ContentType != contentType ||
			!bytes.Equal(e.Data, events[i].Data) || !bytes.Equal(e.UserMetadata, events[i].Metadata) ||
			e.StreamID != "ä/1" || e.EventNumber != uint64(i) || e.Position != (esdb.Position{Commit: uint64(i) + 1, Prepare: uint64(i) + 1}) {
			t.Errorf("event %d: %+v", i, e)
		}
		if e.CreatedDate.Before(before) || e.CreatedDate.After(time.Now()) {
			t.Errorf("event %d was created at %s", i, e.CreatedDate)
		}
	}
}

func TestAnExpectedRevisionIsMetOrConflicts(t *testing.T) {
	for _, test := range []struct {
		expected esdb.ExpectedRevision
		there    int // events in the stream before
		conflict bool
	}{
		{esdb.NoStream{}, 0, false},
		{esdb.NoStream{}, 1, true},
		{esdb.Any{}, 0, false},
		{esdb.Any{}, 3, false},
		{esdb.StreamExists{}, 0, true},
		{esdb.StreamExists{}, 1, false},
		{esdb.Revision(0), 0, true},
		{esdb.Revision(0), 1, false},
		{esdb.Revision(0), 2, true},
		{esdb.Revision(1), 2, false},
		{esdb.Revision(2), 2, true},
		{esdb.Revision(1<<63 - 1), 2, true},
	} {
		t.Run(fmt.Sprintf("%T %v of %d", test.expected, test.expected, test.there), func(t *testing.T) {
			w := begin(t)
			if test.there > 0 {
				w.append("note", esdb.NoStream{}, notes(test.there)...)
			}
			err := w.tryAppend("note", test.expected, notes(2)...)
			want := test.there + 2
			if test.conflict {
				w.is("append", err, esdb.ErrorCodeWrongExpectedVersion)
				want = test.there
			} else if err != nil {
				t.Fatal(err)
			}
			got, err := w.tryRead("note", esdb.ReadStreamOptions{}, 100)
			if want > 0 && err != nil || len(got) != want {
				t.Errorf("%d events are there, want %d: %v", len(got), want, err)
			}
		})
	}
}

func TestTheSameIDsAgainAreStoredOnce(t *testing.T) {
	first, second, third, other := notes(2), notes(3), notes(1), notes(1)
	for _, test := range []struct {
		name     string
		expected esdb.ExpectedRevision
		events   []esdb.EventData
		revision uint64
		conflict bool
	}{
		{"no stream", esdb.NoStream{}, first, 1, false},
		{"a revision, further back", esdb.Revision(1), second, 4, false},
		{"the beginning of it", esdb.Revision(1), second[:2], 3, false},
		{"any", esdb.Any{}, first, 1, false},
		{"stream exists", esdb.StreamExists{}, second, 4, false},
		{"any, the last one", esdb.Any{}, third, 5, false},
		{"any, the first is new", esdb.Any{}, []esdb.EventData{other[0], second[0]}, 7, false},
		{"any, a later one is new", esdb.Any{}, []esdb.EventData{second[0], other[0]}, 0, true},
		{"another first id", esdb.Revision(1), append(notes(1), second[1:]...), 0, true},
		{"another last id", esdb.Revision(1), append(second[:2:2], notes(1)...), 0, true},
		{"one more than is there", esdb.Revision(4), append(third, notes(1)...), 0, true},
		{"nothing, behind", esdb.Revision(1), nil, 0, true},
		{"nothing, ahead", esdb.Revision(99), nil, 0, true},
		{"nothing at the end", esdb.Revision(5), nil, 5, false},
		{"nothing, any", esdb.Any{}, nil, 5, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := begin(t)
			for i, events := range [][]esdb.EventData{first, second, third} {
				w.append("note", []esdb.ExpectedRevision{esdb.NoStream{}, esdb.Revision(1), esdb.Any{}}[i], events...)
			}
			if test.conflict {
				w.is("append", w.tryAppend("note", test.expected, test.events...), esdb.ErrorCodeWrongExpectedVersion)
			} else if got := w.append("note", test.expected, test.events...); got.NextExpectedVersion != test.revision {
				t.Errorf("the stream is at %d, want %d", got.NextExpectedVersion, test.revision)
			}
			stored := 6
			if test.revision > 5 {
				stored = int(test.revision) + 1
			}
			if n := len(w.read("note")); n != stored {
				t.Errorf("%d events are stored, want %d", n, stored)
			}
		})
	}
}

func TestIDsOfAnotherStreamAreOtherEvents(t *testing.T) {
	w := begin(t)
	events := notes(2)
	w.append("one", esdb.Any{}, events...)
	w.append("two", esdb.Any{}, events...)
	if diff := cmp.Diff(proposedIDs(events), ids(w.read("two"))); diff != "" {
		t.Error(diff)
	}
}

func TestAnAppendWithoutEventsChangesNothing(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.Any{})
	w.append("note", esdb.NoStream{})
	_, err := w.tryRead("note", esdb.ReadStreamOptions{}, 10)
	w.is("read", err, esdb.ErrorCodeResourceNotFound)
}

func TestALargeAppendIsRefusedWithItsReason(t *testing.T) {
	w := begin(t)
	large := func(n int) esdb.EventData {
		e := note("")
		e.Data = []byte(`"` + strings.Repeat("x", n) + `"`)
		return e
	}
	for name, events := range map[string][]esdb.EventData{
		"one event over the limit":   {large(event.MaxAppend)},
		"many that are over it":      {large(400_000), large(400_000), large(400_000)},
		"as large as a message gets": {large(16 << 20)},
		"more than a message each":   {large(16 << 20), large(16 << 20)},
	} {
		if err := w.tryAppend("note", esdb.Any{}, events...); err == nil || !strings.Contains(err.Error(), "InvalidArgument") || !strings.Contains(err.Error(), "at most 1048576 bytes") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.append("note", esdb.NoStream{}, large(event.MaxAppend-1000))
}

func TestWhatNoLogStoresIsRefused(t *testing.T) {
	w := begin(t)
	typed := func(name string) esdb.EventData {
		e := note("")
		e.EventType = name
		return e
	}
	for name, err := range map[string]error{
		"no stream name":     w.tryAppend("", esdb.Any{}, note("")),
		"a long stream name": w.tryAppend(strings.Repeat("x", 256), esdb.Any{}, note("")),
		"a name not UTF-8":   w.tryAppend("\xff", esdb.Any{}, note("")),
		"no type":            w.tryAppend("note", esdb.Any{}, typed("")),
		"a long type":        w.tryAppend("note", esdb.Any{}, typed(strings.Repeat("x", 129))),
		"not a revision":     w.tryAppend("note", esdb.Revision(1<<63), note("")),
	} {
		if err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.is("append to $all", w.tryAppend("$all", esdb.Any{}, note("")), esdb.ErrorCodeAccessDenied)
}
