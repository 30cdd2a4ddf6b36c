package process

import (
	"context"
	"time"
)

// Letter is one mail or text message to be delivered. It holds nothing about the person: what it says, and to whom, is
// read from its event when it is sent, if the event can still be read then.
type Letter struct {
	ID       string // derived from the event's id, so that meeting the event twice makes one letter
	Stream   string // with Revision, the event that asks for it
	Revision int64
	Kind     string // "verification", "recovery", ...
	Channel  string // "email" or "sms"

	Status   Status
	Attempts int       // since it was added, or queued again by Retry
	FirstTry time.Time // of these; zero = none yet
	NextTry  time.Time
	Expires  time.Time // from then on nobody needs it; zero = never
	Problem  string    // of the last try, without personal data

	// Times are UTC and of whole milliseconds.
	CreatedAt, UpdatedAt time.Time
}

// Status is what became of a letter.
type Status string

// Queued letters are tried, and tried again. The others are left alone, unless Retry puts them back.
const (
	Queued    Status = "queued"
	Sent      Status = "sent"      // the server took it
	Failed    Status = "failed"    // it cannot be delivered, or could not for a long time
	Abandoned Status = "abandoned" // nobody needs it any more
)

// Letterbox keeps letters. What it has stored survives a crash.
type Letterbox interface {
	// Add takes letters in: queued, due at NextTry or, when that is zero, at CreatedAt. Those whose ID is there stay as
	// they are.
	Add(context.Context, ...Letter) error
	// Due gives letters of the channel that are queued and whose NextTry is not after now, the oldest NextTry first.
	Due(ctx context.Context, channel string, now time.Time, atMost int) ([]Letter, error)
	// Next gives the earliest NextTry after now of the channel's queued letters, if there is one.
	Next(ctx context.Context, channel string, now time.Time) (next time.Time, ok bool, err error)
	// Update stores what a try has changed. A letter that was sent stays so: an instance that has lost its turn, and does
	// not know yet, must not have it sent again.
	Update(context.Context, Letter) error

	// Count tells how many letters there are of each status; those without any are left out.
	Count(context.Context) (map[Status]int, error)
	// List gives letters, the newest first.
	List(context.Context, ListLetters) ([]Letter, error)
	// Retry queues letters again that failed or were abandoned, and have not expired: those named, or all that failed
	// when none is. They are due now and begin anew with their attempts. It tells how many they are.
	Retry(ctx context.Context, now time.Time, ids ...string) (int, error)
	// Prune removes letters that were created before a time, and tells how many: those that were sent or abandoned, and
	// those that failed and expired before it as well. What failed and can still be retried stays.
	Prune(ctx context.Context, before time.Time) (int, error)
}

// ListLetters says which letters to list.
type ListLetters struct {
	Status Status // "" = all
	Limit  int
}
