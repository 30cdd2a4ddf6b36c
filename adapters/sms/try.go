package sms

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"syscall"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer, and its header, in bytes. Answers have a few hundred.
	maxAnswer = 64 << 10
	// connecting bounds each of opening a connection and agreeing on TLS, within the patience for all.
	connecting = 5 * time.Second
)

// newClient makes a client that connects anew for every message. On a connection that is kept, a message meets the
// provider closing it, and nobody knows whether it was sent.
func newClient() *http.Client {
	return &http.Client{
		// Where an answer leads is not where the operator sends phone numbers and credentials.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connecting}).DialContext,
			TLSHandshakeTimeout:    connecting,
			MaxResponseHeaderBytes: maxAnswer,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		},
	}
}

// errNoTurn: the message is as it was, and nothing is known about the provider.
var errNoTurn = errors.New("no turn")

// try sends the message once and says what came of it. Waiting for the turn is no time that the provider takes: the clock
// stands still meanwhile, and begins anew for the answer.
func (s *Sender) try(ctx context.Context, m Message) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	clock := time.AfterFunc(s.patience, cancel)
	defer clock.Stop()
	r := &http.Request{Method: http.MethodPost, URL: s.url, Header: http.Header{"User-Agent": {"Acta"}}}
	s.provider.write(r, s.config, m)
	var noTurn error
	// On a connection, when nothing of the message was written: others need not wait while this one connects. What is
	// closed here takes nothing any more.
	connected := func(c httptrace.GotConnInfo) {
		switch {
		case m.Turn == nil:
			return
		case !clock.Stop():
			c.Conn.Close()
			return
		}
		if err := m.Turn(ctx); err != nil {
			noTurn = fmt.Errorf("%w: %w", errNoTurn, err)
			c.Conn.Close()
			return
		}
		clock.Reset(s.patience)
	}
	answer, err := s.client.Do(r.WithContext(httptrace.WithClientTrace(within, &httptrace.ClientTrace{GotConn: connected})))
	switch {
	case noTurn != nil:
		return noTurn
	case err != nil && within.Err() != nil:
		return s.late(ctx)
	case err != nil:
		return fmt.Errorf("no answer: %s", reason(err))
	}
	defer answer.Body.Close()

	means, code := meaningOf(answer.StatusCode), code(0)
	if s.provider.read != nil {
		means, code = s.provider.read(means, io.LimitReader(answer.Body, maxAnswer))
	}
	numbers := fmt.Sprintf("status %d", answer.StatusCode)
	if code != 0 {
		numbers += fmt.Sprintf(", code %d", code)
	}
	switch {
	case means == accepted:
		return nil
	case means == refused:
		return fmt.Errorf("%w: %s", ErrRefused, numbers)
	case within.Err() != nil:
		return s.late(ctx)
	}
	return fmt.Errorf("not accepted: %s", numbers)
}

// late tells a caller who left, or whose own deadline has passed, from an answer that took too long.
func (s *Sender) late(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("no answer within %s", s.patience)
}

// reason says why there is no answer. The words are ours or the system's: errors of net/http quote the URL, or what came
// instead of an answer.
func reason(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error() // such as "connection refused"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "the host name cannot be looked up"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the certificate is not trusted"
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "the connection takes too long"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the connection was closed"
	}
	return "TLS or HTTP has failed"
}

// meaning is what an answer means for the message.
type meaning int

const (
	again    meaning = iota // worth another try
	accepted                // taken over by the provider
	refused                 // useless to try again
)

// aboutMessage is the statuses that blame what was asked for. The others of 4xx blame our credentials, our account or the
// endpoint (401, 402, 403, 404, 405, 410 ...), or pass by themselves (408, 409, 425, 429): a message must not be lost
// because an account has run out of money (RFC 9110, RFC 7725).
var aboutMessage = []int{
	http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons,
}

func meaningOf(status int) meaning {
	switch {
	case status/100 == 2:
		return accepted
	case slices.Contains(aboutMessage, status):
		return refused
	}
	return again
}
