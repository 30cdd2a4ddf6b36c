package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

// opened gives the parts of a program in an empty folder, and its configuration.
func opened(t *testing.T) (*parts, config) {
	t.Helper()
	cfg, err := load("", []string{"ACTA_DATA_DIR=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(t.Context(), cfg, newMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.close() })
	return p, cfg
}

// readiness asks whether the program is ready.
func readiness(p *parts) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	(&health{parts: p}).ready(answer, httptest.NewRequest(http.MethodGet, "/health/ready", nil))
	return answer
}

// Who was set aside by departures may not be forgotten yet: whoever looks at the program must see it, and it goes on serving.
func TestReadinessTellsOfEventsThatWereSetAside(t *testing.T) {
	p, _ := opened(t)
	for i := range 2 {
		a := process.Aside{Process: "departures", Position: event.At(uint64(i + 1)), Stream: "account-web.ada", Type: "account.deleted.v1", Reason: "unreadable", At: time.Now()}
		if err := p.checkpoints.SetAside(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.readModels.Run(ctx) }()
	defer func() { stop(); <-ended }()
	<-p.readModels.CaughtUp()

	answer := readiness(p)
	if answer.Code != http.StatusOK {
		t.Errorf("status %d", answer.Code)
	}
	var told struct{ Parts map[string]string }
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil {
		t.Fatal(err)
	}
	if got := told.Parts["processes.departures"]; got != "ok; events set aside: 2" {
		t.Errorf("departures: %q", got)
	}
	if got := told.Parts["processes.claims"]; got != "ok" {
		t.Errorf("claims: %q", got)
	}
}

// Whoever sends it requests makes the log grow past what the process has forgotten: it must not be sent any.
func TestReadinessTellsOfAProcessThatIsAheadOfTheLog(t *testing.T) {
	p, cfg := opened(t)
	for _, each := range p.allProcesses() {
		if err := p.checkpoints.Save(t.Context(), each.Name, event.At(100)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	for _, each := range p.allProcesses() {
		running.Go(func() { _ = p.runProcess(ctx, each) })
	}
	await := func(ahead bool) {
		t.Helper()
		late := time.Now().Add(20 * time.Second)
		for _, each := range p.allProcesses() {
			for each.Ahead() != ahead {
				if time.Now().After(late) {
					t.Fatalf("%s: ahead is %t", each.Name, each.Ahead())
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	await(true)
	if a := readiness(p); a.Code != http.StatusServiceUnavailable || !strings.Contains(a.Body.String(), `"processes.letters":"is ahead of the event log: run acta restored"`) {
		t.Errorf("%d %s", a.Code, a.Body)
	}
	var out bytes.Buffer
	if err := restored(t.Context(), cfg, &out); err != nil {
		t.Fatal(err)
	}
	if want := "departures: begins anew\nclaims: begins anew\nletters: goes on at the end of the log\n"; out.String() != want {
		t.Errorf("it says %q", out.String())
	}
	await(false)
	if a := readiness(p); strings.Contains(a.Body.String(), "restored") {
		t.Errorf("%d %s", a.Code, a.Body)
	}
}
