package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/domain/refusal"
)

func TestACredentialForAnIDThatNoDatabaseCanHoldIsNobodys(t *testing.T) {
	for text, want := range map[string]credential{
		`{"id":"a.da-1","secret":"s"}`:                          {"a.da-1", "s"},
		`{"id":"a\u0000","secret":"s"}`:                         {},
		"{\"id\":\"a\xff\",\"secret\":\"s\"}":                   {},
		`{"id":"","secret":"s"}`:                                {},
		`{"id":"ada","secret":""}`:                              {},
		`{"id":"` + strings.Repeat("a", 37) + `","secret":"s"}`: {},
	} {
		if c, ok := decodeCredential(base64.StdEncoding.EncodeToString([]byte(text))); c != want || ok != (want != credential{}) {
			t.Errorf("%q was read as %+v, %v", text, c, ok)
		}
	}
}

// A credential is two texts and nothing else; what is read is written the same way.
func FuzzDecodeCredential(f *testing.F) {
	for _, seed := range []string{
		"", "deleted", "e30=", "bnVsbA==", "W10=", present("ada", "secret"), present("", "secret"), present("ada", ""), present("ada", "secret")[1:],
		base64.StdEncoding.EncodeToString([]byte(`{"secret":"s","id":"a","id":"b"}`)), base64.StdEncoding.EncodeToString([]byte(`{"ID":"a","Secret":"\ud800"}`)),
		base64.StdEncoding.EncodeToString([]byte(strings.Repeat(`{"id":`, 20_000))), base64.RawURLEncoding.EncodeToString([]byte(`{"id":"a","secret":"~~"}`)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := decodeCredential(value)
		if !ok {
			return
		}
		if !validID.MatchString(c.ID) || c.Secret == "" {
			t.Errorf("%q has an id or a secret that is none", value)
		}
		if again, ok := decodeCredential(c.encode()); !ok || again != c {
			t.Errorf("%+v was written and read as %+v", c, again)
		}
	})
}

// invalidly says whether an error is what a client is told about a parameter.
func invalidly(err error) bool {
	r := refusal.Of(err)
	return r != nil && r.Type == "general_argument_invalid" && strings.HasPrefix(r.Message, "Invalid `")
}

func FuzzParseQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit(25)", "offset(0)", `limit("25")`, "limit(1e309)", `equal("a",["b"])`, `a.equal("b")`, "(", ")", "()", "limit(])", "limit(1]+[2)", "limit(1],[2)",
		`{"method":"limit","values":[25]}`, `{"method":1}`, "{}", "{", `{"values":null}`, "{\"method\":\"\xff\"}", strings.Repeat("(", 5000), strings.Repeat("[", 4000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseQuery(text, generation{1, 8}); err != nil && !invalidly(err) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

// A list request is served within bounds or refused in the contract's words, and the same every time.
func FuzzPaging(f *testing.F) {
	for _, seed := range []string{
		"", "queries[]=limit(5)&queries[]=offset(3)", "queries[0]=limit(1)&queries[00]=limit(2)&queries[000]=limit(3)&queries[]=limit(4)", "limit=5&offset=3",
		"limit=x&offset=x", "queries=limit(5)", "queries[1]=nonsense&queries[0]=limit()", "total=false", "%5B=%5D&;&&==", "limit=9223372036854775807&offset=9223372036854775807",
		`queries[]={"method":"offset","values":[9007199254740993]}`, "queries%5B%5D=limit%285%29", "queries[]=limit(9223372036854775807)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query) // what is broken is left out, as in a request
		var p paging
		err := p.read(values, generation{1, 8})
		if err != nil && !invalidly(err) {
			t.Errorf("%q: %v", query, err)
		}
		if size := p.limitOr(defaultLogs); err == nil && (size < 1 || size > maxPage || p.offset < 0 || p.limit < 0) {
			t.Errorf("%q: %d lines from %d", query, size, p.offset)
		}
		var again paging
		if err2 := again.read(values, generation{1, 8}); again != p || fmt.Sprint(err2) != fmt.Sprint(err) {
			t.Errorf("%q: once %+v, %v, then %+v, %v", query, p, err, again, err2)
		}
	})
}

// resolve reads a body as the operation does.
func resolve[T any](a *API, p *project.Project, content, kind string) (T, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(content))
	r.Header.Set("Content-Type", kind)
	c := &call{api: a, project: p, body: a.readBody(r)}
	var params Params[T]
	err := params.read(c)
	return params.Value, err
}

// Whatever a body holds, what gets through is what the contract lets through.
func FuzzCreateAccount(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `1`, `{"userId":"ada","email":"ada@mail.test","password":"hunter-of-ada","name":"Ada"}`,
		`{"userId":"unique()","email":"ada@bücher.test","password":"\u0000hunter-of-ada"}`, `{"userId":1,"email":{},"password":[],"name":null}`,
		`{"userId":"ada","userId":"eve"}`, "{\"userId\":\"\xff\"}", `{"userId":"\ud800","email":"\ud83d\ude00@mail.test"}`, strings.Repeat(`{"userId":`, 600), strings.Repeat("[", 20_000),
	} {
		f.Add(seed, "application/json")
	}
	f.Add(`userId=ada`, "application/x-www-form-urlencoded")
	f.Add(`{}`, "application/json; charset=\"")
	a, standard := &API{}, project.Standard()
	f.Fuzz(func(t *testing.T, content, kind string) {
		got, err := resolve[createAccount](a, &standard, content, kind)
		if err != nil {
			if r := refusal.Of(err); r == nil || r.Type != "general_argument_invalid" {
				t.Errorf("%q: %v", content, err)
			}
			return
		}
		if email, ok := account.ParseEmail(string(got.Email)); !ok || email != got.Email {
			t.Errorf("%q is an address", got.Email)
		}
		if !validID.MatchString(got.UserID) || len(got.Password) < 8 || len(got.Password) > 256 || utf8.RuneCountInString(got.Name) > 128 {
			t.Errorf("got through: %+v", got)
		}
		for _, s := range []string{got.UserID, string(got.Email), got.Password, got.Name} {
			if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
				t.Errorf("%q is a text", s)
			}
		}
		if strings.Contains(content, `"name"`) && got.Name == "" && !strings.Contains(content, "null") {
			t.Errorf("%q gave no name", content)
		}
	})
}

func FuzzCheckPrefs(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `null`, `"{}"`, `{"a":"b/c"}`, `{"a":"b\/c\\/d"}`, `{"é":"😀"}`, `{"a":"\u00e9\ud83d\ude00\u0041"}`, `{"0":1}`, `{"0":1,"1":2}`, `{"1":1,"0":2}`, `{"00":1}`,
		`{"\u0030":1}`, `{"0":1,"0":2}`, `{"a":"\u0000"}`, `{"a":"\\u0000"}`, `{"a\\\u0000":1}`, `{"a":"\\\\u0000"}`, `{"a":[{"b":"\u0000"}]}`, ` { "0" : { } } `, `{"a":1e400}`,
		`{"a":"\ud800"}`, `{"a":"\""}`, `{"":""}`, `{"a":"` + "\u2028\x7f" + `"}`, strings.Repeat(`{"a":`, 600),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !utf8.Valid(raw) || !json.Valid(raw) {
			return // the body would not have been read
		}
		raw = bytes.TrimSpace(raw) // as the members of a body are
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			t.Fatal(err)
		}
		seen := look(t, compact.Bytes())
		if got := hasNUL(raw); got != seen.nul {
			t.Errorf("%s: has NUL: %v", raw, got)
		}
		// What came escaped without need counts more here, never less.
		if got := phpSize(compact.Bytes()); got < seen.size || got != seen.size && !bytes.Contains(compact.Bytes(), []byte(`\u00`)) {
			t.Errorf("%s: %d bytes, want %d", raw, got, seen.size)
		}
		if got := depth(raw); got != seen.depth {
			t.Errorf("%s: depth %d, want %d", raw, got, seen.depth)
		}
		isObject := compact.Bytes()[0] == '{'
		if got := isObject && isList(raw); got != (isObject && seen.list) {
			t.Errorf("%s: is a list: %v", raw, got)
		}
		value, problem := checkPrefs(nil, raw)
		if want := isObject && !seen.nul && !seen.list && phpSize(compact.Bytes()) <= maxPrefs; want != (problem == "") {
			t.Errorf("%s: %q", raw, problem)
		}
		if problem == "" && !bytes.Equal(value.(object).RawMessage, compact.Bytes()) {
			t.Errorf("%s became %s", raw, value)
		}
	})
}

// seen is what a decoder finds in JSON, without the cleverness of what it is compared with.
type seen struct {
	nul, list   bool
	size, depth int
}

func look(t *testing.T, compact []byte) (s seen) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(compact))
	d.UseNumber()
	s.list = true
	members := 0
	next := func() json.Token {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(string); ok {
			s.nul = s.nul || strings.ContainsRune(text, 0)
		}
		return token
	}
	var value func(depth int)
	value = func(depth int) {
		switch v := next().(type) {
		case json.Delim:
			s.depth = max(s.depth, depth)
			for first := true; d.More(); first = false {
				if !first {
					s.size++
				}
				if v == '{' {
					name := next().(string)
					s.size += encoded(name) + 1
					if depth == 1 {
						s.list = s.list && name == strconv.Itoa(members)
						members++
					}
				}
				value(depth + 1)
			}
			next()
			s.size += 2
		case string:
			s.size += encoded(v)
		default: // numbers as they came, true, false, null
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			s.size += len(text)
		}
	}
	value(1)
	s.list = s.list && members > 0
	return s
}

// encoded is how many bytes a text takes in the reference's JSON.
func encoded(s string) int {
	n := 2
	for _, r := range s {
		switch {
		case strings.ContainsRune("\"\\/\b\f\n\r\t", r):
			n += 2
		case r < ' ':
			n += 6
		case r < utf8.RuneSelf:
			n++
		default:
			n += 6 * len(utf16.Encode([]rune{r}))
		}
	}
	return n
}

// What a page's address is taken for, the URL that it is says too; and no platform is matched by a name that merely
// looks like it.
func FuzzOriginHost(f *testing.F) {
	for _, seed := range []string{
		"", "null", "https://app.mail.test", "https://APP.mail.test:8080/x?y#z", "https://a@app.mail.test", "https://app.mail.test@evil.test", "//app.mail.test", "app.mail.test",
		"https://[::1]:80", "https://[fe80::1%25eth0]", "file:///x", "https://wild.test", "https://a.wild.test", "https://evilwild.test", "https://.wild.test", "chrome-extension://abc",
		`https://evil.test\.app.mail.test`, "https://app.mail.test\x00", "https://app%2email.test", "javascript:alert(1)", "https://İ.wild.test", "http:/app.mail.test",
	} {
		f.Add(seed)
	}
	p := &project.Project{Platforms: []string{"app.mail.test", "*.wild.test"}}
	f.Fuzz(func(t *testing.T, origin string) {
		host := originHost(origin)
		if host != strings.ToLower(host) {
			t.Errorf("%q gave %q", origin, host)
		}
		if !matchesPlatform(p, host) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || host != "app.mail.test" && (!strings.HasSuffix(host, ".wild.test") || host == "wild.test") || strings.ToLower(u.Hostname()) != host {
			t.Errorf("%q is a platform as %q", origin, host)
		}
	})
}

// What is taken for the client's address is one, and never one that a stranger only named.
func FuzzClientIP(f *testing.F) {
	for _, seed := range [][2]string{
		{"198.51.100.1:1", "192.0.2.9"}, {"10.0.0.1:1", "192.0.2.9"}, {"10.0.0.1:1", "192.0.2.9, 10.0.0.2"}, {"[::ffff:10.0.0.1]:1", "::ffff:192.0.2.9"}, {"[fd00::1%eth0]:1", "fe80::1%eth0"},
		{"@", ""}, {"", ","}, {"10.0.0.1:1", ",,,"}, {"10.0.0.1:1", "192.0.2.9:80"}, {"10.0.0.1:1", "[2001:db8::1]"}, {"10.0.0.1:99999", "x"}, {"10.0.0.1", "192.0.2.9"},
	} {
		f.Add(seed[0], seed[1])
	}
	a := &API{Needs: Needs{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	f.Fuzz(func(t *testing.T, remote, forwarded string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		r.Header["X-Forwarded-For"] = []string{forwarded}
		got := a.clientIP(r)
		peer, err := netip.ParseAddrPort(remote)
		if err != nil {
			if got != "" {
				t.Errorf("%q gave %q", remote, got)
			}
			return
		}
		ip, err := netip.ParseAddr(got)
		if err != nil || ip.Is4In6() || ip.Zone() != "" {
			t.Fatalf("%q, %q gave %q", remote, forwarded, got)
		}
		direct := peer.Addr().Unmap().WithZone("")
		if !a.trustsProxy(direct) && ip != direct {
			t.Errorf("the stranger %s was believed to be %s", direct, ip)
		}
	})
}

// A user agent, a query's method and the like may be anything; what is shown of them is tame.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "curl/8", "\x1b[31m", "a\r\nb", "\xff", "\u0085\u009f", "é😀"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\x1b\x7f") || clean(got) != got {
			t.Errorf("%q became %q", s, got)
		}
	})
}
