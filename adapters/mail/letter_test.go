package mail

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"mime"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/mail/mailtest"
)

// headers are all that a letter has.
var headers = []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}

// wellFormed fails unless a letter is ASCII in short lines that end in CRLF, with the headers it should have and no
// others.
func wellFormed(t testing.TB, raw []byte, l mailtest.Letter) {
	t.Helper()
	if got := slices.Sorted(maps.Keys(l.Header)); !slices.Equal(got, headers) {
		t.Errorf("the headers are %q", got)
	}
	for name, values := range l.Header {
		if len(values) != 1 {
			t.Errorf("there are %d headers %s", len(values), name)
		}
	}
	for line := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte("\r\n")), []byte("\r\n")) {
		switch {
		case len(line) > 998: // RFC 5322 section 2.1.1
			t.Errorf("a line has %d bytes", len(line))
		case bytes.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }):
			t.Errorf("the line %q is not printable ASCII", line)
		case len(line) > 0 && len(bytes.TrimSpace(line)) == 0:
			t.Errorf("the line %q is blank", line)
		}
	}
}

func TestALetterArrivesAsItWasWritten(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	mustSend(t, open(t, s, "", patient), message)
	got := s.Wait(t, 1)[0]
	if got.From != "no-reply@acta.example" || got.To != "ada@example.com" {
		t.Errorf("the envelope is from %s to %s", got.From, got.To)
	}
	l := got.Read(t)
	wellFormed(t, got.Raw, l)
	if date, err := l.Header.Date(); err != nil || time.Since(date).Abs() > time.Minute {
		t.Errorf("its date is %s (%v)", date, err)
	}
	l.Header["Date"], l.Header["Content-Type"] = nil, nil // read above, and by Read
	want := mailtest.Letter{
		Header: netmail.Header{
			"Auto-Submitted": {"auto-generated"},
			"Content-Type":   nil,
			"Date":           nil,
			"From":           {`"Acta" <no-reply@acta.example>`},
			"Message-Id":     {"<0199c0de-0000-7000-8000-00000000000a@acta.example>"},
			"Mime-Version":   {"1.0"},
			"Subject":        {"=?UTF-8?q?Gr=C3=BC=C3=9Fe_von_Acta?="},
			"To":             {"=?utf-8?q?Zo=C3=AB_Lovelace?= <ada@example.com>"},
		},
		Text: "Hello Zoë,\r\n\r\nyour code is 123456.\r\n",
		HTML: "<p>Hello Zoë,</p>\r\n<p>your code is <b>123456</b>.</p>\r\n",
	}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryTryHasTheSameMessageID(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	s.DropAfterData()
	mustFail(t, m, nil)
	s.Heal()
	mustSend(t, m, message)
	mails := s.Wait(t, 2)
	if first, second := mails[0].Read(t).Header.Get("Message-ID"), mails[1].Read(t).Header.Get("Message-ID"); first != second {
		t.Errorf("%s and %s", first, second)
	}
}

func TestADomainGoesOutInPunycode(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m, err := newMailer(s.URL(), "Bücherei <post@Bücher.example>", patient)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ to, want string }{
		{"ada@bücher.example", "ada@xn--bcher-kva.example"},
		{"ada@bu\u0308cher.example", "ada@xn--bcher-kva.example"}, // NFD
		{"ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"ada@例え.テスト", "ada@xn--r8jz45g.xn--zckzah"},
		{"ada@пример.рф", "ada@xn--e1afmkfd.xn--p1ai"},
		{"ada@r3---sn.example", "ada@r3---sn.example"}, // IDNA would not have it, DNS does
		{"!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"},
		{"ada@localhost", "ada@localhost"},
	} {
		letter := message
		letter.To = c.to
		mustSend(t, m, letter)
		got := s.Wait(t, i+1)[i]
		header := got.Read(t).Header
		to, err := header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != c.want || to[0].Name != message.Name || got.To != c.want {
			t.Errorf("%s: sent to %s and %v (%v)", c.to, got.To, to, err)
		}
		from, err := header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != "post@xn--bcher-kva.example" || from[0].Name != "Bücherei" || got.From != from[0].Address {
			t.Errorf("sent from %s and %v (%v)", got.From, from, err)
		}
		if id := header.Get("Message-ID"); id != "<"+message.ID+"@xn--bcher-kva.example>" {
			t.Errorf("the Message-ID is %s", id)
		}
	}
}

// hostile is what people put where one line is expected.
func hostile() map[string]string {
	return map[string]string{
		"CRLF":                  "x\r\nBcc: eve@example.net\r\n\r\nother text",
		"LF":                    "x\nBcc: eve@example.net\n\nother text",
		"CR":                    "x\rBcc: eve@example.net\r\rother text",
		"NUL":                   "x\x00\r\nBcc: eve@example.net",
		"line breaks of others": "x\u0085Bcc: eve@example.net\u2028Cc: eve@example.net\vCc: eve@example.net\fCc: eve@example.net",
		"not UTF-8":             "x\xff\xc3\r\nBcc: eve@example.net",
		"an address":            `x" <eve@example.net>, "y`,
		"a comment":             "x (\r\n) <eve@example.net>, (",
		"a quote":               `x\`,
		"encoded already":       "=?utf-8?q?x=0D=0ABcc:_eve@example.net?= =?utf-8?b?DQpCY2M6IGV2ZQ==?=",
		"the end of the letter": "x\r\n.\r\nMAIL FROM:<eve@example.net>",
		"many spaces":           "x" + strings.Repeat(" ", 2000) + "Bcc: eve@example.net",
		"many line breaks":      strings.Repeat("\r\n ", 2000) + "Bcc: eve@example.net",
		"overlong":              strings.Repeat("x", 100_000),
		"overlong, not ASCII":   strings.Repeat("é", 100_000),
		"overlong, many words":  strings.Repeat("Bcc: ", 20_000),
	}
}

func TestAHeaderCannotBeInjected(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	n := 0
	for name, evil := range hostile() {
		letter := message
		letter.Name, letter.Subject, letter.Text, letter.HTML = evil, evil, evil, evil
		mustSend(t, m, letter)
		n++
		mails := s.Wait(t, n)
		if len(mails) != n {
			t.Fatalf("%s: %d letters instead of one", name, len(mails)-n+1)
		}
		got := mails[n-1]
		if got.From != "no-reply@acta.example" || got.To != "ada@example.com" {
			t.Errorf("%s: the envelope is from %s to %s", name, got.From, got.To)
		}
		l := got.Read(t)
		wellFormed(t, got.Raw, l)
		to, err := l.Header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ada@example.com" || len([]rune(to[0].Name)) > maxName {
			t.Errorf("%s: it is to %q (%v)", name, to, err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(l.Header.Get("Subject"))
		if err != nil || len([]rune(subject)) > maxSubject {
			t.Errorf("%s: its subject is %q (%v)", name, subject, err)
		}
		for _, decoded := range []string{subject, to[0].Name} {
			if strings.ContainsAny(decoded, "\r\n\x00\u0085\u2028\v\f") {
				t.Errorf("%s: it reads %q", name, decoded)
			}
		}
	}
}

func TestWhatOnlyLooksEncodedIsNotDecoded(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	letter := message
	letter.Name, letter.Subject = "=?utf-8?q?=41da?=", "=?utf-8?q?=41da?="
	mustSend(t, open(t, s, "", patient), letter)
	header := s.Wait(t, 1)[0].Read(t).Header
	to, err := header.AddressList("To")
	if err != nil || strings.HasPrefix(to[0].Name, "A") {
		t.Errorf("it is to %v (%v)", to, err)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject")); err != nil || strings.HasPrefix(subject, "A") {
		t.Errorf("its subject is %s (%v)", subject, err)
	}
}

func TestWhatCannotBeALetterIsRefusedBeforeAnybodyIsAsked(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	refused := func(what string, change func(*Message)) {
		t.Helper()
		letter := message
		change(&letter)
		err := m.Send(t.Context(), letter)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
		tellsNothing(t, err)
	}
	addresses := []string{
		"", "@", "ada", "ada@", "@example.com", "ada@@example.com", "ada@bob@example.com", "Ada <ada@example.com>", "<ada@example.com>",
		`"ada"@example.com`, "ada@[127.0.0.1]", "ada@example.com.", "ada@.example.com", "ada@example..com", "ada@-example.com", "ada@exa_mple.com",
		".ada@example.com", "ada..l@example.com", "ädä@example.com", "ada l@example.com", "ada@exam ple.com", "ada@example.com, eve@example.com",
		"ada@example.com>\r\nRCPT TO:<eve@example.com", "ada\r\nBcc: eve@example.com\r\n@example.com", "ada@example.com\n", "ada@example.com\x00",
		"ada@ex\x00ample.com", "ada@example.com\xff", "ada@xn--.bücher", "ada@aא.com", "ada@büch er.example", "ada@büch\r\ner.example",
		strings.Repeat("a", 65) + "@example.com", "ada@" + strings.Repeat("a.", 130) + "com", "ada@" + strings.Repeat("ü.", 100_000) + "com",
	}
	for _, evil := range hostile() {
		addresses = append(addresses, evil, evil+"@example.com", "ada@"+evil)
	}
	for _, address := range addresses {
		refused(fmt.Sprintf("to %.60q", address), func(m *Message) { m.To = address })
	}
	ids := []string{"", "A", "g", "0 ", "0>", "0@x", "é", strings.Repeat("0", 65), "0\n", "\r\n0"}
	for _, id := range append(ids, slices.Collect(maps.Values(hostile()))...) {
		refused(fmt.Sprintf("id %.60q", id), func(m *Message) { m.ID = id })
	}
	for _, body := range []string{"", strings.Repeat("x", maxBody+1)} {
		refused(fmt.Sprintf("a text of %d bytes", len(body)), func(m *Message) { m.Text = body })
		refused(fmt.Sprintf("HTML of %d bytes", len(body)), func(m *Message) { m.HTML = body })
	}
	if n := s.Tries(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	mustBe(t, m, "closed")
}

func TestTextSurvivesTheTransport(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m := open(t, s, "", patient)
	for i, c := range []struct{ body, want string }{
		{".\r\n..\r\n.", ".\r\n..\r\n."},
		{"From ada\n.\nQUIT\n", "From ada\r\n.\r\nQUIT\r\n"},
		{"a\rb\nc\r\nd", "a\r\nb\r\nc\r\nd"}, // bare CR and LF would be read differently by different servers
		{"tail \t\n", "tail \t\r\n"},
		{"= =3D \x00 ÿ 🦉", "= =3D \x00 ÿ 🦉"},
		{"\xff", "\ufffd"},
		{strings.Repeat("🦉", maxBody/4), strings.Repeat("🦉", maxBody/4)},
	} {
		letter := message
		letter.Text, letter.HTML = c.body, c.body
		mustSend(t, m, letter)
		got := s.Wait(t, i+1)[i]
		l := got.Read(t)
		wellFormed(t, got.Raw, l)
		if l.Text != c.want || l.HTML != c.want {
			t.Errorf("%.60q: got %.60q and %.60q", c.body, l.Text, l.HTML)
		}
	}
}

func TestARecipientWithoutANameIsAnAddress(t *testing.T) {
	s := mailtest.Start(t, mailtest.Offer{})
	m, err := newMailer(s.URL(), "no-reply@localhost", patient)
	if err != nil {
		t.Fatal(err)
	}
	letter := message
	letter.Name = ""
	mustSend(t, m, letter)
	header := s.Wait(t, 1)[0].Read(t).Header
	if to, from := header.Get("To"), header.Get("From"); to != "<ada@example.com>" || from != "<no-reply@localhost>" {
		t.Errorf("from %s to %s", from, to)
	}
}
