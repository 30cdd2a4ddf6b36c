package database

import (
	"path/filepath"
	"testing"

	"github.com/actahq/acta/domain/event"
)

func TestCheckpointsOutliveTheProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "processes.db")
	c, err := OpenCheckpoints(path)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := c.Load(t.Context(), "claims"); err != nil || at != (event.Position{}) {
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
	if at, err := c.Load(t.Context(), "claims"); err != nil || at != (event.Position{Commit: 12, Prepare: 9}) {
		t.Fatalf("it goes on from %v, %v", at, err)
	}
}
