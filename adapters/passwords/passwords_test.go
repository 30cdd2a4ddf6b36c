package passwords

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func TestTheListIsWhole(t *testing.T) {
	list := strings.Split(strings.TrimSuffix(sorted(), "\n"), "\n")
	if len(list) != 10_000 {
		t.Errorf("%d entries, want 10,000", len(list))
	}
	if !slices.IsSorted(list) {
		t.Error("not sorted by bytes")
	}
	legal := 0
	for _, p := range list {
		if len(p) >= 8 {
			legal++
		}
		if !Common(p) {
			t.Errorf("%q is on the list and not found", p)
		}
		for _, other := range []string{p + "\n", "\n" + p, p + "\x00", p + " ", p[:len(p)-1] + "\xff"} {
			if Common(other) {
				t.Errorf("%q is not on the list and found", other)
			}
		}
	}
	if legal < 3000 { // ASVS 5.0, 6.2.4
		t.Errorf("%d entries of legal length, want 3,000", legal)
	}
	sum := sha256.Sum256([]byte(sorted()))
	if got, want := hex.EncodeToString(sum[:]), "34e9f1b871ca8279b15f8c7491ccaada512e6377704a18588cf715d6eb1a1fa7"; got != want {
		t.Errorf("checksum %s, want %s", got, want)
	}
}

func TestCommon(t *testing.T) {
	for password, want := range map[string]bool{
		"123456":                     true,
		"password":                   true,
		"12345678":                   true,
		"qwertyuiop":                 true,
		"Password":                   false, // exactly
		"password ":                  false,
		"passwordz":                  false,
		"":                           false,
		"\n":                         false,
		"123456\n1234567":            false,
		"\xff\xff":                   false,
		"пароль":                     false,
		"correct horse battery":      false,
		strings.Repeat("x", 100_000): false,
	} {
		if got := Common(password); got != want {
			t.Errorf("Common(%.40q) = %v, want %v", password, got, want)
		}
	}
}

func TestContainsInShortLists(t *testing.T) {
	for _, lines := range []string{"", "b\n", "b\nd\n", "b\nd\nf\n"} {
		for _, wanted := range []string{"", "a", "b", "c", "d", "e", "f", "g", "b\nd"} {
			want := slices.Contains(strings.Fields(lines), wanted)
			if got := contains(lines, wanted); got != want {
				t.Errorf("contains(%q, %q) = %v, want %v", lines, wanted, got, want)
			}
		}
	}
}

func BenchmarkCommon(b *testing.B) {
	for b.Loop() {
		Common("correct horse battery staple")
	}
}
