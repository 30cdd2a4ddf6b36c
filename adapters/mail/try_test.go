package mail

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/mail/mailtest"
)

func TestEncryption(t *testing.T) {
	clear, starttls, tls := mailtest.Offer{}, mailtest.Offer{StartTLS: true}, mailtest.Offer{TLS: true}
	for _, c := range []struct {
		name      string
		offer     mailtest.Offer
		query     string
		distrust  bool
		encrypted bool
		failure   string
	}{
		{name: "opportunistic, offered", offer: starttls, encrypted: true},
		{name: "opportunistic, offered with a certificate of its own", offer: starttls, distrust: true, encrypted: true},
		{name: "opportunistic, not offered", offer: clear},
		{name: "required, offered", offer: starttls, query: "?tls=required", encrypted: true},
		{name: "required, not trusted", offer: starttls, query: "?tls=required", distrust: true, failure: "STARTTLS: the certificate is not trusted"},
		{name: "required, not offered", offer: clear, query: "?tls=required", failure: "STARTTLS: required, but not offered"},
		{name: "none, offered", offer: starttls, query: "?tls=none"},
		{name: "smtps", offer: tls, encrypted: true},
		{name: "smtps, not trusted", offer: tls, distrust: true, failure: "greeting: the certificate is not trusted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mailtest.Start(t, c.offer)
			m := open(t, s, c.query, patient)
			if c.distrust {
				m.server.tls.RootCAs = nil
			}
			if c.failure != "" {
				if err := mustFail(t, m, nil); !strings.Contains(err.Error(), c.failure) {
					t.Errorf("got %v, want %s", err, c.failure)
				}
			} else {
				mustSend(t, m, message)
				if got := s.Wait(t, 1)[0]; got.TLS != c.encrypted {
					t.Errorf("encrypted: %t", got.TLS)
				}
			}
			s.WaitIdle(t)
		})
	}
}

func TestSMTPSNeedsAServerThatSpeaksTLS(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m, err := newMailer(strings.Replace(s.URL(), "smtp:", "smtps:", 1), "no-reply@acta.example", patient)
	if err != nil {
		t.Fatal(err)
	}
	mustFail(t, m, nil)
	s.WaitIdle(t)
}

func TestAuthentication(t *testing.T) {
	for _, c := range []struct {
		name  string
		offer mailtest.Offer
		user  string // instead of the right one
		want  string // a failure
	}{
		{name: "PLAIN over STARTTLS", offer: mailtest.Offer{StartTLS: true}},
		{name: "PLAIN over TLS", offer: mailtest.Offer{TLS: true}},
		{name: "PLAIN in clear on this host", offer: mailtest.Offer{}},
		{name: "LOGIN over STARTTLS", offer: mailtest.Offer{StartTLS: true, Mechanisms: []string{"XOAUTH2", "LOGIN"}}},
		{name: "LOGIN in clear on this host", offer: mailtest.Offer{Mechanisms: []string{"LOGIN"}}},
		{name: "wrong", offer: mailtest.Offer{StartTLS: true}, user: "somebody", want: "AUTH: 535 5.7.8"},
		{name: "wrong LOGIN", offer: mailtest.Offer{TLS: true, Mechanisms: []string{"LOGIN"}}, user: "somebody", want: "AUTH: 535 5.7.8"},
		{name: "nothing we know", offer: mailtest.Offer{StartTLS: true, Mechanisms: []string{"CRAM-MD5"}}, want: "AUTH: neither PLAIN nor LOGIN is offered"},
		{name: "nothing at all", offer: mailtest.Offer{Mechanisms: []string{}}, want: "AUTH: neither PLAIN nor LOGIN is offered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.offer.User, c.offer.Password = "acta", password
			s := mailtest.Start(t, c.offer)
			m := open(t, s, "", patient)
			if c.user != "" {
				m.server.user = c.user
			}
			if c.want != "" {
				if err := mustFail(t, m, nil); !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			} else {
				mustSend(t, m, message)
				if got := s.Wait(t, 1)[0]; got.User != "acta" || got.TLS != (c.offer.TLS || c.offer.StartTLS) {
					t.Errorf("sent by %q, encrypted: %t", got.User, got.TLS)
				}
			}
			s.WaitIdle(t)
		})
	}
}

func TestThePasswordIsNotSentToAServerThatDoesNotEncrypt(t *testing.T) {
	said := make(chan string, 10)
	url := scripted(t, func(conn net.Conn) {
		defer close(said)
		fmt.Fprint(conn, "220 hello\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			said <- lines.Text()
			fmt.Fprint(conn, "250-hello\r\n250 AUTH PLAIN LOGIN\r\n")
		}
	})
	m, err := newMailer(strings.Replace(url, "//", "//acta:secret@", 1)+"?tls=required", "no-reply@acta.example", patient)
	if err != nil {
		t.Fatal(err)
	}
	mustFail(t, m, nil)
	for line := range said {
		if !strings.HasPrefix(line, "EHLO ") {
			t.Errorf("the server was told %s", line)
		}
	}
}

// outcome is what a try comes to: the error, and whether five of them open the breaker.
type outcome struct {
	err   error // nil: worth another try
	trips bool
}

func TestWhatAnAnswerMeans(t *testing.T) {
	refused, later, down := outcome{err: ErrRefused}, outcome{}, outcome{trips: true}
	for _, c := range []struct {
		step  mailtest.Step
		codes []int
		want  outcome
	}{
		{mailtest.Connect, []int{421, 450, 521, 550, 554}, down},
		{mailtest.Hello, []int{421, 451, 500, 502, 550, 554}, down},
		{mailtest.StartTLS, []int{421, 454, 501, 502, 550}, down},
		{mailtest.Auth, []int{421, 432, 454, 500, 504, 530, 534, 535, 538, 550}, down},
		{mailtest.Sender, []int{421, 450, 451, 452, 501, 503, 530, 550, 552, 553, 555}, down}, // it is our own address
		{mailtest.Recipient, []int{421, 500, 502, 503, 504, 530, 535, 555}, down},
		{mailtest.Recipient, []int{450, 451, 452, 471}, later},
		{mailtest.Recipient, []int{501, 550, 551, 552, 553, 554, 556}, refused},
		{mailtest.Data, []int{421, 500, 502, 503, 530}, down},
		{mailtest.Data, []int{450, 451, 452}, later},
		{mailtest.Data, []int{550, 552, 554}, refused},
		{mailtest.End, []int{421, 500, 503}, down},
		{mailtest.End, []int{450, 451, 452}, later},
		{mailtest.End, []int{550, 552, 554, 571}, refused},
		{mailtest.Recipient, []int{354}, down}, // makes no sense there
	} {
		for _, code := range c.codes {
			t.Run(fmt.Sprintf("%d at step %d", code, c.step), func(t *testing.T) {
				offer := mailtest.Offer{User: "acta", Password: password}
				if c.step == mailtest.StartTLS {
					offer.StartTLS = true
				}
				s := mailtest.Start(t, offer)
				m := open(t, s, "", patient)
				s.Answer(c.step, code)
				for range breaker.TripAfter {
					mustBe(t, m, "closed")
					if err := mustFail(t, m, c.want.err); !strings.Contains(err.Error(), fmt.Sprintf(": %d", code)) {
						t.Errorf("%v does not tell the code", err)
					}
				}
				s.WaitIdle(t)
				if c.want.trips {
					mustBe(t, m, "open")
				} else {
					mustBe(t, m, "closed")
				}
				if n := len(s.Mails()); n != 0 {
					t.Errorf("%d letters were accepted", n)
				}
			})
		}
	}
}

func TestARefusalTellsItsNumbers(t *testing.T) {
	for _, c := range []struct{ said, want string }{
		{"550 5.1.1 <ada@example.com>: unknown", "send a mail: the letter is refused: RCPT: 550 5.1.1"},
		{"550-5.7.26 ada@example.com\r\n550-5.7.26 is\r\n550 5.7.26 unknown", "send a mail: the letter is refused: RCPT: 550 5.7.26"},
		{"550 ada@example.com is unknown", "send a mail: the letter is refused: RCPT: 550"},
		{"550 4.1.1 ada@example.com", "send a mail: the letter is refused: RCPT: 550"}, // contradicts itself
		{"550 5.123456.1 ada", "send a mail: the letter is refused: RCPT: 550"},
		{"550", "send a mail: RCPT: TLS or SMTP has failed"}, // without the space it could be the begin of anything
		{"450 4.2.0 <ada@example.com>: greylisted", "send a mail: the letter is not taken now: RCPT: 450 4.2.0"},
		{"530 5.7.0 ada@example.com must authenticate first", "send a mail: RCPT: 530 5.7.0"},
		{"ada@example.com is unknown", "send a mail: RCPT: TLS or SMTP has failed"},
		{"999999 ada@example.com", "send a mail: RCPT: TLS or SMTP has failed"},
	} {
		m, err := newMailer(scripted(t, says("220 hello", "250 hello", "250 yes", c.said, "221 bye")), "no-reply@acta.example", patient)
		if err != nil {
			t.Fatal(err)
		}
		err = m.Send(t.Context(), message)
		tellsNothing(t, err)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.said, err, c.want)
		}
	}
}

// says answers line by line, whatever is asked, and first of all.
func says(answers ...string) func(net.Conn) {
	return func(conn net.Conn) {
		lines := bufio.NewScanner(conn)
		for i, answer := range answers {
			if i > 0 && !lines.Scan() {
				return
			}
			fmt.Fprintf(conn, "%s\r\n", answer)
		}
		io.Copy(io.Discard, conn)
	}
}

func TestNonsenseIsAFailureThatTellsNothing(t *testing.T) {
	hello := []string{"220 hello", "250-hello\r\n250 AUTH LOGIN PLAIN"}
	for name, answer := range map[string]func(net.Conn){
		"another protocol":         says("HTTP/1.1 400 Bad Request: ada@example.com"),
		"no code":                  says("ada"),
		"a code out of place":      says("354 ada@example.com"),
		"a challenge for PLAIN":    says(hello[0], hello[1], "334 YWRhQGV4YW1wbGUuY29t", "501 ada", "221 bye"),
		"a challenge not encoded":  says(hello[0], hello[1], "334 ada@example.com", "501 ada", "221 bye"),
		"STARTTLS without TLS":     says("220 hello", "250-hello\r\n250 STARTTLS", "220 go", "ada@example.com"),
		"nothing but a connection": func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := newMailer(strings.Replace(scripted(t, answer), "//", "//acta:open-sesame@", 1), "no-reply@acta.example", patient)
			if err != nil {
				t.Fatal(err)
			}
			mustFail(t, m, nil)
		})
	}
}

func TestAnswersWithoutEndAreNotRead(t *testing.T) {
	for name, endless := range map[string]string{"lines": "220-hello\r\n", "a line": "220 hello"} {
		t.Run(name, func(t *testing.T) {
			var sent int
			url := scripted(t, func(conn net.Conn) {
				for chunk := []byte(strings.Repeat(endless, 1000)); ; {
					n, err := conn.Write(chunk)
					if sent += n; err != nil {
						return
					}
				}
			})
			m, err := newMailer(url, "no-reply@acta.example", patient)
			if err != nil {
				t.Fatal(err)
			}
			if err := mustFail(t, m, nil); !strings.Contains(err.Error(), errTooLong.Error()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestATryEndsInTime(t *testing.T) {
	for step := mailtest.Connect; step <= mailtest.End; step++ {
		for _, implicit := range []bool{false, true} {
			if implicit && step == mailtest.StartTLS {
				continue
			}
			t.Run(fmt.Sprintf("step %d, TLS %t", step, implicit), func(t *testing.T) {
				s := mailtest.Start(t, mailtest.Offer{User: "acta", Password: password, TLS: implicit, StartTLS: step == mailtest.StartTLS})
				m := open(t, s, "", hasty)
				s.Hang(step)
				for range breaker.TripAfter {
					if err := mustFail(t, m, nil); !strings.Contains(err.Error(), "no answer within 50ms") {
						t.Errorf("got %v", err)
					}
				}
				s.WaitIdle(t)
				mustBe(t, m, "open")
				if n := len(s.Mails()); n != 0 {
					t.Errorf("%d letters were accepted", n)
				}
			})
		}
	}
}

func TestACallerWhoLeavesIsNotHeldUpAndProvesNothing(t *testing.T) {
	for step := mailtest.Connect; step <= mailtest.End; step++ {
		s := mailtest.Start(t, mailtest.Offer{User: "acta", Password: password, StartTLS: step == mailtest.StartTLS})
		m := open(t, s, "", patient)
		s.Hang(step)
		for range 2 * breaker.TripAfter {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- m.Send(ctx, message) }()
			s.WaitHanging(t, 1)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) || errors.Is(err, ErrRefused) {
				t.Errorf("step %d: %v", step, err)
			}
			s.WaitIdle(t)
		}
		mustBe(t, m, "closed")
	}
}

func TestACallerWhoLeftIsNotTried(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	if err := open(t, s, "", patient).Send(canceled(t), message); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := s.Tries(); n != 0 {
		t.Errorf("%d tries", n)
	}
}

func TestTheCallersDeadlineIsKept(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	s.Hang(mailtest.End)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := open(t, s, "", patient).Send(ctx, message); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	s.WaitIdle(t)
}

func TestABrokenConnectionIsWorthAnotherTry(t *testing.T) {
	for name, drop := range map[string]func(*mailtest.Server){
		"in the middle of a letter":   (*mailtest.Server).DropMidData,
		"after the end of the letter": (*mailtest.Server).DropAfterData,
	} {
		t.Run(name, func(t *testing.T) {
			s := mailtest.Start(t, mailtest.Offer{StartTLS: true})
			m := open(t, s, "", patient)
			drop(s)
			mustFail(t, m, nil)
			letter := message
			letter.HTML = strings.Repeat("<p>", maxBody/3) // does not fit into what the system keeps for the server
			if err := m.Send(t.Context(), letter); err == nil || errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
			s.WaitIdle(t)
			before := len(s.Mails())
			s.Heal()
			mustSend(t, m, message)
			if n := len(s.Mails()); n != before+1 {
				t.Errorf("%d letters, %d of them before", n, before)
			}
		})
	}
}

func TestAServerThatIsNotThereIsAFailure(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	for url, want := range map[string]string{
		"smtp://" + listener.Addr().String(): "send a mail: connect: connection refused",
		"smtp://mail..example":               "send a mail: connect: the host name cannot be looked up",
	} {
		m, err := newMailer(url, "no-reply@acta.example", patient)
		if err != nil {
			t.Fatal(err)
		}
		if err := mustFail(t, m, nil); err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAnAcceptedLetterIsSentWhateverComesAfter(t *testing.T) {
	dialogue := []string{"220 hello", "250 hello", "250 yes", "250 yes", "354 go"}
	for name, after := range map[string]string{"an error": "421 ada", "silence": "", "nonsense": "ada"} {
		t.Run(name, func(t *testing.T) {
			m, err := newMailer(scripted(t, func(conn net.Conn) {
				lines := bufio.NewScanner(conn)
				for i, answer := range dialogue {
					if i > 0 {
						lines.Scan()
					}
					fmt.Fprintf(conn, "%s\r\n", answer)
				}
				for lines.Scan() && lines.Text() != "." {
				}
				fmt.Fprint(conn, "250 yes\r\n")
				lines.Scan()
				if after != "" {
					fmt.Fprintf(conn, "%s\r\n", after)
				}
				lines.Scan() // until the client has enough
			}), "no-reply@acta.example", patient)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			mustSend(t, m, message)
			if took := time.Since(began); took > patient.patience/2 {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestWeIntroduceOurselvesAsRFC5321Asks(t *testing.T) {
	for _, c := range []struct{ hostname, local, want string }{
		{"acta.example.com", "192.0.2.1:40000", "acta.example.com"},
		{"0f1e2d3c4b5a", "192.0.2.1:40000", "[192.0.2.1]"}, // a container
		{"", "[2001:db8::1]:40000", "[IPv6:2001:db8::1]"},
		{"acta.exam ple", "192.0.2.1:40000", "[192.0.2.1]"},
		{"acta.example\r\nRSET", "192.0.2.1:40000", "[192.0.2.1]"},
	} {
		if got := ourName(c.hostname, c.local); got != c.want {
			t.Errorf("%q at %s: %s, want %s", c.hostname, c.local, got, c.want)
		}
	}
}

func TestLettersAreSentAtTheSameTime(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{StartTLS: true, User: "acta", Password: password})
	m := open(t, s, "?tls=required", patient)
	var all sync.WaitGroup
	const letters = 40
	for i := range letters {
		all.Go(func() {
			letter := message
			letter.ID, letter.To = fmt.Sprint(i), fmt.Sprintf("ada%d@example.com", i)
			if err := m.Send(t.Context(), letter); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	for _, got := range s.Wait(t, letters) {
		header := got.Read(t).Header
		id, _, _ := strings.Cut(strings.TrimPrefix(header.Get("Message-ID"), "<"), "@")
		if got.To != "ada"+id+"@example.com" || !strings.Contains(header.Get("To"), "<"+got.To+">") || seen[got.To] {
			t.Errorf("letter %s went to %s, and is to %s", id, got.To, header.Get("To"))
		}
		seen[got.To] = true
	}
	s.WaitIdle(t)
}

// The turn comes when nothing is left to do but to end the letter: who waits for it has a connection, and no letter yet.
func TestALetterIsTakenAfterItsTurn(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{StartTLS: true})
	m := open(t, s, "?tls=required", patient)
	letter := message
	turns := 0
	letter.Turn = func(context.Context) error {
		if turns++; len(s.Mails()) != 0 || s.Tries() != 1 {
			t.Errorf("%d letters taken in %d tries", len(s.Mails()), s.Tries())
		}
		return nil
	}
	mustSend(t, m, letter)
	if turns != 1 {
		t.Errorf("it had %d turns", turns)
	}
	s.Wait(t, 1)
}

func TestALetterWithoutATurnIsNotTaken(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	letter := message
	letter.Turn = func(context.Context) error { return context.Canceled }
	if err := m.Send(t.Context(), letter); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.WaitIdle(t)
	letter.Turn = func(context.Context) error { return context.DeadlineExceeded }
	for range 2 * breaker.TripAfter {
		if err := m.Send(t.Context(), letter); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
		s.WaitIdle(t)
	}
	mustBe(t, m, "closed")
	if got := s.Mails(); len(got) != 0 {
		t.Errorf("%d letters were taken", len(got))
	}
}
