package embedded

import (
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"time"

	"github.com/actahq/acta/domain/event"
)

// CRC-32C is computed by the processor itself: 740 bytes take 50 ns, where CRC-64 takes 415. It finds every single
// flipped bit and every damaged run of up to 32 bits.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is the newest event of a stream. The head of a stream without events is noHead.
type head struct {
	revision int64
	position uint64
}

var noHead = head{revision: event.NoStream}

// recordChecksum covers every field of an event. Lengths come first, so that no byte can move from one field to the next.
func recordChecksum(e *event.Recorded) uint32 {
	b := make([]byte, 0, 512)
	b = binary.BigEndian.AppendUint64(b, e.Position.Commit)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Revision))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Recorded.UnixMicro()))
	for _, n := range []int{len(e.Stream), len(e.Type), len(e.Data), len(e.Metadata)} {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	b = append(b, e.ID[:]...)
	b = append(b, e.Stream...)
	b = append(b, e.Type...)
	sum := crc32.Checksum(b, castagnoli)
	sum = crc32.Update(sum, castagnoli, e.Data)
	return crc32.Update(sum, castagnoli, e.Metadata)
}

func streamChecksum(stream string, h head) uint32 {
	b := make([]byte, 0, 512)
	b = binary.BigEndian.AppendUint64(b, h.position)
	b = binary.BigEndian.AppendUint64(b, uint64(h.revision))
	return crc32.Checksum(append(b, stream...), castagnoli)
}

func headChecksum(position uint64) uint32 {
	return crc32.Checksum(binary.BigEndian.AppendUint64(nil, position), castagnoli)
}

// recordColumns are the columns scanRecord reads.
const recordColumns = "position, stream, revision, id, type, data, metadata, recorded, checksum"

var errChecksum = errors.New("the record is not what its checksum was made of")

// scanRecord reads one event. Any error means that the row is not what was written.
func scanRecord(rows *sql.Rows) (event.Recorded, error) {
	var (
		e        event.Recorded
		position uint64
		id       sql.RawBytes
		micros   int64
		sum      uint32
	)
	err := rows.Scan(&position, &e.Stream, &e.Revision, &id, &e.Type, (*[]byte)(&e.Data), (*[]byte)(&e.Metadata), &micros, &sum)
	e.Position = event.At(position)
	if err != nil {
		return e, err
	}
	e.Recorded = time.UnixMicro(micros).UTC()
	if len(id) != copy(e.ID[:], id) || len(id) != len(e.ID) || recordChecksum(&e) != sum {
		return e, errChecksum
	}
	e.Data, e.Metadata = present(e.Data), present(e.Metadata)
	return e, nil
}

// present makes absent bytes empty ones: that is how they are stored.
func present(b json.RawMessage) json.RawMessage {
	if b == nil {
		return json.RawMessage{}
	}
	return b
}
