package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/actahq/acta/domain/event"
)

// SQLite's write-ahead log (https://www.sqlite.org/fileformat2.html#walformat): a header, then frames of one page
// each; the last frame of a transaction tells the size of the database after it. Checksums run on from the header
// through all frames; salts tell this round of the file from what earlier rounds left behind.
const (
	walHeaderSize   = 32
	frameHeaderSize = 24
	walMagic        = 0x377f0682 // the lowest bit is set when checksums read words in big-endian order
)

// examine looks at the write-ahead log before SQLite does, because SQLite takes the first frame that fails its
// checksum for the end and silently drops what follows. That is right for a transaction torn by a crash: it is the last
// one and nobody was told of it. But a transaction is begun only after the one before was synced. So when a whole
// transaction stands behind a damaged one, the damage came later, and dropping both would lose what was acknowledged.
func examine(dir string) error {
	path := filepath.Join(dir, walFile)
	for {
		before, err := walHeader(path)
		if err != nil || before == nil {
			return err
		}
		if db, err := os.Stat(filepath.Join(dir, eventsFile)); err != nil || db.Size() == 0 {
			return fmt.Errorf("%w: %s holds transactions, but %s is missing or empty", event.ErrDamaged, path, eventsFile)
		}
		damage := examineFrames(path, before)
		// A reading process may meet a server that begins a new round meanwhile; then look again.
		after, err := walHeader(path)
		if err != nil || string(before) == string(after) {
			return errors.Join(damage, err)
		}
	}
}

// walHeader gives the header, or nil when no frame follows it.
func walHeader(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, walHeaderSize+1)
	if _, err := io.ReadFull(f, b); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, nil // SQLite syncs the header before the first frame: nothing is lost
	} else if err != nil {
		return nil, err
	}
	return b[:walHeaderSize], nil
}

func examineFrames(path string, header []byte) error {
	big := binary.BigEndian
	var order binary.ByteOrder = binary.LittleEndian
	if big.Uint32(header)&1 == 1 {
		order = binary.BigEndian
	}
	pageSize := big.Uint32(header[8:])
	sum := walSum{}.add(order, header[:24])
	if big.Uint32(header)&^1 != walMagic || sum != storedSum(header[24:]) || pageSize < 512 || pageSize > 65536 {
		return fmt.Errorf("%w: %s: the header fails its checksum", event.ErrDamaged, path)
	}

	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	frames := bufio.NewReaderSize(io.NewSectionReader(f, walHeaderSize, 1<<62), 1<<16)
	frame := make([]byte, frameHeaderSize+pageSize)
	var (
		damaged = int64(-1) // offset of the first damaged frame
		ended   bool        // the frame before is the last of a transaction that ends at or behind the damage
	)
	for offset := int64(walHeaderSize); ; offset += int64(len(frame)) {
		if _, err := io.ReadFull(frames, frame); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		} else if err != nil {
			return err
		}
		current := string(frame[8:16]) == string(header[16:24]) // the salts
		stored := storedSum(frame[16:])
		whole := current && sum.add(order, frame[:8]).add(order, frame[frameHeaderSize:]) == stored
		switch {
		case damaged < 0 && !whole:
			damaged = offset
		case ended && whole: // follows on the end of a transaction; older frames of the same round do not
			return fmt.Errorf("%w: %s: the frame at offset %d fails its checksum, and later transactions follow it", event.ErrDamaged, path, damaged)
		}
		ended = damaged >= 0 && current && big.Uint32(frame[4:]) != 0
		sum = stored
	}
}

// walSum is SQLite's running checksum.
type walSum [2]uint32

func (s walSum) add(order binary.ByteOrder, b []byte) walSum {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += order.Uint32(b) + s[1]
		s[1] += order.Uint32(b[4:]) + s[0]
	}
	return s
}

func storedSum(b []byte) walSum {
	return walSum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}
