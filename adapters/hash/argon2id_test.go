package hash

import (
	"bytes"
	"crypto/rand"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/crypto/argon2"
)

// Parts of the package are called by name; an upgrade that changes them must not go unnoticed.
func TestKeptMemoryMakesTheHashesOfTheLibrary(t *testing.T) {
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 8 {
				password, salt := make([]byte, mathrand.IntN(300)), make([]byte, minSalt+mathrand.IntN(maxSalt-minSalt+1))
				rand.Read(password)
				rand.Read(salt)
				size := minTag + mathrand.IntN(maxTag-minTag+1)
				want := argon2.IDKey(password, salt, today.Passes, today.Memory, today.Threads, uint32(size))
				if got := today.compute(string(password), salt, size); !bytes.Equal(got, want) {
					t.Errorf("password %x, salt %x: %x instead of %x", password, salt, got, want)
				}
			}
		})
	}
	all.Wait()
}

func TestHashesShareTheirMemory(t *testing.T) {
	const hashes = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range hashes {
		today.compute("password", make([]byte, saltSize), tagSize)
	}
	runtime.ReadMemStats(&after)
	if got, each := (after.TotalAlloc-before.TotalAlloc)/1024, uint64(today.Memory); got > hashes/2*each { // the race detector's pools forget a quarter
		t.Errorf("%d hashes allocated %d KiB, each computes in %d", hashes, got, each)
	}
}
