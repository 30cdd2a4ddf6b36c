package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/projections"
)

// rebuild fills read models anew beside the live ones and swaps. It runs beside `acta serve`, which goes on serving.
func rebuild(ctx context.Context, cfg config, names []string, out io.Writer) error {
	logTo(cfg)
	log, err := openLogForReading(cfg)
	if err != nil {
		return err
	}
	defer log.Close()
	master, _, err := secretKey(cfg)
	if err != nil {
		return err
	}
	keys, err := openVault(ctx, cfg, master)
	if err != nil {
		return err
	}
	defer keys.Close()
	db, err := openReadModels(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	models, err := projections.New(db, keys.Log(log))
	if err != nil {
		return err
	}
	if len(names) == 1 && names[0] == "all" {
		names = models.Names()
	}
	for _, name := range names {
		bar := progressbar.NewOptions64(-1, progressbar.OptionSetDescription(name), progressbar.OptionSetWriter(os.Stderr),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth(),
			progressbar.OptionSetSpinnerChangeInterval(0)) // else it draws from a goroutine of its own, which races with Set64
		began := time.Now()
		err := models.Rebuild(ctx, name, func(done, total event.Position) {
			bar.ChangeMax64(int64(total.Commit))
			_ = bar.Set64(int64(min(done.Commit, total.Commit))) // it fails only when standard error does
		})
		if err == nil {
			_ = bar.Finish() // the last steps may have come too fast to be shown
		}
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: rebuilt in %s and swapped in; the rows before are kept in %s_last\n", name, time.Since(began).Round(time.Millisecond), name)
	}
	return nil
}

// readOnly is the log as this process has it: serve is the only one that appends.
type readOnly struct{ *embedded.Reader }

// Ready is asked of logs that are appended to.
func (readOnly) Ready(context.Context) error { return nil }

// Append refuses.
func (readOnly) Append(context.Context, string, int64, []event.Proposed) (event.Receipt, error) {
	return event.Receipt{}, fmt.Errorf("%w: it was opened for reading", event.ErrUnavailable)
}
