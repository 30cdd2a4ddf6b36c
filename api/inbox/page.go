package inbox

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

var (
	//go:embed inbox.html
	pageHTML string
	//go:embed inbox.css
	pageStyle string
	//go:embed inbox.js
	pageScript string

	page = template.Must(template.New("inbox").Parse(pageHTML))
)

// The page runs only its own style and script, which stand in it. A letter runs nothing at all, in the page's frame and
// when it is opened by itself; its links open in a window that is none of its own.
var pagePolicy = "default-src 'none'; connect-src 'self'; frame-src 'self'; img-src data:; " +
	"script-src " + hashOf(pageScript) + "; style-src " + hashOf(pageStyle) + "; " +
	"base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

const letterPolicy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; " +
	"base-uri 'none'; frame-ancestors 'self'; form-action 'none'; " +
	"sandbox allow-popups allow-popups-to-escape-sandbox"

func hashOf(inline string) string {
	sum := sha256.Sum256([]byte(inline))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Handler serves the page at /inbox, the messages as JSON at /inbox.json, and the letter of a message alone at
// /inbox/{id}. The page refers to the others relative to its own path.
func (i *Inbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /inbox", i.page)
	mux.HandleFunc("GET /inbox.json", i.list)
	mux.HandleFunc("GET /inbox/{id}", i.letter)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// view is what the page shows.
type view struct {
	Style  template.CSS
	Script template.JS
	Base   string // of the API, for who wants to try it
	What   string // comes here
	Mails  bool   // are part of that
	Rows   []row
	Picked bool // somebody chose the message; else it is the newest
	Shown  *row // nil: there is none, or what was chosen is gone
}

type row struct {
	Message
	Path   string       // the id, as part of a path
	Open   template.URL // the link; "" = none that can be opened
	Ago    string
	Chosen bool // it is the one that is shown
}

// page shows the list, and of the messages the one in the parameter id, or the newest.
func (i *Inbox) page(w http.ResponseWriter, r *http.Request) {
	now, id := i.now(), r.URL.Query().Get("id")
	v := view{Style: template.CSS(pageStyle), Script: template.JS(pageScript), Base: base(r), What: i.What(), Mails: i.mails, Picked: id != ""}
	for _, m := range i.Messages() {
		v.Rows = append(v.Rows, row{m, url.PathEscape(m.ID), open(m.Link), ago(now.Sub(m.At)), false})
	}
	if at := slices.IndexFunc(v.Rows, func(r row) bool { return id == "" || id == r.ID }); at >= 0 {
		v.Shown = &v.Rows[at]
		v.Shown.Chosen = true
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}

	// While nothing changes, the page that asks again and again is told just that.
	tag := fmt.Sprintf(`"%08x"`, crc32.ChecksumIEEE(b.Bytes()))
	h := w.Header()
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

// listed is a message in the JSON.
type listed struct {
	ID      string `json:"id"`
	Channel string `json:"channel"`
	To      string `json:"to"`
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
	At      string `json:"at"` // RFC 3339, UTC, to the millisecond
	Link    string `json:"link"`
	Code    string `json:"code"`
}

// list gives all messages, newest first, to programs.
func (i *Inbox) list(w http.ResponseWriter, _ *http.Request) {
	all := []listed{} // none are [], not null
	for _, m := range i.Messages() {
		at := m.At.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		all = append(all, listed{m.ID, m.Channel, m.To, m.Name, m.Subject, m.Text, m.HTML, at, m.Link, m.Code})
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(all)
}

// letter gives what a message's receiver sees, alone.
func (i *Inbox) letter(w http.ResponseWriter, r *http.Request) {
	messages := i.Messages()
	at := slices.IndexFunc(messages, func(m Message) bool { return m.ID == r.PathValue("id") })
	if at < 0 {
		http.Error(w, "There is no such message.", http.StatusNotFound)
		return
	}
	h, body := w.Header(), messages[at].HTML
	h.Set("Content-Security-Policy", letterPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	if body == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		body = messages[at].Text
	}
	w.Write([]byte(body))
}

// Links lead to the web or into an app, which the template would not allow by itself. They never run what follows.
var (
	leads = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	runs  = regexp.MustCompile(`(?i)^(javascript|vbscript|data):`)
)

func open(link string) template.URL {
	if !leads.MatchString(link) || runs.MatchString(link) {
		return ""
	}
	return template.URL(link)
}

// Host names and addresses, with or without a port. What else a client calls us has no place in a line for a shell.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

// base is where the client found us.
func base(r *http.Request) string {
	scheme, host := "http", "localhost:8080"
	if r.TLS != nil {
		scheme = "https"
	}
	if plainHost.MatchString(r.Host) {
		host = r.Host
	}
	return scheme + "://" + host
}

func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours())/24)
}
