package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/domain/event"
)

// childVariable makes the test binary play a part of its own instead of running tests.
const childVariable = "ACTA_EMBEDDED_TEST_CHILD"

var children = map[string]func(dir string){"hold": holdLog, "append": appendForEver}

// child is another process with the log of a folder.
func child(t *testing.T, part, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0], dir)
	c.Env = append(os.Environ(), childVariable+"="+part)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := c.StdinPipe() // the child ends when we do
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewScanner(out)
}

// holdLog opens the log, says so and waits.
func holdLog(dir string) {
	if _, err := Open(dir); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
}

func TestASecondProcessIsRefusedAndTakesOverAfterAKill(t *testing.T) {
	dir := t.TempDir()
	c, out := child(t, "hold", dir)
	if !out.Scan() || out.Text() != "open" {
		t.Fatalf("the child says %q", out.Text())
	}
	started := time.Now()
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("the refusal took %s", took)
	}
	c.Process.Kill()
	c.Wait()
	l := openLog(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("the same process opened it twice: %v", err)
	}
	mustAppend(t, l, "note.1", event.NoStream, proposals(1, 1))
}

const crashWriters = 16

// appendForEver appends with 16 writers, each to a stream of its own and one to three events at a time, and tells what
// it tries before and what was acknowledged after.
func appendForEver(dir string) {
	l, err := Open(dir)
	if err != nil {
		fmt.Println("failed", err)
		return
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			stream := fmt.Sprintf("note.%d", w)
			newest, err := l.Read(context.Background(), stream, event.End, event.Backward, 1)
			if err != nil {
				fmt.Println("failed", err)
				return
			}
			expected := event.NoStream
			if len(newest) == 1 {
				expected = newest[0].Revision
			}
			for {
				events := proposals(rand.Uint64(), rand.IntN(3)+1)
				for i, e := range events {
					fmt.Printf("try %s %d %s\n", stream, expected+1+int64(i), e.ID)
				}
				receipt, err := l.Append(context.Background(), stream, expected, events)
				if err != nil {
					fmt.Println("failed", err)
					return
				}
				for i, e := range events {
					fmt.Printf("ack %s %d %s\n", stream, expected+1+int64(i), e.ID)
				}
				expected = receipt.Revision
			}
		})
	}
	wg.Wait()
}

// What a child was heard to say is the journal: it lies in this process and survives the child.
func TestNothingAcknowledgedIsLostByAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tried, acknowledged := map[string]bool{}, map[string]bool{}
	for round := range 20 {
		c, out := child(t, "append", dir)
		for left := 30 + 17*round; out.Scan(); {
			kind, rest := out.Text()[:4], out.Text()[4:]
			switch kind {
			case "try ":
				tried[rest] = true
			case "ack ":
				acknowledged[rest] = true
				if left--; left == 0 {
					c.Process.Kill() // and listen to what it had said before it died
				}
			default:
				t.Fatalf("round %d: the child says %q", round, out.Text())
			}
		}
		c.Wait()
		survived(t, dir, round, tried, acknowledged)
	}
	t.Logf("%d events tried, %d acknowledged", len(tried), len(acknowledged))
}

// survived compares the log with the journal. In every second round it only reads, so that the next child finds the
// files as the one before has left them.
func survived(t *testing.T, dir string, round int, tried, acknowledged map[string]bool) {
	t.Helper()
	var all []event.Recorded
	if round%2 == 0 {
		l := openLog(t, dir)
		defer l.Close()
		all = mustFollow(t, l)
	} else {
		r, err := OpenReader(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		defer r.Close()
		if all, err = followed(r); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	there := map[string]bool{}
	next := map[string]int64{}
	for _, e := range all {
		line := fmt.Sprintf("%s %d %s", e.Stream, e.Revision, e.ID)
		if there[line] = true; !tried[line] {
			t.Fatalf("round %d: nobody appended %s", round, line)
		}
		if e.Revision != next[e.Stream] {
			t.Fatalf("round %d: %s where revision %d was expected", round, line, next[e.Stream])
		}
		next[e.Stream]++
	}
	for line := range acknowledged {
		if !there[line] {
			t.Fatalf("round %d: acknowledged and lost: %s", round, line)
		}
	}
}
