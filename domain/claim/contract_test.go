package claim_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
)

// declared gives the wire names of the events that the package's source declares: EventType methods that return a text.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	method := regexp.MustCompile(`\) EventType\(\) string \{\s*return "([^"]+)"`)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range method.FindAllSubmatch(source, -1) {
			names[string(m[1])] = true
		}
	}
	if len(names) == 0 {
		t.Fatal("no events were found in the source")
	}
	return names
}

func TestEveryEventIsInTheContract(t *testing.T) {
	for name := range declared(t) {
		if claim.Contract[name] == nil {
			t.Errorf("%s is not in the contract", name)
		}
	}
}

func TestEveryWireNameHasAGoldenFileThatStillReads(t *testing.T) {
	isToday := declared(t)
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	golden := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		golden[name] = true
		stored, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := claim.Contract.Read(event.Recorded{Proposed: event.Proposed{Type: name, Data: stored}})
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if !isToday[name] {
			continue // retired: reading is all that is asked of it
		}
		written, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if stored = bytes.TrimSpace(stored); !bytes.Equal(written, stored) {
			t.Errorf("%s changed: add a version instead.\nstored  %s\nwritten %s", name, stored, written)
		}
	}
	for name := range claim.Contract {
		if !golden[name] {
			t.Errorf("there is no testdata/%s.json", name)
		}
	}
}
