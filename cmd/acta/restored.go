package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/event"
)

// restored puts the processes right after a backup was restored, when they had come further than the log has now. All that
// it held then they have met: letters go on at its end. The others begin anew, which they bear, because the restored keys
// may remember people who were forgotten since. It asks nobody whether they are ahead: the log may have grown past them,
// which does not make it the one they followed. It may run beside `acta serve`, which notices.
func restored(ctx context.Context, cfg config, out io.Writer) (err error) {
	log, err := openLogForReading(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	db, err := openReadModels(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	checkpoints, closeCheckpoints, err := openCheckpoints(cfg, db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeCheckpoints()) }()
	end, err := log.Head(ctx)
	if err != nil {
		return err
	}
	for _, each := range []struct {
		process *process.Process
		goOnAt  event.Position
		where   string
	}{
		{process.Departures(nil, nil), event.Position{}, "begins anew"},
		{process.Claims(nil), event.Position{}, "begins anew"},
		{process.Letters(nil, nil, nil, nil), end, "goes on at the end of the log"},
	} {
		if err := checkpoints.Save(ctx, each.process.Name, each.goOnAt); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", each.process.Name, each.where)
	}
	return nil
}
