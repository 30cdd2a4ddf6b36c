// Package postgrestest gives tests a Postgres of their own: a cluster in a temporary folder, started when the first test
// of a binary asks for a database and gone when the binary has ended, however it ends.
//
// It needs Postgres' programs, which Debian's package postgresql installs, and nothing that is configured or running.
package postgrestest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a running Postgres.
type Cluster struct {
	programs string // the folder with initdb and pg_ctl
	folder   string
	port     int
	as       *syscall.SysProcAttr // Postgres refuses to run as root
	watchdog *exec.Cmd
	leash    *os.File // the watchdog's standard input: closed, however this process ends

	mu   sync.Mutex
	made int      // databases
	free []string // those that no test uses
}

// shared is the cluster of this test binary.
var shared struct {
	mu      sync.Mutex
	cluster *Cluster
	err     error
}

// Start gives the cluster that all tests of this binary share, and starts it for the first one. It fails the test
// when there is no Postgres to start. A TestMain that calls Stop after the tests sees it gone before it returns.
func Start(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = New()
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Database gives the DSN of a new empty database in the shared cluster.
func Database(t testing.TB) (dsn string) {
	t.Helper()
	return Start(t).Database(t)
}

// Stop stops the shared cluster, if there is one, and removes it.
func Stop() {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster != nil {
		shared.cluster.Close()
	}
}

// Alone gives a cluster for one test, which may stop and restart it.
func Alone(t testing.TB) *Cluster {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// New makes a cluster and starts it. Close ends it.
func New() (*Cluster, error) {
	c := &Cluster{as: &syscall.SysProcAttr{Setpgid: true}} // Ctrl-C ends the tests, and they end Postgres
	var err error
	if c.programs, err = programs(); err != nil {
		return nil, err
	}
	if c.folder, err = os.MkdirTemp("", "acta-postgres-"); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if c.as.Credential, err = unprivileged(); err == nil {
			err = os.Chown(c.folder, int(c.as.Credential.Uid), int(c.as.Credential.Gid))
		}
	}
	if err == nil {
		err = c.watch()
	}
	if err == nil {
		err = c.start()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// programs finds the folder with Postgres' programs, the newest where there are several.
func programs() (string, error) {
	if found, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(found), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	if len(found) == 0 {
		return "", fmt.Errorf("there is no initdb in PATH or /usr/lib/postgresql/*/bin: install the Debian package postgresql")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
}

// watch starts what ends Postgres and removes the folder when this process has ended or wants it so. It does not depend
// on any code of ours being run, so it also works after a panic, a time-out and kill -9.
func (c *Cluster) watch() error {
	input, leash, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	const script = `read -r _; "$0/pg_ctl" -D "$1/data" -m immediate stop; rm -rf "$1"`
	c.watchdog = exec.Command("/bin/sh", "-c", script, c.programs, c.folder)
	c.watchdog.Dir, c.watchdog.Stdin, c.watchdog.SysProcAttr = "/", input, c.as
	if err := c.watchdog.Start(); err != nil {
		leash.Close()
		return err
	}
	c.leash = leash
	return nil
}

// start makes the cluster and starts it at a free port. fsync is on, as it is where it counts.
func (c *Cluster) start() error {
	if err := c.run("initdb", "-D", c.data(), "-U", "acta", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"); err != nil {
		return err
	}
	for range 5 { // somebody may take the port before Postgres does
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c.port = l.Addr().(*net.TCPAddr).Port
		l.Close()
		conf := fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = ''\nmax_connections = 200\nshared_buffers = 64MB\nlog_min_messages = fatal\n", c.port)
		if err := os.WriteFile(filepath.Join(c.data(), "postgresql.auto.conf"), []byte(conf), 0o600); err != nil {
			return err
		}
		if err = c.Restart(); err == nil {
			return nil
		}
	}
	said, _ := os.ReadFile(c.log())
	return fmt.Errorf("start Postgres: %s", said)
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }
func (c *Cluster) log() string  { return filepath.Join(c.folder, "log") }

// run runs one of Postgres' programs to its end.
func (c *Cluster) run(program string, arguments ...string) error {
	cmd := exec.Command(filepath.Join(c.programs, program), arguments...)
	cmd.Dir, cmd.SysProcAttr = "/", c.as
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, output)
	}
	return nil
}

// Kill ends all of Postgres' processes at once, as a crash does. What it had confirmed is there after Restart.
func (c *Cluster) Kill() error { return c.run("pg_ctl", "-D", c.data(), "-m", "immediate", "stop") }

// Restart starts what Kill has stopped, and waits until it serves.
func (c *Cluster) Restart() error {
	return c.run("pg_ctl", "-D", c.data(), "-l", c.log(), "-w", "start")
}

// Close stops Postgres and removes everything.
func (c *Cluster) Close() {
	if c.leash == nil {
		os.RemoveAll(c.folder)
		return
	}
	c.leash.Close()
	_ = c.watchdog.Wait() // its status is that of rm
}

// DSN names a database of the cluster.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("postgres://acta@%s/%s?sslmode=disable", c.address(), database)
}

func (c *Cluster) address() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

// Alone gives the DSN of a new empty database that stays for as long as the cluster, which the test may have stopped.
func (c *Cluster) Alone(t testing.TB) (dsn string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.DSN(c.make(t))
}

func (c *Cluster) make(t testing.TB) (name string) {
	t.Helper()
	c.made++
	name = fmt.Sprintf("test_%d", c.made)
	c.Execute(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0")
	return name
}

// Database gives the DSN of an empty database that is the test's own until it ends. Making one takes Postgres long, so
// they are emptied and used again.
func (c *Cluster) Database(t testing.TB) (dsn string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var name string
	if last := len(c.free) - 1; last >= 0 {
		name, c.free = c.free[last], c.free[:last]
	} else {
		name = c.make(t)
	}
	t.Cleanup(func() {
		if t.Failed() {
			return // for those who look
		}
		c.Execute(t, "postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		c.Execute(t, name, "DROP SCHEMA public CASCADE")
		c.Execute(t, name, "CREATE SCHEMA public")
		c.mu.Lock()
		defer c.mu.Unlock()
		c.free = append(c.free, name)
	})
	return c.DSN(name)
}

// Execute executes a statement in a database, as its owner and on a connection of its own.
func (c *Cluster) Execute(t testing.TB, database, statement string, arguments ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // also while a test is cleaned up
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement, arguments...); err != nil {
		t.Fatal(err)
	}
}
