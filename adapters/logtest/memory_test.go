package logtest_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryIsALog(t *testing.T) {
	logtest.Run(t, func(*testing.T) logtest.Log { return logtest.NewMemory() })
}

func TestMemoryFailsWhenAskedTo(t *testing.T) {
	m := logtest.NewMemory()
	lost := errors.New("lost")
	events := []event.Proposed{{ID: event.ID{1}, Type: "note.written.v1"}}

	m.BeforeAppend = func(string, []event.Proposed) error { return lost }
	if _, err := m.Append(t.Context(), "note", event.NoStream, events); !errors.Is(err, lost) {
		t.Fatalf("before: got %v, want %v", err, lost)
	}
	if there, err := m.Read(t.Context(), "note", event.Start, event.Forward, 10); len(there) != 0 || err != nil {
		t.Fatalf("before: %d events were stored, %v", len(there), err)
	}

	m.BeforeAppend, m.AfterAppend = nil, func(string, []event.Proposed) error { return lost }
	if _, err := m.Append(t.Context(), "note", event.NoStream, events); !errors.Is(err, lost) {
		t.Fatalf("after: got %v, want %v", err, lost)
	}
	if there, err := m.Read(t.Context(), "note", event.Start, event.Forward, 10); len(there) != 1 || err != nil {
		t.Fatalf("after: %d events are stored, %v", len(there), err)
	}

	m.AfterAppend = nil
	receipt, err := m.Append(t.Context(), "note", event.NoStream, events)
	if head, _ := m.Head(t.Context()); err != nil || receipt.Revision != 0 || receipt.Position != head {
		t.Fatalf("again: %+v, %v", receipt, err)
	}
}
