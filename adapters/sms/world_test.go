package sms

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/actahq/acta/adapters/peertest"
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
	peertest.InBubble(t, answer, func(t *testing.T, dial peertest.Dial) {
		s := open(t, at(c, "http://sms.test"))
		s.client.Transport.(*http.Transport).DialContext = dial
		test(t, s)
	})
}
