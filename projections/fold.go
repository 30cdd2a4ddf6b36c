package projections

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/uptrace/bun/schema"

	"github.com/actahq/acta/domain/event"
)

// ReadModel is what a table has to know: two pure functions. They are called again with the same events after a crash,
// and when the table is rebuilt, and must say the same again: no clock, no chance, nothing but what they are given.
// An error says that the event cannot be applied, now or later.
type ReadModel[Row any] interface {
	// Keys names the rows an event touches. It sees every event of every account and should say no by the type alone.
	Keys(event.Recorded) ([]Key, error)
	// Evolve gives the row after an event. Nil is no row, on both sides. It leaves the row it is given as it is.
	Evolve(row *Row, e event.Recorded) (*Row, error)
}

// Key is the primary key of every read model's table.
type Key struct {
	Project string
	ID      string // unique in the project
}

// AppendQuery writes the key as a row of SQL: ('project', 'id').
func (k Key) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	return gen.AppendQuery(b, "(?, ?)", k.Project, k.ID), nil
}

// keyed is a row that knows its key.
type keyed interface{ key() Key }

// Stopped tells at which event a read model stopped and why. Its text holds no personal data.
type Stopped struct {
	Model    string
	Position event.Position
	Type     string // wire name of the event
	Err      error  // what happened there, in words that quote nothing of the event
}

// Error gives all of it in one sentence.
func (s *Stopped) Error() string {
	return fmt.Sprintf("read model %s stopped at %s, %s: %v", s.Model, s.Position, s.Type, s.Err)
}

// Unwrap gives what happened.
func (s *Stopped) Unwrap() error { return s.Err }

// changes is what some events do to a table's rows.
type changes[Row any] struct {
	add    []*Row // rows that were not there
	store  []*Row // rows that were
	remove []Key
}

func (c changes[Row]) none() bool { return len(c.add)+len(c.store)+len(c.remove) == 0 }

// plan asks for every event which rows it touches, up to the first event that cannot be read.
func plan[Row any](model ReadModel[Row], events []event.Recorded) (touched [][]Key, failed error) {
	touched = make([][]Key, 0, len(events))
	for _, e := range events {
		keys, err := unharmed(func() ([]Key, error) { return model.Keys(e) })
		if err != nil {
			return touched, err
		}
		for i, key := range keys {
			keys[i] = Key{storableText(key.Project), storableText(key.ID)}
		}
		touched = append(touched, keys)
	}
	return touched, nil
}

// fold applies the events, touched[i] being the keys of events[i], to rows as they are in the table. It gives what
// changed and how many events were applied, which is all of them unless one failed.
func fold[Row any](model ReadModel[Row], events []event.Recorded, touched [][]Key, there map[Key]*Row) (changed changes[Row], applied int, failed error) {
	rows := make(map[Key]*Row)
	var order []Key // of first touch: the same events write the same rows in the same order
	for _, keys := range touched {
		evolved := make([]*Row, len(keys))
		for i, key := range keys {
			row, seen := rows[key]
			if !seen {
				row = there[key]
			}
			evolved[i], failed = unharmed(func() (*Row, error) { return model.Evolve(row, events[applied]) })
			if failed != nil {
				break
			}
			if evolved[i] != nil && evolved[i] != row {
				storable(evolved[i])
			}
		}
		if failed != nil {
			break // of an event that fails, no row changes
		}
		for i, key := range keys {
			if _, seen := rows[key]; !seen {
				order = append(order, key)
			}
			rows[key] = evolved[i]
		}
		applied++
	}
	for _, key := range order {
		switch row, before := rows[key], there[key]; {
		case row == before: // untouched after all
		case before == nil:
			changed.add = append(changed.add, row)
		case row != nil:
			changed.store = append(changed.store, row)
		default:
			changed.remove = append(changed.remove, key)
		}
	}
	return changed, applied, failed
}

// storable takes out of a row's texts what a database's cannot hold. An event that has one is in the log for good, and
// would hold up all that come after it.
func storable[Row any](row *Row) {
	for _, field := range reflect.ValueOf(row).Elem().Fields() {
		switch {
		case field.Kind() == reflect.String:
			field.SetString(storableText(field.String()))
		case field.Type() == reflect.TypeFor[[]string]():
			list := slices.Clone(field.Interface().([]string))
			for i := range list {
				list[i] = storableText(list[i])
			}
			field.Set(reflect.ValueOf(list))
		case field.Type() == reflect.TypeFor[json.RawMessage]():
			if text := field.Bytes(); !utf8.Valid(text) {
				field.SetBytes(bytes.ToValidUTF8(text, nil)) // JSON writes NUL as \u0000
			}
		}
	}
}

// storableText is a text without NUL, which neither database takes, and without what is not UTF-8, which Postgres does not.
func storableText(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "") }

// unharmed turns a panic into an error, and an error into one that quotes nothing of the event.
func unharmed[T any](pure func() (T, error)) (result T, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("panic: %w", r) // speaks of indexes and types
		default:
			err = fmt.Errorf("panic with a %T", r)
		}
	}()
	if result, err = pure(); err != nil {
		err = withoutQuotes(err)
	}
	return result, err
}

// withoutQuotes keeps what is known to quote nothing: encoding/json cites numbers, time cites what it could not parse.
func withoutQuotes(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.Is(err, event.ErrUnknownType), errors.Is(err, errStream), errors.Is(err, errOrder):
		return err
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Errorf("the JSON member %q is not a %s", mismatch.Field, mismatch.Type)
	}
	return errors.New("a value in it cannot be read")
}
