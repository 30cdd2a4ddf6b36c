package embedded

import (
	"context"
	"encoding/json"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/actahq/acta/domain/event"
)

// The events that are about a stream rather than in it, as EventStoreDB has them.
const (
	metadataPrefix = "$$"             // the stream "$$a" holds the metadata of "a"; its newest event counts
	metadataType   = "$metadata"      // the type of its events
	deletedType    = "$streamDeleted" // the type of a tombstone
)

// gone is the revision of a tombstone, and the first readable revision of a stream that was deleted but may come again.
const gone int64 = math.MaxInt64

// limits is what a stream's metadata tell about the events that can still be read. Nil: the stream has no metadata.
type limits struct {
	before int64         // $tb: revisions below it cannot be read
	count  int64         // $maxCount: so many of the newest can be read; 0 is all
	age    time.Duration // $maxAge: older ones cannot be read; 0 is any age
}

// onlyNewest are the limits of every stream that holds metadata.
var onlyNewest = &limits{count: 1}

// deleted says that the stream was deleted and may come again.
func (l *limits) deleted() bool { return l != nil && l.before == gone }

// parseLimits reads metadata. What is no such thing limits nothing: anyone may store anything in a stream.
func parseLimits(data json.RawMessage) *limits {
	var m struct {
		Before int64 `json:"$tb"`
		Count  int64 `json:"$maxCount"`
		Age    int64 `json:"$maxAge"` // seconds
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return &limits{}
	}
	return &limits{
		before: max(m.Before, 0),
		count:  max(m.Count, 0),
		age:    time.Duration(min(max(m.Age, 0), int64(math.MaxInt64/time.Second))) * time.Second,
	}
}

// described gives the stream that a stream of metadata is about.
func described(stream string) (string, bool) { return strings.CutPrefix(stream, metadataPrefix) }

// limitsOf gives the limits of a stream, from memory if they are known there.
func (l *Log) limitsOf(ctx context.Context, r *reading, stream string) (*limits, error) {
	if !l.limited.Load() {
		return nil, nil
	}
	known, ok, asOf := l.limits.get(stream)
	if ok {
		return known, nil
	}
	only, err := r.limitsOf(ctx, stream)
	if err == nil {
		l.limits.offer(stream, only, asOf)
	}
	return only, err
}

func (r *reading) limitsOf(ctx context.Context, stream string) (*limits, error) {
	if _, ok := described(stream); ok {
		return onlyNewest, nil
	}
	h, err := r.streamHead(ctx, metadataPrefix+stream)
	if err != nil || h == noHead {
		return nil, err
	}
	newest, err := r.streamEvents(ctx, metadataPrefix+stream, h.revision, h.revision, event.Forward)
	if err != nil {
		return nil, err
	}
	return parseLimits(newest[0].Data), nil
}

// anyMetadata says whether any stream ever got metadata.
func (r *reading) anyMetadata(ctx context.Context) (any bool, err error) {
	if err := r.metadata.QueryRowContext(ctx).Scan(&any); err != nil {
		return false, r.failure(ctx, err)
	}
	return any, nil
}

// span is the part of a stream that can be read; nothing when last lies below first.
type span struct {
	first, last int64
	ended       bool // by a tombstone
}

// spanOf tells which part of a stream can be read now. All of its events are still stored.
func (r *reading) spanOf(ctx context.Context, stream string, h head, only *limits, now func() time.Time) (span, error) {
	if h.revision == gone {
		return span{gone, event.NoStream, true}, nil
	}
	if only == nil {
		return span{last: h.revision}, nil
	}
	first := only.before
	if only.count > 0 {
		first = max(first, h.revision-only.count+1)
	}
	if only.age > 0 && first <= h.revision {
		// Within a stream the log's clock does not go back by more than it was ever set back.
		oldest := now().Add(-only.age)
		var failed error
		first += int64(sort.Search(int(h.revision-first+1), func(i int) bool {
			e, err := r.streamEvents(ctx, stream, first+int64(i), first+int64(i), event.Forward)
			if err != nil {
				failed = err
				return true
			}
			return !e[0].Recorded.Before(oldest)
		}))
		if failed != nil {
			return span{}, failed
		}
	}
	return span{first: first, last: h.revision}, nil
}

// readable tells which part of a stream can be read now.
func (l *Log) readable(ctx context.Context, stream string) (span, error) {
	h, err := l.streamHead(ctx, l.file.reading, stream)
	if err != nil {
		return span{}, err
	}
	only, err := l.limitsOf(ctx, l.file.reading, stream)
	if err != nil {
		return span{}, err
	}
	return l.file.spanOf(ctx, stream, h, only, l.now)
}
