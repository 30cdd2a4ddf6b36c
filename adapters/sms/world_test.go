package sms

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	os.Setenv("NO_PROXY", "*") // the providers of the tests are behind none
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

var message = Message{ID: "letter-7", To: "+4917012345678", Text: "418 206"}

// all is a configuration for each provider.
var all = map[string]Config{
	"webhook":   {Provider: "webhook", From: "Acta", User: "ada", Key: "k3y"},
	"twilio":    {Provider: "twilio", From: "+15005550006", User: "AC123", Key: "t0ken"},
	"vonage":    {Provider: "vonage", From: "+15005550006", User: "a1b2", Key: "s3cret"},
	"msg91":     {Provider: "msg91", From: "ACTAID", User: "flow1", Key: "authk3y"},
	"telesign":  {Provider: "telesign", From: "Acta", User: "CUST-1", Key: "YWJj"},
	"textmagic": {Provider: "textmagic", From: "+15005550006", User: "ada", Key: "tm-k3y"},
}

func at(c Config, url string) Config {
	c.URL = url
	return c
}

func open(t testing.TB, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts a provider on a port of this machine.
func serve(t testing.TB, answer http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// inBubble runs a test where time passes only when everybody waits, with a sender and the provider it talks to.
func inBubble(t *testing.T, c Config, answer http.HandlerFunc, test func(t *testing.T, s *Sender)) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, at(c, "http://sms.test"))
		wire := make(pipes)
		s.client.Transport.(*http.Transport).DialContext = wire.dial
		server := &http.Server{Handler: answer}
		ended := make(chan error)
		go func() { ended <- server.Serve(wire) }()
		test(t, s)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// pipes is a network of one host. Unlike sockets, pipes let the time of a bubble pass.
type pipes chan net.Conn

func (p pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	if c, open := <-p; open {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "sms.test"} }

// took gives how long a call takes by the bubble's clock.
func took(call func()) time.Duration {
	start := time.Now()
	call()
	return time.Since(start)
}
