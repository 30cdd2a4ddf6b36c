package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The cluster of docker-compose.yml cannot be started where there is no Docker. That Acta would take the configuration
// it is given there, and that .env.example names just what the file asks for, can be seen without.
func TestComposeGivesActaAConfigurationItTakes(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root, ".env.example"))
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]string{ // what .env.example leaves to the operator
		"ACTA_SECRET_KEY":               strings.Repeat("0123456789abcdef", 4),
		"ACTA_PROJECTS_0_KEYS_0_SECRET": strings.Repeat("fedcba9876543210", 4),
		"POSTGRES_PASSWORD":             "secret",
	}
	var named []string
	for _, line := range strings.Split(string(example), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			named = append(named, name)
			if (value == "") != (answers[name] != "") {
				t.Errorf("%s: an empty value in .env.example is for the operator to fill in", name)
			}
			if value != "" {
				answers[name] = value
			}
		}
	}
	// As they stand these two are what they would be without.
	answers["ACTA_PUBLIC_URL"], answers["ACTA_SMTP_FROM"] = "https://accounts.example.com", "Accounts <accounts@example.com>"
	asked := regexp.MustCompile(`\$\{([A-Z0-9_]+)(:\?[^}]*)?\}`)
	var wanted []string
	filled := asked.ReplaceAllStringFunc(string(text), func(s string) string {
		name := asked.FindStringSubmatch(s)[1]
		wanted = append(wanted, name)
		return answers[name]
	})
	slices.Sort(wanted)
	slices.Sort(named)
	if wanted = slices.Compact(wanted); !slices.Equal(wanted, named) {
		t.Errorf("docker-compose.yml asks for %v, .env.example names %v", wanted, named)
	}

	var compose struct {
		Services map[string]struct {
			Environment map[string]string `yaml:"environment"`
			Healthcheck map[string]any    `yaml:"healthcheck"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(filled), &compose); err != nil {
		t.Fatal(err)
	}
	for name, service := range compose.Services {
		if service.Healthcheck == nil {
			t.Errorf("%s has no health check", name)
		}
	}
	for _, name := range []string{"acta-1", "acta-2"} {
		var environ []string
		for key, value := range compose.Services[name].Environment {
			environ = append(environ, key+"="+value)
			if !strings.HasPrefix(key, variablePrefix) {
				t.Errorf("%s: %s is not Acta's", name, key)
			}
		}
		cfg, err := load("", environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		// A variable that Acta does not know would be ignored: taking it away must change something.
		whole, err := masked(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for i := range environ {
			less, err := load("", slices.Delete(slices.Clone(environ), i, i+1))
			if err != nil {
				continue // it is needed
			}
			if part, err := masked(less); err != nil || part == whole && less.SecretKey == cfg.SecretKey {
				t.Errorf("%s: without %s nothing is different", name, strings.SplitN(environ[i], "=", 2)[0])
			}
		}
	}
}
