package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/domain/refusal"
)

var errQueryInvalid = refusal.New(refusal.Invalid, "general_query_invalid", "The query's syntax is invalid.")

// query is one of a list request's queries, whichever grammar it came in.
type query struct {
	Method    string `json:"method"`
	Attribute string `json:"attribute"`
	Values    []any  `json:"values"`
}

// Bounds on what a list request may ask.
const (
	maxQueries     = 100
	maxQueryLength = 4096
	maxPage        = 5000 // lines in one answer; a larger limit gives that many
)

var queriesName = regexp.MustCompile(`^queries\[(\d{0,3})\]$`)

// rawQueries collects queries[], queries[0], queries[1], ... in the order of their indexes.
func rawQueries(values url.Values) ([]string, error) {
	type indexed struct {
		at   int
		name string
		text []string
	}
	var found []indexed
	for name, texts := range values {
		if name == "queries" {
			return nil, invalid("queries", "Value must a valid array and Queries must be an array")
		}
		if m := queriesName.FindStringSubmatch(name); m != nil {
			at, _ := strconv.Atoi(m[1]) // "" is the first
			found = append(found, indexed{at, name, texts})
		}
	}
	slices.SortFunc(found, func(x, y indexed) int { return cmp.Or(x.at-y.at, strings.Compare(x.name, y.name)) })
	var all []string
	for _, f := range found {
		all = append(all, f.text...)
	}
	if len(all) > maxQueries {
		return nil, invalid("queries", fmt.Sprintf("Value must a valid array no longer than %d items and Value must be a valid string and at least 1 chars and no longer than %d chars", maxQueries, maxQueryLength))
	}
	return all, nil
}

// parseQuery reads {"method":"limit","values":[25]} as today's client libraries send it, or limit(25) as those before
// generation 1.5 do.
func parseQuery(text string, g generation) (query, error) {
	if len(text) > maxQueryLength {
		return query{}, invalid("queries", fmt.Sprintf("Value must be a valid string and at least 1 chars and no longer than %d chars", maxQueryLength))
	}
	text = strings.TrimSpace(text)
	var q query
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &q); err != nil {
			return query{}, unparsable(g, "Syntax error")
		}
		return q, nil
	}
	name, rest, ok := strings.Cut(text, "(")
	args, closed := strings.CutSuffix(rest, ")")
	switch {
	case !ok || !closed:
		return query{}, unparsable(g, "Syntax error")
	case strings.Contains(name, "."):
		return query{}, unparsable(g, "Invalid query method: "+clean(name))
	}
	// Numbers, strings, lists: JSON but for the quotes.
	if err := json.Unmarshal([]byte("["+doubleQuoted(args)+"]"), &q.Values); err != nil {
		return query{}, unparsable(g, "Syntax error")
	}
	q.Method = name
	return q, nil
}

// doubleQuoted writes strings in single quotes as JSON does.
func doubleQuoted(args string) string {
	var b strings.Builder
	var quote byte // that began the string we are in; 0 = none
	for i := 0; i < len(args); i++ {
		switch c := args[i]; {
		case c == '\\' && quote == '\'' && i+1 < len(args) && args[i+1] == '\'':
			i++
			b.WriteByte('\'')
		case c == '\\' && quote != 0 && i+1 < len(args):
			i++
			b.WriteString(args[i-1 : i+1])
		case c == '"' && quote == '\'':
			b.WriteString(`\"`)
		case c == quote:
			quote = 0
			b.WriteByte('"')
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
			b.WriteByte('"')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unparsable is a query that is none, in the words of the client's generation: those before 1.5 know a type for it.
func unparsable(g generation, why string) error {
	if g.before(1, 5) {
		return errQueryInvalid.Saying("Invalid query: %s", why)
	}
	return invalidQuery(why)
}

func invalidQuery(why string) error { return invalid("queries", "Invalid query: "+why) }

// paging is a list request that may say only how much and from where.
type paging struct {
	limit, offset int
	noTotal       bool
}

func (p *paging) limitOr(standard int) int {
	if p.limit == 0 {
		return standard
	}
	return min(p.limit, maxPage)
}

// document describes the parameters in the OpenAPI document.
func (*paging) document(op *huma.Operation, _ huma.Registry) {
	text := &huma.Schema{Type: huma.TypeString}
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: "queries[]", In: "query", Schema: &huma.Schema{Type: huma.TypeArray, Items: text, Examples: []any{[]string{`{"method":"limit","values":[25]}`}}},
			Description: "limit and offset, as the client libraries' Query builds them."},
		&huma.Param{Name: "total", In: "query", Schema: &huma.Schema{Type: huma.TypeBoolean}, Description: "Set to false, total is answered as 0."})
}

// Resolve reads queries, and the limit and offset parameters of the oldest generations.
func (p *paging) Resolve(hc huma.Context) []error {
	u := hc.URL()
	values := u.Query()
	if err := p.read(values, callOf(hc.Context()).generation()); err != nil {
		return []error{err}
	}
	return nil
}

func (p *paging) read(values url.Values, g generation) error {
	raw, err := rawQueries(values)
	if err != nil {
		return err
	}
	for _, text := range raw {
		q, err := parseQuery(text, g)
		if err != nil {
			return err
		}
		switch q.Method {
		case "limit":
			p.limit, err = wholeNumber(q, 1)
		case "offset":
			p.offset, err = wholeNumber(q, 0)
		default:
			err = invalidQuery("Invalid query method: " + clean(q.Method))
		}
		if err != nil {
			return err
		}
	}
	for _, param := range []struct {
		name string
		into *int
	}{{"limit", &p.limit}, {"offset", &p.offset}} {
		if v := values.Get(param.name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				return invalid(param.name, "Value must be a valid range between 0 and "+maxNumber)
			}
			*param.into = n
		}
	}
	p.noTotal = values.Get("total") == "false" || values.Get("total") == "0"
	return nil
}

const maxNumber = "9,223,372,036,854,775,807"

func wholeNumber(q query, least float64) (int, error) {
	if len(q.Values) == 1 {
		if n, ok := q.Values[0].(float64); ok && n == math.Trunc(n) && n >= least && n < math.MaxInt64 {
			return int(n), nil
		}
	}
	return 0, invalidQuery(fmt.Sprintf("Invalid %s: Value must be a valid range between %.0f and %s", q.Method, least, maxNumber))
}
