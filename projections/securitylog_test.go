package projections

import (
	"fmt"
	"testing"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

func TestEveryEventIsListedOrNot(t *testing.T) {
	for name := range account.Contract {
		if _, ok := labels[name]; !ok {
			t.Errorf("the security log does not say whether it lists %s", name)
		}
	}
	for name := range labels {
		if _, ok := account.Contract[name]; !ok {
			t.Errorf("the security log speaks of %s, which is no event", name)
		}
	}
}

func TestSecurityLogTellsWhoAndWhere(t *testing.T) {
	w := newWorld(t)
	w.happens("a", 0, created("ada@example.com", "hash"), started("s"), account.Accessed{}, account.SignedOutEverywhere{}, account.SessionRevoked{ID: "s"})
	w.runToEnd(w.models)
	a, _ := w.account("a")
	got, err := w.models.SecurityLog(t.Context(), a, 10, 0)
	same(t, "error", err, nil)
	line := func(label string, second int64) LogEntry {
		return LogEntry{label, moment(second), "192.0.2.7", "curl/8", "ada@example.com", "Ada", event.ActorUser}
	}
	same(t, "log", got, []LogEntry{line("session.delete", 3), line("session.create", 1), line("user.create", 0)})
}

func issued(p account.Purpose) account.Event { return account.TokenIssued{ID: "t", Purpose: p} }
func used(p account.Purpose) account.Event   { return account.TokenUsed{ID: "t", Purpose: p} }

func TestSecurityLogTellsWhatASecretWasFor(t *testing.T) {
	w := newWorld(t)
	w.happens("a", 0, created("ada@example.com", "hash"), issued(account.ForMagicURL), used(account.ForMagicURL), started("s"),
		issued(account.ForEmailVerification), used(account.ForEmailVerification), account.EmailVerified{},
		issued(account.ForPhoneCode), account.WrongCodeGiven{}, issued(account.ForEmailCode), issued(account.ForPhoneVerification),
		used(account.ForPhoneVerification), issued(account.ForRecovery), used(account.ForRecovery), password("other"), account.SignUpTried{})
	w.runToEnd(w.models)
	a, _ := w.account("a")
	got, err := w.models.SecurityLog(t.Context(), a, 100, 0)
	same(t, "error", err, nil)
	lines := []string{}
	for _, e := range got {
		lines = append(lines, e.Event)
	}
	same(t, "lines", lines, []string{
		"user.update", "recovery.update", "recovery.create", "verification.update", "verification.create", "session.create", "session.create",
		"verification.update", "verification.create", "session.create", "session.create", "user.create",
	})
	same(t, "total", a.Logged, len(lines))
}

func TestSecurityLogPages(t *testing.T) {
	w := newWorld(t)
	events := []account.Event{created("ada@example.com", "hash")}
	for i := range 250 { // more than are read at once, with what is not listed in between
		events = append(events, renamed(fmt.Sprint(i)), account.Accessed{}, account.WrongPasswordGiven{})
	}
	w.happens("a", 0, events...)
	w.runToEnd(w.models)
	a, _ := w.account("a")
	same(t, "total", a.Logged, 251)

	w.happens("a", int64(len(events)), renamed("later")) // after the row was read
	all, err := w.models.SecurityLog(t.Context(), a, 1000, 0)
	same(t, "all", []any{len(all), err}, []any{251, nil})
	for _, c := range []struct{ limit, offset, want int }{
		{25, 0, 25}, {25, 240, 11}, {1, 250, 1}, {25, 251, 0}, {25, 5000, 0}, {0, 0, 0}, {100, 100, 100}, {1000, 1, 250},
	} {
		page, err := w.models.SecurityLog(t.Context(), a, c.limit, c.offset)
		same(t, "error", err, nil)
		same(t, fmt.Sprint(c), page, append([]LogEntry{}, all[min(c.offset, 251):min(c.offset, 251)+c.want]...))
	}
}

func TestSecurityLogOfSomebodyForgotten(t *testing.T) {
	w := newWorld(t)
	w.appends("a", 0, w.forgotten(w.proposed(0, created("a@example.com", "hash")))...)
	w.runToEnd(w.models)
	a, _ := w.account("a")
	got, err := w.models.SecurityLog(t.Context(), a, 10, 0)
	same(t, "error", err, nil)
	same(t, "log", got, []LogEntry{{Event: "user.create", At: moment(0), ActorKind: event.ActorUser}})
}
