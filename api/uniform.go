package api

import (
	"context"
	"time"
)

// uniformStep hides how long a request really took where that would tell who is registered: the answer comes at a
// multiple of it. Nearly all requests take less than one step.
const uniformStep = 250 * time.Millisecond

// uniform says that the answer must be the same whoever has an address.
func (c *call) uniform() bool { return c.caller().Uniform() }

// uniformly begins a request whose time must tell nothing, where the project asks for that; what it gives back is to be
// called before the answer.
func (c *call) uniformly() (wait func()) {
	if !c.uniform() {
		return func() {}
	}
	began := time.Now()
	return func() { pause(c.r.Context(), uniformStep-time.Since(began)%uniformStep) }
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
