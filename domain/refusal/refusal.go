// Package refusal is the ways of saying no: what a caller can act on.
//
// A refusal is declared beside the rule it belongs to. It does not know about HTTP: only api turns kinds into status codes.
package refusal

import (
	"errors"
	"fmt"
	"time"
)

// Kind is the family of a refusal.
type Kind int

// The kinds, by what the caller should do about it.
const (
	Invalid        Kind = iota + 1 // change the request
	Unauthorized                   // sign in, or as somebody else
	Forbidden                      // not for this caller
	NotFound                       // there is no such thing
	Conflict                       // somebody was first
	TooMany                        // wait, see RetryAfter
	Unavailable                    // wait, nothing was decided; see RetryAfter
	NotImplemented                 // switched off for this project
	Precondition                   // something must be done first
)

// Refusal is a no with a stable type for programs and a sentence for people.
type Refusal struct {
	Kind       Kind
	Type       string        // stable, e.g. "user_blocked"
	Message    string        // one or two sentences, without personal data
	RetryAfter time.Duration // for TooMany and Unavailable
}

// New declares a refusal.
func New(kind Kind, typ, message string) *Refusal {
	return &Refusal{Kind: kind, Type: typ, Message: message}
}

// Error gives the sentence.
func (r *Refusal) Error() string { return r.Message }

// Is says that two refusals of one kind and type are the same no, whatever their sentences.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Kind == r.Kind && t.Type == r.Type
}

// Saying gives the same refusal with another sentence.
func (r *Refusal) Saying(format string, args ...any) *Refusal {
	c := *r
	c.Message = fmt.Sprintf(format, args...)
	return &c
}

// After gives the same refusal with the time to wait.
func (r *Refusal) After(d time.Duration) *Refusal {
	c := *r
	c.RetryAfter = d
	return &c
}

// Of finds the refusal in an error's chain, or nil.
func Of(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}
