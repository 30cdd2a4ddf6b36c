package api

import (
	"strings"
	"testing"
)

// The page a magic URL leads to loads only what it needs from the same host, and leaks its address to nobody.
func TestThePageOfAMagicURL(t *testing.T) {
	w := newWorld(t)
	page := w.ask("GET "+magicURLPage+"?userId=ada&secret=x", nil).is(200)
	page.has("Content-Type: text/html; charset=utf-8", "Referrer-Policy: no-referrer", "Content-Security-Policy: "+pagePolicy)
	if strings.Contains(page.body, "http:") || strings.Contains(page.body, "https:") || strings.Contains(page.body, "<script>") {
		t.Errorf("it loads something from elsewhere, or runs what stands in it:\n%s", page.body)
	}
	for file, kind := range map[string]string{"magic-url.js": "text/javascript", "page.css": "text/css"} {
		if !strings.Contains(page.body, "assets/"+file) {
			t.Errorf("it does not use %s", file)
		}
		w.ask("GET /auth/assets/"+file, nil).is(200).has("Content-Type: "+kind+"; charset=utf-8", "Referrer-Policy: no-referrer")
	}
}
