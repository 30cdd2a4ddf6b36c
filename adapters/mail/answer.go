package mail

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"syscall"
)

// errLater: the server is well and does not take this letter now.
var errLater = errors.New("the letter is not taken now")

// answer is the numbers of a server's no: its code (RFC 5321 section 4.2), and the enhanced one, if any (RFC 3463).
type answer struct {
	code     int
	enhanced string
}

func (a answer) Error() string {
	if a.enhanced == "" {
		return fmt.Sprint(a.code)
	}
	return fmt.Sprint(a.code, " ", a.enhanced)
}

// aboutServer is what servers answer at any step when the trouble is with them or with us, and not with a letter:
// shutting down, commands they do not know or expect, authentication or encryption they miss (RFC 4954 section 6).
var aboutServer = []int{421, 500, 502, 503, 504, 523, 530, 534, 535, 538, 555}

// aboutLetter gives the error of a step that depends on the letter.
func aboutLetter(step string, err error) error {
	said, answered := errors.AsType[*textproto.Error](err)
	switch {
	case !answered || slices.Contains(aboutServer, said.Code):
		return failure(step, err)
	case said.Code/100 == 5:
		return fmt.Errorf("%w: %s: %w", ErrRefused, step, numbers(said))
	case said.Code/100 == 4:
		return fmt.Errorf("%w: %s: %w", errLater, step, numbers(said))
	default:
		return failure(step, err)
	}
}

// failure gives the error of a step that is the same for every letter. Whatever the server says to it, a letter is not
// lost because of a password that has changed.
func failure(step string, err error) error {
	if said, answered := errors.AsType[*textproto.Error](err); answered {
		return fmt.Errorf("%s: %w", step, numbers(said))
	}
	return fmt.Errorf("%s: %s", step, reason(err))
}

var enhancedCode = regexp.MustCompile(`^([245])\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// numbers leaves the words of an answer out.
func numbers(said *textproto.Error) answer {
	a := answer{code: said.Code}
	if found := enhancedCode.FindString(said.Msg); found != "" && int(found[0]-'0') == said.Code/100 {
		a.enhanced = found
	}
	return a
}

// reason says why there is no answer. The words are ours or the system's: errors of textproto, go-mail and crypto/tls
// quote what came instead.
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
	switch {
	case errors.Is(err, errTooLong):
		return errTooLong.Error()
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	}
	return "TLS or SMTP has failed"
}
