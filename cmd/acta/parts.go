package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/geo"
	"github.com/actahq/acta/adapters/hash"
	"github.com/actahq/acta/adapters/passwords"
	"github.com/actahq/acta/adapters/ratelimit"
	"github.com/actahq/acta/adapters/useragent"
	"github.com/actahq/acta/adapters/vault"
	"github.com/actahq/acta/api"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/projections"
)

// Files in the data folder, beside the event log's and the vault's own.
const (
	readModelsFile = "readmodels.db" // disposable: made anew from the log
	processesFile  = "processes.db"
)

// hashQueue is how many sign-ins may wait for a turn to hash. With two cores the last of them waits about a second.
const hashQueue = 64

// parts is everything the program is made of, wired. Nothing runs yet.
type parts struct {
	log         *embedded.Log
	vault       *vault.Vault
	database    *database.DB
	checkpoints *database.Checkpoints
	readModels  *projections.ReadModels
	passwords   *hash.Pool
	commands    *commands.Commands
	processes   []*process.Process
	events      *vault.Log // the log with what is personal in clear

	closers []func() error // in the order of opening
}

// open wires the parts. On an error it has closed what it opened.
func open(ctx context.Context, cfg config, m *metrics) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p.log, err = embedded.Open(cfg.DataDir); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.log.Close)
	// After the lock on the folder: of two processes that start at once, one makes the key.
	master, _, err := secretKey(cfg)
	if err != nil {
		return p, err
	}
	if p.vault, err = vault.Open(cfg.DataDir, master); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.vault.Close)
	p.events = p.vault.Log(p.log)
	if p.database, err = openReadModels(ctx, cfg); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.database.Close)
	if p.readModels, err = projections.New(p.database, p.events); err != nil {
		return p, err
	}
	if p.checkpoints, err = database.OpenCheckpoints(filepath.Join(cfg.DataDir, processesFile)); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.checkpoints.Close)

	p.passwords = hash.New(0, hashQueue)
	p.commands = commands.New(commands.Needs{
		Log:           p.events,
		Passwords:     p.passwords,
		CountAccounts: p.readModels.CountAccounts,
		ClaimKey:      vault.Derive(master, "acta claim v1"),
		Now:           time.Now,
		Observe:       m.append,
	})
	p.processes = []*process.Process{process.Departures(p.commands, p.vault), process.Claims(p.commands)}
	return p, nil
}

// close closes the parts, last opened first.
func (p *parts) close() error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i]())
	}
	p.closers = nil
	return errors.Join(errs...)
}

// account makes what the API needs of the parts.
func (p *parts) account(cfg config, m *metrics) api.Needs {
	limiter := ratelimit.New(time.Now)
	proxies := make([]netip.Prefix, len(cfg.TrustedProxies))
	for i, cidr := range cfg.TrustedProxies {
		proxies[i] = netip.MustParsePrefix(cidr) // the configuration was checked
	}
	return api.Needs{
		Commands:       p.commands,
		ReadModels:     p.readModels,
		Projects:       cfg.Projects,
		PublicURL:      cfg.PublicURL,
		TrustedProxies: proxies,
		CountCall: func(ctx context.Context, limit int, window time.Duration, keys ...string) (api.Allowance, error) {
			d, err := limiter.Take(ctx, limit, window, keys...)
			return api.Allowance(d), err
		},
		RateLimits:     cfg.RateLimits,
		CommonPassword: passwords.Common,
		Device:         func(ua string) api.Device { return api.Device(useragent.Parse(ua)) },
		CountryCode:    geo.Country,
		CountryName:    geo.Name,
		ObserveRequest: m.request,
		ObserveCommand: m.command,
		Version:        version,
		Now:            time.Now,
	}
}

func openReadModels(ctx context.Context, cfg config) (*database.DB, error) {
	db, err := database.Open(filepath.Join(cfg.DataDir, readModelsFile))
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// migrateReadModels brings the read models' schema up to date.
func migrateReadModels(ctx context.Context, cfg config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return err
	}
	db, err := openReadModels(ctx, cfg)
	if err != nil {
		return err
	}
	return db.Close()
}

// logTo makes the log of the program: structured, on standard error.
func logTo(cfg config) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // the configuration was checked
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewTextHandler(os.Stderr, options)
	if cfg.Log.Format == "json" {
		handler = slog.NewJSONHandler(os.Stderr, options)
	}
	slog.SetDefault(slog.New(handler))
}
