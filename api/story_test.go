package api

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/vault"
)

// One life of an account on the parts of the real program: files, and the vault before the log.
func TestALifeOverTheRealLogAndVault(t *testing.T) {
	dir := t.TempDir()
	log, err := embedded.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := vault.Open(dir, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the projectors ended
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, func(p *plan) { p.log = keys.Log(log) })
	s := w.member(ada)
	w.ask("GET /v1/account", nil, s.cookie()).is(200).gives(goldenAda)
	w.ask("PATCH /v1/account/prefs", `{"prefs":{"personal":{"a":"kept in the preferences"}}}`, s.cookie()).is(200)
	w.ask("GET /v1/account/logs", nil, s.cookie()).is(200)
	w.ask("PATCH /v1/account/email", `{"email":"countess@mail.test","password":"hunter-of-ada"}`, s.cookie()).is(200)
	var list LogList
	w.ask("GET /v1/account/logs", nil, s.cookie()).is(200).read(&list)
	w.same("addresses then", []string{list.Logs[0].UserEmail, list.Logs[1].UserEmail}, []string{"countess@mail.test", "ada@mail.test"})
	w.ask("DELETE /v1/account", nil, s.cookie()).is(204)
	w.ask("GET /v1/account", nil, s.cookie()).is(401)
	w.signUp(person{"ada-2", ada.Email, ada.Password, ""})

	// In the log nothing of it stands in clear.
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		for _, secret := range append(personal, s.secret(t), "kept in the preferences") {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %q", path, secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOfManySignUpsWithOneAddressOneWins(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	const rivals = 50
	statuses := make([]int, rivals)
	var all sync.WaitGroup
	for i := range rivals {
		all.Go(func() {
			email := strings.Replace(ada.Email, "ada", []string{"ada", "ADA", "Ada"}[i%3], 1)
			statuses[i] = w.ask("POST /v1/account", ada.body("userId", fmt.Sprintf("rival-%d", i), "email", email)).status
		})
	}
	all.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	w.same("answers", count, map[int]int{201: 1, 409: rivals - 1})
}

// Many clients of all kinds at once: nobody is taken for somebody else, and whoever was answered reads what they wrote.
func TestManyClientsAtOnce(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	const people = 8
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			p := person{fmt.Sprintf("p%d", i), fmt.Sprintf("p%d@mail.test", i), fmt.Sprintf("hunter-of-p%d", i), "none"}
			w.ask("POST /v1/account", p.body()).refuses(201, "")
			s := w.signIn(p)
			for n := range 5 {
				name := fmt.Sprintf("%d of %d", n, i)
				for _, asked := range []string{"PATCH /v1/account/name", "GET /v1/account"} {
					a := w.ask(asked, map[string]string{"name": name}, s.header())
					if a.status != 200 || a.member("$id") != p.ID || a.member("name") != name || a.member("email") != p.Email {
						t.Errorf("%s as %s: %d %s", asked, p.ID, a.status, a.body)
					}
				}
			}
			if a := w.ask("DELETE /v1/account/sessions/current", nil, s.header()); a.status != 204 {
				t.Errorf("sign-out of %s: %d", p.ID, a.status)
			}
			if a := w.ask("GET /v1/account", nil, s.header()); a.status != 401 {
				t.Errorf("%s after the sign-out: %d", p.ID, a.status)
			}
		})
	}
	all.Wait()
}

func TestExpiryIsExactWhateverTheClockDoes(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.SessionDuration = time.Hour })
	s := w.member(ada)
	w.clock.move(-24 * time.Hour)
	w.ask("GET /v1/account", nil, s.header()).is(200)
	w.clock.move(25 * time.Hour)
	w.ask("GET /v1/account", nil, s.header()).is(401)
	w.clock.move(-25 * time.Hour)
	w.ask("DELETE /v1/account/sessions/current", nil, s.header()).is(204)
	w.clock.move(-1000 * time.Hour)
	w.ask("GET /v1/account", nil, s.header()).is(401) // what ended does not come back
}
