package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
)

// logFigures measures the embedded log against the disk.
func logFigures(b *bench) ([]figure, error) {
	disk, err := diskRate(b)
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, c := range []struct {
		writers int
		share   float64
	}{{1, .6}, {64, 3}} {
		got, err := appendRate(b, c.writers)
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			what:  fmt.Sprintf("durable appends in process, %d at once", c.writers),
			got:   whole(got) + "/s",
			limit: whole(disk) + "/s (4 KiB append + fdatasync)",
			least: fmt.Sprintf("%.1f x the disk", c.share),
			held:  got >= c.share*disk,
		})
	}
	read, plain, err := readRate(b)
	if err != nil {
		return nil, err
	}
	return append(figures, figure{"reading the log", whole(read) + " events/s", whole(plain) + " events/s (same bytes, checksummed from a file)", "150,000 events/s", read >= 150_000}), nil
}

// diskRate is how often a second the disk takes 4 KiB at the end of a file for good.
func diskRate(b *bench) (float64, error) {
	f, err := os.Create(filepath.Join(b.dir, "raw"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	return rate(b.length, 1, func(int) error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return syscall.Fdatasync(int(f.Fd()))
	})
}

func proposal() event.Proposed {
	id, _ := uuid.NewV7() // fails only without randomness
	return event.Proposed{
		ID: event.ID(id), Type: "bench.happened.v1",
		Data:     append(append([]byte(`{"x":"`), bytes.Repeat([]byte("d"), 470)...), `"}`...),
		Metadata: append(append([]byte(`{"x":"`), bytes.Repeat([]byte("m"), 190)...), `"}`...),
	}
}

// appendRate is single events a second, each durable before its writer goes on. Each writer has a stream of its own.
func appendRate(b *bench, writers int) (float64, error) {
	log, err := embedded.Open(filepath.Join(b.dir, fmt.Sprint("appends", writers)))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	return appendTo(b, log.Append, writers)
}

// appendTo appends to any log.
func appendTo(b *bench, to func(context.Context, string, int64, []event.Proposed) (event.Receipt, error), writers int) (float64, error) {
	next := make([]int64, writers)
	for i := range next {
		next[i] = event.NoStream
	}
	return rate(b.length, writers, func(w int) error {
		r, err := to(context.Background(), fmt.Sprint("bench-", w), next[w], []event.Proposed{proposal()})
		next[w] = r.Revision
		return err
	})
}

// readRate is events a second from the first to the last, and how fast their bytes come out of a plain file.
func readRate(b *bench) (events, plain float64, err error) {
	log, err := embedded.Open(filepath.Join(b.dir, "reading"))
	if err != nil {
		return 0, 0, err
	}
	defer log.Close()
	const appends, each = 2_000, 100
	size := 0
	for i := range appends {
		batch := make([]event.Proposed, each)
		for j := range batch {
			batch[j] = proposal()
			size += len(batch[j].Data) + len(batch[j].Metadata)
		}
		if _, err := log.Append(context.Background(), fmt.Sprint("bench-", i), event.NoStream, batch); err != nil {
			return 0, 0, err
		}
	}
	n, began := 0, time.Now()
	err = log.Follow(context.Background(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		n += len(s.Events)
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	events = float64(n) / time.Since(began).Seconds()
	if err != nil || n != appends*each {
		return 0, 0, fmt.Errorf("read %d events of %d: %w", n, appends*each, err)
	}
	plain, err = plainReadRate(filepath.Join(b.dir, "plain"), n, size)
	return events, plain, err
}
