package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/domain/refusal"
	"github.com/actahq/acta/projections"
)

var errCursorUnknown = refusal.New(refusal.Invalid, "general_cursor_not_found", "The cursor is invalid: what it points at is gone.")

// Identity is an account of a provider that opens an account here.
type Identity struct {
	answer
	ID                        string `json:"$id"`
	CreatedAt                 Time   `json:"$createdAt"`
	UpdatedAt                 Time   `json:"$updatedAt"`
	UserID                    string `json:"userId"`
	Provider                  string `json:"provider"`
	ProviderUID               string `json:"providerUid"`
	ProviderEmail             string `json:"providerEmail"`
	ProviderAccessToken       string `json:"providerAccessToken"`
	ProviderAccessTokenExpiry Time   `json:"providerAccessTokenExpiry"`
	ProviderRefreshToken      string `json:"providerRefreshToken"`
}

// IdentityList is some of an account's identities.
type IdentityList struct {
	answer
	Total      int         `json:"total"`
	Identities []*Identity `json:"identities"`
}

type identityListAnswer struct{ Body *IdentityList }

func (a *API) listIdentities(ctx context.Context, in *identityQueries) (*identityListAnswer, error) {
	c := callOf(ctx)
	rows, err := a.ReadModels.Identities(ctx, c.project.ID, c.account.ID) // so few that they are chosen from here
	if err != nil {
		return nil, err
	}
	rows, total, err := in.choose(rows)
	if err != nil {
		return nil, err
	}
	list := &IdentityList{Total: total, Identities: make([]*Identity, len(rows))}
	for i, row := range rows {
		list.Identities[i] = &Identity{
			ID: row.ID, CreatedAt: Time{row.CreatedAt}, UpdatedAt: Time{row.UpdatedAt}, UserID: row.AccountID,
			Provider: row.Provider, ProviderUID: row.ProviderUID, ProviderEmail: row.ProviderEmail,
			ProviderAccessToken: row.Access, ProviderAccessTokenExpiry: Time{row.AccessExpires}, ProviderRefreshToken: row.Refresh,
		}
	}
	return &identityListAnswer{list}, nil
}

type identityPath struct {
	IdentityID string `path:"identityId" doc:"Identity id."`
}

// Resolve checks the id.
func (p *identityPath) Resolve(huma.Context) []error { return checkPath("identityId", p.IdentityID) }

func (a *API) removeIdentity(ctx context.Context, in *identityPath) (*nothing, error) {
	c := callOf(ctx)
	at, err := a.Commands.RemoveIdentity(ctx, c.caller(), c.account.ID, in.IdentityID)
	return nil, a.settled(ctx, at, err)
}

// identityQueries is which identities to list, in which order.
type identityQueries struct {
	limit, offset int
	noTotal       bool
	filters       []query
	orders        []query
	cursor        query
}

// Bounds of queries on identities.
const (
	identityPage     = 25
	maxQueryValues   = 500
	maxNestedQueries = 5
)

// document describes the parameters in the OpenAPI document.
func (*identityQueries) document(op *huma.Operation, registry huma.Registry) {
	new(paging).document(op, registry)
	op.Parameters[0].Description = "limit, offset, cursorAfter, cursorBefore, orderAsc, orderDesc, and filters on userId, provider, providerUid, providerEmail, providerAccessTokenExpiry, $id, $createdAt and $updatedAt, as the client libraries' Query builds them."
}

// Resolve reads the queries.
func (q *identityQueries) Resolve(hc huma.Context) []error {
	u := hc.URL()
	values := u.Query()
	raw, err := rawQueries(values)
	if err != nil {
		return []error{err}
	}
	q.limit = identityPage
	for _, text := range raw {
		one, err := parseQuery(text, callOf(hc.Context()).generation())
		if err == nil {
			err = q.take(one)
		}
		if err != nil {
			return []error{err}
		}
	}
	q.noTotal = values.Get("total") == "false" || values.Get("total") == "0"
	return nil
}

func (q *identityQueries) take(one query) (err error) {
	switch one.Method {
	case "limit":
		q.limit, err = wholeNumber(one, 1)
		q.limit = min(q.limit, maxPage)
	case "offset":
		q.offset, err = wholeNumber(one, 0)
	case "cursorAfter", "cursorBefore":
		if id, ok := one.text(); !ok || !validID.MatchString(id) {
			return invalidQuery("Invalid cursor: " + problemID)
		}
		q.cursor = one
	case "orderAsc", "orderDesc":
		if one.Attribute == "" && len(one.Values) == 1 {
			one.Attribute, _ = one.text()
		}
		if _, known := identityAttributes[one.Attribute]; !known && one.Attribute != "" {
			return invalidQuery("Attribute not found in schema: " + clean(one.Attribute))
		}
		q.orders = append(q.orders, one)
	default:
		var f query
		if f, err = one.filter(0); err == nil {
			q.filters = append(q.filters, f)
		}
	}
	return err
}

func (q query) text() (string, bool) {
	if len(q.Values) != 1 {
		return "", false
	}
	s, ok := q.Values[0].(string)
	return s, ok
}

// identityAttributes is what can be asked for, and how it is read from a row.
var identityAttributes = map[string]func(projections.Identity) string{
	"$id":                       func(i projections.Identity) string { return i.ID },
	"$createdAt":                func(i projections.Identity) string { return sortable(i.CreatedAt) },
	"$updatedAt":                func(i projections.Identity) string { return sortable(i.UpdatedAt) },
	"userId":                    func(i projections.Identity) string { return i.AccountID },
	"provider":                  func(i projections.Identity) string { return i.Provider },
	"providerUid":               func(i projections.Identity) string { return i.ProviderUID },
	"providerEmail":             func(i projections.Identity) string { return i.ProviderEmail },
	"providerAccessTokenExpiry": func(i projections.Identity) string { return sortable(i.AccessExpires) },
}

// sortable is a time whose order as text is its order in time; "" = none.
func sortable(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000+00:00")
}

// comparisons is every filter that compares a value with an attribute.
var comparisons = map[string]func(is, value string) bool{
	"equal":            func(is, value string) bool { return is == value },
	"notEqual":         func(is, value string) bool { return is != value },
	"lessThan":         func(is, value string) bool { return is < value },
	"lessThanEqual":    func(is, value string) bool { return is <= value },
	"greaterThan":      func(is, value string) bool { return is > value },
	"greaterThanEqual": func(is, value string) bool { return is >= value },
	"startsWith":       strings.HasPrefix,
	"endsWith":         strings.HasSuffix,
	"contains":         strings.Contains,
	"search":           func(is, value string) bool { return strings.Contains(strings.ToLower(is), strings.ToLower(value)) },
}

// filter checks a query that chooses, with those inside of it.
func (q query) filter(depth int) (query, error) {
	switch q.Method {
	case "and", "or":
		if depth >= maxNestedQueries || len(q.Values) == 0 || len(q.Values) > maxQueries {
			return q, invalidQuery("Invalid query: " + q.Method + " queries require at least two queries")
		}
		inner := make([]any, len(q.Values))
		for i, v := range q.Values {
			var one query
			b, err := json.Marshal(v)
			if err != nil || json.Unmarshal(b, &one) != nil {
				return q, invalidQuery("Syntax error")
			}
			if inner[i], err = one.filter(depth + 1); err != nil {
				return q, err
			}
		}
		q.Values = inner
		return q, nil
	case "isNull", "isNotNull", "between":
	default:
		if comparisons[q.Method] == nil {
			return q, invalidQuery("Invalid query method: " + clean(q.Method))
		}
	}
	q = q.flat()
	read, known := identityAttributes[q.Attribute]
	switch {
	case !known:
		return q, invalidQuery("Attribute not found in schema: " + clean(q.Attribute))
	case len(q.Values) > maxQueryValues:
		return q, invalidQuery(fmt.Sprintf("Query on attribute has greater than %d values: %s", maxQueryValues, q.Attribute))
	case q.Method == "between" && len(q.Values) != 2, q.Method != "between" && !strings.HasPrefix(q.Method, "is") && len(q.Values) == 0:
		return q, invalidQuery(capitalised(q.Method) + " queries require at least one value.")
	}
	isTime := read(projections.Identity{CreatedAt: time.Unix(0, 0), UpdatedAt: time.Unix(0, 0), AccessExpires: time.Unix(0, 0)}) != ""
	for i, v := range q.Values {
		s, ok := v.(string)
		if ok && isTime {
			var at time.Time
			at, ok = parseTime(s)
			s = sortable(at)
		}
		if !ok {
			return q, invalidQuery("Query value is invalid for attribute \"" + q.Attribute + "\"")
		}
		q.Values[i] = s
	}
	return q, nil
}

// flat gives attribute and values of the older grammar, which has them in one list, and of values within a list.
func (q query) flat() query {
	values := q.Values
	if q.Attribute == "" && len(values) > 0 {
		q.Attribute, _ = values[0].(string)
		values = values[1:]
	}
	q.Values = nil
	for _, v := range values {
		if list, ok := v.([]any); ok {
			q.Values = append(q.Values, list...)
		} else {
			q.Values = append(q.Values, v)
		}
	}
	return q
}

func capitalised(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000-07:00", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// matches says whether a row is one of those that a filter chooses.
func (q query) matches(row projections.Identity) bool {
	inner := func(v any) bool { one, _ := v.(query); return one.matches(row) }
	switch q.Method {
	case "and":
		return !slices.ContainsFunc(q.Values, func(v any) bool { return !inner(v) })
	case "or":
		return slices.ContainsFunc(q.Values, inner)
	}
	is := identityAttributes[q.Attribute](row)
	value := func(v any) string { s, _ := v.(string); return s }
	switch q.Method {
	case "isNull":
		return is == ""
	case "isNotNull":
		return is != ""
	case "between":
		return value(q.Values[0]) <= is && is <= value(q.Values[1])
	case "notEqual":
		return !slices.ContainsFunc(q.Values, func(v any) bool { return is == value(v) })
	}
	return slices.ContainsFunc(q.Values, func(v any) bool { return comparisons[q.Method](is, value(v)) })
}

// made is the order of making.
func made(x, y projections.Identity) int {
	return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), strings.Compare(x.ID, y.ID))
}

// choose gives the page that was asked for, and how many there are of its kind. The rows are in the order of their making.
func (q *identityQueries) choose(rows []projections.Identity) (page []projections.Identity, total int, err error) {
	rows = slices.DeleteFunc(rows, func(row projections.Identity) bool {
		return slices.ContainsFunc(q.filters, func(f query) bool { return !f.matches(row) })
	})
	total = len(rows)
	if q.noTotal {
		total = 0
	}
	slices.SortStableFunc(rows, func(x, y projections.Identity) int {
		for _, o := range q.orders {
			var by int
			if read := identityAttributes[o.Attribute]; read != nil {
				by = strings.Compare(read(x), read(y))
			} else { // of no attribute
				by = made(x, y)
			}
			if o.Method == "orderDesc" {
				by = -by
			}
			if by != 0 {
				return by
			}
		}
		return made(x, y)
	})
	if id, ok := q.cursor.text(); ok {
		at := slices.IndexFunc(rows, func(row projections.Identity) bool { return row.ID == id })
		switch {
		case at < 0:
			return nil, 0, errCursorUnknown.Saying("Identity '%s' for the 'cursor' value not found.", id)
		case q.cursor.Method == "cursorAfter":
			rows = rows[at+1:]
		default:
			rows = rows[max(0, at-min(q.limit, math.MaxInt32)):at]
		}
	}
	rows = rows[min(q.offset, len(rows)):]
	return rows[:min(q.limit, len(rows))], total, nil
}
