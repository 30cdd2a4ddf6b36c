package api

import (
	_ "embed" // for the page
	"net/http"

	"github.com/go-chi/chi/v5"
)

// magicURLPage is where the link of a magic URL leads when who asked for it named no page of their own.
const magicURLPage = "/auth/magic-url"

var (
	//go:embed pages/magic-url.html
	magicURLHTML []byte
	//go:embed pages/magic-url.js
	magicURLScript []byte
	//go:embed pages/page.css
	pageStyle []byte
)

const pagePolicy = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; style-src 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// pages serves what a person sees of Acta itself.
func (a *API) pages(r chi.Router) {
	for path, f := range map[string]docsFile{
		magicURLPage:                plainFile(magicURLHTML, "text/html"),
		"/auth/assets/magic-url.js": plainFile(magicURLScript, "text/javascript"),
		"/auth/assets/page.css":     plainFile(pageStyle, "text/css"),
	} {
		r.Get(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", pagePolicy)
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-cache")
			f.ServeHTTP(w, r)
		})
	}
}
