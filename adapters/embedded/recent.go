package embedded

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxRecent bounds a cache; an entry takes about 250 bytes.
const maxRecent = 1 << 16

// recent remembers something about the streams used last, also about those that have no events yet. It never knows
// what is not durable, nor what is no longer true.
type recent[V any] struct {
	mu      sync.Mutex
	cache   *simplelru.LRU[string, V]
	commits uint64 // how often something has changed
}

// newHeads makes the cache of the heads of streams.
func newHeads() *recent[head] { return newRecent[head]() }

func newRecent[V any]() *recent[V] {
	cache, err := simplelru.NewLRU[string, V](maxRecent, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &recent[V]{cache: cache}
}

// get gives what is known of a stream; and, for offer, the state of the cache when it was asked.
func (r *recent[V]) get(stream string) (known V, ok bool, asOf uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok = r.cache.Get(stream)
	return known, ok, r.commits
}

// offer adds what was read from the file, unless something was committed since get: then it may be old.
func (r *recent[V]) offer(stream string, read V, asOf uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.commits == asOf {
		r.cache.Add(stream, read)
	}
}

// publish tells what a commit has made durable.
func (r *recent[V]) publish(changed map[string]V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.commits++
	for stream, v := range changed {
		r.cache.Add(stream, v)
	}
}
