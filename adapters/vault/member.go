package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// name of the member that is sealed.
const name = "personal"

var (
	errBroken  = errors.New("a broken JSON object")
	errTwice   = errors.New(`more than one member "personal"`)
	errSpelled = errors.New(`a member that encoding/json takes for "personal" but is spelled otherwise`)
)

// member is where an object has its member `personal`: from start to end, its value from value to end. The zero member
// is none.
type member struct{ start, value, end int }

func (m member) absent() bool { return m.end == 0 }

// find finds the member among those of the object itself; those of objects within are not looked at, and what is no
// object has none. It checks of the text what decides where a member begins and ends, so that none can hide, and
// leaves the rest to those who read it.
//
// Since encoding/json matches names without regard to case and after resolving escapes, what it would take for the
// member must be the member, or it would pass unsealed.
func find(text []byte) (member, error) {
	var found member
	s := scanner{text: text}
	if s.next() != '{' {
		return found, nil
	}
	s.at++
	for first := true; ; first = false {
		if first && s.next() == '}' {
			break
		}
		start := s.at
		if !s.string() {
			return found, errBroken
		}
		called := text[start+1 : s.at-1]
		if s.next() != ':' {
			return found, errBroken
		}
		s.at++
		s.next()
		value := s.at
		if !s.value() {
			return found, errBroken
		}
		switch {
		case string(called) == name && found.absent():
			found = member{start, value, s.at}
		case string(called) == name:
			return found, errTwice
		case means(called):
			return found, errSpelled
		}
		if c := s.next(); c == '}' {
			break
		} else if c != ',' {
			return found, errBroken
		}
		s.at++
		s.next()
	}
	s.at++
	if s.next(); s.at != len(text) {
		return found, errBroken
	}
	return found, nil
}

// means says whether a member called so, between its quotes, is `personal` to encoding/json.
func means(called []byte) bool {
	if bytes.IndexByte(called, '\\') >= 0 {
		var plain string
		if json.Unmarshal(slices.Concat([]byte{'"'}, called, []byte{'"'}), &plain) != nil {
			return false
		}
		called = []byte(plain)
	}
	return bytes.EqualFold(called, []byte(name))
}

// replace gives the text with another value of the member.
func (m member) replace(text, value []byte) []byte {
	return slices.Concat(text[:m.value], value, text[m.end:])
}

// remove gives the text without the member, and without the comma that set it apart.
func (m member) remove(text []byte) []byte {
	before := bytes.TrimRight(text[:m.start], space)
	after := bytes.TrimLeft(text[m.end:], space)
	if bytes.HasSuffix(before, []byte{','}) {
		before = before[:len(before)-1]
	} else {
		after = bytes.TrimPrefix(after, []byte{','})
	}
	return slices.Concat(before, after)
}

// space is what may stand between the tokens of JSON (RFC 8259, section 2).
const space = " \t\n\r"

// scanner goes over JSON, valid or not, without looking into strings, numbers and nested values.
type scanner struct {
	text []byte
	at   int
}

// next skips space and tells what comes then, 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// string skips a string.
func (s *scanner) string() bool {
	if s.at >= len(s.text) || s.text[s.at] != '"' {
		return false
	}
	for s.at++; ; {
		quote := bytes.IndexByte(s.text[s.at:], '"')
		if quote < 0 {
			return false
		}
		s.at += quote + 1
		escapes := 0 // an even number of them are backslashes themselves
		for s.text[s.at-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

// value skips a value of any kind.
func (s *scanner) value() bool {
	if s.at >= len(s.text) {
		return false
	}
	switch s.text[s.at] {
	case '"':
		return s.string()
	case '{', '[':
		return s.nested()
	}
	start := s.at
	for s.at < len(s.text) && strings.IndexByte(",:]}"+space, s.text[s.at]) < 0 {
		s.at++
	}
	return s.at > start
}

// nested skips an object or array, and sees that what was opened is closed.
func (s *scanner) nested() bool {
	var room [32]byte
	for open := room[:0]; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case '"':
			if !s.string() {
				return false
			}
			s.at-- // onto the quote, which the loop passes
		case '{', '[':
			open = append(open, c+2) // '}' and ']' are two behind in ASCII
		case '}', ']':
			if open[len(open)-1] != c {
				return false
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				s.at++
				return true
			}
		}
	}
	return false
}
