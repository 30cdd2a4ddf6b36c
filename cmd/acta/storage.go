package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/eventstoredb"
	"github.com/actahq/acta/adapters/ratelimit"
	"github.com/actahq/acta/adapters/vault"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/projections"
)

// Files in the data folder, beside the event log's and the vault's own.
const (
	readModelsFile = "readmodels.db" // disposable: made anew from the log
	processesFile  = "processes.db"
)

// eventLog is the log before the vault: what is personal in it is sealed.
type eventLog interface {
	vault.Inner
	Ready(ctx context.Context) error
	Close() error
}

// openLog opens the log that the configuration names: event_store, or the embedded one in the data folder.
func openLog(cfg config) (eventLog, error) {
	if cfg.EventStore != "" {
		return eventstoredb.Open(cfg.EventStore)
	}
	return embedded.Open(cfg.DataDir)
}

// openLogForReading opens it beside a process that may be appending.
func openLogForReading(cfg config) (eventLog, error) {
	if cfg.EventStore != "" {
		return eventstoredb.Open(cfg.EventStore)
	}
	reader, err := embedded.OpenReader(cfg.DataDir)
	return readOnly{reader}, err
}

func openVault(ctx context.Context, cfg config, master []byte) (*vault.Vault, error) {
	if cfg.ReadModels != "" {
		return vault.OpenPostgres(ctx, cfg.ReadModels, master)
	}
	return vault.Open(cfg.DataDir, master)
}

// readModelStore is where the read models are, and who shares them.
type readModelStore interface {
	projections.Database
	Migrate(ctx context.Context) error
	Close() error
}

// openReadModels opens the read models' database, its schema up to date.
func openReadModels(ctx context.Context, cfg config) (readModelStore, error) {
	db, err := chooseReadModels(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func chooseReadModels(ctx context.Context, cfg config) (readModelStore, error) {
	if cfg.ReadModels != "" {
		return database.OpenPostgres(ctx, cfg.ReadModels)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	return database.Open(filepath.Join(cfg.DataDir, readModelsFile))
}

// checkpoints is how far the processes have come, and what they left behind.
type checkpoints interface {
	process.Checkpoints
	CountAside(ctx context.Context) (map[string]int, error)
}

// openCheckpoints opens the processes' checkpoints, which are beside the read models but not disposable.
func openCheckpoints(cfg config, db readModelStore) (_ checkpoints, close func() error, err error) {
	if shared, ok := db.(*database.Postgres); ok {
		return shared.Checkpoints(), func() error { return nil }, nil
	}
	c, err := database.OpenCheckpoints(filepath.Join(cfg.DataDir, processesFile))
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// takeCall counts calls.
type takeCall func(ctx context.Context, limit int, window time.Duration, keys ...string) (ratelimit.Decision, error)

// openLimiter opens the counters of the rate limits: in memory, or where all instances see them.
func openLimiter(ctx context.Context, cfg config, master []byte) (_ takeCall, close func(), err error) {
	if cfg.ReadModels == "" {
		return ratelimit.New(time.Now).Take, func() {}, nil
	}
	c, err := pgxpool.ParseConfig(cfg.ReadModels)
	if err != nil {
		return nil, nil, fmt.Errorf("open the rate limits: %w", err)
	}
	c.MaxConns = 4
	c.ConnConfig.ConnectTimeout = time.Second
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, nil, fmt.Errorf("open the rate limits: %w", err)
	}
	return ratelimit.NewPostgres(pool, vault.Derive(master, "acta rate limits v1"), time.Now).Take, pool.Close, nil
}
