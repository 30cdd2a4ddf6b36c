package sms

import (
	"io"
	"net/http"
	"net/url"
	"slices"
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

// twilioAboutUs is the codes that blame our account or sender, most of them with status 400. Those that depend on the
// recipient too, such as 21408 (we may not send to that country), are final: whoever asks for such messages must not be
// able to open the breaker. https://www.twilio.com/docs/api/errors
var twilioAboutUs = []code{
	20003, 20005, 20008, 30002, // credentials, account not active, test credentials, account suspended
	21212, 21603, 21606, 21607, 21659, 21660, 21661, // no sender, or not ours, or one that cannot send
	21701, 21703, 21704, 21705, // no such messaging service, or one without a sender
	21611, 30001, 63038, // too many wait for our number, or were sent today
}

func readTwilio(status meaning, answer io.Reader) (meaning, code) {
	if status == accepted {
		return accepted, 0
	}
	var problem struct{ Code code }
	decode(answer, &problem) // without a code the status has to do
	if slices.Contains(twilioAboutUs, problem.Code) {
		return again, problem.Code
	}
	return status, problem.Code
}
