package oauth

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// document is what a provider says about a person: its numbers are json.Number, as ids have more digits than a float holds.
type document map[string]any

func parse(body []byte) (document, bool) {
	var d document
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	return d, decoder.Decode(&d) == nil && d != nil && !decoder.More()
}

// at finds a member: "a.b" goes deeper unless a member has that very name, a number is a place in a list. nil: there is
// none.
func (d document) at(path string) any {
	if v, ok := d[path]; ok {
		return v // the namespaced claims of Auth0 are named by URLs
	}
	var found any = map[string]any(d)
	for step := range strings.SplitSeq(path, ".") {
		switch in := found.(type) {
		case map[string]any:
			found = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			found = in[i]
		default:
			return nil
		}
	}
	return found
}

// text finds a string or a whole number, as text. In what, | stands between alternatives, of which the first that is not
// empty counts, and a space between members whose texts are joined by one: "name|given_name family_name".
func (d document) text(what string) string {
	for alternative := range strings.SplitSeq(what, "|") {
		var words []string
		for path := range strings.FieldsSeq(alternative) {
			if word := strings.TrimSpace(textOf(d.at(path))); word != "" {
				words = append(words, word)
			}
		}
		if len(words) > 0 {
			return strings.Join(words, " ")
		}
	}
	return ""
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		if !strings.ContainsAny(v.String(), ".eE") {
			return v.String()
		}
	}
	return ""
}

// list gives the objects in a member that is a list of them.
func (d document) list(path string) []document {
	items, _ := d.at(path).([]any)
	var objects []document
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// isTrue is the one way in which an address is verified: true, or "true", as Apple has it. "yes", "TRUE", 1 and "1" are
// what somebody may have meant.
func isTrue(v any) bool { return v == true || v == "true" }

// isOne is how Zoom says true.
func isOne(v any) bool { return v == json.Number("1") }

// isTime is how GitLab says true: the time when it was so. Never is null.
func isTime(v any) bool { s, ok := v.(string); return ok && s != "" }
