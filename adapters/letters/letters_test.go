package letters

import (
	"flag"
	"html"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	mails = []Kind{Verification, Recovery, MagicURL, Code, SessionAlert, AddressTaken, MFACode, Notice}
	texts = []Kind{PhoneCode, PhoneVerification, MFAPhoneCode} // of codes
)

const (
	link = "https://app.example/auth?next=a&userId=5ff3&secret=0a1b2c&expire=2026-11-20T13%3A15%3A00.000%2B00%3A00"
	code = "048215"
)

// sample is a letter with everything its kind tells.
func sample(kind Kind, locale string) Letter {
	l := Letter{
		Kind: kind, Locale: locale, Project: "Acme", Name: "Ada Lovelace", Email: "ada@example.test",
		At: time.Date(2026, 11, 20, 12, 15, 7, 0, time.UTC), Expires: time.Date(2026, 11, 20, 13, 15, 7, 0, time.UTC),
		Client: "Chrome", OS: "Windows 10", Device: "desktop", IP: "203.0.113.7", Country: "Austria",
	}
	switch kind {
	case Verification, Recovery:
		l.Link = link
	case MagicURL:
		l.Link, l.Phrase = link, "Brave otter"
	case Code:
		l.Code, l.Phrase = code, "Brave otter"
	case PhoneCode, PhoneVerification, MFACode, MFAPhoneCode:
		l.Code = code
	case Notice:
		l.Change, l.Provider = "identity-linked", "GitHub"
	case PhoneNotice:
		l.Change = "phone-changed"
	}
	return l
}

func write(t testing.TB, l Letter) Text {
	t.Helper()
	written, err := Write(l)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func TestLettersReadAsTheyDid(t *testing.T) {
	letters := map[string]Letter{}
	for _, kind := range slices.Concat(mails, texts, []Kind{PhoneNotice}) {
		letters[string(kind)] = sample(kind, "en")
	}
	for _, change := range []string{"password-changed", "password-recovered", "password-removed", "email-changed", "phone-verified"} {
		l := sample(Notice, "en")
		l.Change = change
		letters["notice."+change] = l
	}
	for name, l := range letters {
		got := write(t, l)
		files := map[string]string{name + ".txt": got.Text}
		if got.HTML != "" {
			files = map[string]string{name + ".txt": "Subject: " + got.Subject + "\n\n" + got.Text, name + ".html": got.HTML}
		}
		for name, content := range files {
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), content); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
}

// Tests of existing clients look for these.
func TestEnglishLettersSayWhatClientsLookFor(t *testing.T) {
	for _, c := range []struct {
		kind             Kind
		subject, preview string
	}{
		{Verification, "Account Verification for Acme", "Verify your email to activate your Acme account."},
		{Recovery, "Password Reset for Acme", "Reset your Acme password using the link."},
		{MagicURL, "Acme Login", "Sign in to Acme with your secure link. Expires in 1 hour."},
		{Code, "OTP for Acme Login", "Use OTP 048215 to sign in to Acme. Expires in 15 minutes."},
		{SessionAlert, "Security alert: new session on your Acme account", "New login detected on Acme at 12:15:07 UTC."},
	} {
		got := write(t, sample(c.kind, ""))
		if got.Subject != c.subject {
			t.Errorf("%s: subject %q", c.kind, got.Subject)
		}
		if first, _, _ := strings.Cut(got.Text, "\n"); first != c.preview {
			t.Errorf("%s: the text begins %q", c.kind, first)
		}
		if first := strings.TrimSpace(visible(got.HTML)); !strings.HasPrefix(first, c.preview) {
			t.Errorf("%s: the HTML begins %.100q", c.kind, first)
		}
	}
}

var (
	head = regexp.MustCompile(`(?s)^.*</head>`)
	tags = regexp.MustCompile(`<[^>]*>`)
)

// visible is the text of the HTML's body.
func visible(h string) string {
	return html.UnescapeString(tags.ReplaceAllString(head.ReplaceAllString(h, ""), ""))
}

var style = regexp.MustCompile(`(?s)<style>.*</style>`)

func TestEveryLetterIsWholeInEveryLanguage(t *testing.T) {
	for _, locale := range Locales() {
		for _, kind := range mails {
			full := sample(kind, locale)
			bare := Letter{Kind: kind, Locale: locale, Project: "Acme", Link: full.Link, Code: full.Code}
			if kind == SessionAlert {
				bare.At = full.At
			}
			all := map[string]Letter{"full": full, "bare": bare}
			if kind == Notice {
				bare.At, bare.Change, bare.Provider = full.At, full.Change, full.Provider
				all["bare"] = bare
				for _, change := range Changes {
					full.Change = change
					all[change] = full
				}
			}
			for name, l := range all {
				name := strings.Join([]string{locale, string(kind), name}, " ")
				got := write(t, l)
				for part, s := range map[string]string{"subject": got.Subject, "text": got.Text, "HTML": style.ReplaceAllString(got.HTML, "")} {
					if strings.TrimSpace(s) == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "<no value>") || strings.Contains(s, "ZgotmplZ") {
						t.Errorf("%s: the %s is not whole:\n%s", name, part, s)
					}
				}
				if !strings.Contains(got.HTML, `<html lang="`+locale+`" dir="ltr">`) {
					t.Errorf("%s: the HTML does not say its language", name)
				}
				if strings.Contains(got.Text, "\n\n\n") || !strings.HasSuffix(got.Text, "\n") || strings.HasSuffix(got.Text, "\n\n") {
					t.Errorf("%s: the text has gaps:\n%q", name, got.Text)
				}
				if l.Link != "" && !slices.Contains(strings.Split(got.Text, "\n"), link) {
					t.Errorf("%s: the link is not on a line of its own:\n%s", name, got.Text)
				}
				if n := strings.Count(html.UnescapeString(got.HTML), `href="`+l.Link+`"`); l.Link != "" && n != 2 {
					t.Errorf("%s: %d links, want button and text", name, n)
				}
				if strings.Contains(got.HTML, "&secret") {
					t.Errorf("%s: the link is not escaped in the HTML", name)
				}
				if l.Code != "" && (!strings.Contains(got.Text, code) || !strings.Contains(got.HTML, ">"+code+"<")) {
					t.Errorf("%s: the code is missing", name)
				}
				if locale == "en" && strings.Contains(got.Text+got.HTML, "security phrase") != (l.Phrase != "") {
					t.Errorf("%s: the security phrase is there without being set, or the other way around", name)
				}
				if strings.Contains(got.Text, "Brave otter") != (l.Phrase != "") || strings.Contains(got.HTML, "Brave otter") != (l.Phrase != "") {
					t.Errorf("%s: the phrase is missing", name)
				}
			}
		}
	}
}

func TestTheLetterToTheOwnerOfATakenAddressHasNoLink(t *testing.T) {
	l := sample(AddressTaken, "en")
	l.Link, l.Code = link, code
	if got := write(t, l); strings.Contains(got.Text+got.HTML, "://") || strings.Contains(got.Text+got.HTML, code) {
		t.Errorf("%+v", got)
	}
}

func TestATextMessageIsTheCodeAlone(t *testing.T) {
	for _, kind := range texts {
		for _, locale := range Locales() {
			if diff := cmp.Diff(Text{Text: code}, write(t, sample(kind, locale))); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", kind, locale, diff)
			}
		}
	}
}

// What tells of a change brings nothing that signs in, and nothing to click on: it would be the first thing to imitate.
func TestANoticeHasNothingToClickOn(t *testing.T) {
	for _, locale := range Locales() {
		for _, change := range Changes {
			for _, kind := range []Kind{Notice, PhoneNotice} {
				l := sample(kind, locale)
				l.Change, l.Link, l.Code, l.Phrase = change, link, code, ""
				got := write(t, l)
				if all := got.Subject + got.Text + got.HTML; strings.Contains(all, "://") || strings.Contains(all, "href") || strings.Contains(all, code) || strings.Contains(all, "secret=") {
					t.Errorf("%s %s %s: %s", locale, kind, change, all)
				}
			}
		}
	}
}

func TestATextMessageTellsOfEveryChangeInEveryLanguage(t *testing.T) {
	for _, locale := range Locales() {
		said := map[string]bool{}
		for _, change := range Changes {
			l := sample(PhoneNotice, locale)
			l.Change, l.Provider = change, "GitHub"
			got := write(t, l)
			if strings.ContainsAny(got.Text, "{}") || strings.Count(got.Text, "\n") != 1 || !strings.Contains(got.Text, "Acme") || !strings.Contains(got.Text, "12:15") ||
				got.Subject != "" || got.HTML != "" || said[got.Text] {
				t.Errorf("%s %s: %+v", locale, change, got)
			}
			said[got.Text] = true
		}
	}
}

// Whatever names, addresses and dates hold, programs that look for the code find it.
func TestTheFirstSixDigitsAreTheCode(t *testing.T) {
	digits := regexp.MustCompile(`\d{6}`)
	for _, locale := range Locales() {
		l := sample(Code, locale)
		l.Project, l.Name, l.Email, l.Phrase, l.Client = "Acme 111111", "Ada 222222", "ada333333@example.test", "444444", "Bot/555555"
		got := write(t, l)
		if found := digits.FindString(got.Text); found != code {
			t.Errorf("%s: the text has %s first:\n%s", locale, found, got.Text)
		}
		if found := digits.FindString(got.HTML); found != code {
			t.Errorf("%s: the HTML has %s first:\n%s", locale, found, got.HTML)
		}
	}
}

func TestASessionAlertSaysWhereAndWhen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Letter)
		want   string
	}{
		"everything is known": {
			func(*Letter) {},
			"Device: Chrome (Windows 10, desktop)\nIP address: 203.0.113.7\nCountry: Austria\nDate: November 20, 2026\nTime: 12:15:07 UTC\n",
		},
		"only a user agent": {
			func(l *Letter) { l.Client, l.OS, l.Device = "curl/8.5.0", "", "" },
			"Device: curl/8.5.0\nIP address: 203.0.113.7\nCountry: Austria\n",
		},
		"nothing is known": {
			func(l *Letter) { l.Client, l.OS, l.Device, l.IP, l.Country = "", "", "", "", "" },
			"Device: UNKNOWN\nCountry: Unknown\nDate: November 20, 2026\n",
		},
		"another time zone": {
			func(l *Letter) { l.At = l.At.In(time.FixedZone("", 13*3600)) },
			"Date: November 20, 2026\nTime: 12:15:07 UTC\n",
		},
	} {
		l := sample(SessionAlert, "en")
		c.change(&l)
		got := write(t, l)
		if !strings.Contains(got.Text, c.want) {
			t.Errorf("%s:\n%s", name, got.Text)
		}
		for line := range strings.Lines(c.want) {
			_, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if !strings.Contains(visible(got.HTML), value) {
				t.Errorf("%s: the HTML lacks %q", name, value)
			}
		}
	}
}

func TestSomebodyElsesWordsStayWords(t *testing.T) {
	const hostile = "Eve\r\nBcc: all@evil.example\u2028<script>alert(1)</script> {otp} {{.Link}} https://www.evil.example/x?a=b\x00\u202e\"'"
	const tamed = `Eve Bcc: all@evil. example <script>alert(1)</script> {otp} {{. Link}} https evil. example/x?a=b "'`
	for _, locale := range Locales() {
		for _, kind := range mails {
			l := sample(kind, locale)
			l.Project, l.Name, l.Client, l.OS, l.Device, l.Country = hostile, hostile, hostile, hostile, hostile, hostile
			if l.Phrase != "" {
				l.Phrase = hostile
			}
			got := write(t, l)
			if strings.ContainsFunc(got.Subject, func(r rune) bool { return r < ' ' || r == '\u2028' || r == '\u202e' }) {
				t.Errorf("%s %s: subject %q", locale, kind, got.Subject)
			}
			if strings.Contains(got.HTML, "<script") || strings.Contains(got.HTML, "\u202e") || strings.Contains(got.HTML, "\x00") {
				t.Errorf("%s %s: the HTML holds what somebody else put there:\n%s", locale, kind, got.HTML)
			}
			if strings.Contains(got.Text, "\nBcc") || strings.Contains(got.Text, "://www") || strings.ContainsAny(got.Text, "\r\x00\u2028\u202e") {
				t.Errorf("%s %s: the text holds what somebody else put there:\n%q", locale, kind, got.Text)
			}
			if !strings.Contains(got.Text, tamed) || !strings.Contains(visible(got.HTML), tamed) {
				t.Errorf("%s %s: the name is not shown as it should be:\n%s", locale, kind, got.Text)
			}
		}
	}
}

func TestALetterWithoutWhatItsKindNeedsIsNotWritten(t *testing.T) {
	for name, l := range map[string]Letter{
		"no kind":                     {Link: link, Code: code},
		"an unknown kind":             {Kind: "invitation", Link: link},
		"no link":                     {Kind: MagicURL, Code: code},
		"a relative link":             {Kind: MagicURL, Link: "/auth?secret=0a1b"},
		"a link that runs":            {Kind: Recovery, Link: "JavaScript://x/%0Aalert(1)?secret=0a1b"},
		"a link in two lines":         {Kind: Recovery, Link: "https://app.example/?secret=0a1b\nhttps://evil.example/"},
		"a link ended by a newline":   {Kind: Recovery, Link: "https://app.example/?secret=0a1b\n"},
		"a link with spaces":          {Kind: Verification, Link: "https://app.example/ ?secret=0a1b"},
		"a link with quotes":          {Kind: Verification, Link: `https://app.example/"?secret=0a1b`},
		"a link in another script":    {Kind: Verification, Link: "https://ápp.example/?secret=0a1b"},
		"an endless link":             {Kind: Verification, Link: "https://app.example/?secret=0a1b" + strings.Repeat("0", maxLink)},
		"no code":                     {Kind: Code, Link: link},
		"a code of other digits":      {Kind: Code, Code: "٠٤٨٢١٥"},
		"a code with more behind it":  {Kind: PhoneCode, Code: code + "\nfrom evil.example"},
		"a code ended by a newline":   {Kind: PhoneVerification, Code: code + "\n"},
		"an alert that says no time":  {Kind: SessionAlert, Client: "Chrome"},
		"a notice of no change":       {Kind: Notice, Change: "password", At: time.Unix(1, 0)},
		"a text of no change":         {Kind: PhoneNotice, At: time.Unix(1, 0)},
		"a text that says no time":    {Kind: PhoneNotice, Change: "phone-changed"},
		"a kind with something added": {Kind: Recovery + "\n", Link: link},
	} {
		l.Project, l.Name, l.Email = "Acme", "Ada Lovelace", "ada@example.test"
		got, err := Write(l)
		if err == nil || got != (Text{}) {
			t.Errorf("%s: written as %+v, %v", name, got, err)
			continue
		}
		for _, secret := range []string{"0a1b", code, "Ada", "ada@", "example", "٠"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error quotes the letter: %v", name, err)
			}
		}
	}
}

func TestTheLinkOfAnAppIsKept(t *testing.T) {
	l := sample(MagicURL, "en")
	l.Link = "myapp://sign-in?secret=0a1b&expire=2026"
	got := write(t, l)
	if !strings.Contains(got.Text, "\n"+l.Link+"\n") || !strings.Contains(got.HTML, `href="myapp://sign-in?secret=0a1b&amp;expire=2026"`) {
		t.Errorf("%s\n%s", got.Text, got.HTML)
	}
}

func TestLettersNeedNothingFromOutside(t *testing.T) {
	outside := regexp.MustCompile(`(?i)\bsrc=|url\(|@import|<link|<script|<img|<form|https?://`)
	for _, kind := range mails {
		l := sample(kind, "en")
		if l.Link != "" {
			l.Link = "myapp://sign-in"
		}
		if found := outside.FindString(write(t, l).HTML); found != "" {
			t.Errorf("%s: the HTML has %q", kind, found)
		}
	}
}

func TestALocaleSaysAllThatEnglishSays(t *testing.T) {
	value := regexp.MustCompile(`\{[a-z]+\}`)
	for locale, w := range locales {
		if diff := cmp.Diff(slices.Sorted(maps.Keys(locales["en"])), slices.Sorted(maps.Keys(w))); diff != "" {
			t.Errorf("%s (-en +%s):\n%s", locale, locale, diff)
		}
		for key, english := range locales["en"] {
			want, got := value.FindAllString(english, -1), value.FindAllString(w[key], -1)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s %s holds other values (-en +%s):\n%s", locale, key, locale, diff)
			}
			if len(english) > 20 && locale != "en" && w[key] == english {
				t.Errorf("%s %s is not translated", locale, key)
			}
		}
	}
}

func TestDatesAreThoseOfTheLanguage(t *testing.T) {
	first, later := time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC), time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for locale, want := range map[string][3]string{
		"de": {"1. März 2026", "20. November 2026", "1. März 2026 um 09:05 Uhr UTC"},
		"en": {"March 1, 2026", "November 20, 2026", "March 1, 2026 at 09:05 UTC"},
		"es": {"1 de marzo de 2026", "20 de noviembre de 2026", "1 de marzo de 2026 a las 09:05 UTC"},
		"fr": {"1er mars 2026", "20 novembre 2026", "1er mars 2026 à 09:05 UTC"},
		"ja": {"2026年3月1日", "2026年11月20日", "2026年3月1日 09:05（UTC）"},
		"pt": {"1º de março de 2026", "20 de novembro de 2026", "1º de março de 2026 às 09:05 UTC"},
	} {
		w := locales[locale]
		if diff := cmp.Diff(want, [3]string{w.date(first), w.date(later), w.moment(first)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", locale, diff)
		}
	}
}

func TestChoose(t *testing.T) {
	if diff := cmp.Diff([]string{"de", "en", "es", "fr", "ja", "pt"}, Locales()); diff != "" {
		t.Errorf("locales (-want +got):\n%s", diff)
	}
	for header, want := range map[string]string{
		"":           "en",
		"en":         "en",
		"de":         "de",
		"de-AT":      "de",
		"pt-br":      "pt",
		"pt_BR":      "pt",
		"JA":         "ja",
		" fr ":       "fr",
		"es-419":     "es",
		"zh-Hans-CN": "en",
		"deu":        "en",
		"d":          "en",
		"-":          "en",
		"../de":      "en",
		"de\r\nX: y": "en",
	} {
		if got := Choose(header); got != want {
			t.Errorf("Choose(%q) = %q, want %q", header, got, want)
		}
	}
}
