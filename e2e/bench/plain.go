package main

import (
	"bufio"
	"hash/crc32"
	"io"
	"os"
	"time"
)

// plainReadRate writes as many records of as many bytes to a file and reads them back, each with a checksum: what
// reading costs when there is nothing else to it.
func plainReadRate(path string, records, bytes int) (float64, error) {
	record := make([]byte, bytes/records)
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for range records {
		if _, err := w.Write(record); err != nil {
			return 0, err
		}
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	table, r, began := crc32.MakeTable(crc32.Castagnoli), bufio.NewReaderSize(f, 1<<20), time.Now()
	for range records {
		if _, err := io.ReadFull(r, record); err != nil {
			return 0, err
		}
		_ = crc32.Checksum(record, table)
	}
	return float64(records) / time.Since(began).Seconds(), nil
}
