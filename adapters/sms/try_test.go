package sms

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/peertest"
)

// hangs answers nothing until the other side has gone. before is what it sends first.
func hangs(before http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then the server notices that the other side goes
		if before != nil {
			before(w, r)
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

func TestATryEndsAfterTenSeconds(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no answer":         hangs(nil),
		"a status alone":    hangs(says(200, "")),
		"half of a body":    hangs(says(200, `{"messages":[`)),
		"a body of nothing": hangs(says(200, strings.Repeat(" ", 1000))),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, all["vonage"], answer, func(t *testing.T, s *Sender) {
				var err error
				if d := peertest.Took(func() { err = s.Send(t.Context(), message) }); d != 10*time.Second {
					t.Errorf("it took %s", d)
				}
				if text(err) != "send a text message by vonage: no answer within 10s" {
					t.Error(err)
				}
			})
		})
	}
}

// Another try would be another message.
func TestWhatTheStatusAcceptsNeedsNoMore(t *testing.T) {
	for _, name := range []string{"webhook", "twilio", "textmagic"} {
		inBubble(t, all[name], hangs(says(201, "{")), func(t *testing.T, s *Sender) {
			if d := peertest.Took(func() {
				if err := s.Send(t.Context(), message); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}); d != 0 {
				t.Errorf("%s took %s", name, d)
			}
		})
	}
}

func TestTheCallersDeadlineIsKept(t *testing.T) {
	inBubble(t, all["webhook"], hangs(nil), func(t *testing.T, s *Sender) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		if d := peertest.Took(func() { err = s.Send(ctx, message) }); d != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %s", err, d)
		}
	})
}

func TestOfAHugeAnswerLittleIsRead(t *testing.T) {
	for _, c := range []struct {
		provider  string
		status    int
		begin     string
		accepted  bool
		mostBytes int64
	}{
		{"vonage", 200, `{"messages":[{"status":"0","message-id":"`, false, maxAnswer + 64<<10},
		{"msg91", 200, `{"type":"success","message":"`, false, maxAnswer + 64<<10},
		{"telesign", 400, `{"status":{"description":"`, false, maxAnswer + 64<<10},
		{"twilio", 400, `{"message":"`, false, maxAnswer + 64<<10},
		{"twilio", 201, `{"body":"`, true, 64 << 10},
		{"webhook", 500, ``, false, 64 << 10},
	} {
		var sent atomic.Int64
		endless := func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(c.status)
			io.WriteString(w, c.begin)
			for chunk := []byte(strings.Repeat("4917012345678", 100)); ; {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
		inBubble(t, all[c.provider], endless, func(t *testing.T, s *Sender) {
			if d := peertest.Took(func() {
				if err := s.Send(t.Context(), message); (err == nil) != c.accepted {
					t.Errorf("%s, %d: %v", c.provider, c.status, err)
				}
			}); d != 0 {
				t.Errorf("%s, %d took %s", c.provider, c.status, d)
			}
		})
		if n := sent.Load(); n > c.mostBytes { // a few buffers lie between
			t.Errorf("%s, %d: %d bytes were taken", c.provider, c.status, n)
		}
	}
}

func TestAHugeHeaderIsNotRead(t *testing.T) {
	s := open(t, at(all["webhook"], serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxAnswer))
	})))
	if err := s.Send(t.Context(), message); text(err) != "send a text message by webhook: no answer: TLS or HTTP has failed" {
		t.Error(err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int64
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { followed.Add(1) })
	for name, config := range all {
		for _, status := range []int{301, 302, 303, 307, 308} {
			s := open(t, at(config, serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere, status)
			})))
			want := fmt.Sprintf("send a text message by %s: not accepted: status %d", name, status)
			if err := s.Send(t.Context(), message); text(err) != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d were followed", n)
	}
}

// listen answers every connection with the same bytes, whatever is asked.
func listen(t *testing.T, answer string) (url string) {
	t.Helper()
	return "http://" + peertest.Listen(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, answer)
		}
	})
}

// closed is the URL of a port where nobody listens. A connection to elsewhere holds it, so that no other test gets it.
func closed(t *testing.T) (url string) {
	t.Helper()
	elsewhere := strings.TrimPrefix(listen(t, ""), "http://")
	holder, err := net.Dial("tcp", elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { holder.Close() }) // before the listener, which waits for it
	return "http://" + holder.LocalAddr().String()
}

func TestNoAnswerHasAReason(t *testing.T) {
	secure := httptest.NewUnstartedServer(says(200, ""))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about clients that do not trust it
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for _, c := range []struct{ url, want string }{
		{closed(t), "no answer: connection refused"},
		{"http://nobody.invalid", "no answer: the host name cannot be looked up"},
		{secure.URL, "no answer: the certificate is not trusted"},
		{strings.Replace(closed(t), "http:", "https:", 1), "no answer: connection refused"},
		{strings.Replace(serve(t, says(200, "")), "http:", "https:", 1), "no answer: TLS or HTTP has failed"},
		{listen(t, ""), "no answer: the connection was closed"},
		{listen(t, "SMTP at your service\r\n\r\n"), "no answer: TLS or HTTP has failed"},
	} {
		if err := open(t, at(all["webhook"], c.url)).Send(t.Context(), message); text(err) != "send a text message by webhook: "+c.want {
			t.Errorf("%s: %v, want %s", c.url, err, c.want)
		}
	}
}

func TestAHandshakeEndsAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, at(all["webhook"], "https://sms.test"))
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s.client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
		var err error
		d := peertest.Took(func() { err = s.Send(t.Context(), message) })
		if d != 5*time.Second || text(err) != "send a text message by webhook: no answer: the connection takes too long" {
			t.Errorf("%v after %s", err, d)
		}
	})
}

func TestErrorsTellNeitherNumberNorTextNorCredentials(t *testing.T) {
	m := Message{ID: "letter-7", To: "+4917012345678", Text: "canarytext 418206"}
	canaries := []string{"17012345678", "canary", "418206", "letter-7", "127.0.0.1", "localhost"}
	quotes := `+4917012345678 4917012345678 canarytext 418206 canaryuser canarykey canaryfrom`
	quoted := func(w http.ResponseWriter, status int, body string) {
		w.Header().Set("Location", "http://127.0.0.1/"+url.QueryEscape(quotes))
		w.Header().Set("X-Quoted", quotes)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	urls := map[string]string{
		"nobody there":          closed(t),
		"no such host":          "http://canary.invalid",
		"an odd status line":    listen(t, "HTTP/1.1 "+quotes+"\r\n\r\n"),
		"an odd header":         listen(t, "HTTP/1.1 200 OK\r\n"+quotes+"\r\n\r\n"),
		"an odd length":         listen(t, "HTTP/1.1 200 OK\r\nContent-Length: "+quotes+"\r\n\r\n"),
		"an odd encoding":       listen(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: "+quotes+"\r\n\r\n"),
		"an odd place":          listen(t, "HTTP/1.1 302 Found\r\nLocation: http://"+quotes+"%zz\r\n\r\n"),
		"a status in words":     listen(t, "HTTP/1.1 400 "+quotes+"\r\n\r\n"),
		"a cut body":            listen(t, "HTTP/1.1 400 Bad Request\r\nContent-Length: 900\r\n\r\n"+quotes),
		"not HTTP":              listen(t, quotes+"\r\n\r\n"),
		"HTTP instead of HTTPS": strings.Replace(listen(t, quotes), "http:", "https:", 1),
	}
	for _, status := range []int{200, 302, 400, 401, 404, 429, 500} {
		for name, body := range map[string]string{
			"words":   quotes,
			"text":    fmt.Sprintf("%q", quotes),
			"message": fmt.Sprintf(`{"type":"error","message":%q,"status":{"code":4917012345678,"description":%q}}`, quotes, quotes),
			"code":    `{"type":"error","code":418206,"status":{"code":418206},"messages":[{"status":"418206"}]}`,
			"number":  `{"code":"+4917012345678","status":{"code":"4917012345678"},"messages":[{"status":"+4917012345678"}]}`,
			"types":   `{"type":4917012345678,"code":["4917012345678"],"status":4917012345678,"messages":4917012345678}`,
			"parts":   fmt.Sprintf(`{"messages":[{"status":%q,"error-text":%q}]}`, quotes, quotes),
		} {
			urls[fmt.Sprintf("%s at %d", name, status)] = serve(t, func(w http.ResponseWriter, _ *http.Request) { quoted(w, status, body) })
		}
	}
	failed := 0
	for name := range providers {
		for what, base := range urls {
			for place, address := range map[string]string{
				"path":     base + "/canarypath?token=canarytoken",
				"userinfo": strings.Replace(base, "://", "://canaryuser:canarypassword@", 1),
			} {
				s := open(t, Config{Provider: name, URL: address, From: "canaryfrom", User: "canaryuser", Key: "canarykey"})
				err := s.Send(t.Context(), m)
				if err == nil {
					continue
				}
				failed++
				for e := err; e != nil; e = errors.Unwrap(e) {
					told := fmt.Sprintf("%v %+v %#v", e, e, e)
					for _, canary := range canaries {
						if strings.Contains(told, canary) {
							t.Errorf("%s, %s, %s: %q is in %s", name, what, place, canary, told)
						}
					}
				}
			}
		}
	}
	if failed < 400 {
		t.Errorf("only %d errors were looked at", failed)
	}
}

func TestErrorsOfHangsTellNothingEither(t *testing.T) {
	for name := range all {
		inBubble(t, all[name], hangs(nil), func(t *testing.T, s *Sender) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, ctx := range []context.Context{t.Context(), ctx} {
				err := s.Send(ctx, message)
				for _, canary := range []string{"17012345678", message.Text, all[name].User, all[name].Key, "sms.test"} {
					if err == nil || strings.Contains(err.Error(), canary) {
						t.Errorf("%s: %q is in %v", name, canary, err)
					}
				}
			}
		})
	}
}

func TestAMessageIsSentAfterItsTurn(t *testing.T) {
	var sent atomic.Int64
	answer := func(w http.ResponseWriter, r *http.Request) { sent.Add(1); says(200, "")(w, r) }
	inBubble(t, all["webhook"], answer, func(t *testing.T, s *Sender) {
		m := message
		m.Turn = func(context.Context) error { return context.Canceled }
		if err := s.Send(t.Context(), m); !errors.Is(err, context.Canceled) || sent.Load() != 0 {
			t.Errorf("got %v, %d were sent", err, sent.Load())
		}
		m.Turn = func(context.Context) error { return context.DeadlineExceeded }
		for range 2 * breaker.TripAfter {
			if err := s.Send(t.Context(), m); !errors.Is(err, context.DeadlineExceeded) || sent.Load() != 0 {
				t.Errorf("got %v, %d were sent", err, sent.Load())
			}
		}
		mustBe(t, s, "closed")
		m.Turn = func(context.Context) error { time.Sleep(time.Minute); return nil }
		if err := s.Send(t.Context(), m); err != nil || sent.Load() != 1 {
			t.Errorf("got %v, %d were sent", err, sent.Load())
		}
	})
}
