//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// answer is what came back from the program.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// Error makes an answer that was not hoped for an error.
func (a *answer) Error() string { return a.String() }

// refusal is the type an answer gives for its no.
func (a answer) refusal() string {
	var e struct{ Type string }
	_ = json.Unmarshal(a.body, &e) // no envelope, no type
	return e.Type
}

// into reads the answer's JSON.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%v: %s", err, a)
	}
}

// freshClient is a client with connections of its own.
func (s *server) freshClient() *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}}
}

func (s *server) request(session, method, path, body string) *http.Request {
	r, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		panic(err) // the tests' own text
	}
	r.Header.Set("X-Appwrite-Project", "demo")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if session != "" {
		r.Header.Set("X-Appwrite-Session", session)
	}
	return r
}

func send(c *http.Client, r *http.Request) (answer, error) {
	response, err := c.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, body}, err
}

// ask sends a request; an empty session is a guest.
func (s *server) ask(session, method, path, body string) (answer, error) {
	return send(s.http, s.request(session, method, path, body))
}

// want sends a request, insists, and fails the test when the answer has another status.
func (s *server) want(t *testing.T, status int, session, method, path, body string) answer {
	t.Helper()
	a, err := s.insist(func() *http.Request { return s.request(session, method, path, body) })
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != status {
		t.Fatalf("%s %s: got %s, want %d", method, path, a, status)
	}
	return a
}

// person is somebody with an account who is signed in.
type person struct {
	id, email, password, session string
}

func newPerson() person {
	id := newID()
	return person{id: id, email: id + "@example.com", password: "correct horse"}
}

func newID() string { return fmt.Sprintf("%020x", rand.Uint64()) }

func (p person) signUp() string {
	return fmt.Sprintf(`{"userId":%q,"email":%q,"password":%q}`, p.id, p.email, p.password)
}

// signInAnonymously makes an account that nothing is known of and gives its session.
func (s *server) signInAnonymously() (session string, err error) {
	a, err := s.insist(func() *http.Request { return s.request("", "POST", "/v1/account/sessions/anonymous", "") })
	if err == nil && a.status != http.StatusCreated {
		err = &a
	}
	var fallback map[string]string
	if err == nil {
		err = json.Unmarshal([]byte(a.header.Get("X-Fallback-Cookies")), &fallback)
	}
	return fallback["a_session_demo"], err
}

// insist sends a request again for as long as the answer is to come back later, as clients do: on a machine that is
// busy with other things the disk and the read models may take longer than an answer waits for them.
func (s *server) insist(r func() *http.Request) (answer, error) {
	return insist(func() (answer, error) { return send(s.http, r()) })
}

func insist(ask func() (answer, error)) (a answer, err error) {
	polled := poll(minute, "an answer other than to come back", func() (bool, error) {
		a, err = ask()
		return err != nil || !a.later(), nil
	})
	if err == nil {
		err = polled
	}
	return a, err
}

// later says that the answer is to come back.
func (a answer) later() bool {
	return a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != ""
}

// signUp makes the account.
func (s *server) signUp(p person) error {
	a, err := s.insist(func() *http.Request { return s.request("", "POST", "/v1/account", p.signUp()) })
	if err == nil && a.status != http.StatusCreated && a.status != http.StatusConflict { // made when it was asked for before
		err = fmt.Errorf("sign up: %s", a)
	}
	return err
}

// signIn signs a person in as a server does, which is told the session's secret.
func (s *server) signIn(p person) (session, id string, err error) {
	a, err := s.insist(func() *http.Request {
		r := s.request("", "POST", "/v1/account/sessions/email", fmt.Sprintf(`{"email":%q,"password":%q}`, p.email, p.password))
		r.Header.Set("X-Appwrite-Key", apiKey)
		return r
	})
	if err != nil {
		return "", "", err
	}
	var m struct {
		ID     string `json:"$id"`
		Secret string
	}
	if err := json.Unmarshal(a.body, &m); err != nil || a.status != http.StatusCreated || m.Secret == "" {
		return "", "", fmt.Errorf("sign in: %w", &a)
	}
	return m.Secret, m.ID, nil
}

// people signs up and in n people.
func (s *server) people(t *testing.T, n int) []person {
	t.Helper()
	all := make([]person, n)
	each(t, n, func(i int) (err error) {
		p := newPerson()
		if err := s.signUp(p); err != nil {
			return err
		}
		p.session, _, err = s.signIn(p)
		all[i] = p
		return err
	})
	return all
}

// each does n things at once and fails the test when one fails.
func each(t *testing.T, n int, do func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	failed := 0
	for i, err := range errs {
		if err != nil {
			if failed++; failed <= 5 {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
	if failed > 0 {
		t.Fatalf("%d of %d failed", failed, n)
	}
}
