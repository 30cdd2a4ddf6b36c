//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// delivered is a mail or text message as it arrived.
type delivered struct {
	ID      string `json:"id"` // Message-ID of a mail
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// postbox is a mail server and an SMS provider, and what they were given. Scripts ask it for letters over HTTP.
type postbox struct {
	smtp    string // address
	web     *httptest.Server
	mu      sync.Mutex
	came    *sync.Cond
	letters []delivered
	taken   map[int]bool
	down    bool // refuse connections' mails, for now
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	p := &postbox{taken: map[int]bool{}}
	p.came = sync.NewCond(&p.mu)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.smtp = listener.Addr().String()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailing{p: p}, nil }))
	server.Domain = "localhost"
	server.ErrorLog = log.New(io.Discard, "", 0) // programs are killed in mid-sentence here
	go server.Serve(listener)                    //nolint:errcheck // it ends when it is closed
	t.Cleanup(func() { server.Close() })
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sms", func(w http.ResponseWriter, r *http.Request) {
		var m struct{ To, Message string }
		if json.NewDecoder(r.Body).Decode(&m) != nil || r.Header.Get("X-Username") != "ada" || r.Header.Get("X-Key") != "key" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.put(delivered{To: m.To, Text: m.Message})
	})
	mux.HandleFunc("GET /next", func(w http.ResponseWriter, r *http.Request) {
		l, err := p.next(r.URL.Query().Get("to"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(l) // the script went away
	})
	p.web = httptest.NewServer(mux)
	t.Cleanup(p.web.Close)
	return p
}

// env is how a server is told of it.
func (p *postbox) env() []string {
	return []string{
		"ACTA_SMTP_URL=smtp://" + p.smtp, "ACTA_SMTP_FROM=Acta <no-reply@example.com>",
		"ACTA_SMS_PROVIDER=webhook", "ACTA_SMS_URL=" + p.web.URL + "/sms", "ACTA_SMS_USER=ada", "ACTA_SMS_KEY=key", "ACTA_SMS_FROM=Acta",
	}
}

func (p *postbox) put(l delivered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letters = append(p.letters, l)
	p.came.Broadcast()
}

// fail lets the mail server refuse everything for now, or no longer.
func (p *postbox) fail(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// all is what arrived so far.
func (p *postbox) all() []delivered {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]delivered{}, p.letters...)
}

// repeated counts the messages that had arrived before. A message is one person's.
func (p *postbox) repeated(t *testing.T) (again int) {
	t.Helper()
	to := map[string]string{}
	for _, l := range p.all() {
		switch to[l.ID] {
		case "":
			to[l.ID] = l.To
		case l.To:
			again++
		default:
			t.Errorf("%s is a letter to two", l.ID)
		}
	}
	return again
}

// next waits for the oldest letter to an address that was not taken yet.
func (p *postbox) next(to string) (delivered, error) {
	var late bool
	timer := time.AfterFunc(minute, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		late = true
		p.came.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for i, l := range p.letters {
			if l.To == to && !p.taken[i] {
				p.taken[i] = true
				return l, nil
			}
		}
		if late {
			return delivered{}, fmt.Errorf("no letter to %s came", to)
		}
		p.came.Wait()
	}
}

// mailing is one connection to the mail server.
type mailing struct {
	p  *postbox
	to string
}

var errDown = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "out of order"}

func (m *mailing) Mail(string, *smtp.MailOptions) error {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	if m.p.down {
		return errDown
	}
	return nil
}
func (m *mailing) Rcpt(to string, _ *smtp.RcptOptions) error { m.to = to; return nil }
func (m *mailing) Reset()                                    {}
func (m *mailing) Logout() error                             { return nil }

func (m *mailing) Data(r io.Reader) error {
	l, err := readMail(r)
	if err != nil {
		return err
	}
	l.To = m.to
	m.p.put(l)
	return nil
}

// readMail takes a mail apart as a mail program does.
func readMail(r io.Reader) (l delivered, err error) {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return l, err
	}
	l.ID = m.Header.Get("Message-ID")
	if l.Subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		return l, err
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		return l, errors.Join(err, fmt.Errorf("it is %s", kind))
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		if err != nil {
			return l, err
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		text, err := io.ReadAll(body)
		if err != nil {
			return l, err
		}
		text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			l.HTML = string(text)
		} else {
			l.Text = string(text)
		}
	}
}

// link is the one in a letter, with its parameters.
func (l delivered) link(t *testing.T) url.Values {
	t.Helper()
	for line := range strings.Lines(l.Text) {
		if strings.HasPrefix(line, "http") {
			u, err := url.Parse(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			return u.Query()
		}
	}
	t.Fatalf("no link in %q", l.Text)
	return nil
}
