package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/actahq/acta/domain/event"
)

var (
	errNobody = errors.New(`a member "personal" in a stream that is nobody's`)
	errClear  = errors.New(`the member "personal" is not an object`)
	errNoKey  = errors.New("sealed with a key that is not in the vault")
)

// Inner is the log that stores what the vault sealed. It gives the guarantees that package event tells of.
type Inner interface {
	Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error)
	Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error)
	Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error
	Head(ctx context.Context) (event.Position, error)
}

// Log is a log in which nothing personal stands in clear, while those who use it see what they appended.
type Log struct {
	vault *Vault
	inner Inner
}

// Log puts the vault before a log.
func (v *Vault) Log(inner Inner) *Log { return &Log{v, inner} }

// Append appends as the inner log does, with what is personal sealed by the subject's key, which is durable before.
// Sealing makes a member a third longer and adds 40 bytes, and that counts for event.MaxAppend.
//
// Nothing is appended when the subject was forgotten (ErrForgotten), and when data or metadata is a broken object, when
// the member `personal` is not an object, stands there twice or in another spelling, or at all in a stream that is no
// subject: mistakes of the program, whose errors have no names.
//
// The same events appended again are sealed with other nonces; the inner log knows them by their ids.
func (l *Log) Append(ctx context.Context, stream string, expected int64, events []event.Proposed) (event.Receipt, error) {
	sealed, err := l.vault.seal(ctx, stream, events)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("append to %s: %w", stream, err)
	}
	// What if we crash here: a key that seals nothing yet, which the next attempt finds.
	return l.inner.Append(ctx, stream, expected, sealed)
}

// Read reads as the inner log does, and opens what is personal. For a subject that was forgotten the member is not
// there. A member that is not what was sealed in this place, or whose key is unknown, is event.ErrDamaged.
func (l *Log) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	events, err := l.inner.Read(ctx, stream, from, dir, limit)
	if err != nil {
		return nil, err
	}
	return l.vault.open(ctx, events)
}

// Follow follows as the inner log does, and opens as Read does. It ends with the error of a stretch that does not open.
func (l *Log) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return l.inner.Follow(ctx, from, only, func(s event.Stretch) error {
		var err error
		if s.Events, err = l.vault.open(ctx, s.Events); err != nil {
			return err
		}
		return deliver(s)
	})
}

// Head is that of the inner log.
func (l *Log) Head(ctx context.Context) (event.Position, error) { return l.inner.Head(ctx) }

// place is where a member stands in a batch of events.
type place struct {
	event int
	part  part
	member
}

// seal gives the events with what is personal sealed; those it was given stay as they are.
func (v *Vault) seal(ctx context.Context, stream string, events []event.Proposed) ([]event.Proposed, error) {
	places := make([]place, 0, len(parts)*len(events))
	for i := range events {
		for _, p := range parts {
			m, err := findClear(*p.of(&events[i]), isSubject(stream))
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", p, events[i].Type, err)
			}
			if !m.absent() {
				places = append(places, place{i, p, m})
			}
		}
	}
	if len(places) == 0 {
		return events, nil
	}
	key, err := v.key(ctx, stream)
	if err != nil {
		return nil, err
	}
	events = slices.Clone(events)
	binding := make([]byte, 0, 256) // room for one, used for all
	for _, p := range places {
		e := &events[p.event]
		text := p.part.of(e)
		binding = bind(binding[:0], stream, e, p.part)
		*text = p.replace(*text, sealValue(key, (*text)[p.value:p.end], binding))
	}
	return events, nil
}

// findClear finds the member that has to be sealed.
func findClear(text json.RawMessage, allowed bool) (member, error) {
	m, err := find(text)
	switch {
	case err != nil || m.absent():
		return m, err
	case !allowed:
		return m, errNobody
	case text[m.value] != '{':
		return m, errClear
	}
	return m, nil
}

// open gives the events with what is personal in clear; those it was given stay as they are, since the inner log may
// have given them to others too.
func (v *Vault) open(ctx context.Context, events []event.Recorded) ([]event.Recorded, error) {
	places, err := findSealed(events)
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		return events, nil
	}
	var subjects []string
	for _, p := range places {
		if s := events[p.event].Stream; len(subjects) == 0 || subjects[len(subjects)-1] != s {
			subjects = append(subjects, s)
		}
	}
	keys, err := v.load(ctx, subjects)
	if err != nil {
		return nil, err
	}
	events = slices.Clone(events)
	binding := make([]byte, 0, 256) // room for one, used for all
	for _, p := range places {
		e := &events[p.event]
		key, ok := keys[e.Stream]
		if !ok {
			return nil, damaged(e, p.part, errNoKey)
		}
		text := p.part.of(&e.Proposed)
		if key == nil {
			*text = p.remove(*text)
			continue
		}
		binding = bind(binding[:0], e.Stream, &e.Proposed, p.part)
		value, err := openValue(key, (*text)[p.value:p.end], binding)
		if err != nil {
			return nil, damaged(e, p.part, err)
		}
		*text = p.replace(*text, value)
	}
	return events, nil
}

// findSealed finds what seal has sealed. Streams that are no subjects may hold anything, even what Acta did not write.
func findSealed(events []event.Recorded) ([]place, error) {
	var places []place
	for i := range events {
		e := &events[i]
		if !isSubject(e.Stream) {
			continue
		}
		for _, p := range parts {
			m, err := find(*p.of(&e.Proposed))
			if err != nil {
				return nil, damaged(e, p, err)
			}
			if m.absent() {
				continue
			}
			if places == nil {
				places = make([]place, 0, len(parts)*(len(events)-i)) // most events that have one have two
			}
			places = append(places, place{i, p, m})
		}
	}
	return places, nil
}

func damaged(e *event.Recorded, p part, err error) error {
	return fmt.Errorf("%w: %s of %s, revision %d of %s at %s: %w", event.ErrDamaged, p, e.Type, e.Revision, e.Stream, e.Position, err)
}
