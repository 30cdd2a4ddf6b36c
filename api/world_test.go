package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/geo"
	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/adapters/passwords"
	"github.com/actahq/acta/adapters/ratelimit"
	"github.com/actahq/acta/adapters/useragent"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/projections"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What is personal or secret in the tests holds one of these, or is remembered by told. None may ever be logged, and
// none may stand in the body of a refusal.
var personal = []string{"@mail.", "hunter", "$fake$", "Lovelace", "203.0.113.", "2001:db8:", "Mozilla/"}

// heard is everything the program logged during the tests.
var heard = &hearing{}

type hearing struct {
	mu      sync.Mutex
	text    bytes.Buffer
	secrets []string
}

func (h *hearing) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

// told remembers secrets that clients were told.
func (h *hearing) told(secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets = append(h.secrets, secret)
}

func (h *hearing) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Len()
}

// lines gives the lines about a request that were logged behind a size.
func (h *hearing) lines(t testing.TB, after int, id string) (lines []map[string]any) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range bytes.Lines(h.text.Bytes()[after:]) {
		var l map[string]any
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("a logged line is not JSON: %v\n%s", err, line)
		}
		if l["request"] == id {
			lines = append(lines, l)
		}
	}
	return lines
}

func (h *hearing) leaks() (leaks []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(h.text.String()) {
		for _, s := range slices.Concat(personal, h.secrets) {
			if len(leaks) < 10 && strings.Contains(line, s) {
				leaks = append(leaks, fmt.Sprintf("%q was logged: %s", s, line))
			}
		}
	}
	return leaks
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewJSONHandler(heard, &slog.HandlerOptions{Level: slog.LevelDebug})))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if leaks := heard.leaks(); len(leaks) > 0 {
			fmt.Fprintln(os.Stderr, strings.Join(leaks, ""))
			code = 1
		}
		os.Exit(code)
	}))
}

// Where everything begins, at a quarter past an hour, so that windows of rate limits are no accident.
var dawn = time.Date(2026, 11, 20, 12, 15, 0, 250_000_000, time.UTC)

// clock is a clock that stands still until it is moved.
type clock struct{ moved atomic.Int64 }

func (c *clock) Now() time.Time       { return dawn.Add(time.Duration(c.moved.Load())) }
func (c *clock) move(d time.Duration) { c.moved.Add(int64(d)) }

// hasher is a hasher that costs nothing.
type hasher struct{ fails atomic.Pointer[error] }

func (h *hasher) Hash(_ context.Context, password string) (string, error) {
	sum := sha256.Sum256([]byte(password))
	return "$fake$" + hex.EncodeToString(sum[:]), h.failure()
}

func (h *hasher) Verify(ctx context.Context, password, phc string) (ok, outdated bool, err error) {
	hash, err := h.Hash(ctx, password)
	return hash == phc, false, err
}

func (h *hasher) Dummy(context.Context, string) error { return h.failure() }

func (h *hasher) failure() error {
	if err := h.fails.Load(); err != nil {
		return *err
	}
	return nil
}

// troubled is a log that can be made to fail.
type troubled struct {
	logtest.Log
	reads, appends atomic.Pointer[func() error]  // what happens before
	held           atomic.Pointer[chan struct{}] // followers wait until it is closed
}

func (l *troubled) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	if before := l.appends.Load(); before != nil {
		if err := (*before)(); err != nil {
			return event.Receipt{}, err
		}
	}
	return l.Log.Append(ctx, stream, expected, events)
}

func (l *troubled) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	if before := l.reads.Load(); before != nil {
		if err := (*before)(); err != nil {
			return nil, err
		}
	}
	return l.Log.Read(ctx, stream, from, dir, limit)
}

func (l *troubled) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return l.Log.Follow(ctx, from, only, func(s event.Stretch) error {
		if held := l.held.Load(); held != nil {
			select {
			case <-*held:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return deliver(s)
	})
}

// world is the API over all that it stands on, and its clients.
type world struct {
	testing.TB
	api      http.Handler
	commands *commands.Commands
	project  *project.Project // "shop"
	clock    *clock
	hasher   *hasher
	log      *troubled
	db       *database.DB
	models   *projections.ReadModels
	seen     event.Position // events up to here were told by happened
	signUps  int
	provider *provider // "github" of the project "shop"
	heard    int       // the size of what was logged before
}

// plan is what a test may change before its world begins.
type plan struct {
	Needs
	project *project.Project // "shop", which requests are about when they do not say
	log     logtest.Log
}

// Keys of the projects' servers.
const (
	serverKey  = "the-key-of-a-server"      // may sign up and in
	uselessKey = "the-key-that-may-nothing" // may not
	greedyKey  = "the-key-that-may-all"     // was given a scope that no server has
	otherKey   = "the-key-of-another-project"
)

func newWorld(t testing.TB, changes ...func(*plan)) *world {
	t.Helper()
	shop, other := project.Standard(), project.Standard()
	shop.ID, shop.Platforms = "shop", []string{"app.mail.test", "*.wild.test", "localhost"}
	shop.Keys = []project.Key{
		{Name: "server", Secret: serverKey, Scopes: []string{"sessions.write"}},
		{Name: "useless", Secret: uselessKey, Scopes: []string{"users.read"}},
		{Name: "greedy", Secret: greedyKey, Scopes: []string{"account", "sessions.write"}},
	}
	other.ID, other.Platforms = "other", []string{"other.test"}
	other.Keys = []project.Key{{Name: "other", Secret: otherKey, Scopes: []string{"sessions.write"}}}

	w := &world{TB: t, clock: &clock{}, hasher: &hasher{}, heard: heard.size(), provider: &provider{}}
	limiter := ratelimit.New(w.clock.Now)
	p := plan{
		Needs: Needs{
			PublicURL:      "https://api.mail.test",
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
			CountCall: func(ctx context.Context, limit int, window time.Duration, keys ...string) (Allowance, error) {
				d, err := limiter.Take(ctx, limit, window, keys...)
				return Allowance(d), err
			},
			RateLimits:     true,
			CommonPassword: passwords.Common,
			JWTKey:         []byte("32 bytes for the tests of tokens"),
			IDKey:          []byte("32 bytes for the tests of the ids"),
			Mail:           true,
			Texts:          true,
			Provider: func(project, id string) (Provider, bool) {
				return w.provider, project == "shop" && (id == "github" || id == "own")
			},
			KnownProvider:  func(id string) bool { return id == "github" || id == "google" },
			ProviderName:   func(id string) string { return map[string]string{"github": "GitHub"}[id] },
			Device:         func(ua string) Device { return Device(useragent.Parse(ua)) },
			CountryCode:    geo.Country,
			CountryName:    geo.Name,
			ObserveRequest: func(string, string, int, time.Duration) {},
			ObserveCommand: func(string, string) {},
			Version:        "1.2.3",
			Now:            w.clock.Now,
		},
		project: &shop,
	}
	for _, change := range changes {
		change(&p)
	}
	if p.log == nil {
		p.log = logtest.NewMemory()
	}
	w.log = &troubled{Log: p.log}
	w.open(p, shop, other)
	return w
}

// open makes the parts and runs the projectors until the test ends.
func (w *world) open(p plan, projects ...project.Project) {
	w.Helper()
	var err error
	if w.db, err = database.Open(filepath.Join(w.TempDir(), "readmodels.db")); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { w.db.Close() }) // a test may have closed it
	if err := w.db.Migrate(w.Context()); err != nil {
		w.Fatal(err)
	}
	if w.models, err = projections.New(w.db, w.log); err != nil {
		w.Fatal(err)
	}
	p.ReadModels, p.Projects = w.models, projects
	w.project = &projects[0]
	p.Commands = commands.New(commands.Needs{
		Log: w.log, Passwords: w.hasher, CountAccounts: w.models.CountAccounts, ClaimKey: []byte("claims"), TokenKey: []byte("32 bytes for the tests of secrets"), Now: w.clock.Now,
	})
	w.commands = p.Commands
	if w.api, err = New(p.Needs); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.models.Run(ctx) }()
	w.Cleanup(func() { cancel(); <-ended })
}

// happened tells the types of the events that were appended since it was asked last.
func (w *world) happened() []string {
	w.Helper()
	types := []string{}
	err := w.log.Log.Follow(w.Context(), w.seen, event.Filter{}, func(s event.Stretch) error {
		for _, e := range s.Events {
			types = append(types, e.Type)
		}
		w.seen = s.UpTo
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return types
}

// did checks which events were appended since it, or happened, was asked last.
func (w *world) did(types ...string) {
	w.Helper()
	w.same("events", w.happened(), append([]string{}, types...))
}

func (w *world) same(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// reply is what came back.
type reply struct {
	w      *world
	asked  string
	status int
	header http.Header
	body   string
}

// ask sends a request, e.g. ask("GET /v1/account", nil, "Cookie: a=b"). A body that is no string is sent as JSON.
// Three headers are none: "Host: " is the request's, "Peer: " the address it comes from, "HTTPS: " its encryption. A
// header without a value is not sent.
func (w *world) ask(what string, body any, headers ...string) *reply {
	w.Helper()
	return w.askIn(w.Context(), what, body, headers...)
}

func (w *world) askIn(ctx context.Context, what string, body any, headers ...string) *reply {
	w.Helper()
	method, target, _ := strings.Cut(what, " ")
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(body)
		if err != nil {
			w.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(ctx, method, target, content)
	r.Host, r.RemoteAddr = "api.mail.test", "203.0.113.7:4711"
	r.Header.Set("X-Appwrite-Project", "shop")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	said := map[string]bool{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "Host":
			r.Host = value
		case name == "Peer":
			r.RemoteAddr = value
		case name == "HTTPS":
			r.TLS = httptest.NewRequest("GET", "https://x/", nil).TLS
		case value == "":
			r.Header.Del(name)
		case said[name]:
			r.Header.Add(name, value)
		default:
			r.Header.Set(name, value)
		}
		said[name] = true
	}
	recorder := httptest.NewRecorder()
	w.api.ServeHTTP(recorder, r)
	a := &reply{w, what, recorder.Code, recorder.Result().Header, recorder.Body.String()}
	a.wellFormed()
	return a
}

// wellFormed checks what holds for every answer.
func (a *reply) wellFormed() {
	a.w.Helper()
	for name, want := range map[string]string{"Server": "Acta", "X-Content-Type-Options": "nosniff"} {
		if got := a.header.Get(name); got != want {
			a.w.Errorf("%s: %s is %q, want %q", a.asked, name, got, want)
		}
	}
	if a.header.Get("X-Request-ID") == "" {
		a.w.Errorf("%s: without a request id", a.asked)
	}
	if strings.Contains(a.asked, "/v1/") && a.header.Get("Cache-Control") != "no-store" {
		a.w.Errorf("%s: may be stored: %q", a.asked, a.header.Get("Cache-Control"))
	}
	never := []string{"$fake$", "hunter", `"secretHash"`}
	if a.status >= 400 {
		never = personal
		if page := a.header.Get("Content-Type"); strings.HasPrefix(page, "text/html") {
			if !strings.Contains(a.body, "<h1>That did not work</h1>") || a.header.Get("Content-Security-Policy") != pagePolicy || page != "text/html; charset=UTF-8" {
				a.w.Errorf("%s: %v is no page of a refusal: %s", a.asked, a.header, a.body)
			}
			return
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			a.w.Errorf("%s: a refusal that is no JSON: %v: %s", a.asked, err, a.body)
		}
		if names := slices.Sorted(maps.Keys(e)); !slices.Equal(names, []string{"code", "message", "type", "version"}) ||
			e["code"] != float64(a.status) || e["version"] != "1.2.3" || a.header.Get("Content-Type") != jsonUTF8 {
			a.w.Errorf("%s: %d, %s is no refusal: %s", a.asked, a.status, a.header.Get("Content-Type"), a.body)
		}
	}
	for _, s := range never {
		if strings.Contains(a.body, s) {
			a.w.Errorf("%s: the answer tells %q: %s", a.asked, s, a.body)
		}
	}
}

// is checks the status.
func (a *reply) is(status int) *reply {
	a.w.Helper()
	if a.status != status {
		a.w.Fatalf("%s: %d, want %d: %s", a.asked, a.status, status, a.body)
	}
	return a
}

// refuses checks status, type and, if given, message of a refusal.
func (a *reply) refuses(status int, typ string, message ...string) *reply {
	a.w.Helper()
	var e Envelope
	_ = json.Unmarshal([]byte(a.body), &e) // wellFormed looked
	if a.status != status || e.Type != typ || len(message) > 0 && e.Message != message[0] {
		a.w.Errorf("%s: %d %s %q, want %d %s %q", a.asked, a.status, e.Type, e.Message, status, typ, message)
	}
	return a
}

// has checks headers, "Name: value"; "Name:" is one that is not there.
func (a *reply) has(headers ...string) *reply {
	a.w.Helper()
	for _, h := range headers {
		name, want, _ := strings.Cut(h, ":")
		if got := strings.Join(a.header.Values(name), " | "); got != strings.TrimPrefix(want, " ") {
			a.w.Errorf("%s: %s is %q, want %q", a.asked, name, got, strings.TrimPrefix(want, " "))
		}
	}
	return a
}

func (a *reply) read(into any) {
	a.w.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		a.w.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
}

// member gives a member of an object, by its path.
func (a *reply) member(path ...string) any {
	a.w.Helper()
	var v any
	a.read(&v)
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			a.w.Fatalf("%s: there is no %v: %s", a.asked, path, a.body)
		}
		v = m[name]
	}
	return v
}

var drawnID = regexp.MustCompile(`"[0-9a-f]{20}"`)

// gives checks the body: all members and no other, in any order. Drawn ids are "<id>".
func (a *reply) gives(golden string) *reply {
	a.w.Helper()
	var got, want any
	if err := json.Unmarshal([]byte(golden), &want); err != nil {
		a.w.Fatalf("the golden body: %v", err)
	}
	if err := json.Unmarshal(drawnID.ReplaceAll([]byte(a.body), []byte(`"<id>"`)), &got); err != nil {
		a.w.Fatalf("%s: %v: %s", a.asked, err, a.body)
	}
	a.w.same(a.asked, got, want)
	if a.header.Get("Content-Type") != jsonUTF8 {
		a.w.Errorf("%s: content type %q", a.asked, a.header.Get("Content-Type"))
	}
	return a
}

// cookies gives the Set-Cookie headers as they are.
func (a *reply) cookies() []string { return a.header.Values("Set-Cookie") }

// person is somebody who signs up.
type person struct{ ID, Email, Password, Name string }

var (
	ada   = person{"ada", "ada@mail.test", "hunter-of-ada", "Ada Lovelace"}
	grace = person{"grace", "grace@mail.test", "hunter-of-grace", ""}
)

// body is the person as a request, with what is to be changed.
func (p person) body(changes ...any) map[string]any {
	m := map[string]any{"userId": p.ID, "email": p.Email, "password": p.Password}
	if p.Name != "" {
		m["name"] = p.Name
	}
	for pair := range slices.Chunk(changes, 2) {
		if m[pair[0].(string)] = pair[1]; pair[1] == absent {
			delete(m, pair[0].(string))
		}
	}
	return m
}

const absent = "<absent>"

func (w *world) signUp(p person) {
	w.Helper()
	// From an address of its own: sign-ups from one are limited.
	w.signUps++
	w.ask("POST /v1/account", p.body(), fmt.Sprintf("Peer: 203.0.113.%d:1", 50+w.signUps%200)).is(201)
}

// session is a session that somebody has.
type session struct{ id, value string }

func (s session) cookie() string { return "Cookie: a_session_shop=" + s.value }
func (s session) header() string { return "X-Appwrite-Session: " + s.value }

// secret gives the plain secret inside of the value.
func (s session) secret(t testing.TB) string {
	t.Helper()
	c, ok := decodeCredential(s.value)
	if !ok {
		t.Fatalf("%q is no credential", s.value)
	}
	return c.Secret
}

// signIn signs in as a server does, which no rate limit counts.
func (w *world) signIn(p person, headers ...string) session {
	w.Helper()
	a := w.ask("POST /v1/account/sessions/email", map[string]string{"email": p.Email, "password": p.Password}, append(headers, "X-Appwrite-Key: "+serverKey)...).is(201)
	s := session{a.member("$id").(string), a.member("secret").(string)}
	heard.told(s.value)
	heard.told(s.secret(w))
	return s
}

// member signs somebody up and in.
func (w *world) member(p person) session {
	w.Helper()
	w.signUp(p)
	return w.signIn(p)
}

// hashOf is how a secret is kept.
func hashOf(secret string) string { return commands.HashSecret(secret) }

func present(id, secret string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"id":%q,"secret":%q}`, id, secret))
}

// fails makes every call fail with an error; nil ends it.
func fails(hook *atomic.Pointer[func() error], err error) {
	if err == nil {
		hook.Store(nil)
		return
	}
	f := func() error { return err }
	hook.Store(&f)
}

var errBroken = errors.New("the disk is on fire")

func mustAccount(w *world, id string) projections.Account {
	w.Helper()
	a, found, err := w.models.Account(w.Context(), "shop", id)
	if err != nil || !found {
		w.Fatalf("account %s: %v, %v", id, found, err)
	}
	return a
}
