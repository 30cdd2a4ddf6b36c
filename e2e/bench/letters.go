package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

const (
	outageLetters = 1000
	outageReaders = 4 // connections that read accounts meanwhile
)

// letterFigures measures what requests and letters suffer when the mail server takes connections and says nothing, for
// fifteen times the length of other measurements: a minute.
func letterFigures(b *bench) ([]figure, error) {
	binary, err := build(b)
	if err != nil {
		return nil, err
	}
	box, err := openMailbox()
	if err != nil {
		return nil, err
	}
	defer box.close()
	p, err := start(binary, filepath.Join(b.dir, "letters"), "ACTA_SMTP_URL=smtp://"+box.address, "ACTA_SMTP_FROM=Acta <no-reply@acta.test>")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	sessions, err := p.signUp(outageReaders)
	if err != nil {
		return nil, err
	}
	outage := 15 * b.length
	well, err := p.askForLetters(outage/3, outageLetters/3, 0, sessions)
	if err != nil {
		return nil, err
	}
	if err := box.await(outageLetters/3, outage); err != nil {
		return nil, err
	}
	box.hang()
	ill, err := p.askForLetters(outage, outageLetters, outageLetters/3, sessions)
	if err != nil {
		return nil, err
	}
	back := time.Now()
	box.heal()
	if err := box.await(outageLetters/3+outageLetters, 2*time.Minute); err != nil {
		return nil, err
	}
	took, twice := time.Since(back), box.twice()
	return []figure{
		{
			fmt.Sprintf("p99 of requests while mail hangs for %s", outage), fmt.Sprintf("%s, %s more", ill.Round(10*time.Microsecond), (ill - well).Round(10*time.Microsecond)),
			well.Round(10*time.Microsecond).String() + " (mail goes out)", "under 5 ms more", ill-well < 5*time.Millisecond,
		},
		{
			fmt.Sprintf("%s letters queued meanwhile, all delivered", whole(outageLetters)), fmt.Sprintf("%s after, %d twice", took.Round(100*time.Millisecond), twice), "", "all, none twice", twice == 0,
		},
	}, nil
}

// askForLetters asks for so many letters in a time, evenly, while accounts are read a hundred times a second on each
// connection. It gives the p99 of all these requests.
func (p *program) askForLetters(length time.Duration, letters, from int, sessions []string) (p99 time.Duration, err error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	paced := func(times int, request func(n int) []byte) {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			defer conn.Close()
		}
		answers := bufio.NewReader(conn)
		var took []time.Duration
		pace := time.NewTicker(length / time.Duration(times))
		defer pace.Stop()
		for n := 0; n < times && err == nil; n++ {
			<-pace.C
			began := time.Now()
			if _, err = conn.Write(request(n)); err == nil {
				err = readAnswer(answers)
			}
			took = append(took, time.Since(began))
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, took...)
		if err != nil {
			failed = err
		}
	}
	var running sync.WaitGroup
	for _, session := range sessions {
		running.Go(func() {
			paced(int(length/(10*time.Millisecond)), func(int) []byte { return request("GET", "/v1/account", session, "") })
		})
	}
	running.Go(func() {
		paced(letters, func(n int) []byte {
			return request("POST", "/v1/account/tokens/magic-url", "", fmt.Sprintf(`{"userId":"unique()","email":"reader%d@example.com"}`, from+n))
		})
	})
	running.Wait()
	if failed != nil {
		return 0, failed
	}
	slices.Sort(all)
	return all[len(all)*99/100], nil
}

// mailbox is a mail server that counts.
type mailbox struct {
	net.Listener
	address string
	server  *smtp.Server

	mu      sync.Mutex
	healthy chan struct{} // closed while it answers
	letters map[string]int
	came    chan struct{} // one for each letter
}

func openMailbox() (*mailbox, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &mailbox{Listener: l, address: l.Addr().String(), healthy: make(chan struct{}), letters: map[string]int{}, came: make(chan struct{}, 10*outageLetters)}
	close(m.healthy)
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailing{box: m}, nil }))
	m.server.Domain = "localhost"
	m.server.ErrorLog = log.New(io.Discard, "", 0) // who hung up while it said nothing
	go m.server.Serve(m)                           //nolint:errcheck // it ends when it is closed
	return m, nil
}

func (m *mailbox) close() { m.heal(); m.server.Close() }

// Accept takes a connection, and holds it back while the server hangs.
func (m *mailbox) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	m.mu.Lock()
	healthy := m.healthy
	m.mu.Unlock()
	<-healthy
	return c, err
}

func (m *mailbox) hang() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.healthy = make(chan struct{})
}

func (m *mailbox) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.healthy:
	default:
		close(m.healthy)
	}
}

// await waits until so many have letters.
func (m *mailbox) await(recipients int, atMost time.Duration) error {
	late := time.After(atMost)
	for {
		m.mu.Lock()
		n := len(m.letters)
		m.mu.Unlock()
		if n >= recipients {
			return nil
		}
		select {
		case <-m.came:
		case <-late:
			return fmt.Errorf("%d letters came in %s, not %d", n, atMost, recipients)
		}
	}
}

// twice is how many letters came more than once.
func (m *mailbox) twice() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, times := range m.letters {
		n += times - 1
	}
	return n
}

type mailing struct {
	box *mailbox
	to  string
}

func (s *mailing) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *mailing) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *mailing) Reset()                                    {}
func (s *mailing) Logout() error                             { return nil }

func (s *mailing) Data(r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	s.box.mu.Lock()
	s.box.letters[s.to]++
	s.box.mu.Unlock()
	s.box.came <- struct{}{}
	return nil
}
