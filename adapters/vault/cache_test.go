package vault

import (
	"crypto/cipher"
	"testing"
	"time"
)

func TestSharedCacheGivesNothingUnlessItIsTrusted(t *testing.T) {
	key := must[cipher.AEAD](t)(newAEAD(master))
	for name, c := range map[string]struct {
		shared bool
		until  time.Time
		want   bool
	}{
		"nobody else":       {want: true},
		"never trusted":     {shared: true},
		"trusted":           {shared: true, until: time.Now().Add(time.Hour), want: true},
		"not trusted since": {shared: true, until: time.Now()},
	} {
		ready := newCache(1)
		ready.shared = c.shared
		ready.trust(c.until)
		ready.add(ready.reading(), keys{ann: key})
		if _, got := ready.get(ann); got != c.want {
			t.Errorf("%s: given %v, want %v", name, got, c.want)
		}
	}
}

func TestKeyThatWasReadBeforeAnythingWasForgottenIsNotKept(t *testing.T) {
	key := must[cipher.AEAD](t)(newAEAD(master))
	for name, meanwhile := range map[string]func(*cache){
		"forgotten":         func(c *cache) { c.remove(ann) },
		"somebody else":     func(c *cache) { c.remove(bob) },
		"a new connection":  func(c *cache) { c.empty() },
		"forgotten earlier": nil,
	} {
		c := newCache(2)
		c.remove(ann)
		removed := c.reading()
		if meanwhile != nil {
			meanwhile(c)
		}
		c.add(removed, keys{ann: key})
		if _, kept := c.get(ann); kept != (meanwhile == nil) {
			t.Errorf("%s: kept %v", name, kept)
		}
	}
}
