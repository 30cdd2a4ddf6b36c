package event

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in the log. Positions rise strictly but not densely, and only the log that gave one can say
// more about it. The zero Position lies before every event. EventStoreDB needs both numbers to resume; logs with one
// number set both to it.
type Position struct {
	Commit, Prepare uint64
}

// At is the position of logs that count with one number.
func At(n uint64) Position { return Position{n, n} }

// Compare is negative when p lies before q, zero when they are the same place, positive when p lies after q.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Commit, q.Commit); c != 0 {
		return c
	}
	return cmp.Compare(p.Prepare, q.Prepare)
}

// Before says whether p lies before q.
func (p Position) Before(q Position) bool { return p.Compare(q) < 0 }

// String is "commit/prepare" in decimal, as ParsePosition reads it.
func (p Position) String() string {
	return strconv.FormatUint(p.Commit, 10) + "/" + strconv.FormatUint(p.Prepare, 10)
}

// ParsePosition reads what String wrote; the empty string is the zero Position.
func ParsePosition(s string) (Position, error) {
	if s == "" {
		return Position{}, nil
	}
	c, p, ok := strings.Cut(s, "/")
	commit, err1 := strconv.ParseUint(c, 10, 64)
	prepare, err2 := strconv.ParseUint(p, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return Position{}, fmt.Errorf("%q is not a position in the log", s)
	}
	return Position{commit, prepare}, nil
}
