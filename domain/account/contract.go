package account

import "github.com/actahq/acta/domain/event"

// Contract is every wire name an account's stream ever held.
var Contract = event.Contract[Event]{
	"account.created.v1":               event.Today[Created, Event],
	"account.sign-up-tried.v1":         event.Today[SignUpTried, Event],
	"account.claim-lapsed.v1":          event.Today[ClaimLapsed, Event],
	"account.email-changed.v1":         event.Today[EmailChanged, Event],
	"account.email-verified.v1":        event.Today[EmailVerified, Event],
	"account.phone-changed.v1":         event.Today[PhoneChanged, Event],
	"account.phone-verified.v1":        event.Today[PhoneVerified, Event],
	"account.token-issued.v1":          event.Today[TokenIssued, Event],
	"account.token-used.v1":            event.Today[TokenUsed, Event],
	"account.wrong-code-given.v1":      event.Today[WrongCodeGiven, Event],
	"account.name-changed.v1":          event.Today[NameChanged, Event],
	"account.prefs-changed.v1":         event.Today[PrefsChanged, Event],
	"account.password-changed.v1":      event.Today[PasswordChanged, Event],
	"account.password-rehashed.v1":     event.Today[PasswordRehashed, Event],
	"account.wrong-password-given.v1":  event.Today[WrongPasswordGiven, Event],
	"account.blocked.v1":               event.Today[Blocked, Event],
	"account.deleted.v1":               event.Today[Deleted, Event],
	"account.accessed.v1":              event.Today[Accessed, Event],
	"account.session-started.v1":       event.Today[SessionStarted, Event],
	"account.session-extended.v1":      event.Today[SessionExtended, Event],
	"account.session-ended.v1":         event.Today[SessionEnded, Event],
	"account.session-revoked.v1":       event.Today[SessionRevoked, Event],
	"account.signed-out-everywhere.v1": event.Today[SignedOutEverywhere, Event],
}
