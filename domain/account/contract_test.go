package account_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/account"
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
	valid := regexp.MustCompile(`^account\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*$`)
	for name := range declared(t) {
		if account.Contract[name] == nil {
			t.Errorf("%s is not in the contract", name)
		}
		if !valid.MatchString(name) {
			t.Errorf("%s is not aggregate.what-happened.vN", name)
		}
	}
}

// wireName is what a golden file's name begins with. There is one for each wire name, which docs/events.md shows, and
// further ones, such as account.created.v1.by-phone, for members that do not stand together with those.
func wireName(file string) string {
	return regexp.MustCompile(`^[a-z]+\.[a-z-]+\.v[0-9]+`).FindString(file)
}

// golden gives what is stored in testdata, by the name of the file.
func golden(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]json.RawMessage{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stored[strings.TrimSuffix(filepath.Base(file), ".json")] = bytes.TrimSpace(data)
	}
	return stored
}

func read(t *testing.T, name string, data json.RawMessage) account.Event {
	t.Helper()
	e, err := account.Contract.Read(event.Recorded{Proposed: event.Proposed{Type: name, Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// write is JSON as the log gets it.
func write(t *testing.T, v any) json.RawMessage {
	t.Helper()
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

func TestEveryWireNameHasAGoldenFileThatStillReads(t *testing.T) {
	stored, today := golden(t), declared(t)
	for name := range account.Contract {
		if stored[name] == nil {
			t.Errorf("there is no testdata/%s.json", name)
		}
	}
	for file, data := range stored {
		name := wireName(file)
		e := read(t, name, data)
		if !today[name] {
			continue // retired: reading is all that is asked of it
		}
		if e.EventType() != name {
			t.Errorf("%s is read as %s", name, e.EventType())
		}
		if written := write(t, e); !bytes.Equal(written, data) {
			t.Errorf("%s changed: add a version instead.\nstored  %s\nwritten %s", file, data, written)
		}
	}
}

// A member that no golden file holds could be renamed without anybody noticing.
func TestEveryMemberStandsInAGoldenFile(t *testing.T) {
	stored := map[string]bool{}
	for file, data := range golden(t) {
		var e map[string]json.RawMessage
		if err := json.Unmarshal(data, &e); err != nil {
			t.Fatal(err)
		}
		for member := range e {
			stored[wireName(file)+" "+member] = true
		}
		var personal map[string]json.RawMessage
		if e["personal"] == nil {
			continue
		}
		if err := json.Unmarshal(e["personal"], &personal); err != nil {
			t.Fatal(err)
		}
		for member := range personal {
			stored[wireName(file)+" personal."+member] = true
		}
	}
	for name := range declared(t) {
		typ := reflect.TypeOf(read(t, name, json.RawMessage(`{}`)))
		for f := range typ.Fields() {
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !stored[name+" "+member] {
				t.Errorf("no golden file of %s holds %q", name, member)
			}
		}
		personal, ok := typ.FieldByName("Personal")
		if !ok {
			continue
		}
		for f := range personal.Type.Fields() {
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !stored[name+" personal."+member] {
				t.Errorf("no golden file of %s holds the personal %q", name, member)
			}
		}
	}
}

// impersonal is every name that may stand outside of the personal member. A new one is refused here until somebody has
// thought about whether it tells something about the person.
var impersonal = []string{
	"claim", "taking", "hold", "letGo", "emailHold", "phoneHold", // keyed hashes and random numbers
	"emailTarget", "phoneTarget", "id", // random
	"purpose",
	"locale",     // a language that a client asked for
	"secretHash", // of 1024 random bits
	"provider", "factors", "expires", "reason", "recovered",
	"accessExpires", "refreshed", "first", "emailVerified", "identity", // of what a provider said: nothing that it said
	"sessions",                                                     // ids
	"on", "challenged", "factor", "session", "step", "code", "set", // of second factors: an index, a number of half minutes
}

func TestPersonalDataStandUnderPersonalAndNowhereElse(t *testing.T) {
	for name := range declared(t) {
		// The event with a canary in every personal text.
		e := reflect.New(reflect.TypeOf(read(t, name, json.RawMessage(`{}`)))).Elem()
		if personal := e.FieldByName("Personal"); personal.IsValid() {
			for i := range personal.NumField() {
				switch f := personal.Field(i); f.Interface().(type) {
				case json.RawMessage:
					f.SetBytes([]byte(`{"pet":"canary"}`))
				default:
					f.SetString("canary")
				}
			}
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(write(t, e.Interface()), &members); err != nil {
			t.Fatal(err)
		}
		if e.FieldByName("Personal").IsValid() && !strings.Contains(string(members["personal"]), "canary") {
			t.Errorf("%s: personal holds %s", name, members["personal"])
		}
		delete(members, "personal")
		for member, value := range members {
			if strings.Contains(string(value), "canary") {
				t.Errorf("%s: %s holds personal data", name, member)
			}
		}
	}
}

func TestNothingNewStandsOutsideOfPersonal(t *testing.T) {
	for name, data := range golden(t) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		delete(members, "personal")
		for _, member := range slices.Sorted(maps.Keys(members)) {
			if !slices.Contains(impersonal, member) {
				t.Errorf("%s: does %q tell something about the person?", name, member)
			}
		}
	}
	for name := range declared(t) {
		for f := range reflect.TypeOf(read(t, name, json.RawMessage(`{}`))).Fields() {
			member, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if member != "personal" && !slices.Contains(impersonal, member) {
				t.Errorf("%s: does %q tell something about the person?", name, member)
			}
		}
	}
}

// What is left of a person who was forgotten: events without their personal member.
func TestAForgottenPersonsEventsStillRead(t *testing.T) {
	for name, data := range golden(t) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		if members["personal"] == nil {
			continue
		}
		for _, left := range []json.RawMessage{nil, json.RawMessage(`null`), json.RawMessage(`{}`)} {
			delete(members, "personal")
			if left != nil {
				members["personal"] = left
			}
			e := read(t, wireName(name), write(t, members))
			_ = account.Account{}.Evolve(noon, e)
		}
	}
}
