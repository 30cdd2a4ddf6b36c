//go:build linux

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Whoever mistypes is told which key is wrong, in one line and with exit code 2, and no value of theirs is printed: it
// may be a secret.
func TestWrongConfigurationNamesTheKey(t *testing.T) {
	t.Parallel()
	const wrong = "wrong-value"
	for key, c := range map[string]struct{ text, env string }{
		"listen":                             {env: "ACTA_LISTEN=" + wrong},
		"lisen":                              {text: "lisen: " + wrong},
		"log.level":                          {env: "ACTA_LOG_LEVEL=" + wrong},
		"secret_key":                         {text: strings.Replace(configuration, "secret_key: ", "secret_key: "+wrong, 1)},
		"rate_limits":                        {text: "rate_limits: " + wrong},
		"projects":                           {text: "projects: []"},
		"projects[0].keys[0].secret":         {text: strings.ReplaceAll(configuration, apiKey, wrong)},
		"projects[0].auth.session_limit":     {text: strings.Replace(configuration, "session_limit: 100", "session_limit: 101", 1)},
		"ACTA_PROJECTS_0_AUTH_SESSION_LIMIT": {env: "ACTA_PROJECTS_0_AUTH_SESSION_LIMIT=" + wrong},
		"trusted_proxies[0]":                 {env: "ACTA_TRUSTED_PROXIES=" + wrong},
		"public_url":                         {env: "ACTA_PUBLIC_URL=" + wrong},
		"acta.yaml":                          {env: "ACTA_CONFIG=/nowhere/acta.yaml"},
	} {
		if c.text == "" {
			c.text = configuration
		}
		dir := filepath.Join(t.TempDir(), "data")
		_, stderr, code := run(t, program(t, []string{"ACTA_CONFIG=" + file(t, "acta.yaml", c.text), "ACTA_DATA_DIR=" + dir, c.env}, "serve"))
		if code != 2 || !strings.Contains(stderr, key) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, wrong) {
			t.Errorf("%s: exit %d: %s", key, code, stderr)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: the data folder was touched", key)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, program(t, nil, "version"))
	if code != 0 || !regexp.MustCompile(`^acta \d+\.\d+\.\d+\S*\ncommit \S+( \(modified\))?\ngo1\.\S+ linux/\S+\n$`).MatchString(stdout) || stderr != "" {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
}

// What is printed can be shown to others: it says what is in effect, and no secret.
func TestConfigurationIsPrintedWithoutSecrets(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := run(t, program(t, []string{
		"ACTA_CONFIG=" + file(t, "acta.yaml", configuration), "ACTA_LISTEN=127.0.0.1:4711", "ACTA_SMTP_URL=smtp://acta:wr0ngh0rse@mail.example.com",
		"ACTA_SMTP_FROM=Acta <no-reply@example.com>",
	}, "config", "print"))
	if code != 0 || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, secret := range []string{apiKey, "5f0c3a1e9d8b7a6c", "wr0ngh0rse"} {
		if strings.Contains(stdout, secret) {
			t.Errorf("%s is printed:\n%s", secret, stdout)
		}
	}
	for _, shown := range []string{"listen: 127.0.0.1:4711", "id: demo", "secret_key: '***'", "session_limit: 100", "session_duration: 8760h", "smtp://acta:***@mail.example.com"} {
		if !strings.Contains(stdout, shown) {
			t.Errorf("%s is not printed:\n%s", shown, stdout)
		}
	}
}

// Ctrl-C in a terminal ends it as well as a supervisor's SIGTERM does, and what development mode made up is kept.
func TestDevelopmentModeKeepsItsKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := launch(t, dir)
	p := newPerson()
	s.want(t, http.StatusCreated, "", "POST", "/v1/account", p.signUp())
	s.signal(syscall.SIGINT)
	s.awaitEnd()
	key := demoKey(t, dir)
	if n := strings.Count(s.log.String(), key); n != 1 || !strings.Contains(s.log.String(), "development mode") {
		t.Errorf("the key is printed %d times:\n%s", n, s.log)
	}

	s = s.again()
	s.want(t, http.StatusConflict, "", "POST", "/v1/account", p.signUp())
	s.stop()
	if demoKey(t, dir) != key || strings.Contains(s.log.String(), key) {
		t.Errorf("the key is another one after the restart, or is printed again:\n%s", s.log)
	}
}

func demoKey(t *testing.T, dir string) string {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(dir, "demo.key"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(key))
}
