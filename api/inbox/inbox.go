// Package inbox is the mailbox of a developer's machine: it keeps the letters that would have been sent, and shows them
// on a page as a person would see them, with code and link one click away.
//
// It keeps them in memory and forgets them with the program. It does not know who looks: what it shows signs people in,
// so it belongs on servers that serve nobody but their developers.
package inbox

import (
	"slices"
	"sync"
	"time"
)

// Message is a letter as its receiver gets it. HTML is empty in what is no mail, and in mails without it. Link and Code
// are what the letter brings, if it brings any.
type Message struct {
	ID      string // of the letter
	Channel string // "email" or "sms"
	To      string // e-mail address or phone number
	Name    string // whose it is, if known
	Subject string // of a mail
	Text    string
	HTML    string
	At      time.Time
	Link    string
	Code    string
}

// kept is how many messages are kept.
const kept = 200

// Inbox keeps the newest messages, 200 of them. It is safe for concurrent use.
type Inbox struct {
	now          func() time.Time
	mails, texts bool // they come here; otherwise they are sent

	mu       sync.Mutex
	messages []Message // oldest first
}

// New makes an empty inbox, for mails, for text messages or for both. Of what does not come here it says that it is sent.
func New(mails, texts bool) *Inbox { return &Inbox{now: time.Now, mails: mails, texts: texts} }

// What says what comes here.
func (i *Inbox) What() string {
	switch {
	case i.mails && i.texts:
		return "Mails and text messages appear here instead of being sent."
	case i.mails:
		return "Mails appear here instead of being sent. Text messages are sent."
	case i.texts:
		return "Text messages appear here instead of being sent. Mails are sent."
	}
	return "Mails and text messages are sent. None appear here."
}

// Keep puts a message on top, and drops the oldest when there are too many. A message with the id of one that is there
// is the same letter delivered again: it replaces that one, in its place.
func (i *Inbox) Keep(m Message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if at := slices.IndexFunc(i.messages, func(old Message) bool { return old.ID == m.ID }); at >= 0 {
		i.messages[at] = m
		return
	}
	if len(i.messages) == kept {
		i.messages = slices.Delete(i.messages, 0, 1)
	}
	i.messages = append(i.messages, m)
}

// Messages gives what there is, newest first.
func (i *Inbox) Messages() []Message {
	i.mu.Lock()
	defer i.mu.Unlock()
	newest := slices.Clone(i.messages)
	slices.Reverse(newest)
	return newest
}
