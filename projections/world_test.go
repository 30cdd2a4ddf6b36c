package projections

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/uptrace/bun"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { postgrestest.Stop(); os.Exit(code) }))
}

// place makes the address of a new, empty database.
type place func(testing.TB) string

func inFile(t testing.TB) string { return filepath.Join(t.TempDir(), "readmodels.db") }

// onBoth runs a test on each kind of database, beside other tests: most of the time they wait for the disk.
func onBoth(t *testing.T, test func(t *testing.T, on place)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { test(t, inFile) })
	t.Run("postgres", func(t *testing.T) { test(t, postgrestest.Database) })
}

// opened is a database of either kind.
type opened interface {
	Database
	Write() *bun.DB
	Migrate(context.Context) error
	Close() error
}

// world is a log and a database, and read models between them.
type world struct {
	t      testing.TB
	on     place
	log    *logtest.Memory
	at     string // the database's address
	db     opened
	models *ReadModels
	ids    uint64
	trace  *event.Trace // of what happens next
}

// newWorld is one for tests of which the kind of the database makes no difference.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, inFile)
}

func newWorldOn(t testing.TB, on place) *world {
	t.Helper()
	w := &world{t: t, on: on, log: logtest.NewMemory(), trace: &event.Trace{IP: "192.0.2.7", UserAgent: "curl/8", Email: "ada@example.com", Name: "Ada"}}
	w.at = on(t)
	w.db = openDatabase(t, w.at)
	w.models = w.newModels()
	return w
}

// another is one with the same log and database, as another process has it.
func (w *world) another() *world {
	w.t.Helper()
	other := *w
	other.db = openDatabase(w.t, w.at)
	other.models = other.newModels()
	return &other
}

// openDatabase opens and migrates what is at an address, in the way another process would.
func openDatabase(t testing.TB, address string) opened {
	t.Helper()
	db := openOnly(t, address)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func openOnly(t testing.TB, address string) (db opened) {
	t.Helper()
	var err error
	if strings.HasPrefix(address, "postgres://") {
		db, err = database.OpenPostgres(t.Context(), address)
	} else {
		db, err = database.Open(address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// newModels gives read models over the same log and database, as another process would.
func (w *world) newModels() *ReadModels {
	w.t.Helper()
	m, err := New(w.db, w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

var dawn = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// moment gives the n-th second of the test.
func moment(n int64) time.Time { return dawn.Add(time.Duration(n)*time.Second + 250*time.Millisecond) }

// proposed gives events as commands propose them, the first being decided at a moment.
func (w *world) proposed(at int64, events ...account.Event) []event.Proposed {
	w.t.Helper()
	all := make([]event.Proposed, len(events))
	for i, e := range events {
		w.ids++
		p := &all[i]
		binary.BigEndian.PutUint64(p.ID[:], w.ids)
		p.Type = e.EventType()
		p.Data = w.json(e)
		p.Metadata = w.json(event.Metadata{At: moment(at + int64(i)), Actor: event.Actor{Kind: event.ActorUser}, Project: "shop", Personal: w.trace})
	}
	return all
}

func (w *world) json(v any) json.RawMessage {
	w.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// happens appends events to an account of the project shop, one second after the other, beginning with the revision.
func (w *world) happens(id string, revision int64, events ...account.Event) {
	w.t.Helper()
	w.appends(id, revision, w.proposed(revision, events...)...)
}

func (w *world) appends(id string, revision int64, events ...event.Proposed) {
	w.t.Helper()
	if _, err := w.log.Append(w.t.Context(), Key{"shop", id}.accountStream(), revision-1, events); err != nil {
		w.t.Fatal(err)
	}
}

// recorded is the log so far.
func (w *world) recorded() []event.Recorded {
	w.t.Helper()
	var all []event.Recorded
	err := w.log.Follow(w.t.Context(), event.Position{}, only, func(s event.Stretch) error {
		all = append(all, s.Events...)
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// run runs read models until stop is called, or the test ends.
func (w *world) run(m *ReadModels) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { defer close(ended); ended <- m.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) head() event.Position {
	w.t.Helper()
	head, err := w.log.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return head
}

// shows waits until read models show all that happened.
func (w *world) shows(m *ReadModels) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := m.Wait(ctx, w.head()); err != nil {
		w.t.Fatalf("wait: %v; %+v", err, m.Status())
	}
}

// runToEnd runs read models until they show all that happened, and stops them.
func (w *world) runToEnd(m *ReadModels) {
	w.t.Helper()
	stop := w.run(m)
	w.shows(m)
	stop()
}

// awaitStopped waits until a model has stopped.
func (w *world) awaitStopped(m *ReadModels, name string) error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	i := slices.Index(m.Names(), name)
	err := m.models[i].progress().watch(ctx, func(now *mark) (bool, error) { return now.stopped != nil, nil })
	if err != nil {
		w.t.Fatalf("%s does not stop: %v", name, err)
	}
	return m.Status()[i].Stopped
}

func (w *world) account(id string) (Account, bool) {
	w.t.Helper()
	a, ok, err := w.models.Account(w.t.Context(), "shop", id)
	if err != nil {
		w.t.Fatal(err)
	}
	return a, ok
}

// dump is all rows of a table in the order of their keys, each value with its type, and the same for the same rows in
// whatever database.
func dump(t testing.TB, db Database, table string) string {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), "SELECT * FROM "+table+" ORDER BY 1, 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i, v := range values {
			value := *v.(*any)
			switch v := value.(type) {
			case time.Time:
				value = v.UTC().Format(time.RFC3339Nano)
			case bool:
				value = map[bool]int64{true: 1}[v] // as SQLite has it
			}
			fmt.Fprintf(&b, "%s=%#v ", columns[i], value)
		}
		b.WriteByte('\n')
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dumps is the dump of every read model.
func (w *world) dumps() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, name := range w.models.Names() {
		all[name] = dump(w.t, w.db, name)
	}
	return all
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors(), cmpopts.IgnoreTypes(bun.BaseModel{})); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Events with what is personal in them.

func created(email, password string) account.Created {
	e := account.Created{EmailHold: account.Hold{Claim: "c", Taking: "t"}, EmailTarget: "target"}
	e.Personal.Email, e.Personal.Name, e.Personal.Password = account.Email(email), "Ada", password
	return e
}

func renamed(name string) account.NameChanged {
	var e account.NameChanged
	e.Personal.Name = name
	return e
}

func called(phone string) account.PhoneChanged {
	var e account.PhoneChanged
	e.Personal.Phone = account.Phone(phone)
	return e
}

func moved(email string) account.EmailChanged {
	var e account.EmailChanged
	e.Personal.Email = account.Email(email)
	return e
}

func prefs(object string) account.PrefsChanged {
	var e account.PrefsChanged
	e.Personal.Prefs = json.RawMessage(object)
	return e
}

func password(hash string) account.PasswordChanged {
	var e account.PasswordChanged
	e.Personal.Password = hash
	return e
}

func started(id string) account.SessionStarted {
	e := account.SessionStarted{ID: id, SecretHash: "hash-of-" + id, Provider: account.ProviderEmail, Factors: []string{account.FactorPassword}, Expires: moment(1_000_000)}
	e.Personal.ProviderUID = "ada@example.com"
	return e
}

// forgotten gives events as the log does when the person was forgotten: without what is personal.
func (w *world) forgotten(events []event.Proposed) []event.Proposed {
	w.t.Helper()
	for i := range events {
		for _, text := range []*json.RawMessage{&events[i].Data, &events[i].Metadata} {
			var members map[string]json.RawMessage
			if err := json.Unmarshal(*text, &members); err != nil {
				w.t.Fatal(err)
			}
			delete(members, "personal")
			*text = w.json(members)
		}
	}
	return events
}
