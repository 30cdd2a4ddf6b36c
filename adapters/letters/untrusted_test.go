package letters

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestUnlinked(t *testing.T) {
	for s, want := range map[string]string{
		"":                                 "",
		"Ada Lovelace":                     "Ada Lovelace",
		"山田　太郎":                            "山田 太郎",
		"J.R.R. Tolkien":                   "J. R. R. Tolkien",
		"Dr. John St. Clair Jr.":           "Dr. John St. Clair Jr.",
		"👩‍💻":                              "👩‍💻",
		"  Ada\t\r\n Lovelace\x00 ":        "Ada Lovelace",
		"Ada\u200b\u202eLove\u2066lace":    "AdaLovelace",
		"Ada\xff\xfeLovelace":              "Ada Lovelace",
		"https://evil.example":             "https evil. example",
		"https://www.evil.example/a.b?c=d": "https evil. example/a. b?c=d",
		"WWW.evil.example":                 "evil. example",
		"wwwww.w.evil.example":             "wwwww. w. evil. example",
		"www.www.evil.example":             "evil. example",
		"h\u200bttps:\u2060//evil.example": "https evil. example",
		"https:://///evil.example":         "https: ///evil. example",
		"eve@evil.example":                 "eve@evil. example",
		"evil。example and evil．example":    "evil。 example and evil． example",
		"Chrome/120.0.6099.71 curl/8.5.0":  "Chrome/120.0.6099.71 curl/8.5.0",
	} {
		if got := unlinked(s); got != want {
			t.Errorf("unlinked(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestTheNameOfAProjectKeepsItsDots(t *testing.T) {
	for s, want := range map[string]string{
		"Acme.com":             "Acme.com",
		"www.acme.com":         "acme.com",
		"https://acme.com":     "https acme.com",
		"Acme\r\nBcc: a@b.com": "Acme Bcc: a@b.com",
	} {
		if got := unschemed(s); got != want {
			t.Errorf("unschemed(%q) = %q, want %q", s, got, want)
		}
	}
}

func TestEndlessWordsEnd(t *testing.T) {
	for _, s := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<20), strings.Repeat("漢", 1<<20)} {
		got := oneLine(s)
		if n := utf8.RuneCountInString(got); n != maxShown || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d characters of %.10q: %q", n, s, got)
		}
	}
	if s := strings.Repeat("漢", 128); oneLine(s) != s {
		t.Error("the longest name there can be is cut")
	}
}

// Whatever somebody calls himself, it is one line, and nothing in it is a link.
func FuzzUnlinked(f *testing.F) {
	for _, s := range []string{"Ada Lovelace", "https://www.evil.example/", "a.b.c", "www.www.x", "\u200b:\u200b//", "\xff.x"} {
		f.Add(s)
	}
	clickable := regexp.MustCompile(`(?i)://|\bwww\.|\.\pL|[\r\n\x00\x{2028}\x{2029}\x{202a}-\x{202e}]`)
	f.Fuzz(func(t *testing.T, s string) {
		got := unlinked(s)
		if found := clickable.FindString(got); found != "" || !utf8.ValidString(got) {
			t.Errorf("unlinked(%q) = %q, which has %q", s, got, found)
		}
	})
}
