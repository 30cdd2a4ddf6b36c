package geo

import (
	"strings"
	"sync"
	"testing"
)

func TestCountry(t *testing.T) {
	for ip, want := range map[string]string{
		"121.229.143.64":         "cn",
		"192.210.171.249":        "us",
		"23.16.28.232":           "ca",
		"193.99.144.80":          "de",
		"2400:3200::1":           "cn",
		"2001:dc7:1000::1":       "cn",
		"::ffff:23.16.28.232":    "ca",
		"2400:3200::1%eth0":      "cn",
		"10.1.2.3":               Unknown,
		"172.16.0.1":             Unknown,
		"192.168.1.1":            Unknown,
		"127.0.0.1":              Unknown,
		"169.254.1.1":            Unknown,
		"100.64.0.1":             Unknown, // shared by customers of a provider, RFC 6598
		"192.0.2.1":              Unknown, // documentation, RFC 5737
		"198.51.100.7":           Unknown,
		"0.0.0.0":                Unknown,
		"0.1.2.3":                Unknown,
		"224.0.0.1":              Unknown,
		"255.255.255.255":        Unknown,
		"::":                     Unknown,
		"::1":                    Unknown,
		"fe80::1%eth0":           Unknown,
		"fd00::1":                Unknown,
		"ff02::1":                Unknown,
		"2001:db8::1":            Unknown,
		"::ffff:10.0.0.1":        Unknown,
		"":                       Unknown,
		" 23.16.28.232":          Unknown,
		"23.16.28.232:443":       Unknown,
		"023.16.28.232":          Unknown,
		"unknown":                Unknown,
		"localhost":              Unknown,
		strings.Repeat("1", 1e5): Unknown,
	} {
		if got := Country(ip); got != want {
			t.Errorf("Country(%.40q) = %q, want %q", ip, got, want)
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct{ code, locale, want string }{
		{"de", "en", "Germany"},
		{"de", "de", "Deutschland"},
		{"de", "fr", "Allemagne"},
		{"de", "es", "Alemania"},
		{"de", "pt", "Alemanha"},
		{"de", "pt-br", "Alemanha"},
		{"de", "ja", "ドイツ"},
		{"de", "zh-TW", "德國"},
		{"US", "en", "United States"},
		{"us", "", "United States"},
		{"us", "xx", "United States"},                       // no such language
		{"us", "tlh", "United States"},                      // a language without names
		{"us", "und", "United States"},                      // no language
		{"us", "../../etc/passwd", "United States"},         // not a tag
		{"us", strings.Repeat("de-", 1e5), "United States"}, // too long to look at
		{Unknown, "en", "Unknown"},
		{Unknown, "de", "Unbekannt"},
		{Unknown, "de-AT", "Unbekannt"},
		{Unknown, "fr", "Inconnu"},
		{Unknown, "es-MX", "Desconocido"},
		{Unknown, "pt-BR", "Desconhecido"},
		{Unknown, "ja", "不明"},
		{Unknown, "it", "Unknown"},
		{Unknown, "", "Unknown"},
		{"", "en", "Unknown"},
		{"zz", "en", "Unknown"},
		{"eu", "en", "Unknown"},
		{"276", "en", "Unknown"},
		{"deu", "en", "Unknown"},
		{"\x00\xff", "en", "Unknown"},
	} {
		if got := Name(c.code, c.locale); got != c.want {
			t.Errorf("Name(%q, %.20q) = %q, want %q", c.code, c.locale, got, c.want)
		}
	}
}

func TestManyMayAskAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := Name(Country("2400:3200::1"), "en"); got != "China" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
}

// Whatever header an address was taken from, an answer is two letters or Unknown, and has a name.
func FuzzCountry(f *testing.F) {
	for _, ip := range []string{"23.16.28.232", "2400:3200::1", "::ffff:10.0.0.1", "fe80::1%eth0", "unknown"} {
		f.Add(ip, "pt-BR")
	}
	f.Fuzz(func(t *testing.T, ip, locale string) {
		code := Country(ip)
		if len(code) != 2 || code != strings.ToLower(code) {
			t.Errorf("Country(%q) = %q", ip, code)
		}
		if Name(code, locale) == "" {
			t.Errorf("Name(%q, %q) is empty", code, locale)
		}
	})
}

func BenchmarkCountry(b *testing.B) {
	for _, ip := range []string{"23.16.28.232", "2400:3200::1"} {
		b.Run(ip, func(b *testing.B) {
			for b.Loop() {
				Country(ip)
			}
		})
	}
}

func BenchmarkName(b *testing.B) {
	for b.Loop() {
		Name("de", "pt-BR")
	}
}
