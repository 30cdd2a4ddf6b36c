// Package geo tells which country an IP address is registered in, and what the country is called in a language.
//
// The table of addresses (github.com/phuslu/iploc, data of the five registries) is part of the binary and is read where
// it lies, 4.5 MB; nothing is downloaded. The half for IPv6 is packed: the first IPv6 address unpacks it to 11 MB of
// heap, which the variable IPLOC_IPV4ONLY=1 of the environment prevents, at the cost of not knowing IPv6 addresses.
//
// Countries are those of the registration, good enough for "was that you?" and not for law or tax. It does not know whose
// address it is.
package geo

import (
	"net/netip"
	"strings"

	"github.com/phuslu/iploc"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// Unknown is the code of an address that is private, invalid or in no country.
const Unknown = "--"

// maxLocale is the length of the longest tag RFC 5646, section 4.4.1, asks to make room for.
const maxLocale = 35

// Country gives the ISO 3166-1 alpha-2 code in lower case, as the API writes it, or Unknown.
func Country(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return Unknown
	}
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() {
		return Unknown
	}
	if region, ok := country(iploc.IPCountry(addr)); ok {
		return strings.ToLower(region.String())
	}
	return Unknown
}

// Name gives the name of the country with this code (in any case) in the language of the locale, a BCP 47 tag such as
// "pt-BR". A language without names gets them in English. The name of Unknown, and of a code that is no country, is the
// word for "unknown".
func Name(code, locale string) string {
	tag := language.English
	if len(locale) <= maxLocale {
		if t, err := language.Parse(locale); err == nil {
			tag = t
		}
	}
	region, ok := country(code)
	if !ok {
		return unknown(tag)
	}
	for _, t := range []language.Tag{tag, language.English} {
		if names := display.Regions(t); names != nil { // nil: the library has no names in this language
			if name := names.Name(region); name != "" {
				return name
			}
		}
	}
	return unknown(tag)
}

// country leaves out what else ISO 3166-1 and the registries use two letters for: ZZ, EU, AP.
func country(code string) (language.Region, bool) {
	if len(code) != 2 {
		return language.Region{}, false
	}
	region, err := language.ParseRegion(code)
	return region, err == nil && region.IsCountry()
}

func unknown(tag language.Tag) string {
	base, _ := tag.Base()
	if word, ok := words[base.String()]; ok {
		return word
	}
	return "Unknown"
}

var words = map[string]string{
	"de": "Unbekannt",
	"es": "Desconocido",
	"fr": "Inconnu",
	"ja": "不明",
	"pt": "Desconhecido",
}
