package process_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

// What happens behind the end of a restored log must not be taken for what happened there before.
func TestAProcessThatIsAheadOfTheLogWaitsUntilItIsPutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, c := logtest.NewMemory(), &checkpoints{}
		appendTo(t, log, "note-1", time.Now(), "written")
		end, err := log.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ahead := event.Position{Commit: end.Commit + 50, Prepare: end.Commit + 50} // in the middle of what comes
		if err := c.Save(t.Context(), "test", ahead); err != nil {
			t.Fatal(err)
		}
		p, done := seen("written")
		stop := run(t, p, log, c)
		time.Sleep(time.Minute)
		appendTo(t, log, "note-2", time.Now(), "written", "written")
		time.Sleep(time.Minute)
		if len(done.all()) != 0 || !p.Ahead() || !p.Failing() {
			t.Errorf("done %v, ahead %t, failing %t", done.all(), p.Ahead(), p.Failing())
		}
		stop()
		stop = run(t, p, log, c) // as when its lease comes back
		time.Sleep(time.Minute)
		if len(done.all()) != 0 || !p.Ahead() {
			t.Errorf("when it runs again: done %v, ahead %t", done.all(), p.Ahead())
		}

		if err := c.Save(t.Context(), "test", end); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"written note-2 0", "written note-2 1"}, done.all()); diff != "" || p.Ahead() || p.Failing() {
			t.Errorf("put right: ahead %t, failing %t (-want +got):\n%s", p.Ahead(), p.Failing(), diff)
		}
		stop()
	})
}

func TestAProcessThatBeginsAtTheEndMissesNothingNew(t *testing.T) {
	for name, before := range map[string]int{"an empty log": 0, "a log with events": 2} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, c := logtest.NewMemory(), &checkpoints{}
				for range before {
					appendTo(t, log, "note-1", time.Now(), "written")
				}
				p, done := seen("written")
				for range 2 { // the second time it has begun
					if err := p.BeginAtEnd(t.Context(), log, c); err != nil {
						t.Fatal(err)
					}
					appendTo(t, log, "note-2", time.Now(), "written")
				}
				stop := run(t, p, log, c)
				synctest.Wait()
				stop()
				if diff := cmp.Diff([]string{"written note-2 0", "written note-2 1"}, done.all()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}
