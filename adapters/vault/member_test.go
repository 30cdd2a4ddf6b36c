package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplaceAndRemoveTouchOnlyTheMember(t *testing.T) {
	for _, c := range []struct{ text, replaced, removed string }{
		{`{"personal":{"a":1}}`, `{"personal":"S"}`, `{}`},
		{` { "personal" : {"a":1} } `, ` { "personal" : "S" } `, ` {} `},
		{`{"personal":{},"z":1}`, `{"personal":"S","z":1}`, `{"z":1}`},
		{`{"z":1,"personal":{}}`, `{"z":1,"personal":"S"}`, `{"z":1}`},
		{`{"z":1, "personal":{} ,"y":2}`, `{"z":1, "personal":"S" ,"y":2}`, `{"z":1,"y":2}`},
		{"{\n\t\"z\": [],\n\t\"personal\": {\"b\": \"}\\\"\"}\n}", "{\n\t\"z\": [],\n\t\"personal\": \"S\"\n}", "{\n\t\"z\": []}"},
		{`{"a":{"personal":{"x":1}},"b":["personal",{"personal":2}],"c":"\"personal\":{}","personal":{"personal":3}}`,
			`{"a":{"personal":{"x":1}},"b":["personal",{"personal":2}],"c":"\"personal\":{}","personal":"S"}`,
			`{"a":{"personal":{"x":1}},"b":["personal",{"personal":2}],"c":"\"personal\":{}"}`},
		{`{"a":-1.5e+3,"b":true,"c":null,"personal":null}`, `{"a":-1.5e+3,"b":true,"c":null,"personal":"S"}`, `{"a":-1.5e+3,"b":true,"c":null}`},
	} {
		m, err := find([]byte(c.text))
		if err != nil || m.absent() {
			t.Errorf("%s: found %v, %v", c.text, m, err)
			continue
		}
		if diff := cmp.Diff(c.replaced, string(m.replace([]byte(c.text), []byte(`"S"`)))); diff != "" {
			t.Errorf("%s: replaced (-want +got):\n%s", c.text, diff)
		}
		if diff := cmp.Diff(c.removed, string(m.remove([]byte(c.text)))); diff != "" {
			t.Errorf("%s: removed (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestMemberIsNotFoundWhereItIsNot(t *testing.T) {
	for _, text := range []string{
		`{}`, ` {} `, `{"a":"personal"}`, `{"a":{"personal":{}}}`, `{"a":[{"personal":{}}]}`, `{"a":"\"personal\":{}"}`,
		`{"a":"\\","b":"personal"}`, `{"person":{},"personals":{},"\"personal":1,"":{}}`,
		``, ` `, `null`, `[{"personal":{}}]`, `"personal"`,
	} {
		if m, err := find([]byte(text)); err != nil || !m.absent() {
			t.Errorf("%s: found %v, %v", text, m, err)
		}
	}
}

func TestWhatAnotherReaderCouldTakeForTheMemberIsRefused(t *testing.T) {
	for text, want := range map[string]error{
		`{"personal":{},"personal":{}}`:       errTwice,
		`{"personal":{},"a":1,"personal":""}`: errTwice,
		`{"Personal":{}}`:                     errSpelled,
		`{"per\u0073onal":{}}`:                errSpelled,
		`{"per\u017fonal":{}}`:                errSpelled,
		`{"perſonal":{}}`:                     errSpelled,
		`{"personal":{},"PERSONAL":{}}`:       errSpelled,
	} {
		if _, err := find([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestBrokenObjectIsRefused(t *testing.T) {
	for _, text := range []string{
		`{`, `{"`, `{"a`, `{"a\`, `{"a"`, `{"a":`, `{"a":}`, `{"a":1`, `{"a":1,`, `{"a":1,}`,
		`{"a":"`, `{"a":"\`, `{"a":{`, `{"a":{"`, `{"a":[}`, `{}{}`, `{"a":1}x`, `{"a" 1}`, `{a:1}`, `{,}`, `{"personal":{}}}`,
		`{"a":{]}}`, `{"a":[[},"personal":{}}]}`, `{"a":{"b":"}}`, `{"a":[1,2}`,
	} {
		if m, err := find([]byte(text)); !errors.Is(err, errBroken) {
			t.Errorf("%s: found %v, %v", text, m, err)
		}
	}
}

func FuzzReplace(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"personal":{"email":"a@b"}}`, `{"a":1,"personal":{},"b":{"personal":[]}}`, ` { "personal" : {} , "x" : "\"}" } `,
		`{"personal":{},"personal":{}}`, `{"Personal":1}`, `{"p\u0065rsonal":1}`, `{"a":[1,{"b":"\\"}],"personal":null}`, `{"a":1,}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := find(text) // whatever the text, this returns
		var before map[string]json.RawMessage
		if !json.Valid(text) || json.Unmarshal(text, &before) != nil || before == nil {
			return
		}
		var reads struct {
			Personal json.RawMessage `json:"personal"`
		}
		if json.Unmarshal(text, &reads) != nil {
			t.Fatalf("%q: reads as a map and not as a struct", text)
		}
		switch {
		case err != nil:
			if reads.Personal == nil {
				t.Fatalf("%q has no such member, but: %v", text, err)
			}
			return
		case m.absent():
			if reads.Personal != nil {
				t.Fatalf("%q: not found, but encoding/json reads %s", text, reads.Personal)
			}
			return
		}
		if !bytes.Equal(reads.Personal, text[m.value:m.end]) {
			t.Fatalf("%q: found %q, encoding/json reads %q", text, text[m.value:m.end], reads.Personal)
		}
		const sealed = `"c2VhbGVk"`
		want := func(personal []byte) map[string]json.RawMessage {
			want := make(map[string]json.RawMessage)
			for k, v := range before {
				want[k] = v
			}
			delete(want, name)
			if personal != nil {
				want[name] = personal
			}
			return want
		}
		check := func(did string, got []byte, want map[string]json.RawMessage) {
			var after map[string]json.RawMessage
			if err := json.Unmarshal(got, &after); err != nil {
				t.Fatalf("%s %q: %q: %v", did, text, got, err)
			}
			if diff := cmp.Diff(want, after); diff != "" {
				t.Fatalf("%s %q (-want +got):\n%s", did, text, diff)
			}
		}
		replaced := m.replace(text, []byte(sealed))
		check("replaced", replaced, want([]byte(sealed)))
		check("removed", m.remove(text), want(nil))
		back, err := find(replaced)
		if err != nil || !bytes.Equal(back.replace(replaced, text[m.value:m.end]), text) {
			t.Fatalf("%q does not come back from %q: %v", text, replaced, err)
		}
	})
}
