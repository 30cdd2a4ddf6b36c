package embedded

import (
	"context"
	"fmt"
	"math"

	"github.com/actahq/acta/domain/event"
)

// Read gives up to limit events of a stream: forward those with revision >= from, oldest first; backward those with
// revision <= from, newest first (event.End: from the newest). A stream without events is empty, not an error; so is a deleted one, and
// events that its metadata hide are not there.
// Errors: event.ErrDamaged, event.ErrUnavailable, that of the context, and one without a name for a limit below 1.
// The events' bytes must not be changed.
func (l *Log) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	there, err := l.readable(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	// Nothing new behind what a caller knows: answered from memory, and every command asks it.
	return l.file.readStream(ctx, stream, there, from, dir, limit, math.MaxInt)
}

// streamHead gives the newest durable event of a stream, from memory if it is known there.
func (l *Log) streamHead(ctx context.Context, r *reading, stream string) (head, error) {
	known, ok, asOf := l.heads.get(stream)
	if ok {
		return known, nil
	}
	h, err := r.streamHead(ctx, stream)
	if err == nil {
		l.heads.offer(stream, h, asOf)
	}
	return h, err
}
