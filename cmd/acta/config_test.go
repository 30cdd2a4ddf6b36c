package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/actahq/acta/domain/project"
)

const (
	example = "../../acta.example.yaml"
	goodKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

func TestWithoutConfigurationItIsTheDevelopmentMode(t *testing.T) {
	got, err := load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	demo := project.Standard()
	demo.ID, demo.Name, demo.Platforms = "demo", "Demo", []string{"localhost"}
	want := config{
		Listen:      "127.0.0.1:8080",
		PublicURL:   "http://localhost:8080",
		DataDir:     "./data",
		RateLimits:  true,
		Log:         logging{Level: "info", Format: "text"},
		SMTP:        smtp{From: "Acta <no-reply@localhost>"},
		Projects:    projects{demo},
		development: true,
	}
	if diff := diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDevelopmentModeEndsWhereProjectsAreConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		environ []string
		want    bool
	}{
		"other variables":         {"", []string{"ACTA_LISTEN=:80"}, true},
		"a file":                  {file(t, "projects: [{id: a}]"), nil, false},
		"projects as a variable":  {"", []string{"ACTA_PROJECTS_0_ID=a"}, false},
		"an empty file with both": {file(t, ""), []string{"ACTA_PROJECTS_0_ID=a"}, false},
	} {
		got, err := load(c.path, c.environ)
		if err != nil || got.development != c.want {
			t.Errorf("%s: development %v, %v; want %v", name, got.development, err, c.want)
		}
	}
}

func TestExampleIsCompleteAndShowsTheDefaults(t *testing.T) {
	got, err := load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves(reflect.ValueOf(&got).Elem(), "") {
		if !strings.Contains(string(text), leaf.key+":") {
			t.Errorf("%s is not in the example", leaf.key)
		}
	}
	want, err := load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	want.development, got.Projects[0].Auth.MockNumbers = false, nil
	got.Projects = projects{{ID: "demo", Name: "Demo", Platforms: []string{"localhost"}, Auth: got.Projects[0].Auth}}
	if diff := diff(want, got); diff != "" {
		t.Errorf("the example does not show the defaults (-default +example):\n%s", diff)
	}
}

func TestProjectsOfTheFileBeginAsStandard(t *testing.T) {
	c, err := load(file(t, `
projects:
  - id: one
    auth: {session_limit: 3, methods: {jwt: false}}
  - id: two
`), []string{"ACTA_PROJECTS_1_AUTH_SESSION_DURATION=90m", "ACTA_PROJECTS_2_ID=three", "ACTA_PROJECTS_2_KEYS_0_SECRET=standard_0123456789"})
	if err != nil {
		t.Fatal(err)
	}
	one, two, three := project.Standard(), project.Standard(), project.Standard()
	one.ID, one.Auth.SessionLimit, one.Auth.Methods.JWT = "one", 3, false
	two.ID, two.Auth.SessionDuration = "two", 90*time.Minute
	three.ID, three.Keys = "three", []project.Key{{Secret: "standard_0123456789"}}
	if diff := diff(projects{one, two, three}, c.Projects); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Each variable is set alone on the whole example: it changes its key and nothing else.
func TestEveryKeyHasAVariable(t *testing.T) {
	read := func() config {
		c, err := load(example, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	shape := read()
	all := leaves(reflect.ValueOf(&shape).Elem(), "ACTA")
	if len(all) < 60 {
		t.Fatalf("only %d keys found in the example", len(all))
	}
	for i, leaf := range all {
		want, got := read(), read()
		target := leaves(reflect.ValueOf(&want).Elem(), "ACTA")[i].value
		text := "changed"
		switch value := target.Interface().(type) {
		case int:
			text = "7"
			target.SetInt(7)
		case bool:
			text = fmt.Sprint(!value)
			target.SetBool(!value)
		case time.Duration:
			text = "90m"
			target.SetInt(int64(90 * time.Minute))
		case []string:
			text = "a, b"
			target.Set(reflect.ValueOf([]string{"a", "b"}))
		case map[string]string:
			text = "id:sub, name:full"
			target.Set(reflect.ValueOf(map[string]string{"id": "sub", "name": "full"}))
		default:
			target.SetString(text)
		}
		if err := got.override(map[string]string{leaf.variable: text}); err != nil {
			t.Errorf("%s: %v", leaf.variable, err)
		}
		if diff := diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", leaf.variable, diff)
		}
	}
}

func TestEmptyVariableCountsAsAbsent(t *testing.T) {
	c, err := load("", []string{"ACTA_LISTEN=", "ACTA_RATE_LIMITS=", "ACTA_TRUSTED_PROXIES="})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || !c.RateLimits || c.TrustedProxies != nil {
		t.Errorf("listen %q, rate limits %v, proxies %v", c.Listen, c.RateLimits, c.TrustedProxies)
	}
}

func TestPublicURLFollowsListenUntilNamed(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{[]string{"ACTA_LISTEN=0.0.0.0:9999"}, "http://localhost:9999"},
		{[]string{"ACTA_LISTEN=:9999", "ACTA_PUBLIC_URL=https://a.example/acta/"}, "https://a.example/acta"},
	} {
		got, err := load("", c.environ)
		if err != nil || got.PublicURL != c.want {
			t.Errorf("%v: %q, %v; want %q", c.environ, got.PublicURL, err, c.want)
		}
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	demo := func(entry string) string { return "projects:\n  - id: demo\n    " + entry }
	for _, c := range []struct {
		name, yaml string
		environ    string
		want       string
	}{
		{"unknown key", "listn: :80", "", "listn: unknown key in line 1"},
		{"unknown nested key", demo("auth:\n      sesion_limit: 3"), "", "projects[0].auth.sesion_limit: unknown key in line 4"},
		{"not a number", demo("auth: {users_limit: 1, session_limit: ten}"), "", "projects[0].auth.session_limit: not a whole number in line 3"},
		{"not a duration", demo("auth: {session_duration: 10}"), "", "projects[0].auth.session_duration: not a duration such as 720h in line 3"},
		{"not a boolean", "rate_limits: maybe", "", "rate_limits: not true or false in line 1"},
		{"not a list", demo("keys: standard_0123456789abcdef"), "", "projects[0].keys: not a list in line 3"},
		{"not a mapping", "log: info", "", "log: not a mapping of keys to values in line 1"},
		{"not a text", demo("keys: [{secret: [a]}]"), "", "projects[0].keys[0].secret: not a text in line 3"},
		{"a key twice", "listen: :80\nlisten: :81", "", `mapping key "listen" already defined at line 1`},
		{"not YAML", "listen: [", "", "yaml: line 1: did not find expected node content"},

		{"variable not a number", demo(""), "ACTA_PROJECTS_0_AUTH_SESSION_LIMIT=ten", "ACTA_PROJECTS_0_AUTH_SESSION_LIMIT: not a whole number"},
		{"variable not a boolean", demo(""), "ACTA_RATE_LIMITS=maybe", "ACTA_RATE_LIMITS: not true or false"},
		{"variable not a mapping", demo(""), "ACTA_PROJECTS_0_OAUTH_0_FIELDS=id", "ACTA_PROJECTS_0_OAUTH_0_FIELDS: not a mapping of keys to values"},
		{"unknown variable of a project", demo(""), "ACTA_PROJECTS_0_AUTH_SESION_LIMIT=3", "ACTA_PROJECTS_0_AUTH_SESION_LIMIT: no such key"},
		{"variable beyond the list", demo(""), "ACTA_PROJECTS_2_ID=c", "ACTA_PROJECTS_2_ID: no such key, or the entries before it are missing"},
		{"value of a variable", demo(""), "ACTA_PROJECTS_0_AUTH_SESSION_LIMIT=0", "projects[0].auth.session_limit: 0 is not between 1 and 100"},

		{"listen", "listen: localhost", "", "listen: not an address"},
		{"listen on a named port", "listen: localhost:http", "", "listen: not an address"},
		{"metrics_listen", "metrics_listen: 9090", "", "metrics_listen: not an address"},
		{"event_store_tls_key", "event_store_tls_cert: a.pem", "", "event_store_tls_key: goes with event_store_tls_cert"},
		{"event_store_password", "event_store_user: ada", "", "event_store_password: goes with event_store_user"},
		{"event_store_user without TLS", "event_store_user: ada\nevent_store_password: secret", "", "event_store_user: needs event_store_tls_cert"},
		{"event_store_advertise", "event_store_advertise: here", "", "event_store_advertise: not an address"},
		{"event_store_listen", "event_store_listen: here", "", "event_store_listen: not an address"},
		{"event_store_listen of a server's log", "event_store_listen: 127.0.0.1:2113\nevent_store: esdb://host:2113\nread_models: postgres://host/db", "", "event_store_listen: only the embedded event log can be served"},
		{"public_url", "public_url: accounts.example.com", "", "public_url: not a URL"},
		{"public_url with a query", "public_url: https://a.example/?a=b", "", "public_url: not a URL"},
		{"data_dir", `data_dir: ""`, "", "data_dir: names no folder"},
		{"short secret_key", "secret_key: abc", "", "secret_key: must be 64 hex characters"},
		{"secret_key not hex", "secret_key: " + strings.Repeat("x", 64), "", "secret_key: must be 64 hex characters"},
		{"weak secret_key", "secret_key: " + strings.Repeat("ab", 32), "", "secret_key: must be 64 hex characters, not all of the same byte"},
		{"event_store", "event_store: http://host:2113", "", "event_store: not a URL such as esdb://"},
		{"event_store without shared keys", "event_store: esdb://user:pass@host:2113", "", "event_store: a server's log needs read_models in Postgres"},
		{"read_models", "read_models: mysql://user:pass@host/db", "", "read_models: not a URL such as postgres://"},
		{"trusted_proxies", "trusted_proxies: [10.0.0.0/8, 10.0.0.1]", "", "trusted_proxies[1]: not a CIDR"},
		{"log.level", "log: {level: verbose}", "", "log.level: not debug, info, warn or error"},
		{"log.format", "log: {format: xml}", "", "log.format: not text or json"},
		{"smtp.url", "smtp: {url: 'mail.example.com:25'}", "", "smtp.url: not a URL"},
		{"smtp.from", "smtp: {from: nobody}", "", "smtp.from: not an address"},
		{"smtp.from with a server", demo("") + "\nsmtp: {url: 'smtp://mail.example.com'}", "", "smtp.from: missing"},
		{"smtp.url with tls that shows the password", demo("") + "\nsmtp: {from: a@example.com, url: 'smtp://a:b@mail.example.com?tls=opportunistic'}", "", "smtp.url: tls=opportunistic does not protect the password"},
		{"smtp.url with another tls", demo("") + "\nsmtp: {from: a@example.com, url: 'smtp://mail.example.com?tls=maybe'}", "", "smtp.url: tls is required, opportunistic or none"},
		{"sms without a sender", demo("") + "\nsms: {provider: twilio, user: a, key: b}", "", "sms.from: missing"},
		{"sms without a user", demo("") + "\nsms: {provider: telesign, key: b}", "", "sms.user: missing"},
		{"sms without a key", demo("") + "\nsms: {provider: textmagic, user: a}", "", "sms.key: missing"},
		{"sms.provider", "sms: {provider: pigeon}", "", "sms.provider: not webhook"},
		{"sms.url of the webhook", "sms: {provider: webhook}", "", "sms.url: not a URL"},
		{"no projects", "listen: :80", "", "projects: name at least one"},
		{"project without an id", "projects: [{name: A}]", "", `projects[0].id: "" is not`},
		{"two projects of one id", "projects: [{id: a}, {id: b}, {id: a}]", "", "projects[2].id: another project has it"},
		{"rule of the project", demo("auth: {password_history: 21}"), "", "projects[0].auth.password_history: 21 is not between"},
		{"platform with a scheme", demo("platforms: [localhost, 'http://localhost']"), "", "projects[0].platforms[1]: not a host name"},
		{"platform with a port", demo("platforms: ['localhost:3000']"), "", "projects[0].platforms[0]: not a host name"},
		{"platform with a star inside", demo("platforms: [a.*.example]"), "", "projects[0].platforms[0]: not a host name"},
		{"scheme with a colon", demo("schemes: ['myapp://']"), "", "projects[0].schemes[0]: not a custom URL scheme"},
		{"dangerous scheme", demo("schemes: [myapp, javascript]"), "", "projects[0].schemes[1]: not a custom URL scheme"},
		{"short key", demo("keys: [{secret: short}]"), "", "projects[0].keys[0].secret: shorter than 16 characters"},
		{"two keys of one secret", demo("keys: [{secret: standard_0123456789}, {secret: standard_0123456789}]"), "", "projects[0].keys[1].secret: another key has it"},
		{"mock phone", demo("auth: {mock_numbers: [{phone: '5550100', otp: '123456'}]}"), "", "projects[0].auth.mock_numbers[0].phone: not a phone number"},
		{"mock code", demo("auth: {mock_numbers: [{phone: '+15555550100', otp: '12345'}]}"), "", "projects[0].auth.mock_numbers[0].otp: not six digits"},
		{"provider without a name", demo("oauth: [{client_id: a}]"), "", "projects[0].oauth[0].provider: names no provider"},
		{"provider without a client", demo("oauth: [{provider: github}]"), "", "projects[0].oauth[0].client_id: empty"},
		{"provider twice", demo("oauth: [{provider: github, client_id: a}, {provider: github, client_id: b}]"), "", "projects[0].oauth[1].provider: another entry has it"},
		{"provider address", demo("oauth: [{provider: mock, client_id: a, token_url: nowhere}]"), "", "projects[0].oauth[0].token_url: not a URL"},
		{"webhook address", demo("webhooks: [{name: crm}]"), "", "projects[0].webhooks[0].url: not a URL"},
	} {
		_, err := load(file(t, c.yaml), []string{c.environ})
		if _, typed := err.(configError); !typed || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant a configuration error with %q", c.name, err, c.want)
		}
	}
}

func TestMissingFileIsAConfigurationError(t *testing.T) {
	_, err := load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	if _, typed := err.(configError); !typed {
		t.Errorf("got %v", err)
	}
}

func TestNamesThatAreAllowed(t *testing.T) {
	_, err := load(file(t, `
listen: :8080
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
secret_key: `+goodKey+`
smtp: {url: "smtps://user:password@mail.example.com", from: no-reply@example.com}
sms: {provider: webhook, url: "http://127.0.0.1:9/sms"}
projects:
  - id: demo
    platforms: [localhost, "*.example.com", "*", 127.0.0.1, "::1", com.example.app, EXAMPLE.com]
    schemes: [myapp, appwrite-callback-demo, com.example.app]
    keys: [{secret: standard_0123abcd}]
  - id: other
    keys: [{secret: standard_0123abcd}]
`), nil)
	if err != nil {
		t.Error(err)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args, environ string
		code          int
		out, err      string
	}{
		{"version", "", 0, "acta " + version + "\ncommit ", ""},
		{"config print", "ACTA_LISTEN=:80", 0, "listen: :80\n", ""},
		{"config print --config " + example, "ACTA_CONFIG=nowhere.yaml", 0, "id: demo", ""},
		{"config print", "ACTA_CONFIG=nowhere.yaml", 2, "", "acta: configuration: open nowhere.yaml: no such file or directory\n"},
		{"serve", "ACTA_LISTEN=here", 2, "", "acta: configuration: listen: " + noAddress + "\n"},
		{"dance", "", 1, "", "acta: unknown command \"dance\" for \"acta\"\n"},
		{"letters lst", "", 1, "", "acta: unknown command \"lst\" for \"acta letters\"\n"},
		{"config prnt", "", 1, "", "acta: unknown command \"prnt\" for \"acta config\"\n"},
		{"letters", "", 0, "letters [command]", ""},
		{"rebuild", "", 1, "", "acta: requires at least 1 arg(s), only received 0\n"},
	} {
		var out, err strings.Builder
		code := run(t.Context(), strings.Fields(c.args), []string{c.environ}, &out, &err)
		if code != c.code || !strings.Contains(out.String(), c.out) || err.String() != c.err {
			t.Errorf("acta %s with %s: exit code %d\n%s%s", c.args, c.environ, code, &out, &err)
		}
	}
}

func TestMaskedShowsNoSecret(t *testing.T) {
	c, err := load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets := 0
	for _, leaf := range leaves(reflect.ValueOf(&c).Elem(), "") {
		if leaf.secret {
			leaf.value.SetString("canary")
			secrets++
		}
	}
	if secrets < 8 {
		t.Fatalf("only %d secrets found", secrets)
	}
	c.SMTP.URL = "smtps://user:can%40ary@mail.example.com:465"
	c.EventStore = "esdb://admin:canary@host:2113?tls=true"
	c.ReadModels = "postgres://acta@host/db?sslmode=require&password=canary"
	c.SMS.URL = "https://sms.example/send?token=canary#top"
	c.Projects[0].Webhooks[0].URL = "https://user:canary@crm.example/hook"
	before := fmt.Sprintf("%+v", c)

	text, err := masked(c)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "canary") || strings.Contains(text, "ary@") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	for _, want := range []string{
		"smtps://user:***@mail.example.com:465",
		"esdb://admin:***@host:2113?tls=true",
		"postgres://acta@host/db?sslmode=require&password=***",
		"https://sms.example/send?token=***#top",
		"https://user:***@crm.example/hook",
		`secret_key: '***'`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in:\n%s", want, text)
		}
	}
	if after := fmt.Sprintf("%+v", c); after != before {
		t.Error("masking changed the configuration itself")
	}
}

func TestMaskedShowsWhetherASecretIsSet(t *testing.T) {
	c, err := load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := masked(c)
	if err != nil || !strings.Contains(text, `secret_key: ""`) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestSecretKeyIsReadAndOnlyMadeInDevelopment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, _, err := secretKey(config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "configuration: secret_key: empty, and there is no") {
		t.Fatalf("outside the development mode without a key: %v", err)
	}
	made, generated, err := secretKey(config{DataDir: dir, development: true})
	if err != nil || !generated || len(made) != 32 {
		t.Fatalf("first start in development: %x, %v, %v", made, generated, err)
	}
	for name, c := range map[string]config{
		"the next start":               {DataDir: dir, development: true},
		"outside the development mode": {DataDir: dir},
	} {
		again, generated, err := secretKey(c)
		if err != nil || generated || !bytes.Equal(again, made) {
			t.Errorf("%s: %x, %v, %v; want %x", name, again, generated, err, made)
		}
	}
	given, generated, err := secretKey(config{DataDir: dir, SecretKey: strings.ToUpper(goodKey), development: true})
	if err != nil || generated || hex.EncodeToString(given) != goodKey {
		t.Errorf("given in the configuration: %x, %v, %v", given, generated, err)
	}
	owned(t, dir, "secret.key")

	if err := os.WriteFile(filepath.Join(dir, "secret.key"), []byte(strings.Repeat("00", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := secretKey(config{DataDir: dir, development: true}); err == nil {
		t.Error("a weak key in the file was taken")
	}
}

func TestKeysMadeAtTheSameMomentAreOne(t *testing.T) {
	c := config{DataDir: filepath.Join(t.TempDir(), "data"), development: true}
	const racers = 16
	var (
		wait  sync.WaitGroup
		keys  [racers]string
		makes [racers]bool
	)
	for i := range racers {
		wait.Go(func() {
			key, made, err := secretKey(c)
			if err != nil {
				t.Error(err)
			}
			keys[i], makes[i] = string(key), made
		})
	}
	wait.Wait()
	makers := 0
	for i := range racers {
		if keys[i] != keys[0] {
			t.Error("two callers got different keys")
		}
		if makes[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d callers made the key", makers)
	}
	owned(t, c.DataDir, "secret.key")
}

func TestDevelopmentKeyStays(t *testing.T) {
	c := config{DataDir: filepath.Join(t.TempDir(), "data"), development: true}
	first, made, err := developmentKey(c)
	if err != nil || !made || len(first.Secret) != len("standard_")+64 || !strings.HasPrefix(first.Secret, "standard_") {
		t.Fatalf("%+v, %v, %v", first, made, err)
	}
	again, made, err := developmentKey(c)
	if err != nil || made || cmp.Diff(first, again) != "" {
		t.Errorf("%+v, %v, %v; want %+v", again, made, err, first)
	}
	owned(t, c.DataDir, "demo.key")

	if err := os.WriteFile(filepath.Join(c.DataDir, "demo.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if key, _, err := developmentKey(c); err == nil {
		t.Errorf("an empty file gave the key %+v", key)
	}
}

// owned fails unless the folder holds that file alone, for its owner's eyes only.
func owned(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Fatalf("%s holds %v, %v; want %s alone", dir, entries, err, name)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v; want permissions 0600", name, info.Mode(), err)
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acta.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func diff(want, got any) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(config{}), cmpopts.EquateEmpty())
}

// leaf is one value of the configuration that is not made of others.
type leaf struct {
	key      string // the last part of its path
	variable string
	value    reflect.Value
	secret   bool
}

// leaves finds them by the keys of the file, not by the tags for the environment, which are under test.
func leaves(v reflect.Value, path string) []leaf {
	var found []leaf
	for field, value := range v.Fields() {
		key := field.Tag.Get("yaml")
		at := path + "_" + strings.ToUpper(key)
		switch {
		case !field.IsExported():
		case field.Type.Kind() == reflect.Struct:
			found = append(found, leaves(value, at)...)
		case field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct:
			for i := range value.Len() {
				found = append(found, leaves(value.Index(i), fmt.Sprintf("%s_%d", at, i))...)
			}
		default:
			found = append(found, leaf{key, at, value, field.Tag.Get("secret") == "true"})
		}
	}
	return found
}
