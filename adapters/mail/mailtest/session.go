package mailtest

import (
	"crypto/subtle"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is what go-smtp asks about one connection.
type session struct {
	server *Server
	smtp   *smtp.Conn
	mail   Mail // that is being sent
}

var errDropped = errors.New("the connection was dropped")

// session begins a session at EHLO. After STARTTLS there is a new one.
func (s *Server) session(c *smtp.Conn) (smtp.Session, error) {
	_, encrypted := c.TLSConnectionState()
	next := &session{server: s, smtp: c, mail: Mail{TLS: encrypted || s.offer.TLS}}
	return next, next.meet(Hello)
}

// meet does what the server was told to do at a step.
func (s *session) meet(step Step) error { return s.suffer(s.server.at(step)) }

func (s *session) suffer(m misbehaviour) error {
	switch {
	case m.code != 0:
		return &smtp.SMTPError{Code: m.code, Message: Words}
	case m.hang:
		s.server.hang(s.smtp.Conn())
		return errDropped
	case m.delay > 0:
		time.Sleep(m.delay)
	case m.drop:
		s.smtp.Conn().Close()
		return errDropped
	}
	return nil
}

func (s *session) AuthMechanisms() []string {
	switch {
	case s.server.offer.User == "":
		return nil
	case s.server.offer.Mechanisms == nil:
		return []string{sasl.Plain}
	}
	return s.server.offer.Mechanisms
}

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	switch {
	case !slices.Contains(s.AuthMechanisms(), mechanism):
		return nil, smtp.ErrAuthUnknownMechanism
	case mechanism == sasl.Login:
		return &login{check: s.check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return s.check(user, password) }), nil
}

func (s *session) check(user, password string) error {
	if err := s.meet(Auth); err != nil {
		return err
	}
	if user != s.server.offer.User || subtle.ConstantTimeCompare([]byte(password), []byte(s.server.offer.Password)) != 1 {
		return &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: Words}
	}
	s.mail.User = user
	return nil
}

// login is the server's side of LOGIN, which asks for the user and then for the password.
type login struct {
	check func(user, password string) error
	user  []byte
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		l.user = response
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(string(l.user), string(response))
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.offer.User != "" && s.mail.User == "" {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: Words}
	}
	s.mail.From = from
	return s.meet(Sender)
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = strings.TrimPrefix(s.mail.To+","+to, ",")
	return s.meet(Recipient)
}

func (s *session) Data(r io.Reader) (err error) {
	m := s.server.at(End)
	if m.drop && !m.keep {
		io.ReadFull(r, make([]byte, 16))
		return s.suffer(m)
	}
	if s.mail.Raw, err = io.ReadAll(r); err != nil {
		return err
	}
	if accepted := s.mail; m == (misbehaviour{}) || m.keep || m.delay > 0 {
		s.server.change(func() { s.server.mails = append(s.server.mails, accepted) })
	}
	return s.suffer(m)
}

// Reset forgets the letter and not the user.
func (s *session) Reset() { s.mail = Mail{TLS: s.mail.TLS, User: s.mail.User} }

func (s *session) Logout() error { return nil }
