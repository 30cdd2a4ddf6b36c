package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
)

// The one who visits in these tests, and what comes of it, short.

var (
	identityHold = account.Hold{Claim: "github's 42", Taking: "4"}
	mailHold     = account.Hold{Claim: "ada's", Taking: "1"} // that of created
	accessUntil  = noon.Add(8 * time.Hour)
)

func visitor() account.Visitor {
	return account.Visitor{
		Provider: "github", Subject: "42", Email: "ada@example.com", EmailVerified: true, Name: "Ada",
		ProviderTokens: account.ProviderTokens{Access: "access 1", Refresh: "refresh 1", AccessExpires: accessUntil},
	}
}

// entry is the visitor on the way in. Each of changes changes it.
func entry(why account.Why, changes ...func(*account.Entry)) account.Entry {
	e := account.Entry{
		Visitor: visitor(), Why: why, Identity: identityHold, IdentityID: "i", EmailTarget: "target", Limit: 10, Locale: "de",
		Started: account.SessionStarted{ID: "s", SecretHash: "secret of s", Expires: noon.Add(time.Hour)},
	}
	if why == account.BySession {
		e.By = "a"
	}
	if why == account.AsNew {
		e.EmailHold = mailHold
	}
	if why == account.ByAddress {
		e.EmailClaim = "ada's"
	}
	for _, change := range changes {
		change(&e)
	}
	return e
}

func unverified(e *account.Entry) { e.EmailVerified = false }

func nameless(e *account.Entry) { e.Name = "" }

func addressless(e *account.Entry) {
	e.Email, e.EmailVerified, e.EmailHold = "", false, account.Hold{}
}

func withToken(e *account.Entry) { e.Token = oauthToken("") }

func takingMail(e *account.Entry) { e.EmailHold = mailHold }

func tokens(access, refresh string, expires time.Time) func(*account.Entry) {
	return func(e *account.Entry) {
		e.ProviderTokens = account.ProviderTokens{Access: access, Refresh: refresh, AccessExpires: expires}
	}
}

func oauthToken(identity string) account.TokenIssued {
	e := issue("t", account.ForOAuth, noon)
	e.Identity = identity
	return e
}

func enter(e account.Entry) decision {
	return func(a account.Account) ([]account.Event, error) { return a.Enter(e, noon) }
}

// byProvider is the session that a visit starts.
func byProvider(changes ...func(*account.SessionStarted)) account.SessionStarted {
	e := account.SessionStarted{ID: "s", SecretHash: "secret of s", Provider: "github", Factors: []string{account.FactorOAuth}, Expires: noon.Add(time.Hour), AccessExpires: accessUntil}
	e.Personal.ProviderUID, e.Personal.Access, e.Personal.Refresh = "42", "access 1", "refresh 1"
	for _, change := range changes {
		change(&e)
	}
	return e
}

func linked(changes ...func(*account.IdentityLinked)) account.IdentityLinked {
	e := account.IdentityLinked{ID: "i", Provider: "github", Hold: identityHold, EmailVerified: true, AccessExpires: accessUntil, Locale: "de"}
	e.Personal.Subject, e.Personal.Email, e.Personal.Access, e.Personal.Refresh = "42", "ada@example.com", "access 1", "refresh 1"
	for _, change := range changes {
		change(&e)
	}
	return e
}

func first(e *account.IdentityLinked) { e.First, e.Locale = true, "" }

func byUnverified(e *account.IdentityLinked) { e.EmailVerified = false }

func byNoAddress(e *account.IdentityLinked) { e.Personal.Email = "" }

func refreshed(access, refresh string, expires time.Time) account.IdentityRefreshed {
	e := account.IdentityRefreshed{ID: "i", AccessExpires: expires}
	e.Personal.Access, e.Personal.Refresh = access, refresh
	return e
}

// createdByVisit is an account that a visit made.
func createdByVisit() account.Created {
	e := account.Created{EmailHold: mailHold, EmailTarget: "target"}
	e.Personal.Email, e.Personal.Name = "ada@example.com", "Ada"
	return e
}

// createdByName is one that a visit made that told no address.
func createdByName() account.Created {
	var e account.Created
	e.Personal.Name = "Ada"
	return e
}

// fifty is so many identities, none of them the visitor's.
func fifty() []account.Event {
	var events []account.Event
	for i := range 50 {
		id := fmt.Sprint("i", i)
		events = append(events, linked(func(e *account.IdentityLinked) { e.ID, e.Hold = id, account.Hold{Claim: "of " + id, Taking: "5"} }))
	}
	return events
}

func TestAVisitorWhomNobodyKnowsIsGivenAnAccount(t *testing.T) {
	decided(t, []asked{
		{name: "whose address is verified", decide: enter(entry(account.AsNew)), then: list(createdByVisit(), linked(first), account.EmailVerified{}, byProvider())},
		{name: "whose address is not", decide: enter(entry(account.AsNew, unverified)), then: list(createdByVisit(), linked(first, byUnverified), byProvider())},
		{name: "who wants a token", decide: enter(entry(account.AsNew, withToken)), then: list(createdByVisit(), linked(first), account.EmailVerified{}, oauthToken("i"))},
		{name: "who has no address", decide: enter(entry(account.AsNew, addressless)), then: list(createdByName(), linked(first, byUnverified, byNoAddress), byProvider())},
		{name: "after a claim of that id lapsed", given: list(account.ClaimLapsed{Claim: "github's 42"}), decide: enter(entry(account.AsNew)),
			then: list(createdByVisit(), linked(first), account.EmailVerified{}, byProvider())},
		{name: "but nobody's id", given: list(created()), decide: enter(entry(account.AsNew)), refused: account.ErrExists},
		{name: "nor that of who has their address", given: list(created(), account.EmailVerified{}), decide: enter(entry(account.AsNew)), refused: account.ErrExists},
		{name: "nor a deleted account's", given: list(created(), account.Deleted{}), decide: enter(entry(account.AsNew)), refused: account.ErrExists},
		{name: "nor a blocked account's", given: list(created(), account.Blocked{}), decide: enter(entry(account.AsNew)), refused: account.ErrExists},
	})
}

func TestAVisitorWhoseIdentityIsConnectedEnters(t *testing.T) {
	otherwise := func(e *account.SessionStarted) {
		e.Personal.Access, e.Personal.Refresh, e.AccessExpires = "access 2", "refresh 2", accessUntil.Add(1)
	}
	// What a visit says of the address is of no account here: the identity is what opens it.
	another := func(e *account.Entry) { e.Email, e.Name = "ada@example.org", "Ada King" }
	later := noon.Add(time.Hour)
	connected := list(created(), linked())
	gone := account.IdentityRemoved{ID: "i", LetGo: identityHold}
	decided(t, []asked{
		{name: "with the tokens that are known", given: connected, decide: enter(entry(account.ByIdentity)), then: list(byProvider())},
		{name: "with other tokens", given: connected, decide: enter(entry(account.ByIdentity, tokens("access 2", "refresh 2", accessUntil.Add(1)))),
			then: list(refreshed("access 2", "refresh 2", accessUntil.Add(1)), byProvider(otherwise))},
		{name: "with another access token and no refresh token", given: connected, decide: enter(entry(account.ByIdentity, tokens("access 2", "", accessUntil.Add(1)))),
			then: list(refreshed("access 2", "refresh 1", accessUntil.Add(1)), byProvider(otherwise, func(e *account.SessionStarted) { e.Personal.Refresh = "" }))},
		{name: "with nothing new and no refresh token", given: connected, decide: enter(entry(account.ByIdentity, tokens("access 1", "", accessUntil))),
			then: list(byProvider(func(e *account.SessionStarted) { e.Personal.Refresh = "" }))},
		{name: "with an access token that lasts longer", given: connected, decide: enter(entry(account.ByIdentity, tokens("access 1", "refresh 1", accessUntil.Add(1)))),
			then: list(refreshed("access 1", "refresh 1", accessUntil.Add(1)), byProvider(func(e *account.SessionStarted) { e.AccessExpires = accessUntil.Add(1) }))},
		{name: "with tokens of the last visit", given: append(connected, refreshed("access 2", "refresh 2", accessUntil)), decide: enter(entry(account.ByIdentity, tokens("access 2", "", accessUntil))),
			then: list(byProvider(func(e *account.SessionStarted) { e.Personal.Access, e.Personal.Refresh = "access 2", "" }))},
		{name: "and proves no address", given: connected, decide: enter(entry(account.ByIdentity, another)), then: list(byProvider())},
		{name: "and is named, who had no name", given: list(account.Created{}, linked()), decide: enter(entry(account.ByIdentity)), then: list(nameChanged("Ada"), byProvider())},
		{name: "and is not named, when none is told", given: list(account.Created{}, linked()), decide: enter(entry(account.ByIdentity, nameless)), then: list(byProvider())},
		{name: "with a token of the identity that is known", given: connected, decide: enter(entry(account.ByIdentity, withToken, func(e *account.Entry) { e.IdentityID = "another" })), then: list(oauthToken("i"))},
		{name: "with a token, and other tokens of the provider", given: connected, decide: enter(entry(account.ByIdentity, withToken, tokens("access 2", "", accessUntil))),
			then: list(refreshed("access 2", "refresh 1", accessUntil), oauthToken("i"))},
		{name: "the session that is there already is not started again", given: append(connected, started("s", later)), decide: enter(entry(account.ByIdentity, tokens("access 2", "", accessUntil)))},
		{name: "the token that is there already is not issued again", given: append(connected, oauthToken("i")), decide: enter(entry(account.ByIdentity, withToken))},
		{name: "beyond the limit the oldest session goes", given: append(connected, started("a", later), started("b", later)), decide: enter(entry(account.ByIdentity, func(e *account.Entry) { e.Limit = 2 })),
			then: append(revoked(account.RevokedByLimit, "a"), byProvider())},
		{name: "and no session goes for a token", given: append(connected, started("a", later), started("b", later)), decide: enter(entry(account.ByIdentity, withToken, func(e *account.Entry) { e.Limit = 2 })), then: list(oauthToken("i"))},
		{name: "as one of fifty", given: append(append(list(created()), fifty()[1:]...), linked()), decide: enter(entry(account.ByIdentity)), then: list(byProvider())},
		{name: "not when it was removed", given: append(connected, gone), decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
		{name: "not with a token either", given: append(connected, gone), decide: enter(entry(account.ByIdentity, withToken)), refused: account.ErrIdentityMoved},
		{name: "not by the identity beside it", given: list(created(), linked(func(e *account.IdentityLinked) { e.Hold.Claim = "github's 43" })), decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
		{name: "not by an address", given: list(created(), account.EmailVerified{}), decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
		{name: "not when the account was deleted", given: append(connected, account.Deleted{}), decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
		{name: "not when it never was", decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
		{name: "not when it is blocked", given: append(connected, account.Blocked{}), decide: enter(entry(account.ByIdentity)), refused: account.ErrBlocked},
		{name: "not with a token when it is blocked", given: append(connected, account.Blocked{}), decide: enter(entry(account.ByIdentity, withToken)), refused: account.ErrBlocked},
		{name: "who is blocked and disconnected is looked for again", given: append(connected, gone, account.Blocked{}), decide: enter(entry(account.ByIdentity)), refused: account.ErrIdentityMoved},
	})
}

func TestAVisitorEntersByAnAddressThatBothSidesHaveVerified(t *testing.T) {
	member := list(created(), account.EmailVerified{})
	decided(t, []asked{
		{name: "both", given: member, decide: enter(entry(account.ByAddress)), then: list(linked(), byProvider())},
		{name: "only the provider", given: list(created()), decide: enter(entry(account.ByAddress)), refused: account.ErrCannotLink},
		{name: "only the account", given: member, decide: enter(entry(account.ByAddress, unverified)), refused: account.ErrCannotLink},
		{name: "neither", given: list(created()), decide: enter(entry(account.ByAddress, unverified)), refused: account.ErrCannotLink},

		{name: "with a token", given: member, decide: enter(entry(account.ByAddress, withToken)), then: list(linked(), oauthToken("i"))},
		{name: "not with a token when one side has not", given: list(created()), decide: enter(entry(account.ByAddress, withToken)), refused: account.ErrCannotLink},
		{name: "with a name the account does not have", given: append(member, nameChanged("")), decide: enter(entry(account.ByAddress)), then: list(linked(), nameChanged("Ada"), byProvider())},
		{name: "with another name than the account's", given: append(member, nameChanged("Ada King")), decide: enter(entry(account.ByAddress)), then: list(linked(), byProvider())},
		{name: "connected meanwhile", given: append(member, linked()), decide: enter(entry(account.ByAddress, tokens("access 2", "", accessUntil), func(e *account.Entry) { e.IdentityID = "another" })),
			then: list(refreshed("access 2", "refresh 1", accessUntil), byProvider(func(e *account.SessionStarted) { e.Personal.Access, e.Personal.Refresh = "access 2", "" }))},
		{name: "in another spelling", given: append(list(member...), emailChanged("ada@xn--xmple-hra.example", account.Hold{Claim: "ada's", Taking: "2"}, mailHold), account.EmailVerified{}), decide: enter(entry(account.ByAddress)), then: list(linked(), byProvider())},
		{name: "in another spelling that the account has not verified", given: append(list(member...), emailChanged("ada@xn--xmple-hra.example", account.Hold{Claim: "ada's", Taking: "2"}, mailHold)), decide: enter(entry(account.ByAddress)), refused: account.ErrCannotLink},
		{name: "changed meanwhile", given: append(member, emailChanged("ada@example.org", account.Hold{}, account.Hold{})), decide: enter(entry(account.ByAddress)), refused: account.ErrIdentityMoved},
		{name: "changed meanwhile and verified", given: append(member, emailChanged("ada@example.org", account.Hold{}, account.Hold{}), account.EmailVerified{}), decide: enter(entry(account.ByAddress)), refused: account.ErrIdentityMoved},
		{name: "changed to and fro meanwhile", given: append(member, emailChanged("ada@example.org", account.Hold{}, account.Hold{}), emailChanged("ada@example.com", mailHold, account.Hold{})), decide: enter(entry(account.ByAddress)), refused: account.ErrCannotLink},
		{name: "deleted meanwhile", given: append(member, account.Deleted{}), decide: enter(entry(account.ByAddress)), refused: account.ErrIdentityMoved},
		{name: "blocked", given: append(member, account.Blocked{}), decide: enter(entry(account.ByAddress)), refused: account.ErrBlocked},
		{name: "no address is nobody's", given: list(account.Created{}, account.EmailVerified{}), decide: enter(entry(account.ByAddress)), refused: account.ErrIdentityMoved},
		{name: "nobody's", decide: enter(entry(account.ByAddress)), refused: account.ErrIdentityMoved},
		{name: "with fifty identities", given: append(append(list(member...), fifty()...), started("a", noon.Add(time.Hour))), decide: enter(entry(account.ByAddress)), refused: account.ErrTooManyIdentities},
		{name: "with forty-nine", given: append(list(member...), fifty()[1:]...), decide: enter(entry(account.ByAddress)), then: list(linked(), byProvider())},
	})
}

func TestAVisitorWhoIsSignedInConnectsTheirIdentity(t *testing.T) {
	later := noon.Add(time.Hour)
	signedIn := list(created(), started("a", later), started("b", later))
	anonymous := list(account.Created{}, started("a", later))
	mail := account.EmailChanged{Hold: mailHold, Locale: "de"}
	mail.Personal.Email = "ada@example.com"
	next := account.Hold{Claim: "another", Taking: "2"}
	elsewhere := func(e *account.Entry) { e.Email, e.EmailHold = "ada@example.org", next }
	limited := func(n int) func(*account.Entry) { return func(e *account.Entry) { e.Limit = n } }
	decided(t, []asked{
		{name: "and goes on in another session", given: signedIn, decide: enter(entry(account.BySession)), then: list(linked(), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "or with a token, which nobody could redeem who is signed in", given: signedIn, decide: enter(entry(account.BySession, withToken)),
			then: list(linked(), account.SessionEnded{ID: "a"}, oauthToken("i"))},
		{name: "that was connected already", given: append(signedIn, linked()), decide: enter(entry(account.BySession)), then: list(account.SessionEnded{ID: "a"}, byProvider())},
		{name: "that was connected already, with other tokens", given: append(signedIn, linked()), decide: enter(entry(account.BySession, tokens("access 2", "", accessUntil))),
			then: list(refreshed("access 2", "refresh 1", accessUntil), account.SessionEnded{ID: "a"}, byProvider(func(e *account.SessionStarted) { e.Personal.Access, e.Personal.Refresh = "access 2", "" }))},
		{name: "whatever its address", given: signedIn, decide: enter(entry(account.BySession, func(e *account.Entry) { e.Email = "ada@example.org" })),
			then: list(linked(func(e *account.IdentityLinked) { e.Personal.Email = "ada@example.org" }), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "and no address", given: signedIn, decide: enter(entry(account.BySession, func(e *account.Entry) { e.Email = "" })),
			then: list(linked(func(e *account.IdentityLinked) { e.Personal.Email = "" }), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "which proves no address that the account had", given: signedIn, decide: enter(entry(account.BySession)), then: list(linked(), account.SessionEnded{ID: "a"}, byProvider())},

		{name: "an anonymous account takes on address and name", given: anonymous, decide: enter(entry(account.BySession, takingMail)),
			then: list(linked(), mail, account.EmailVerified{}, nameChanged("Ada"), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "an anonymous account takes on an address that is not verified", given: anonymous, decide: enter(entry(account.BySession, takingMail, unverified)),
			then: list(linked(byUnverified), mail, nameChanged("Ada"), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "an anonymous account takes on what there is", given: anonymous, decide: enter(entry(account.BySession, nameless, func(e *account.Entry) { e.Email = "" })),
			then: list(linked(func(e *account.IdentityLinked) { e.Personal.Email = "" }), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "an anonymous account keeps the name it has", given: append(anonymous, nameChanged("A. L.")), decide: enter(entry(account.BySession, takingMail)),
			then: list(linked(), mail, account.EmailVerified{}, account.SessionEnded{ID: "a"}, byProvider())},
		{name: "an anonymous account takes on an address for a token", given: anonymous, decide: enter(entry(account.BySession, takingMail, withToken)),
			then: list(linked(), mail, account.EmailVerified{}, nameChanged("Ada"), account.SessionEnded{ID: "a"}, oauthToken("i"))},
		{name: "an anonymous account that was connected takes on an address", given: append(anonymous, linked()), decide: enter(entry(account.BySession, takingMail)),
			then: list(mail, account.EmailVerified{}, nameChanged("Ada"), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "an address that came meanwhile stays", given: append(anonymous, mail), decide: enter(entry(account.BySession, elsewhere, nameless)),
			then: list(linked(func(e *account.IdentityLinked) { e.Personal.Email = "ada@example.org" }), account.SessionEnded{ID: "a"}, byProvider())},

		{name: "within the limit no other session goes", given: signedIn, decide: enter(entry(account.BySession, limited(2))), then: list(linked(), account.SessionEnded{ID: "a"}, byProvider())},
		{name: "beyond the limit the oldest of the others goes", given: append(signedIn, started("c", later)), decide: enter(entry(account.BySession, limited(2))),
			then: append(append(list(linked(), account.SessionEnded{ID: "a"}), revoked(account.RevokedByLimit, "b")...), byProvider())},

		{name: "not when the session ended meanwhile", given: append(signedIn, account.SessionEnded{ID: "a"}), decide: enter(entry(account.BySession)), refused: account.ErrSessionUnknown},
		{name: "not for a token either", given: append(signedIn, account.SessionEnded{ID: "a"}), decide: enter(entry(account.BySession, withToken)), refused: account.ErrSessionUnknown},
		{name: "not when it was revoked meanwhile", given: append(signedIn, revoked(account.RevokedByPassword, "a")...), decide: enter(entry(account.BySession)), refused: account.ErrSessionUnknown},
		{name: "not when the account was deleted meanwhile", given: append(signedIn, account.Deleted{}), decide: enter(entry(account.BySession)), refused: account.ErrSessionUnknown},
		{name: "not when it never was", decide: enter(entry(account.BySession)), refused: account.ErrSessionUnknown},
		{name: "not when it is blocked", given: append(signedIn, account.Blocked{}), decide: enter(entry(account.BySession)), refused: account.ErrBlocked},
		{name: "not with fifty identities", given: append(list(signedIn...), fifty()...), decide: enter(entry(account.BySession)), refused: account.ErrTooManyIdentities},
		{name: "as one of fifty", given: append(append(list(signedIn...), fifty()[1:]...), linked()), decide: enter(entry(account.BySession)), then: list(account.SessionEnded{ID: "a"}, byProvider())},
	})
}

func TestATokenOfAVisitOpensWhatTheVisitWouldHave(t *testing.T) {
	later := noon.Add(time.Hour)
	signIn := func(alerts bool) decision {
		return func(a account.Account) ([]account.Event, error) {
			found, ok, _ := a.FindToken("the secret of t", secretOf, noon, account.ForOAuth)
			if !ok {
				return nil, account.ErrTokenInvalid
			}
			return a.SignInWithToken(found, account.SessionStarted{ID: "s", SecretHash: "secret of s", Expires: later, Provider: "what the client says"}, 2, alerts, noon)
		}
	}
	used := account.TokenUsed{ID: "t", Purpose: account.ForOAuth}
	renewed := byProvider(func(e *account.SessionStarted) {
		e.Personal.Access, e.Personal.Refresh, e.AccessExpires = "access 2", "refresh 2", accessUntil.Add(1)
	})
	told := byProvider(func(e *account.SessionStarted) { e.Personal.Alert = "ada@example.com" })
	connected := list(created(), linked())
	decided(t, []asked{
		{name: "a session of the provider", given: append(connected, oauthToken("i")), decide: signIn(true), then: list(used, byProvider())},
		{name: "with the newest of its tokens", given: append(connected, oauthToken("i"), refreshed("access 2", "refresh 2", accessUntil.Add(1))), decide: signIn(true), then: list(used, renewed)},
		{name: "of that identity and no other", given: append(append(list(created()), fifty()[:3]...), linked(), oauthToken("i")), decide: signIn(false), then: list(used, byProvider())},
		{name: "and it proves no address", given: append(connected, called, oauthToken("i")), decide: signIn(true), then: list(used, byProvider())},
		{name: "the owner is told of another session", given: append(connected, started("a", later), oauthToken("i")), decide: signIn(true), then: list(used, told)},
		{name: "unless the project does not want it", given: append(connected, started("a", later), oauthToken("i")), decide: signIn(false), then: list(used, byProvider())},
		{name: "beyond the limit the oldest session goes", given: append(connected, started("a", later), started("b", later), oauthToken("i")), decide: signIn(false),
			then: append(append(list(used), revoked(account.RevokedByLimit, "a")...), byProvider())},
		{name: "nothing when the identity was removed meanwhile", given: append(connected, oauthToken("i"), account.IdentityRemoved{ID: "i"}), decide: signIn(true), refused: account.ErrTokenInvalid},
		{name: "nothing when it was removed and connected anew", given: append(connected, oauthToken("i"), account.IdentityRemoved{ID: "i"}, linked(func(e *account.IdentityLinked) { e.ID = "another" })), decide: signIn(true), refused: account.ErrTokenInvalid},
		{name: "nothing when it was used", given: append(connected, oauthToken("i"), used), decide: signIn(true), refused: account.ErrTokenInvalid},
		{name: "nothing when the account was blocked", given: append(connected, oauthToken("i"), account.Blocked{}), decide: signIn(true), refused: account.ErrTokenInvalid},
		{name: "nothing when it was deleted", given: append(connected, oauthToken("i"), account.Deleted{}), decide: signIn(true), refused: account.ErrTokenInvalid},
	})
	// A token that was found before something changed.
	found := account.Token{ID: "t", Purpose: account.ForOAuth}
	for name, c := range map[string]struct {
		a       account.Account
		refused error
	}{
		"blocked since": {fold(append(connected, account.Blocked{})...), account.ErrBlocked},
		"deleted since": {fold(append(connected, account.Deleted{})...), account.ErrTokenInvalid},
		"of no visit":   {fold(connected...), account.ErrTokenInvalid},
	} {
		if events, err := c.a.SignInWithToken(found, started("s", later), 10, true, noon); !errors.Is(err, c.refused) || events != nil {
			t.Errorf("%s: %v %v", name, events, err)
		}
	}
	if life := account.ForOAuth.Lifetime(); life != 5*time.Minute {
		t.Errorf("it lasts %s", life)
	}
	a := fold(append(connected, oauthToken("i"))...)
	for after, alive := range map[time.Duration]bool{5*time.Minute - 1: true, 5 * time.Minute: false} {
		if _, ok, _ := a.FindToken("the secret of t", secretOf, noon.Add(after), account.ForOAuth); ok != alive {
			t.Errorf("%s later it is found: %v", after, ok)
		}
	}
}

func TestNobodyDisconnectsTheOnlyWayInBesideTheirSecondFactor(t *testing.T) {
	remove := func(a account.Account) ([]account.Event, error) { return a.RemoveIdentity(linked().ID, "") }
	given := list(account.Created{PhoneHold: phoneHold}, called, account.PhoneVerified{}, linked(), account.MFASwitched{On: true})
	if events, err := remove(fold(given...)); err != account.ErrOneFactorOnly || events != nil {
		t.Errorf("only the number would be left: %v %v", events, err)
	}
	for name, more := range map[string]account.Event{"MFA is off": account.MFASwitched{}, "there is a password": passwordChanged("hash")} {
		if events, err := remove(fold(append(slices.Clip(given), more)...)); err != nil || len(events) != 1 {
			t.Errorf("%s: %v %v", name, events, err)
		}
	}
}

func TestAnIdentityIsRemoved(t *testing.T) {
	other := linked(func(e *account.IdentityLinked) {
		e.ID, e.Provider, e.Hold = "j", "google", account.Hold{Claim: "google's 42", Taking: "6"}
	})
	remove := func(id string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.RemoveIdentity(id, "de") }
	}
	gone := account.IdentityRemoved{ID: "i", Provider: "github", LetGo: identityHold, Locale: "de"}
	withSessions := gone
	withSessions.Sessions = []string{"s", "s2"}
	second := byProvider(func(e *account.SessionStarted) { e.ID = "s2" })
	others := byProvider(func(e *account.SessionStarted) { e.ID, e.Personal.ProviderUID = "s3", "43" })
	decided(t, []asked{
		{name: "and its claim let go", given: list(created(), other, linked()), decide: remove("i"), then: list(gone)},
		{name: "once", given: list(created(), linked(), gone), decide: remove("i"), refused: account.ErrIdentityUnknown},
		{name: "the last way in too", given: list(createdByVisit(), linked(first)), decide: remove("i"), then: list(gone)},
		{name: "with the sessions that came by it", given: list(created(), linked(), byProvider(), started("a", noon.Add(time.Hour)), others, second), decide: remove("i"), then: list(withSessions)},
		{name: "without those that ended", given: list(created(), linked(), byProvider(), account.SessionEnded{ID: "s"}), decide: remove("i"), then: list(gone)},
		{name: "of who is blocked", given: list(created(), linked(), account.Blocked{}), decide: remove("i"), then: list(gone)},
		{name: "not one that never was", given: list(created(), linked()), decide: remove("z"), refused: account.ErrIdentityUnknown},
		{name: "not nobody's", decide: remove(""), refused: account.ErrIdentityUnknown},
		{name: "not a deleted account's", given: list(created(), linked(), account.Deleted{}), decide: remove("i"), refused: account.ErrIdentityUnknown},
	})
	before := fold(created(), linked(), other, started("s", noon.Add(time.Hour)), oauthToken("i"))
	after := foldFrom(before, noon, gone)
	if after.Holds("github's 42") || !after.Holds("google's 42") || !after.Holds("ada's") || len(after.Sessions()) != 1 {
		t.Error("it went with more than itself, or stayed")
	}
	if !before.Holds("github's 42") {
		t.Error("the state before it has changed")
	}
}

func TestADeletedAccountLetsItsIdentitiesGo(t *testing.T) {
	later := noon.Add(time.Hour)
	other := linked(func(e *account.IdentityLinked) {
		e.ID, e.Provider, e.Hold = "j", "google", account.Hold{Claim: "google's 42", Taking: "6"}
	})
	// Each in an event of its own: the list of identities follows them. No letter tells of it, so there is no locale.
	goneI := account.IdentityRemoved{ID: "i", Provider: "github", LetGo: identityHold, Reason: account.RevokedByDeletion}
	goneJ := account.IdentityRemoved{ID: "j", Provider: "google", LetGo: account.Hold{Claim: "google's 42", Taking: "6"}, Reason: account.RevokedByDeletion}
	decided(t, []asked{
		{name: "all of them", given: list(created(), called, linked(), other, started("a", later)), decide: account.Account.Delete,
			then: append(append(list(goneI, goneJ), revoked(account.RevokedByDeletion, "a")...), account.Deleted{LetGo: []account.Hold{mailHold, phoneHold}})},
		{name: "not those that it let go before", given: list(created(), linked(), other, account.IdentityRemoved{ID: "i"}), decide: account.Account.Delete,
			then: list(goneJ, account.Deleted{LetGo: []account.Hold{mailHold}})},
		{name: "when it has nothing else", given: list(account.Created{}, linked()), decide: account.Account.Delete, then: list(goneI, account.Deleted{})},
	})
	a := fold(created(), called, account.EmailVerified{}, linked(), added("x"), verified("x", 100), made("set"), account.MFASwitched{On: true}, started("a", later),
		challenge("c", account.FactorTOTP, "a", ""), account.WrongAnswerGiven{ID: "c"}, oauthToken("i"), account.Deleted{})
	if diff := cmp.Diff(fold(account.Deleted{}), a, wholeState); diff != "" || a.Holds("github's 42") {
		t.Errorf("left behind:\n%s", diff)
	}
}

func TestAnAccountHoldsTheClaimsOfItsIdentities(t *testing.T) {
	lapse := func(claim string) decision {
		return func(a account.Account) ([]account.Event, error) { return a.LapseClaim(claim) }
	}
	lapsed := list(account.ClaimLapsed{Claim: "github's 42"})
	gone := account.IdentityRemoved{ID: "i", LetGo: identityHold}
	decided(t, []asked{
		{name: "while it is connected", given: list(created(), linked()), decide: lapse("github's 42"), refused: account.ErrExists},
		{name: "with tokens that were renewed", given: list(created(), linked(), refreshed("access 2", "", noon)), decide: lapse("github's 42"), refused: account.ErrExists},
		{name: "until it was removed", given: list(created(), linked(), gone), decide: lapse("github's 42"), then: lapsed, counts: true},
		{name: "until the account was deleted", given: list(created(), linked(), account.Deleted{}), decide: lapse("github's 42"), then: lapsed, counts: true},
		{name: "not before", given: list(created()), decide: lapse("github's 42"), then: lapsed, counts: true},
		{name: "beside those of its addresses", given: list(created(), linked()), decide: lapse("ada's"), refused: account.ErrExists},
	})
	if a := fold(account.Created{}, linked()); !a.Holds("github's 42") || a.Holds("google's 42") {
		t.Error("an account without addresses does not hold its identity, or another one")
	}
}

// Whatever an event says it lets go is let go, and nothing else: of every event that can happen to an account.
func TestWhatAnEventLetsGoIsReleased(t *testing.T) {
	said := map[string]bool{}
	for file, data := range golden(t) {
		var members struct {
			LetGo json.RawMessage `json:"letGo"`
		}
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		var want []account.Hold
		if len(members.LetGo) > 0 {
			if members.LetGo[0] == '{' {
				members.LetGo = slices.Concat([]byte("["), members.LetGo, []byte("]"))
			}
			if err := json.Unmarshal(members.LetGo, &want); err != nil {
				t.Fatal(err)
			}
		}
		want = slices.DeleteFunc(want, func(h account.Hold) bool { return h == account.Hold{} })
		got := account.LetGo(read(t, wireName(file), data))
		if len(want) > 0 {
			said[wireName(file)] = true
		}
		if !slices.Equal(want, got) {
			t.Errorf("%s lets go %v, want %v", file, got, want)
		}
	}
	for _, wire := range []string{"account.email-changed.v1", "account.phone-changed.v1", "account.identity-removed.v1", "account.deleted.v1"} {
		if !said[wire] {
			t.Errorf("no golden file of %s lets anything go; the test wanted to see it", wire)
		}
	}
	for wire := range account.Contract {
		if holds := account.LetGo(read(t, wire, []byte(`{}`))); len(holds) != 0 {
			t.Errorf("%s of nothing lets go %v", wire, holds)
		}
	}
	e := account.Deleted{LetGo: []account.Hold{{}, mailHold, {}, phoneHold}}
	if got := account.LetGo(e); !slices.Equal([]account.Hold{mailHold, phoneHold}, got) || e.LetGo[0] != (account.Hold{}) || e.LetGo[3] != phoneHold {
		t.Errorf("let go %v, of %v", got, e.LetGo)
	}
}
