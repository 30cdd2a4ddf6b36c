//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEveryWayInWithTheBrowserLibrary(t *testing.T) {
	t.Parallel()
	libraries(t)
	startWithPostbox(t).script(t, "--import", "./cookies.mjs", "waysin.mjs")
}

func TestEveryWayInWithoutCookies(t *testing.T) {
	t.Parallel()
	libraries(t)
	startWithPostbox(t).script(t, "--import", "./localstorage.mjs", "waysin.mjs")
}

func TestEveryWayInWithTheLibraryOfGeneration14(t *testing.T) {
	t.Parallel()
	libraries(t)
	startWithPostbox(t).script(t, "--import", "./localstorage.mjs", "waysin14.mjs")
}

func TestEveryLetterOpensAPrivateProjectToItsReader(t *testing.T) {
	t.Parallel()
	libraries(t)
	startWithPostbox(t, "ACTA_PROJECTS_0_AUTH_PRIVACY=true").script(t, "--import", "./localstorage.mjs", "private.mjs")
}

func startWithPostbox(t *testing.T, env ...string) *server {
	t.Helper()
	box := newPostbox(t)
	s := start(t, t.TempDir(), append(box.env(), env...)...)
	s.letters = box.web.URL
	return s
}

// recovery asks for a letter to a person.
func (s *server) recovery(p person) error {
	return s.letter("/v1/account/recovery", fmt.Sprintf(`{"email":%q,"url":"http://localhost/page"}`, p.email))
}

// magicURL asks for a letter to an address that may be nobody's.
func (s *server) magicURL(email string) error {
	return s.letter("/v1/account/tokens/magic-url", fmt.Sprintf(`{"userId":"unique()","email":%q,"url":"http://localhost/page"}`, email))
}

// letter asks for a letter, and insists: who was told to come back may get one for each time they asked.
func (s *server) letter(path, body string) error {
	a, err := s.insist(func() *http.Request { return s.request("", "POST", path, body) })
	if err == nil && a.status != http.StatusCreated {
		err = &a
	}
	return err
}

// A thousand letters wait while the mail server is out of order. Requests do not notice; afterwards all arrive, once.
func TestLettersOutliveADeadMailServer(t *testing.T) {
	t.Parallel()
	const many = 1000
	box := newPostbox(t)
	s := start(t, t.TempDir(), box.env()...)
	address := func(i int) string { return fmt.Sprintf("reader%d@example.com", i) }
	slowest := func(from, to int) time.Duration {
		var mu sync.Mutex
		var slowest time.Duration
		each(t, 8, func(g int) error {
			for i := from + g; i < to; i += 8 {
				began := time.Now()
				if err := s.magicURL(address(i)); err != nil {
					return err
				}
				mu.Lock()
				slowest = max(slowest, time.Since(began))
				mu.Unlock()
			}
			return nil
		})
		return slowest
	}
	well := slowest(0, many/2)
	box.fail(true)
	ill := slowest(many/2, many)
	t.Logf("slowest of %d requests: %s while mail goes out, %s while it cannot", many/2, well, ill)
	box.fail(false)
	for i := range many {
		if _, err := box.next(address(i)); err != nil {
			t.Fatal(err)
		}
	}
	later := strings.Count(s.log.String(), "status=503") // and asked once more
	if came := len(box.all()); came > many+later || box.repeated(t) > 0 {
		t.Errorf("%d letters arrived, %d of them again, want %d and at most %d more", came, box.repeated(t), many, later)
	}
}

// A letter that was asked for arrives, whenever the program dies. Each death sends one letter a second time at the most,
// as the same message.
func TestLettersOutliveKilling(t *testing.T) {
	t.Parallel()
	const rounds, each = 10, 10
	box := newPostbox(t)
	s := start(t, t.TempDir(), box.env()...)
	asked := map[string]bool{}
	for round := range rounds {
		var mu sync.Mutex
		var all sync.WaitGroup
		answered := make(chan struct{}, each)
		for i := range each {
			all.Go(func() {
				email := fmt.Sprintf("reader%d.%d@example.com", round, i)
				if s.magicURL(email) == nil {
					mu.Lock()
					asked[email] = true
					mu.Unlock()
				}
				answered <- struct{}{}
			})
		}
		for range 1 + round%each {
			<-answered
		}
		s.kill() // the others are on their way, and so are letters
		all.Wait()
		s = s.again()
	}
	for email := range asked {
		if _, err := box.next(email); err != nil {
			t.Error(err)
		}
	}
	duplicates := box.repeated(t)
	if len(asked) < rounds || duplicates > rounds {
		t.Errorf("%d were asked for, %d came twice", len(asked), duplicates)
	}
	t.Logf("%d letters were asked for in %d rounds, %d came twice", len(asked), rounds, duplicates)
}

// Making the read models anew sends nobody a letter.
func TestRebuildingSendsNoLetters(t *testing.T) {
	t.Parallel()
	box := newPostbox(t)
	s := start(t, t.TempDir(), box.env()...)
	person := s.people(t, 1)[0]
	if err := s.recovery(person); err != nil {
		t.Fatal(err)
	}
	if _, err := box.next(person.email); err != nil {
		t.Fatal(err)
	}
	s.rebuild(t)
	if err := s.magicURL("last@example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := box.next("last@example.com"); err != nil { // whatever the rebuild had sent would have come before
		t.Fatal(err)
	}
	if got := len(box.all()); got != 2 {
		t.Errorf("%d letters came, want 2", got)
	}
}

// Whoever takes an account over changes its password, address and number. Its owner hears of each, where they were reached
// before, and from where it was done; the address that an intruder brings along is in no letter and gets none.
func TestEveryChangeIsToldToTheContactOfBefore(t *testing.T) {
	t.Parallel()
	const phone, other = "+491764444444", "+491765555555"
	box := newPostbox(t)
	s := start(t, t.TempDir(), box.env()...)
	p, taken := newPerson(), newID()+"@example.com"
	if err := s.signUp(p); err != nil {
		t.Fatal(err)
	}
	session, _, err := s.signIn(p)
	if err != nil {
		t.Fatal(err)
	}
	next := func(to string) delivered {
		t.Helper()
		l, err := box.next(to)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	told := func(to, sentence string) {
		t.Helper()
		l := next(to)
		if !strings.Contains(l.Text, sentence) || strings.Contains(l.Text+l.HTML, taken) || strings.Contains(l.Text+l.HTML, "://") {
			t.Errorf("%s was told %q, want %q", to, l.Text, sentence)
		}
		if l.HTML != "" && (l.Subject != "Security alert: a change to your Demo account" || !strings.Contains(l.Text, "IP address: 127.0.0.1\n")) {
			t.Errorf("%s: %s\n%s", to, l.Subject, l.Text)
		}
	}
	change := func(what, body string) {
		t.Helper()
		s.want(t, http.StatusOK, session, "PATCH", "/v1/account/"+what, body)
	}
	verified := func(what, secret string) {
		t.Helper()
		s.want(t, http.StatusOK, session, "PUT", "/v1/account/verifications/"+what, fmt.Sprintf(`{"userId":%q,"secret":%q}`, p.id, secret))
	}

	s.want(t, http.StatusCreated, session, "POST", "/v1/account/verifications/email", `{"url":"http://localhost/page"}`)
	verified("email", next(p.email).link(t).Get("secret"))
	change("password", fmt.Sprintf(`{"password":"another horse","oldPassword":%q}`, p.password))
	told(p.email, "The password of your Demo account was changed.")
	if err := s.recovery(p); err != nil {
		t.Fatal(err)
	}
	s.want(t, http.StatusOK, "", "PUT", "/v1/account/recovery", fmt.Sprintf(`{"userId":%q,"secret":%q,"password":"a third horse"}`, p.id, next(p.email).link(t).Get("secret")))
	told(p.email, "The password of your Demo account was reset with a link from an email to this address.")
	p.password = "a third horse"
	if session, _, err = s.signIn(p); err != nil { // recovering ends sessions
		t.Fatal(err)
	}

	change("phone", fmt.Sprintf(`{"phone":%q,"password":%q}`, phone, p.password))
	told(p.email, "The phone number of your Demo account was changed.")
	s.want(t, http.StatusCreated, session, "POST", "/v1/account/verifications/phone", "")
	verified("phone", next(phone).Text)
	told(p.email, "The phone number of your Demo account was verified.")

	change("email", fmt.Sprintf(`{"email":%q,"password":%q}`, taken, p.password))
	told(p.email, "The email address of your Demo account was changed.")
	change("phone", fmt.Sprintf(`{"phone":%q,"password":%q}`, other, p.password)) // nobody has proved the new address
	told(phone, "The phone number of your Demo account was changed.")

	// What else was sent to the address that came along would have come before this, and what did would be more.
	s.want(t, http.StatusCreated, session, "POST", "/v1/account/verifications/email", `{"url":"http://localhost/page"}`)
	if l := next(taken); !strings.HasPrefix(l.Subject, "Account Verification") {
		t.Errorf("%s was sent %q", taken, l.Subject)
	}
	if got := len(box.all()); got != 10 {
		t.Errorf("%d letters came, want 10", got)
	}
}

// Of a hundred who use one secret at the same moment, on two instances, one succeeds.
func TestASecretWorksOnceOnAllInstances(t *testing.T) {
	t.Parallel()
	const rounds = 10
	box := newPostbox(t)
	c := newCluster(t, 2, box.env()...)
	decide(t, rounds, func(round int) bool {
		email := fmt.Sprintf("once%d@example.com", round)
		if err := c.members[0].now().magicURL(email); err != nil {
			t.Fatal(err)
		}
		letter, err := box.next(email)
		if err != nil {
			t.Fatal(err)
		}
		link := letter.link(t)
		body := fmt.Sprintf(`{"userId":%q,"secret":%q}`, link.Get("userId"), link.Get("secret"))
		_, decided := contest(t, 100, func(i int) (answer, error) {
			return c.members[i%2].now().ask("", "PUT", "/v1/account/sessions/magic-url", body)
		}, http.StatusUnauthorized, "user_invalid_token")
		return decided
	})
}
