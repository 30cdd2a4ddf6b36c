package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/hash"
	"github.com/actahq/acta/domain/event"
)

func TestUnknownRoutesAndMethodsAreRefusedInTheEnvelope(t *testing.T) {
	w := newWorld(t)
	for _, route := range []string{
		"GET /", "GET /v1", "GET /v1/", "GET /v2/account", "GET /v1/account/", "GET /v1//account", "GET /v1/account/hunter", "GET /V1/account",
		"POST /v1/account/sessions/email/", "GET /v1/account;a=b", "GET /v1/account/sessions/a/b", "POST /v1/accounts", "GET /metrics", "GET /debug/pprof/", "GET /.env",
		"OPTIONS /nowhere", "TRACE /nowhere",
	} {
		w.ask(route, nil).refuses(404, "general_route_not_found", "The requested route was not found. Please see /docs for the routes there are.").has("Allow:")
	}
	for route, allow := range map[string]string{
		"PUT /v1/account":                   "GET, POST, DELETE, HEAD",
		"TRACE /v1/account":                 "GET, POST, DELETE, HEAD",
		"POST /v1/account/name":             "PATCH",
		"HEAD /v1/account/name":             "PATCH",
		"PATCH /v1/account/sessions":        "GET, POST, DELETE, HEAD",
		"PUT /v1/account/sessions/whatever": "GET, PATCH, DELETE, HEAD",
		"HUNTER /v1/account":                "GET, POST, DELETE, HEAD",
	} {
		w.ask(route, nil).refuses(405, "general_route_not_found", "The route does not take this method. Please see /docs.").has("Allow: " + allow)
	}
	w.ask("OPTIONS /v1/account", nil).is(204).has("Allow: GET, POST, DELETE, HEAD")
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	server := httptest.NewServer(w.api)
	defer server.Close()
	ask := func(method string, signedIn bool) (*http.Response, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/v1/account", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Appwrite-Project", "shop")
		if signedIn {
			r.Header.Set("X-Appwrite-Session", s.value)
		}
		got, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		body, err := io.ReadAll(got.Body)
		if err != nil {
			t.Fatal(err)
		}
		return got, string(body)
	}
	for _, signedIn := range []bool{true, false} {
		get, there := ask("GET", signedIn)
		head, none := ask("HEAD", signedIn)
		w.same("status and type", []any{head.StatusCode, head.Header.Get("Content-Type")}, []any{get.StatusCode, get.Header.Get("Content-Type")})
		if there == "" || none != "" {
			t.Errorf("GET %q, HEAD %q", there, none)
		}
	}
}

// A panic deep inside becomes an answer that tells nothing, a line that tells all, and nothing else stops.
func TestAPanicIsOneRequestsTrouble(t *testing.T) {
	var panics atomic.Pointer[any]
	w := newWorld(t, func(p *plan) {
		device := p.Device
		p.Device = func(ua string) Device {
			if p := panics.Load(); p != nil {
				panic(*p)
			}
			return device(ua)
		}
	})
	s := w.member(ada)
	w.signUp(grace)
	var inside any = errors.New("the inside of the program")
	panics.Store(&inside)
	for i, asked := range []string{"GET /v1/account/sessions", "GET /v1/account/logs", "POST /v1/account/sessions/email"} {
		id := fmt.Sprintf("panicking-%d", i)
		headers, body := []string{s.header()}, ""
		if strings.HasPrefix(asked, "POST") {
			headers, body = nil, credentials(grace)
		}
		a := w.ask(asked, body, append(headers, "X-Request-ID: "+id, "Origin: https://app.mail.test")...).
			refuses(500, "general_unknown", "Server Error").
			has("Set-Cookie:", "X-Fallback-Cookies:", "X-Request-ID: "+id, "Access-Control-Allow-Origin: https://app.mail.test")
		if strings.Contains(a.body, "inside") {
			t.Error(a.body)
		}
		lines := heard.lines(t, w.heard, id)
		if len(lines) != 2 || lines[0]["level"] != "ERROR" || lines[0]["panic"] != "the inside of the program" ||
			!strings.Contains(lines[0]["stack"].(string), "failures_test.go") || lines[1]["status"] != float64(500) {
			t.Errorf("logged: %v", lines)
		}
	}
	var abort any = http.ErrAbortHandler
	panics.Store(&abort)
	func() {
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("the connection is not cut: %v", got)
			}
		}()
		w.ask("GET /v1/account/sessions", nil, s.header())
	}()
	panics.Store(nil)
	w.ask("GET /v1/account/sessions", nil, s.header()).is(200)
}

// soon checks that a refusal says when to come back, and came at once.
func (a *reply) soon(began time.Time, seconds int) {
	a.w.Helper()
	a.has(fmt.Sprintf("Retry-After: %d", seconds), "Set-Cookie:", "X-Fallback-Cookies:")
	if took := time.Since(began); took > 2*time.Second {
		a.w.Errorf("%s: took %s", a.asked, took)
	}
}

// changes is every request of ada's that appends.
var changes = map[string]string{
	"PATCH /v1/account/name":              `{"name":"Countess"}`,
	"PATCH /v1/account/prefs":             `{"prefs":{"a":1}}`,
	"PATCH /v1/account/email":             `{"email":"countess@mail.test","password":"hunter-of-ada"}`,
	"PATCH /v1/account/password":          `{"password":"hunter-of-more","oldPassword":"hunter-of-ada"}`,
	"PATCH /v1/account/sessions/current":  `{}`,
	"DELETE /v1/account/sessions/current": ``,
	"DELETE /v1/account/sessions":         ``,
	"PATCH /v1/account/status":            ``,
	"DELETE /v1/account":                  ``,
}

func TestWithoutTheLogNothingIsDoneAndSaidSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	w.clock.move(time.Minute)
	for _, hook := range []*atomic.Pointer[func() error]{&w.log.appends, &w.log.reads} {
		fails(hook, fmt.Errorf("disk: %w", event.ErrUnavailable))
		for asked, body := range changes {
			began := time.Now()
			w.ask(asked, body, s.header()).refuses(503, "general_event_log_unavailable").soon(began, 2)
		}
		began := time.Now()
		w.ask("POST /v1/account", grace.body()).refuses(503, "general_event_log_unavailable").soon(began, 2)
		began = time.Now()
		w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(503, "general_event_log_unavailable").soon(began, 2)
		// A wrong password that cannot be counted is not weighed.
		began = time.Now()
		w.ask("POST /v1/account/sessions/email", credentials(person{Email: ada.Email, Password: wrong})).refuses(503, "general_event_log_unavailable").soon(began, 2)
		// What is there can be looked at.
		w.ask("GET /v1/account", nil, s.header()).is(200)
		w.ask("GET /v1/account/sessions", nil, s.header()).is(200)
		fails(hook, nil)
	}
	fails(&w.log.reads, fmt.Errorf("disk: %w", event.ErrUnavailable))
	began := time.Now()
	w.ask("GET /v1/account/logs", nil, s.header()).refuses(503, "general_event_log_unavailable").soon(began, 2)
	fails(&w.log.reads, nil)
	w.did()
	w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, s.header()).is(200)
}

func TestAnUnexpectedFailureIsA500ThatTellsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	w.clock.move(time.Minute)
	for _, hook := range []*atomic.Pointer[func() error]{&w.log.appends, &w.log.reads} {
		fails(hook, errBroken)
		for asked, body := range changes {
			w.ask(asked, body, s.header()).refuses(500, "general_unknown", "Server Error").has("Set-Cookie:", "Retry-After:")
		}
		fails(hook, nil)
	}
	w.hasher.fails.Store(&errBroken)
	w.ask("POST /v1/account", grace.body(), "X-Request-ID: broken-hasher").refuses(500, "general_unknown", "Server Error")
	w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(500, "general_unknown", "Server Error")
	w.ask("POST /v1/account/sessions/email", credentials(grace)).refuses(500, "general_unknown", "Server Error")
	w.did()
	lines := heard.lines(t, w.heard, "broken-hasher")
	if len(lines) != 2 || lines[0]["error"] != errBroken.Error() || lines[1]["status"] != float64(500) || lines[1]["route"] != "/v1/account" {
		t.Errorf("logged: %v", lines)
	}
}

func TestABusyHasherSaysWhenToComeBack(t *testing.T) {
	w := newWorld(t)
	w.signUp(ada)
	w.happened()
	busy := error(hash.ErrBusy)
	w.hasher.fails.Store(&busy)
	for _, p := range []person{ada, grace} { // known and unknown
		w.ask("POST /v1/account/sessions/email", credentials(p)).refuses(503, hash.ErrBusy.Type).has("Retry-After: 1")
	}
	w.ask("POST /v1/account", grace.body()).refuses(503, hash.ErrBusy.Type).has("Retry-After: 1")
	w.did()
}

// What was done but cannot be shown yet is never shown as it was before.
func TestAnAnswerWaitsForTheReadModelsAndNotForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	held := make(chan struct{})
	w.log.held.Store(&held)
	began := time.Now()
	w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, s.header()).refuses(503, "general_read_model_behind").soon(began, 1)
	w.did("account.name-changed.v1")
	began = time.Now()
	var both sync.WaitGroup
	both.Go(func() { // to ask again for what is so already waits as well
		w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, s.header()).refuses(503, "general_read_model_behind").soon(began, 1)
	})
	both.Go(func() {
		w.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(503, "general_read_model_behind").soon(began, 1)
	})
	both.Wait()
	w.did("account.session-started.v1")
	close(held)
	w.log.held.Store(nil)
	w.same("name", w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, s.header()).is(200).member("name"), "Countess")
}

func TestAReadModelThatCannotBeReadMakesNobodyAGuest(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, asked := range []string{"GET /v1/account", "GET /v1/account/sessions", "PATCH /v1/account/name", "DELETE /v1/account/sessions/current", "POST /v1/account", "POST /v1/account/sessions/email"} {
		w.ask(asked, `{}`, s.header()).refuses(500, "general_unknown", "Server Error").has("Set-Cookie:", "X-Fallback-Cookies:")
	}
}

func TestWithoutCountersNoLimitedCallIsServed(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.CountCall = func(context.Context, int, time.Duration, ...string) (Allowance, error) { return Allowance{}, errBroken }
	})
	w.ask("POST /v1/account", ada.body()).refuses(500, "general_unknown", "Server Error")
	w.did()
	w.ask("POST /v1/account", ada.body(), "X-Appwrite-Key: "+serverKey).is(201)
}

func TestARequestWhoseClientLeftEnds(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	gone, leave := context.WithCancel(t.Context())
	leave()
	w.clock.move(48 * time.Hour) // an access would have to be noted
	w.askIn(gone, "GET /v1/account", nil, s.header()).refuses(503, "general_timeout").has("Retry-After: 1")
	w.askIn(gone, "POST /v1/account", grace.body()).is(503).has("Retry-After: 2")
	w.askIn(gone, "POST /v1/account/sessions/email", credentials(ada)).is(503).has("Set-Cookie:")
	w.did()
}

func TestAnAccessThatCannotBeNotedFailsNothing(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.clock.move(48 * time.Hour)
	fails(&w.log.appends, errBroken)
	w.ask("GET /v1/account", nil, s.header(), "X-Request-ID: unnoted").is(200)
	lines := heard.lines(t, w.heard, "unnoted")
	if len(lines) != 2 || lines[0]["level"] != "WARN" {
		t.Errorf("logged: %v", lines)
	}
}

func TestOneLineIsWrittenAboutARequest(t *testing.T) {
	type observed struct {
		Route, Method string
		Status        int
	}
	var requests []observed
	commands := []string{}
	w := newWorld(t, func(p *plan) {
		p.ObserveRequest = func(route, method string, status int, _ time.Duration) {
			requests = append(requests, observed{route, method, status})
		}
		p.ObserveCommand = func(command, outcome string) { commands = append(commands, command+" "+outcome) }
	})
	s := w.member(ada)
	requests, commands = nil, nil
	w.ask("GET /v1/account/sessions/"+s.id+"?hunter=ada@mail.test", nil, s.header(), "X-Request-ID: line-1").is(200)
	w.ask("GET /nowhere/ada@mail.test", nil, "X-Request-ID: line-2").is(404)
	w.ask("HUNTER2 /v1/account", nil, "X-Request-ID: line-3").is(405)
	w.ask("PATCH /v1/account/name", `{"name":"Countess"}`, s.header(), "X-Request-ID: line-4").is(200)
	w.ask("PATCH /v1/account/email", `{"email":"x@mail.test","password":"hunter-but-wrong"}`, s.header(), "X-Request-ID: line-5").is(401)
	w.same("requests", requests, []observed{
		{"/v1/account/sessions/{sessionId}", "GET", 200}, {"", "GET", 404}, {"", "other", 405},
		{"/v1/account/name", "PATCH", 200}, {"/v1/account/email", "PATCH", 401},
	})
	for i, o := range requests {
		lines := heard.lines(t, w.heard, fmt.Sprintf("line-%d", i+1))
		if len(lines) != 1 {
			t.Fatalf("lines: %v", lines)
		}
		l := lines[0]
		if l["msg"] != "request" || l["level"] != "INFO" || l["route"] != o.Route || l["method"] != o.Method || l["status"] != float64(o.Status) || len(l) != 8 {
			t.Errorf("%+v was logged as %v", o, l)
		}
	}
	w.same("commands", commands, []string{"accountUpdateName ok", "accountUpdateEmail user_invalid_credentials"})
}

func TestARequestKeepsItsIDWhenItIsOne(t *testing.T) {
	w := newWorld(t)
	for _, given := range []string{"a", "4bf92f35-77b3-4da6-a3ce", strings.Repeat("A", 64)} {
		w.ask("GET /v1/account", nil, "X-Request-ID: "+given).has("X-Request-ID: " + given)
	}
	for _, given := range []string{"", " ", "a b", "a_b", "a\r\nSet-Cookie: x=y", "a\x00", "ä", "\x1b[31m", `"`, strings.Repeat("A", 65)} {
		a := w.ask("GET /v1/account", nil, "X-Request-ID: "+given).has("Set-Cookie:")
		if id := a.header.Get("X-Request-ID"); !drawnID.MatchString(`"` + id + `"`) {
			t.Errorf("%q became %q", given, id)
		}
	}
}

func TestAbsurdHeadersAreRefusedInTheEnvelope(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	many := func(n int) []string {
		headers := []string{s.header()}
		for i := range n {
			headers = append(headers, fmt.Sprintf("X-Header-%d: x", i))
		}
		return headers
	}
	const text = "The request's headers are too large."
	w.ask("GET /v1/account", nil, many(198)...).is(200) // with the session and the project
	w.ask("GET /v1/account", nil, many(199)...).refuses(431, "general_argument_invalid", text)
	w.ask("GET /v1/account", nil, many(10_000)...).refuses(431, "general_argument_invalid", text)
	w.ask("GET /v1/account", nil, s.header(), "X-Header: "+strings.Repeat("x", 60_000)).is(200)
	w.ask("GET /v1/account", nil, s.header(), "X-Header: "+strings.Repeat("x", 64<<10)).refuses(431, "general_argument_invalid", text)
	w.ask("GET /v1/account?"+strings.Repeat("x", 64<<10), nil, s.header()).refuses(431, "general_argument_invalid", text)
	same := []string{s.header()}
	for range 250 {
		same = append(same, "Cookie: a=b")
	}
	w.ask("GET /v1/account", nil, same...).refuses(431, "general_argument_invalid", text)
}

// Two APIs in one program share nothing, though huma's errors are the program's.
func TestTwoAPIsAnswerEachForItself(t *testing.T) {
	one := newWorld(t)
	two := newWorld(t, func(p *plan) { p.project.Auth.PasswordMinLength = 6 })
	const short = `{"email":"ada@mail.test","password":"hunte"}`
	one.ask("POST /v1/account/sessions/email", short).refuses(400, "general_argument_invalid", textPassword)
	two.ask("POST /v1/account/sessions/email", short).refuses(400, "general_argument_invalid", strings.Replace(textPassword, "8", "6", 1))
	one.signUp(ada)
	two.ask("POST /v1/account/sessions/email", credentials(ada)).refuses(401, "user_invalid_credentials")
}
