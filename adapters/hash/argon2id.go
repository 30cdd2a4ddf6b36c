package hash

import (
	"encoding/binary"
	"sync"
	_ "unsafe" // for go:linkname

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/blake2b"
)

// compute does the expensive part: argon2.IDKey, in memory that is kept from one computation to the next when the cost
// is today's.
//
// argon2.IDKey takes new memory each time, which must be cleared, fills the heap with several times what the pool
// computes in, and lets the first sign-in after a quiet time wait for thousands of page faults. The package has no way
// to bring memory along, so its parts are called by name here (decision 12); a test compares with argon2.IDKey.
func (c cost) compute(password string, salt []byte, size int) []byte {
	if c != today {
		return argon2.IDKey([]byte(password), salt, c.Passes, c.Memory, c.Threads, uint32(size))
	}
	memory := kept.Get().(*[]block)
	defer kept.Put(memory)
	blocks := *memory
	seed := initHash([]byte(password), salt, nil, nil, c.Passes, c.Memory, oneLane, uint32(size), argon2id)
	for i := range uint32(2) { // steps 3 and 4
		var first [8 * len(block{})]byte
		binary.LittleEndian.PutUint32(seed[blake2b.Size:], i)
		blake2bHash(first[:], seed[:])
		for word := range blocks[i] {
			blocks[i][word] = binary.LittleEndian.Uint64(first[8*word:])
		}
	}
	fillLane(blocks, c.Passes)
	return extractKey(blocks, c.Memory, oneLane, uint32(size))
}

// block is what Argon2 computes with, 1 KiB.
type block [128]uint64

// kept holds memory for computations of today's cost, until two collections found it unused.
var kept = sync.Pool{New: func() any {
	blocks := make([]block, today.Memory)
	return &blocks
}}

const (
	argon2id = 2 // RFC 9106, section 3.1: the type
	oneLane  = 1
)

// fillLane is steps 5 and 6 of RFC 9106, section 3.2, for one lane whose first two blocks are there. What else the memory
// holds does not matter.
func fillLane(blocks []block, passes uint32) {
	const slices = 4 // section 3.4
	length := uint32(len(blocks))
	segment := length / slices
	var input, addresses, zero block // section 3.4.1.2
	input[3], input[4], input[5] = uint64(length), uint64(passes), argon2id
	for pass := range passes {
		for slice := range uint32(slices) {
			input[0], input[2], input[6] = uint64(pass), uint64(slice), 0
			independent := pass == 0 && slice < slices/2 // of what was computed, section 3.4.1.3
			first := uint32(0)
			if pass == 0 && slice == 0 {
				first = 2
			}
			for index := first; index < segment; index++ {
				here := slice*segment + index
				before := (here + length - 1) % length
				choice := blocks[before][0]
				if independent {
					if at := index % uint32(len(addresses)); at == 0 || index == first {
						input[6]++
						processBlock(&addresses, &input, &zero)
						processBlock(&addresses, &addresses, &zero)
					}
					choice = addresses[index%uint32(len(addresses))]
				}
				other := indexAlpha(choice, length, segment, oneLane, pass, slice, 0, index)
				if pass == 0 {
					processBlock(&blocks[here], &blocks[before], &blocks[other])
				} else {
					processBlockXOR(&blocks[here], &blocks[before], &blocks[other])
				}
			}
		}
	}
}

// Parts of golang.org/x/crypto/argon2.

// initHash gives H0 of step 1, with room for the two numbers of steps 3 and 4.
//
//go:linkname initHash golang.org/x/crypto/argon2.initHash
func initHash(password, salt, key, data []byte, passes, memory, lanes, size uint32, kind int) [blake2b.Size + 8]byte

// blake2bHash is H', section 3.3.
//
//go:linkname blake2bHash golang.org/x/crypto/argon2.blake2bHash
func blake2bHash(out, in []byte)

// indexAlpha chooses the block to compute with, sections 3.4.1 and 3.4.2.
//
//go:linkname indexAlpha golang.org/x/crypto/argon2.indexAlpha
func indexAlpha(choice uint64, length, segment, lanes, pass, slice, lane, index uint32) uint32

// processBlock is the compression function G, section 3.5.
//
//go:linkname processBlock golang.org/x/crypto/argon2.processBlock
func processBlock(out, in1, in2 *block)

// processBlockXOR is G, xored into what was there.
//
//go:linkname processBlockXOR golang.org/x/crypto/argon2.processBlockXOR
func processBlockXOR(out, in1, in2 *block)

// extractKey is steps 7 and 8.
//
//go:linkname extractKey golang.org/x/crypto/argon2.extractKey
func extractKey(blocks []block, memory, lanes, size uint32) []byte
