package account_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
)

// telling is the event with whom it is told to.
func telling(e account.Event, to string) account.Event {
	switch e := e.(type) {
	case account.PasswordChanged:
		e.Personal.Tell = to
		return e
	case account.EmailChanged:
		e.Personal.Tell = to
		return e
	case account.PhoneChanged:
		e.Personal.Tell = to
		return e
	}
	panic("it is told to nobody")
}

// Whoever changes how an account is opened must not be the only one who hears of it: its owner is told where they were
// reached before. What the change brings is never told of itself.
func TestTheContactOfBeforeIsToldOfAChange(t *testing.T) {
	const old, number, locale = "ada@example.com", "+4917612345678", "de"
	next := account.Hold{Claim: "another", Taking: "2"}
	withNumber := account.Created{PhoneHold: phoneHold}
	withNumber.Personal.Phone = number
	changes := map[string]decision{
		"password": func(a account.Account) ([]account.Event, error) {
			return a.ChangePassword(a.Password, "hash 2", false, "", locale)
		},
		"email": func(a account.Account) ([]account.Event, error) {
			return a.ChangeEmail("new@example.com", next, "", locale)
		},
		"phone": func(a account.Account) ([]account.Event, error) {
			return a.ChangePhone("+4917600000000", next, "", locale)
		},
		"email and a first password": func(a account.Account) ([]account.Event, error) {
			return a.ChangeEmail("new@example.com", next, "hash 2", locale)
		},
		"phone and a first password": func(a account.Account) ([]account.Event, error) {
			return a.ChangePhone("+4917600000000", next, "hash 2", locale)
		},
		"recovery": func(a account.Account) ([]account.Event, error) {
			return a.Recover(account.Token{ID: "t", Purpose: account.ForRecovery}, "hash 2", false, locale)
		},
		"a provider's address": enter(entry(account.BySession, takingMail)),
	}
	type told []string // of each event that changes a contact or the password; "" = nobody is
	for _, c := range []struct {
		name  string
		given []account.Event
		want  map[string]told
	}{
		{"an address that was proved", list(created(), called, account.EmailVerified{}, account.PhoneVerified{}),
			map[string]told{"password": {old}, "email": {old}, "phone": {old}, "recovery": {old}}},
		{"an address that was not proved is told as long as it is the account's", list(created(), called),
			map[string]told{"password": {old}, "email": {""}, "phone": {old}, "recovery": {"", old}}},
		{"a number that was proved, rather than an address that was not", list(created(), called, account.PhoneVerified{}),
			map[string]told{"password": {number}, "email": {number}, "phone": {number}}},
		{"a number alone", list(withNumber, account.PhoneVerified{}, started("a", noon.Add(time.Hour))),
			map[string]told{"password": {number}, "email and a first password": {number, number}, "phone and a first password": {number, number}, "a provider's address": {number}}},
		{"a number alone that was not proved", list(withNumber, started("a", noon.Add(time.Hour))),
			map[string]told{"password": {""}, "email and a first password": {"", ""}, "phone and a first password": {"", ""}, "a provider's address": {""}}},
		{"nothing: the address that an anonymous account begins with is no change", list(account.Created{}, started("a", noon.Add(time.Hour))),
			map[string]told{"password": {""}, "email and a first password": {"", ""}, "phone and a first password": {"", ""}, "a provider's address": {""}}},
		{"an address that was changed and not proved again", list(created(), account.EmailVerified{}, emailChanged("ada@example.org", next, account.Hold{})),
			map[string]told{"password": {"ada@example.org"}, "email": {""}, "phone": {"ada@example.org"}}},
	} {
		for change, want := range c.want {
			t.Run(c.name+"/"+change, func(t *testing.T) {
				events, err := changes[change](fold(c.given...))
				if err != nil {
					t.Fatal(err)
				}
				var got told
				for _, e := range events {
					to, in := "", ""
					switch e := e.(type) {
					case account.PasswordChanged:
						to, in = e.Personal.Tell, e.Locale
						if e.Recovered != (change == "recovery") {
							t.Errorf("recovered: %v", e.Recovered)
						}
					case account.EmailChanged:
						to, in = e.Personal.Tell, e.Locale
					case account.PhoneChanged:
						to, in = e.Personal.Tell, e.Locale
					default:
						continue
					}
					if got = append(got, to); to != "" && in != locale {
						t.Errorf("%s is told in %q", e.EventType(), in)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("told (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestANumberThatWasProvedIsToldInTheLanguageOfWhoProvedIt(t *testing.T) {
	verified := account.PhoneVerified{Locale: "de"}
	session := started("s", noon.Add(time.Hour))
	session.Locale = "de"
	for name, decide := range map[string]decision{
		"by verifying it": func(a account.Account) ([]account.Event, error) {
			return a.Verify(account.Token{ID: "t", Purpose: account.ForPhoneVerification}, "de")
		},
		"by signing in": func(a account.Account) ([]account.Event, error) {
			return a.SignInWithToken(account.Token{ID: "t", Purpose: account.ForPhoneCode}, session, 10, false, noon)
		},
	} {
		events, err := decide(fold(created(), called))
		if err != nil || len(events) < 2 || events[1] != account.Event(verified) {
			t.Errorf("%s: %v, %v", name, events, err)
		}
	}
}
