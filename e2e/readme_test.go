//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What the README says under "Try it" works as it is printed, but for the port.
func TestReadmeCanBeFollowed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## Try it\n")
	if !ok {
		t.Fatal(`README.md has no heading "## Try it"`)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := func(language string, want int) (texts []string) {
		for _, found := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
			texts = append(texts, found[1])
		}
		if len(texts) != want {
			t.Fatalf("README.md has %d blocks of %s under \"Try it\"", len(texts), language)
		}
		return texts
	}
	shells, script := blocks("sh", 2), blocks("js", 1)[0]
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is missing; on Debian: apt-get install curl")
	}
	libraries(t)

	dir := t.TempDir() // of the reader, who has started the program there
	s := launch(t, filepath.Join(dir, "data"))
	here := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, "localhost:8080", onHost("localhost", s.address)), "127.0.0.1:8080", s.address)
	}

	// Each curl tells its answer's status on standard error.
	for n, shell := range shells {
		c := own(exec.Command("sh", "-euc", `curl() { command curl -w '%{stderr}%{http_code}\n' "$@"; }`+"\n"+here(shell)), os.Environ())
		c.Dir = dir
		stdout, stderr, code := run(t, c)
		statuses := strings.Fields(stderr)
		if code != 0 || len(statuses) != strings.Count(shell, "curl ") || len(statuses) == 0 {
			t.Fatalf("exit %d after %v\n%s", code, statuses, stdout)
		}
		for i, status := range statuses {
			refused := n == 0 && i == len(statuses)-1 // shows that the session is refused
			if refused && status != "401" || !refused && !strings.HasPrefix(status, "2") {
				t.Errorf("command %d of %d answers %s:\n%s", i+1, len(statuses), status, stdout)
			}
		}
	}

	modules, err := filepath.Abs(filepath.Join(node, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "try.mjs"), []byte(here(script)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := own(exec.Command("node", "try.mjs"), os.Environ())
	c.Dir = dir
	if stdout, stderr, code := run(t, c); code != 0 {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}
