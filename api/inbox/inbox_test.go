package inbox

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func ids(i *Inbox) (ids []string) {
	for _, m := range i.Messages() {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestTheNewestStandsFirst(t *testing.T) {
	i := New(true, true)
	if got := i.Messages(); len(got) != 0 {
		t.Errorf("a new inbox holds %+v", got)
	}
	for _, id := range []string{"a", "b", "c"} {
		i.Keep(Message{ID: id})
	}
	if diff := cmp.Diff([]string{"c", "b", "a"}, ids(i)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALetterDeliveredAgainIsThereOnce(t *testing.T) {
	i := New(true, true)
	for _, m := range []Message{{ID: "a", Subject: "first"}, {ID: "b"}, {ID: "a", Subject: "again"}} {
		i.Keep(m)
	}
	if diff := cmp.Diff([]Message{{ID: "b"}, {ID: "a", Subject: "again"}}, i.Messages()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThe201stDropsTheOldest(t *testing.T) {
	i := New(true, true)
	for n := range 201 {
		i.Keep(Message{ID: fmt.Sprint(n)})
	}
	i.Keep(Message{ID: "7"}) // again, so nothing has to go for it
	got := ids(i)
	if len(got) != 200 || got[0] != "200" || got[199] != "1" {
		t.Errorf("%d messages: %v", len(got), got)
	}
}

func TestWhatWasReadDoesNotChange(t *testing.T) {
	i := New(true, true)
	i.Keep(Message{ID: "a"})
	before := i.Messages()
	i.Keep(Message{ID: "a", Subject: "again"})
	before[0].To = "changed by the reader"
	if got := i.Messages()[0]; before[0].Subject != "" || got.To != "" {
		t.Errorf("reader has %+v, inbox %+v", before[0], got)
	}
}

func TestManyKeepAndReadAtOnce(t *testing.T) {
	i := New(true, true)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for n := range 100 {
				i.Keep(Message{ID: fmt.Sprint(g, "-", n)})
				i.Messages()
			}
		})
	}
	all.Wait()
	if n := len(i.Messages()); n != 200 {
		t.Errorf("%d messages", n)
	}
}
