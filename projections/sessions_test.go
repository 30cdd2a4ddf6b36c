package projections

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/actahq/acta/domain/account"
)

// open is the row of a session that was started with started(id) in a second.
func open(id string, second int64) Session {
	return Session{
		Project: "shop", ID: id, AccountID: "a", SecretHash: "hash-of-" + id, CreatedAt: moment(second), UpdatedAt: moment(second), Expires: moment(1_000_000),
		Provider: "email", ProviderUID: "ada@example.com", IP: "192.0.2.7", UserAgent: "curl/8", Factors: []string{"password"},
	}
}

func TestSessionsAfterEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		longer := open("s", 1)
		longer.Expires, longer.UpdatedAt = moment(2_000_000), moment(2)
		bare := account.SessionStarted{ID: "s", Expires: moment(9)}
		for name, c := range map[string]struct {
			then []account.Event
			want []Session
		}{
			"none":        {nil, nil},
			"started":     {[]account.Event{started("s")}, []Session{open("s", 1)}},
			"two":         {[]account.Event{started("t"), started("s")}, []Session{open("t", 1), open("s", 2)}},
			"no factors":  {[]account.Event{bare}, []Session{{Project: "shop", ID: "s", AccountID: "a", CreatedAt: moment(1), UpdatedAt: moment(1), Expires: moment(9), IP: "192.0.2.7", UserAgent: "curl/8", Factors: []string{}}}},
			"extended":    {[]account.Event{started("s"), account.SessionExtended{ID: "s", Expires: moment(2_000_000)}}, []Session{longer}},
			"ended":       {[]account.Event{started("s"), started("t"), account.SessionEnded{ID: "s"}}, []Session{open("t", 2)}},
			"revoked":     {[]account.Event{started("s"), started("t"), account.SessionRevoked{ID: "t"}}, []Session{open("s", 1)}},
			"other facts": {[]account.Event{started("s"), renamed("B"), account.Blocked{}, account.Accessed{}, password("p")}, []Session{open("s", 1)}},
			"deleted":     {[]account.Event{started("s"), account.SessionRevoked{ID: "s"}, account.Deleted{}}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOn(t, on)
				w.happens("a", 0, append([]account.Event{created("ada@example.com", "hash")}, c.then...)...)
				w.runToEnd(w.models)
				got, err := w.models.Sessions(t.Context(), "shop", "a", moment(2))
				same(t, "error", err, nil)
				same(t, "rows", got, c.want)
			})
		}
	})
}

// A new event that names a session must be told to the read model.
func TestEveryEventOfASessionIsKnown(t *testing.T) {
	for name, read := range account.Contract {
		e, err := read(json.RawMessage(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		want := false
		switch e.(type) {
		case account.SessionStarted, account.SessionExtended, account.SessionEnded, account.SessionRevoked, account.SessionProved:
			want = true
		}
		same(t, name, ofSession[name], want)
	}
}

func TestBySecret(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", "hash"), started("s"), started("t"), account.SessionEnded{ID: "t"}, prefs(`{"a":1}`), account.Blocked{})
		w.happens("b", 0, created("b@example.com", ""), started("u"))
		w.runToEnd(w.models)
		until := moment(1_000_000)
		for name, c := range map[string]struct {
			project, account, secret string
			now                      time.Time
			want                     bool
		}{
			"right":               {"shop", "a", "hash-of-s", until.Add(-time.Millisecond), true},
			"no password":         {"shop", "b", "hash-of-u", dawn, true},
			"expired":             {"shop", "a", "hash-of-s", until, false},
			"ended":               {"shop", "a", "hash-of-t", dawn, false},
			"another's":           {"shop", "b", "hash-of-s", dawn, false},
			"in another project":  {"bank", "a", "hash-of-s", dawn, false},
			"wrong secret":        {"shop", "a", "hash-of-", dawn, false},
			"account that is not": {"shop", "c", "hash-of-s", dawn, false},
		} {
			t.Run(name, func(t *testing.T) {
				a, in, ok, err := w.models.BySecret(t.Context(), c.project, c.account, c.secret, c.now)
				same(t, "found", []any{ok, err}, []any{c.want, nil})
				if !c.want {
					same(t, "nothing", []any{a, in}, []any{Account{}, SignedIn{}})
					return
				}
				// The one that is scanned by hand must say what the others say.
				wantAccount, _ := w.account(c.account)
				wantSession, _, err := w.models.Session(t.Context(), c.project, c.account, in.Session, c.now)
				same(t, "error", err, nil)
				same(t, "account", a, wantAccount)
				same(t, "factors", in.Factors, wantSession.Factors)
				same(t, "zone", a.CreatedAt.Location().String(), "UTC")
			})
		}
	})
}

func TestOneSession(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", "hash"), started("s"))
		w.runToEnd(w.models)
		for name, c := range map[string]struct {
			account, id string
			now         time.Time
			want        bool
		}{
			"right":     {"a", "s", dawn, true},
			"expired":   {"a", "s", moment(1_000_000), false},
			"another's": {"b", "s", dawn, false},
			"unknown":   {"a", "t", dawn, false},
		} {
			_, ok, err := w.models.Session(t.Context(), "shop", c.account, c.id, c.now)
			same(t, name, []any{ok, err}, []any{c.want, nil})
		}
	})
}
