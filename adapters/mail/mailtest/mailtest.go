// Package mailtest is a mail server for tests: it takes letters over SMTP on 127.0.0.1 and keeps them, and it
// misbehaves as it is told to.
//
// It does not know what letters say, nor who sends them.
package mailtest

import (
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// Words is what the server says after the numbers of an answer that a test has set. Real servers quote the letter
// too, so nobody may repeat it.
const Words = "the words of the server, who knows ada@example.com"

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// Offer is what the server can do. The zero value takes letters from everybody in clear.
type Offer struct {
	TLS            bool     // from the first byte on
	StartTLS       bool     // offered, and necessary before AUTH
	User, Password string   // "" = no AUTH is offered; otherwise nothing is taken without
	Mechanisms     []string // of AUTH, PLAIN and LOGIN; nil: PLAIN
}

// Step is a point of the dialogue, named by what the client waits to have answered.
type Step int

// Answer and Hang know all of them; Data only on connections that STARTTLS has not encrypted.
const (
	Connect   Step = iota // with the greeting
	Hello                 // EHLO and HELO
	StartTLS              // STARTTLS
	Auth                  // the credentials
	Sender                // MAIL
	Recipient             // RCPT
	Data                  // DATA
	End                   // the end of the letter
)

// Mail is a letter that the server has accepted.
type Mail struct {
	From, To string // of the envelope; several recipients with commas between them
	Raw      []byte // as it came, lines ending in CRLF
	TLS      bool   // the connection was encrypted
	User     string // who was authenticated, "" = nobody
}

// Server is a running server.
type Server struct {
	offer    Offer
	listener net.Listener
	roots    *x509.CertPool

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when what follows changes
	mails       []Mail
	connections map[*conn]bool // those that are open; true: hanging
	tries       int
	misbehaves  map[Step]misbehaviour
}

// misbehaviour is what happens at a step instead of the usual.
type misbehaviour struct {
	code       int // answered
	hang, drop bool
	keep       bool // the letter, before
	delay      time.Duration
}

// Start starts a server for one test.
func Start(t testing.TB, offer Offer) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		offer: offer, listener: listener, changed: make(chan struct{}),
		connections: map[*conn]bool{}, misbehaves: map[Step]misbehaviour{},
	}
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain = "mail.test"
	server.AllowInsecureAuth = !offer.StartTLS
	server.ErrorLog = log.New(io.Discard, "", 0) // connections break here on purpose
	config, roots := selfMade(t)
	s.roots = roots
	if offer.StartTLS {
		server.TLSConfig = config
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(&tapped{listener, s, config}) }()
	t.Cleanup(func() {
		server.Close()
		listener.Close() // which server does not know yet if it has only just begun
		s.cut(func(bool) bool { return true })
		if err := <-ended; err != nil {
			t.Errorf("the mail server ended with %v", err)
		}
	})
	return s
}

// URL is the URL of the server, with the credentials if it wants any.
func (s *Server) URL() string {
	u := url.URL{Scheme: "smtp", Host: s.listener.Addr().String()}
	if s.offer.TLS {
		u.Scheme = "smtps"
	}
	if s.offer.User != "" {
		u.User = url.UserPassword(s.offer.User, s.offer.Password)
	}
	return u.String()
}

// Roots is what a client must trust to trust the server. Its certificate is for 127.0.0.1, ::1 and localhost.
func (s *Server) Roots() *x509.CertPool { return s.roots }

// Answer has a step answered with a code, such as 451 or 550, and Words.
func (s *Server) Answer(step Step, code int) { s.misbehave(step, misbehaviour{code: code}) }

// Hang has a step not answered. Hanging at End, the letter is read and not accepted.
func (s *Server) Hang(step Step) { s.misbehave(step, misbehaviour{hang: true}) }

// Delay has a step from Hello on answered later; at End the letter is kept at once.
func (s *Server) Delay(step Step, by time.Duration) { s.misbehave(step, misbehaviour{delay: by}) }

// DropMidData breaks connections when the first bytes of a letter have come.
func (s *Server) DropMidData() { s.misbehave(End, misbehaviour{drop: true}) }

// DropAfterData accepts letters, and breaks connections instead of saying so.
func (s *Server) DropAfterData() { s.misbehave(End, misbehaviour{drop: true, keep: true}) }

func (s *Server) misbehave(at Step, m misbehaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehaves[at] = m
}

// Heal ends all misbehaviour, and the connections that hang.
func (s *Server) Heal() {
	s.mu.Lock()
	clear(s.misbehaves)
	s.mu.Unlock()
	s.cut(func(hangs bool) bool { return hangs })
}

// cut closes connections.
func (s *Server) cut(which func(hangs bool) bool) {
	s.mu.Lock()
	open := maps.Clone(s.connections)
	s.mu.Unlock()
	for c, hangs := range open {
		if which(hangs) {
			c.Close()
		}
	}
}

// Mails gives the letters accepted so far, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Wait waits until the server has accepted n letters, and gives all that it has.
func (s *Server) Wait(t testing.TB, n int) []Mail {
	t.Helper()
	s.await(t, fmt.Sprintf("%d letters", n), func() bool { return len(s.mails) >= n })
	return s.Mails()
}

// WaitHanging waits until n connections hang.
func (s *Server) WaitHanging(t testing.TB, n int) {
	t.Helper()
	s.await(t, fmt.Sprintf("%d hanging connections", n), func() bool {
		hanging := 0
		for _, hangs := range s.connections {
			if hangs {
				hanging++
			}
		}
		return hanging >= n
	})
}

// WaitIdle waits until no connection is open.
func (s *Server) WaitIdle(t testing.TB) {
	t.Helper()
	s.await(t, "the end of all connections", func() bool { return len(s.connections) == 0 })
}

// Tries is how many connections were ever made.
func (s *Server) Tries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// await waits until come, called under the lock, says that something has.
func (s *Server) await(t testing.TB, what string, come func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		here, changed := come(), s.changed
		s.mu.Unlock()
		if here {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// change changes what tests wait for.
func (s *Server) change(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) at(step Step) misbehaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.misbehaves[step]
}
