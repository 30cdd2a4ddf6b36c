package project_test

import (
	"strings"
	"testing"
	"time"

	"github.com/actahq/acta/domain/project"
)

func TestCheckNamesTheValueThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*project.Project)
		names  string // how the complaint begins; empty = none
	}{
		{"the standard project", func(p *project.Project) {}, ""},
		{"an id of one letter", func(p *project.Project) { p.ID = "w" }, ""},
		{"an id of 36 characters", func(p *project.Project) { p.ID = strings.Repeat("w", 36) }, ""},
		{"an id with _ and -", func(p *project.Project) { p.ID = "My_web-app2" }, ""},
		{"no id", func(p *project.Project) { p.ID = "" }, "id:"},
		{"an id of 37 characters", func(p *project.Project) { p.ID = strings.Repeat("w", 37) }, "id:"},
		{"an id with a dot, which ends the project in stream names", func(p *project.Project) { p.ID = "web.shop" }, "id:"},
		{"an id that begins with -", func(p *project.Project) { p.ID = "-web" }, "id:"},
		{"an id with a line end", func(p *project.Project) { p.ID = "web\n" }, "id:"},
		{"an id of other letters", func(p *project.Project) { p.ID = "wéb" }, "id:"},
		{"the reserved id", func(p *project.Project) { p.ID = "console" }, "id:"},
		{"no sessions", func(p *project.Project) { p.Auth.SessionLimit = 0 }, "auth.session_limit:"},
		{"one session", func(p *project.Project) { p.Auth.SessionLimit = 1 }, ""},
		{"100 sessions", func(p *project.Project) { p.Auth.SessionLimit = 100 }, ""},
		{"101 sessions", func(p *project.Project) { p.Auth.SessionLimit = 101 }, "auth.session_limit:"},
		{"sessions of no time", func(p *project.Project) { p.Auth.SessionDuration = time.Second - 1 }, "auth.session_duration:"},
		{"sessions of a second", func(p *project.Project) { p.Auth.SessionDuration = time.Second }, ""},
		{"fewer than no accounts", func(p *project.Project) { p.Auth.UsersLimit = -1 }, "auth.users_limit:"},
		{"fewer than no letters", func(p *project.Project) { p.Auth.LettersLimit = -1 }, "auth.letters_limit:"},
		{"fewer than no text messages", func(p *project.Project) { p.Auth.TextsLimit = -1 }, "auth.texts_limit:"},
		{"20 earlier passwords", func(p *project.Project) { p.Auth.PasswordHistory = 20 }, ""},
		{"21 earlier passwords", func(p *project.Project) { p.Auth.PasswordHistory = 21 }, "auth.password_history:"},
		{"fewer than no earlier passwords", func(p *project.Project) { p.Auth.PasswordHistory = -1 }, "auth.password_history:"},
		{"passwords of 5 bytes", func(p *project.Project) { p.Auth.PasswordMinLength = 5 }, "auth.password_min_length:"},
		{"passwords of 6 bytes", func(p *project.Project) { p.Auth.PasswordMinLength = 6 }, ""},
		{"passwords of 65 bytes", func(p *project.Project) { p.Auth.PasswordMinLength = 65 }, "auth.password_min_length:"},
		{"a key that can be guessed", func(p *project.Project) {
			p.Keys = []project.Key{{Secret: strings.Repeat("k", 16)}, {Secret: strings.Repeat("k", 15)}}
		}, "keys[1].secret:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := project.Standard()
			p.ID = "web"
			c.change(&p)
			err := p.Check()
			if (c.names == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.names) {
				t.Errorf("got %v, want %q", err, c.names)
			}
			if err != nil && len(p.Keys) > 1 && strings.Contains(err.Error(), p.Keys[1].Secret) {
				t.Error("the complaint tells the secret")
			}
		})
	}
}

func TestAKeyAllowsOnlyItsScopes(t *testing.T) {
	k := project.Key{Scopes: []string{"users.read", "sessions.write"}}
	for scope, want := range map[string]bool{"users.read": true, "sessions.write": true, "users.write": false, "users": false, "": false, "*": false} {
		if got := k.Allows(scope); got != want {
			t.Errorf("%q: %v", scope, got)
		}
	}
}
