package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nyaruka/phonenumbers"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/refusal"
)

// Bounds on a request's body.
const (
	maxBody  = 1 << 20 // bytes
	maxDepth = 512     // objects and lists inside of each other, as in the reference; what is stored lies deeper, and JSON is read down to 10,000
)

var errBodyTooLarge = &Envelope{Message: "The request body is larger than 1 MiB.", Code: http.StatusRequestEntityTooLarge, Type: errArgumentInvalid.Type}

// body is the parameters of a request: read once, checked when the handler's turn has come.
type body struct {
	members map[string]json.RawMessage
	err     error
}

// read takes the parameters out of a request.
func (a *API) readBody(r *http.Request) body {
	if r.Body == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return body{} // some client libraries send "null" with a GET
	}
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		e := *errBodyTooLarge
		e.Version = a.Version
		return body{err: &e}
	case err != nil:
		return body{err: errArgumentInvalid.Saying("The request body could not be read.")}
	}
	if empty := string(bytes.TrimSpace(raw)); empty == "" || empty == "[]" { // which is no parameters to clients in PHP
		return body{}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		// Other types can be sent by foreign pages without asking (CORS "simple requests").
		return body{err: errArgumentInvalid.Saying("The request body must be a JSON object with content type application/json.")}
	}
	var members map[string]json.RawMessage
	if !utf8.Valid(raw) || depth(raw) > maxDepth || json.Unmarshal(raw, &members) != nil {
		return body{err: errArgumentInvalid.Saying("The request body is not a valid JSON object.")}
	}
	return body{members: members}
}

// depth is how many objects and lists lie inside of each other in JSON.
func depth(raw []byte) (deepest int) {
	now, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++ // what is escaped ends no string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// text gives a parameter that is a string, or "".
func (b body) text(name string) string {
	var s string
	_ = json.Unmarshal(b.members[name], &s)
	return s
}

// Params is the checked parameters of an endpoint. T is a struct whose fields say name, kind and meaning:
//
//	Email account.Email `json:"email" check:"email" doc:"..."`
//
// A field with omitempty is optional. The first parameter that does not pass is the one the answer names.
type Params[T any] struct {
	Value T `json:"-"`
}

// Resolve checks the parameters; huma calls it before the handler.
func (p *Params[T]) Resolve(hc huma.Context) []error {
	if err := p.read(callOf(hc.Context())); err != nil {
		return []error{err}
	}
	return nil
}

func (p *Params[T]) read(c *call) error {
	if c.body.err != nil {
		return c.body.err
	}
	v := reflect.ValueOf(&p.Value).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		optional := options == "omitempty"
		raw, present := c.body.members[name]
		switch {
		case !present && !optional:
			return errArgumentInvalid.Saying("Param %q is not optional.", name)
		case !present || optional && string(raw) == "null":
			continue
		}
		value, problem := checks[f.Tag.Get("check")](c, raw)
		if problem != "" {
			return invalid(name, problem)
		}
		v.Field(i).Set(reflect.ValueOf(value))
	}
	return nil
}

// document describes the parameters in the OpenAPI document.
func (p *Params[T]) document(op *huma.Operation, registry huma.Registry) {
	t := reflect.TypeFor[T]()
	schema := huma.SchemaFromType(registry, t)
	schema.AdditionalProperties = true // what is not known is ignored
	op.RequestBody = &huma.RequestBody{Required: len(schema.Required) > 0, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
}

func invalid(param, problem string) *refusal.Refusal {
	return errArgumentInvalid.Saying("Invalid `%s` param: %s", param, problem)
}

// checks is every kind of parameter: a value in JSON becomes the field's value, or a problem in the contract's words.
var checks = map[string]func(c *call, raw json.RawMessage) (value any, problem string){
	"newID":       checkNewID,
	"email":       checkEmail,
	"password":    checkPassword,
	"newPassword": checkNewPassword,
	"name":        checkName,
	"prefs":       checkPrefs,
	"phone":       checkPhone,
	"id":          checkID,
	"owner":       checkOwner,
	"secret":      checkSecret,
	"url":         checkURL,
	"bool":        checkBool,
	"strictBool":  checkStrictBool,
	"code":        checkCode,
	"factor":      checkFactor,
	"jwtDuration": checkJWTDuration,
}

const (
	problemID    = "Value must contain at most 36 chars. Valid chars are a-z, A-Z, 0-9, period, hyphen, and underscore. Can't start with a special char"
	problemEmail = "Value must be a valid email address"
	problemName  = "Value must be a valid string and at least 1 chars and no longer than 128 chars"
	problemPrefs = "Value must be a valid object."
	problemPhone = "Phone number must start with a '+' can have a maximum of fifteen digits."
	problemBool  = "Value must be a valid boolean"
	problemCode  = "Value must be a valid string and at least 1 chars and no longer than 256 chars"
)

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$`)

// checkNewID takes an id that the client chose, or draws one where it asks for that.
func checkNewID(_ *call, raw json.RawMessage) (any, string) {
	s, ok := text(raw)
	switch {
	case ok && s == "unique()":
		return commands.NewID(), ""
	case !ok || !validID.MatchString(s):
		return nil, problemID
	}
	return s, ""
}

// checkID takes the id of something that there is.
func checkID(_ *call, raw json.RawMessage) (any, string) {
	s, ok := text(raw)
	if !ok || !validID.MatchString(s) {
		return nil, problemID
	}
	return s, ""
}

// checkPath checks an id in a path.
func checkPath(name, id string) []error {
	if !validID.MatchString(id) {
		return []error{invalid(name, problemID)}
	}
	return nil
}

// checkPhone takes a number that could be one: some country has numbers like it. libphonenumber's list of those is
// wider than the numbers given out, and narrower than E.164.
func checkPhone(_ *call, raw json.RawMessage) (any, string) {
	s, _ := text(raw)
	phone, ok := account.ParsePhone(s)
	if !ok {
		return nil, problemPhone
	}
	if n, err := phonenumbers.Parse(s, ""); err != nil || phonenumbers.Format(n, phonenumbers.E164) != s {
		return nil, problemPhone
	}
	return phone, ""
}

// checkBool takes what the reference takes for yes and no.
func checkBool(_ *call, raw json.RawMessage) (any, string) {
	switch string(raw) {
	case `true`, `"true"`, `1`, `"1"`:
		return true, ""
	case `false`, `"false"`, `0`, `"0"`:
		return false, ""
	}
	return nil, problemBool
}

func checkEmail(_ *call, raw json.RawMessage) (any, string) {
	s, _ := text(raw)
	e, ok := account.ParseEmail(s)
	if !ok {
		return nil, problemEmail
	}
	return e, ""
}

// maxPassword is how many bytes a password may have.
const maxPassword = 256

func checkPassword(c *call, raw json.RawMessage) (any, string) {
	s, ok := text(raw)
	if least := c.project.Auth.PasswordMinLength; !ok || len(s) < least || len(s) > maxPassword {
		return nil, fmt.Sprintf("Password must be between %d and %d characters long.", least, maxPassword)
	}
	return s, ""
}

func checkNewPassword(c *call, raw json.RawMessage) (any, string) {
	value, problem := checkPassword(c, raw)
	if problem == "" {
		problem = c.commonPassword(value.(string))
	}
	return value, problem
}

// commonPassword is the problem with a password that many have; "" = none, or the project does not mind.
func (c *call) commonPassword(password string) string {
	if !c.project.Auth.PasswordDictionary || !c.api.CommonPassword(password) {
		return ""
	}
	return fmt.Sprintf("Password must be between %d and %d characters long, and should not be one of the commonly used password.", c.project.Auth.PasswordMinLength, maxPassword)
}

func checkName(_ *call, raw json.RawMessage) (any, string) {
	s, ok := text(raw)
	if n := utf8.RuneCountInString(s); !ok || n < 1 || n > 128 {
		return nil, problemName
	}
	return s, ""
}

// text reads a JSON string; NUL, which no database column takes, is none.
func text(raw json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil || len(raw) == 0 || raw[0] != '"' || strings.ContainsRune(s, 0) {
		return "", false
	}
	return s, true
}

// maxPrefs is how large preferences may be, in the reference's way of counting (see phpSize).
const maxPrefs = 65535

func checkPrefs(_ *call, raw json.RawMessage) (any, string) {
	var compact bytes.Buffer
	if len(raw) == 0 || raw[0] != '{' || json.Compact(&compact, raw) != nil || phpSize(compact.Bytes()) > maxPrefs || hasNUL(raw) || isList(raw) {
		return nil, problemPrefs
	}
	return object{RawMessage: compact.Bytes()}, ""
}

// phpSize is how many bytes compact JSON takes in the reference's encoding: other than ASCII as \uXXXX per UTF-16
// unit, / as \/. What came escaped counts as it came.
func phpSize(compact []byte) int {
	n, escaped := 0, false
	for _, r := range string(compact) {
		switch {
		case r == '/' && !escaped:
			n += 2
		case r < utf8.RuneSelf:
			n++
		case r > 0xFFFF:
			n += 12
		default:
			n += 6
		}
		escaped = r == '\\' && !escaped
	}
	return n
}

// hasNUL says whether any string in the JSON value holds U+0000, which no database column takes.
func hasNUL(raw []byte) bool {
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i < len(raw)-1; i++ {
		if raw[i] != '\\' {
			continue
		}
		if bytes.HasPrefix(raw[i:], []byte(`\u0000`)) {
			return true
		}
		i++ // what is escaped begins no escape
	}
	return false
}

// isList says whether the object's names are exactly 0 to n-1 in order: the reference takes such an object for a list.
func isList(raw []byte) bool {
	d := json.NewDecoder(bytes.NewReader(raw))
	_, _ = d.Token() // the opening brace
	n := 0
	for ; d.More(); n++ {
		name, err := d.Token()
		if err != nil || name != strconv.Itoa(n) {
			return false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return false
		}
	}
	return n > 0
}
