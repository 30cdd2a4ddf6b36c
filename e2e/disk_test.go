//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// On a full disk nothing is acknowledged that is not stored, those who only read notice nothing, and when there is
// room again the program goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	fill := smallDisk(t, dir)
	s := start(t, dir)
	writers := s.writers(t, 8)
	for _, w := range writers {
		w.padding = strings.Repeat("x", 8<<10)
	}
	free := fill(s)
	s.breaksDown(t, writers)
	s.logs(t, "the event log cannot store events now")

	free()
	each(t, len(writers), func(i int) error { return writers[i].writeOne(s) })
	s.logs(t, "the event log stores events again")
	await(t, minute, "ready", func() bool {
		a, err := s.ask("", "GET", "/health/ready", "")
		return err == nil && a.status == http.StatusOK
	})

	s.stop()
	s = s.again()
	each(t, len(writers), func(i int) error { return writers[i].check(s) })
}

// After a sync that failed nobody knows what the disk holds, and a later sync that works proves nothing: the program
// acknowledges nothing more until it was started anew and has read what is there.
func TestFailedSync(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	writers := s.writers(t, 8)
	for _, w := range writers {
		if err := w.writeOne(s); err != nil {
			t.Fatal(err)
		}
	}
	mend := s.inject(t, "fsync,fdatasync,sync_file_range", "EIO")
	s.breaksDown(t, writers)
	s.logs(t, "the event log accepts no appends until it is opened anew")
	mend()
	s.breaksDown(t, writers)

	s.stop()
	s = s.again()
	each(t, len(writers), func(i int) error { return writers[i].check(s) })
	each(t, len(writers), func(i int) error { return writers[i].writeOne(s) })
}

// breaksDown writes until that is refused, and goes on trying: from the first refusal on nothing is acknowledged, each
// refusal says when to come back, and reads are answered.
func (s *server) breaksDown(t *testing.T, writers []*writer) {
	t.Helper()
	var broken atomic.Bool
	refused := func(a answer, err error) error {
		if err == nil && (a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "") {
			err = fmt.Errorf("got %s, Retry-After %q", a, a.header.Get("Retry-After"))
		}
		return err
	}
	deadline := time.Now().Add(minute)
	each(t, len(writers), func(i int) error {
		for n := 0; n < 3; {
			if time.Now().After(deadline) {
				return fmt.Errorf("refused %d times in a minute", n)
			}
			late := broken.Load()
			a, err := writers[i].write(s)
			if err == nil && a.status == http.StatusOK {
				if late {
					return fmt.Errorf("acknowledged after the first refusal")
				}
				continue
			}
			if err := refused(a, err); err != nil {
				return err
			}
			broken.Store(true)
			n++
			if a, err := s.ask(writers[i].session, "GET", "/v1/account", ""); err != nil || a.status != http.StatusOK {
				return fmt.Errorf("read: %s %v", a, err)
			}
		}
		return nil
	})
	if err := refused(s.ask("", "POST", "/v1/account", newPerson().signUp())); err != nil {
		t.Errorf("sign up: %v", err)
	}
	if err := refused(s.ask(writers[0].session, "DELETE", "/v1/account/sessions/current", "")); err != nil {
		t.Errorf("sign out: %v", err)
	}
	if err := refused(s.ask("", "GET", "/health/ready", "")); err != nil {
		t.Errorf("ready: %v", err)
	}
	s.want(t, http.StatusOK, "", "GET", "/health/live", "")
}

// logs fails the test when the program's log has no such line.
func (s *server) logs(t *testing.T, line string) {
	t.Helper()
	if !strings.Contains(s.log.String(), line) {
		t.Errorf("the log does not say %q:\n%s", line, s.log.end())
	}
}

// smallDisk makes a folder on a disk that the test can fill and free. It is a file system in memory; where none may be
// mounted, the kernel is made to say that there is no room.
func smallDisk(t *testing.T, dir string) (fill func(*server) (free func())) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("acta-e2e", dir, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		t.Logf("mount: %v; writes are made to fail with strace instead", err)
		// SQLite writes with the first; the second is how the program notices after its trial of whether there is room.
		return func(s *server) func() { return s.inject(t, "pwrite64,fsync", "ENOSPC") }
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	return func(*server) func() {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for size := 1 << 20; size > 0; { // less and less, until not one byte has room
			if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
				size /= 2
			} else if err != nil {
				t.Fatal(err)
			}
		}
		return func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// inject makes system calls of the running program fail until stop is called: strace answers them in the kernel's place.
func (s *server) inject(t *testing.T, calls, errno string) (stop func()) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing; on Debian: apt-get install strace")
	}
	said, ended := &output{}, make(chan struct{})
	c := own(exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+calls+":error="+errno, "-p", strconv.Itoa(s.command.Process.Pid)), os.Environ())
	c.Stderr = said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Wait(); close(ended) }()
	stop = sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGTERM) // it lets go of the program
		select {
		case <-ended:
		case <-time.After(minute):
			t.Errorf("strace does not let go: %s", said)
			_ = killGroup(c)
			<-ended
		}
	})
	t.Cleanup(stop)
	err := poll(minute, "strace is attached", func() (bool, error) {
		select {
		case <-ended:
			return false, errors.New("strace cannot attach to the program on this machine")
		default:
			return strings.Contains(said.String(), "attached"), nil
		}
	})
	if err != nil {
		t.Fatalf("%v, so that failing disks cannot be tested here; it takes root, or kernel.yama.ptrace_scope=0 and no seccomp filter on ptrace: %s", err, said)
	}
	return stop
}
