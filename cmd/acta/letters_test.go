package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/commands/process"
)

// runLetters runs `acta letters` under a configuration and gives what it prints.
func runLetters(cfg config, args ...string) (string, error) {
	cmd := lettersCommand(func(work func(*cobra.Command, config, []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error { return work(cmd, cfg, args) }
	})
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.Execute()
	return out.String(), err
}

// withSome gives a letterbox with a letter of each status, as a program that serves has it open.
func withSome(t *testing.T, cfg config) *letterbox.Box {
	t.Helper()
	var db readModelStore
	if cfg.ReadModels != "" {
		p, err := database.OpenPostgres(t.Context(), cfg.ReadModels)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		if err := p.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		db = p
	}
	box, err := openLetterbox(cfg, db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, l := range []process.Letter{
		{ID: "0001", Kind: "verification", Status: process.Sent, Attempts: 1},
		{ID: "0002", Kind: "recovery", Status: process.Failed, Attempts: 1, Problem: "550 no such mailbox"},
		{ID: "0003", Kind: "otp", Status: process.Abandoned, Expires: at.Add(time.Minute), Problem: "the letter has expired"},
		{ID: "0004", Kind: "session-alert", Status: process.Queued, Attempts: 12},
	} {
		at = at.Add(time.Second)
		l.Channel, l.CreatedAt, l.UpdatedAt, l.NextTry = "email", at, at, at.Add(time.Minute)
		if err := errors.Join(box.Add(t.Context(), l), box.Update(t.Context(), l)); err != nil {
			t.Fatal(err)
		}
	}
	return box
}

func TestOperatorsSeeLettersAndHaveThemSentAgain(t *testing.T) {
	for name, cfg := range map[string]config{
		"SQLite":   {DataDir: t.TempDir()},
		"Postgres": {ReadModels: postgrestest.Database(t)},
	} {
		t.Run(name, func(t *testing.T) {
			box := withSome(t, cfg)
			for _, c := range []struct {
				args []string
				want string
			}{
				{[]string{"list"}, `
ID    STATUS     KIND           CHANNEL  ATTEMPTS  NEXT TRY              EXPIRES               CREATED               PROBLEM
0004  queued     session-alert  email    12        2026-03-01T12:01:04Z  never                 2026-03-01T12:00:04Z  
0003  abandoned  otp            email    0         -                     2026-03-01T12:01:00Z  2026-03-01T12:00:03Z  the letter has expired
0002  failed     recovery       email    1         -                     never                 2026-03-01T12:00:02Z  550 no such mailbox
0001  sent       verification   email    1         -                     never                 2026-03-01T12:00:01Z  
`},
				{[]string{"list", "--status", "failed"}, `
ID    STATUS  KIND      CHANNEL  ATTEMPTS  NEXT TRY  EXPIRES  CREATED               PROBLEM
0002  failed  recovery  email    1         -         never    2026-03-01T12:00:02Z  550 no such mailbox
`},
				{[]string{"list", "--limit=1"}, `
ID    STATUS  KIND           CHANNEL  ATTEMPTS  NEXT TRY              EXPIRES  CREATED               PROBLEM
0004  queued  session-alert  email    12        2026-03-01T12:01:04Z  never    2026-03-01T12:00:04Z  
`},
				{[]string{"retry", "0001", "0003", "0002", "0002"}, "\nqueued again: 1\nleft alone: 2, which are unknown, queued, sent or expired\n"},
				{[]string{"retry"}, "\nqueued again: 0\n"},
			} {
				got, err := runLetters(cfg, c.args...)
				if diff := cmp.Diff(c.want, "\n"+got); diff != "" || err != nil {
					t.Errorf("%v: %v (-want +got):\n%s", c.args, err, diff)
				}
			}
			due, err := box.Due(t.Context(), "email", time.Now(), 10)
			if err != nil || len(due) != 2 || due[1].ID != "0002" || due[1].Attempts != 0 {
				t.Errorf("the program that serves sees %+v, %v", due, err)
			}
		})
	}
}

func TestLettersRefusesWhatItCannotDo(t *testing.T) {
	cfg := config{DataDir: t.TempDir()}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list", "--status", "lost"}, "--status"},
		{[]string{"list", "--limit", "0"}, "--limit"},
		{[]string{"list", "0001"}, "unknown command"},
		{[]string{"list"}, "there are no letters yet in the data_dir " + cfg.DataDir},
		{[]string{"retry"}, "there are no letters yet in the data_dir " + cfg.DataDir},
		{[]string{"lst"}, "unknown command"},
	} {
		if out, err := runLetters(cfg, c.args...); err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
			t.Errorf("%v: %q, %v", c.args, out, err)
		}
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, lettersFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made a file: %v", err)
	}

	withSome(t, cfg)
	for _, ids := range [][]string{{"0009"}, {"0001", "0003", "0004"}} {
		if out, err := runLetters(cfg, append([]string{"retry"}, ids...)...); err == nil || out != "" {
			t.Errorf("retry %v: %q, %v", ids, out, err)
		}
	}
}

// The inbox tells codes and links: neither a foreign page that was made to lead here nor the network may read it.
func TestTheInboxIsServedToThisMachine(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		host, peer       string
		served, whenOpen bool
	}{
		{"localhost", "127.0.0.1:4711", true, true},
		{"localhost:8080", "127.0.0.1:4711", true, true},
		{"127.0.0.1:8080", "127.0.0.1:4711", true, true},
		{"127.0.0.2", "127.0.0.2:4711", true, true},
		{"[::1]:8080", "[::1]:4711", true, true},
		{"localhost", "[::ffff:127.0.0.1]:4711", true, true},
		{"box.test", "127.0.0.1:4711", true, true},
		{"box.test:8080", "127.0.0.1:4711", true, true},
		{"evil.test", "127.0.0.1:4711", false, false},
		{"evil.test:8080", "127.0.0.1:4711", false, false},
		{"localhost.evil.test", "127.0.0.1:4711", false, false},
		{"192.168.1.5:8080", "127.0.0.1:4711", false, false},
		{"", "127.0.0.1:4711", false, false},
		{"localhost:8080", "192.168.1.9:4711", false, true},
		{"box.test:8080", "172.17.0.1:4711", false, true},
		{"localhost", "[fe80::1%eth0]:4711", false, true},
		{"localhost", "@", false, true},
		{"evil.test", "172.17.0.1:4711", false, false},
	} {
		for open, served := range map[bool]bool{false: c.served, true: c.whenOpen} {
			r := httptest.NewRequest("GET", "/inbox", nil)
			r.Host, r.RemoteAddr = c.host, c.peer
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
			w := httptest.NewRecorder()
			onlyAt("http://box.test:8080", open, ok).ServeHTTP(w, r)
			if (w.Code == http.StatusOK) != served {
				t.Errorf("%q from %s, open %t: %d", c.host, c.peer, open, w.Code)
			}
		}
	}
}

func TestWhoIsReachedFromElsewhereIsKnown(t *testing.T) {
	for address, here := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:8080": true, "[::1]:8080": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "192.168.1.5:8080": false, "box.test:8080": false,
	} {
		if onlyHere(address) != here {
			t.Errorf("%s: %t", address, !here)
		}
	}
}
