package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/actahq/acta/projections"
)

// health answers those who watch the program: a supervisor (live) and a load balancer (ready).
type health struct {
	parts    *parts
	stopping atomic.Bool
}

func (h *health) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		report(w, true, map[string]string{"process": "ok"})
	})
	mux.HandleFunc("GET /health/ready", h.ready)
}

// ready says whether requests can be served, and names each part that cannot.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	parts, ok := map[string]string{}, true
	tell := func(part, problem string) {
		if problem != "" {
			ok = false
			parts[part] = problem
			return
		}
		parts[part] = "ok"
	}
	tell("eventStore", problem(h.parts.log.Ready(r.Context()), "accepts no appends"))
	if log, ok := h.parts.log.(broken); ok {
		parts["eventStore.breaker"] = log.Breaker()
	}
	for of, state := range h.parts.post.states() {
		parts[of+".breaker"] = state // the API works without
	}
	for _, s := range h.parts.readModels.Status() {
		what := problem(s.Stopped, "stopped at an event it cannot apply")
		if errors.Is(s.Stopped, projections.ErrAhead) {
			what = "is ahead of the event log: run acta rebuild all"
		}
		if what == "" {
			what = problem(s.Waiting, "cannot be written and is tried again")
		}
		tell("readModels."+s.Name, what)
	}
	select {
	case <-h.parts.readModels.CaughtUp():
	default:
		tell("projectors", "catching up with the event log")
	}
	asking, done := context.WithTimeout(r.Context(), countTime)
	defer done()
	aside, err := h.parts.checkpoints.CountAside(asking)
	for _, p := range h.parts.allProcesses() {
		if p.Ahead() {
			tell("processes."+p.Name, "is ahead of the event log: run acta restored")
			continue
		}
		parts["processes."+p.Name] = standing(p.Failing(), aside[p.Name], err) // the API works without
	}
	if h.stopping.Load() {
		tell("process", "stopping")
	}
	report(w, ok, parts)
}

// countTime is how long an answer waits for a database that may be away.
const countTime = 200 * time.Millisecond

// standing tells how a process is doing, and how many events it has set aside: somebody has to look at those.
func standing(failing bool, aside int, unknown error) string {
	text := "ok"
	if failing {
		text = "held up, tried again"
	}
	switch {
	case unknown != nil:
		text += "; events set aside are not known"
	case aside > 0:
		text += fmt.Sprintf("; events set aside: %d", aside)
	}
	return text
}

// broken is a log behind a circuit breaker: closed, open or half-open.
type broken interface{ Breaker() string }

// problem keeps inner texts out of an answer that everybody can read; the log has them.
func problem(err error, what string) string {
	if err == nil {
		return ""
	}
	return what
}

func report(w http.ResponseWriter, ok bool, parts map[string]string) {
	status, word := http.StatusOK, "ok"
	if !ok {
		status, word = http.StatusServiceUnavailable, "unavailable"
		w.Header().Set("Retry-After", "1")
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": word, "parts": parts}) // the client went away
}
