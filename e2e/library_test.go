//go:build linux

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// node is the folder of the client libraries and the scripts that use them.
const node = "node"

var install = sync.OnceValues(func() (output string, err error) {
	lock, err := os.ReadFile(filepath.Join(node, "package-lock.json"))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	want, noted := hex.EncodeToString(sum[:]), filepath.Join(node, "node_modules", ".installed")
	if got, err := os.ReadFile(noted); err == nil && string(got) == want {
		return "", nil
	}
	patience, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	npm := own(exec.CommandContext(patience, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"), os.Environ())
	npm.Cancel = func() error { return killGroup(npm) }
	npm.Dir = node
	if out, err := npm.CombinedOutput(); err != nil {
		return string(out), err
	}
	return "", os.WriteFile(noted, []byte(want), 0o644)
})

// libraries installs the client libraries at the versions of the lock file, once. Without Node the stories cannot be
// told, and that is a failure: a skipped story looks like a good one.
func libraries(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing, and the official client libraries need it; on Debian: apt-get install nodejs npm", tool)
		}
	}
	if out, err := install(); err != nil {
		t.Fatalf("npm ci in e2e/node: %v\n%s", err, out)
	}
}

// script runs a script of the folder node against the program, and insists.
func (s *server) script(t *testing.T, args ...string) {
	t.Helper()
	c := own(exec.Command("node", append([]string{"--import", "./patience.mjs"}, args...)...), append(os.Environ(), "ACTA_ENDPOINT=http://"+s.address+"/v1", "ACTA_KEY="+apiKey, "ACTA_LETTERS="+s.letters))
	c.Dir = node
	if stdout, stderr, code := run(t, c); code != 0 {
		t.Errorf("node %v: exit %d\n%s%s", args, code, stdout, stderr)
	}
}

func TestBrowserLibraryWithCookies(t *testing.T) {
	t.Parallel()
	libraries(t)
	start(t, t.TempDir()).script(t, "--import", "./cookies.mjs", "web.mjs")
}

func TestBrowserLibraryWithoutCookies(t *testing.T) {
	t.Parallel()
	libraries(t)
	start(t, t.TempDir()).script(t, "--import", "./localstorage.mjs", "web.mjs")
}

func TestServerLibrary(t *testing.T) {
	t.Parallel()
	libraries(t)
	start(t, t.TempDir()).script(t, "server.mjs")
}
