// Package embedded is the event log that needs no server: one SQLite file in a folder, readable with plain sqlite3.
//
// One process appends (it holds a lock on the folder), through one goroutine that commits many appends at once; an
// append is answered after the disk has it. Any number of goroutines, and other processes, read.
//
// What is stored is witnessed more than once, so that damage becomes an error and never an answer: each record by a
// checksum over all of its fields, each stream by the row that tells its newest event, the whole log by the row that
// tells its newest position, and what was acknowledged by a small file beside the database.
//
// The package knows nothing of what events mean.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/actahq/acta/domain/event"
)

// The files in a log's folder; SQLite adds events.db-wal and events.db-shm while the log is open.
const (
	eventsFile       = "events.db"
	walFile          = "events.db-wal"
	acknowledgedFile = "acknowledged"
	lockFile         = "lock"
)

// Log is the event log of one folder, opened for appending. Its methods may be called from many goroutines.
type Log struct {
	lock         *os.File
	file         *file
	acknowledged *acknowledged
	heads        *recent[head]
	limits       *recent[*limits]
	limited      atomic.Bool                     // some stream has metadata; until then nobody looks for them
	remembered   *simplelru.LRU[event.ID, place] // used by the writer alone
	tail         *tail
	now          func() time.Time
	commit       func([]event.Recorded) error // stores all or nothing, durably

	requests chan *request
	closing  chan struct{} // closed when the log shall accept nothing more
	ended    chan struct{} // closed when the writer has answered its last request
	once     sync.Once     // Close
	closed   error

	failed atomic.Pointer[error] // why no append is accepted until the log is opened anew
	stuck  atomic.Bool           // the newest commit could not be made, for a cause that may pass, such as a full disk
}

// Option changes how a log is opened.
type Option func(*Log)

// WithClock sets the clock that tells when an event was recorded. The default is time.Now.
func WithClock(now func() time.Time) Option { return func(l *Log) { l.now = now } }

// Open opens the log in a folder for appending, or makes both. It fails with ErrLocked while another process has it
// open, and with event.ErrDamaged when something acknowledged is missing. A transaction torn by a crash was never
// acknowledged and is cut off.
func Open(dir string, options ...Option) (_ *Log, err error) {
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l := &Log{
		heads:      newHeads(),
		limits:     newRecent[*limits](),
		remembered: newRemembered(),
		now:        time.Now,
		requests:   make(chan *request, maxBatch),
		closing:    make(chan struct{}),
		ended:      make(chan struct{}),
	}
	if l.lock, err = lockFolder(dir); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	if err := examine(dir); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	if l.file, err = openFile(filepath.Join(dir, eventsFile)); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	head, err := l.file.head(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	if l.acknowledged, err = openAcknowledged(dir, head); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	limited, err := l.file.anyMetadata(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l.limited.Store(limited)
	// The names of new files are as durable as what will be written into them.
	if err := syncFolder(dir); err != nil {
		return nil, fmt.Errorf("open event log: %w", err)
	}
	l.tail = &tail{head: head}
	l.commit = l.file.commit
	for _, o := range options {
		o(l)
	}
	go l.write()
	return l, nil
}

// Close refuses new appends, answers those being committed, ends followers and gives the folder free. Appends still
// waiting in the queue get event.ErrUnavailable.
func (l *Log) Close() error {
	l.once.Do(func() {
		close(l.closing)
		<-l.ended
		l.tail.wake()
		l.closed = l.release()
	})
	return l.closed
}

// release closes what was opened, the lock last.
func (l *Log) release() error {
	var errs []error
	if l.acknowledged != nil {
		errs = append(errs, l.acknowledged.close())
	}
	if l.file != nil {
		errs = append(errs, l.file.close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// Ready is nil when appends are accepted, else it says why not. After the disk was full it tries whether there is room
// again for the largest append.
func (l *Log) Ready(ctx context.Context) error {
	if l.stuck.Load() {
		_, err := l.ask(ctx, &request{}) // no stream: a commit that changes nothing
		return err
	}
	return l.refuses()
}

// refuses gives the reason why no append is accepted, or nil.
func (l *Log) refuses() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	select {
	case <-l.closing:
		return errClosed
	default:
		return nil
	}
}

var errClosed = fmt.Errorf("%w: it was closed", event.ErrUnavailable)

// fail makes the log refuse appends until it is opened anew. After a failed write or sync nobody knows what the disk
// holds, and a second sync that succeeds proves nothing: only reading the files again does.
func (l *Log) fail(cause error) error {
	err := fmt.Errorf("%w until it is opened anew: %w", event.ErrUnavailable, cause)
	l.failed.Store(&err)
	slog.Error("the event log accepts no appends until it is opened anew", "file", l.file.path, "cause", cause)
	return err
}

// Folder gives the folder the log was opened in. What belongs to the log but is not an event may have its file there.
func (l *Log) Folder() string { return filepath.Dir(l.file.path) }

// Head gives the position of the newest event; zero when there is none.
func (l *Log) Head(context.Context) (event.Position, error) {
	head, _ := l.tail.end()
	return event.At(head), nil
}
