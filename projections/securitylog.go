package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// labels is every wire name of an account's stream, and how the owner's security log calls it; "" = it is not listed,
// because it is no news to the owner or stands beside an event that is.
var labels = map[string]string{
	"account.created.v1":                "user.create",
	"account.name-changed.v1":           "user.update",
	"account.email-changed.v1":          "user.update",
	"account.email-verified.v1":         "", // the used token tells
	"account.phone-changed.v1":          "user.update",
	"account.phone-verified.v1":         "",       // the used token tells
	"account.token-issued.v1":           "create", // see label
	"account.token-used.v1":             "update",
	"account.wrong-code-given.v1":       "",
	"account.password-changed.v1":       "user.update",
	"account.password-removed.v1":       "user.update",
	"account.prefs-changed.v1":          "user.update",
	"account.blocked.v1":                "user.update",
	"account.deleted.v1":                "user.delete",
	"account.session-started.v1":        "session.create",
	"account.session-extended.v1":       "session.update",
	"account.session-refresh-begun.v1":  "", // what came of it tells
	"account.session-refresh-ended.v1":  "",
	"account.session-ended.v1":          "session.delete",
	"account.signed-out-everywhere.v1":  "session.delete",
	"account.session-revoked.v1":        "",
	"account.password-rehashed.v1":      "",
	"account.wrong-password-given.v1":   "",
	"account.accessed.v1":               "",
	"account.sign-up-tried.v1":          "",
	"account.claim-lapsed.v1":           "",
	"account.session-proved.v1":         "", // stands beside what it was proved with
	"account.mfa-switched.v1":           "user.update",
	"account.authenticator-added.v1":    "", // until it is verified it changes nothing
	"account.authenticator-verified.v1": "authenticator.create",
	"account.authenticator-removed.v1":  "authenticator.delete",
	"account.recovery-codes-made.v1":    "recoveryCodes.create",
	"account.recovery-codes-removed.v1": "recoveryCodes.delete",
	"account.challenge-issued.v1":       "challenge.create",
	"account.challenge-passed.v1":       "challenges.update",
	"account.wrong-answer-given.v1":     "",
	"account.identity-linked.v1":        "identity.create",
	"account.identity-refreshed.v1":     "",
	"account.identity-removed.v1":       "identity.delete",
}

// ofToken is what the log calls the use of a token, by its purpose. That signing in used one is no line of its own.
var ofToken = map[account.Purpose]string{
	account.ForMagicURL:          "session",
	account.ForEmailCode:         "session",
	account.ForPhoneCode:         "session",
	account.ForEmailVerification: "verification",
	account.ForPhoneVerification: "verification",
	account.ForRecovery:          "recovery",
	account.ForOAuth:             "session",
}

// label gives what the log calls an event; "" = it is not listed.
func label(r event.Recorded) string {
	what := labels[r.Type]
	if what != "create" && what != "update" {
		return what
	}
	var e struct {
		Purpose account.Purpose `json:"purpose"`
	}
	_ = json.Unmarshal(r.Data, &e) // its reader has told already if it is not JSON
	of := ofToken[e.Purpose]
	if of == "session" && what == "update" {
		return ""
	}
	return of + "." + what
}

// LogEntry is a line of the owner's security log.
type LogEntry struct {
	Event     string // one of the labels
	At        time.Time
	IP        string
	UserAgent string // as it was sent
	Email     string // at that time
	Name      string // at that time
	ActorKind string // one of event's kinds of actors
}

// readAtOnce is how many events of a stream are read for the security log at once.
const readAtOnce = 100

// SecurityLog gives what happened to an account, newest first, leaving out the first offset entries. It is read from
// the account's stream as of the row, so that account.Logged is its length whatever happened since.
func (r *ReadModels) SecurityLog(ctx context.Context, account Account, limit, offset int) ([]LogEntry, error) {
	entries := []LogEntry{}
	for from := account.Revision; from >= 0 && len(entries) < limit && offset < account.Logged; {
		events, err := r.log.Read(ctx, account.key().accountStream(), from, event.Backward, readAtOnce)
		if err != nil {
			return nil, fmt.Errorf("read the security log: %w", err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if label(e) == "" {
				continue
			}
			if offset > 0 {
				offset--
				continue
			}
			entry, err := newLogEntry(e)
			if err != nil {
				return nil, fmt.Errorf("read the security log: %w", err)
			}
			if entries = append(entries, entry); len(entries) == limit {
				break
			}
		}
		from = events[len(events)-1].Revision - 1
	}
	return entries, nil
}

func newLogEntry(e event.Recorded) (LogEntry, error) {
	m, err := e.ReadMetadata()
	if err != nil {
		return LogEntry{}, err
	}
	entry := LogEntry{Event: label(e), At: m.At, ActorKind: m.Actor.Kind}
	if p := m.Personal; p != nil {
		entry.IP, entry.UserAgent, entry.Email, entry.Name = p.IP, p.UserAgent, p.Email, p.Name
	}
	return entry, nil
}
