package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/embedded/protocol"
	"github.com/actahq/acta/api"
)

// After a SIGTERM the program says for noticeTime that it is not ready and goes on serving, so that load balancers take
// it out; then requests in flight may take drainTime. With what follows that stays below 15 s.
const (
	noticeTime = 1500 * time.Millisecond
	drainTime  = 11 * time.Second
)

// serve runs everything in one process until ctx ends: API, projectors and processes.
func serve(ctx context.Context, cfg config) (err error) {
	logTo(cfg)
	m := newMetrics()
	p, err := open(ctx, cfg, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	newKey := false
	if cfg.development {
		key, generated, err := developmentKey(cfg)
		if err != nil {
			return err
		}
		cfg.Projects[0].Keys, newKey = append(cfg.Projects[0].Keys, key), generated
	}
	account, err := api.New(p.account(cfg, m))
	if err != nil {
		return err
	}
	h := &health{parts: p}
	m.watch(p)
	public := http.NewServeMux()
	public.Handle("/", account)
	h.routes(public)
	if p.post.inbox != nil {
		letters := onlyAt(cfg.PublicURL, cfg.InboxOpen, p.post.inbox.Handler())
		public.Handle("/inbox", letters)
		public.Handle("/inbox/", letters)
		public.Handle("/inbox.json", letters)
	}
	servers := []*http.Server{newServer(cfg.Listen, public)}
	if cfg.MetricsListen == "" {
		public.Handle("GET /metrics", m.handler())
	} else {
		private := http.NewServeMux()
		private.Handle("GET /metrics", m.handler())
		servers = append(servers, newServer(cfg.MetricsListen, private))
	}
	listeners, err := listen(servers)
	if err != nil {
		return err
	}

	// What runs behind the requests ends after them: the last ones still wait for the projectors.
	behind, end := context.WithCancel(context.Background())
	defer end()
	var followers, serving errgroup.Group
	followers.Go(func() error { return ended(p.readModels.Run(behind)) })
	for _, process := range p.processes {
		followers.Go(func() error { return ended(p.runProcess(behind, process)) })
	}
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	followers.Go(func() error { return ended(p.deliver(failed)) }) // what the last requests ask for waits in the log
	if log, ok := p.log.(*embedded.Log); ok && cfg.EventStoreListen != "" {
		face, err := openFace(cfg, log)
		if err != nil {
			return err
		}
		listener, err := net.Listen("tcp", cfg.EventStoreListen)
		if err != nil {
			return err
		}
		whom := "everybody who can reach it"
		if cfg.EventStoreUser != "" {
			whom = "who knows the password"
		}
		slog.Info("serving the event log over EventStoreDB's protocol", "address", cfg.EventStoreListen, "to", whom, "tls", cfg.EventStoreCert != "")
		followers.Go(func() error { return face.Serve(behind, listener) })
	}
	for i, s := range servers {
		serving.Go(func() error {
			err := s.Serve(listeners[i])
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			fail(err)
			return err
		})
	}
	greet(cfg, newKey, p.post)
	go func() {
		select {
		case <-p.readModels.CaughtUp():
			slog.Info("ready")
		case <-behind.Done():
		}
	}()

	<-failed.Done()
	h.stopping.Store(true)
	if !cfg.development && ctx.Err() != nil {
		slog.Info("stopping: not ready any more, still serving", "for", noticeTime)
		time.Sleep(noticeTime)
	}
	slog.Info("stopping: no new connections, requests in flight are finished")
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, s := range servers {
		if err := s.Shutdown(drain); err != nil {
			slog.Warn("requests were cut off", "error", err)
			s.Close()
		}
	}
	err = serving.Wait()
	end()
	return errors.Join(err, followers.Wait())
}

// onlyAt serves what this machine asks for, by its own name. A foreign page whose name was made to lead here (DNS
// rebinding) asks by its own; who asks from elsewhere may send any name. Open leaves the second to whoever decides who
// reaches the port: from within a container everybody is elsewhere.
func onlyAt(publicURL string, open bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, _ := netip.ParseAddrPort(r.RemoteAddr) // forwarded headers are anybody's word
		if !open && !peer.Addr().Unmap().IsLoopback() {
			http.Error(w, "the inbox is served to this machine, unless inbox_open is set", http.StatusForbidden)
			return
		}
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		address, _ := netip.ParseAddr(strings.Trim(host, "[]")) // a name is no address
		public, err := url.Parse(publicURL)
		if err != nil || host != "localhost" && !address.IsLoopback() && host != public.Hostname() {
			http.Error(w, "the inbox is served to this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onlyHere says that an address can be reached from this machine alone.
func onlyHere(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, _ := netip.ParseAddr(host)
	return host == "localhost" || ip.IsLoopback()
}

// openFace makes the server of the embedded log's EventStoreDB protocol.
func openFace(cfg config, log *embedded.Log) (*protocol.Server, error) {
	var options []protocol.Option
	if cfg.EventStoreCert != "" {
		certificate, err := tls.LoadX509KeyPair(cfg.EventStoreCert, cfg.EventStoreKey)
		if err != nil {
			return nil, configError{fmt.Errorf("event_store_tls_cert: %w", err)}
		}
		options = append(options, protocol.WithTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	}
	if cfg.EventStoreUser != "" {
		options = append(options, protocol.WithUser(cfg.EventStoreUser, cfg.EventStorePass))
	}
	if cfg.EventStoreName != "" {
		options = append(options, protocol.WithAdvertised(cfg.EventStoreName))
	}
	return protocol.New(log, options...), nil
}

func newServer(address string, handler http.Handler) *http.Server {
	return &http.Server{
		Addr:              address,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    256 << 10, // more than the API takes, so that it can refuse in its own words
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}

func listen(servers []*http.Server) ([]net.Listener, error) {
	listeners := make([]net.Listener, 0, len(servers))
	for _, s := range servers {
		l, err := net.Listen("tcp", s.Addr)
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// ended takes the end of a context for what it is here: nothing went wrong.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// greet tells the developer where everything is.
func greet(cfg config, newKey bool, post post) {
	slog.Info("listening", "address", cfg.Listen, "version", version)
	if !cfg.development {
		return
	}
	if !onlyHere(cfg.Listen) {
		slog.Warn("development mode listens beyond this machine: whoever reaches it can sign up, and with the inbox open sign in as anybody",
			"address", cfg.Listen, "inbox_open", cfg.InboxOpen)
	}
	p := cfg.Projects[0]
	fmt.Fprintf(os.Stdout, `
  Acta %s - development mode (there is no configuration file)

  Endpoint   %s/v1
  Project    %s
  Docs       %s/docs
  Inbox      %s/inbox
             %s
  Data       %s
`, version, cfg.PublicURL, p.ID, cfg.PublicURL, cfg.PublicURL, post.inbox.What(), cfg.DataDir)
	if newKey {
		fmt.Fprintf(os.Stdout, "  API key    %s\n             (shown once; kept in %s/demo.key)\n", p.Keys[len(p.Keys)-1].Secret, cfg.DataDir)
	}
	fmt.Fprintln(os.Stdout)
}
