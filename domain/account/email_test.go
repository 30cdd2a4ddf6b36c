package account_test

import (
	"net/mail"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/actahq/acta/domain/account"
)

func TestParseEmail(t *testing.T) {
	long := strings.Repeat("a", 64)
	domain := strings.Repeat(strings.Repeat("d", 60)+".", 3) + "com" // 186 bytes
	for _, c := range []struct{ in, want string }{                   // want empty = refused
		{"ada@example.com", "ada@example.com"},
		{"Ada.LOVELACE@Example.COM", "ada.lovelace@example.com"},
		{"a@b.c", "a@b.c"},
		{"ada+tag@example.com", "ada+tag@example.com"},
		{"!#$%&'*+/=?^_`{|}~-@example.com", "!#$%&'*+/=?^_`{|}~-@example.com"},
		{"ada@sub.sub.example.co.uk", "ada@sub.sub.example.co.uk"},
		{"ada@Bücher.example", "ada@bücher.example"},
		{"ada@bu\u0308cher.example", "ada@bu\u0308cher.example"}, // the same in NFD; the claim brings both together
		{"ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"},
		{"ada@例え.テスト", "ada@例え.テスト"},
		{"ada@пример.рф", "ada@пример.рф"},
		{"ada@1.example", "ada@1.example"},
		{long + "@example.com", long + "@example.com"},
		{"ada@" + strings.Repeat("d", 63) + ".com", "ada@" + strings.Repeat("d", 63) + ".com"},
		{long + "@aa." + domain, long + "@aa." + domain}, // 254 bytes

		{"", ""}, {"@", ""}, {"ada", ""}, {"ada@", ""}, {"@example.com", ""},
		{"ada@example", ""}, {"ada@localhost", ""},
		{"ada@@example.com", ""}, {"ada@bob@example.com", ""}, {"ada@example.com@", ""},
		{"ada@example.com.", ""}, {"ada@.example.com", ""}, {"ada@example..com", ""},
		{".ada@example.com", ""}, {"ada.@example.com", ""}, {"ada..l@example.com", ""},
		{"ada@-example.com", ""}, {"ada@example-.com", ""}, {"ada@exa_mple.com", ""},
		{"Ada <ada@example.com>", ""}, {"<ada@example.com>", ""}, {"ada@example.com (Ada)", ""},
		{`"ada"@example.com`, ""}, {`"ada@bob"@example.com`, ""}, {`ada\@bob@example.com`, ""},
		{"ada@[127.0.0.1]", ""}, {"ada@[IPv6:::1]", ""}, {"ada@example.com:25", ""},
		{"ada@example.com, bob@example.com", ""}, {"ada@example.com;bob@example.com", ""},
		{" ada@example.com", ""}, {"ada@example.com ", ""}, {"ada @example.com", ""}, {"ada@exam ple.com", ""},
		{"ada@example.com\r\nBcc: bob@example.com", ""}, {"ada\r\n@example.com", ""}, {"ada@example.com\n", ""}, {"\tada@example.com", ""},
		{"ada@example.com\x00", ""}, {"a\x00da@example.com", ""}, {"ada@exam\x00ple.com", ""}, {"ada\x7f@example.com", ""},
		{"ada@example.com\xff", ""}, {"ad\xc3@example.com", ""},
		{"ädä@example.com", ""},
		{"mi\u212Ae@example.com", ""},                              // KELVIN SIGN, whose lower case is an ASCII k
		{"ada@example\u3002com", ""}, {"ada@example\uff0ecom", ""}, // dots that are not .
		{"ada\uff20example.com", ""},                                 // an @ that is not @
		{"ada@ex\u200bample.com", ""}, {"ada@\u202eexample.com", ""}, // nothing invisible, nothing that turns text around
		{"ada@ex\u00adample.com", ""}, {"ada@ex\u2044ample.com", ""}, // soft hyphen, fraction slash
		{"ada@example.com/x", ""}, {"ada@example.com?subject=hi", ""}, // no further parts of a mailto
		{"ada@exa%6dple.com", ""}, {"mailto:ada@example.com", ""}, // no URL
		{long + "a@example.com", ""},                                     // local part of 65
		{"ada@" + strings.Repeat("d", 64) + ".com", ""},                  // label of 64
		{long + "@aaa." + domain, ""},                                    // 255 bytes
		{long + "@" + strings.Repeat("a.", 300) + "com", ""},             // much too long
		{"ada@" + strings.Repeat("\u023A", 31) + ".com", ""},             // 62 bytes that are 93 in lower case
		{strings.Repeat("a", 1<<20) + "@example.com", ""},                // a megabyte
		{"ada@" + strings.Repeat("a", 1<<20), ""},                        //
		{strings.Repeat("@", 1000), ""}, {strings.Repeat(".", 1000), ""}, //
	} {
		got, ok := account.ParseEmail(c.in)
		if string(got) != c.want || ok != (c.want != "") {
			t.Errorf("%.80q: got %q, %v, want %q", c.in, got, ok, c.want)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, s := range []string{"ada@example.com", "Ada <ada@example.com>", "ada@Bücher.example", "a@bu\u0308.c", "a\r\n@b.c", "\"a\"@b.c", "a@b.c.", "a@@b.c", "a@\u023A.c", "mi\u212Ae@b.c", "a@\u0130.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, ok := account.ParseEmail(s)
		if !ok {
			if e != "" {
				t.Errorf("%q was refused and read as %q", s, e)
			}
			return
		}
		got := string(e)
		if again, ok := account.ParseEmail(got); !ok || again != e {
			t.Errorf("%q: %q, and again %q, %v", s, e, again, ok)
		}
		if len(got) > 254 || !utf8.ValidString(got) || strings.Count(got, "@") != 1 || strings.ContainsAny(got, " \r\n\t\x00\"<>()[],;:\\") {
			t.Errorf("%q was read as %q", s, e)
		}
		if a, err := mail.ParseAddress(got); err != nil || a.Address != got || a.Name != "" {
			t.Errorf("%q: net/mail reads %+v, %v", got, a, err)
		}
	})
}
