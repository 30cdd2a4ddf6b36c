//go:build linux

package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/actahq/acta/adapters/sqlite"
)

// writer is a person who changes the preferences again and again, and the journal of what they were told about it.
type writer struct {
	person
	tried, acknowledged int
	padding             string // makes each change larger
}

func (s *server) writers(t *testing.T, n int) []*writer {
	t.Helper()
	all := make([]*writer, n)
	for i, p := range s.people(t, n) {
		all[i] = &writer{person: p}
	}
	return all
}

// write asks for the next change.
func (w *writer) write(s *server) (answer, error) {
	w.tried++
	a, err := s.ask(w.session, "PATCH", "/v1/account/prefs", fmt.Sprintf(`{"prefs":{"n":%d,"padding":%q}}`, w.tried, w.padding))
	if err == nil && a.status == http.StatusOK {
		w.acknowledged = w.tried
	}
	return a, err
}

// writeOne asks until a change is acknowledged.
func (w *writer) writeOne(s *server) error {
	return poll(minute, "a change is acknowledged", func() (bool, error) {
		a, err := w.write(s)
		if err == nil && a.status != http.StatusOK && !a.later() {
			err = &a
		}
		return a.status == http.StatusOK, err
	})
}

// check compares the journal with what is there: nothing acknowledged is missing, and nothing is there that was not
// asked for. What was asked for and not answered may be there or not.
func (w *writer) check(s *server) error {
	a, err := s.insist(func() *http.Request { return s.request(w.session, "GET", "/v1/account/prefs", "") })
	if err != nil {
		return err
	}
	var n int
	if w.acknowledged > 0 {
		if _, err := fmt.Sscanf(string(a.body), `{"n":%d,`, &n); err != nil || a.status != http.StatusOK {
			return fmt.Errorf("read the preferences: %s", a)
		}
	}
	if n < w.acknowledged || n > w.tried {
		return fmt.Errorf("change %d was acknowledged and %d asked for, but %d is there", w.acknowledged, w.tried, n)
	}
	return nil
}

// rows is the read models of a data folder as text.
func rows(t *testing.T, dir string) string {
	t.Helper()
	file, err := sqlite.OpenReader(filepath.Join(dir, "readmodels.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var b strings.Builder
	for _, table := range []string{"accounts", "sessions", "identities"} {
		if err := dump(&b, file.Read, table); err != nil {
			t.Fatalf("read %s: %v", table, err)
		}
	}
	return b.String()
}

func dump(b *strings.Builder, db *sql.DB, table string) error {
	rows, err := db.Query("SELECT * FROM " + table + " ORDER BY project, id")
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		fmt.Fprint(b, table)
		for i, column := range columns {
			fmt.Fprintf(b, " %s=%q", column, fmt.Sprint(values[i]))
		}
		fmt.Fprintln(b)
	}
	return rows.Err()
}

// rebuild makes the read models anew and gives what the program wrote.
func (s *server) rebuild(t *testing.T) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code := run(t, program(t, s.env, "rebuild", "all"))
	if code != 0 {
		t.Fatalf("rebuild: exit %d\n%s%s", code, stdout, stderr)
	}
	return stdout, stderr
}
