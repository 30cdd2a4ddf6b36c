package sms

import (
	"io"
	"net/http"
	"net/url"
)

// https://developer.telesign.com/enterprise/reference/sendsms
func writeTelesign(r *http.Request, c Config, m Message) {
	r.SetBasicAuth(c.User, c.Key)
	form := url.Values{"phone_number": {digits(m.To)}, "message": {m.Text}, "message_type": {"OTP"}}
	if c.From != "" {
		form.Set("sender_id", c.From)
	}
	writeForm(r, form)
}

// readTelesign reads the state of the message, most often 290: in progress. States that leave open whether it arrives
// are no reason to send it twice. https://developer.telesign.com/enterprise/docs/all-status-and-error-codes
func readTelesign(status meaning, answer io.Reader) (meaning, code) {
	var result struct{ Status struct{ Code code } }
	decode(answer, &result)
	state := result.Status.Code
	switch {
	case status == refused && (-40_000 < state && state <= -20_000 || state == -90_001): // our account, or Telesign is away
		return again, state
	case status != accepted:
		return status, state
	}
	switch state {
	case 0, // cannot be read
		207, 210, 221, 230, 500: // error at the phone, phone away, expired, error at Telesign, not attempted
		return again, state
	case 211, 220, 222, 229, 231: // phone gone, no route to it, no SMS there, blocked by its owner, content not taken
		return refused, state
	}
	return accepted, 0
}
