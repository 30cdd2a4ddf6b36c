// Package letters says what the letters to people say: subject, text and HTML of every mail, and the text of every SMS,
// in the languages of the folder locales.
//
// A letter is a table of words put into one frame for text and one for HTML, which all kinds share. What comes from
// people and their programs is untrusted: it is escaped, kept on one line and kept from looking like a link.
//
// It does not know how letters are sent, why, or what makes their links and codes valid.
package letters

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	html "html/template"
	"regexp"
	"slices"
	"strings"
	text "text/template"
	"time"
)

// Kind is what a letter is for.
type Kind string

// The kinds there are.
const (
	Verification      Kind = "verification"       // a link that proves the e-mail address
	Recovery          Kind = "recovery"           // a link to set a new password
	MagicURL          Kind = "magic-url"          // a link to sign in
	Code              Kind = "otp"                // a code to sign in
	SessionAlert      Kind = "session-alert"      // somebody signed in
	AddressTaken      Kind = "address-taken"      // somebody tried to sign up with the address of an account
	MFACode           Kind = "mfa-code"           // a code that proves the address as a further factor
	Notice            Kind = "notice"             // the ways in have changed
	PhoneCode         Kind = "phone-code"         // SMS: a code to sign in
	MFAPhoneCode      Kind = "mfa-phone-code"     // SMS: a code that proves the number as a further factor
	PhoneVerification Kind = "phone-verification" // SMS: a code that proves the phone number
	PhoneNotice       Kind = "phone-notice"       // SMS: the ways in have changed, for who is reached by no address
)

// Changes is what a Notice or PhoneNotice can tell of.
var Changes = []string{
	"password-changed", "password-recovered", "password-removed", "email-changed", "phone-changed", "phone-verified",
	"mfa-on", "mfa-off", "authenticator-added", "authenticator-removed", "recovery-codes-made", "recovery-code-used",
	"identity-linked", "identity-removed",
}

// Letter is what a letter has to tell. Verification, Recovery and MagicURL need Link, the kinds of codes need Code,
// SessionAlert needs At, Notice and PhoneNotice need At and Change. Everything else may be left out, and the sentence about it is then left out too.
type Letter struct {
	Kind     Kind
	Locale   string // as the client asked for it, see Choose
	Project  string // its name, for people
	Name     string // of the person
	Email    string // that the letter goes to
	Link     string // an absolute URL of printable ASCII, whose scheme may be an app's
	Code     string // six digits
	Change   string // one of Changes
	Provider string // of an identity, for people
	Phrase   string // that was shown to who asked for the letter
	At       time.Time
	Expires  time.Time // when link or code stop working

	// Where the request came from. Client is the name of the client or, when that is not known, its user agent; Country
	// is a name in the language of the letter.
	Client, OS, Device, IP, Country string
}

// Text is a letter as it is sent: a mail with all three, or an SMS with Text alone. Subject is one line. Lines of Text
// end in \n; a link stands unbroken on its own line.
type Text struct {
	Subject, Text, HTML string
}

//go:embed templates
var templates embed.FS

var (
	textFrame = text.Must(text.ParseFS(templates, "templates/letter.txt"))
	htmlFrame = html.Must(html.ParseFS(templates, "templates/letter.html"))
)

// Write writes a letter. It fails when the letter lacks what its kind needs, and then always will; the error does not
// quote the letter.
func Write(l Letter) (Text, error) {
	if err := l.check(); err != nil {
		return Text{}, fmt.Errorf("write a letter of kind %.20q: %w", l.Kind, err)
	}
	if l.Kind == PhoneCode || l.Kind == PhoneVerification || l.Kind == MFAPhoneCode {
		return Text{Text: l.Code}, nil // as the reference does; phones offer to fill it in
	}
	locale := Choose(l.Locale)
	if l.Kind == PhoneNotice {
		say := locales[locale].saying(l)
		return Text{Text: say("notice."+l.Change) + "\n" + say("phone-notice.note")}, nil
	}
	subject, content := compose(l, locale, locales[locale])
	var inText, inHTML bytes.Buffer
	if err := errors.Join(textFrame.Execute(&inText, content), htmlFrame.Execute(&inHTML, content)); err != nil {
		return Text{}, fmt.Errorf("write a letter of kind %q: %w", l.Kind, err)
	}
	return Text{subject, inText.String(), inHTML.String()}, nil
}

// A link is made of what no mail program breaks, drops or takes for its end, and has a scheme that leads somewhere
// instead of running what follows.
var (
	plainLink = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://[!#-;=?-\[\]_a-z~]+$`)
	runs      = regexp.MustCompile(`(?i)^(javascript|vbscript|data):`)
	sixDigits = regexp.MustCompile(`^[0-9]{6}$`)
)

// maxLink is the length of a link, in bytes. The API takes 2 KiB from the client and adds a few hundred bytes.
const maxLink = 4096

func (l Letter) check() error {
	switch l.Kind {
	case Verification, Recovery, MagicURL:
		if len(l.Link) > maxLink || !plainLink.MatchString(l.Link) || runs.MatchString(l.Link) {
			return errors.New("its link is missing or no plain absolute URL")
		}
	case Code, MFACode, PhoneCode, PhoneVerification, MFAPhoneCode:
		if !sixDigits.MatchString(l.Code) {
			return errors.New("its code is not six digits")
		}
	case Notice, PhoneNotice:
		if !slices.Contains(Changes, l.Change) {
			return errors.New("its change is none there is")
		}
		fallthrough
	case SessionAlert:
		if l.At.IsZero() {
			return errors.New("it has no time")
		}
	case AddressTaken:
	default:
		return errors.New("there is no such kind")
	}
	return nil
}

// content is what the frames hold. Empty parts are left out.
type content struct {
	Lang, Dir, Colon                           string
	Preview, Project, Heading, Greeting, Intro string

	Code          string
	Link          html.URL // checked
	Button, Clear string   // what stands on the button, and before the link in clear
	Until         string   // how long either works
	Facts         []fact
	Notes         []string

	Closing, Team, SentTo string
}

type fact struct{ Label, Value string }

// compose puts the letter into the words of a locale.
//
// Clients and people take the first six digits of a mail for the code. So what may hold digits (names, addresses, dates)
// stands behind it, also in the HTML: its title is the heading, which has no names in it.
func compose(l Letter, locale string, w words) (subject string, c content) {
	say := w.saying(l)
	about := func(part string) string {
		if l.Kind == Notice && part == "intro" {
			part = l.Change
		}
		if own := l.Change + "." + part; l.Kind == Notice && w["notice."+own] != "" {
			part = own // what there is to do about it
		}
		return say(string(l.Kind) + "." + part)
	}

	c = content{
		Lang: locale, Dir: say("dir"), Colon: say("colon"),
		Preview: about("preview"), Project: unschemed(l.Project), Heading: about("heading"), Greeting: say("greeting"), Intro: about("intro"),
		Closing: say("closing"), Team: say("team"),
	}
	if unlinked(l.Name) == "" {
		c.Greeting = say("greeting.nobody")
	}
	if l.Email != "" {
		c.SentTo = say("sent")
	}

	switch l.Kind {
	case Verification, Recovery, MagicURL:
		c.Link, c.Button, c.Clear = html.URL(l.Link), about("button"), say("link.clear")
		if !l.Expires.IsZero() {
			c.Until = say("link.until")
		}
	case Code, MFACode:
		c.Code = l.Code
		if !l.Expires.IsZero() {
			c.Until = say("code.until")
		}
	}

	client, country := unlinked(l.Client), unlinked(l.Country)
	switch l.Kind {
	case MagicURL, Code, MFACode:
		if client != "" {
			c.Facts = []fact{{say("requested"), on(client, l)}}
		}
	case SessionAlert, Notice:
		if client == "" {
			client = say("unknown.device")
		}
		if country == "" {
			country = say("unknown.country")
		}
		c.Facts = []fact{{say("device"), on(client, l)}}
		if l.IP != "" {
			c.Facts = append(c.Facts, fact{say("ip"), oneLine(l.IP)})
		}
		c.Facts = append(c.Facts,
			fact{say("country"), country}, fact{say("date"), w.date(l.At)}, fact{say("time"), clock(l.At) + " UTC"})
	}

	if l.Phrase != "" {
		c.Notes = append(c.Notes, say("phrase"))
	}
	c.Notes = append(c.Notes, about("ignore"))
	return about("subject"), c
}

// saying gives the words of a key with what a letter tells put in.
func (w words) saying(l Letter) func(key string) string {
	values := strings.NewReplacer(
		"{project}", unschemed(l.Project), "{name}", unlinked(l.Name), "{email}", oneLine(l.Email),
		"{otp}", l.Code, "{phrase}", unlinked(l.Phrase), "{provider}", unlinked(l.Provider),
		"{time}", clock(l.At), "{at}", w.moment(l.At), "{expires}", w.moment(l.Expires),
	)
	return func(key string) string { return values.Replace(w.get(key)) }
}

// on says where the client runs, as far as that is known: "Chrome (Windows, desktop)".
func on(client string, l Letter) string {
	var where []string
	for _, s := range []string{unlinked(l.OS), unlinked(l.Device)} {
		if s != "" {
			where = append(where, s)
		}
	}
	if len(where) == 0 {
		return client
	}
	return client + " (" + strings.Join(where, ", ") + ")"
}
