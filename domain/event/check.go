package event

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of names, in bytes. Every log has the same, so that events can move from one to another.
const (
	MaxStreamName = 255
	MaxTypeName   = 128
)

// Check says why no log takes the append: a stream name that is not 1 to MaxStreamName bytes of UTF-8, an expected
// revision below NoStream, no event, or what CheckEvents says.
func Check(stream string, expected int64, events []Proposed) error {
	switch {
	case !IsName(stream, MaxStreamName):
		return fmt.Errorf("a stream name has 1 to %d bytes of UTF-8", MaxStreamName)
	case expected < NoStream:
		return fmt.Errorf("%d is not a revision", expected)
	case len(events) == 0:
		return errors.New("there are no events")
	}
	return CheckEvents(events)
}

// CheckEvents says why no log takes the events: a type that is not 1 to MaxTypeName bytes of UTF-8, no id, or more than
// MaxAppend bytes in all (ErrTooLarge).
func CheckEvents(events []Proposed) error {
	size := 0
	for _, e := range events {
		switch {
		case !IsName(e.Type, MaxTypeName):
			return fmt.Errorf("an event type has 1 to %d bytes of UTF-8", MaxTypeName)
		case e.ID == ID{}:
			return errors.New("an event has no id") // a log would draw one, another one at each try
		}
		size += len(e.Data) + len(e.Metadata)
	}
	if size > MaxAppend {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxAppend)
	}
	return nil
}

// IsName says whether a name is 1 to most bytes of UTF-8.
func IsName(s string, most int) bool { return s != "" && len(s) <= most && utf8.ValidString(s) }
