package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"go.yaml.in/yaml/v3"

	"github.com/actahq/acta/domain/project"
)

// config is what the operator says: a YAML file, overridden by environment variables. A field's place in the file is
// its variable's name: log.level is ACTA_LOG_LEVEL, the first project's id is ACTA_PROJECTS_0_ID.
type config struct {
	Listen           string   `yaml:"listen" env:"LISTEN"`
	PublicURL        string   `yaml:"public_url" env:"PUBLIC_URL"` // base of every link, without a slash at the end
	DataDir          string   `yaml:"data_dir" env:"DATA_DIR"`
	SecretKey        string   `yaml:"secret_key" env:"SECRET_KEY" secret:"true"` // 64 hex characters; read it with secretKey
	EventStore       string   `yaml:"event_store" env:"EVENT_STORE"`
	EventStoreListen string   `yaml:"event_store_listen" env:"EVENT_STORE_LISTEN"`
	EventStoreCert   string   `yaml:"event_store_tls_cert" env:"EVENT_STORE_TLS_CERT"` // PEM files, for event_store_listen
	EventStoreKey    string   `yaml:"event_store_tls_key" env:"EVENT_STORE_TLS_KEY"`
	EventStoreUser   string   `yaml:"event_store_user" env:"EVENT_STORE_USER"` // whom event_store_listen serves; "" = everybody
	EventStorePass   string   `yaml:"event_store_password" env:"EVENT_STORE_PASSWORD" secret:"true"`
	EventStoreName   string   `yaml:"event_store_advertise" env:"EVENT_STORE_ADVERTISE"` // host:port that clients are told
	ReadModels       string   `yaml:"read_models" env:"READ_MODELS"`
	MetricsListen    string   `yaml:"metrics_listen" env:"METRICS_LISTEN"`
	TrustedProxies   []string `yaml:"trusted_proxies" env:"TRUSTED_PROXIES"` // CIDRs
	RateLimits       bool     `yaml:"rate_limits" env:"RATE_LIMITS"`
	InboxOpen        bool     `yaml:"inbox_open" env:"INBOX_OPEN"` // of the development mode, also to other machines
	Log              logging  `yaml:"log" envPrefix:"LOG_"`
	SMTP             smtp     `yaml:"smtp" envPrefix:"SMTP_"`
	SMS              sms      `yaml:"sms" envPrefix:"SMS_"`
	Projects         projects `yaml:"projects" envPrefix:"PROJECTS"`

	development bool // nobody configured anything: everything that is missing is made up
}

type logging struct {
	Level  string `yaml:"level" env:"LEVEL"`   // debug, info, warn, error
	Format string `yaml:"format" env:"FORMAT"` // text, json
}

type smtp struct {
	URL  string `yaml:"url" env:"URL"` // smtp:// or smtps://; "" = no mail, or the inbox of the development mode
	From string `yaml:"from" env:"FROM"`
}

type sms struct {
	Provider string `yaml:"provider" env:"PROVIDER"` // "" = none, or the inbox of the development mode
	URL      string `yaml:"url" env:"URL"`
	From     string `yaml:"from" env:"FROM"`
	User     string `yaml:"user" env:"USER"`
	Key      string `yaml:"key" env:"KEY" secret:"true"`
}

// projects are read from the file so that each begins as project.Standard and keeps what its entry does not name.
type projects []project.Project

func (p *projects) UnmarshalYAML(decode func(any) error) error {
	var list []standard
	err := decode(&list)
	*p = make(projects, len(list))
	for i := range list {
		(*p)[i] = project.Project(list[i])
	}
	return err
}

type standard project.Project

func (s *standard) UnmarshalYAML(decode func(any) error) error {
	type plain standard // without this method
	*s = standard(project.Standard())
	return decode((*plain)(s))
}

// configError says which key is wrong and why; the program exits 2.
type configError struct{ err error }

func (e configError) Error() string { return "configuration: " + e.err.Error() }
func (e configError) Unwrap() error { return e.err }

const (
	variablePrefix = "ACTA_"
	projectsPrefix = variablePrefix + "PROJECTS_"
)

// load reads the file at the path, if any, then the environment, and checks the outcome. Without a file and without
// projects in the environment it is the development mode.
func load(path string, environ []string) (config, error) {
	c := config{
		Listen:     "127.0.0.1:8080",
		DataDir:    "./data",
		RateLimits: true,
		Log:        logging{Level: "info", Format: "text"},
	}
	variables := env.ToMap(environ)
	switch {
	case path != "":
		if err := c.read(path); err != nil {
			return config{}, configError{err}
		}
	case !anyBegins(variables, projectsPrefix):
		demo := project.Standard()
		demo.ID, demo.Name, demo.Platforms = "demo", "Demo", []string{"localhost"}
		c.Projects, c.development = projects{demo}, true
	}
	if err := c.override(variables); err != nil {
		return config{}, configError{err}
	}
	if c.PublicURL == "" {
		_, port, _ := net.SplitHostPort(c.Listen) // an impossible address is reported by check
		c.PublicURL = "http://localhost:" + port
	}
	if c.SMTP.From == "" && (c.SMTP.URL == "" || c.development) {
		c.SMTP.From = "Acta <no-reply@localhost>" // no server takes it for another's machine
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if err := c.check(); err != nil {
		return config{}, configError{err}
	}
	return c, nil
}

func (c *config) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err = decoder.Decode(c)
	if errors.Is(err, io.EOF) {
		return nil // an empty file changes nothing
	}
	if _, shape := errors.AsType[*yaml.TypeError](err); shape {
		var tree yaml.Node
		if yaml.Unmarshal(text, &tree) == nil {
			if found := misfit(&tree, reflect.TypeFor[config](), ""); found != nil {
				return found
			}
		}
	}
	return err
}

// misfit finds the first key of the tree that the type does not have or whose value it cannot hold. The YAML library
// tells the line only, and quotes the value, which may be a secret.
func misfit(n *yaml.Node, t reflect.Type, key string) error {
	switch {
	case n.Kind == yaml.DocumentNode:
		return misfit(n.Content[0], t, key)
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		for pair := range slices.Chunk(n.Content, 2) {
			at := strings.TrimPrefix(key+"."+pair[0].Value, ".")
			field, known := fieldOf(t, pair[0].Value)
			if !known {
				return fmt.Errorf("%s: unknown key in line %d", at, pair[0].Line)
			}
			if err := misfit(pair[1], field.Type, at); err != nil {
				return err
			}
		}
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for i, item := range n.Content {
			if err := misfit(item, t.Elem(), fmt.Sprintf("%s[%d]", key, i)); err != nil {
				return err
			}
		}
	case n.Decode(reflect.New(t).Interface()) != nil:
		return fmt.Errorf("%s: not %s in line %d", key, noun(t), n.Line)
	}
	return nil
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for field := range t.Fields() {
		if field.Tag.Get("yaml") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

func noun(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "a duration such as 720h"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice:
		return "a list"
	case t.Kind() == reflect.String:
		return "a text"
	}
	return "a mapping of keys to values"
}

// override sets what the environment names. An empty variable counts as absent; a list of texts is divided by commas,
// a mapping is key:value pairs divided by commas.
func (c *config) override(variables map[string]string) error {
	for anyBegins(variables, fmt.Sprintf("%s%d_", projectsPrefix, len(c.Projects))) {
		c.Projects = append(c.Projects, project.Standard()) // the library would begin with an empty one
	}
	var (
		known   = map[string]bool{}
		current string // the variable being parsed: the library's errors name the Go field only
		wrong   error
	)
	parsers := map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[int]():               func(s string) (any, error) { return strconv.Atoi(s) },
		reflect.TypeFor[bool]():              func(s string) (any, error) { return strconv.ParseBool(s) },
		reflect.TypeFor[time.Duration]():     func(s string) (any, error) { return time.ParseDuration(s) },
		reflect.TypeFor[[]string]():          func(s string) (any, error) { return texts(s), nil },
		reflect.TypeFor[map[string]string](): func(s string) (any, error) { return pairs(s) },
	}
	for t, parse := range parsers {
		parsers[t] = func(s string) (any, error) {
			value, err := parse(s)
			if err != nil && wrong == nil {
				wrong = fmt.Errorf("%s: not %s", current, noun(t))
			}
			return value, err
		}
	}
	err := env.ParseWithOptions(c, env.Options{
		Environment: variables,
		Prefix:      variablePrefix,
		FuncMap:     parsers,
		OnSet:       func(variable string, _ any, _ bool) { current, known[variable] = variable, true },
	})
	if wrong != nil {
		return wrong
	}
	// Only here: Kubernetes adds variables such as ACTA_SERVICE_HOST on its own.
	for _, variable := range slices.Sorted(maps.Keys(variables)) {
		if strings.HasPrefix(variable, projectsPrefix) && !known[variable] {
			return fmt.Errorf("%s: no such key, or the entries before it are missing", variable)
		}
	}
	return err
}

func anyBegins(variables map[string]string, prefix string) bool {
	for variable := range variables {
		if strings.HasPrefix(variable, prefix) {
			return true
		}
	}
	return false
}

func texts(s string) []string {
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func pairs(s string) (map[string]string, error) {
	m := map[string]string{}
	for _, pair := range texts(s) {
		key, value, ok := strings.Cut(pair, ":")
		if !ok {
			return nil, errors.New("no colon")
		}
		m[key] = value
	}
	return m, nil
}
