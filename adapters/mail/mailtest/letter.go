package mailtest

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"testing"
)

// Letter is a letter of a text and an HTML part, decoded.
type Letter struct {
	Header     mail.Header // values as they came
	Text, HTML string      // lines ending in CRLF
}

// Read decodes a letter, which must be multipart/alternative with text/plain and then text/html, both in UTF-8 and
// quoted-printable.
func (m Mail) Read(t testing.TB) Letter {
	t.Helper()
	parsed, err := mail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("the letter is %s (%v)", kind, err)
	}
	parts := multipart.NewReader(parsed.Body, params["boundary"])
	l := Letter{Header: parsed.Header, Text: readPart(t, parts, "text/plain"), HTML: readPart(t, parts, "text/html")}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Fatalf("the letter has a third part (%v)", err)
	}
	return l
}

func readPart(t testing.TB, parts *multipart.Reader, kind string) string {
	t.Helper()
	part, err := parts.NextRawPart()
	if err != nil {
		t.Fatal(err)
	}
	is, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	encoding := part.Header.Get("Content-Transfer-Encoding")
	if err != nil || is != kind || params["charset"] != "UTF-8" || encoding != "quoted-printable" {
		t.Fatalf("a part is %s in %s as %s (%v), want %s", is, params["charset"], encoding, err, kind)
	}
	content, err := io.ReadAll(quotedprintable.NewReader(part))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
