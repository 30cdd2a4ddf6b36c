package mail

import (
	"bytes"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"
)

const (
	maxName    = 100 // characters
	maxSubject = 200
	maxBody    = 256 << 10 // bytes of each of text and HTML
	maxAddress = 254       // bytes: what RFC 5321 section 4.5.3.1.3 leaves between < and >
)

var (
	wellFormedID = regexp.MustCompile(`^[0-9a-f-]{1,64}$`)
	// dotAtom is what needs neither quotes nor SMTPUTF8 (RFC 5322 section 3.2.3), before a domain in ASCII.
	dotAtom     = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	asciiDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// letter is a message as it goes over the wire.
type letter struct {
	to  string // in ASCII
	raw []byte
}

// write makes a letter of a message, or refuses it without telling what it holds. All of the letter is there before
// anybody is asked to take it: what breaks off in the middle must never end like a letter that is whole.
func (m *Mailer) write(message Message) (letter, error) {
	to, _, ok := inASCII(message.To)
	switch {
	case !ok:
		return letter{}, fmt.Errorf("%w: its address cannot be", ErrRefused)
	case !wellFormedID.MatchString(message.ID):
		return letter{}, fmt.Errorf("%w: its id is not 1 to 64 of 0-9, a-f and -", ErrRefused)
	case !fits(message.Text) || !fits(message.HTML):
		return letter{}, fmt.Errorf("%w: its text or HTML is not 1 to %d bytes", ErrRefused, maxBody)
	}
	from := m.from
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent()) // UTF-8 and quoted-printable: lines stay short, and ASCII
	msg.FromMailAddress(&from)
	msg.ToMailAddress(&mail.Address{Name: oneLine(message.Name, maxName), Address: to})
	msg.Subject(oneLine(message.Subject, maxSubject))
	msg.SetMessageIDWithValue(message.ID + "@" + m.domain)
	msg.SetDateWithValue(time.Now().UTC())
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's autoresponder should answer
	msg.SetBodyString(gomail.TypeTextPlain, strings.ToValidUTF8(message.Text, "\ufffd"))
	msg.AddAlternativeString(gomail.TypeTextHTML, strings.ToValidUTF8(message.HTML, "\ufffd"))
	var raw bytes.Buffer
	if _, err := msg.WriteTo(&raw); err != nil {
		return letter{}, fmt.Errorf("%w: it cannot be written", ErrRefused)
	}
	return letter{to, raw.Bytes()}, nil
}

func fits(body string) bool { return 0 < len(body) && len(body) <= maxBody }

// inASCII gives an address with its domain in the form of DNS (punycode, RFC 5891), and that domain. Everybody takes
// this form, while the other one needs servers that know SMTPUTF8 all the way.
func inASCII(address string) (ascii, host string, ok bool) {
	local, host, _ := strings.Cut(address, "@")
	if len(local) > 64 || len(host) > maxAddress || !dotAtom.MatchString(local) {
		return "", "", false
	}
	host = strings.ToLower(host)
	if !asciiDomain.MatchString(host) { // one in ASCII is DNS's business, also where IDNA would have objections
		var err error
		if host, err = idna.Lookup.ToASCII(host); err != nil || !asciiDomain.MatchString(host) {
			return "", "", false
		}
	}
	ascii = local + "@" + host
	return ascii, host, len(ascii) <= maxAddress
}

// parseSender reads the address that letters come from, with or without a name.
func parseSender(from string) (sender mail.Address, host string, err error) {
	parsed, err := mail.ParseAddress(from)
	if err != nil {
		return mail.Address{}, "", errors.New("not an address such as Acta <no-reply@example.com>")
	}
	address, host, ok := inASCII(parsed.Address)
	if !ok {
		return mail.Address{}, "", errors.New("its address is not a plain name@domain")
	}
	return mail.Address{Name: oneLine(parsed.Name, maxName), Address: address}, host, nil
}

// oneLine makes text of any origin fit for a header of one line, of so many characters at most: without control
// characters, which could end the line; without runs of spaces, which folding could make a line of their own, and
// somebody later an empty one, where headers end; without what passes for text that is already encoded (RFC 2047), and
// would be decoded.
func oneLine(s string, atMost int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
	s = strings.Join(strings.Fields(s), " ")
	s = strings.ReplaceAll(s, "=?", "= ?")
	if runes := []rune(s); len(runes) > atMost {
		s = strings.TrimSpace(string(runes[:atMost]))
	}
	return s
}
