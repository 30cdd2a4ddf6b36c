package account

import (
	"slices"

	"github.com/actahq/acta/domain/refusal"
)

// Whose is an account? Whoever makes one may give anybody's address. So nobody owns it until somebody proves an address
// or number of it; then what was left in it before ends. From there on an address or number that its owner gives, and
// has not proved yet, is no way in: it may be another's, by mistake or on purpose. An authenticator that is asked for
// guards an account that nobody owns: it may be somebody's who never proved an address, and a mailbox must not be enough
// to take it away. Then a letter proves nothing and ends nothing, and what it opens waits for the second factor.

// What an address answers that an account has and its owner never proved.
var (
	ErrAddressUnproved = refusal.New(refusal.Invalid, "user_email_not_verified", "The account with this email address has not verified it. It can be verified by who is signed in there; until then it opens nothing.")
	ErrNumberUnproved  = refusal.New(refusal.Invalid, "user_phone_not_verified", "The account with this phone number has not verified it. It can be verified by who is signed in there; until then it opens nothing.")
)

// ownerless says that the account goes to whoever proves an address or number of it.
func (a Account) ownerless() bool { return !a.owned && !(a.MFA && a.authenticator.Verified) }

// opens refuses secrets that would let in whoever has an address or number that the account's owner never proved.
func (a Account) opens(p Purpose) error {
	_, wayIn := waysIn[p]
	switch {
	case !a.owned || !wayIn && p != ForRecovery:
		return nil
	case p.ByPhone() && !a.PhoneVerified:
		return ErrNumberUnproved
	case !p.ByPhone() && !a.EmailVerified:
		return ErrAddressUnproved
	}
	return nil
}

// letIn is what the use of a token that opens the account does to it. If it was ownerless, every way in ends that was
// left there, but the password. So does the address or number that was not proved: whoever left it could still prove it.
func (a Account) letIn(t Token, locale string) []Event {
	events := []Event{TokenUsed{t.ID, t.Purpose}}
	if a.owned {
		return append(events, a.proved(t, locale)...)
	}
	if t.Purpose == ForOAuth || !a.ownerless() {
		return events
	}
	events = append(events, a.proved(t, locale)...)
	if t.Purpose.ByPhone() && a.Email != "" {
		events = append(events, EmailChanged{LetGo: a.EmailHold})
	}
	if !t.Purpose.ByPhone() && a.Phone != "" {
		events = append(events, PhoneChanged{LetGo: a.PhoneHold})
	}
	if a.MFA {
		events = append(events, MFASwitched{Reason: RevokedByOwner})
	}
	if a.authenticator.ID != "" {
		events = append(events, AuthenticatorRemoved{ID: a.authenticator.ID, Reason: RevokedByOwner})
	}
	if a.recovery.set != "" {
		events = append(events, RecoveryCodesRemoved{Set: a.recovery.set})
	}
	events = append(events, a.removeIdentities(RevokedByOwner)...)
	return append(events, a.revokeSessions(a.sessions, RevokedByOwner)...)
}

// unguarded is what else ends with the authenticator that guarded an account nobody owns, or with its being asked for: what
// letters opened meanwhile waits for a second factor, and must not become whole by the hand of somebody else. by is the
// session that removes the guard.
func (a Account) unguarded(by string) []Event {
	if a.owned || a.ownerless() {
		return nil
	}
	var events []Event
	asking, _ := a.session(by)
	if a.passwordByMail && !slices.Contains(asking.factors, FactorPassword) {
		events = append(events, PasswordRemoved{})
	}
	waiting := slices.DeleteFunc(slices.Clone(a.sessions), func(s Session) bool {
		return s.ID == by || slices.ContainsFunc(s.factors, func(f string) bool {
			return f != FactorEmail && f != FactorPhone && !(f == FactorPassword && a.passwordByMail)
		})
	})
	return append(events, a.revokeSessions(waiting, RevokedByOwner)...)
}

// mailboxCounted says that the owner's mail may be all that stands behind a session, and that the owner has another factor
// to prove: a code in a mail would not be a second one. A mailbox is behind links and codes that came by mail, passwords
// recovered by it, and providers' accounts, which have recoveries of their own.
func (a Account) mailboxCounted(session string) bool {
	s, _ := a.session(session)
	for _, f := range s.factors {
		if f != FactorEmail && f != FactorOAuth && !(f == FactorPassword && a.passwordByMail) {
			return false
		}
	}
	return slices.ContainsFunc(a.verifiedFactors(), func(f string) bool { return f != FactorEmail })
}

// CountsMailbox says whether a session can prove itself by a code in a mail, as far as that would be another factor.
func (a Account) CountsMailbox(session string) bool { return !a.mailboxCounted(session) }

// lacksSecondFactor says that nobody could prove two factors, though they are asked for.
func (a Account) lacksSecondFactor() bool {
	verified := a.verifiedFactors()
	return a.MFA && len(verified) == 1 && a.Password == "" && len(a.identities) == 0
}
