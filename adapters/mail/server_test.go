package mail

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheURLSaysHowToReachTheServer(t *testing.T) {
	type reached struct {
		Address, User, Password string
		Encryption              encryption
		Unverified              bool
	}
	for raw, want := range map[string]reached{
		"smtp://mail.example.com":                                {"mail.example.com:25", "", "", opportunistic, true},
		"smtp://mail.example.com/":                               {"mail.example.com:25", "", "", opportunistic, true},
		"smtp://mail.example.com:2525":                           {"mail.example.com:2525", "", "", opportunistic, true},
		"smtp://mail.example.com?tls=required":                   {"mail.example.com:25", "", "", required, false},
		"smtp://mail.example.com?tls=none":                       {"mail.example.com:25", "", "", none, false},
		"smtp://acta:open-sesame@mail.example.com":               {"mail.example.com:587", "acta", "open-sesame", required, false},
		"smtp://acta:open-sesame@mail.example.com:25":            {"mail.example.com:25", "acta", "open-sesame", required, false},
		"smtp://acta:open-sesame@mail.example.com?tls=none":      {"mail.example.com:587", "acta", "open-sesame", none, false},
		"smtp://a%40b.c:%25%2F%3A%40@mail.example.com":           {"mail.example.com:587", "a@b.c", "%/:@", required, false},
		"smtp://acta:open-sesame@localhost":                      {"localhost:587", "acta", "open-sesame", opportunistic, true},
		"smtp://acta:open-sesame@127.0.0.1?tls=opportunistic":    {"127.0.0.1:587", "acta", "open-sesame", opportunistic, true},
		"smtp://acta:open-sesame@[::1]:2525":                     {"[::1]:2525", "acta", "open-sesame", opportunistic, true},
		"smtp://acta:open-sesame@localhost?tls=required":         {"localhost:587", "acta", "open-sesame", required, false},
		"smtp://acta:open-sesame@localhost.example.com":          {"localhost.example.com:587", "acta", "open-sesame", required, false},
		"smtps://acta:open-sesame@mail.example.com":              {"mail.example.com:465", "acta", "open-sesame", implicit, false},
		"smtps://acta:open-sesame@mail.example.com?tls=required": {"mail.example.com:465", "acta", "open-sesame", implicit, false},
		"smtps://localhost:4650":                                 {"localhost:4650", "", "", implicit, false},
	} {
		s, err := parseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got := reached{s.address, s.user, s.password, s.encryption, s.tls.InsecureSkipVerify}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", raw, diff)
		}
	}
}

func TestAWrongURLIsNamedWithoutQuotingIt(t *testing.T) {
	for raw, want := range map[string]string{
		"": errURL.Error(), "mail.example.com": errURL.Error(), "mail.example.com:25": errURL.Error(), "smtp:mail.example.com": errURL.Error(),
		"http://mail.example.com": errURL.Error(), "smtp://": errURL.Error(), "smtp://:25": errURL.Error(), "smtp://mail.example.com/path": errURL.Error(),
		"smtp://mail.example.com#fragment": errURL.Error(),
		// Passwords that are not escaped.
		"smtp://acta:open-sesame/x@mail.example.com":   errURL.Error(),
		"smtp://acta:open-sesame?x@mail.example.com":   errURL.Error(),
		"smtp://acta:open-sesame#x@mail.example.com":   errURL.Error(),
		"smtp://acta:open-sesame%zz@mail.example.com":  errURL.Error(),
		"smtp://acta:open-sesame%@mail.example.com":    errURL.Error(),
		"smtp://acta:open-sesame\n@mail.example.com":   errURL.Error(),
		"smtp://acta:open-sesame@mail example.com":     errURL.Error(),
		"smtp://acta:25/open-sesame@mail.example.com":  errURL.Error(),
		"smtp://acta:25?open-sesame@mail.example.com":  "tls is the only setting",
		"smtp://acta:open-sesame%0A@mail.example.com":  "line break",
		"smtp://acta%00:open-sesame@mail.example.com":  "line break",
		"smtp://open-sesame@mail.example.com":          "the password is missing",
		"smtp://:open-sesame@mail.example.com":         "the user or",
		"smtp://acta:open-sesame@mail.example.com:0":   "port",
		"smtp://acta:open-sesame@mail.example.com:1e5": errURL.Error(),
		"smtp://mail.example.com:65536":                "port",
		"smtp://mail.example.com?TLS=none":             "tls is the only setting",
		"smtp://mail.example.com?tls=none&tls=none":    "tls is the only setting",
		"smtp://mail.example.com?tls=none&timeout=1":   "tls is the only setting",
		"smtp://mail.example.com?tls=%zz":              "tls is the only setting",
		"smtp://mail.example.com?tls=":                 "required, opportunistic or none",
		"smtp://mail.example.com?tls=implicit":         "required, opportunistic or none",
		"smtps://mail.example.com?tls=none":            "always encrypted",
		"smtps://mail.example.com?tls=opportunistic":   "always encrypted",
		// The password would go to whoever strips the offer of STARTTLS.
		"smtp://acta:open-sesame@mail.example.com?tls=opportunistic": "does not protect the password",
	} {
		_, err := New(raw, "no-reply@example.com")
		if err == nil || !strings.HasPrefix(err.Error(), "smtp.url: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", raw, err, want)
			continue
		}
		for _, secret := range []string{"sesame", "acta", "zz"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %q tells %q", raw, err, secret)
			}
		}
	}
}

func TestAWrongSenderIsNamed(t *testing.T) {
	for _, from := range []string{
		"", "Acta", "acta@", "Acta <no-reply>", "a@b.c, d@e.f", `"no reply"@example.com`, "no-reply@[127.0.0.1]", "nö-reply@example.com",
		"Acta <no-reply@example.com>\r\nBcc: eve@example.net", "Acta <no-reply@exam_ple.com>",
		"=?utf-8?q?Acta=0D=0ABcc:_eve?= <no-reply@example.com>",
	} {
		if _, err := New("smtp://localhost", from); err == nil || !strings.HasPrefix(err.Error(), "smtp.from: ") {
			t.Errorf("%q: %v", from, err)
		}
	}
	m, err := New("smtp://localhost", "=?utf-8?q?B=C3=BCcherei?= <No-Reply@Example.COM>")
	if err != nil {
		t.Fatal(err)
	}
	if m.from.Name != "Bücherei" || m.from.Address != "No-Reply@example.com" {
		t.Errorf("it is %s", &m.from)
	}
}
