//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/pquerna/otp/totp"

	"github.com/actahq/acta/adapters/sqlite"
)

// What tells something about a person stands nowhere in clear: not in the log of events, not in the program's log or
// metrics, only in the read models, which it takes to answer. Passwords and sessions stand nowhere at all. When the
// person leaves, the one key to all of it is destroyed.
func TestPersonalDataIsSealedAndForgotten(t *testing.T) {
	t.Parallel()
	const (
		email, newEmail = "tourmaline.canary@example.org", "heliodor.canary@example.net"
		name, newName   = "Wilhelmina Chrysoberyl", "Wilhelmina Alexandrite"
		prefs           = "favourite-stone-is-labradorite"
		agent           = "Mozilla/5.0 (X11; Linux x86_64; chalcedony-canary; rv:77.0) Gecko/20100101 Firefox/77.0"
		ip              = "203.0.113.177"
		password        = "amethyst passphrase"
		newPassword     = "carnelian passphrase"
		wrongPassword   = "obsidian passphrase"
		id              = "canary"
	)
	provider, env := identityProvider(t)
	s := start(t, t.TempDir(), append(env, "ACTA_TRUSTED_PROXIES=127.0.0.0/8", "ACTA_LOG_LEVEL=debug")...)
	ask := func(status int, session, method, path, body string) answer {
		t.Helper()
		a, err := s.insist(func() *http.Request {
			r := s.request(session, method, path, body)
			r.Header.Set("User-Agent", agent)
			r.Header.Set("X-Forwarded-For", ip)
			return r
		})
		if err != nil || a.status != status {
			t.Fatalf("%s %s: got %s %v, want %d", method, path, a, err, status)
		}
		return a
	}
	enter := func(status int, way, body string) (session string) {
		t.Helper()
		a := ask(status, "", "POST", "/v1/account/sessions/"+way, body)
		for _, c := range (&http.Response{Header: a.header}).Cookies() {
			if c.Name == "a_session_demo" {
				session = c.Value
			}
		}
		return session
	}
	signIn := func(status int, email, password string) (session string) {
		t.Helper()
		return enter(status, "email", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	}
	person := fmt.Sprintf(`{"userId":%q,"email":%q,"password":%q,"name":%q}`, id, email, password, name)
	ask(201, "", "POST", "/v1/account", person)
	ask(409, "", "POST", "/v1/account", person)
	signIn(401, email, wrongPassword)
	signIn(401, "x"+email, password)
	first, session := signIn(201, email, password), signIn(201, email, password)
	ask(200, session, "PATCH", "/v1/account/name", fmt.Sprintf(`{"name":%q}`, newName))
	ask(401, session, "PATCH", "/v1/account/email", fmt.Sprintf(`{"email":%q,"password":%q}`, newEmail, wrongPassword))
	ask(200, session, "PATCH", "/v1/account/email", fmt.Sprintf(`{"email":%q,"password":%q}`, newEmail, password))
	ask(200, session, "PATCH", "/v1/account/password", fmt.Sprintf(`{"password":%q,"oldPassword":%q}`, newPassword, password))
	ask(200, session, "PATCH", "/v1/account/prefs", fmt.Sprintf(`{"prefs":{"note":%q}}`, prefs))
	ask(200, session, "GET", "/v1/account", "")
	ask(200, session, "PATCH", "/v1/account/sessions/current", "")
	var current struct{ IP, ClientName string }
	ask(200, session, "GET", "/v1/account/sessions/current", "").into(t, &current)
	if current.IP != ip || current.ClientName == "" {
		t.Fatalf("the session does not know where it is from: %+v", current)
	}
	if logs := ask(200, session, "GET", "/v1/account/logs", ""); !bytes.Contains(logs.body, []byte(email)) || !bytes.Contains(logs.body, []byte(newName)) {
		t.Fatalf("the owner cannot read the security log: %s", logs)
	}
	// Second factors, and an account elsewhere.
	var factor struct {
		Secret        string
		RecoveryCodes []string
	}
	ask(200, session, "POST", "/v1/account/mfa/authenticators/totp", "").into(t, &factor)
	otp, err := totp.GenerateCode(factor.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ask(200, session, "PUT", "/v1/account/mfa/authenticators/totp", fmt.Sprintf(`{"otp":%q}`, otp))
	ask(201, session, "POST", "/v1/account/mfa/recovery-codes", "").into(t, &factor)
	queue(provider, "subject-of-serendibite", "serendibite.canary@example.com", true)
	browser := navigator(t)
	browser.Jar.SetCookies(&url.URL{Scheme: "http", Host: "localhost"}, []*http.Cookie{{Name: "a_session_demo", Value: session}})
	back, err := s.visit(browser, "tokens")
	if err != nil || back.Path != "/in" {
		t.Fatal(back, err)
	}
	visited := session // which ended with it
	session = enter(201, "token", fmt.Sprintf(`{"userId":%q,"secret":%q}`, back.Query().Get("userId"), back.Query().Get("secret")))
	var connected struct {
		Identities []struct{ ProviderUID, ProviderEmail, ProviderAccessToken, ProviderRefreshToken string }
	}
	ask(200, session, "GET", "/v1/account/identities", "").into(t, &connected)
	elsewhere := connected.Identities[0]
	ended := signIn(201, newEmail, newPassword)
	ask(204, ended, "DELETE", "/v1/account/sessions/current", "")
	// What goes wrong is logged, too.
	ask(400, session, "PATCH", "/v1/account/prefs", fmt.Sprintf(`{"prefs":%q}`, prefs))
	ask(400, "", "POST", "/v1/account", fmt.Sprintf(`{"userId":"unique()","email":%q,"password":"x","name":%q}`, email, name))
	ask(400, session, "GET", "/v1/account/logs?queries[0]="+url.QueryEscape(email), "")
	ask(404, session, "GET", "/v1/"+url.PathEscape(newName)+"?email="+email, "")

	personal := []string{
		email, newEmail, name, newName, prefs, agent, "chalcedony-canary", ip, "$argon2id$",
		elsewhere.ProviderUID, elsewhere.ProviderEmail, elsewhere.ProviderAccessToken, elsewhere.ProviderRefreshToken,
	}
	secret := append(factor.RecoveryCodes, password, newPassword, wrongPassword, first, visited, session, ended, apiKey, factor.Secret, back.Query().Get("secret"))
	for _, s := range []string{first, visited, session, ended} {
		var inner struct{ Secret string }
		raw, _ := base64.StdEncoding.DecodeString(s) // an empty secret is found below
		answer{body: raw}.into(t, &inner)
		secret = append(secret, inner.Secret)
	}
	metrics := s.want(t, http.StatusOK, "", "GET", "/metrics", "").body
	search := func() {
		t.Helper()
		for path, content := range files(t, s.dir) {
			if !strings.HasPrefix(filepath.Base(path), "readmodels.db") {
				absent(t, path, content, personal)
			}
			absent(t, path, content, secret)
		}
		absent(t, "the program's log", []byte(s.log.String()), append(personal, secret...))
	}
	absent(t, "metrics", metrics, append(personal, secret...))
	search()
	wrapped := s.wrappedKey(t, id)
	s.stop() // it folds what it wrote together
	search()
	if !strings.Contains(rows(t, s.dir), newEmail) || len(found(files(t, s.dir)["readmodels.db"], newEmail)) == 0 {
		t.Fatal("the search does not find what is there")
	}

	// Leaving.
	s = s.again()
	ask(204, session, "DELETE", "/v1/account", "")
	await(t, minute, "the key's bytes are gone", func() bool {
		for _, content := range files(t, s.dir) {
			if bytes.Contains(content, wrapped) {
				return false
			}
		}
		return true
	})
	if s.wrappedKey(t, id) != nil {
		t.Error("keys.db does not say that the person was forgotten")
	}
	s.rebuild(t) // the history still makes sense
	if strings.Contains(rows(t, s.dir), id) {
		t.Error("the rebuilt read models still show the person")
	}
	ask(201, "", "POST", "/v1/account", strings.Replace(person, id, "another", 1)) // the address is free
	s.stop()
	search()
}

// wrappedKey gives the person's key as it is stored; nil when it is known to have been destroyed.
func (s *server) wrappedKey(t *testing.T, id string) (wrapped []byte) {
	t.Helper()
	file, err := sqlite.OpenReader(filepath.Join(s.dir, "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var forgotten *string
	err = file.Read.QueryRow("SELECT wrapped, forgotten FROM keys WHERE subject = ?", "account-demo."+id).Scan(&wrapped, &forgotten)
	if err != nil || (wrapped == nil) != (forgotten != nil) {
		t.Fatalf("the key of %s: %d bytes, forgotten %v, %v", id, len(wrapped), forgotten, err)
	}
	return wrapped
}

// files gives every file of a folder by its path in it.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if os.IsNotExist(err) {
			continue // the program's own business
		} else if err != nil {
			t.Fatal(err)
		}
		all[f.Name()] = content
	}
	return all
}

func absent(t *testing.T, where string, content []byte, values []string) {
	t.Helper()
	for _, v := range values {
		for _, form := range found(content, v) {
			t.Errorf("%s holds %q as %s", where, v, form)
		}
	}
}

// found says in which forms the content holds the value.
func found(content []byte, value string) (forms []string) {
	lower := bytes.ToLower(content)
	has := func(in []byte, form string, as []byte) {
		if bytes.Contains(in, as) {
			forms = append(forms, form)
		}
	}
	has(lower, "text", []byte(strings.ToLower(value)))
	has(lower, "hex", []byte(hex.EncodeToString([]byte(value))))
	has(lower, "a query", []byte(strings.ToLower(url.QueryEscape(value))))
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(value)) {
		little, big = append(little, byte(unit), byte(unit>>8)), append(big, byte(unit>>8), byte(unit))
	}
	has(content, "UTF-16LE", little)
	has(content, "UTF-16BE", big)
	for before := range 3 { // base64 of a longer text that holds it: the digits that depend on the value alone
		padded := append(make([]byte, before), value...)
		from, to := (before*8+5)/6, len(padded)*8/6
		has(content, "base64", []byte(base64.StdEncoding.EncodeToString(padded)[from:to]))
		has(content, "base64url", []byte(base64.URLEncoding.EncodeToString(padded)[from:to]))
	}
	return forms
}

func TestSearchFindsEveryForm(t *testing.T) {
	const value = "tourmaline ?>~ canary"
	for form, as := range map[string]string{
		"text":      `{"name":"` + strings.ToUpper(value) + `"}`,
		"hex":       strings.ToUpper(hex.EncodeToString([]byte("x" + value))),
		"a query":   "?q=" + url.QueryEscape(value),
		"UTF-16LE":  "t\x00o\x00u\x00r\x00m\x00a\x00l\x00i\x00n\x00e\x00 \x00?\x00>\x00~\x00 \x00c\x00a\x00n\x00a\x00r\x00y\x00",
		"UTF-16BE":  "\x00t\x00o\x00u\x00r\x00m\x00a\x00l\x00i\x00n\x00e\x00 \x00?\x00>\x00~\x00 \x00c\x00a\x00n\x00a\x00r\x00y",
		"base64":    base64.StdEncoding.EncodeToString([]byte(`{"name":"` + value + `"}`)),
		"base64url": base64.URLEncoding.EncodeToString([]byte(`{"names":"` + value + `"}`)),
	} {
		if got := found([]byte(as), value); len(got) == 0 || !strings.Contains(strings.Join(got, " "), form) {
			t.Errorf("%s is not found in %q: %v", form, as, got)
		}
	}
	if got := found([]byte("tourmaline"), value); got != nil {
		t.Errorf("found what is not there: %v", got)
	}
}
