//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What docs/operations.md says: afterwards everything new is followed, and nobody is sent what they were sent before.
func TestARestoredBackupSendsNewLettersAndNoOldOnes(t *testing.T) {
	for name, c := range map[string]struct {
		into func(t *testing.T, old string) string // clears the way
		then []string                              // commands before the start
	}{
		"into an empty folder":    {func(t *testing.T, _ string) string { return t.TempDir() }, nil},
		"into the folder it left": {clearLog, []string{"rebuild all", "restored"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			box := newPostbox(t)
			s := start(t, t.TempDir(), box.env()...)
			deliver := func(email string) {
				t.Helper()
				if err := s.magicURL(email); err != nil {
					t.Fatal(err)
				}
				if _, err := box.next(email); err != nil {
					t.Fatal(err)
				}
			}
			deliver("before@example.com")
			s.stop()
			backup := map[string][]byte{}
			for _, file := range []string{"events.db", "keys.db"} {
				content, err := os.ReadFile(filepath.Join(s.dir, file))
				if err != nil {
					t.Fatal(err)
				}
				backup[file] = content
			}
			s = s.again()
			for _, email := range []string{"lost1@example.com", "lost2@example.com", "lost3@example.com"} {
				deliver(email)
			}
			s.stop()

			s.dir = c.into(t, s.dir)
			for file, content := range backup {
				if err := os.WriteFile(filepath.Join(s.dir, file), content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, command := range c.then {
				env := slices.Concat(s.env, []string{"ACTA_DATA_DIR=" + s.dir})
				if stdout, stderr, code := run(t, program(t, env, strings.Fields(command)...)); code != 0 {
					t.Fatalf("%s: exit %d\n%s%s", command, code, stdout, stderr)
				}
			}
			s = s.again()
			for _, email := range []string{"after1@example.com", "after2@example.com"} {
				deliver(email)
			}
			if got := len(box.all()); got != 6 {
				t.Errorf("%d letters came, want 6", got)
			}
		})
	}
}

// clearLog removes what belongs to the log that is replaced.
func clearLog(t *testing.T, dir string) string {
	t.Helper()
	for _, pattern := range []string{"acknowledged", "events.db*", "keys.db*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", pattern, found, err)
		}
		for _, file := range found {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
