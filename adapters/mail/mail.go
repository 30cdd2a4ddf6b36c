// Package mail hands letters to a mail server over SMTP (RFC 5321), each over a connection of its own.
//
// The server is a URL. What it may say about encryption:
//
//	smtp://host                  port 25; STARTTLS (RFC 3207) where the server offers it
//	smtp://user:password@host    port 587; STARTTLS required, unless the host is this one
//	smtps://user:password@host   port 465; TLS from the first byte on (RFC 8314)
//	smtp://...?tls=required      no letter leaves without STARTTLS
//	smtp://...?tls=opportunistic STARTTLS where the server offers it; with a password only on this host
//	smtp://...?tls=none          in clear, the password too
//
// Where TLS is required the certificate is verified. Opportunistic TLS would settle for none at all, and so takes any
// certificate (RFC 7435).
//
// Accepted means that the server has taken the letter over, not that its recipient has it. A letter that is tried again
// after a try without an answer may arrive twice, with one Message-ID.
//
// Errors hold the numbers of the server's answers and words of this package or the system. What a server says may quote
// the address or the letter, and so is never part of one.
//
// It does not know what letters say, when to try again, or when to give up.
package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/mail"
	"time"

	"github.com/actahq/acta/adapters/breaker"
)

// ErrRefused: this letter will not be taken, however often it is tried.
var ErrRefused = errors.New("the letter is refused")

// Message is one letter to one person.
type Message struct {
	ID      string // the same for every try: 1 to 64 of 0-9, a-f and -
	To      string // a bare address: a dot-atom, @, and a domain in letters of any script
	Name    string // of the recipient, may be empty; cut to 100 characters
	Subject string // cut to 200 characters
	Text    string // the letter as text/plain and as text/html, each of 1 to 256 KiB
	HTML    string

	// Turn, if any, is called when the server may take the letter with what is sent next; its error ends the try.
	Turn func(context.Context) error
}

// Mailer sends letters through one server. It is safe for concurrent use and keeps no connection, so that there is
// nothing to close.
type Mailer struct {
	server   server
	from     mail.Address
	domain   string // of from, in ASCII
	breaker  breaker.Breaker
	patience time.Duration
}

// pace is how long things take.
type pace struct {
	patience time.Duration // with one try, from connecting to the letter's end, and from there to the last answer
	rest     time.Duration // of a server that has failed, before one letter is tried
}

var defaultPace = pace{patience: 10 * time.Second, rest: 5 * time.Second}

// New makes a mailer for the server at a URL, as the package comment shows it, and for letters from an address with or
// without a name, such as "Acta <no-reply@example.com>" (RFC 5322). Its errors say which of the two is wrong and why,
// without quoting it. It does not ask the server.
func New(rawURL, from string) (*Mailer, error) { return newMailer(rawURL, from, defaultPace) }

func newMailer(rawURL, from string, p pace) (*Mailer, error) {
	s, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("smtp.url: %w", err)
	}
	sender, domain, err := parseSender(from)
	if err != nil {
		return nil, fmt.Errorf("smtp.from: %w", err)
	}
	return &Mailer{server: s, from: sender, domain: domain, breaker: newBreaker(p.rest), patience: p.patience}, nil
}

// Send tries once to hand the letter to the server, which has ten seconds to take it in up to its end, and ten more to
// say that it has it; in between the letter waits for its turn, as long as Turn does. nil: it was accepted. The error is
// ErrRefused when another try is useless, with the code and the enhanced status code (RFC 3463) of the server's answer
// if that is the reason; breaker.ErrResting when nothing was tried; or the context's. Any other is worth another try.
func (m *Mailer) Send(ctx context.Context, message Message) error {
	l, err := m.write(message)
	if err = cmp.Or(ctx.Err(), err); err == nil {
		err = m.breaker.Through(func() error { return m.try(ctx, l, message.Turn) })
	}
	if err != nil {
		return fmt.Errorf("send a mail: %w", err)
	}
	return nil
}

// newBreaker makes the breaker in front of the server, so that letters do not queue for one that is down or does not know
// us any more. An answer about one letter proves that the server is well; that its turn did not come proves nothing.
func newBreaker(rest time.Duration) breaker.Breaker {
	return breaker.New(breaker.Settings{
		Of:   "mail",
		Rest: rest,
		Well: func(err error) bool { return errors.Is(err, ErrRefused) || errors.Is(err, errLater) },
		Moot: func(err error) bool { return errors.Is(err, errNoTurn) },
	})
}

// State gives the state of the breaker in front of the server.
func (m *Mailer) State() string { return m.breaker.State() }
