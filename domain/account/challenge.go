package account

import (
	"crypto/subtle"
	"slices"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

// challengeLife is how long a challenge can be passed.
const challengeLife = 15 * time.Minute

// Challenge asks a session to prove one factor.
type Challenge struct {
	ID      string
	Factor  string
	Session string
	Expires time.Time
	wrong   int
}

// What challenges answer.
var (
	ErrEmailUnproved = refusal.New(refusal.Invalid, "user_email_not_verified", "User email is not verified.")
	ErrPhoneUnproved = refusal.New(refusal.Invalid, "user_phone_not_verified", "User phone is not verified.")

	ErrMailboxCounted = refusal.New(refusal.Invalid, "general_bad_request", "Whoever reads the account's mail can be signed in like this already. Prove another factor.")
)

// ChallengeIssued: a session is asked to prove a factor. For the factors email and phone a code is on its way.
type ChallengeIssued struct {
	ID       string    `json:"id"`
	Factor   string    `json:"factor"`
	Session  string    `json:"session"`
	Expires  time.Time `json:"expires"`
	Locale   string    `json:"locale,omitempty"` // of the letter
	Personal struct {
		To string `json:"to,omitempty"` // e-mail address or phone number
	} `json:"personal,omitzero"`
}

// EventType is the wire name.
func (ChallengeIssued) EventType() string { return "account.challenge-issued.v1" }

func (e ChallengeIssued) evolve(a Account, at time.Time) Account {
	// One of each factor and session is enough; those that nobody can pass any more go.
	a.challenges = slices.DeleteFunc(slices.Clone(a.challenges), func(c Challenge) bool {
		return c.Factor == e.Factor && c.Session == e.Session || !c.Expires.After(at) || !a.hasSession(c.Session)
	})
	a.challenges = append(a.challenges, Challenge{ID: e.ID, Factor: e.Factor, Session: e.Session, Expires: e.Expires})
	return a
}

// IssueChallenge asks a session to prove a factor. It replaces the last challenge of the session and factor.
func (a Account) IssueChallenge(e ChallengeIssued, now time.Time) ([]Event, error) {
	e.Expires = now.Add(challengeLife)
	pause := a.answerGuesses.pause(now)
	switch {
	case !a.exists:
		return nil, ErrUnknown
	case a.Blocked:
		return nil, ErrBlocked
	case !a.hasSession(e.Session):
		return nil, ErrSessionUnknown
	case slices.ContainsFunc(a.challenges, func(c Challenge) bool { return c.ID == e.ID }):
		return nil, nil // already so
	case pause > 0:
		return nil, ErrGuessingCodes.After(pause)
	case e.Factor == FactorEmail && a.Email == "":
		return nil, ErrNoEmail
	case e.Factor == FactorEmail && !a.EmailVerified:
		return nil, ErrEmailUnproved
	case e.Factor == FactorEmail && a.mailboxCounted(e.Session):
		return nil, ErrMailboxCounted
	case e.Factor == FactorPhone && a.Phone == "":
		return nil, ErrNoPhone
	case e.Factor == FactorPhone && !a.PhoneVerified:
		return nil, ErrPhoneUnproved
	}
	switch e.Factor {
	case FactorEmail:
		e.Personal.To = string(a.Email)
	case FactorPhone:
		e.Personal.To = string(a.Phone)
	}
	return []Event{e}, nil
}

// ChallengePassed: the factor that was asked for was proved. The challenge is used up, and so is what proved it.
type ChallengePassed struct {
	ID     string `json:"id"`
	Factor string `json:"factor"`
	Step   int64  `json:"step,omitempty"`   // of the authenticator's code
	Code   *int   `json:"code,omitempty"`   // which recovery code it was
	Locale string `json:"locale,omitempty"` // of the letter that tells of it
}

// EventType is the wire name.
func (ChallengePassed) EventType() string { return "account.challenge-passed.v1" }

func (e ChallengePassed) evolve(a Account, _ time.Time) Account {
	a.answerGuesses = guesses{}
	if e.Step != 0 {
		a.authenticator.step = e.Step
	}
	if e.Code != nil {
		a.recovery.used = append(slices.Clip(a.recovery.used), *e.Code)
	}
	return a.withoutChallenge(e.ID)
}

// WrongAnswerGiven: somebody answered a challenge with a code that was not it. The fifth ends the challenge.
type WrongAnswerGiven struct {
	ID string `json:"id"` // of the challenge
}

// EventType is the wire name.
func (WrongAnswerGiven) EventType() string { return "account.wrong-answer-given.v1" }

func (e WrongAnswerGiven) evolve(a Account, at time.Time) Account {
	a.answerGuesses = a.answerGuesses.again(at)
	a.challenges = slices.Clone(a.challenges)
	for i := range a.challenges {
		if c := &a.challenges[i]; c.ID == e.ID {
			if c.wrong++; c.wrong >= maxWrong {
				return a.withoutChallenge(e.ID)
			}
		}
	}
	return a
}

func (a Account) withoutChallenge(id string) Account {
	a.challenges = slices.DeleteFunc(slices.Clone(a.challenges), func(c Challenge) bool { return c.ID == id })
	return a
}

// Answers is how the answers to challenges are known.
type Answers struct {
	SentCode func(Account, Challenge) string // what was sent to the address or number
	StepOf   StepOf
	CodeOf   CodeOf
}

// PassChallenge proves a factor to the session that was asked for it. When the answer is wrong, passed is false and the
// events record that: they must be stored before the no is given. A challenge that the session was not asked is refused.
func (a Account) PassChallenge(id, session, answer string, answers Answers, locale string, now time.Time) (events []Event, passed bool, err error) {
	i := slices.IndexFunc(a.challenges, func(c Challenge) bool { return c.ID == id })
	switch {
	case !a.exists:
		return nil, false, ErrUnknown
	case i < 0 || a.challenges[i].Session != session || !a.hasSession(session) || !a.challenges[i].Expires.After(now):
		return nil, false, ErrTokenInvalid
	}
	c := a.challenges[i]
	e := ChallengePassed{ID: id, Factor: c.Factor}
	switch c.Factor {
	case FactorTOTP:
		e.Step, passed = a.authenticator.takes(answer, answers.StepOf)
		passed = passed && a.authenticator.Verified
	case FactorRecovery:
		var index int
		if index, passed = a.recovery.find(answer, answers.CodeOf); passed {
			e.Code, e.Locale = &index, locale
		}
	default:
		passed = subtle.ConstantTimeCompare([]byte(answer), []byte(answers.SentCode(a, c))) == 1
	}
	if !passed {
		return []Event{WrongAnswerGiven{id}}, false, nil
	}
	return append([]Event{e}, a.prove(session, []string{c.Factor}, true)...), true, nil
}

// CanPass says whether a challenge could still be passed.
func (a Account) CanPass(id string, now time.Time) bool {
	return slices.ContainsFunc(a.challenges, func(c Challenge) bool {
		return c.ID == id && c.Expires.After(now) && a.hasSession(c.Session)
	})
}
