package embedded

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxHeads bounds the cache; an entry takes about 250 bytes.
const maxHeads = 1 << 16

// heads remembers the heads of the streams used last, also of those that have no events yet. It never knows a head
// that is not durable, nor one that is no longer true.
type heads struct {
	mu      sync.Mutex
	cache   *simplelru.LRU[string, head]
	commits uint64 // how often heads have changed
}

func newHeads() *heads {
	cache, err := simplelru.NewLRU[string, head](maxHeads, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &heads{cache: cache}
}

// get gives a stream's head if it is known; and, for offer, the state of the cache when it was asked.
func (h *heads) get(stream string) (known head, ok bool, asOf uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok = h.cache.Get(stream)
	return known, ok, h.commits
}

// offer adds a head that was read from the file, unless something was committed since get: then it may be old.
func (h *heads) offer(stream string, read head, asOf uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.commits == asOf {
		h.cache.Add(stream, read)
	}
}

// publish tells the heads a commit has made durable.
func (h *heads) publish(changed map[string]head) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commits++
	for stream, head := range changed {
		h.cache.Add(stream, head)
	}
}
