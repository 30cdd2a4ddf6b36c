// Package event says what an event is and what a log of events must guarantee.
//
// It does not know what any event means: that is told by the aggregates (domain/account, domain/claim), which
// translate between the stored bytes and their own types through a Contract.
//
// A log adapter stores Proposed events and gives back Recorded ones. It must guarantee:
//
//   - an append that returned nil is durable: it survives the death of the process and of the machine's power;
//   - all events of one append are stored, or none;
//   - a stream is a gap-free sequence of revisions 0..n, and all events stand in one order of positions;
//   - a reader that has seen position p has seen every event below p, for ever;
//   - the same event ids appended again at the same expected revision succeed with the first receipt and store nothing;
//   - a record that was damaged is an error (ErrDamaged) and never an answer.
package event

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"time"
)

// ID identifies an event for ever. It is an RFC 9562 UUID (version 7 when Acta draws it) in big-endian byte order.
type ID [16]byte

// String gives the usual 8-4-4-4-12 form in lower case.
func (id ID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], id[0:4])
	hex.Encode(b[9:13], id[4:6])
	hex.Encode(b[14:18], id[6:8])
	hex.Encode(b[19:23], id[8:10])
	hex.Encode(b[24:36], id[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// Proposed is an event on its way into the log.
type Proposed struct {
	ID       ID              // fixed by the caller, so that a retry is recognised
	Type     string          // wire name, "aggregate.what-happened.vN"
	Data     json.RawMessage // a JSON object
	Metadata json.RawMessage // a JSON object, see Metadata
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Proposed
	Stream   string
	Revision int64     // place in the stream, counted from 0
	Position Position  // place in the log
	Recorded time.Time // when the log stored it, by the log's clock; never used for order
}

// Values of an expected revision and of a reading position that are not a revision.
const (
	NoStream int64 = -1            // expected: the stream has no events
	Start    int64 = 0             // read forward from the first event
	End      int64 = math.MaxInt64 // read backward from the newest event
)

// Direction of reading a stream.
type Direction int

// Forward is oldest first, Backward newest first.
const (
	Forward Direction = iota
	Backward
)

// Receipt tells where an append has put its last event.
type Receipt struct {
	Revision int64
	Position Position
}

// Filter chooses events by their stream. The zero Filter chooses everything but system streams (those whose name begins with "$").
type Filter struct {
	Streams []string // prefixes of stream names; empty = all
}

// Admits says whether an event of this stream passes.
func (f Filter) Admits(stream string) bool {
	if len(f.Streams) == 0 {
		return stream == "" || stream[0] != '$'
	}
	for _, p := range f.Streams {
		if len(stream) >= len(p) && stream[:len(p)] == p {
			return true
		}
	}
	return false
}

// Stretch is what a follower is given at once: a piece of the log, in order and without a gap to the piece before.
type Stretch struct {
	Events []Recorded // those the filter admits; may be empty when a stretch was skipped
	UpTo   Position   // every event up to and including this position was considered
	Live   bool       // the stretch reached the end the log had when it was read
}

// What a log answers besides success. Adapters wrap these; compare with errors.Is.
var (
	// ErrConflict: the stream is not at the expected revision; nothing was stored.
	ErrConflict = errors.New("the stream is at another revision")
	// ErrUnavailable: the log cannot be used now. Whether an append was stored is unknown; the same ids at the same
	// revision may be appended again.
	ErrUnavailable = errors.New("the event log is not available")
	// ErrTooLarge: the append exceeds MaxAppend; nothing was stored.
	ErrTooLarge = errors.New("the append is too large")
	// ErrDamaged: a stored record, or the order of records, is not what was written. The text names file and position.
	ErrDamaged = errors.New("the event log is damaged")
	// ErrStop is returned by a follower's deliver function to end Follow without an error.
	ErrStop = errors.New("stop following")
)

// MaxAppend is how many bytes of data and metadata one append may hold in all (EventStoreDB's default limit).
const MaxAppend = 1 << 20
