package claim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/claim"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func fold(events ...claim.Event) claim.Claim {
	var c claim.Claim
	for _, e := range events {
		c = c.Evolve(noon, e)
	}
	return c
}

func TestDecisions(t *testing.T) {
	take := func(owner, taking, lapsed string) func(claim.Claim) ([]claim.Event, error) {
		return func(c claim.Claim) ([]claim.Event, error) { return c.Take(owner, taking, lapsed) }
	}
	release := func(taking string) func(claim.Claim) ([]claim.Event, error) {
		return func(c claim.Claim) ([]claim.Event, error) { return c.Release(taking) }
	}
	for _, c := range []struct {
		name    string
		given   []claim.Event
		decide  func(claim.Claim) ([]claim.Event, error)
		then    []claim.Event
		refused error
	}{
		{"an address nobody wanted is taken",
			nil, take("ada", "1", ""), []claim.Event{claim.Taken{"ada", "1"}}, nil},
		{"an address that was released is taken",
			[]claim.Event{claim.Taken{"bob", "1"}, claim.Released{"1"}}, take("ada", "2", ""), []claim.Event{claim.Taken{"ada", "2"}}, nil},
		{"another's address is refused",
			[]claim.Event{claim.Taken{"bob", "1"}}, take("ada", "2", ""), nil, claim.ErrTaken},
		{"an owner takes its address anew, so that an earlier release cannot hit",
			[]claim.Event{claim.Taken{"ada", "1"}}, take("ada", "2", ""), []claim.Event{claim.Taken{"ada", "2"}}, nil},
		{"the same taking again adds nothing",
			[]claim.Event{claim.Taken{"ada", "1"}}, take("ada", "1", ""), nil, nil},
		{"a taking that lapsed gives way",
			[]claim.Event{claim.Taken{"bob", "1"}}, take("ada", "2", "1"), []claim.Event{claim.Taken{"ada", "2"}}, nil},
		{"a taking newer than the one that lapsed does not give way",
			[]claim.Event{claim.Taken{"bob", "1"}, claim.Taken{"bob", "2"}}, take("ada", "3", "1"), nil, claim.ErrTaken},
		{"a third one's taking does not give way to one that lapsed",
			[]claim.Event{claim.Taken{"bob", "1"}, claim.Released{"1"}, claim.Taken{"eve", "2"}}, take("ada", "3", "1"), nil, claim.ErrTaken},
		{"a taking that lapsed and was released meanwhile is taken",
			[]claim.Event{claim.Taken{"bob", "1"}, claim.Released{"1"}}, take("ada", "2", "1"), []claim.Event{claim.Taken{"ada", "2"}}, nil},
		{"the standing taking is released",
			[]claim.Event{claim.Taken{"ada", "1"}}, release("1"), []claim.Event{claim.Released{"1"}}, nil},
		{"releasing an earlier taking releases nothing",
			[]claim.Event{claim.Taken{"ada", "1"}, claim.Taken{"ada", "2"}}, release("1"), nil, nil},
		{"releasing after another took it releases nothing",
			[]claim.Event{claim.Taken{"ada", "1"}, claim.Released{"1"}, claim.Taken{"bob", "2"}}, release("1"), nil, nil},
		{"releasing what nobody ever took releases nothing",
			nil, release("1"), nil, nil},
		{"releasing a free address without a taking releases nothing",
			nil, release(""), nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := fold(c.given...)
			events, err := c.decide(before)
			if !errors.Is(err, c.refused) || (err == nil) != (c.refused == nil) {
				t.Fatalf("refused with %v, want %v", err, c.refused)
			}
			if diff := cmp.Diff(c.then, events); diff != "" {
				t.Fatalf("events (-want +got):\n%s", diff)
			}
			if again, err := c.decide(fold(append(c.given, events...)...)); len(again) != 0 || !errors.Is(err, c.refused) {
				t.Errorf("asked again: %v, %v", again, err)
			}
		})
	}
}

func TestAClaimKnowsItsOwnerAndSince(t *testing.T) {
	if got, want := fold(claim.Taken{"ada", "1"}), (claim.Claim{Owner: "ada", Taking: "1", Since: noon}); got != want {
		t.Errorf("taken: %+v", got)
	}
	if got := fold(claim.Taken{"ada", "1"}, claim.Released{"1"}); got != (claim.Claim{}) {
		t.Errorf("released: %+v", got)
	}
}
