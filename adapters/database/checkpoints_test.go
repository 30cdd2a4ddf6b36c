package database

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

func TestCheckpointsOutliveTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes.db")
	c, err := OpenCheckpoints(path)
	if err != nil {
		t.Fatal(err)
	}
	if at, seen, err := c.Load(t.Context(), "claims"); err != nil || seen || at != (event.Position{}) {
		t.Fatalf("a process never seen begins at %v, %v", at, err)
	}
	for _, at := range []event.Position{event.At(7), {Commit: 12, Prepare: 9}} {
		if err := c.Save(t.Context(), "claims", at); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = OpenCheckpoints(path); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if at, seen, err := c.Load(t.Context(), "claims"); err != nil || !seen || at != (event.Position{Commit: 12, Prepare: 9}) {
		t.Fatalf("it goes on from %v, %v", at, err)
	}
}

// What a process has left behind is kept once, and counted.
func TestEventsThatAreSetAsideAreKept(t *testing.T) {
	file, err := OpenCheckpoints(filepath.Join(t.TempDir(), "processes.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]interface {
		SetAside(context.Context, process.Aside) error
		CountAside(context.Context) (map[string]int, error)
	}{"SQLite": file, "Postgres": instances(t, 1)[0].Checkpoints()} {
		a := process.Aside{Process: "departures", Position: event.At(7), Stream: "account-web.ada", Revision: 3, Type: "account.deleted.v9", Reason: "unreadable", At: time.Now()}
		b := a
		b.Position = event.At(8)
		for _, each := range []process.Aside{a, b, a} {
			if err := c.SetAside(t.Context(), each); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got, err := c.CountAside(t.Context()); err != nil || len(got) != 1 || got["departures"] != 2 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

// An empty log ends where every log begins: a process that began there has been seen all the same.
func TestAProcessBeginsOnce(t *testing.T) {
	file, err := OpenCheckpoints(filepath.Join(t.TempDir(), "processes.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]process.Checkpoints{"SQLite": file, "Postgres": instances(t, 1)[0].Checkpoints()} {
		for _, at := range []event.Position{{}, event.At(7)} {
			if err := c.Begin(t.Context(), "letters", at); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, seen, err := c.Load(t.Context(), "letters"); err != nil || !seen || got != (event.Position{}) {
				t.Errorf("%s: after %s it begins at %s, %t, %v", name, at, got, seen, err)
			}
		}
		if err := c.Save(t.Context(), "letters", event.At(8)); err != nil {
			t.Fatal(err)
		}
		if err := c.Begin(t.Context(), "letters", event.At(9)); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Load(t.Context(), "letters"); err != nil || got != event.At(8) {
			t.Errorf("%s: it goes on from %s, %v", name, got, err)
		}
	}
}
