// Package useragent tells system, client and device from a User-Agent header, in the names and codes of the API's
// reference: those of Matomo's device detector, without its detection of bots.
//
// github.com/mileusna/useragent takes the header apart; the tables here say what the reference calls the parts. They name
// what people use to sign in. What they do not know stays empty, so that nothing is claimed that was not recognised. No
// data of the reference is included, which is under another licence.
package useragent

import (
	"strings"

	mileusna "github.com/mileusna/useragent"
)

// Client is what a header tells. Unknown fields are empty. Versions are cut to major.minor. Every field is printable
// ASCII, whatever the header was.
type Client struct {
	OSCode    string // "WIN"
	OSName    string // "Windows"
	OSVersion string // "10"

	ClientType          string // "browser", "library" or "desktop"
	ClientCode          string // "CH"; libraries have none
	ClientName          string // "Chrome"
	ClientVersion       string // "120.0"
	ClientEngine        string // "Blink"; browsers only
	ClientEngineVersion string // "120.0"

	DeviceName  string // the kind: "desktop", "smartphone", "tablet" or "tv"
	DeviceBrand string // "Samsung"
	DeviceModel string // "Galaxy S23 Ultra"
}

// maxLength is how much of a header is looked at, in bytes. Those of real browsers stay below 300.
const maxLength = 1024

// Parse reads a header of any length and content.
func Parse(ua string) Client {
	ua = ua[:min(len(ua), maxLength)]
	parsed := mileusna.Parse(ua)

	var c Client
	setSystem(&c, ua, parsed)
	setClient(&c, ua, parsed)
	setDevice(&c, ua, parsed)
	return c
}

// maxVersion is the length of a version that is still believed, in bytes.
const maxVersion = 20

// number gives the digits and dots that s begins with.
func number(s string) string {
	end := 0
	for end < len(s) && (s[end] == '.' || '0' <= s[end] && s[end] <= '9') {
		end++
	}
	if s = strings.Trim(s[:end], "."); len(s) > maxVersion {
		return ""
	}
	return s
}

// cut gives major.minor of the version that s begins with.
func cut(s string) string {
	major, rest, dotted := strings.Cut(number(s), ".")
	minor, _, _ := strings.Cut(rest, ".")
	if !dotted || minor == "" {
		return major
	}
	return major + "." + minor
}

// after gives major.minor of the version that follows the first occurrence of token.
func after(ua, token string) string {
	_, rest, _ := strings.Cut(ua, token)
	return cut(rest)
}
