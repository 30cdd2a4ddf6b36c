package hash

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed says that a stored hash is not an Argon2id PHC string, or asks for more work than we are ready to do.
// It does not repeat the string, since errors are logged.
var ErrMalformed = errors.New("hash: not an acceptable argon2id hash")

// cost is what one computation takes (RFC 9106, section 3.1).
type cost struct {
	Memory  uint32 // KiB
	Passes  uint32
	Threads uint8
}

// today is the cost of new hashes: the floor OWASP's Password Storage Cheat Sheet and ASVS 5.0 (appendix C) give for
// two passes. Memory is the scarce resource of a small server, so the smallest of the equivalent settings is used.
var today = cost{Memory: 19 * 1024, Passes: 2, Threads: 1}

// The sizes of new salts and tags in bytes (RFC 9106, section 4).
const (
	saltSize = 16
	tagSize  = 32
)

// A stored hash chooses how much work it takes to check it. These bounds keep a planted or imported one from taking the
// server down.
const (
	maxMemory          = 1 << 20 // KiB
	maxPasses          = 16
	maxThreads         = 16
	minMemoryPerThread = 8      // KiB, asked for by RFC 9106
	minSalt, maxSalt   = 8, 64  // bytes
	minTag, maxTag     = 16, 64 // bytes
	maxLength          = 256    // bytes of a PHC string; the longest acceptable one has 208
)

// The PHC string format, https://github.com/P-H-C/phc-string-format.
const (
	prefix      = "$argon2id$v=19$"
	costPattern = "m=%d,t=%d,p=%d"
)

// hashed is a password hash taken apart.
type hashed struct {
	cost
	Salt, Tag []byte
}

// String gives the PHC string, $argon2id$v=19$m=<KiB>,t=<passes>,p=<threads>$<salt>$<tag>, in base64 without padding.
func (h hashed) String() string {
	b64 := base64.RawStdEncoding
	return prefix + fmt.Sprintf(costPattern, h.Memory, h.Passes, h.Threads) +
		"$" + b64.EncodeToString(h.Salt) + "$" + b64.EncodeToString(h.Tag)
}

// outdated says that a hash made today would be made otherwise.
func (h hashed) outdated() bool {
	return h.cost != today || len(h.Salt) != saltSize || len(h.Tag) != tagSize
}

// parse takes a PHC string apart, or gives ErrMalformed.
func parse(phc string) (hashed, error) {
	if len(phc) > maxLength || !strings.HasPrefix(phc, prefix) {
		return hashed{}, ErrMalformed
	}
	fields := strings.Split(phc[len(prefix):], "$")
	if len(fields) != 3 {
		return hashed{}, ErrMalformed
	}
	var h hashed
	_, errCost := fmt.Sscanf(fields[0], costPattern, &h.Memory, &h.Passes, &h.Threads)
	salt, errSalt := base64.RawStdEncoding.DecodeString(fields[1])
	tag, errTag := base64.RawStdEncoding.DecodeString(fields[2])
	if errors.Join(errCost, errSalt, errTag) != nil {
		return hashed{}, ErrMalformed
	}
	h.Salt, h.Tag = salt, tag
	// Sscanf and base64 forgive signs, leading zeros, line breaks and stray bits. Only what we would write ourselves passes.
	if !h.acceptable() || h.String() != phc {
		return hashed{}, ErrMalformed
	}
	return h, nil
}

func (h hashed) acceptable() bool {
	return h.Threads >= 1 && h.Threads <= maxThreads &&
		h.Passes >= 1 && h.Passes <= maxPasses &&
		h.Memory >= minMemoryPerThread*uint32(h.Threads) && h.Memory <= maxMemory &&
		len(h.Salt) >= minSalt && len(h.Salt) <= maxSalt &&
		len(h.Tag) >= minTag && len(h.Tag) <= maxTag
}
