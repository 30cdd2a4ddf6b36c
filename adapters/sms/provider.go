package sms

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// provider is how one of them is asked and how its answers are read.
type provider struct {
	base, path string   // of the endpoint; {user} in the path stands for the user, an empty path for none
	needs      []string // keys of the configuration that must not be empty

	// write gives a request its body and what of the header is the provider's own.
	write func(*http.Request, Config, Message)

	// read gives what an answer means, where the status tells something else or not enough, and the provider's code. It
	// reads no more than it needs: what was accepted stays so when the rest of the answer never comes. nil: the status
	// tells everything.
	read func(status meaning, answer io.Reader) (meaning, code)
}

var providers = map[string]provider{
	"webhook": {
		needs: []string{"url"},
		write: writeWebhook,
	},
	"twilio": {
		base: "https://api.twilio.com", path: "2010-04-01/Accounts/{user}/Messages.json",
		needs: []string{"from", "user", "key"},
		write: writeTwilio, read: readTwilio,
	},
	"vonage": {
		base: "https://rest.nexmo.com", path: "sms/json",
		needs: []string{"from", "user", "key"},
		write: writeVonage, read: readVonage,
	},
	"msg91": {
		base: "https://control.msg91.com", path: "api/v5/flow",
		needs: []string{"user", "key"},
		write: writeMSG91, read: readMSG91,
	},
	"telesign": {
		base: "https://rest-api.telesign.com", path: "v1/messaging",
		needs: []string{"user", "key"},
		write: writeTelesign, read: readTelesign,
	},
	"textmagic": {
		base: "https://rest.textmagic.com", path: "api/v2/messages",
		needs: []string{"user", "key"},
		write: writeTextMagic,
	},
}

func writeForm(r *http.Request, form url.Values) {
	write(r, "application/x-www-form-urlencoded", []byte(form.Encode()))
}

func writeJSON(r *http.Request, value any) {
	body, _ := json.Marshal(value) // of texts alone: cannot fail
	write(r, "application/json", body)
}

func write(r *http.Request, contentType string, body []byte) {
	r.Header.Set("Content-Type", contentType)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// digits is the number as it is written where no + is wanted.
func digits(number string) string { return strings.TrimPrefix(number, "+") }

// code is a provider's own number for what happened, in JSON a number or a text of digits. 0: it gave none.
type code int

// UnmarshalJSON takes anything and keeps numbers of up to five digits. No provider's codes have more, whereas a phone
// number or a one-time code in this place has.
func (c *code) UnmarshalJSON(value []byte) error {
	n, err := strconv.Atoi(string(bytes.Trim(value, `"`)))
	if err == nil && -100_000 < n && n < 100_000 {
		*c = code(n)
	}
	return nil
}

// decode reads one JSON value, and says whether it could.
func decode(answer io.Reader, into any) bool { return json.NewDecoder(answer).Decode(into) == nil }
