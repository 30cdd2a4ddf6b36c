package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

const (
	// maxAnswers bounds what is read from a server in one try, TLS included, in bytes. Some ten thousand are usual.
	maxAnswers = 256 << 10
	// courtesy is how long we wait for the answer to QUIT, when everything that matters is settled.
	courtesy = time.Second
)

// errNoTurn: the letter is as it was, and nothing is known about the server.
var errNoTurn = errors.New("no turn")

// try sends the letter once and says what came of it. Waiting for the turn is no time that the server takes: the clock
// stands still meanwhile, and begins anew for the answer.
func (m *Mailer) try(ctx context.Context, l letter, turn func(context.Context) error) error {
	late := fmt.Errorf("no answer within %s", m.patience)
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := time.AfterFunc(m.patience, cancel)
	defer clock.Stop()
	conn, err := new(net.Dialer).DialContext(within, "tcp", m.server.address)
	if err == nil {
		defer conn.Close()
		defer context.AfterFunc(within, func() { conn.Close() })() // lets go whoever waits on the connection
		err = m.server.converse(&bounded{conn, maxAnswers}, m.from.Address, l, func() error {
			switch {
			case turn == nil:
				return nil
			case !clock.Stop():
				return late
			}
			if err := turn(ctx); err != nil {
				return fmt.Errorf("%w: %w", errNoTurn, err)
			}
			clock.Reset(m.patience)
			return nil
		})
	} else {
		err = failure("connect", err)
	}
	_, answered := errors.AsType[answer](err)
	switch {
	case err == nil || answered || errors.Is(err, errNoTurn) || within.Err() == nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return late
	}
}

// bounded is a connection that gives so many bytes and no more: go-mail reads an answer to its end, wherever that is.
type bounded struct {
	net.Conn
	left int
}

var errTooLong = errors.New("the answers are too long")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooLong
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// converse hands a letter over. What if the connection breaks after the letter's end was sent, and before we read the
// answer: the server may have it, and gets it again.
func (s *server) converse(conn net.Conn, from string, l letter, turn func() error) (err error) {
	if s.encryption == implicit {
		conn = tls.Client(conn, s.tls)
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return failure("greeting", err)
	}
	c.SkipSMTPUTF8(true) // the letter is all ASCII, and some server behind this one may know nothing else
	defer func() {
		if _, answered := errors.AsType[answer](err); answered || err == nil {
			conn.SetDeadline(time.Now().Add(courtesy))
			c.Quit() // nothing depends on it
		}
	}()
	hostname, _ := os.Hostname()
	if err := c.Hello(ourName(hostname, conn.LocalAddr().String())); err != nil {
		return failure("EHLO", err)
	}
	if err := s.encrypt(c); err != nil {
		return err
	}
	if err := s.authenticate(c); err != nil {
		return err
	}
	if err := c.Mail("<" + from + ">"); err != nil {
		return failure("MAIL", err) // our address is the same in every letter
	}
	if err := c.Rcpt("<" + l.to + ">"); err != nil {
		return aboutLetter("RCPT", err)
	}
	data, err := c.Data()
	if err != nil {
		return aboutLetter("DATA", err)
	}
	if _, err := data.Write(l.raw); err != nil {
		return failure("letter", err)
	}
	if err := turn(); err != nil {
		c.Close() // in the middle of a letter QUIT would be part of it
		return err
	}
	if err := data.Close(); err != nil {
		return aboutLetter("letter", err)
	}
	return nil
}

// ourName is how we introduce ourselves: by this host's name if it is a full one, otherwise by the address of our end
// of the connection (RFC 5321 section 4.1.4).
func ourName(hostname, local string) string {
	if strings.Contains(hostname, ".") && asciiDomain.MatchString(hostname) {
		return hostname
	}
	ip, _, _ := net.SplitHostPort(local)
	if strings.Contains(ip, ":") {
		return "[IPv6:" + ip + "]"
	}
	return "[" + ip + "]"
}

// encrypt goes over to TLS as far as that is wanted and not done yet.
func (s *server) encrypt(c *smtp.Client) error {
	if s.encryption == implicit || s.encryption == none {
		return nil
	}
	offered, _ := c.Extension("STARTTLS")
	switch {
	case !offered && s.encryption == required:
		return errors.New("STARTTLS: required, but not offered")
	case !offered:
		return nil
	}
	if err := c.StartTLS(s.tls); err != nil {
		return failure("STARTTLS", err)
	}
	return nil
}

// authenticate sends the password. Where that must not happen in clear, the connection is encrypted by now.
func (s *server) authenticate(c *smtp.Client) error {
	if s.user == "" {
		return nil
	}
	var how smtp.Auth
	_, offered := c.Extension("AUTH")
	switch mechanisms := strings.Fields(strings.ToUpper(offered)); {
	case slices.Contains(mechanisms, "PLAIN"):
		how = smtp.PlainAuth("", s.user, s.password, s.host, true)
	case slices.Contains(mechanisms, "LOGIN"):
		how = smtp.LoginAuth(s.user, s.password, s.host, true)
	default:
		return errors.New("AUTH: neither PLAIN nor LOGIN is offered")
	}
	if err := c.Auth(how); err != nil {
		return failure("AUTH", err)
	}
	return nil
}
