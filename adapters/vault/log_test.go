package vault

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

const (
	ann = "account-demo.ann"
	bob = "account-demo.bob"
)

// changed is an event that tells something personal in both parts.
func changed(id byte, email string) event.Proposed {
	return event.Proposed{
		ID:       event.ID{15: id},
		Type:     "account.email-changed.v1",
		Data:     json.RawMessage(`{"verified":false, "personal": {"email":"` + email + `"},"was":{"personal":"known"}}`),
		Metadata: json.RawMessage(`{"actor":{"kind":"user"},"personal":{"ip":"192.0.2.77","name":"Ann Canary"}}`),
	}
}

func appendTo(t testing.TB, l Inner, stream string, expected int64, events ...event.Proposed) {
	t.Helper()
	must[event.Receipt](t)(l.Append(t.Context(), stream, expected, events))
}

func recorded(t testing.TB, l Inner, stream string) []event.Recorded {
	t.Helper()
	return must[[]event.Recorded](t)(l.Read(t.Context(), stream, event.Start, event.Forward, 100))
}

func read(t testing.TB, l Inner, stream string) []event.Proposed {
	t.Helper()
	return proposed(recorded(t, l, stream))
}

// follow gives everything there is.
func follow(t testing.TB, l Inner) ([]event.Proposed, error) {
	t.Helper()
	var events []event.Proposed
	err := l.Follow(t.Context(), event.Position{}, event.Filter{}, func(s event.Stretch) error {
		events = append(events, proposed(s.Events)...)
		if s.Live {
			return event.ErrStop
		}
		return nil
	})
	return events, err
}

func proposed(events []event.Recorded) []event.Proposed {
	var proposed []event.Proposed
	for _, r := range events {
		proposed = append(proposed, r.Proposed)
	}
	return proposed
}

// tampered is a log that gives something else than was appended.
type tampered struct {
	*logtest.Memory
	change func(*event.Recorded)
}

func (l tampered) Read(ctx context.Context, stream string, from int64, dir event.Direction, limit int) ([]event.Recorded, error) {
	events, err := l.Memory.Read(ctx, stream, from, dir, limit)
	for i := range events {
		l.change(&events[i])
	}
	return events, err
}

func (l tampered) Follow(ctx context.Context, from event.Position, only event.Filter, deliver func(event.Stretch) error) error {
	return l.Memory.Follow(ctx, from, only, func(s event.Stretch) error {
		for i := range s.Events {
			l.change(&s.Events[i])
		}
		return deliver(s)
	})
}

func TestTheLogInTheVaultKeepsTheLogsPromises(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		logtest.Run(t, func(t *testing.T) logtest.Log { return start(t, in).Log(logtest.NewMemory()) })
	})
}

func TestWhatWasAppendedIsRead(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		l := start(t, in).Log(inner)
		events := []event.Proposed{
			changed(1, "ann@example.org"),
			{ID: event.ID{15: 2}, Type: "account.signed-out.v1", Data: json.RawMessage(`{"session":"s"}`), Metadata: json.RawMessage(`{"personal":{}}`)},
			{ID: event.ID{15: 3}, Type: "account.signed-out.v1", Data: json.RawMessage(`{}`), Metadata: json.RawMessage{}},
		}
		given := fmt.Sprint(events)
		appendTo(t, l, ann, event.NoStream, events...)
		if fmt.Sprint(events) != given {
			t.Error("Append changed the caller's events")
		}
		stored := fmt.Sprint(recorded(t, inner, ann))
		for name, l := range map[string]*Log{"the same vault": l, "after a crash": start(t, in.killed(t)).Log(inner)} {
			if diff := cmp.Diff(events, read(t, l, ann)); diff != "" {
				t.Errorf("%s: read (-want +got):\n%s", name, diff)
			}
			if diff := cmp.Diff(events, must[[]event.Proposed](t)(follow(t, l))); diff != "" {
				t.Errorf("%s: followed (-want +got):\n%s", name, diff)
			}
		}
		if fmt.Sprint(recorded(t, inner, ann)) != stored {
			t.Error("reading changed the inner log's events")
		}
	})
}

func TestNothingPersonalIsStoredInClear(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		l := start(t, in).Log(inner)
		appendTo(t, l, ann, event.NoStream, changed(1, "canary@example.org"))
		stored := in.stored(t)
		for _, e := range read(t, inner, ann) {
			stored = slices.Concat(stored, e.Data, e.Metadata)
		}
		for _, clear := range []string{"canary@example.org", "192.0.2.77", "Ann Canary", `"ip"`, `"email"`} {
			for _, b := range []string{clear, base64.StdEncoding.EncodeToString([]byte(clear))[:len(clear)], fmt.Sprintf("%x", clear)} {
				if bytes.Contains(stored, []byte(b)) {
					t.Errorf("%q is stored as %q", clear, b)
				}
			}
		}
		for _, b := range []string{ann, `"verified":false`, `"was":{"personal":"known"}`, `"actor":{"kind":"user"}`} {
			if !bytes.Contains(stored, []byte(b)) {
				t.Errorf("%q is not stored as it is", b)
			}
		}
	})
}

func TestForgottenPersonIsAbsentAndTheRestStays(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		v := start(t, in)
		l := v.Log(inner)
		appendTo(t, l, ann, event.NoStream, changed(1, "ann@example.org"), changed(2, "ann@example.com"))
		appendTo(t, l, bob, event.NoStream, changed(3, "bob@example.org"))
		want := recorded(t, inner, ann)
		for i := range want {
			want[i].Data = json.RawMessage(`{"verified":false,"was":{"personal":"known"}}`)
			want[i].Metadata = json.RawMessage(`{"actor":{"kind":"user"}}`)
		}
		if err := v.Forget(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, recorded(t, l, ann)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]event.Proposed{changed(3, "bob@example.org")}, read(t, l, bob)); diff != "" {
			t.Errorf("somebody else (-want +got):\n%s", diff)
		}
		if _, err := l.Append(t.Context(), ann, 1, []event.Proposed{changed(4, "ann@example.net")}); !errors.Is(err, ErrForgotten) {
			t.Errorf("sealing for a forgotten subject: %v", err)
		}
		// What tells nothing personal may still happen; its revision says that nothing else did.
		appendTo(t, l, ann, 1, event.Proposed{ID: event.ID{15: 5}, Type: "account.erased.v1", Data: json.RawMessage(`{}`)})
	})
}

func TestSealedMemberOpensOnlyInItsPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		sealed := func(e *event.Recorded, p part) string {
			m, err := find(*p.of(&e.Proposed))
			if err != nil || m.absent() {
				t.Fatalf("%s: %v", *p.of(&e.Proposed), err)
			}
			return string((*p.of(&e.Proposed))[m.value:m.end])
		}
		put := func(e *event.Recorded, p part, value string) {
			text := p.of(&e.Proposed)
			*text = json.RawMessage(strings.Replace(string(*text), sealed(e, p), value, 1))
		}
		for what, change := range map[string]func(e, other, bobs *event.Recorded){
			"data of another event":         func(e, other, _ *event.Recorded) { put(e, data, sealed(other, data)) },
			"metadata of another event":     func(e, other, _ *event.Recorded) { put(e, metadata, sealed(other, metadata)) },
			"data of another person":        func(e, _, bobs *event.Recorded) { put(e, data, sealed(bobs, data)) },
			"metadata in the place of data": func(e, _, _ *event.Recorded) { put(e, data, sealed(e, metadata)) },
			"data in the place of metadata": func(e, _, _ *event.Recorded) { put(e, metadata, sealed(e, data)) },
			"another type":                  func(e, _, _ *event.Recorded) { e.Type = "account.email-verified.v1" },
			"another id":                    func(e, _, _ *event.Recorded) { e.ID[0]++ },
			"another stream":                func(e, _, _ *event.Recorded) { e.Stream = bob },
			"a stream without a key":        func(e, _, _ *event.Recorded) { e.Stream = "account-demo.nobody" },
			"a changed letter": func(e, _, _ *event.Recorded) {
				s := []byte(sealed(e, data))
				s[len(s)/2] ^= 1
				put(e, data, string(s))
			},
			"a cut end":          func(e, _, _ *event.Recorded) { put(e, data, sealed(e, data)[:40]+`"`) },
			"hardly anything":    func(e, _, _ *event.Recorded) { put(e, data, `"AA"`) },
			"an empty string":    func(e, _, _ *event.Recorded) { put(e, data, `""`) },
			"no base64":          func(e, _, _ *event.Recorded) { put(e, data, `"{}"`) },
			"an object in clear": func(e, _, _ *event.Recorded) { put(e, data, `{"email":"eve@example.org"}`) },
			"nothing":            func(e, _, _ *event.Recorded) { put(e, data, `null`) },
			"no JSON":            func(e, _, _ *event.Recorded) { e.Data = e.Data[:len(e.Data)-1] },
			"two members":        func(e, _, _ *event.Recorded) { put(e, data, sealed(e, data)+`,"personal":""`) },
		} {
			t.Run(what, func(t *testing.T) {
				inner := logtest.NewMemory()
				v := start(t, in)
				appendTo(t, v.Log(inner), ann, event.NoStream, changed(1, "ann@example.org"), changed(2, "ann@example.com"))
				appendTo(t, v.Log(inner), bob, event.NoStream, changed(3, "bob@example.org"))
				other, bobs := recorded(t, inner, ann)[1], recorded(t, inner, bob)[0]
				l := v.Log(tampered{inner, func(e *event.Recorded) {
					if e.ID == (event.ID{15: 1}) {
						change(e, &other, &bobs)
					}
				}})
				if got, err := l.Read(t.Context(), ann, event.Start, event.Forward, 100); !errors.Is(err, event.ErrDamaged) {
					t.Errorf("Read: %v, %v", got, err)
				} else if strings.Contains(err.Error(), "example.") {
					t.Errorf("the error tells something personal: %v", err)
				}
				if got, err := follow(t, l); !errors.Is(err, event.ErrDamaged) || got != nil {
					t.Errorf("Follow: %v, %v", got, err)
				}
			})
		}
	})
}

// Two places whose names are the same when written one after the other are two places.
func TestPlacesAreBoundUnambiguously(t *testing.T) {
	seen := make(map[string]bool)
	id := event.ID{15: 1}
	for _, c := range []struct{ stream, kind string }{{"account-1", "1a"}, {"account-11", "a"}, {"account-1\x001", "a"}, {"account-1", "\x001a"}} {
		for _, p := range parts {
			b := string(bind(nil, c.stream, &event.Proposed{ID: id, Type: c.kind}, p))
			if seen[b] {
				t.Errorf("%q is bound twice", b)
			}
			seen[b] = true
		}
	}
}

func TestNothingIsAppendedThatCannotBeSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		ok := json.RawMessage(`{}`)
		for what, c := range map[string]struct {
			stream         string
			data, metadata string
		}{
			"personal in a stream of nobody":          {"claim-demo.1", `{"personal":{}}`, `{}`},
			"personal metadata in a stream of nobody": {"claim-demo.1", `{}`, `{"personal":{}}`},
			"a string":         {ann, `{"personal":"ann@example.org"}`, `{}`},
			"an array":         {ann, `{"personal":["ann@example.org"]}`, `{}`},
			"null":             {ann, `{}`, `{"personal":null}`},
			"twice":            {ann, `{"personal":{},"personal":{}}`, `{}`},
			"another spelling": {ann, `{"Personal":{"email":"ann@example.org"}}`, `{}`},
			"broken":           {ann, `{"a":[[},"personal":{}}]}`, `{}`},
		} {
			inner := logtest.NewMemory()
			v := start(t, in)
			_, err := v.Log(inner).Append(t.Context(), c.stream, event.NoStream, []event.Proposed{
				{ID: event.ID{15: 1}, Type: "account.fine.v1", Data: ok, Metadata: ok},
				{ID: event.ID{15: 2}, Type: "account.odd.v1", Data: json.RawMessage(c.data), Metadata: json.RawMessage(c.metadata)},
			})
			if err == nil || strings.Contains(err.Error(), "example.") {
				t.Errorf("%s: %v", what, err)
			}
			if head := must[event.Position](t)(inner.Head(t.Context())); head != (event.Position{}) {
				t.Errorf("%s: something was appended", what)
			}
		}
	})
}

func TestEventsWithoutAPersonNeedNoKey(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		v := start(t, in)
		l := v.Log(logtest.NewMemory())
		e := event.Proposed{ID: event.ID{15: 1}, Type: "x.y.v1", Data: json.RawMessage(`{"a":{"personal":{}}}`), Metadata: json.RawMessage(`{}`)}
		v.store.close() // where no key can come from
		for _, stream := range []string{ann, "claim-demo.1"} {
			appendTo(t, l, stream, event.NoStream, e)
			if diff := cmp.Diff([]event.Proposed{e}, read(t, l, stream)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
	})
}

// What Acta did not write is none of the vault's business, were it even no JSON.
func TestOtherStreamsAreReadAsTheyAre(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		l := start(t, in).Log(inner)
		e := event.Proposed{ID: event.ID{15: 1}, Type: "theirs", Data: json.RawMessage("\x00\x01"), Metadata: json.RawMessage(`{"personal":7}`)}
		appendTo(t, inner, "orders-1", event.NoStream, e)
		if diff := cmp.Diff([]event.Proposed{e}, read(t, l, "orders-1")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A crash between the key and the append leaves a key that seals nothing, and the next attempt uses it.
func TestKeyIsDurableBeforeTheAppendAndServesTheNextAttempt(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		var left home
		inner.BeforeAppend = func(string, []event.Proposed) error {
			left = in.killed(t)
			return event.ErrUnavailable
		}
		e := changed(1, "ann@example.org")
		if _, err := start(t, in).Log(inner).Append(t.Context(), ann, event.NoStream, []event.Proposed{e}); !errors.Is(err, event.ErrUnavailable) {
			t.Fatal(err)
		}
		inner.BeforeAppend = nil
		v := start(t, left)
		key := wrapped(t, v, ann)
		if key == nil {
			t.Fatal("there was no key when the event was on its way")
		}
		appendTo(t, v.Log(inner), ann, event.NoStream, e)
		if !bytes.Equal(key, wrapped(t, v, ann)) {
			t.Error("the next attempt made another key")
		}
		if diff := cmp.Diff([]event.Proposed{e}, read(t, v.Log(inner), ann)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestSameEventsAgainAreSealedAnewAndStoredOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		l := start(t, in).Log(inner)
		var sealed [][]byte
		inner.AfterAppend = func(_ string, events []event.Proposed) error {
			if sealed = append(sealed, events[0].Data); len(sealed) == 1 {
				return event.ErrUnavailable // stored, and the answer lost
			}
			return nil
		}
		e := changed(1, "ann@example.org")
		if _, err := l.Append(t.Context(), ann, event.NoStream, []event.Proposed{e}); !errors.Is(err, event.ErrUnavailable) {
			t.Fatal(err)
		}
		appendTo(t, l, ann, event.NoStream, e)
		if bytes.Equal(sealed[0], sealed[1]) {
			t.Error("the same nonce was used twice")
		}
		if diff := cmp.Diff([]event.Proposed{e}, read(t, l, ann)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestStretchOfMorePeopleThanAreKeptReady(t *testing.T) {
	onBoth(t, func(t *testing.T, in home) {
		inner := logtest.NewMemory()
		l := start(t, in).Log(inner)
		var want []event.Proposed
		for i := range 300 {
			e := changed(1, fmt.Sprintf("%d@example.org", i))
			e.ID[14], e.ID[13] = byte(i), byte(i>>8)
			appendTo(t, l, fmt.Sprintf("account-demo.%d", i%150), int64(i/150)-1, e)
			want = append(want, e)
		}
		again := start(t, in)
		again.ready.mu.Lock()
		again.ready.keys.Resize(10)
		again.ready.mu.Unlock()
		if diff := cmp.Diff(want, must[[]event.Proposed](t)(follow(t, again.Log(inner)))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
