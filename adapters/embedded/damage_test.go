package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/actahq/acta/domain/event"
)

// files is the content of a log's folder.
type files map[string][]byte

// snapshot reads a folder as a crash would leave it: without the shared memory and the lock.
func snapshot(t *testing.T, dir string) files {
	t.Helper()
	f := files{}
	for _, name := range []string{eventsFile, walFile, acknowledgedFile} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			f[name] = b
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return f
}

// with gives the files with one of them changed.
func (f files) with(name string, change func([]byte) []byte) files {
	changed := files{}
	for n, b := range f {
		changed[n] = b
	}
	changed[name] = change(append([]byte(nil), f[name]...))
	return changed
}

func (f files) without(name string) files {
	changed := files{}
	for n, b := range f {
		if n != name {
			changed[n] = b
		}
	}
	return changed
}

func flip(bit int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[bit/8] ^= 1 << (bit % 8)
		return b
	}
}

// memory is a file system in memory where there is one: what is tested here is what files hold, not what a disk keeps,
// and thousands of syncs would be most of the time.
var memory = func() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return os.TempDir()
}()

// write puts the files into a folder of their own.
func (f files) write(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory, "acta-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for name, b := range f {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// story is every answer a log gives: all events, and each stream, every second one backward. The last stream never was.
type story struct {
	all     []event.Recorded
	streams map[string][]event.Recorded
}

const storyStreams = 30

// storyStream gives a long name, so that also a small log has indexes of several pages.
func storyStream(i uint64) string { return fmt.Sprintf("note.%s%d", strings.Repeat("n", 200), i) }

// told opens the files and lets the log tell its story. Answers that are errors are left out and counted.
func (f files) told(t *testing.T) (s story, refused int) {
	t.Helper()
	dir := f.write(t)
	defer os.RemoveAll(dir)
	l, err := Open(dir)
	if err != nil {
		return s, 1
	}
	defer l.Close()
	if s.all, err = followed(l); err != nil {
		s.all, refused = nil, refused+1
	}
	s.streams = map[string][]event.Recorded{}
	for i := range uint64(storyStreams + 1) {
		from, dir := event.Start, event.Forward
		if i%2 == 1 {
			from, dir = event.End, event.Backward
		}
		events, err := l.Read(t.Context(), storyStream(i), from, dir, 1000)
		if err != nil {
			refused++
			continue
		}
		s.streams[storyStream(i)] = events
	}
	return s, refused
}

// agrees says whether every answer that was given is one of the true story.
func (s story) agrees(truth story) bool {
	if s.all != nil && !reflect.DeepEqual(s.all, truth.all) {
		return false
	}
	for name, answer := range s.streams {
		if !reflect.DeepEqual(answer, truth.streams[name]) {
			return false
		}
	}
	return true
}

// storyLog appends transactions to the streams of a story.
func storyLog(t *testing.T, l *Log, from, to uint64) {
	t.Helper()
	for i := from; i < to; i++ {
		mustAppend(t, l, storyStream(i%storyStreams), int64(i/storyStreams)*2-1, proposals(i, 2))
	}
}

// whole gives the story of files that nobody has damaged.
func (f files) whole(t *testing.T) story {
	t.Helper()
	truth, refused := f.told(t)
	if refused > 0 {
		t.Fatal("the story is not told before any damage")
	}
	return truth
}

func TestAFlippedBitIsAnErrorAndNeverAnAnswer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := openLog(t, dir)
	storyLog(t, l, 0, 75)
	l.Close()
	closed := snapshot(t, dir)
	l = openLog(t, dir)
	storyLog(t, l, 75, 85)
	killed := snapshot(t, dir) // with what a kill -9 would leave in the write-ahead log
	l.Close()

	for _, test := range []struct {
		name   string
		files  files
		target string
		unit   int // size of what gets some flips each, in bytes
		flips  int // in each unit, and as many again in its first 24 bytes
	}{
		{"events.db", closed, eventsFile, 4096, 3},
		{"events.db beside a write-ahead log", killed, eventsFile, 4096, 1},
		{"the write-ahead log", killed, walFile, frameHeaderSize + 4096, 1},
		{"acknowledged", killed, acknowledgedFile, 30, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			truth := test.files.whole(t)
			random := rand.New(rand.NewPCG(1, uint64(len(test.name))))
			bits := []int{}
			size := len(test.files[test.target])
			for start := 0; start < size; start += test.unit {
				for range test.flips {
					bits = append(bits, start*8+random.IntN(8*min(test.unit, size-start)), start*8+random.IntN(8*min(24, size-start)))
				}
			}
			if test.target == eventsFile { // the header of the file decides how all of it is read
				for i := range 100 {
					bits = append(bits, i*8+random.IntN(8))
				}
			}
			found := 0
			for _, bit := range bits {
				got, refused := test.files.with(test.target, flip(bit)).told(t)
				if !got.agrees(truth) {
					t.Errorf("byte %d, bit %d: another story is told", bit/8, bit%8)
				}
				if refused > 0 {
					found++
				}
			}
			t.Logf("%d flips, %d of them mattered and were found", len(bits), found)
		})
	}
}

// lastTransaction gives a log as it was when its last append was being written: the files, and where that append begins
// in the write-ahead log. Nobody was told of it.
func lastTransaction(t *testing.T) (before story, torn files, begin int) {
	t.Helper()
	dir := t.TempDir()
	l := openLog(t, dir)
	storyLog(t, l, 0, 30)
	known := snapshot(t, dir)
	storyLog(t, l, 30, 31)
	torn = snapshot(t, dir)
	torn[acknowledgedFile] = known[acknowledgedFile]
	l.Close()
	return known.whole(t), torn, len(known[walFile])
}

func TestATornTailIsCut(t *testing.T) {
	t.Parallel()
	before, torn, begin := lastTransaction(t)
	end := len(torn[walFile])
	cuts := []int{begin, begin + 1, begin + frameHeaderSize - 1, begin + frameHeaderSize, end - 4096, end - 1}
	for cut := begin + 500; cut < end; cut += 997 {
		cuts = append(cuts, cut)
	}
	for _, cut := range cuts {
		got, refused := torn.with(walFile, func(b []byte) []byte { return b[:cut] }).told(t)
		if refused > 0 || !reflect.DeepEqual(got, before) {
			t.Errorf("cut at byte %d of %d: refused %d, or what was acknowledged is not there", cut, end, refused)
		}
	}
	// A disk may also have written the last transaction's later pages and not the earlier ones.
	for offset := begin; offset < end; offset += frameHeaderSize + 4096 {
		got, refused := torn.with(walFile, func(b []byte) []byte {
			clear(b[offset : offset+frameHeaderSize+4096])
			return b
		}).told(t)
		if refused > 0 || !reflect.DeepEqual(got, before) {
			t.Errorf("frame at %d not written: refused %d, or what was acknowledged is not there", offset, refused)
		}
	}
}

func TestAnAcknowledgedTailIsNotCut(t *testing.T) {
	t.Parallel()
	_, torn, begin := lastTransaction(t)
	acknowledged := torn.with(acknowledgedFile, func([]byte) []byte { return []byte(acknowledgedText(62)) })
	acknowledged.whole(t)
	for name, files := range map[string]files{
		"the last transaction is cut":     acknowledged.with(walFile, func(b []byte) []byte { return b[:len(b)-1] }),
		"the last transaction is damaged": acknowledged.with(walFile, flip(8*(begin+1000))),
		"the write-ahead log is missing":  acknowledged.without(walFile),
		"the database is missing":         acknowledged.without(eventsFile),
		"the database is empty":           acknowledged.with(eventsFile, func([]byte) []byte { return nil }),
		"both are missing":                acknowledged.without(eventsFile).without(walFile),
	} {
		t.Run(name, func(t *testing.T) {
			for _, open := range []func(string) error{
				func(dir string) error { _, err := OpenReader(dir); return err },
				func(dir string) error { _, err := Open(dir); return err },
			} {
				dir := files.write(t)
				if err := open(dir); err == nil || !errors.Is(err, event.ErrDamaged) && !strings.Contains(err.Error(), "unable to open") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// Even if it is not known what was acknowledged: behind a transaction that was synced stands another one.
func TestAHoleInTheWriteAheadLogIsRefused(t *testing.T) {
	t.Parallel()
	_, torn, begin := lastTransaction(t)
	unknown := torn.without(acknowledgedFile)
	for offset := walHeaderSize; offset < begin; offset += frameHeaderSize + 4096 {
		if offset > begin-16*(frameHeaderSize+4096) || offset%5 == 0 { // some of the first ones, all of the last ones
			for name, change := range map[string]func(b []byte) []byte{
				"a page flipped": flip(8 * (offset + frameHeaderSize + 2000)),
				"a page zeroed":  func(b []byte) []byte { clear(b[offset+frameHeaderSize : offset+frameHeaderSize+4096]); return b },
			} {
				_, err := Open(unknown.with(walFile, change).write(t))
				if want := fmt.Sprintf("events.db-wal: the frame at offset %d fails", offset); !errors.Is(err, event.ErrDamaged) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s in the frame at %d: %v", name, offset, err)
				}
			}
		}
	}
	if _, err := Open(unknown.with(walFile, flip(8*16)).write(t)); !errors.Is(err, event.ErrDamaged) {
		t.Errorf("a damaged header: %v", err)
	}
}

// What an earlier round of the write-ahead log left behind its end belongs to nobody.
func TestOldFramesBehindATornTailAreNoHole(t *testing.T) {
	t.Parallel()
	_, torn, begin := lastTransaction(t)
	frame := frameHeaderSize + 4096
	old := func(b []byte) []byte {
		left := append([]byte(nil), b[walHeaderSize:begin]...)
		for offset := 0; offset < len(left); offset += frame {
			binary.BigEndian.PutUint32(left[offset+8:], binary.BigEndian.Uint32(left[offset+8:])-1) // the salt of the round before
		}
		return append(b[:begin+100], left...)
	}
	if _, refused := torn.with(walFile, old).told(t); refused > 0 {
		t.Error("refused")
	}
}
