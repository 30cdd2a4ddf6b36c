package projections

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// begun is the row of an account that was created with created("ada@example.com", "hash") in the first second.
func begun() Account {
	at := moment(0)
	return Account{
		Project: "shop", ID: "a.da", CreatedAt: at, UpdatedAt: at, Name: "Ada", Email: "ada@example.com", PasswordUpdatedAt: at,
		Prefs: json.RawMessage("{}"), AccessedAt: at, EmailTarget: "target", EmailTargetCreatedAt: at, EmailTargetUpdatedAt: at, Logged: 1,
	}
}

func TestAccountAfterEvents(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		first := created("ada@example.com", "hash")
		for name, c := range map[string]struct {
			then []account.Event
			row  func(*Account)
		}{
			"created":      {nil, func(*Account) {}},
			"name changed": {[]account.Event{renamed("Countess")}, func(a *Account) { a.Name, a.UpdatedAt, a.Logged = "Countess", moment(1), 2 }},
			"email changed": {[]account.Event{moved("a@example.org")}, func(a *Account) {
				a.Email, a.UpdatedAt, a.EmailTargetUpdatedAt, a.Logged = "a@example.org", moment(1), moment(1), 2
			}},
			"email verified": {[]account.Event{account.EmailVerified{}}, func(a *Account) { a.EmailVerified, a.UpdatedAt = true, moment(1) }},
			"a verified address changed": {[]account.Event{account.EmailVerified{}, moved("a@example.org")}, func(a *Account) {
				a.Email, a.UpdatedAt, a.EmailTargetUpdatedAt, a.Logged = "a@example.org", moment(2), moment(2), 2
			}},
			"phone changed":  {[]account.Event{called("+491761")}, func(a *Account) { a.Phone, a.UpdatedAt, a.Logged = "+491761", moment(1), 2 }},
			"phone verified": {[]account.Event{called("+491761"), account.PhoneVerified{}}, func(a *Account) { a.Phone, a.PhoneVerified, a.UpdatedAt, a.Logged = "+491761", true, moment(2), 2 }},
			"a verified phone changed": {[]account.Event{called("+491761"), account.PhoneVerified{}, called("+491762")}, func(a *Account) {
				a.Phone, a.UpdatedAt, a.Logged = "+491762", moment(3), 3
			}},
			"a secret sent and used to sign in": {[]account.Event{issued(account.ForMagicURL), used(account.ForMagicURL)}, func(a *Account) { a.Logged = 2 }},
			"a secret sent and used to recover": {[]account.Event{issued(account.ForRecovery), used(account.ForRecovery)}, func(a *Account) { a.Logged = 3 }},
			"password changed": {[]account.Event{password("other")}, func(a *Account) {
				a.PasswordUpdatedAt, a.UpdatedAt, a.Logged = moment(1), moment(1), 2
			}},
			"prefs changed": {[]account.Event{prefs(`{"b":9007199254740993,"a":"é"}`)}, func(a *Account) {
				a.Prefs, a.UpdatedAt, a.Logged = json.RawMessage(`{"b":9007199254740993,"a":"é"}`), moment(1), 2
			}},
			"blocked":                {[]account.Event{account.Blocked{}}, func(a *Account) { a.Blocked, a.UpdatedAt, a.Logged = true, moment(1), 2 }},
			"accessed":               {[]account.Event{account.Accessed{}}, func(a *Account) { a.AccessedAt = moment(1) }},
			"password rehashed":      {[]account.Event{account.PasswordRehashed{}}, func(*Account) {}},
			"wrong password":         {[]account.Event{account.WrongPasswordGiven{}}, func(*Account) {}},
			"claim lapsed":           {[]account.Event{account.ClaimLapsed{}}, func(*Account) {}},
			"session started":        {[]account.Event{started("s")}, func(a *Account) { a.AccessedAt, a.Logged = moment(1), 2 }},
			"session extended":       {[]account.Event{started("s"), account.SessionExtended{ID: "s"}}, func(a *Account) { a.AccessedAt, a.Logged = moment(1), 3 }},
			"session ended":          {[]account.Event{started("s"), account.SessionEnded{ID: "s"}}, func(a *Account) { a.AccessedAt, a.Logged = moment(1), 3 }},
			"signed out everywhere":  {[]account.Event{started("s"), account.SignedOutEverywhere{}, account.SessionRevoked{ID: "s"}}, func(a *Account) { a.AccessedAt, a.Logged = moment(1), 3 }},
			"deleted":                {[]account.Event{account.Deleted{}}, nil},
			"a claim lapses for one": {[]account.Event{account.Deleted{}, account.ClaimLapsed{}}, nil},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOn(t, on)
				w.happens("a.da", 0, append([]account.Event{first}, c.then...)...)
				w.runToEnd(w.models)
				got, there := w.account("a.da")
				var want Account
				if c.row != nil {
					want = begun()
					want.Revision = int64(len(c.then))
					c.row(&want)
				}
				same(t, "is there", there, c.row != nil)
				same(t, "row", got, want)
			})
		}
	})
}

func TestAccountWithoutPasswordOrAddress(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a.da", 0, account.Created{}, moved("ada@example.com"))
		w.runToEnd(w.models)
		got, _ := w.account("a.da")
		same(t, "row", got, Account{
			Project: "shop", ID: "a.da", CreatedAt: moment(0), UpdatedAt: moment(1), Email: "ada@example.com",
			Prefs: json.RawMessage("{}"), AccessedAt: moment(0), Logged: 2, Revision: 1,
		})
	})
}

func TestClaimLapsedBeforeTheAccountIsCreated(t *testing.T) {
	w := newWorld(t)
	w.happens("a.da", 0, account.ClaimLapsed{}, created("ada@example.com", "hash"))
	w.runToEnd(w.models)
	got, _ := w.account("a.da")
	same(t, "revision and logged", []int64{got.Revision, int64(got.Logged)}, []int64{1, 1})
}

func TestForgottenPersonProjects(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.appends("a", 0, w.forgotten(w.proposed(0, created("a@example.com", "hash"), renamed("A"), moved("b@example.com"),
			prefs("{}"), password("p"), started("s")))...)
		w.runToEnd(w.models)
		got, _ := w.account("a")
		same(t, "what is personal", []string{got.Name, got.Email, string(got.Prefs)}, []string{"", "", "{}"})
		s, ok, err := w.models.Session(t.Context(), "shop", "a", "s", dawn)
		same(t, "session", []any{s.IP, s.UserAgent, s.ProviderUID, ok, err}, []any{"", "", "", true, nil})
	})
}

func TestCountAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		w.happens("a", 0, created("a@example.com", ""))
		w.happens("b", 0, created("b@example.com", ""))
		w.happens("c", 0, created("c@example.com", ""), account.Deleted{})
		w.runToEnd(w.models)
		for project, want := range map[string]int{"shop": 2, "other": 0} {
			n, err := w.models.CountAccounts(t.Context(), project)
			same(t, project, []any{n, err}, []any{want, nil})
		}
	})
}

// What is stored must have the order of time as text, and come back in UTC with its milliseconds.
func TestTimesKeepOrderAndValue(t *testing.T) {
	onBoth(t, func(t *testing.T, on place) {
		w := newWorldOn(t, on)
		zone := time.FixedZone("", -7*3600)
		times := []time.Time{dawn, dawn.Add(time.Millisecond), dawn.Add(10 * time.Millisecond), dawn.Add(100 * time.Millisecond), dawn.Add(120 * time.Millisecond), dawn.Add(time.Second).In(zone), dawn.Add(24 * time.Hour)}
		for i, at := range times {
			s := started(string(rune('a' + i)))
			s.Expires = at
			w.happens(s.ID, 0, created("x@example.com", ""), s)
		}
		w.runToEnd(w.models)
		var ordered []Session
		if err := w.db.Read().NewSelect().Model(&ordered).Order("expires").Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, at := range times {
			same(t, "expires", ordered[i].Expires, at)
			same(t, "zone", ordered[i].Expires.Location().String(), "UTC")
			all, err := w.models.Sessions(t.Context(), "shop", ordered[i].AccountID, at)
			same(t, "at the moment it expires", []any{len(all), err}, []any{0, nil})
			all, err = w.models.Sessions(t.Context(), "shop", ordered[i].AccountID, at.Add(-time.Millisecond))
			same(t, "a millisecond before", []any{len(all), err}, []any{1, nil})
		}
	})
}

func TestStreamNames(t *testing.T) {
	for stream, want := range map[string]struct {
		key Key
		err error
	}{
		"account-shop.ada":   {Key{"shop", "ada"}, nil},
		"account-shop.a.d.a": {Key{"shop", "a.d.a"}, nil},
		"account-shop":       {Key{}, errStream},
		"claim-shop.ada":     {Key{}, errStream},
	} {
		key, err := accountOf(stream)
		same(t, stream, []any{key, err}, []any{want.key, want.err})
		if err == nil {
			same(t, "and back", key.accountStream(), stream)
		}
	}
}

func TestEvolveLeavesTheRowAsItIs(t *testing.T) {
	w := newWorld(t)
	w.happens("a.da", 0, created("ada@example.com", "hash"), renamed("B"), prefs(`{"a":1}`), account.Blocked{})
	var row *Account
	for _, e := range w.recorded() {
		var before Account
		if row != nil {
			before = *row
		}
		next, err := accounts{}.Evolve(row, e)
		if err != nil {
			t.Fatal(err)
		}
		if row != nil {
			same(t, e.Type, *row, before)
		}
		row = next
	}
}

func TestEventOutOfOrderIsRefused(t *testing.T) {
	w := newWorld(t)
	w.happens("a.da", 0, created("ada@example.com", "hash"), renamed("B"), renamed("C"))
	events := w.recorded()
	row, err := accounts{}.Evolve(nil, events[0])
	same(t, "first", err, nil)
	for _, e := range []event.Recorded{events[0], events[2]} { // again, and one left out
		_, err = accounts{}.Evolve(row, e)
		same(t, "out of order", err, errOrder)
	}
}
