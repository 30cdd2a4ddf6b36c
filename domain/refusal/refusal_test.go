package refusal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/actahq/acta/domain/refusal"
)

var errTired = refusal.New(refusal.TooMany, "tired", "Too tired.")

func TestARefusalIsTheSameWhateverItSays(t *testing.T) {
	for _, err := range []error{errTired, errTired.Saying("%d sheep counted.", 3), errTired.After(time.Second), fmt.Errorf("ask: %w", errTired.After(1))} {
		if !errors.Is(err, errTired) {
			t.Errorf("%v is another refusal", err)
		}
	}
	for _, other := range []error{refusal.New(refusal.Invalid, "tired", "Too tired."), refusal.New(refusal.TooMany, "lazy", "Too tired."), errors.New("Too tired.")} {
		if errors.Is(other, errTired) || errors.Is(errTired, other) {
			t.Errorf("%v is taken for the same refusal", other)
		}
	}
}

func TestADeclaredRefusalStaysAsItWasDeclared(t *testing.T) {
	said, late := errTired.Saying("%d sheep counted.", 3), errTired.After(time.Second)
	if said.Error() != "3 sheep counted." || late.RetryAfter != time.Second {
		t.Errorf("got %v, %v", said, late.RetryAfter)
	}
	if errTired.Error() != "Too tired." || errTired.RetryAfter != 0 {
		t.Errorf("the declaration became %+v", errTired)
	}
}

func TestTheRefusalOfAnErrorIsFoundInItsChain(t *testing.T) {
	if got := refusal.Of(fmt.Errorf("sleep: %w", errTired)); got != errTired {
		t.Errorf("got %v", got)
	}
	if got := refusal.Of(errors.New("other")); got != nil {
		t.Errorf("got %v", got)
	}
	if got := refusal.Of(nil); got != nil {
		t.Errorf("got %v", got)
	}
}
