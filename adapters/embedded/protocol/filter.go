package protocol

import (
	"regexp"
	"strings"

	"github.com/actahq/acta/domain/event"
)

// Bounds of a filter.
const (
	maxRegex      = 8 << 10 // bytes
	maxPrefixes   = 1000
	defaultWindow = 500 // events considered between checkpoints when the client leaves it to the server
)

// filter chooses among all events. A nil filter admits every one.
type filter struct {
	byType   bool // looks at the type, else at the stream
	prefixes []string
	regex    *regexp.Regexp
	every    uint64 // so many events are considered between checkpoints; 0: the client gave no interval
}

// expression is a filter as clients send it, to read and to make a persistent subscription.
type expression interface {
	GetRegex() string
	GetPrefix() []string
}

// readFilter reads a filter that looks at the type, or at the stream.
func readFilter(byType bool, e expression) (*filter, error) {
	f := &filter{byType: byType}
	switch {
	case len(e.GetRegex()) > maxRegex || len(e.GetPrefix()) > maxPrefixes:
		return nil, invalid("a filter has at most %d bytes of expression and %d prefixes", maxRegex, maxPrefixes)
	case e.GetRegex() != "":
		regex, err := regexp.Compile(e.GetRegex())
		if err != nil {
			return nil, invalid("the regular expression is none of RE2: %v", err)
		}
		f.regex = regex
	case len(e.GetPrefix()) > 0:
		f.prefixes = e.GetPrefix()
	default:
		return nil, invalid("a filter has an expression or prefixes")
	}
	return f, nil
}

func (f *filter) admits(e *event.Recorded) bool {
	if f == nil {
		return true
	}
	subject := e.Stream
	if f.byType {
		subject = e.Type
	}
	if f.regex != nil {
		return f.regex.MatchString(subject)
	}
	for _, p := range f.prefixes {
		if strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}
