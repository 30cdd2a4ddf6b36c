package hash

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The vectors are those of the reference implementation (github.com/P-H-C/phc-winner-argon2, src/test.c, Argon2id,
// version 0x13). RFC 9106 has none that x/crypto could compute: its own use a secret and associated data.
var reference = []struct {
	password, salt string
	cost           cost
	tag, phc       string
}{
	{"password", "somesalt", cost{65536, 2, 1}, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
	{"password", "somesalt", cost{256, 2, 1}, "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
		"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
	{"password", "somesalt", cost{256, 2, 2}, "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
		"$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
	{"password", "somesalt", cost{65536, 1, 1}, "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98",
		"$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHQ$9qWtwbpyPd3vm1rB1GThgPzZ3/ydHL92zKL+15XZypg"},
	{"differentpassword", "somesalt", cost{65536, 2, 1}, "0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde",
		"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"},
	{"password", "diffsalt", cost{65536, 2, 1}, "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c",
		"$argon2id$v=19$m=65536,t=2,p=1$ZGlmZnNhbHQ$vfMrBczELrFdWP0ZsfhWsRPaHppYdP3MVEMIVlqoFBw"},
}

func TestTagsAreThoseOfTheReferenceImplementation(t *testing.T) {
	for _, v := range reference {
		t.Run(v.phc, func(t *testing.T) {
			tag := v.cost.compute(v.password, []byte(v.salt), tagSize)
			if got := hex.EncodeToString(tag); got != v.tag {
				t.Errorf("tag = %s, want %s", got, v.tag)
			}
			if got := (hashed{v.cost, []byte(v.salt), tag}).String(); got != v.phc {
				t.Errorf("string = %s, want %s", got, v.phc)
			}
		})
	}
}

func TestParseReadsWhatStringWrites(t *testing.T) {
	for _, want := range []hashed{
		{today, make([]byte, saltSize), make([]byte, tagSize)},
		{cost{8, 1, 1}, []byte("8 bytes."), make([]byte, minTag)},
		{cost{maxMemory, maxPasses, maxThreads}, make([]byte, maxSalt), make([]byte, maxTag)},
	} {
		got, err := parse(want.String())
		if err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(hashed{}, cost{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const salt, tag = "c29tZXNhbHQ", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	b64 := func(n int) string { return base64.RawStdEncoding.EncodeToString(make([]byte, n)) }
	with := func(cost string) string { return "$argon2id$v=19$" + cost + "$" + salt + "$" + tag }
	sized := func(salt, tag string) string { return "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag }
	if _, err := parse(with("m=256,t=2,p=1")); err != nil {
		t.Fatalf("the table's base is not acceptable: %v", err)
	}
	for name, phc := range map[string]string{
		"empty":                   "",
		"dollars":                 "$$$$$$$$",
		"garbage":                 "\x00\xff\n$",
		"another family":          "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + tag,
		"bcrypt":                  "$2y$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"another version":         "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + tag,
		"no version":              "$argon2id$m=256,t=2,p=1$" + salt + "$" + tag,
		"a field too many":        with("m=256,t=2,p=1") + "$",
		"a field too few":         "$argon2id$v=19$m=256,t=2,p=1$" + salt,
		"text before":             " " + with("m=256,t=2,p=1"),
		"memory over the bound":   with("m=1048577,t=2,p=1"),
		"memory of 4 TiB":         with("m=4294967295,t=2,p=1"),
		"memory overflows":        with("m=4294967552,t=2,p=1"),
		"memory under the floor":  with("m=7,t=2,p=1"),
		"memory under 8 a thread": with("m=127,t=2,p=16"),
		"no memory":               with("m=0,t=2,p=1"),
		"memory negative":         with("m=-256,t=2,p=1"),
		"passes over the bound":   with("m=256,t=17,p=1"),
		"no passes":               with("m=256,t=0,p=1"),
		"threads over the bound":  with("m=256,t=2,p=17"),
		"threads overflow":        with("m=256,t=2,p=257"),
		"no threads":              with("m=256,t=2,p=0"),
		"leading zero":            with("m=0256,t=2,p=1"),
		"plus":                    with("m=+256,t=2,p=1"),
		"hexadecimal":             with("m=0x100,t=2,p=1"),
		"spaces":                  with("m=256, t=2, p=1"),
		"another order":           with("t=2,m=256,p=1"),
		"a parameter too many":    with("m=256,t=2,p=1,keyid=x"),
		"a parameter too few":     with("m=256,t=2"),
		"no salt":                 sized("", tag),
		"salt too short":          sized(b64(minSalt-1), tag),
		"salt too long":           sized(b64(maxSalt+1), tag),
		"salt not base64":         sized("c29tZXNhb!Q", tag),
		"no tag":                  sized(salt, ""),
		"tag too short":           sized(salt, b64(minTag-1)),
		"tag too long":            sized(salt, b64(maxTag+1)),
		"padding":                 sized(salt+"=", tag),
		"line break":              sized("c29t\nZXNhbHQ", tag),
		"stray bits":              sized("c29tZXNhbHR", tag),
		"url alphabet":            sized(salt, strings.ReplaceAll(tag, "/", "_")),
		"very long":               sized(strings.Repeat("A", 1<<20), tag),
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := parse(phc); !errors.Is(err, ErrMalformed) {
				t.Errorf("parse gives %v, %v", h, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range reference {
		f.Add(v.phc)
	}
	f.Add(nobody)
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAAAAAAAAAAAAAAAAAAAA$")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parse(phc)
		if err != nil {
			return
		}
		if h.Memory > maxMemory || h.Passes > maxPasses || h.Threads > maxThreads || len(h.Salt) > maxSalt || len(h.Tag) > maxTag {
			t.Errorf("%q asks for %+v", phc, h.cost)
		}
		if got := h.String(); got != phc {
			t.Errorf("%q comes back as %q", phc, got)
		}
		if small := uint64(h.Memory)*uint64(h.Passes) <= 4096; small { // what passes must also compute without a panic
			h.compute("password", h.Salt, len(h.Tag))
		}
	})
}
