package mail

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/mail/mailtest"
	"github.com/actahq/acta/adapters/peertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "open-sesame/100%" // of the test server's user

var message = Message{
	ID: "0199c0de-0000-7000-8000-00000000000a", To: "ada@example.com", Name: "Zoë Lovelace", Subject: "Grüße von Acta",
	Text: "Hello Zoë,\n\nyour code is 123456.\n", HTML: "<p>Hello Zoë,</p>\n<p>your code is <b>123456</b>.</p>\n",
}

// patient is for tries that are answered, and hasty for those that are not.
var (
	patient = pace{patience: 20 * time.Second, rest: time.Hour}
	hasty   = pace{patience: 50 * time.Millisecond, rest: time.Hour}
)

// open makes a mailer for a server, whose certificate it trusts. The query is that of the URL, such as "?tls=required".
func open(t testing.TB, s *mailtest.Server, query string, p pace) *Mailer {
	t.Helper()
	m, err := newMailer(s.URL()+query, "Acta <no-reply@acta.example>", p)
	if err != nil {
		t.Fatal(err)
	}
	m.server.tls.RootCAs = s.Roots()
	return m
}

func mustSend(t testing.TB, m *Mailer, letter Message) {
	t.Helper()
	if err := m.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
}

// mustFail tries in vain. want is ErrRefused, breaker.ErrResting, or nil for any error that is worth another try. Whichever it
// is, it tells nothing.
func mustFail(t testing.TB, m *Mailer, want error) error {
	t.Helper()
	err := m.Send(t.Context(), message)
	if err == nil || errors.Is(err, ErrRefused) != (want == ErrRefused) || errors.Is(err, breaker.ErrResting) != (want == breaker.ErrResting) {
		t.Errorf("got %v, want %v", err, want)
	}
	tellsNothing(t, err)
	return err
}

// tellsNothing fails when an error has somebody's words or data.
func tellsNothing(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, secret := range []string{mailtest.Words, "ada", "example.com", "Zo", "Lovelace", "123456", password, "open-sesame", "no-reply"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q tells %q", err, secret)
		}
	}
}

func mustBe(t testing.TB, m *Mailer, state string) {
	t.Helper()
	if got := m.State(); got != state {
		t.Errorf("the breaker is %s, want %s", got, state)
	}
}

// await waits until the breaker is in a state, which comes by itself.
func await(t testing.TB, m *Mailer, state string) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	late := time.After(20 * time.Second)
	for m.State() != state {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the breaker is %s and not %s", m.State(), state)
		}
	}
}

// scripted is a server that does what no program with good manners does. It gives a URL.
func scripted(t testing.TB, answer func(net.Conn)) string {
	t.Helper()
	return "smtp://" + peertest.Listen(t, answer)
}

// canceled is the context of a caller who has left.
func canceled(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
