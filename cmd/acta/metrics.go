package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

// metrics is what the program counts. No label holds anything a client chose.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	commands *prometheus.CounterVec
	appends  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "acta_http_request_seconds", Help: "Time to answer requests.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"route", "method", "status"}),
		commands: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "acta_commands_total", Help: "Commands by outcome: ok, the type of the refusal, or error.",
		}, []string{"command", "outcome"}),
		appends: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "acta_append_seconds", Help: "Time of appends to the event log, by outcome.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1},
		}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.requests, m.commands, m.appends, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) command(command, outcome string) {
	m.commands.WithLabelValues(command, outcome).Inc()
}

func (m *metrics) append(err error, took time.Duration) {
	outcome := "ok"
	switch {
	case errors.Is(err, event.ErrConflict):
		outcome = "conflict"
	case err != nil:
		outcome = "error"
	}
	m.appends.WithLabelValues(outcome).Observe(took.Seconds())
}

// watch reads the state of the parts whenever somebody asks for the metrics.
func (m *metrics) watch(p *parts) { m.registry.MustRegister(&watched{p}) }

type watched struct{ parts *parts }

var (
	lagEvents   = prometheus.NewDesc("acta_projection_lag_events", "Events in the embedded log that the read model does not show yet.", []string{"read_model"}, nil)
	lagSeconds  = prometheus.NewDesc("acta_projection_lag_seconds", "Age of the newest event that the read model shows while it is behind; 0 when it is not.", []string{"read_model"}, nil)
	stopped     = prometheus.NewDesc("acta_projection_stopped", "1 when the read model stopped at an event it cannot apply.", []string{"read_model"}, nil)
	failing     = prometheus.NewDesc("acta_process_failing", "1 while the process is held up by an event.", []string{"process"}, nil)
	resting     = prometheus.NewDesc("acta_breaker_open", "Circuit breaker before a server: 0 closed, 0.5 half-open, 1 open.", []string{"of"}, nil)
	aside       = prometheus.NewDesc("acta_process_events_set_aside", "Events that the process could not read and left behind.", []string{"process"}, nil)
	queued      = prometheus.NewDesc("acta_letters", "Letters by what became of them: queued, sent, failed, abandoned. What was sent is forgotten after 30 days.", []string{"status"}, nil)
	hashBusy    = prometheus.NewDesc("acta_hashing_busy", "Passwords being hashed.", nil, nil)
	hashQueued  = prometheus.NewDesc("acta_hashing_queued", "Passwords waiting to be hashed.", nil, nil)
	hashWorkers = prometheus.NewDesc("acta_hashing_workers", "Passwords that can be hashed at once.", nil, nil)
)

// Describe names what Collect gives.
func (w *watched) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lagEvents, lagSeconds, stopped, failing, resting, aside, queued, hashBusy, hashQueued, hashWorkers} {
		to <- d
	}
}

// Collect reads the state.
func (w *watched) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	_, counts := w.parts.log.(*embedded.Log) // events; positions of a server are not dense
	for _, s := range w.parts.readModels.Status() {
		seconds := 0.0
		if s.Behind && !s.LastEvent.IsZero() {
			seconds = time.Since(s.LastEvent).Seconds()
		}
		if counts {
			gauge(lagEvents, float64(s.Head.Commit-min(s.Position.Commit, s.Head.Commit)), s.Name)
		}
		gauge(lagSeconds, seconds, s.Name)
		gauge(stopped, oneIf(s.Stopped != nil), s.Name)
	}
	for _, p := range w.parts.allProcesses() {
		gauge(failing, oneIf(p.Failing()), p.Name)
	}
	if log, ok := w.parts.log.(broken); ok {
		gauge(resting, breakers[log.Breaker()], "event_store")
	}
	for of, state := range w.parts.post.states() {
		gauge(resting, breakers[state], of)
	}
	for of, p := range w.parts.providers {
		gauge(resting, breakers[p.State()], "oauth "+of[0]+" "+of[1])
	}
	asking, done := context.WithTimeout(context.Background(), time.Second)
	defer done()
	if counts, err := w.parts.checkpoints.CountAside(asking); err == nil {
		for _, p := range w.parts.allProcesses() {
			gauge(aside, float64(counts[p.Name]), p.Name)
		}
	}
	if counts, err := w.parts.letters.Count(asking); err == nil { // without the database nothing is known
		for _, status := range []process.Status{process.Queued, process.Sent, process.Failed, process.Abandoned} {
			gauge(queued, float64(counts[status]), string(status))
		}
	}
	h := w.parts.passwords.Stats()
	gauge(hashBusy, float64(h.Busy))
	gauge(hashQueued, float64(h.Queued))
	gauge(hashWorkers, float64(h.Workers))
}

// breakers is the states of a circuit breaker as numbers.
var breakers = map[string]float64{"closed": 0, "half-open": .5, "open": 1}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
