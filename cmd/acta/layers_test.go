package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/actahq/acta/"

// doors says which folders of this module the packages of a folder may import. nil: all of them.
var doors = map[string][]string{
	"cmd":         nil,
	"e2e":         nil,
	"api":         {"api", "commands", "projections", "domain"},
	"adapters":    {"adapters", "commands", "projections", "domain", "migrations"},
	"commands":    {"commands", "domain"},
	"projections": {"projections", "domain"},
	"domain":      {"domain"},
	"migrations":  {},
}

// homes says where alone a library may be imported.
var homes = map[string][]string{
	"github.com/uptrace/bun":                     {"projections", "adapters/database"},
	"github.com/danielgtaylor/huma":              {"api"},
	"github.com/ThreeDotsLabs/watermill":         {"adapters/relay", "commands/process"},
	"github.com/EventStore/EventStore-Client-Go": {"adapters/eventstoredb", "adapters/embedded/protocol"}, // the latter for its messages
	"github.com/kurrent-io/KurrentDB-Client-Go":  {"adapters/eventstoredb"},
	"github.com/wneessen/go-mail":                {"adapters/mail"},
	"github.com/golang-jwt/jwt":                  {"api", "adapters/oauth"}, // the latter for Apple's client secret
	"github.com/pquerna/otp":                     {"commands"},
	"github.com/boombuler/barcode":               {"api"},
	"github.com/coreos/go-oidc":                  {"adapters/oauth"},
	"golang.org/x/oauth2":                        {"adapters/oauth"},
	"github.com/nyaruka/phonenumbers":            {"api"},
}

// These names say nothing about what is inside.
var nameless = []string{"internal", "pkg", "util", "common", "models", "services"}

// Imports of tests are free: the tests of commands run on the logs of adapters.
func TestImportsFollowTheDiagram(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	output, err := list.Output()
	if err != nil {
		exit, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("go list: %v\n%s", err, exit.Stderr)
	}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		for _, breach := range breaches(strings.TrimPrefix(pkg.ImportPath, module), pkg.Imports) {
			t.Error(breach)
		}
	}
}

// breaches says which imports of the package, named by its folder, break which rule.
func breaches(folder string, imports []string) []string {
	var found []string
	say := func(format string, args ...any) {
		found = append(found, folder+" "+fmt.Sprintf(format, args...))
	}
	for _, name := range strings.Split(folder, "/") {
		if slices.Contains(nameless, name) {
			say("has a folder named %s, which says nothing about its purpose", name)
		}
	}
	layer, _, _ := strings.Cut(folder, "/")
	allowed, drawn := doors[layer]
	if !drawn {
		say("is in no layer of the diagram")
	}
	for _, path := range imports {
		inner, own := strings.CutPrefix(path, module)
		target, _, _ := strings.Cut(inner, "/")
		switch {
		case own && allowed != nil && !slices.Contains(allowed, target):
			say("imports %s, but %s may import only %v of this module", inner, layer, allowed)
		case !own && layer == "domain" && strings.Contains(target, "."):
			say("imports %s, but domain may import only the standard library", path)
		}
		for library, rooms := range homes {
			lives := func(room string) bool { return folder == room || strings.HasPrefix(folder, room+"/") }
			if strings.HasPrefix(path, library) && !slices.ContainsFunc(rooms, lives) {
				say("imports %s, whose home is %v", path, rooms)
			}
		}
	}
	return found
}

func TestBreachesOfTheDiagramAreNamed(t *testing.T) {
	for _, c := range []struct {
		folder, imports string
		want            []string
	}{
		{"domain/account", "time", nil},
		{"domain/account", module + "domain/event", nil},
		{"domain/account", "golang.org/x/text", []string{"domain/account imports golang.org/x/text, but domain may import only the standard library"}},
		{"commands", module + "projections", []string{"commands imports projections, but commands may import only [commands domain] of this module"}},
		{"projections", module + "adapters/database", []string{"projections imports adapters/database, but projections may import only [projections domain] of this module"}},
		{"adapters/mail", module + "api", []string{"adapters/mail imports api, but adapters may import only [adapters commands projections domain migrations] of this module"}},
		{"adapters/relay", "github.com/ThreeDotsLabs/watermill/message", nil},
		{"adapters/mail", "github.com/danielgtaylor/huma/v2", []string{"adapters/mail imports github.com/danielgtaylor/huma/v2, whose home is [api]"}},
		{"cmd/acta", module + "adapters/mail", nil},
		{"api/util", "net/http", []string{"api/util has a folder named util, which says nothing about its purpose"}},
		{"helpers", "net/http", []string{"helpers is in no layer of the diagram"}},
	} {
		if diff := cmp.Diff(c.want, breaches(c.folder, []string{c.imports})); diff != "" {
			t.Errorf("%s importing %s (-want +got):\n%s", c.folder, c.imports, diff)
		}
	}
}
