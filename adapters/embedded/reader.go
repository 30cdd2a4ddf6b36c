package embedded

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"time"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

// pollEvery is how often a reader at the end of the log looks whether another process has added to it.
const pollEvery = 50 * time.Millisecond

// Reader reads a log that another process may have open for appending. It takes no lock and changes nothing.
type Reader struct {
	*reading
	db      sqlite.File
	closing chan struct{}
	once    sync.Once
	closed  error
}

// OpenReader opens an existing log for reading only. Like Open it refuses with event.ErrDamaged when something
// acknowledged is missing.
func OpenReader(dir string) (_ *Reader, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read event log: %w", err)
		}
	}()
	if err := examine(dir); err != nil {
		return nil, err
	}
	position, err := readAcknowledged(dir) // before the log is looked at: what was acknowledged by now must be there then
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	path := filepath.Join(dir, eventsFile)
	r := &Reader{closing: make(chan struct{})}
	if r.db, err = sqlite.OpenReader(path); err != nil {
		return nil, damage(path, err)
	}
	defer func() {
		if err != nil {
			r.db.Close()
		}
	}()
	version, _, err := versionOf(ctx, path, r.db.Read)
	if err != nil {
		return nil, err
	}
	head := uint64(0)
	if version > 0 {
		if r.reading, err = prepareReading(ctx, path, r.db.Read); err != nil {
			return nil, err
		}
		if head, err = r.head(ctx); err != nil {
			return nil, err
		}
	}
	if err := compareAcknowledged(dir, position, head); err != nil {
		return nil, err
	}
	if version == 0 {
		return nil, fmt.Errorf("%w: %s: nothing was ever appended", event.ErrUnavailable, path)
	}
	return r, nil
}

// Close ends followers and closes the file.
func (r *Reader) Close() error {
	r.once.Do(func() {
		close(r.closing)
		r.closed = r.db.Close()
	})
	return r.closed
}

// Head gives the position of the newest event; zero when there is none.
func (r *Reader) Head(ctx context.Context) (event.Position, error) {
	head, err := r.head(ctx)
	return event.At(head), err
}

// Read is as that of Log, always from the file.
func (r *Reader) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	h, err := r.streamHead(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	only, err := r.limitsOf(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	there, err := r.spanOf(ctx, stream, h, only, time.Now)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", stream, err)
	}
	return r.readStream(ctx, stream, there, from, dir, limit, math.MaxInt)
}

// Follow is as that of Log; what the other process appends is noticed within 50 ms.
func (r *Reader) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return follow(ctx, r, from.Commit, only, withoutTombstones(deliver))
}

func (r *Reader) end(ctx context.Context) (uint64, <-chan struct{}, error) {
	select {
	case <-r.closing:
		return 0, nil, errClosed
	default:
	}
	head, err := r.head(ctx)
	if err != nil {
		return 0, nil, err
	}
	later := make(chan struct{})
	time.AfterFunc(pollEvery, func() { close(later) })
	return head, later, nil
}
