package process_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/commands/process"
)

// box is letters in memory. As databases do, it forgets nothing when the program ends.
type box struct {
	mu       sync.Mutex
	rows     map[string]process.Letter
	looks    int // Due and Next
	updates  int
	pruned   []time.Time
	onUpdate func(process.Letter) error // when set, may refuse to store
	onLook   func() error
	afterDue func() // called when letters were read and not given yet
}

func (b *box) Add(_ context.Context, letters ...process.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range letters {
		if b.rows == nil {
			b.rows = map[string]process.Letter{}
		}
		if _, there := b.rows[l.ID]; !there {
			l.Status, l.Attempts, l.UpdatedAt = process.Queued, 0, l.CreatedAt
			b.rows[l.ID] = l
		}
	}
	return nil
}

// queued calls do with the channel's queued letters, in any order.
func (b *box) queued(channel string, do func(process.Letter)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.looks++; b.onLook != nil {
		if err := b.onLook(); err != nil {
			return err
		}
	}
	for _, l := range b.rows {
		if l.Status == process.Queued && l.Channel == channel {
			do(l)
		}
	}
	return nil
}

func (b *box) Due(_ context.Context, channel string, now time.Time, atMost int) ([]process.Letter, error) {
	var due []process.Letter
	err := b.queued(channel, func(l process.Letter) {
		if !l.NextTry.After(now) {
			due = append(due, l)
		}
	})
	if b.afterDue != nil {
		b.afterDue()
	}
	slices.SortFunc(due, func(a, b process.Letter) int {
		return cmp.Or(a.NextTry.Compare(b.NextTry), strings.Compare(a.ID, b.ID))
	})
	return due[:min(len(due), atMost)], err
}

func (b *box) Next(_ context.Context, channel string, now time.Time) (next time.Time, ok bool, err error) {
	err = b.queued(channel, func(l process.Letter) {
		if l.NextTry.After(now) && (!ok || l.NextTry.Before(next)) {
			next, ok = l.NextTry, true
		}
	})
	return next, ok, err
}

func (b *box) Update(ctx context.Context, l process.Letter) error {
	if b.onUpdate != nil {
		if err := b.onUpdate(l); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.updates++
	if b.rows[l.ID].Status != process.Sent {
		b.rows[l.ID] = l
	}
	return nil
}

func (b *box) Prune(_ context.Context, before time.Time) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pruned = append(b.pruned, before)
	return 0, nil
}

func (b *box) Count(context.Context) (map[process.Status]int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[process.Status]int{}
	for _, l := range b.rows {
		n[l.Status]++
	}
	return n, nil
}

func (b *box) List(context.Context, process.ListLetters) ([]process.Letter, error) {
	panic("a delivery lists nothing")
}

func (b *box) Retry(context.Context, time.Time, ...string) (int, error) {
	panic("a delivery retries nothing on its own")
}

func (b *box) letter(id string) process.Letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rows[id]
}

// has says how many letters of each status there should be.
func (b *box) has(t *testing.T, want map[process.Status]int) {
	t.Helper()
	got, _ := b.Count(t.Context())
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

// add adds n letters, which are due.
func (b *box) add(t *testing.T, channel string, n int) {
	t.Helper()
	for i := range n {
		now := time.Now().UTC()
		if err := b.Add(t.Context(), process.Letter{ID: fmt.Sprintf("%s-%04d", channel, i), Channel: channel, CreatedAt: now, NextTry: now}); err != nil {
			t.Fatal(err)
		}
	}
}

// outside is the servers that take messages.
type outside struct {
	mu   sync.Mutex
	took map[string]int // by ID
	when []time.Time    // of every try, also those that failed

	on func(context.Context, process.Message) error // what happens to a try
}

func (o *outside) send(ctx context.Context, m process.Message) error {
	o.mu.Lock()
	o.when = append(o.when, time.Now())
	o.mu.Unlock()
	if o.on != nil {
		if err := o.on(ctx, m); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.took == nil {
		o.took = map[string]int{}
	}
	o.took[m.ID]++
	return nil
}

func (o *outside) tries() []time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.when)
}

func (o *outside) all() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.took)
}

// tookEachOnce says which channel's letters should have been sent, and how many.
func (o *outside) tookEachOnce(t *testing.T, channel string, n int) {
	t.Helper()
	want := map[string]int{}
	for i := range n {
		want[fmt.Sprintf("%s-%04d", channel, i)] = 1
	}
	if diff := gocmp.Diff(want, o.all()); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func compose(_ context.Context, l process.Letter) (process.Message, error) {
	return process.Message{To: "somebody", Text: "about " + l.ID}, nil
}

func delivery(b *box, o *outside) *process.Delivery {
	return &process.Delivery{
		Letterbox: b, Compose: compose, Now: time.Now,
		Send: map[string]func(context.Context, process.Message) error{"email": o.send, "sms": o.send},
	}
}

// deliver runs a delivery and gives the function that stops it and tells how long that took.
func deliver(t *testing.T, d *process.Delivery) (stop func() time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	synctest.Wait()
	return func() time.Duration {
		t.Helper()
		asked := time.Now()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		return time.Since(asked)
	}
}

func TestLettersQueuedWhileTheServerIsDownAreSentOnceItIsBack(t *testing.T) {
	const letters = 1000
	for name, outage := range map[string]func(context.Context) error{
		"refuses": func(context.Context) error { return errDown },
		"refuses slowly": func(context.Context) error {
			time.Sleep(300 * time.Millisecond)
			return errDown
		},
		"accepts and hangs": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"rests behind its breaker": func(context.Context) error { return fmt.Errorf("mail: %w", process.ErrResting) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, back := &box{}, time.Now().Add(time.Minute)
				o := &outside{on: func(ctx context.Context, _ process.Message) error {
					if time.Now().Before(back) {
						return outage(ctx)
					}
					time.Sleep(10 * time.Millisecond)
					return nil
				}}
				b.add(t, "email", letters)
				stop := deliver(t, delivery(b, o))
				time.Sleep(59 * time.Second)
				if len(o.all()) != 0 {
					t.Errorf("%d letters came through", len(o.all()))
				}
				// At most the longest pause between two tries, and 10 ms for every four.
				time.Sleep(time.Second + 30*time.Second + letters/4*10*time.Millisecond)
				o.tookEachOnce(t, "email", letters)
				b.has(t, map[process.Status]int{process.Sent: letters})
				stop()
			})
		})
	}
}

func TestALongQueueIsNotWrittenAgainWhileTheChannelRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		o := &outside{on: func(context.Context, process.Message) error { return process.ErrResting }}
		b.add(t, "email", 1000)
		stop := deliver(t, delivery(b, o))
		time.Sleep(10 * time.Minute)
		stop()
		if b.updates != 0 {
			t.Errorf("%d rows were written", b.updates)
		}
		if n := len(o.tries()); n < 4*10*60/6 || n > 4*(10*60/4+1) {
			t.Errorf("%d tries in ten minutes, of four every 4 to 6 s", n)
		}
		if l := b.letter("email-0000"); l.Status != process.Queued || l.Attempts != 0 {
			t.Errorf("%+v", l)
		}
	})
}

// What was let through a breaker that is half open proves that the others may go.
func TestARestEndsWithTheFirstLetterThatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		began := time.Now()
		var trying, closed atomic.Bool
		o := &outside{on: func(context.Context, process.Message) error {
			switch {
			case closed.Load():
			case time.Since(began) < 8*time.Second || trying.Swap(true):
				return process.ErrResting
			default:
				time.Sleep(time.Millisecond) // it ends last of those that try at once
				closed.Store(true)
			}
			return nil
		}}
		b.add(t, "email", 500)
		stop := deliver(t, delivery(b, o))
		time.Sleep(15 * time.Second) // the breaker's eight, at most one rest more, and a moment for the letters
		o.tookEachOnce(t, "email", 500)
		stop()
	})
}

func TestACrashBetweenSendingAndStoringSendsOneDuplicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		b.add(t, "email", 1)
		crashed := false
		b.onUpdate = func(process.Letter) error { // nothing is stored any more
			crashed = true
			return errDown
		}
		stop := deliver(t, delivery(b, o))
		stop()
		if !crashed || o.all()["email-0000"] != 1 {
			t.Fatalf("before the crash it was sent: %v", o.all())
		}
		b.onUpdate = nil
		stop = deliver(t, delivery(b, o)) // another program
		time.Sleep(time.Hour)
		stop()
		if diff := gocmp.Diff(map[string]int{"email-0000": 2}, o.all()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
		b.has(t, map[process.Status]int{process.Sent: 1})
	})
}

func TestACrashRepeatsOnlyWhatWasInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const letters, inFlight = 100, 4
		var crashed atomic.Bool
		b := &box{onUpdate: func(process.Letter) error {
			if crashed.Load() {
				return errDown
			}
			return nil
		}}
		o := &outside{on: func(context.Context, process.Message) error { time.Sleep(time.Second); return nil }}
		b.add(t, "email", letters)
		for crash := 1; crash <= 3; crash++ {
			stop := deliver(t, delivery(b, o))
			time.Sleep(5500 * time.Millisecond)
			crashed.Store(true)
			stop()
			crashed.Store(false)
		}
		stop := deliver(t, delivery(b, o))
		time.Sleep(time.Hour)
		stop()
		repeated := 0
		for id, n := range o.all() {
			if repeated += n - 1; n > 2 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if repeated != 3*inFlight {
			t.Errorf("%d were repeated after 3 crashes", repeated)
		}
		b.has(t, map[process.Status]int{process.Sent: letters})
	})
}

func TestALetterIsNotSentAgainWhileItsSendingCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		back := time.Now().Add(10 * time.Minute)
		b.onUpdate = func(process.Letter) error {
			if time.Now().Before(back) {
				return errDown
			}
			return nil
		}
		b.add(t, "email", 10)
		stop := deliver(t, delivery(b, o))
		time.Sleep(9 * time.Minute)
		if n := len(o.all()); n != 4 {
			t.Errorf("%d letters were sent into the unknown", n)
		}
		time.Sleep(2 * time.Minute)
		stop()
		o.tookEachOnce(t, "email", 10)
		b.has(t, map[process.Status]int{process.Sent: 10})
	})
}

func TestALetterWhoseTryEndsWhileLettersAreReadIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		o := &outside{on: func(context.Context, process.Message) error { time.Sleep(time.Second); return nil }}
		b.add(t, "email", 1)
		d := delivery(b, o)
		stop := deliver(t, d)
		b.afterDue = func() { time.Sleep(2 * time.Second) }
		b.add(t, "email", 2)
		d.Wake()
		time.Sleep(time.Minute)
		stop()
		o.tookEachOnce(t, "email", 2)
	})
}

func TestDeliveryGoesOnWhenTheLetterboxIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		back := time.Now().Add(time.Minute)
		b.onLook = func() error {
			if time.Now().Before(back) {
				return errDown
			}
			return nil
		}
		b.add(t, "email", 10)
		stop := deliver(t, delivery(b, o))
		time.Sleep(time.Minute + 10*time.Second)
		stop()
		o.tookEachOnce(t, "email", 10)
	})
}

func TestNothingIsSentAfterItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := &box{}, time.Now().UTC()
		d := delivery(b, &outside{on: func(ctx context.Context, m process.Message) error {
			switch m.ID {
			case "refused":
				return errDown
			case "hanging":
				<-ctx.Done()
				if at := time.Since(began); at > 40*time.Second {
					t.Errorf("the try went on for %v", at)
				}
				return ctx.Err()
			}
			t.Errorf("%s was sent", m.ID)
			return nil
		}})
		d.Compose = func(ctx context.Context, l process.Letter) (process.Message, error) {
			if l.ID == "expired before" {
				t.Error("it was written")
			}
			return compose(ctx, l)
		}
		for id, expires := range map[string]time.Time{
			"expired before": began,
			"refused":        began.Add(15 * time.Minute),
			"hanging":        began.Add(40 * time.Second),
		} {
			if err := b.Add(t.Context(), process.Letter{ID: id, Channel: "email", CreatedAt: began, NextTry: began, Expires: expires}); err != nil {
				t.Fatal(err)
			}
		}
		stop := deliver(t, d)
		time.Sleep(14 * time.Minute)
		if l := b.letter("refused"); l.Status != process.Queued {
			t.Errorf("too early: %+v", l)
		}
		time.Sleep(2 * time.Minute)
		stop()
		b.has(t, map[process.Status]int{process.Abandoned: 3})
		for id, problem := range map[string]string{"expired before": "the letter has expired", "refused": "it is down", "hanging": "context deadline exceeded"} {
			if l := b.letter(id); l.Problem != problem {
				t.Errorf("%s: %q", id, l.Problem)
			}
		}
	})
}

func TestHowATryEndsDecidesWhatBecomesOfALetter(t *testing.T) {
	once := func(first func() error) func() error { // the second try goes well
		tried := false
		return func() error {
			if tried {
				return nil
			}
			tried = true
			return first()
		}
	}
	fails := func(err error) func() error { return func() error { return err } }
	fine := fails(nil)
	panics := func() error { panic("about ada@example.com") }
	for name, c := range map[string]struct {
		compose, send func() error
		status        process.Status
		attempts      int
		problem       string
	}{
		"sent":                {fine, fine, process.Sent, 1, ""},
		"gone":                {fails(fmt.Errorf("token: %w", process.ErrGone)), fine, process.Abandoned, 0, "write the letter: token: " + process.ErrGone.Error()},
		"undeliverable":       {fine, fails(fmt.Errorf("550: %w", process.ErrUndeliverable)), process.Failed, 1, "550: " + process.ErrUndeliverable.Error()},
		"log away":            {once(fails(errDown)), fine, process.Sent, 2, ""},
		"server away":         {fine, once(fails(errDown)), process.Sent, 2, ""},
		"resting":             {fine, once(fails(process.ErrResting)), process.Sent, 1, ""},
		"panic while writing": {once(panics), fine, process.Sent, 2, ""},
		"panic while sending": {fine, once(panics), process.Sent, 2, ""},
		"panics always":       {fine, panics, process.Queued, 4, "panic: string"},
		"an awkward reply":    {fine, fails(errors.New("451 \x1b[2J\x00\xff\nlater" + strings.Repeat("é", 300))), process.Queued, 4, "451  [2J \ufffd later" + strings.Repeat("é", 200-16)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &box{}
				b.add(t, "email", 1)
				d := delivery(b, &outside{on: func(context.Context, process.Message) error { return c.send() }})
				d.Compose = func(ctx context.Context, l process.Letter) (process.Message, error) {
					if err := c.compose(); err != nil {
						return process.Message{}, err
					}
					return compose(ctx, l)
				}
				stop := deliver(t, d)
				time.Sleep(7100 * time.Millisecond)
				stop()
				l := b.letter("email-0000")
				if l.Status != c.status || l.Attempts != c.attempts || l.Problem != c.problem {
					t.Errorf("got %s after %d attempts: %q", l.Status, l.Attempts, l.Problem)
				}
			})
		})
	}
}

func TestAMessageHasTheIDOfItsLetterAtEveryTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tries := &box{}, 0
		want := process.Message{ID: "sms-0000", Channel: "sms", To: "somebody", Text: "about sms-0000"}
		b.add(t, "sms", 1)
		stop := deliver(t, delivery(b, &outside{on: func(_ context.Context, m process.Message) error {
			tries++
			m.Turn = nil
			if diff := gocmp.Diff(want, m); diff != "" {
				t.Errorf("try %d (-want +got):\n%s", tries, diff)
			}
			return errDown
		}}))
		time.Sleep(time.Minute)
		stop()
		if tries < 3 {
			t.Errorf("%d tries", tries)
		}
	})
}

// What a crash leaves open is whether a server has the letters that were handed to it and not stored yet.
func TestACrashLeavesOneLetterOfAChannelUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const letters, connecting, answering, storing = 40, 45 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond
		b := &box{}
		b.add(t, "email", letters)
		b.add(t, "sms", letters)
		var mu sync.Mutex
		unknown, most, mostOfAll := map[string]int{}, map[string]int{}, 0
		changes := func(channel string, by int) {
			mu.Lock()
			defer mu.Unlock()
			unknown[channel] += by
			most[channel] = max(most[channel], unknown[channel])
			mostOfAll = max(mostOfAll, unknown["email"]+unknown["sms"])
		}
		b.onUpdate = func(l process.Letter) error {
			time.Sleep(storing)
			if l.Status == process.Sent {
				changes(l.Channel, -1)
			}
			return nil
		}
		var twice atomic.Int64
		o := &outside{on: func(ctx context.Context, m process.Message) error {
			time.Sleep(connecting)
			for range 2 { // who asks twice has it
				if err := m.Turn(ctx); err != nil {
					return err
				}
			}
			if m.ID == "email-0007" && twice.Add(1) == 1 {
				return errDown // and gives it back
			}
			changes(m.Channel, 1)
			time.Sleep(answering)
			return nil
		}}
		stop := deliver(t, delivery(b, o))
		time.Sleep(2 * time.Second)
		b.has(t, map[process.Status]int{process.Sent: 2 * letters})
		stop()
		if diff := gocmp.Diff(map[string]int{"email": 1, "sms": 1}, most); diff != "" || mostOfAll != 2 {
			t.Errorf("%d of both, of each (-want +got):\n%s", mostOfAll, diff)
		}
		// One after the other, with their connections, they would take more than two seconds.
		if tries := o.tries(); tries[2*letters-1].Sub(tries[0]) > 700*time.Millisecond {
			t.Errorf("the last was tried %s after the first", tries[2*letters-1].Sub(tries[0]))
		}
	})
}

// A server that takes a letter and says nothing holds up the others of its channel, which are not to blame.
func TestWhoHasNoTurnInTimeIsTriedAgainAsIfNothingHadHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		b.add(t, "email", 3)
		var first atomic.Pointer[string]
		o := &outside{on: func(ctx context.Context, m process.Message) error {
			if err := m.Turn(ctx); err != nil {
				return fmt.Errorf("turn: %w", err)
			}
			if first.CompareAndSwap(nil, &m.ID) {
				<-ctx.Done() // for a minute
				return ctx.Err()
			}
			return nil
		}}
		stop := deliver(t, delivery(b, o))
		time.Sleep(50 * time.Second)
		b.has(t, map[process.Status]int{process.Queued: 3})
		if n := len(o.tries()); n != 1+2*2 { // the two others came back after 30 s
			t.Errorf("%d tries", n)
		}
		time.Sleep(time.Minute)
		stop()
		b.has(t, map[process.Status]int{process.Sent: 3})
		for _, id := range []string{"email-0000", "email-0001", "email-0002"} {
			if l := b.letter(id); id != *first.Load() && l.Attempts != 1 {
				t.Errorf("%+v", l)
			}
		}
	})
}

// Whoever goes on sending while it stops, or after it lost its lease, sends what its successor sends.
func TestWhoStopsTakesNoMoreTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		b.add(t, "email", 5)
		o := &outside{on: func(ctx context.Context, m process.Message) error {
			if m.ID == "email-0003" {
				time.Sleep(2 * time.Second) // it asks after the end
			}
			if err := m.Turn(ctx); err != nil {
				return err
			}
			time.Sleep(3 * time.Second)
			return nil
		}}
		stop := deliver(t, delivery(b, o))
		time.Sleep(time.Second)
		if took := stop(); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		b.has(t, map[process.Status]int{process.Sent: 1, process.Queued: 4})
		if len(o.all()) != 1 || b.updates != 1 {
			t.Errorf("%v were sent, %d rows were written", o.all(), b.updates)
		}
	})
}

func TestPausesBetweenTriesGrowToThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		o := &outside{on: func(context.Context, process.Message) error { return errDown }}
		b.add(t, "email", 1)
		stop := deliver(t, delivery(b, o))
		time.Sleep(3 * time.Minute)
		stop()
		when := o.tries()
		most := []time.Duration{1, 2, 4, 8, 16, 30, 30, 30}
		if len(when) <= len(most) {
			t.Fatalf("%d tries", len(when))
		}
		for i, most := range most {
			most *= time.Second
			// What is stored is of whole milliseconds.
			if pause := when[i+1].Sub(when[i]); pause > most || pause < most*3/4-time.Millisecond {
				t.Errorf("pause %d is %v, not %v to %v", i+1, pause, most*3/4, most)
			}
		}
		if l := b.letter("email-0000"); l.Attempts != len(when) || !l.FirstTry.Equal(when[0]) || l.Problem != "it is down" {
			t.Errorf("%+v", l)
		}
	})
}

func TestALetterThatDoesNotExpireIsTriedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		o := &outside{on: func(context.Context, process.Message) error { return errDown }}
		long := time.Now().UTC().Add(-72 * time.Hour) // it waited while nobody could try
		if err := b.Add(t.Context(), process.Letter{ID: "old", Channel: "email", CreatedAt: long, NextTry: long}); err != nil {
			t.Fatal(err)
		}
		stop := deliver(t, delivery(b, o))
		time.Sleep(24*time.Hour - time.Second)
		b.has(t, map[process.Status]int{process.Queued: 1})
		time.Sleep(time.Minute)
		b.has(t, map[process.Status]int{process.Failed: 1})
		stop()
	})
}

func TestASlowChannelHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		mail := &outside{on: func(ctx context.Context, _ process.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		texts := &outside{}
		d := delivery(b, mail)
		d.Send["sms"] = texts.send
		b.add(t, "email", 1000)
		stop := deliver(t, d)
		if n := len(mail.tries()); n != 4 {
			t.Errorf("%d mails at once", n)
		}
		began := time.Now()
		b.add(t, "sms", 200)
		d.Wake()
		synctest.Wait()
		texts.tookEachOnce(t, "sms", 200)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		stop()
	})
}

// A letter in flight is queued for the letterbox, which must not hide when the others are due.
func TestALetterThatHangsHoldsUpNoRetryOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tried := &box{}, false
		o := &outside{}
		o.on = func(ctx context.Context, m process.Message) error {
			switch {
			case m.ID == "email-0000":
				<-ctx.Done()
				return ctx.Err()
			case !tried:
				tried = true
				return errDown
			}
			return nil
		}
		b.add(t, "email", 2)
		stop := deliver(t, delivery(b, o))
		time.Sleep(1100 * time.Millisecond)
		if o.all()["email-0001"] != 1 {
			t.Error("it waits")
		}
		stop()
	})
}

func TestWokenLettersGoOutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		d := delivery(b, o)
		d.Wake() // nothing runs yet: it does no harm
		stop := deliver(t, d)
		time.Sleep(10 * time.Second)
		for range 20 {
			time.Sleep(time.Second)
			b.add(t, "email", len(o.all())+1)
			d.Wake()
			synctest.Wait()
		}
		if when := o.tries(); len(when) != 20 || time.Since(when[19]) != 0 {
			t.Errorf("sent at %v", when)
		}
		stop()
	})
}

func TestLettersThatAnotherProgramAddedAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		stop := deliver(t, delivery(b, o))
		b.add(t, "email", 1)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		o.tookEachOnce(t, "email", 1)
		stop()
	})
}

func TestIdleCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		stop := deliver(t, delivery(b, &outside{}))
		time.Sleep(time.Hour - time.Second)
		stop()
		if b.looks > 2*2*120 { // Due and Next, for two channels, every 30 s
			t.Errorf("it looked %d times in an hour", b.looks)
		}
	})
}

func TestOldLettersAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := &box{}, time.Now()
		stop := deliver(t, delivery(b, &outside{}))
		time.Sleep(90 * time.Minute)
		stop()
		month := 30 * 24 * time.Hour
		if diff := gocmp.Diff([]time.Time{began.Add(-month), began.Add(time.Hour - month)}, b.pruned); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestStoppingLetsWhatIsInFlightEnd(t *testing.T) {
	stuck := make(chan struct{})
	for name, c := range map[string]struct {
		try      func(context.Context) error
		status   process.Status
		attempts int // that are stored
		within   time.Duration
	}{
		"soon sent": {func(context.Context) error { time.Sleep(3 * time.Second); return nil }, process.Sent, 1, 3 * time.Second},
		"hanging":   {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, process.Queued, 1, 5 * time.Second},
		"deaf":      {func(context.Context) error { <-stuck; return nil }, process.Queued, 0, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck = make(chan struct{})
				defer close(stuck)
				b := &box{}
				o := &outside{on: func(ctx context.Context, _ process.Message) error { return c.try(ctx) }}
				b.add(t, "email", 10)
				stop := deliver(t, delivery(b, o))
				if took := stop(); took > c.within {
					t.Errorf("it took %v", took)
				}
				if n := len(o.tries()); n != 4 {
					t.Errorf("%d tries: some began after the end", n)
				}
				if l := b.letter("email-0000"); l.Status != c.status || l.Attempts != c.attempts {
					t.Errorf("%+v", l)
				}
			})
		})
	}
}

func TestADeliveryRunsAgainAfterItLostItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := &box{}, &outside{}
		d := delivery(b, o)
		for round := 1; round <= 3; round++ {
			stop := deliver(t, d)
			b.add(t, "email", round)
			d.Wake()
			synctest.Wait()
			stop()
		}
		o.tookEachOnce(t, "email", 3)
	})
}
