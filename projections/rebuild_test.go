package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// indexes is how many indexes a table has.
func (w *world) indexes(table string) int {
	w.t.Helper()
	if w.db.Shared() {
		return w.count("SELECT count(*) FROM pg_indexes WHERE tablename = ?", table)
	}
	return w.count("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = ?", table)
}

func (w *world) there(table string) bool {
	w.t.Helper()
	if w.db.Shared() {
		return w.count("SELECT count(*) FROM pg_tables WHERE tablename = ?", table) == 1
	}
	return w.count("SELECT count(*) FROM sqlite_master WHERE name = ?", table) == 1
}

func (w *world) count(query string, arguments ...any) (n int) {
	w.t.Helper()
	if err := w.db.Read().NewRaw(query, arguments...).Scan(w.t.Context(), &n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// Whoever is deleted after a rebuild is gone from the tables it took out of use as well.
func TestNobodyIsRememberedInTheTableBeforeTheRebuild(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		stop := w.run(w.models)
		defer stop()
		w.happens("ada", 0, life("ada")[0], started("phone"))
		w.happens("grace", 0, life("grace")[0], started("desk"))
		w.shows(w.models)
		for _, name := range w.models.Names() {
			same(t, name, w.models.Rebuild(t.Context(), name, nil), nil)
		}
		w.happens("ada", 2, account.SessionRevoked{ID: "phone", Reason: account.RevokedByDeletion}, account.Deleted{})
		w.shows(w.models)
		left := []int{w.count("SELECT count(*) FROM accounts_last"), w.count("SELECT count(*) FROM sessions_last"),
			w.count("SELECT count(*) FROM accounts_last WHERE id = 'ada'")}
		same(t, "rows left", left, []int{1, 1, 0})
	})
}

func TestRebuildEqualsLive(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		stop := w.run(w.models)
		for i := range 6 { // in stretches of many sizes
			id := fmt.Sprintf("a%d", i)
			for r, e := range life(id) {
				w.happens(id, int64(r), e)
				if r%(i+1) == 0 {
					w.shows(w.models)
				}
			}
		}
		w.shows(w.models)
		live, indexes := w.dumps(), w.indexes("sessions")
		for range 3 {
			for _, name := range w.models.Names() {
				var done, total event.Position
				same(t, name, w.models.Rebuild(t.Context(), name, func(d, n event.Position) { done, total = d, n }), nil)
				same(t, "progress", []event.Position{done, total}, []event.Position{w.head(), w.head()})
				same(t, "the old one", dump(t, w.db, name+"_last"), live[name])
				same(t, "leftovers", w.there(name+"_next"), false)
			}
			same(t, "rows", w.dumps(), live)
			same(t, "indexes", []int{w.indexes("sessions"), w.indexes("sessions_last")}, []int{indexes, indexes})
		}

		// The one that runs goes on in the new tables, and readers with the statements they have.
		w.happens("a0", 11, renamed("after"), started("new"))
		w.shows(w.models)
		a, in, ok, err := w.models.BySecret(t.Context(), "shop", "a0", "hash-of-new", dawn)
		same(t, "by secret", []any{a.Name, in.Session, ok, err}, []any{"after", "new", true, nil})
		stop()
		same(t, "rows", w.dumps(), w.expected())
	})
}

func TestRebuildWhileEventsAreAppended(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		path := on(t)
		w.db = openDatabase(t, path)
		w.models = w.newModels()
		w.eventful(50)
		w.happens("r", 0, created("r@example.com", "hash"), started("r"))
		stop := w.run(w.models)
		w.shows(w.models)

		other := *w // another process
		other.db = openDatabase(t, path)
		rebuilds := other.newModels()
		ctx, cancel := context.WithCancel(t.Context())
		rebuilt := make(chan error, 1)
		go func() {
			defer cancel()
			for range 3 {
				for _, name := range rebuilds.Names() {
					if err := rebuilds.Rebuild(t.Context(), name, nil); err != nil {
						rebuilt <- err
						return
					}
				}
			}
			rebuilt <- nil
		}()
		revision := int64(2)
		for ; ctx.Err() == nil || revision < 50; revision++ {
			want := fmt.Sprint(revision)
			w.happens("r", revision, renamed(want))
			w.shows(w.models)
			a, _, ok, err := w.models.BySecret(t.Context(), "shop", "r", "hash-of-r", dawn)
			if !ok || err != nil || a.Name != want {
				t.Fatalf("read %q, %v, %v; want %q", a.Name, ok, err, want)
			}
		}
		same(t, "rebuild", <-rebuilt, nil)
		w.shows(w.models)
		stop()
		same(t, "rows", w.dumps(), w.expected())
		a, _ := w.account("r")
		same(t, "logged", a.Logged, int(revision))
	})
}

func TestInterruptedRebuildChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(100)
		w.runToEnd(w.models)
		before := w.dumps()

		ctx, cancel := context.WithCancel(t.Context())
		err := w.models.Rebuild(ctx, "accounts", func(done, _ event.Position) {
			if (event.Position{}).Before(done) {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		same(t, "rows", w.dumps(), before)
		same(t, "half of the new one", []bool{w.there("accounts_next"), w.there("accounts_last")}, []bool{true, false})

		same(t, "the next rebuild", w.models.Rebuild(t.Context(), "accounts", nil), nil)
		same(t, "rows", w.dumps(), before)
	})
}

func TestRebuildCatchesUpWithWhatLiveShows(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(10)
		w.runToEnd(w.models)
		p := newProjector[Account]("accounts", accounts{}, w.db, w.log)
		next := newProjector[Account]("accounts_next", accounts{}, w.db, w.log)
		same(t, "begin", next.begin(t.Context(), p.table), nil)
		same(t, "fill", next.fill(t.Context(), func(_, _ event.Position) {}), nil)

		w.happens("a0", 11, renamed("between")) // and live shows it before the swap
		w.models = w.newModels()
		w.runToEnd(w.models)
		before := w.dumps()
		same(t, "swap", next.swap(t.Context(), p.table), nil)
		same(t, "rows", w.dumps(), before)
		at, err := p.table.checkpoint(t.Context(), w.db.Read())
		same(t, "checkpoint", []any{at, err}, []any{w.head(), nil})
	})
}

func TestSecondRebuildIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		path := on(t)
		w.db = openDatabase(t, path)
		w.models = w.newModels()
		w.eventful(3)
		other := *w
		other.db = openDatabase(t, path)
		second := other.newModels()
		tried := false
		err := w.models.Rebuild(t.Context(), "accounts", func(_, _ event.Position) {
			tried = true
			if err := second.Rebuild(t.Context(), "accounts", nil); !errors.Is(err, database.ErrLocked) {
				t.Errorf("the second: %v", err)
			}
		})
		same(t, "the first", []any{err, tried}, []any{nil, true})
		same(t, "another read model meanwhile", second.Rebuild(t.Context(), "sessions", nil), nil)
		same(t, "afterwards", second.Rebuild(t.Context(), "accounts", nil), nil)
	})
}

func TestRebuildStopsAtWhatCannotBeApplied(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.eventful(3)
		w.runToEnd(w.models)
		before := w.dumps()
		bad := w.proposed(11, renamed("x"))
		bad[0].Type = "account.unheard-of.v1"
		w.appends("a0", 11, bad...)
		err := w.models.Rebuild(t.Context(), "accounts", nil)
		var stopped *Stopped
		if !errors.As(err, &stopped) || stopped.Type != "account.unheard-of.v1" {
			t.Errorf("got %v", err)
		}
		same(t, "rows", w.dumps(), before)
	})
}

func TestRebuildOfWhatIsNoReadModel(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		err := w.models.Rebuild(t.Context(), "orders", nil)
		if err == nil || !strings.Contains(err.Error(), "there are accounts, sessions") {
			t.Errorf("got %v", err)
		}
	})
}
