package vault

import (
	"crypto/cipher"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cached is how many subjects' keys are kept ready, at about 1.5 KiB each.
const cached = 10_000

// cache is the keys that are ready: nil for a subject that was forgotten.
//
// What others forget has to leave it too. Where there are others, it gives nothing unless somebody who hears of their
// doings has said, a moment ago, that it may.
type cache struct {
	shared bool // with others, who forget

	mu      sync.Mutex
	keys    *simplelru.LRU[string, cipher.AEAD]
	removed int       // how often something was; see add
	until   time.Time // a shared one is trusted so long
}

func newCache(size int) *cache {
	lru, err := simplelru.NewLRU[string, cipher.AEAD](size, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &cache{keys: lru}
}

func (c *cache) get(subject string) (cipher.AEAD, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shared && !time.Now().Before(c.until) {
		return nil, false
	}
	return c.keys.Get(subject)
}

// reading gives what add wants to know: it is called before keys are read from the store.
func (c *cache) reading() (removed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.removed
}

// add makes keys ready, unless something was removed since they were read: it might have been one of them.
func (c *cache) add(removed int, found keys) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if removed != c.removed {
		return
	}
	for subject, key := range found {
		c.keys.Add(subject, key)
	}
}

func (c *cache) remove(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	c.keys.Remove(subject)
}

// empty removes everything.
func (c *cache) empty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed++
	c.keys.Purge()
}

// trust says until when all that others have forgotten is known to be removed.
func (c *cache) trust(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = until
}
