//go:build linux

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Two programs on one folder would each hand out the same revision. The second leaves at once and says why; the lock of
// one that was killed holds nobody up.
func TestOneProcessPerDataFolder(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	p := first.people(t, 1)[0]

	second := program(t, slices.Concat(first.env, []string{"ACTA_LISTEN=" + freeAddress(t)}), "serve")
	began := time.Now()
	stdout, stderr, code := run(t, second)
	took := time.Since(began)
	if code != 1 || took > time.Second {
		t.Errorf("the second ended with %d after %s", code, took)
	}
	line := strings.TrimSuffix(stderr, "\n")
	if strings.Contains(line, "\n") || !strings.Contains(line, "open in another process") || !strings.Contains(line, dir) || stdout != "" {
		t.Errorf("the second should say in one line that the folder is in use:\n%s%s", stdout, stderr)
	}
	first.want(t, http.StatusOK, p.session, "GET", "/v1/account", "")

	first.kill()
	first.again().want(t, http.StatusOK, p.session, "GET", "/v1/account", "")
}
