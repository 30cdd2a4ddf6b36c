package commands_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/actahq/acta/commands"
)

func TestOneAtATimeHasTheTurnOnAName(t *testing.T) {
	turns := commands.NewTurns()
	unguarded := map[string]*int{}
	for i := range 10 {
		unguarded[fmt.Sprint(i)] = new(int)
	}
	at(1000, func(i int) {
		name := fmt.Sprint(i % 10)
		done, err := turns.Take(t.Context(), name)
		if err != nil {
			t.Error(err)
			return
		}
		*unguarded[name]++ // the race detector looks on
		done()
	})
	for name, n := range unguarded {
		if *n != 100 {
			t.Errorf("%d turns on %s", *n, name)
		}
	}
	if n := turns.Names(); n != 0 {
		t.Errorf("%d names still take memory", n)
	}
}

func TestTurnsOnDifferentNamesDoNotWaitForEachOther(t *testing.T) {
	turns := commands.NewTurns()
	doneA, err := turns.Take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	doneB, err := turns.Take(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	doneA()
	doneB()
	if n := turns.Names(); n != 0 {
		t.Errorf("%d names still take memory", n)
	}
}

func TestWhoDoesNotWaitAnyLongerLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := commands.NewTurns()
		done, err := turns.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 50)
		for range 50 {
			go func() {
				_, err := turns.Take(ctx, "a")
				gaveUp <- err
			}()
		}
		synctest.Wait()
		cancel()
		for range 50 {
			if err := <-gaveUp; !errors.Is(err, commands.ErrLogAway) || !errors.Is(err, context.Canceled) {
				t.Errorf("who gave up got %v", err)
			}
		}
		if n := turns.Names(); n != 1 {
			t.Errorf("%d names take memory while one is worked on", n)
		}
		done()
		if n := turns.Names(); n != 0 {
			t.Errorf("%d names still take memory", n)
		}
		again, err := turns.Take(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		again()
	})
}
