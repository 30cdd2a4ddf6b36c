package account

import (
	"crypto/subtle"
	"maps"
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// Purpose is what a one-time secret was sent for. It opens nothing else.
type Purpose string

// The purposes there are.
const (
	ForMagicURL          Purpose = "magic-url"          // signing in, by a link
	ForEmailCode         Purpose = "email-code"         // signing in, by a code in a mail
	ForPhoneCode         Purpose = "phone-code"         // signing in, by a code in a text message
	ForEmailVerification Purpose = "email-verification" // proving the e-mail address
	ForPhoneVerification Purpose = "phone-verification" // proving the phone number
	ForRecovery          Purpose = "recovery"           // setting a new password
	ForOAuth             Purpose = "oauth"              // signing in, for an application that a provider sent somebody back to
)

// lifetimes are those that the API documents.
var lifetimes = map[Purpose]time.Duration{
	ForMagicURL:          time.Hour,
	ForEmailCode:         15 * time.Minute,
	ForPhoneCode:         15 * time.Minute,
	ForEmailVerification: 7 * 24 * time.Hour,
	ForPhoneVerification: 15 * time.Minute,
	ForRecovery:          time.Hour,
	ForOAuth:             5 * time.Minute, // it is handed over by a redirect
}

// Lifetime is how long a secret of the purpose can be used.
func (p Purpose) Lifetime() time.Duration { return lifetimes[p] }

// IsCode says that secrets of the purpose are six digits: short enough to be guessed, so guesses are counted.
func (p Purpose) IsCode() bool {
	return p == ForEmailCode || p == ForPhoneCode || p == ForPhoneVerification
}

// ByPhone says that secrets of the purpose are sent to the phone.
func (p Purpose) ByPhone() bool { return p == ForPhoneCode || p == ForPhoneVerification }

// byMail says that secrets of the purpose are sent to the e-mail address.
func (p Purpose) byMail() bool { return !p.ByPhone() && p != ForOAuth }

// maxWrong is how many wrong tries end a code (OWASP ASVS 5.0, 6.6.3).
const maxWrong = 5

// guesses counts wrong codes since the last right one. Each code is good for five, but a guesser can have another one.
// After so many wrong ones the next is asked for only after a pause: that leaves some 170 guesses a day, of a million.
type guesses struct {
	wrong int
	last  time.Time
}

const (
	manyGuesses = 50
	guessPause  = time.Hour
)

func (g guesses) again(at time.Time) guesses { return guesses{g.wrong + 1, at} }

// pause is how long no further code is asked for; 0 = one may be.
func (g guesses) pause(now time.Time) time.Duration {
	pause := g.last.Add(guessPause).Sub(now)
	// A clock that went back keeps nobody waiting for much longer: what lies further ahead than that was never true.
	if g.wrong < manyGuesses || pause <= 0 || pause > 2*guessPause {
		return 0
	}
	return min(pause, guessPause)
}

// Token is a one-time secret that was sent and can be used. The secret itself is derived from the token's id.
type Token struct {
	ID      string
	Purpose Purpose
	Expires time.Time

	identity string // of ForOAuth
	wrong    int    // codes given that were not it
}

// What tokens answer.
var (
	ErrTokenInvalid  = refusal.New(refusal.Unauthorized, "user_invalid_token", "The token passed in the request is invalid, was used already or has expired.")
	ErrGuessingCodes = refusal.New(refusal.TooMany, "general_rate_limit_exceeded", "Too many wrong codes were given for this account. Please wait before asking for another one.")
	ErrNoEmail       = refusal.New(refusal.Invalid, "user_email_not_found", "The account has no email address.")
	ErrNoPhone       = refusal.New(refusal.Invalid, "user_phone_not_found", "The account has no phone number.")
	ErrEmailVerified = refusal.New(refusal.Conflict, "user_email_already_verified", "The email address of this account is verified already.")
	ErrPhoneVerified = refusal.New(refusal.Conflict, "user_phone_already_verified", "The phone number of this account is verified already.")
)

// TokenIssued: a one-time secret is on its way to the account's address. It replaces the last one of its purpose.
type TokenIssued struct {
	ID       string    `json:"id"`
	Purpose  Purpose   `json:"purpose"`
	Expires  time.Time `json:"expires"`
	Identity string    `json:"identity,omitempty"` // whose visit it ends, for ForOAuth
	Locale   string    `json:"locale,omitempty"`   // of the letter, as the client asked for it
	Personal struct {
		To     string `json:"to"`               // e-mail address or phone number
		URL    string `json:"url,omitempty"`    // where the link leads
		Phrase string `json:"phrase,omitempty"` // shown to who asked and in the letter
	} `json:"personal"`
}

// EventType is the wire name.
func (TokenIssued) EventType() string { return "account.token-issued.v1" }

func (e TokenIssued) evolve(a Account, _ time.Time) Account {
	a.tokens = maps.Clone(a.tokens)
	if a.tokens == nil {
		a.tokens = map[Purpose]Token{}
	}
	a.tokens[e.Purpose] = Token{ID: e.ID, Purpose: e.Purpose, Expires: e.Expires, identity: e.Identity}
	return a
}

func (e TokenIssued) issuedAt() time.Time { return e.Expires.Add(-e.Purpose.Lifetime()) }

// IssueToken sends a secret to the account's own address, which it fills in.
func (a Account) IssueToken(e TokenIssued) ([]Event, error) {
	pause := a.codeGuesses.pause(e.issuedAt())
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Blocked:
		return nil, ErrBlocked
	case a.tokens[e.Purpose].ID == e.ID:
		return nil, nil // already so
	case e.Purpose.IsCode() && pause > 0:
		return nil, ErrGuessingCodes.After(pause)
	case e.Purpose.ByPhone() && a.Phone == "":
		return nil, ErrNoPhone
	case !e.Purpose.ByPhone() && a.Email == "":
		return nil, ErrNoEmail
	case e.Purpose == ForEmailVerification && a.EmailVerified:
		return nil, ErrEmailVerified
	case e.Purpose == ForPhoneVerification && a.PhoneVerified:
		return nil, ErrPhoneVerified
	}
	if err := a.opens(e.Purpose); err != nil {
		return nil, err
	}
	e.Personal.To = a.sentTo(e.Purpose)
	return []Event{e}, nil
}

// sentTo is where secrets of a purpose go: the address or the number.
func (a Account) sentTo(p Purpose) string {
	if p.ByPhone() {
		return string(a.Phone)
	}
	return string(a.Email)
}

// TokenUsed: a one-time secret came back, and does so no more.
type TokenUsed struct {
	ID      string  `json:"id"`
	Purpose Purpose `json:"purpose"`
}

// EventType is the wire name.
func (TokenUsed) EventType() string { return "account.token-used.v1" }

func (e TokenUsed) evolve(a Account, _ time.Time) Account {
	if e.Purpose.IsCode() {
		a.codeGuesses = guesses{}
	}
	return a.withoutToken(e.Purpose, e.ID)
}

// WrongCodeGiven: somebody tried a code that was not the one that was sent. The fifth ends it.
type WrongCodeGiven struct {
	ID      string  `json:"id"` // of the token
	Purpose Purpose `json:"purpose"`
}

// EventType is the wire name.
func (WrongCodeGiven) EventType() string { return "account.wrong-code-given.v1" }

func (e WrongCodeGiven) evolve(a Account, at time.Time) Account {
	a.codeGuesses = a.codeGuesses.again(at)
	t, ok := a.tokens[e.Purpose]
	if !ok || t.ID != e.ID {
		return a
	}
	if t.wrong++; t.wrong >= maxWrong {
		return a.withoutToken(e.Purpose, e.ID)
	}
	a.tokens = maps.Clone(a.tokens)
	a.tokens[e.Purpose] = t
	return a
}

func (a Account) withoutToken(purpose Purpose, id string) Account {
	if a.tokens[purpose].ID == id {
		a.tokens = maps.Clone(a.tokens)
		delete(a.tokens, purpose)
	}
	return a
}

// withoutSecrets ends all that was sent to the account's addresses and not come back yet.
func (a Account) withoutSecrets() Account {
	a.tokens, a.challenges = nil, nil
	return a
}

// CanUse says whether a token is neither used, replaced, ended nor expired.
func (a Account) CanUse(purpose Purpose, id string, now time.Time) bool {
	t, ok := a.tokens[purpose]
	return ok && t.ID == id && t.Expires.After(now)
}

// SecretOf tells the secret of one of the account's tokens.
type SecretOf func(Account, Token) string

// FindToken gives the token that a secret belongs to, of those that serve one of the purposes. When there is none,
// wrong is what that tells about the codes that were guessed at: it must be recorded before the answer is given.
func (a Account) FindToken(secret string, secretOf SecretOf, now time.Time, purposes ...Purpose) (found Token, ok bool, wrong []Event) {
	for _, p := range purposes {
		t, there := a.tokens[p]
		switch {
		case !there || !t.Expires.After(now) || p.IsCode() != isCode(secret):
		case subtle.ConstantTimeCompare([]byte(secret), []byte(secretOf(a, t))) == 1:
			return t, true, nil
		case p.IsCode():
			wrong = append(wrong, WrongCodeGiven{t.ID, p})
		}
	}
	return Token{}, false, wrong
}

// isCode says that a secret can be a code. What cannot is no guess at one.
func isCode(secret string) bool {
	if len(secret) != 6 {
		return false
	}
	for _, c := range []byte(secret) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// SignInWithToken starts a session for a token that was found; what it was sent to is proved by that, and the account
// owned. Of the account's sessions the newest limit are kept. alerts: the owner is told, unless a mail brought the token.
func (a Account) SignInWithToken(t Token, started SessionStarted, limit int, alerts bool, now time.Time) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrTokenInvalid
	case a.Blocked:
		return nil, ErrBlocked
	}
	if t.Purpose == ForOAuth {
		i := slices.IndexFunc(a.identities, func(i Identity) bool { return i.ID == t.identity })
		if i < 0 {
			return nil, ErrTokenInvalid
		}
		started.as(a.identities[i].visitor)
	} else {
		started.Provider, started.Factors = waysIn[t.Purpose].provider, []string{waysIn[t.Purpose].factor}
	}
	if err := a.opens(t.Purpose); err != nil {
		return nil, err
	}
	events := a.letIn(t, started.Locale)
	if t.Purpose != ForOAuth && a.ownerless() && a.Password != "" {
		e := PasswordRemoved{Locale: started.Locale}
		e.Personal.Tell = a.sentTo(t.Purpose)
		events = append(events, e)
	}
	a = a.after(events)
	if !t.Purpose.byMail() {
		started.Personal.Alert = a.alert(alerts)
	}
	return append(events, a.startSession(started, limit, now)...), nil
}

// Verify proves the address that a token was sent to.
func (a Account) Verify(t Token, locale string) ([]Event, error) {
	if !a.exists {
		return nil, ErrUnknown
	}
	return append([]Event{TokenUsed{t.ID, t.Purpose}}, a.proved(t, locale)...), nil
}

// proved is what a token that came back tells about the address it was sent to.
func (a Account) proved(t Token, locale string) []Event {
	switch {
	case t.Purpose.ByPhone() && !a.PhoneVerified:
		return []Event{PhoneVerified{locale}}
	case t.Purpose.byMail() && !a.EmailVerified:
		return []Event{EmailVerified{}}
	}
	return nil
}

// Recover sets another password for a token that was found; what it was sent to is proved by that, and the account
// owned. revoke ends all sessions.
func (a Account) Recover(t Token, hash string, revoke bool, locale string) ([]Event, error) {
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Blocked:
		return nil, ErrBlocked
	}
	if err := a.opens(t.Purpose); err != nil {
		return nil, err
	}
	e := PasswordChanged{Recovered: true, Locale: locale}
	e.Personal.Password, e.Personal.Tell = hash, a.sentTo(t.Purpose)
	events := append(a.letIn(t, locale), e)
	if revoke || !a.owned { // who was there before may not be who recovers
		events = append(events, a.revokeSessions(a.after(events).sessions, RevokedByPassword)...)
	}
	return events, nil
}
