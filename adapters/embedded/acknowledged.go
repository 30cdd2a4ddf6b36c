package embedded

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/actahq/acta/domain/event"
)

// acknowledged is a file of one line that tells up to which position appends were answered. It is written after the
// commit was synced and before the answer, and is not synced itself: so it survives the death of the process at once
// and that of the machine within the kernel's write-back time, and what it says was always on the disk before.
//
// It is what tells a transaction torn by a crash (never acknowledged, cut off) from a damaged one (acknowledged,
// refused), and it finds a database that was put back to an earlier day.
type acknowledged struct{ file *os.File }

// openAcknowledged compares the file with the newest position the database holds, and makes it if it is missing.
func openAcknowledged(dir string, head uint64) (*acknowledged, error) {
	position, err := readAcknowledged(dir)
	if err != nil {
		return nil, err
	}
	if err := compareAcknowledged(dir, position, head); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, acknowledgedFile), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	a := &acknowledged{f}
	if position < head {
		if err := a.write(head); err != nil {
			f.Close()
			return nil, err
		}
	}
	return a, nil
}

// readAcknowledged gives the position the file tells; 0 when it is missing or empty.
func readAcknowledged(dir string) (uint64, error) {
	path := filepath.Join(dir, acknowledgedFile)
	for tries := 3; ; tries-- { // a reading process may meet the line while it is being overwritten
		line, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(line) == 0 {
			return 0, nil
		} else if err != nil {
			return 0, err
		}
		var position uint64
		fmt.Sscanf(string(line), "%d", &position)
		if string(line) == acknowledgedText(position) {
			return position, nil
		}
		if tries == 0 {
			return 0, fmt.Errorf("%w: %s: the line is not what was written; remove the file if %s is known to be whole",
				event.ErrDamaged, path, eventsFile)
		}
	}
}

// compareAcknowledged is nil when the database holds all that was acknowledged.
func compareAcknowledged(dir string, position, head uint64) error {
	if position > head {
		return fmt.Errorf("%w: %s tells that position %d was acknowledged, but %s ends at %d; bring back a whole copy, or remove %s to live with the loss",
			event.ErrDamaged, filepath.Join(dir, acknowledgedFile), position, eventsFile, head, acknowledgedFile)
	}
	return nil
}

// acknowledgedText is always 30 bytes, so that one line is overwritten by the next.
func acknowledgedText(position uint64) string {
	return fmt.Sprintf("%020d %08x\n", position, crc32.Checksum(fmt.Append(nil, position), castagnoli))
}

func (a *acknowledged) write(position uint64) error {
	_, err := a.file.WriteAt([]byte(acknowledgedText(position)), 0)
	return err
}

// close makes the line durable: the log was closed whole.
func (a *acknowledged) close() error { return errors.Join(a.file.Sync(), a.file.Close()) }
