package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

// Who was set aside by departures may not be forgotten yet: whoever looks at the program must see it, and it goes on serving.
func TestReadinessTellsOfEventsThatWereSetAside(t *testing.T) {
	cfg, err := load("", []string{"ACTA_DATA_DIR=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p, err := open(t.Context(), cfg, newMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
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

	h := &health{parts: p}
	answer := httptest.NewRecorder()
	h.ready(answer, httptest.NewRequest(http.MethodGet, "/health/ready", nil))
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
