package api

import (
	"bytes"
	"compress/gzip"
	_ "embed" // for the page
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
)

// The page shows the OpenAPI document with Swagger UI, which is made from the npm package named in docs/NOTICE:
//
//	npm pack swagger-ui-dist@5.35.0
//	tar xzf swagger-ui-dist-5.35.0.tgz
//	for f in swagger-ui-bundle.js swagger-ui.css; do gzip -9nc package/$f > api/docs/$f.gz; done
var (
	//go:embed docs/index.html
	docsPage []byte
	//go:embed docs/acta.css
	docsStyle []byte
	//go:embed docs/start.js
	docsStart []byte
	//go:embed docs/swagger-ui-bundle.js.gz
	swaggerUI []byte
	//go:embed docs/swagger-ui-bundle.js.LICENSE.txt
	swaggerUILicense []byte
	//go:embed docs/swagger-ui.css.gz
	swaggerUIStyle []byte
)

// docsPolicy lets the page load and call only what this host serves. Swagger UI styles elements inline.
const docsPolicy = "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self' data:; script-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"

// docs serves the page of the OpenAPI document. Everything it needs is in the program.
func (a *API) docs(r chi.Router) {
	const html, css, javaScript, text = "text/html", "text/css", "text/javascript", "text/plain"

	page := plainFile(docsPage, html)
	r.Get("/docs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", docsPolicy)
		w.Header().Set("Cache-Control", "no-cache")
		page.ServeHTTP(w, r)
	})
	for name, f := range map[string]docsFile{
		"acta.css":                         plainFile(docsStyle, css),
		"start.js":                         plainFile(docsStart, javaScript),
		"swagger-ui-bundle.js":             packedFile(swaggerUI, javaScript),
		"swagger-ui-bundle.js.LICENSE.txt": plainFile(swaggerUILicense, text),
		"swagger-ui.css":                   packedFile(swaggerUIStyle, css),
	} {
		r.Get("/docs/assets/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=3600")
			f.ServeHTTP(w, r)
		})
	}
}

// docsFile is sent from where it lies in the program file: it costs no memory before it is asked for.
type docsFile struct {
	body   []byte
	kind   string
	packed bool
	size   int // unpacked
	tag    string
}

func plainFile(body []byte, kind string) docsFile {
	return docsFile{body, kind, false, len(body), fmt.Sprintf("%08x", crc32.ChecksumIEEE(body))}
}

// packedFile takes a gzip. That ends in checksum and size of what is packed, so the rest need not be read to know them.
func packedFile(body []byte, kind string) docsFile {
	end := body[len(body)-8:]
	checksum, size := binary.LittleEndian.Uint32(end), binary.LittleEndian.Uint32(end[4:])
	return docsFile{body, kind, true, int(size), fmt.Sprintf("%08x", checksum)}
}

func (f docsFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	tag, unpack := `"`+f.tag+`"`, f.packed
	if f.packed {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			tag, unpack = `"`+f.tag+`-gzip"`, false // another encoding is another entity
		}
	}
	h.Set("ETag", tag)
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}

	h.Set("Content-Type", f.kind+"; charset=utf-8")
	size := len(f.body)
	switch {
	case unpack:
		size = f.size
	case f.packed:
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(size))
	switch {
	case r.Method == http.MethodHead:
	case unpack: // while it is sent: unpacked in memory, slow clients could fill that
		if body, err := gzip.NewReader(bytes.NewReader(f.body)); err == nil {
			io.Copy(w, body)
		}
	default:
		w.Write(f.body)
	}
}

var gzipAccepted = regexp.MustCompile(`(?i)(^|,)\s*gzip\s*(;\s*q=(1|0\.0*[1-9])[\d.]*\s*)?(,|$)`)

func acceptsGzip(r *http.Request) bool {
	return gzipAccepted.MatchString(strings.Join(r.Header.Values("Accept-Encoding"), ","))
}
