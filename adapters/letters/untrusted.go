package letters

import (
	"regexp"
	"strings"
	"unicode"
)

// Bounds on what is taken over from elsewhere: how much of it is looked at, in bytes, and shown, in characters. The
// longest name is 128 characters, the longest address 254.
const (
	maxRead  = 4096
	maxShown = 256
)

// oneLine makes s a single line of visible text: no line ends that could begin a header or a sentence of their own, and
// nothing invisible that could turn the line around or hide in it. Joiners stay, since scripts and emoji are made with them.
func oneLine(s string) string {
	const nonJoiner, joiner = '\u200c', '\u200d'
	s = strings.Map(func(r rune) rune {
		switch {
		case r == nonJoiner || r == joiner:
			return r
		case unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar:
			return ' '
		}
		return r
	}, s[:min(len(s), maxRead)])
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxShown {
		s = string(r[:maxShown-1]) + "…"
	}
	return s
}

// Mail programs make links of plain text: of a scheme, of www. and, without either, of any words with a dot between them
// that end in a top-level domain, "evil.example". All of those begin with a letter.
var (
	www     = regexp.MustCompile(`(?i)\bwww\.`)
	dotName = regexp.MustCompile(`([.。．｡])(\pL)`)
)

// unschemed is one line without "://" and "www.". It is for names of projects: their operators choose them, and may well
// call one "Acme.com".
func unschemed(s string) string {
	return strings.TrimSpace(www.ReplaceAllString(strings.ReplaceAll(oneLine(s), "://", " "), ""))
}

// unlinked is one line that no mail program makes a link of: "https://www.evil.example/x" becomes "https evil. example/x",
// "J.R.R. Tolkien" becomes "J. R. R. Tolkien", and versions keep their dots. It is for what people and their programs say
// about themselves: anybody can sign up with somebody else's address and an advertisement for a name.
func unlinked(s string) string {
	return dotName.ReplaceAllString(unschemed(s), "$1 $2")
}
