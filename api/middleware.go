package api

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/actahq/acta/commands"
)

type requestKey struct{}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

var givenRequestID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// observe gives the request its id, and when it is answered writes one line about it and counts it. The line holds
// the route, not the path or query: those can hold secrets and personal data.
func (a *API) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := r.Header.Get("X-Request-ID")
		if !givenRequestID.MatchString(id) {
			id = commands.NewID()
		}
		w.Header().Set("X-Request-ID", id)
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, id))
		next.ServeHTTP(ww, r)

		took := time.Since(began)
		route := chi.RouteContext(r.Context()).RoutePattern()
		status := ww.Status()
		a.ObserveRequest(route, method(r.Method), status, took)
		slog.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("request", id), slog.String("method", method(r.Method)),
			slog.String("route", route), slog.Int("status", status), slog.Duration("took", took))
	})
}

// method keeps what a client invents out of logs and metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func (a *API) secureHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Server"] = serverName
		h["X-Content-Type-Options"] = noSniff
		h["Cache-Control"] = noStore
		if a.secure(r) {
			h.Set("Strict-Transport-Security", "max-age=10886400")
		}
		next.ServeHTTP(w, r)
	})
}

var (
	serverName = []string{"Acta"}
	noSniff    = []string{"nosniff"}
	noStore    = []string{"no-store"}
)

// recover turns a panic into a 500 in the envelope, and keeps the program running.
func (a *API) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p) // how a handler cuts the connection
			default:
				slog.ErrorContext(r.Context(), "a request panicked", "request", requestID(r.Context()), "panic", p, "stack", string(debug.Stack()))
				a.refuse(w, &Envelope{"Server Error", http.StatusInternalServerError, "general_unknown", a.Version, 0})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// Bounds on a request's headers. What http.Server itself refuses never gets the envelope, so it is given more room.
const (
	maxHeaderBytes = 64 << 10
	maxHeaders     = 200
)

// limitHeaders refuses absurd headers in the envelope.
func (a *API) limitHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, count := len(r.RequestURI), 0
		for name, values := range r.Header {
			for _, v := range values {
				size += len(name) + len(v)
				count++
			}
		}
		if size > maxHeaderBytes || count > maxHeaders {
			a.refuse(w, &Envelope{"The request's headers are too large.", http.StatusRequestHeaderFieldsTooLarge, errArgumentInvalid.Type, a.Version, 0})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *API) notFound(w http.ResponseWriter, _ *http.Request) {
	a.refuse(w, &Envelope{"The requested route was not found. Please see /docs for the routes there are.", http.StatusNotFound, "general_route_not_found", a.Version, 0})
}

// notAllowed answers for a path that is served, with the methods it takes.
func (a *API) notAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			if routes.Match(chi.NewRouteContext(), m, r.URL.Path) {
				allowed = append(allowed, m)
			}
		}
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		a.refuse(w, &Envelope{"The route does not take this method. Please see /docs.", http.StatusMethodNotAllowed, "general_route_not_found", a.Version, 0})
	}
}

// clean replaces control characters in what a client chose.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
}
