package sms

import "net/http"

// The webhook is the operator's own. Every 2xx says that it has the message; the header Idempotency-Key, that it has had
// it before (draft-ietf-httpapi-idempotency-key-header).
func writeWebhook(r *http.Request, c Config, m Message) {
	r.Header.Set("X-Username", c.User)
	r.Header.Set("X-Key", c.Key)
	r.Header.Set("Idempotency-Key", m.ID)
	writeJSON(r, struct {
		From    string `json:"from"`
		To      string `json:"to"`
		Message string `json:"message"`
	}{c.From, m.To, m.Text})
}
