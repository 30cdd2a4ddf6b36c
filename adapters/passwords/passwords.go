// Package passwords knows the passwords that everybody tries first.
//
// OWASP ASVS 5.0, 6.2.4, asks to refuse at least the 3,000 most common passwords that the rules for length would allow.
// The list is the 10,000 most common of all, of which 3,534 have eight characters or more. It does not know when a
// password is checked against it, nor what else makes one acceptable.
//
// common.txt.gz is made from the npm package named in NOTICE, one password per line, sorted by bytes:
//
//	npm pack @zxcvbn-ts/language-common@4.1.3
//	tar xzf zxcvbn-ts-language-common-4.1.3.tgz
//	jq -r '.[:10000][]' package/src/passwords.json | LC_ALL=C sort | gzip -9n > common.txt.gz
package passwords

import (
	"compress/gzip"
	_ "embed" // for the list
	"fmt"
	"io"
	"strings"
	"sync"
)

//go:embed common.txt.gz
var packed string

// sorted is the list as one string of 77 kB, unpacked when it is first asked. A map would take ten times that for as
// long as the program runs.
var sorted = sync.OnceValue(func() string {
	r, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("passwords: the program file is damaged: %v", err))
	}
	text, err := io.ReadAll(r)
	if err != nil {
		panic(fmt.Sprintf("passwords: the program file is damaged: %v", err))
	}
	return string(text)
})

// Common says whether the password is on the list, exactly: "password" is, "Password" is not.
func Common(password string) bool { return contains(sorted(), password) }

// contains searches sorted lines, each ending in a line break, by halves.
func contains(lines, wanted string) bool {
	for lines != "" {
		middle := strings.LastIndexByte(lines[:len(lines)/2], '\n') + 1
		line, rest, _ := strings.Cut(lines[middle:], "\n")
		switch strings.Compare(wanted, line) {
		case 0:
			return true
		case -1:
			lines = lines[:middle]
		default:
			lines = rest
		}
	}
	return false
}
