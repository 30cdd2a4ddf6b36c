package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/actahq/acta/adapters/database"
	"github.com/actahq/acta/adapters/database/postgrestest"
	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/embedded/protocol"
	"github.com/actahq/acta/adapters/eventstoredb"
	"github.com/actahq/acta/projections"
)

// clusterFigures measures what changes when the log is reached over EventStoreDB's protocol and the rows are in Postgres.
// Log server, Postgres, Acta and the generator share this machine's cores.
func clusterFigures(b *bench) ([]figure, error) {
	postgres, err := postgrestest.New()
	if err != nil {
		return nil, err
	}
	defer postgres.Close()
	disk, err := diskRate(b)
	if err != nil {
		return nil, err
	}
	appends, err := remoteAppendRate(b)
	if err != nil {
		return nil, err
	}
	pgbench, err := pgbenchRate(b, postgres)
	if err != nil {
		return nil, err
	}
	figures := []figure{{"appends through client and gRPC, 64 at once", whole(appends) + "/s", whole(disk) + "/s (4 KiB append + fdatasync)", "8,000/s", appends >= 8_000}}
	rows, err := sharedRowsFigures(b, postgres, pgbench)
	if err != nil {
		return nil, err
	}
	served, err := sharedProgramFigures(b, postgres, pgbench)
	return slices.Concat(figures, rows, served), err
}

// serveLog serves an embedded log over the protocol.
func serveLog(dir string) (address string, stop func() error, err error) {
	log, err := embedded.Open(dir)
	if err != nil {
		return "", nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, errors.Join(err, log.Close())
	}
	ctx, end := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- protocol.New(log).Serve(ctx, listener) }()
	return "esdb://" + listener.Addr().String() + "?tls=false", func() error {
		end()
		return errors.Join(<-served, log.Close())
	}, nil
}

func remoteAppendRate(b *bench) (float64, error) {
	address, stop, err := serveLog(filepath.Join(b.dir, "remote"))
	if err != nil {
		return 0, err
	}
	log, err := eventstoredb.Open(address)
	if err != nil {
		return 0, errors.Join(err, stop())
	}
	got, err := appendTo(b, log.Append, 64)
	return got, errors.Join(err, log.Close(), stop())
}

// pgbenchRate is the transactions a second of pgbench's own simple update, 32 clients on two threads.
func pgbenchRate(b *bench, postgres *postgrestest.Cluster) (float64, error) {
	program := "pgbench"
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench"); len(found) > 0 { // Debian keeps it out of PATH
		program = found[len(found)-1]
	}
	dsn := postgres.DSN("postgres")
	if out, err := exec.Command(program, "-i", "-q", "-s", "10", dsn).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	seconds := strconv.Itoa(max(1, int(b.length.Seconds())))
	out, err := exec.Command(program, "-N", "-n", "-c", "32", "-j", "2", "-M", "prepared", "-T", seconds, dsn).Output()
	if err != nil {
		return 0, fmt.Errorf("pgbench: %w", err)
	}
	_, tps, _ := strings.Cut(string(out), "tps = ")
	return strconv.ParseFloat(strings.Fields(tps + " x")[0], 64)
}

func createDatabase(ctx context.Context, postgres *postgrestest.Cluster, name string) (dsn string, err error) {
	conn, err := pgx.Connect(ctx, postgres.DSN("postgres"))
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	return postgres.DSN(name), err
}

// sharedRowsFigures measures projecting into Postgres: from zero, and the lag while events come in.
func sharedRowsFigures(b *bench, postgres *postgrestest.Cluster, pgbench float64) ([]figure, error) {
	in, err := openInside(filepath.Join(b.dir, "shared-rows"))
	if err != nil {
		return nil, err
	}
	defer in.close()
	if err := in.live(4_000); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	dsn, err := createDatabase(ctx, postgres, "rows")
	if err != nil {
		return nil, err
	}
	db, err := database.OpenPostgres(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return nil, err
	}
	models, err := projections.New(db, in.events)
	if err != nil {
		return nil, err
	}
	head, err := in.log.Head(ctx)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- models.Run(ctx) }()
	if err := models.Wait(ctx, head); err != nil {
		return nil, err
	}
	events := float64(head.Commit) // the embedded log counts them
	fromZero := events / time.Since(began).Seconds()
	lag, rate, err := in.lag(ctx, models, b.length)
	stop()
	<-ended
	limit := whole(pgbench) + " transactions/s (pgbench -N, 32 clients)"
	return []figure{
		{"projecting from zero into Postgres", whole(fromZero) + " events/s", limit, "30,000 events/s", fromZero >= 30_000},
		{"projection lag into Postgres, p99", fmt.Sprintf("%s at %s events/s", lag.Round(100*time.Microsecond), whole(rate)), limit, "100 ms at 800 events/s", lag < 100*time.Millisecond && rate >= 780},
	}, err
}

// lag changes preferences 800 times a second and measures how long after each answer of the log the rows show it.
func (i *inside) lag(ctx context.Context, models *projections.ReadModels, length time.Duration) (p99 time.Duration, rate float64, err error) {
	const perSecond, writers = 800, 8
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, writers)
	began := time.Now()
	for w := range writers {
		go func() {
			var r result
			tick := time.NewTicker(time.Second * writers / perSecond)
			defer tick.Stop()
			for n := 0; time.Since(began) < length && r.err == nil; n++ {
				<-tick.C
				receipt, err := i.commands.ChangePrefs(ctx, i.by, fmt.Sprintf("account%06d", w), fmt.Appendf(nil, `{"lag":%d}`, n))
				appended := time.Now()
				if err == nil {
					err = models.Wait(ctx, receipt.Position)
				}
				r.took, r.err = append(r.took, time.Since(appended)), err
			}
			results <- r
		}()
	}
	var all []time.Duration
	for range writers {
		r := <-results
		all, err = append(all, r.took...), errors.Join(err, r.err)
	}
	slices.Sort(all)
	return all[len(all)*99/100], float64(len(all)) / time.Since(began).Seconds(), err
}

// sharedProgramFigures measures an instance whose log is another one's and whose rows are in Postgres.
func sharedProgramFigures(b *bench, postgres *postgrestest.Cluster, pgbench float64) ([]figure, error) {
	address, stopLog, err := serveLog(filepath.Join(b.dir, "shared-log"))
	if err != nil {
		return nil, err
	}
	defer stopLog()
	dsn, err := createDatabase(context.Background(), postgres, "program")
	if err != nil {
		return nil, err
	}
	binary, err := build(b)
	if err != nil {
		return nil, err
	}
	p, err := start(binary, filepath.Join(b.dir, "shared-program"), "ACTA_EVENT_STORE="+address, "ACTA_READ_MODELS="+dsn,
		"ACTA_SECRET_KEY="+strings.Repeat("0123456789abcdef", 4), "ACTA_PROJECTS_0_ID=demo")
	if err != nil {
		return nil, err
	}
	defer p.stop()
	sessions, err := p.signUp(32)
	if err != nil {
		return nil, err
	}
	limit := whole(pgbench) + " transactions/s (pgbench -N, 32 clients)"
	read, readP99, err := p.load(b.length, p.address, 32, func(c, _ int) []byte { return request("GET", "/v1/account", sessions[c], "") })
	if err != nil {
		return nil, err
	}
	write, writeP99, err := p.load(b.length, p.address, 32, setPrefs(sessions))
	return []figure{
		{"GET /account on Postgres, 32 connections", fmt.Sprintf("%s/s, p99 %s", whole(read), readP99.Round(100*time.Microsecond)), limit, "5,000/s", read >= 5_000},
		{"PATCH /account/prefs over gRPC log and Postgres, 32 connections", fmt.Sprintf("%s/s, p99 %s", whole(write), writeP99.Round(100*time.Microsecond)), limit, "1,200/s", write >= 1_200},
	}, err
}

// setPrefs makes requests that each change something.
func setPrefs(sessions []string) func(connection, n int) []byte {
	return func(c, n int) []byte {
		return request("PATCH", "/v1/account/prefs", sessions[c], fmt.Sprintf(`{"prefs":{"theme":"dark","n":%d}}`, n))
	}
}
