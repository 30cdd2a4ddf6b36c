package event_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

func TestAnIDIsWrittenAsAUUID(t *testing.T) {
	for range 1000 {
		id := uuid.Must(uuid.NewV7())
		if got := event.ID(id).String(); got != id.String() {
			t.Fatalf("got %s, want %s", got, id)
		}
	}
	if got := (event.ID{}).String(); got != uuid.Nil.String() {
		t.Errorf("the zero id: got %s", got)
	}
}

func TestPositionsComeBackAsTheyWereWritten(t *testing.T) {
	for _, p := range []event.Position{{}, event.At(1), {Commit: 7, Prepare: 3}, {Commit: math.MaxUint64, Prepare: math.MaxUint64}} {
		if got, err := event.ParsePosition(p.String()); err != nil || got != p {
			t.Errorf("%v: got %v, %v", p, got, err)
		}
	}
	if got, err := event.ParsePosition(""); err != nil || got != (event.Position{}) {
		t.Errorf("empty: got %v, %v", got, err)
	}
}

func TestWhatIsNoPositionIsRefused(t *testing.T) {
	for _, s := range []string{"/", "1", "1/", "/1", "1/2/3", "-1/2", "+1/2", " 1/2", "1/2\n", "0x1/2", "1_0/2", "18446744073709551616/1", "a/b", "１/２"} {
		if got, err := event.ParsePosition(s); err == nil {
			t.Errorf("%q was read as %v", s, got)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, s := range []string{"", "0/0", "7/3", "1/", "18446744073709551615/0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := event.ParsePosition(s)
		if err != nil {
			return
		}
		if again, err := event.ParsePosition(p.String()); err != nil || again != p {
			t.Errorf("%q: %v, then %v, %v", s, p, again, err)
		}
	})
}

func TestPositionsStandInOneOrder(t *testing.T) {
	inOrder := []event.Position{{}, {Commit: 1}, event.At(1), {Commit: 2, Prepare: 0}, {Commit: 2, Prepare: 9}, {Commit: math.MaxUint64}}
	for i, p := range inOrder {
		for j, q := range inOrder {
			if got := p.Compare(q); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%v compared with %v: %d", p, q, got)
			}
			if p.Before(q) != (i < j) {
				t.Errorf("%v before %v: %v", p, q, p.Before(q))
			}
		}
	}
	shuffled := slices.Clone(inOrder)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, event.Position.Compare)
	if diff := cmp.Diff(inOrder, shuffled); diff != "" {
		t.Error(diff)
	}
}

func TestAFilterChoosesStreamsByTheirBeginning(t *testing.T) {
	everything, accounts := event.Filter{}, event.Filter{Streams: []string{"account-", "$secret-"}}
	for _, c := range []struct {
		filter event.Filter
		stream string
		admits bool
	}{
		{everything, "account-web.1", true},
		{everything, "", true},
		{everything, "$settings", false},
		{everything, "a$b", true},
		{accounts, "account-web.1", true},
		{accounts, "account-", true},
		{accounts, "account", false},
		{accounts, "claim-web.1", false},
		{accounts, "my-account-web.1", false},
		{accounts, "$secret-1", true},
		{accounts, "", false},
	} {
		if got := c.filter.Admits(c.stream); got != c.admits {
			t.Errorf("%v of %q: %v", c.filter.Streams, c.stream, got)
		}
	}
}

type written struct {
	Text string `json:"text"`
}

func (written) EventType() string { return "note.written.v1" }

func TestAContractReadsWhatItNamesAndStopsAtTheRest(t *testing.T) {
	contract := event.Contract[event.Fact]{"note.written.v1": event.Today[written, event.Fact]}
	read := func(typ, data string) (event.Fact, error) {
		return contract.Read(event.Recorded{Proposed: event.Proposed{Type: typ, Data: json.RawMessage(data)}, Position: event.At(9)})
	}

	if e, err := read("note.written.v1", `{"text":"hello","later":"added"}`); err != nil || e != (written{"hello"}) {
		t.Errorf("got %v, %v", e, err)
	}
	if e, err := read("note.burnt.v1", `{}`); !errors.Is(err, event.ErrUnknownType) || e != nil {
		t.Errorf("an unknown name: got %v, %v", e, err)
	}
	for _, data := range []string{``, `{`, `[]`, `{"text":1}`} {
		if _, err := read("note.written.v1", data); err == nil || errors.Is(err, event.ErrUnknownType) {
			t.Errorf("%q: got %v", data, err)
		}
	}
}

func TestMetadataThatCannotBeReadIsAnError(t *testing.T) {
	if _, err := (event.Recorded{}).ReadMetadata(); err == nil {
		t.Error("no metadata at all were read")
	}
	m, err := event.Recorded{Proposed: event.Proposed{Metadata: json.RawMessage(`{"actor":{"kind":"user","id":"ada"},"personal":null}`)}}.ReadMetadata()
	if err != nil || m.Actor != (event.Actor{Kind: event.ActorUser, ID: "ada"}) || m.Personal != nil {
		t.Errorf("got %+v, %v", m, err)
	}
}
