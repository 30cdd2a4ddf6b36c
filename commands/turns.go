package commands

import (
	"context"
	"sync"
)

// turns lets one goroutine at a time work on a name. Names that nobody works on take no memory.
type turns struct {
	mu    sync.Mutex
	names map[string]*turn
}

type turn struct {
	free chan struct{} // holds one token while nobody has the turn
	want int           // goroutines that have or want it
}

func newTurns() *turns { return &turns{names: map[string]*turn{}} }

// take waits for the turn on a name and gives the function that ends it.
func (t *turns) take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	n := t.names[name]
	if n == nil {
		n = &turn{free: make(chan struct{}, 1)}
		n.free <- struct{}{}
		t.names[name] = n
	}
	n.want++
	t.mu.Unlock()

	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if n.want--; n.want == 0 {
			delete(t.names, name)
		}
	}
	select {
	case <-n.free:
		return func() { n.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, unavailable(ctx.Err())
	}
}
