package letterbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/commands/process"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { postgrestest.Stop(); os.Exit(code) }))
}

func openFile(t testing.TB, path string) *Box {
	t.Helper()
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func openDatabase(t testing.TB, dsn string) *Box {
	t.Helper()
	p, err := database.OpenPostgres(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	if err := p.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := OpenPostgres(p)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// onBoth runs a test on letters in a file and in Postgres. open gives the same letters each time, as another program
// would have them.
func onBoth(t *testing.T, test func(t *testing.T, open func() *Box)) {
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "letters.db")
		test(t, func() *Box { return openFile(t, path) })
	})
	t.Run("Postgres", func(t *testing.T) {
		dsn := postgrestest.Database(t)
		test(t, func() *Box { return openDatabase(t, dsn) })
	})
}

// began is when the tests happen.
var began = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// letter is one that is due at a time, in seconds after began.
func letter(id, channel string, due float64) process.Letter {
	at := began.Add(time.Duration(due * float64(time.Second)))
	return process.Letter{
		ID: id, Stream: "account-web." + id, Revision: 7, Kind: "verification", Channel: channel,
		Status: process.Queued, NextTry: at, CreatedAt: began, UpdatedAt: began,
	}
}

func add(t testing.TB, b *Box, letters ...process.Letter) {
	t.Helper()
	if err := b.Add(t.Context(), letters...); err != nil {
		t.Fatal(err)
	}
}

// is adds a letter and gives it a status.
func is(t testing.TB, b *Box, l process.Letter, status process.Status) {
	t.Helper()
	add(t, b, l)
	l.Status = status
	update(t, b, l)
}

func update(t testing.TB, b *Box, l process.Letter) {
	t.Helper()
	if err := b.Update(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, b *Box, status process.Status) []process.Letter {
	t.Helper()
	all, err := b.List(t.Context(), process.ListLetters{Status: status, Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(letters []process.Letter) []string {
	var all []string
	for _, l := range letters {
		all = append(all, l.ID)
	}
	return all
}

func same(t testing.TB, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestALetterComesBackAsItWasStored(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		l := letter("1", "email", 60)
		l.Expires = began.Add(time.Hour)
		once := letter("2", "sms", 0)
		once.NextTry = time.Time{} // at once
		add(t, b, l, once)
		once.NextTry = began
		same(t, "added", []process.Letter{once, l}, list(t, b, ""))

		l.Status, l.Attempts, l.Problem = process.Failed, 3, "421 é \ufffd 'quoted' \\ $1 ?"
		l.FirstTry, l.NextTry, l.UpdatedAt = began.Add(time.Minute), began.Add(2*time.Minute), began.Add(3*time.Minute)
		update(t, b, l)
		same(t, "updated", []process.Letter{once, l}, list(t, open(), ""))
	})
}

func TestTimesAreOfWholeMillisecondsAndUTC(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		l := letter("1", "email", 0)
		elsewhere := time.FixedZone("", 5*3600)
		l.NextTry, l.CreatedAt, l.Expires = began.Add(999_999).In(elsewhere), began.Add(1).In(elsewhere), began.Add(time.Hour).In(elsewhere)
		add(t, b, l)
		want := letter("1", "email", 0)
		want.Expires = began.Add(time.Hour)
		same(t, "rounded down", []process.Letter{want}, list(t, b, ""))
		due, err := b.Due(t.Context(), "email", began.Add(1), 10)
		if err != nil || len(due) != 1 {
			t.Errorf("%v, %v", due, err)
		}
	})
}

func TestALetterThatIsThereStaysAsItIs(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		sent := letter("1", "email", 0)
		is(t, b, sent, process.Sent)
		sent.Status = process.Sent
		again := letter("1", "sms", 60)
		add(t, b, again, letter("2", "email", 0), letter("2", "sms", 5), letter("0", "email", 0))
		same(t, "letters", []process.Letter{letter("2", "email", 0), sent, letter("0", "email", 0)}, list(t, b, ""))
	})
}

func TestALetterIsTakenInAsQueuedWhateverItSays(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		l := letter("1", "email", 0)
		l.Status, l.Attempts, l.FirstTry, l.Problem, l.UpdatedAt = "", 4, began, "what", began.Add(time.Hour)
		add(t, b, l)
		same(t, "letters", []process.Letter{letter("1", "email", 0)}, list(t, b, ""))
	})
}

func TestManyLettersAreAddedAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		const n = 2*atOnce + 1
		var all []process.Letter
		for i := range n {
			all = append(all, letter(fmt.Sprintf("%05d", i), "email", 0))
		}
		add(t, b)
		add(t, b, all[:n/2]...)
		add(t, b, all...)
		slices.Reverse(all)
		same(t, "letters", all, list(t, b, ""))
	})
}

func TestDueLettersComeOldestFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		add(t, b, letter("late", "email", 30), letter("b", "email", 10), letter("a", "email", 10), letter("first", "email", -5),
			letter("future", "email", 30.001), letter("text", "sms", 0))
		for _, status := range []process.Status{process.Sent, process.Failed, process.Abandoned} {
			is(t, b, letter(string(status), "email", 0), status)
		}
		for _, c := range []struct {
			channel string
			now     time.Duration
			atMost  int
			want    []string
		}{
			{"email", 30 * time.Second, 10, []string{"first", "a", "b", "late"}},
			{"email", 30 * time.Second, 2, []string{"first", "a"}},
			{"email", 0, 10, []string{"first"}},
			{"email", -time.Hour, 10, nil},
			{"sms", time.Hour, 10, []string{"text"}},
			{"pigeon", time.Hour, 10, nil},
		} {
			due, err := b.Due(t.Context(), c.channel, began.Add(c.now), c.atMost)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%+v", c), c.want, ids(due))
		}
	})
}

func TestTheNextTryIsTheFirstThatIsNotDueYet(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		add(t, b, letter("now", "email", 0), letter("later", "email", 20), letter("soon", "email", 10), letter("text", "sms", 5))
		is(t, b, letter("sent", "email", 1), process.Sent)
		for _, c := range []struct {
			channel string
			now     time.Duration
			want    time.Duration
			ok      bool
		}{
			{"email", -time.Second, 0, true},
			{"email", 0, 10 * time.Second, true},
			{"email", 10 * time.Second, 20 * time.Second, true},
			{"email", 20 * time.Second, 0, false},
			{"sms", 0, 5 * time.Second, true},
			{"pigeon", 0, 0, false},
		} {
			next, ok, err := b.Next(t.Context(), c.channel, began.Add(c.now))
			if err != nil || ok != c.ok || ok && !next.Equal(began.Add(c.want)) {
				t.Errorf("%+v: %v, %v, %v", c, next, ok, err)
			}
		}
	})
}

func TestALetterThatWasSentStaysSent(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		mine, theirs := open(), open()
		l := letter("1", "email", 0)
		is(t, mine, l, process.Sent)
		l.Attempts, l.NextTry = 1, began.Add(time.Minute) // the other one still thinks it should be tried again
		update(t, theirs, l)
		if n, err := mine.Retry(t.Context(), began, "1"); n != 0 || err != nil {
			t.Errorf("%d are tried again, %v", n, err)
		}
		want := letter("1", "email", 0)
		want.Status = process.Sent
		same(t, "letters", []process.Letter{want}, list(t, mine, ""))
	})
}

// each adds a letter of each status and age: those that never expire, will, and have, at began.
func each(t *testing.T, b *Box) {
	t.Helper()
	for _, status := range []process.Status{process.Queued, process.Sent, process.Failed, process.Abandoned} {
		for name, expires := range map[string]time.Time{"": {}, " later": began.Add(time.Millisecond), " now": began} {
			l := letter(string(status)+name, "email", -60)
			l.CreatedAt, l.Expires = began.Add(-time.Hour), expires
			add(t, b, l)
			l.Status, l.Attempts, l.FirstTry, l.Problem = status, 5, began.Add(-time.Minute), "it is down"
			update(t, b, l)
		}
	}
}

func TestLettersAreRetried(t *testing.T) {
	for name, c := range map[string]struct{ named, want []string }{
		"all that failed":   {nil, []string{"failed", "failed later"}},
		"those named":       {[]string{"abandoned later", "failed", "unknown"}, []string{"abandoned later", "failed"}},
		"not what is over":  {[]string{"abandoned now", "failed now", "sent", "queued"}, nil},
		"named very often":  {slices.Repeat([]string{"failed"}, atOnce), []string{"failed"}},
		"a quoted name":     {[]string{"' OR '1'='1"}, nil},
		"more than at once": {append(numbers(atOnce), "abandoned"), []string{"abandoned"}},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, open func() *Box) {
				b := open()
				each(t, b)
				before := list(t, b, "")
				n, err := b.Retry(t.Context(), began, c.named...)
				if err != nil || n != len(c.want) {
					t.Errorf("%d are retried, %v", n, err)
				}
				for i, l := range before {
					if slices.Contains(c.want, l.ID) {
						before[i].Status, before[i].Attempts, before[i].FirstTry = process.Queued, 0, time.Time{}
						before[i].NextTry, before[i].UpdatedAt = began, began
					}
				}
				same(t, "letters", before, list(t, b, ""))
			})
		})
	}
}

func numbers(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i)
	}
	return all
}

func TestOldLettersAreRemovedUnlessSomebodyMayNeedThem(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		each(t, b)
		is(t, b, letter("young", "email", 0), process.Sent)
		var many []process.Letter
		for _, id := range numbers(atOnce) {
			l := letter(id, "email", 0)
			l.CreatedAt = began.Add(-2 * time.Hour)
			many = append(many, l)
		}
		add(t, b, many...)
		for _, l := range many {
			l.Status = process.Sent
			update(t, b, l)
		}
		for id, expires := range map[string]time.Time{"failed and expired": began.Add(-time.Millisecond), "failed and expires": began} {
			l := letter(id, "email", 0)
			l.CreatedAt, l.Expires = began.Add(-30*time.Minute), expires
			is(t, b, l, process.Failed)
		}
		if n, err := b.Prune(t.Context(), began.Add(-time.Hour)); n != atOnce || err != nil {
			t.Errorf("%d are removed, %v", n, err)
		}
		if n, err := b.Prune(t.Context(), began); n != 7 || err != nil {
			t.Errorf("%d are removed, %v", n, err)
		}
		got := ids(list(t, b, ""))
		slices.Sort(got)
		same(t, "left", []string{"failed", "failed and expires", "failed later", "failed now", "queued", "queued later", "queued now", "young"}, got)
	})
}

func TestLettersAreCountedAndListedNewestFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		for i, status := range []process.Status{process.Sent, process.Queued, process.Sent, process.Failed} {
			l := letter(fmt.Sprint(i), "email", 0)
			l.CreatedAt = began.Add(time.Duration(i) * time.Millisecond)
			is(t, b, l, status)
		}
		same(t, "all", []string{"3", "2", "1", "0"}, ids(list(t, b, "")))
		same(t, "sent", []string{"2", "0"}, ids(list(t, b, process.Sent)))
		same(t, "abandoned", []string(nil), ids(list(t, b, process.Abandoned)))
		last, err := b.List(t.Context(), process.ListLetters{Status: process.Sent, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "the last one sent", []string{"2"}, ids(last))
		count, err := b.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "count", map[process.Status]int{process.Queued: 1, process.Sent: 2, process.Failed: 1}, count)
	})
}

func TestWhatIsNoStatusIsNotStored(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		b := open()
		add(t, b, letter("1", "email", 0))
		l := letter("1", "email", 0)
		l.Status = "lost"
		if b.Update(t.Context(), l) == nil {
			t.Error("no error")
		}
	})
}

// These are asked all the time, while old letters pile up.
func TestLookingForLettersReadsNoOthers(t *testing.T) {
	b := openFile(t, filepath.Join(t.TempDir(), "letters.db"))
	for query, index := range map[string]string{
		"SELECT id FROM letters WHERE status = 'queued' AND channel = 'a' AND next_try <= 1 ORDER BY next_try, id LIMIT 1":                "letters_due",
		"SELECT min(next_try) FROM letters WHERE status = 'queued' AND channel = 'a' AND next_try > 1":                                    "letters_due",
		"SELECT status, count(*) FROM letters GROUP BY status":                                                                            "COVERING INDEX letters_by_status",
		"SELECT id FROM letters WHERE status IN ('sent', 'abandoned') AND created_at < 1 LIMIT 1":                                         "letters_by_status",
		"SELECT id, problem FROM letters WHERE status = 'sent' ORDER BY created_at DESC, id DESC LIMIT 1":                                 "letters_by_status",
		"SELECT id, problem FROM letters ORDER BY created_at DESC, id DESC LIMIT 1":                                                       "letters_by_age",
		"UPDATE letters SET status = 'queued' WHERE expires > 1 AND status = 'failed'":                                                    "letters_by_status",
		"UPDATE letters SET status = 'queued' WHERE expires > 1 AND status IN ('failed', 'abandoned') AND id IN ('a', 'b') AND kind = ''": "PRIMARY KEY",
	} {
		rows, err := b.read.Query("EXPLAIN QUERY PLAN " + query)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		rows.Close()
		if text := strings.Join(plan, "; "); !strings.Contains(text, index) || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("%s: %s", query, text)
		}
	}
}

func TestLettersAreTheOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	add(t, openFile(t, path), letter("1", "email", 0))
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v", f, info.Mode())
		}
	}
}

func TestWhatCannotBeOpenedOrReadIsAnError(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "missing", "letters.db")); err == nil {
		t.Error("a folder that is not there")
	}
	path := filepath.Join(t.TempDir(), "letters.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil {
		t.Error("a file that is no database")
	}
	b, err := Open(filepath.Join(t.TempDir(), "letters.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	l := letter("1", "email", 0)
	for name, do := range map[string]func(context.Context) error{
		"Add":    func(ctx context.Context) error { return b.Add(ctx, l) },
		"Due":    func(ctx context.Context) error { _, err := b.Due(ctx, "email", began, 1); return err },
		"Next":   func(ctx context.Context) error { _, _, err := b.Next(ctx, "email", began); return err },
		"Update": func(ctx context.Context) error { return b.Update(ctx, l) },
		"Count":  func(ctx context.Context) error { _, err := b.Count(ctx); return err },
		"List":   func(ctx context.Context) error { _, err := b.List(ctx, process.ListLetters{Limit: 1}); return err },
		"Retry":  func(ctx context.Context) error { _, err := b.Retry(ctx, began); return err },
		"Prune":  func(ctx context.Context) error { _, err := b.Prune(ctx, began); return err },
	} {
		if do(t.Context()) == nil {
			t.Errorf("%s of a closed file", name)
		}
	}
	if (*moment)(new(time.Time)).Scan("noon") == nil {
		t.Error("a time that is a text")
	}
}

// A file is shared with a process of the operator, and its writing connection with whoever adds letters.
func TestLettersAreDeliveredWhileOthersAddSome(t *testing.T) {
	onBoth(t, func(t *testing.T, open func() *Box) {
		const adders, n = 4, 50
		var mu sync.Mutex
		took, all := map[string]int{}, make(chan struct{})
		failed := map[string]bool{}
		send := func(_ context.Context, m process.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasSuffix(m.ID, "7") && !failed[m.ID] {
				failed[m.ID] = true
				return errors.New("not now")
			}
			if took[m.ID]++; len(took) == adders*n {
				close(all)
			}
			return nil
		}
		b := open()
		d := &process.Delivery{
			Letterbox: b,
			Compose:   func(context.Context, process.Letter) (process.Message, error) { return process.Message{}, nil },
			Send:      map[string]func(context.Context, process.Message) error{"email": send, "sms": send},
			Now:       time.Now,
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		for i := range adders {
			other := open()
			go func() {
				for j := range n {
					l := letter(fmt.Sprintf("%d-%d", i, j), []string{"email", "sms"}[j%2], 0)
					l.CreatedAt, l.NextTry = time.Now(), time.Time{}
					if err := other.Add(ctx, l); err != nil {
						t.Error(err)
					}
					d.Wake()
				}
			}()
		}
		select {
		case <-all:
		case <-time.After(time.Minute):
			t.Error("not all are sent")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		count, err := b.Count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		same(t, "count", map[process.Status]int{process.Sent: adders * n}, count)
		if most := slices.Max(slices.Collect(maps.Values(took))); most != 1 {
			t.Errorf("a letter was sent %d times", most)
		}
	})
}

func TestWhatIsStoredSurvivesLossOfPower(t *testing.T) {
	b := openFile(t, filepath.Join(t.TempDir(), "letters.db"))
	var synchronous int
	if err := b.write.QueryRow("PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != 2 {
		t.Errorf("synchronous is %d, %v; FULL is 2", synchronous, err)
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, box := range map[string]*Box{
		"SQLite":   openFile(b, filepath.Join(b.TempDir(), "letters.db")),
		"Postgres": openDatabase(b, postgrestest.Database(b)),
	} {
		b.Run(name, func(b *testing.B) {
			all := make([]process.Letter, 0, 10*atOnce)
			n := 0
			for b.Loop() {
				all = all[:0]
				for range cap(all) {
					all, n = append(all, letter(fmt.Sprint(n), "email", 0)), n+1
				}
				add(b, box, all...)
			}
			b.ReportMetric(float64(b.N)*float64(cap(all))/b.Elapsed().Seconds(), "letters/s")
		})
	}
}

var _ sql.Scanner = (*moment)(nil)
