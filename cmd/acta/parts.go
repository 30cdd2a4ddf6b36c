package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/geo"
	"github.com/actahq/acta/adapters/hash"
	"github.com/actahq/acta/adapters/letterbox"
	"github.com/actahq/acta/adapters/oauth"
	"github.com/actahq/acta/adapters/passwords"
	"github.com/actahq/acta/adapters/useragent"
	"github.com/actahq/acta/adapters/vault"
	"github.com/actahq/acta/api"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/projections"
)

// hashQueue is how many sign-ins may wait for a turn to hash. With two cores the last of them waits about a second.
const hashQueue = 64

// parts is everything the program is made of, wired. Nothing runs yet.
type parts struct {
	log            eventLog   // what is personal is sealed
	events         *vault.Log // the same log, open
	vault          *vault.Vault
	database       readModelStore
	checkpoints    checkpoints
	readModels     *projections.ReadModels
	passwords      *hash.Pool
	take           takeCall
	jwtKey         []byte
	idKey          []byte
	commands       *commands.Commands
	processes      []*process.Process
	providers      map[[2]string]provider // by project and id
	post           post
	letters        *letterbox.Box
	delivery       *process.Delivery
	correspondence *process.Process // writes down what delivery sends

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
	if p.log, err = openLog(cfg); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.log.Close)
	// After the lock on the folder: of two processes that start at once, one makes the key.
	master, _, err := secretKey(cfg)
	if err != nil {
		return p, err
	}
	if p.vault, err = openVault(ctx, cfg, master); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.vault.Close)
	p.events = p.vault.Log(p.log)
	if p.database, err = openReadModels(ctx, cfg); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.database.Close)
	if shared, ok := p.database.(*database.Postgres); ok {
		shared.HoldOnlyWhile(p.log.Ready) // who cannot follow the log must not keep others from doing it
	}
	if p.readModels, err = projections.New(p.database, p.events); err != nil {
		return p, err
	}
	checkpoints, closeCheckpoints, err := openCheckpoints(cfg, p.database)
	if err != nil {
		return p, err
	}
	p.checkpoints, p.closers = checkpoints, append(p.closers, closeCheckpoints)
	take, closeLimiter, err := openLimiter(ctx, cfg, master)
	if err != nil {
		return p, err
	}
	p.take, p.closers = take, append(p.closers, func() error { closeLimiter(); return nil })

	p.jwtKey = vault.Derive(master, "acta jwt v1")
	p.idKey = vault.Derive(master, "acta told id v1")
	p.passwords = hash.New(0, hashQueue)
	p.commands = commands.New(commands.Needs{
		Log:           p.events,
		Passwords:     p.passwords,
		CountAccounts: p.readModels.CountAccounts,
		ClaimKey:      vault.Derive(master, "acta claim v1"),
		TokenKey:      vault.Derive(master, "acta one-time secret v1"),
		Now:           time.Now,
		Observe:       m.append,
	})
	if p.providers, err = openProviders(cfg); err != nil {
		return p, err
	}
	if p.post, err = openPost(cfg); err != nil {
		return p, err
	}
	if p.letters, err = openLetterbox(cfg, p.database); err != nil {
		return p, err
	}
	p.closers = append(p.closers, p.letters.Close)
	projects := map[string]*project.Project{}
	for i := range cfg.Projects {
		projects[cfg.Projects[i].ID] = &cfg.Projects[i]
	}
	composer := &process.Composer{Log: p.events, Commands: p.commands, Projects: projects, Link: api.Link, Write: write}
	p.delivery = &process.Delivery{Letterbox: p.letters, Compose: composer.Compose, Send: p.post.senders(), Now: time.Now}
	p.correspondence = process.Letters(p.letters, projects, time.Now, p.delivery.Wake)
	// Here, because nothing can be appended yet: what was asked for before letters were written down is not sent again.
	if err := p.correspondence.BeginAtEnd(ctx, p.events, p.checkpoints); err != nil {
		return p, fmt.Errorf("find where the letters begin: %w", err)
	}
	p.processes = []*process.Process{process.Departures(p.commands, p.vault), process.Claims(p.commands)}
	return p, nil
}

// deliver writes letters down and sends them whenever no other instance does. One does both, so that a letter goes out
// in the moment in which it was written down.
func (p *parts) deliver(ctx context.Context) error {
	return p.database.Hold(ctx, "letters", func(ctx context.Context) error {
		var both errgroup.Group
		both.Go(func() error { return p.correspondence.Run(ctx, p.events, p.checkpoints) })
		both.Go(func() error { return p.delivery.Run(ctx) })
		return both.Wait()
	})
}

// allProcesses is everything that follows the log by itself, for those who watch it.
func (p *parts) allProcesses() []*process.Process {
	return append(p.processes[:len(p.processes):len(p.processes)], p.correspondence)
}

// runProcess runs a process whenever no other instance does.
func (p *parts) runProcess(ctx context.Context, each *process.Process) error {
	return p.database.Hold(ctx, "process "+each.Name, func(ctx context.Context) error { return each.Run(ctx, p.events, p.checkpoints) })
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
			d, err := p.take(ctx, limit, window, keys...)
			return api.Allowance(d), err
		},
		RateLimits:     cfg.RateLimits,
		CommonPassword: passwords.Common,
		JWTKey:         p.jwtKey,
		IDKey:          p.idKey,
		Mail:           p.post.mails(),
		Texts:          p.post.sends(),
		Provider: func(project, id string) (api.Provider, bool) {
			found, ok := p.providers[[2]string{project, id}]
			return found, ok
		},
		KnownProvider:  knownProvider,
		ProviderName:   oauth.Name,
		Device:         func(ua string) api.Device { return api.Device(useragent.Parse(ua)) },
		CountryCode:    geo.Country,
		CountryName:    geo.Name,
		ObserveRequest: m.request,
		ObserveCommand: m.command,
		Version:        version,
		Now:            time.Now,
	}
}

// migrateReadModels brings the read models' schema up to date.
func migrateReadModels(ctx context.Context, cfg config) error {
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
