package sms

import (
	"io"
	"net/http"
)

// MSG91 sends what a template of the account makes of variables. Ours has one, which holds the whole text and is called
// ##otp## or ##var## in the template, as its owner likes. https://docs.msg91.com/sms/send-sms
func writeMSG91(r *http.Request, c Config, m Message) {
	type recipient struct {
		Mobiles string `json:"mobiles"`
		OTP     string `json:"otp"`
		Var     string `json:"var"`
	}
	r.Header.Set("authkey", c.Key)
	writeJSON(r, struct {
		TemplateID string      `json:"template_id"`
		Sender     string      `json:"sender,omitempty"` // the template knows one
		ShortURL   string      `json:"short_url"`
		Recipients []recipient `json:"recipients"`
	}{c.User, c.From, "0", []recipient{{digits(m.To), m.Text, m.Text}}})
}

// msg91NoNumber: the mobile number is invalid. Other codes are about the account and its templates.
const msg91NoNumber = 202

// readMSG91 reads the type of the answer, which may be an error although the status is 200.
func readMSG91(status meaning, answer io.Reader) (meaning, code) {
	var result struct {
		Type string
		Code code
	}
	read := decode(answer, &result)
	switch {
	case status == accepted && read && result.Type == "success":
		return accepted, 0
	case status != again && result.Code == msg91NoNumber:
		return refused, result.Code
	case status == refused && result.Code == 0:
		return refused, 0
	}
	return again, result.Code
}
