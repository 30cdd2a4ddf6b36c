package api

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// getDocs asks for a part of the page as a server with the outer middleware would.
func getDocs(method, path string, header ...string) *http.Response {
	r := chi.NewRouter()
	a := &API{}
	r.Use(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Vary", "Origin")
			next.ServeHTTP(w, r)
		})
	}, middleware.GetHead)
	a.docs(r)
	req := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Result()
}

func bodyOf(t *testing.T, r *http.Response) []byte {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

var docsFiles = []struct {
	path, kind string
	packed     bool
}{
	{"/docs", "text/html", false},
	{"/docs/assets/acta.css", "text/css", false},
	{"/docs/assets/start.js", "text/javascript", false},
	{"/docs/assets/swagger-ui-bundle.js", "text/javascript", true},
	{"/docs/assets/swagger-ui-bundle.js.LICENSE.txt", "text/plain", false},
	{"/docs/assets/swagger-ui.css", "text/css", true},
}

func TestDocsFiles(t *testing.T) {
	for _, f := range docsFiles {
		var variants [2][]byte
		var tags [2]string
		for i, encoding := range []string{"identity", "br, gzip"} {
			got := getDocs("GET", f.path, "Accept-Encoding", encoding)
			body := bodyOf(t, got)
			variants[i], tags[i] = body, got.Header.Get("ETag")
			cache, vary, sent := "public, max-age=3600", "Origin", ""
			if f.path == "/docs" {
				cache = "no-cache"
			}
			if f.packed {
				vary = "Origin,Accept-Encoding"
				if i == 1 {
					sent = "gzip"
				}
			}
			for name, want := range map[string]string{
				"Content-Type":     f.kind + "; charset=utf-8",
				"Content-Length":   strconv.Itoa(len(body)),
				"Content-Encoding": sent,
				"Cache-Control":    cache,
				"Vary":             vary,
			} {
				if have := strings.Join(got.Header.Values(name), ","); have != want {
					t.Errorf("%s as %s: %s is %q, want %q", f.path, encoding, name, have, want)
				}
			}
			if got.StatusCode != 200 || len(body) == 0 {
				t.Errorf("%s as %s: %d with %d bytes", f.path, encoding, got.StatusCode, len(body))
			}

			head := getDocs("HEAD", f.path, "Accept-Encoding", encoding)
			if head.StatusCode != 200 || len(bodyOf(t, head)) > 0 || head.Header.Get("ETag") != tags[i] ||
				head.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
				t.Errorf("HEAD %s as %s: %d %v", f.path, encoding, head.StatusCode, head.Header)
			}
			for _, known := range []string{tags[i], "W/" + tags[i], `"other", ` + tags[i]} {
				again := getDocs("GET", f.path, "Accept-Encoding", encoding, "If-None-Match", known)
				if again.StatusCode != 304 || len(bodyOf(t, again)) > 0 || again.Header.Get("ETag") != tags[i] {
					t.Errorf("%s as %s, known %s: %d", f.path, encoding, known, again.StatusCode)
				}
			}
			if changed := getDocs("GET", f.path, "Accept-Encoding", encoding, "If-None-Match", `"other"`); changed.StatusCode != 200 {
				t.Errorf("%s as %s, known as another: %d", f.path, encoding, changed.StatusCode)
			}
		}
		if f.packed == (tags[0] == tags[1]) {
			t.Errorf("%s: ETags %s and %s", f.path, tags[0], tags[1])
		}
		if f.packed {
			z, err := gzip.NewReader(bytes.NewReader(variants[1]))
			if err != nil {
				t.Fatal(err)
			}
			variants[1], err = io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(variants[0], variants[1]) {
			t.Errorf("%s differs between encodings", f.path)
		}
	}
}

func TestDocsStayHome(t *testing.T) {
	page := getDocs("GET", "/docs")
	want := "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self' data:; script-src 'self'; " +
		"style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
	if got := page.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q", got)
	}
	body := bodyOf(t, page)

	outside := regexp.MustCompile(`(?i)https?:|["'(]\s*//\w`)
	ours := map[string][]byte{"/docs": body}
	for _, path := range []string{"/docs/assets/acta.css", "/docs/assets/start.js"} {
		ours[path] = bodyOf(t, getDocs("GET", path))
	}
	for path, content := range ours {
		if found := outside.Find(content); found != nil {
			t.Errorf("%s refers to another host: %q", path, found)
		}
	}
	if inline := regexp.MustCompile(`(?i)<script>|<style|\son\w+=|\sstyle=`).Find(body); inline != nil {
		t.Errorf("the policy forbids %q", inline)
	}
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(body, -1) {
		path := "/" + string(link[1])
		if path == "/data:," || path == "/openapi.json" {
			continue
		}
		if got := getDocs("GET", path); got.StatusCode != 200 {
			t.Errorf("the page needs %s: %d", path, got.StatusCode)
		}
	}
}

func TestDocsOnlyKnownFiles(t *testing.T) {
	for _, path := range []string{"/docs/assets/", "/docs/assets/index.html", "/docs/assets/NOTICE", "/docs/assets/swagger-ui.css.gz", "/docs/assets/../docs.go"} {
		if got := getDocs("GET", path); got.StatusCode != 404 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
	if got := getDocs("POST", "/docs"); got.StatusCode != 405 {
		t.Errorf("POST /docs: %d", got.StatusCode)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"gzip":                      true,
		"GZIP":                      true,
		"gzip, deflate, br, zstd":   true,
		"br;q=1.0, gzip;q=0.8, *":   true,
		"deflate , gzip ; q=0.001 ": true,
		"gzip;q=1":                  true,
		"":                          false,
		"identity":                  false,
		"gzip;q=0":                  false,
		"br, gzip; q=0.000, *":      false,
		"notgzip, gzipped":          false,
		"deflate, br":               false,
	} {
		r := httptest.NewRequest("GET", "/docs", nil)
		if header != "" {
			r.Header.Set("Accept-Encoding", header)
		}
		if got := acceptsGzip(r); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	r := httptest.NewRequest("GET", "/docs", nil)
	r.Header["Accept-Encoding"] = []string{"br", "gzip"}
	if !acceptsGzip(r) {
		t.Error("the second header line is not read")
	}
}

func BenchmarkDocsBundle(b *testing.B) {
	f := packedFile(swaggerUI, "text/javascript")
	for name, encoding := range map[string]string{"gzip": "gzip", "identity": "identity"} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Accept-Encoding", encoding)
			b.ReportAllocs()
			for b.Loop() {
				f.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
