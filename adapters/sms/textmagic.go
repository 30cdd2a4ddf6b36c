package sms

import (
	"net/http"
	"net/url"
)

// The status tells everything: an error's code repeats it. https://docs.textmagic.com/#tag/Outbound-Messages
func writeTextMagic(r *http.Request, c Config, m Message) {
	r.Header.Set("X-TM-Username", c.User)
	r.Header.Set("X-TM-Key", c.Key)
	form := url.Values{"text": {m.Text}, "phones": {digits(m.To)}}
	if c.From != "" {
		form.Set("from", digits(c.From))
	}
	writeForm(r, form)
}
