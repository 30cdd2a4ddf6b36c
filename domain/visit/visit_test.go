package visit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/visit"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func begun() visit.Begun {
	return visit.Begun{Provider: "github", Way: "sealed", Browser: "hash", Expires: noon.Add(visit.Lifetime)}
}

func fold(events ...visit.Event) (v visit.Visit) {
	for _, e := range events {
		v = v.Evolve(noon, e)
	}
	return v
}

func list(events ...visit.Event) []visit.Event { return events }

func TestDecisions(t *testing.T) {
	other, byServer := begun(), begun()
	other.Way, byServer.Browser = "sealed otherwise", ""
	begin := func(e visit.Begun) func(visit.Visit) ([]visit.Event, error) {
		return func(v visit.Visit) ([]visit.Event, error) { return v.Begin(e) }
	}
	end := func(provider, browser string, after time.Duration) func(visit.Visit) ([]visit.Event, error) {
		return func(v visit.Visit) ([]visit.Event, error) { return v.End(provider, browser, noon.Add(after)) }
	}
	for _, c := range []struct {
		name    string
		given   []visit.Event
		decide  func(visit.Visit) ([]visit.Event, error)
		then    []visit.Event
		refused error
	}{
		{name: "somebody goes", decide: begin(begun()), then: list(begun())},
		{name: "asked again they are on the way already", given: list(begun()), decide: begin(begun())},
		{name: "a state is nobody else's", given: list(begun()), decide: begin(other), refused: visit.ErrUnknown},
		{name: "they come back", given: list(begun()), decide: end("github", "hash", 0), then: list(visit.Ended{})},
		{name: "in the last moment", given: list(begun()), decide: end("github", "hash", visit.Lifetime-1), then: list(visit.Ended{})},
		{name: "too late", given: list(begun()), decide: end("github", "hash", visit.Lifetime), refused: visit.ErrUnknown},
		{name: "twice", given: list(begun(), visit.Ended{}), decide: end("github", "hash", 0), refused: visit.ErrUnknown},
		{name: "from elsewhere", given: list(begun()), decide: end("google", "hash", 0), refused: visit.ErrUnknown},
		{name: "with another browser", given: list(begun()), decide: end("github", "hush", 0), refused: visit.ErrUnknown},
		{name: "with none", given: list(begun()), decide: end("github", "", 0), refused: visit.ErrUnknown},
		{name: "who never went", decide: end("", "", 0), refused: visit.ErrUnknown},
		{name: "whom a server sent, with any", given: list(byServer), decide: end("github", "hush", 0), then: list(visit.Ended{})},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := fold(c.given...)
			events, err := c.decide(v)
			if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			for _, e := range events {
				v = v.Evolve(noon, e)
			}
			if again, _ := c.decide(v); len(again) != 0 {
				t.Errorf("asked again it added %v", again)
			}
		})
	}
}

func TestEveryWireNameHasAGoldenFileThatStillReads(t *testing.T) {
	for name := range visit.Contract {
		stored, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Error(err)
			continue
		}
		e, err := visit.Contract.Read(event.Recorded{Proposed: event.Proposed{Type: name, Data: stored}})
		if err != nil || e.EventType() != name {
			t.Fatalf("%s is read as %v: %v", name, e, err)
		}
		if written, _ := json.Marshal(e); !bytes.Equal(written, bytes.TrimSpace(stored)) {
			t.Errorf("%s changed: add a version instead.\nstored  %s\nwritten %s", name, stored, written)
		}
	}
}
