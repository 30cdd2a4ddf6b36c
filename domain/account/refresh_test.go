package account_test

import (
	"testing"
	"time"

	"github.com/actahq/acta/domain/account"
)

func TestOneRequestAsksTheProviderOfASession(t *testing.T) {
	begun := account.SessionRefreshBegun{ID: "s", Taking: "1", Expires: noon.Add(account.RefreshLife)}
	begin := func(taking string, now time.Time) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.BeginRefresh(account.SessionRefreshBegun{ID: "s", Taking: taking, Expires: now.Add(account.RefreshLife)}, now)
		}
	}
	end := func(taking string) decision {
		return func(a account.Account) ([]account.Event, error) {
			return a.EndRefresh(account.SessionRefreshBegun{ID: "s", Taking: taking})
		}
	}
	ended := account.SessionRefreshEnded{ID: "s", Taking: "1"}
	signedIn := list(created(), linked(), byProvider())
	late := noon.Add(account.RefreshLife)
	decided(t, []asked{
		{name: "the first", given: signedIn, decide: begin("1", noon), then: list(begun)},
		{name: "not the second", given: append(signedIn, begun), decide: begin("2", noon), refused: account.ErrRefreshing},
		{name: "the second when the first is silent", given: append(signedIn, begun), decide: begin("2", late),
			then: list(account.SessionRefreshBegun{ID: "s", Taking: "2", Expires: late.Add(account.RefreshLife)})},
		{name: "the second when the first got nothing", given: append(signedIn, begun, ended), decide: begin("1", noon), then: list(begun)},
		{name: "the second when the first got other tokens before", given: append(signedIn, begun, renewed("refresh 2")), decide: begin("2", noon.Add(1)),
			then: list(account.SessionRefreshBegun{ID: "s", Taking: "2", Expires: begun.Expires.Add(1)})},
		{name: "not the second when the first got other tokens since", given: append(signedIn, begun, renewed("refresh 2")), decide: begin("2", noon), refused: account.ErrRefreshing},
		{name: "none without a refresh token", given: list(created(), linked(), started("s", noon.Add(time.Hour))), decide: begin("1", noon), refused: account.ErrSessionUnknown},
		{name: "none of a provider that was disconnected", given: append(signedIn, account.IdentityRemoved{ID: "i", Sessions: []string{"s"}}), decide: begin("1", noon), refused: account.ErrSessionUnknown},
		{name: "none of one that was disconnected when events did not name sessions", given: append(signedIn, account.IdentityRemoved{ID: "i"}), decide: begin("1", noon), refused: account.ErrSessionUnknown},
		{name: "none of one that was connected anew", given: append(signedIn, account.IdentityRemoved{ID: "i", Sessions: []string{"s"}}, linked()), decide: begin("1", noon), refused: account.ErrSessionUnknown},
		{name: "none when it expired", given: signedIn, decide: begin("1", noon.Add(time.Hour)), refused: account.ErrSessionUnknown},
		{name: "none when it ended", given: append(signedIn, account.SessionEnded{ID: "s"}), decide: begin("1", noon), refused: account.ErrSessionUnknown},
		{name: "it ends", given: append(signedIn, begun), decide: end("1"), then: list(ended)},
		{name: "another's does not", given: append(signedIn, begun), decide: end("2")},
		{name: "one that brought tokens does not", given: append(signedIn, begun, renewed("refresh 2")), decide: end("1")},
	})
}

// renewed is the session of a visit with other tokens.
func renewed(refresh string) account.SessionExtended {
	e := account.SessionExtended{ID: "s", Expires: noon.Add(2 * time.Hour), Refreshed: true, AccessExpires: accessUntil}
	e.Personal.Access, e.Personal.Refresh = "access 2", refresh
	return e
}

func TestASessionIsRefreshedWithTheProvidersTokens(t *testing.T) {
	later := noon.Add(2 * time.Hour)
	begun := account.SessionRefreshBegun{ID: "s", Taking: "1", Expires: noon.Add(account.RefreshLife)}
	refresh := func(id, token string, now time.Time) decision {
		return func(a account.Account) ([]account.Event, error) {
			asked := begun
			asked.ID = id
			return a.RefreshSession(asked, "refresh 1", account.ProviderTokens{Access: "access 2", Refresh: token, AccessExpires: accessUntil}, later, now)
		}
	}
	signedIn := list(created(), linked(), byProvider(), begun)
	extended := account.SessionExtended{ID: "s", Expires: later}
	identity := refreshed("access 2", "refresh 2", accessUntil)
	decided(t, []asked{
		{name: "and its identity", given: signedIn, decide: refresh("s", "refresh 2", noon), then: list(identity, renewed("refresh 2"))},
		{name: "with the one that was used where no other came", given: signedIn, decide: refresh("s", "", noon), then: list(refreshed("access 2", "refresh 1", accessUntil), renewed("refresh 1"))},
		{name: "not an identity with newer ones", given: append(signedIn, refreshed("access 3", "refresh 3", accessUntil)), decide: refresh("s", "refresh 2", noon), then: list(renewed("refresh 2"))},
		{name: "not when it has newer ones", given: append(signedIn, refreshed("access 3", "refresh 3", accessUntil), renewed("refresh 3"), account.SessionRefreshBegun{ID: "s", Taking: "2"}, account.SessionExtended{ID: "s", Expires: noon.Add(time.Hour)}),
			decide: refresh("s", "refresh 2", noon), then: list(extended)},
		{name: "not when its provider was disconnected", given: append(signedIn, account.IdentityRemoved{ID: "i", Sessions: []string{"s"}}), decide: refresh("s", "refresh 2", noon), then: list(account.SessionRefreshEnded{ID: "s", Taking: "1"}, extended)},
		{name: "its identity alone when it ended", given: append(signedIn, account.SessionEnded{ID: "s"}), decide: refresh("s", "refresh 2", noon), then: list(identity)},
		{name: "its identity alone when it expired", given: signedIn, decide: refresh("s", "refresh 2", noon.Add(time.Hour)), then: list(identity)},
		{name: "not when it never was", given: list(created()), decide: refresh("z", "refresh 2", noon), refused: account.ErrSessionUnknown},
	})
}
