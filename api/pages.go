package api

import (
	"bytes"
	_ "embed" // for the pages
	"html/template"
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
	//go:embed pages/oauth2.html
	oauth2HTML []byte
	//go:embed pages/oauth2.js
	oauth2Script []byte
	//go:embed pages/page.css
	pageStyle []byte
	//go:embed pages/refused.html
	refusedHTML string

	refusedPage = template.Must(template.New("refused").Parse(refusedHTML))
)

const pagePolicy = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'self'; style-src 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// pages serves what a person sees of Acta itself.
func (a *API) pages(r chi.Router) {
	for path, f := range map[string]docsFile{
		magicURLPage:                plainFile(magicURLHTML, "text/html"),
		successPage:                 plainFile(oauth2HTML, "text/html"),
		failurePage:                 plainFile(oauth2HTML, "text/html"),
		"/auth/assets/magic-url.js": plainFile(magicURLScript, "text/javascript"),
		"/auth/assets/oauth2.js":    plainFile(oauth2Script, "text/javascript"),
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

// page shows a browser that navigates why it goes no further.
func (c *call) page(err error) *browserAnswer {
	e := c.api.envelope(c.r.Context(), err)
	for k, v := range e.GetHeaders() {
		c.w.Header()[k] = v
	}
	c.w.Header().Set("Content-Security-Policy", pagePolicy)
	return &browserAnswer{Status: e.Code, ContentType: "text/html; charset=UTF-8", Body: c.api.draw(e)}
}

// writePage is page outside of huma.
func (a *API) writePage(w http.ResponseWriter, e *Envelope) {
	for k, v := range e.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(e.Code)
	_, _ = w.Write(a.draw(e)) // the browser went away
}

func (a *API) draw(e *Envelope) []byte {
	var b bytes.Buffer
	_ = refusedPage.Execute(&b, struct{ Style, Message, Type string }{a.publicPath + "/auth/assets/page.css", e.Message, e.Type}) // three texts
	return b.Bytes()
}
