// Package account is the life of an account: its state, the events that make it and the decisions that make events.
//
// State is a plain value; its zero value is the account before anything happened. A decision is a method that returns
// events and changes nothing; asked twice, it returns nothing the second time. An event knows how it changes the value.
// The package knows neither the log nor the clock: times, ids, hashes and secrets are given to it.
package account

import (
	"slices"
	"time"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// Account is the state that decisions need. It holds no more than that: what people look at is in the read models.
type Account struct {
	exists  bool
	deleted bool

	Blocked    bool
	Name       string
	Email      Email // empty = none
	EmailHold  Hold  // the claim on Email
	Phone      Phone // empty = none
	PhoneHold  Hold  // the claim on Phone
	AccessedAt time.Time

	EmailVerified, PhoneVerified bool
	owned                        bool // somebody has proved an address or number, if perhaps not today's

	Password       string   // PHC string; empty = there is none
	passwordByMail bool     // who set it proved no more than that they read the owner's mail
	earlierHashes  []string // newest first, the present one included, at most maxHistory
	WrongPasswords int      // since the last right one
	LastWrongGiven time.Time
	prefs          digest
	sessions       []Session // oldest first
	tokens         map[Purpose]Token
	codeGuesses    guesses // at codes that were sent to sign in or verify: anybody can make them
	answerGuesses  guesses // at challenges: only who is signed in can make them
	signUpTriedAt  time.Time

	MFA           bool // whether a second factor is asked for
	authenticator Authenticator
	recovery      recoveryCodes
	challenges    []Challenge // oldest first
	identities    []Identity  // oldest first
}

// Event is what can happen to an account.
type Event interface {
	event.Fact
	evolve(Account, time.Time) Account
}

// Evolve gives the account after an event decided at a time.
func (a Account) Evolve(at time.Time, e Event) Account { return e.evolve(a, at) }

// after gives the account after events that are being decided. Their time is not known yet; no decision asks for it.
func (a Account) after(events []Event) Account {
	for _, e := range events {
		a = a.Evolve(time.Time{}, e)
	}
	return a
}

// Exists says that the account was created and not deleted.
func (a Account) Exists() bool { return a.exists }

// Deleted says that the account once was, and that its id is never given again.
func (a Account) Deleted() bool { return a.deleted }

// Hold is a claim as its account knows it.
type Hold struct {
	Claim  string `json:"claim"`  // the claim's name: a keyed hash of the address
	Taking string `json:"taking"` // which taking of it
}

// LetGo gives the claims that an event leaves to be released.
func LetGo(e Event) []Hold {
	var holds []Hold
	switch e := e.(type) {
	case EmailChanged:
		holds = []Hold{e.LetGo}
	case PhoneChanged:
		holds = []Hold{e.LetGo}
	case IdentityRemoved:
		holds = []Hold{e.LetGo}
	case Deleted:
		holds = e.LetGo
	}
	return slices.DeleteFunc(slices.Clone(holds), func(h Hold) bool { return h == Hold{} })
}

// What an account as a whole answers.
var (
	ErrUnknown = refusal.New(refusal.NotFound, "user_not_found", "There is no account with this id.")
	ErrExists  = refusal.New(refusal.Conflict, "user_already_exists", "An account with the same id, email or phone already exists in this project.")
	ErrBlocked = refusal.New(refusal.Unauthorized, "user_blocked", "The current user has been blocked.")
)
