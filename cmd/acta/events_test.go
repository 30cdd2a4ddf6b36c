package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/events.md")

// docs/events.md is made from what stands beside the events in the code, so that it cannot tell anything else.
func TestTheListOfEventsIsUpToDate(t *testing.T) {
	var b bytes.Buffer
	fmt.Fprint(&b, "# Events\n\nEvery event that the log holds, by its wire name. Made by `go test ./cmd/acta -run Events -update` from the code and its golden files.\n\n"+
		"An event is data and metadata, both JSON. What is personal stands in the member `personal` and is sealed in the log; here it is open. "+
		"[`domain/event/metadata.go`](../domain/event/metadata.go) describes the metadata.\n")
	for _, aggregate := range []string{"account", "claim", "visit"} {
		fmt.Fprintf(&b, "\n## %s\n", aggregate)
		for _, e := range eventsOf(t, filepath.Join("..", "..", "domain", aggregate)) {
			fmt.Fprintf(&b, "\n### `%s`\n\n%s\n\n```json\n%s\n```\n", e.wire, e.story, e.golden)
		}
	}
	path := filepath.Join("..", "..", "docs", "events.md")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("docs/events.md tells something else than the code; run: go test ./cmd/acta -run Events -update (%v)", err)
	}
}

type documentedEvent struct{ wire, story, golden string }

func eventsOf(t *testing.T, dir string) []documentedEvent {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		p, err := parser.ParseFile(set, f, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, p)
	}
	pkg, err := doc.NewFromFiles(set, parsed, "example.com/"+dir, doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	var events []documentedEvent
	for _, typ := range pkg.Types {
		for _, m := range typ.Methods {
			if m.Name != "EventType" {
				continue
			}
			// The method is one return of one string.
			literal := m.Decl.Body.List[0].(*ast.ReturnStmt).Results[0].(*ast.BasicLit)
			wire, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			golden, err := os.ReadFile(filepath.Join(dir, "testdata", wire+".json"))
			if err != nil {
				t.Fatal(err)
			}
			_, story, _ := strings.Cut(strings.Join(strings.Fields(typ.Doc), " "), ": ")
			events = append(events, documentedEvent{wire, strings.ToUpper(story[:1]) + story[1:], strings.TrimSpace(string(golden))})
		}
	}
	slices.SortFunc(events, func(x, y documentedEvent) int { return strings.Compare(x.wire, y.wire) })
	return events
}
