package sms

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// https://developer.vonage.com/en/api/sms#send-an-sms
func writeVonage(r *http.Request, c Config, m Message) {
	form := url.Values{
		"api_key":    {c.User},
		"api_secret": {c.Key},
		"from":       {digits(c.From)},
		"to":         {digits(m.To)},
		"text":       {m.Text},
	}
	if !inGSM(m.Text) {
		form.Set("type", "unicode") // or the phone shows question marks
	}
	writeForm(r, form)
}

// gsm is the default alphabet and its extension of GSM 03.38 (3GPP TS 23.038, section 6.2.1).
const gsm = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà" + "\f^{}\\[~]|€"

func inGSM(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !strings.ContainsRune(gsm, r) })
}

// readVonage reads the status of every part of the message, for a part that is missing spoils it. The status of the
// answer as a whole is 200, whatever has happened.
// https://developer.vonage.com/en/messaging/sms/guides/troubleshooting-sms
func readVonage(status meaning, answer io.Reader) (meaning, code) {
	if status != accepted {
		return status, 0
	}
	var result struct{ Messages []struct{ Status string } }
	if !decode(answer, &result) || len(result.Messages) == 0 {
		return again, 0
	}
	for _, part := range result.Messages {
		number, err := strconv.ParseUint(part.Status, 10, 8)
		switch {
		case err != nil:
			return again, 0
		case number == 0:
			continue
		}
		switch number {
		case 1, 5, 10, 13, // throttled, internal error, too many connections, communication failed
			4, 8, 9, 11, 14, 32: // our account: credentials, barred, no credit, no HTTP, to be signed, not to be signed
			return again, code(number)
		}
		return refused, code(number) // 15 too, though it blames our sender: it depends on the recipient's country
	}
	return accepted, 0
}
