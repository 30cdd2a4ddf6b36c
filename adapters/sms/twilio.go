package sms

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource
func writeTwilio(r *http.Request, c Config, m Message) {
	r.SetBasicAuth(c.User, c.Key)
	sender := "From"
	if strings.HasPrefix(c.From, "MG") {
		sender = "MessagingServiceSid"
	}
	writeForm(r, url.Values{sender: {c.From}, "To": {m.To}, "Body": {m.Text}})
}

// twilioQueueFull: too many messages wait for our number. https://www.twilio.com/docs/api/errors/21611
const twilioQueueFull = 21611

func readTwilio(status meaning, answer io.Reader) (meaning, code) {
	if status == accepted {
		return accepted, 0
	}
	var problem struct{ Code code }
	decode(answer, &problem) // without a code the status has to do
	if problem.Code == twilioQueueFull {
		return again, problem.Code
	}
	return status, problem.Code
}
