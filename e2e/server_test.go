//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// acta is the program, built once for all tests.
var acta string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "acta-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		acta = filepath.Join(dir, "acta")
		build := exec.Command("go", "build", "-o", acta, "../cmd/acta")
		if raced {
			build.Args = append(build.Args[:2], append([]string{"-race"}, build.Args[2:]...)...)
		}
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n%s", build, err, out)
			return 1
		}
		return m.Run()
	}())
}

// What the tests configure; each may add environment variables.
const (
	apiKey        = "standard_0123456789abcdef"
	configuration = `
secret_key: 5f0c3a1e9d8b7a6c5f0c3a1e9d8b7a6c5f0c3a1e9d8b7a6c5f0c3a1e9d8b7a6c
rate_limits: false
projects:
  - id: demo
    name: Demo
    platforms: [app.localhost, "*.example.com"]
    keys:
      - {name: server, secret: ` + apiKey + `, scopes: [sessions.write, users.read, users.write]}
    auth: {session_limit: 100}
`
)

// server is one run of the program.
type server struct {
	t       *testing.T
	command *exec.Cmd
	address string // host and port
	dir     string // data folder
	env     []string
	log     *output
	exited  chan struct{} // closed when it has ended
	http    *http.Client  // keeps its connections
	letters string        // where scripts ask for letters
}

// start runs the program on a data folder and waits until it is ready. The test's end stops it, and fails when it does
// not end well.
func start(t *testing.T, dir string, env ...string) *server {
	t.Helper()
	config := filepath.Join(t.TempDir(), "acta.yaml")
	if err := os.WriteFile(config, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, dir, append([]string{"ACTA_CONFIG=" + config}, env...)...)
}

// launch is start without a configuration: development mode, unless the environment says otherwise.
func launch(t *testing.T, dir string, env ...string) *server {
	t.Helper()
	for try := 1; ; try++ {
		s := &server{t: t, dir: dir, address: freeAddress(t), log: &output{}, exited: make(chan struct{})}
		s.env = slices.Concat(env, []string{"ACTA_DATA_DIR=" + dir, "ACTA_LISTEN=" + s.address})
		s.http = s.freshClient()
		s.command = program(t, s.env, "serve")
		s.command.Stdout, s.command.Stderr = s.log, s.log
		if err := s.command.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_ = s.command.Wait() // ProcessState has the outcome
			close(s.exited)
		}()
		t.Cleanup(s.end)
		err := s.awaitReady()
		if err == nil {
			return s
		}
		if s.ended() && strings.Contains(s.log.String(), "address already in use") && try < 5 {
			continue
		}
		t.Fatalf("%v\n%s", err, s.log)
	}
}

// program prepares a command of the program. Nothing it starts outlives the test, not even one that is killed.
func program(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	// The race detector would wait a second at every end.
	return own(exec.Command(acta, args...), append([]string{"GORACE=atexit_sleep_ms=0"}, env...))
}

// own makes a command die with us, and makes it a group that can be killed as a whole.
func own(c *exec.Cmd, env []string) *exec.Cmd {
	c.Env = env
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = 5 * time.Second // for those that hold its output when it has ended
	return c
}

// run runs a command to its end and gives its output and exit code.
func run(t *testing.T, c *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(minute, func() { _ = killGroup(c) }) // the exit code tells
	defer deadline.Stop()
	err := c.Wait()
	_ = killGroup(c) // whatever it left behind
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s: %v", c, err)
	} else if ok && exit.ExitCode() < 0 {
		t.Fatalf("%s: %v\n%s%s", c, err, &out, &errs)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func killGroup(c *exec.Cmd) error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *server) awaitReady() error {
	return poll(20*time.Second, "ready", func() (bool, error) {
		if s.ended() {
			return false, fmt.Errorf("the program ended: %s", s.command.ProcessState)
		}
		if !strings.Contains(s.log.String(), "listening") {
			return false, nil // whoever answers has been given the port in between
		}
		a, err := s.ask("", "GET", "/health/ready", "")
		return err == nil && a.status == http.StatusOK, nil
	})
}

func (s *server) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// stop ends the program as a supervisor does: it must end well, and soon.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	s.awaitEnd()
}

// awaitEnd waits for the end that SIGTERM asked for.
func (s *server) awaitEnd() {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(15 * time.Second):
		s.kill()
		s.t.Errorf("it did not end within 15 s of SIGTERM\n%s", s.log.end())
		return
	}
	if code := s.command.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("after SIGTERM: %s\n%s", s.command.ProcessState, s.log.end())
	}
}

// kill is kill -9.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.exited
}

func (s *server) signal(sig syscall.Signal) {
	if !s.ended() {
		_ = s.command.Process.Signal(sig) // it may end by itself
	}
}

// again starts the program anew, as it was started, after it has ended.
func (s *server) again() *server {
	s.t.Helper()
	return launch(s.t, s.dir, s.env[:len(s.env)-2]...)
}

// end is the end of every run of the program, however the test went.
func (s *server) end() {
	if !s.ended() && s.t.Failed() {
		s.kill()
	}
	if !s.ended() {
		s.stop()
	}
	s.http.CloseIdleConnections()
	if log := s.log.String(); strings.Contains(strings.ToLower(log), "panic") || strings.Contains(log, "DATA RACE") {
		s.t.Errorf("the program panicked or raced:\n%s", log)
	} else if s.t.Failed() {
		s.t.Logf("the end of the program's log:\n%s", s.log.end())
	}
}

// minute bounds what takes far less on any machine that is not stuck.
const minute = time.Minute

// poll asks until the answer is yes, and fails after a while or with an error.
func poll(within time.Duration, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not within %s: %s", within, what)
		}
	}
}

// await is poll for what cannot fail otherwise.
func await(t *testing.T, within time.Duration, what string, yes func() bool) {
	t.Helper()
	if err := poll(within, what, func() (bool, error) { return yes(), nil }); err != nil {
		t.Fatal(err)
	}
}

// output is what a process wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// end is the last lines, and before them those of the lines above that tell of trouble.
func (o *output) end() string {
	lines := strings.SplitAfter(o.String(), "\n")
	last := max(0, len(lines)-40)
	trouble := slices.DeleteFunc(lines[:last:last], func(line string) bool {
		return !strings.Contains(line, "level=WARN") && !strings.Contains(line, "level=ERROR")
	})
	return strings.Join(trouble[max(0, len(trouble)-40):], "") + strings.Join(lines[last:], "")
}
