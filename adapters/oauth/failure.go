package oauth

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// Kind is what a failure means for the one who signs in.
type Kind int

const (
	Failed       Kind = iota // the provider is down, or does not keep to the protocol, or somebody plays tricks
	BadRequest               // it answered 400, most often because the code is used or too old
	Unauthorized             // it answered 401
	Nobody                   // it let somebody in and does not tell whom
)

// Failure is what a provider answered instead of what was asked for; find it by errors.AsType[*Failure]. Its text holds
// numbers, words of this package, and the code.
type Failure struct {
	Kind   Kind
	Status int    // of HTTP; 0 = no answer, or its contents are to blame
	Code   string // such as "invalid_grant": 1 to 64 of a-z and _; or none

	why  string
	well bool // it shows that the provider is well
	moot bool // it shows neither that nor the contrary
}

func (f *Failure) Error() string {
	text := cmp.Or(f.why, "the provider refuses")
	if f.Status != 0 {
		text += fmt.Sprintf(", status %d", f.Status)
	}
	if f.Code != "" {
		text += ", " + f.Code
	}
	return text
}

// failed is a failure of the provider or the way to it.
func failed(why string) error { return &Failure{why: why} }

// unreadable is an answer that is not what was asked for.
func unreadable(status int, why string) error {
	return &Failure{Status: status, why: "the answer is no use: " + why}
}

// forged is what is not to be believed, or used. Those who sign in can bring it about, some of it before the provider is
// asked, and so it tells the breaker nothing.
func forged(why string) error { return &Failure{why: why, moot: true} }

// refusal reads a status of 400 or more, or an error that came with another one. A request that is refused proves that the
// provider is well; 408, 425 and 429 ask for patience (RFC 9110, RFC 8470, RFC 6585).
func refusal(status int, code string) error {
	f := &Failure{Status: status, Code: code, well: status < 500}
	if !f.well {
		f.why = "the provider has failed"
	}
	switch status {
	case http.StatusUnauthorized:
		f.Kind = Unauthorized
	case http.StatusBadRequest, http.StatusOK: // some say 200 where RFC 6749, 5.2 wants 400: GitHub, Slack
		f.Kind = BadRequest
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		f.well = false
	}
	return f
}

var validCode = regexp.MustCompile(`^[a-z_]{1,64}$`)

// codeIn finds the code of an OAuth error in an answer of any provider:
//
//	{"error": "invalid_grant", ...}              RFC 6749, 5.2
//	{"error": {"status": "UNAUTHENTICATED"}}     Google; others say code or type
//	{"errors": [{"code": "expired"}]}            Fitbit and the like
//	error=bad_verification_code&...              GitHub
//
// Whatever else it says may quote the person or the token and is left there.
func codeIn(body []byte) string {
	var found any
	var says map[string]any
	if json.Unmarshal(body, &says) == nil {
		found = says["error"]
		if several, _ := says["errors"].([]any); found == nil && len(several) > 0 {
			found = several[0]
		}
	} else if form, err := url.ParseQuery(string(body)); err == nil {
		found = form.Get("error")
	}
	if inner, ok := found.(map[string]any); ok {
		for _, key := range []string{"status", "code", "type"} {
			if word, ok := inner[key].(string); ok {
				return valid(strings.ToLower(word))
			}
		}
	}
	word, _ := found.(string)
	return valid(word)
}

func valid(code string) string {
	if validCode.MatchString(code) {
		return code
	}
	return ""
}
