package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"
)

// What Compose and Send answer besides success and failures, which are tried again.
var (
	// ErrGone: what the letter would say or to whom is not there any more, or nobody needs it. It is abandoned.
	ErrGone = errors.New("what the letter is about is gone")
	// ErrUndeliverable: the server will never take this message. The letter has failed.
	ErrUndeliverable = errors.New("the letter cannot be delivered")
	// ErrResting: nothing was tried, because the last tries of others failed. The channel waits and tries again.
	ErrResting = errors.New("the channel is resting")
)

var (
	errExpired = errors.New("the letter has expired")
	errNoTurn  = errors.New("the turn did not come")
)

// Message is a letter as it is sent.
type Message struct {
	ID, Channel string // those of the letter, the same at every try

	To, Name            string // address or phone number, and the person's name if known
	Subject, Text, HTML string
	Link, Code          string // as they stand in the text

	// Turn waits until what became of the letter before is stored. Send calls it when the server may take the message
	// with what is sent next, so that a crash leaves one letter of which we do not know. Its error ends the try, which
	// then counts for nothing: how long others take says nothing about this letter.
	Turn func(context.Context) error
}

// Delivery sends the letters that are in a letterbox, each channel at its own pace. Only one may run at a time.
//
// A letter is sent once, unless we crash between its sending and the storing of that: then it is sent again with the same
// ID. Letters of a channel connect and say what they say at the same time, but take turns in that last step: a crash sends
// one of them again at most.
type Delivery struct {
	Letterbox Letterbox
	// Compose writes a letter. Send sends messages, by channel; letters of other channels stay queued. Both return soon
	// after their context has ended. The texts of their errors are stored and logged, so they tell nothing personal.
	Compose func(context.Context, Letter) (Message, error)
	Send    map[string]func(context.Context, Message) error
	Now     func() time.Time

	mu    sync.Mutex
	lanes []*lane // of Run
}

const (
	atOnce = 4   // tries of one channel
	taken  = 100 // letters read from the letterbox at once

	tryTime     = time.Minute // for one try to write and send a letter, with its wait for the turn
	turnTime    = 30 * time.Second
	lookTime    = 5 * time.Second
	storeTime   = 2 * time.Second
	graceTime   = 5 * time.Second  // for tries in flight when we stop
	pollTime    = 30 * time.Second // another process may have added letters
	restTime    = 5 * time.Second
	longestWait = 30 * time.Second // between two tries
	triedFor    = 24 * time.Hour   // then a letter that does not expire has failed

	keptFor    = 30 * 24 * time.Hour // what was sent, abandoned, or failed and has expired
	pruneEvery = time.Hour
)

// Wake says that letters were added. It never waits.
func (d *Delivery) Wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lanes {
		l.wake()
	}
}

// Run sends letters until ctx ends. Then it lets what is in flight end, for a few seconds.
func (d *Delivery) Run(ctx context.Context) error {
	trying, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var running, tries sync.WaitGroup
	for _, l := range d.open(&tries) {
		running.Go(func() { l.run(ctx, trying) })
	}
	running.Go(func() { d.prune(ctx) })
	running.Wait()

	ended := make(chan struct{})
	go func() { tries.Wait(); close(ended) }()
	select {
	case <-ended:
		return ctx.Err()
	case <-time.After(graceTime):
	}
	giveUp()
	select {
	case <-ended:
	case <-time.After(2 * storeTime):
		slog.Warn("letters in flight do not end; what was not stored is sent again")
	}
	return ctx.Err()
}

// open makes the lanes. They can be woken before they run.
func (d *Delivery) open(tries *sync.WaitGroup) []*lane {
	lanes := make([]*lane, 0, len(d.Send))
	for channel := range d.Send {
		lanes = append(lanes, &lane{
			delivery: d, channel: channel, tries: tries, slots: make(chan struct{}, atOnce), turn: make(chan struct{}, 1),
			woken: make(chan struct{}, 1), inFlight: map[string]bool{},
		})
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lanes = lanes
	return lanes
}

// prune removes what nobody will ask for again.
func (d *Delivery) prune(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := d.Letterbox.Prune(ctx, d.Now().Add(-keptFor)); err != nil && ctx.Err() == nil {
			slog.Warn("old letters cannot be removed now", "error", err)
		}
		wait(ctx, pruneEvery)
	}
}

// lane is the letters of one channel.
type lane struct {
	delivery *Delivery
	channel  string
	tries    *sync.WaitGroup
	slots    chan struct{} // filled by tries
	turn     chan struct{} // filled by the try whose message the server may have, until that is stored
	woken    chan struct{}

	mu       sync.Mutex
	inFlight map[string]bool // by ID; these are queued for the letterbox
	rest     time.Time       // until when nothing is tried
}

func (l *lane) wake() {
	select {
	case l.woken <- struct{}{}:
	default: // it will look, and see everything
	}
}

// run starts tries until ctx ends; they have until trying ends.
func (l *lane) run(ctx, trying context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		next, err := l.round(ctx, trying)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			slog.Error("letters cannot be read now", "channel", l.channel, "pause", pause, "error", err)
			wait(ctx, pause)
			pause = min(2*pause, longPause)
		default:
			pause = firstPause
			l.sleep(ctx, next.Sub(l.delivery.Now()))
		}
	}
}

func (l *lane) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.woken:
	case <-ctx.Done():
	}
}

// round starts a try of each letter that is due, and says when to look again.
func (l *lane) round(ctx, trying context.Context) (time.Time, error) {
	for {
		now := l.delivery.Now()
		// Before they are read: the try of a letter may end after the letterbox was asked and before we look at it.
		inFlight, rest := l.state()
		if now.Before(rest) {
			return rest, nil
		}
		due, err := l.due(ctx, now, len(inFlight)+taken)
		if err != nil {
			return time.Time{}, err
		}
		idle := true
		for _, letter := range due {
			if inFlight[letter.ID] {
				continue
			}
			idle = false
			if started, err := l.start(ctx, trying, letter); err != nil {
				return time.Time{}, err
			} else if !started {
				break
			}
		}
		if idle {
			return l.next(ctx, now)
		}
	}
}

// state gives the letters in flight, and until when the channel rests.
func (l *lane) state() (inFlight map[string]bool, rest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.inFlight), l.rest
}

func (l *lane) due(ctx context.Context, now time.Time, atMost int) ([]Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	return l.delivery.Letterbox.Due(ctx, l.channel, now, atMost)
}

func (l *lane) next(ctx context.Context, now time.Time) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	poll := now.Add(pollTime)
	next, ok, err := l.delivery.Letterbox.Next(ctx, l.channel, now)
	if err != nil || !ok || next.After(poll) {
		return poll, err
	}
	return next, nil
}

// start waits for a slot and lets a try begin, unless the channel has come to rest: then the letter stays due.
func (l *lane) start(ctx, trying context.Context, letter Letter) (started bool, err error) {
	select {
	case l.slots <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil || l.delivery.Now().Before(l.rest) {
		<-l.slots
		return false, ctx.Err()
	}
	l.inFlight[letter.ID] = true
	l.tries.Go(func() {
		l.deliver(ctx, trying, letter)
		l.mu.Lock()
		delete(l.inFlight, letter.ID)
		l.mu.Unlock()
		<-l.slots
		l.wake()
	})
	return true, nil
}

// deliver tries a letter and stores how that went. When the channel rests, or the turn did not come, there is nothing to
// store: a long queue must not be written again every few seconds. Once running has ended nobody gets a turn any more:
// another instance may be sending by now.
func (l *lane) deliver(running, ctx context.Context, letter Letter) {
	hasTurn := false
	err := l.try(ctx, letter, func(ctx context.Context) (err error) {
		if !hasTurn {
			hasTurn, err = l.takeTurn(running, ctx)
		}
		return err
	})
	defer func() {
		if hasTurn {
			<-l.turn
		}
	}()
	now := l.delivery.Now()
	switch {
	case errors.Is(err, errNoTurn):
		return
	case errors.Is(err, ErrResting):
		l.restUntil(now.Add(jittered(restTime)))
		return
	case err == nil:
		l.restUntil(time.Time{}) // of several that tried at the end of a rest, only one may have been let through
	}
	letter = letter.after(err, now)
	if letter.Status == Failed || letter.Status == Abandoned {
		slog.Warn("a letter is not delivered", "letter", letter.ID, "kind", letter.Kind, "channel", letter.Channel,
			"status", letter.Status, "attempts", letter.Attempts, "problem", letter.Problem)
	}
	l.store(ctx, letter)
}

// takeTurn waits for the turn, until either context ends or it has taken too long.
func (l *lane) takeTurn(running, ctx context.Context) (bool, error) {
	late := time.NewTimer(turnTime)
	defer late.Stop()
	select {
	case l.turn <- struct{}{}:
		if running.Err() == nil {
			return true, nil
		}
		<-l.turn
	case <-running.Done():
	case <-ctx.Done():
	case <-late.C:
	}
	return false, errNoTurn
}

func (l *lane) restUntil(end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = end
}

// try writes and sends a letter.
func (l *lane) try(ctx context.Context, letter Letter, turn func(context.Context) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			slog.Error("a try to send a letter panicked", "letter", letter.ID, "kind", letter.Kind, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %T", r) // its text may be personal
		}
	}()
	left := tryTime
	if !letter.Expires.IsZero() {
		left = min(left, letter.Expires.Sub(l.delivery.Now()))
	}
	if left <= 0 {
		return errExpired
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	m, err := l.delivery.Compose(ctx, letter)
	if err != nil {
		return fmt.Errorf("write the letter: %w", err)
	}
	m.ID, m.Channel, m.Turn = letter.ID, letter.Channel, turn
	return l.delivery.Send[l.channel](ctx, m)
}

// store keeps at it, and the letter in flight, because it would be sent again. What if we stop or crash here: it is.
func (l *lane) store(ctx context.Context, letter Letter) {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		last := ctx.Err() != nil
		storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
		err := l.delivery.Letterbox.Update(storing, letter)
		cancel()
		if err == nil {
			return
		}
		slog.Error("what became of a letter cannot be stored now", "letter", letter.ID, "status", letter.Status, "error", err)
		if last {
			return
		}
		wait(ctx, pause)
	}
}

// after gives the letter after a try that ended with err.
func (l Letter) after(err error, now time.Time) Letter {
	now = now.UTC().Truncate(time.Millisecond)
	l.UpdatedAt = now
	switch {
	case errors.Is(err, errExpired):
		l.Status, l.Problem = Abandoned, cmp.Or(l.Problem, errExpired.Error())
		return l
	case errors.Is(err, ErrGone):
		l.Status, l.Problem = Abandoned, problem(err)
		return l
	}
	if l.Attempts++; l.FirstTry.IsZero() {
		l.FirstTry = now
	}
	switch {
	case err == nil:
		l.Status, l.Problem = Sent, ""
		return l
	case errors.Is(err, ErrUndeliverable):
		l.Status, l.Problem = Failed, problem(err)
		return l
	}
	l.NextTry, l.Problem = now.Add(backoff(l.Attempts)).Truncate(time.Millisecond), problem(err)
	switch {
	case !l.Expires.IsZero() && !l.NextTry.Before(l.Expires):
		l.Status = Abandoned
	case l.Expires.IsZero() && now.Sub(l.FirstTry) >= triedFor:
		l.Status = Failed
	}
	return l
}

// backoff is how long to wait after so many attempts: up to 1 s, 2 s, 4 s, 8 s, 16 s, and then longestWait.
func backoff(attempts int) time.Duration {
	d := min(time.Second<<min(attempts-1, 10), longestWait)
	return d - rand.N(d/4) // so that those who failed together do not all come back together
}

// jittered is about d.
func jittered(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }

// longestProblem is what an operator needs to see, in characters.
const longestProblem = 200

// problem is the text of an error as every database takes it and every terminal shows it.
func problem(err error) string {
	text := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, err.Error()))
	return string(text[:min(len(text), longestProblem)])
}
