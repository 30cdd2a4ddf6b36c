// Package protocol serves the embedded event log over EventStoreDB's gRPC protocol, so that its official clients, and
// other instances of Acta, use it as they would use EventStoreDB or KurrentDB.
//
// It serves streams (append, batch append, read, subscribe, delete, tombstone), persistent subscriptions, gossip and
// the list of what is supported. Users, operations, projections and monitoring are not there (UNIMPLEMENTED). The rules
// are those of EventStoreDB 24.10, including the answers its clients need in order not to crash.
//
// The package knows nothing of what events mean.
package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/actahq/acta/adapters/embedded"
)

// The transport as EventStoreDB's clients expect it.
const (
	// maxMessage is what clients themselves accept. A larger append than event.MaxAppend must still be read, or the
	// client would be told of a broken transport instead of the limit.
	maxMessage = 17 << 20
	// minPing lies below the 10 seconds after which clients ping, also when they are idle. With grpc's default of five
	// minutes they would be thrown out after the third ping.
	minPing = 5 * time.Second
	// A client that has vanished without a word is noticed after the two together, and its subscriptions end.
	pingEvery   = 10 * time.Second
	pingTimeout = 10 * time.Second
)

// Server serves one log.
type Server struct {
	log            *embedded.Log
	tls            *tls.Config
	user, password string
	advertised     string // host:port that gossip tells; empty: where it listens

	writeTimeout time.Duration // how long an append may wait for the disk
	stopTimeout  time.Duration // how long calls may go on after the end was asked for
	minPing      time.Duration
}

// Option changes how the log is served.
type Option func(*Server)

// WithTLS makes the server speak TLS; the configuration holds its certificate.
func WithTLS(config *tls.Config) Option { return func(s *Server) { s.tls = config } }

// WithUser makes every call that touches events ask for a user and a password (HTTP basic authentication). As they
// would otherwise cross the network in clear, Serve refuses to begin without TLS.
func WithUser(name, password string) Option {
	return func(s *Server) { s.user, s.password = name, password }
}

// WithAdvertised sets the address, host:port, that clients which discover the cluster are told. The default is the
// address the server listens on, which is of no use to others when that is no certain one (0.0.0.0).
func WithAdvertised(address string) Option { return func(s *Server) { s.advertised = address } }

// New makes a server for a log, which stays the caller's to close, after Serve has returned.
func New(log *embedded.Log, options ...Option) *Server {
	s := &Server{log: log, writeTimeout: 10 * time.Second, stopTimeout: 5 * time.Second, minPing: minPing}
	for _, o := range options {
		o(s)
	}
	return s
}

// service is a server while it serves.
type service struct {
	*Server
	address  string          // what gossip tells
	stopping context.Context // ended when the server shall stop
	groups   *groups
}

// Serve answers clients until the context ends; then it ends their subscriptions, answers the appends under way and
// returns nil, after five seconds at the latest. It closes the listener. A log may be served by one Serve at a time.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	defer listener.Close()
	if s.user != "" && s.tls == nil {
		return errors.New("serve the event log: a password needs TLS")
	}
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serving := &service{Server: s, stopping: stopping, address: s.advertised}
	if serving.address == "" {
		serving.address = listener.Addr().String()
	}
	if _, _, err := net.SplitHostPort(serving.address); err != nil {
		return fmt.Errorf("serve the event log: advertised address: %w", err)
	}
	var err error
	if serving.groups, err = openGroups(stopping, s.log, filepath.Join(s.log.Folder(), groupsFile)); err != nil {
		return fmt.Errorf("serve the event log: %w", err)
	}
	server := serving.register()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended:
		stop()
		server.Stop()
	case <-ctx.Done():
		stop()
		late := time.AfterFunc(s.stopTimeout, server.Stop)
		server.GracefulStop()
		late.Stop()
		err = <-ended
	}
	if err := errors.Join(err, serving.groups.close()); err != nil {
		return fmt.Errorf("serve the event log: %w", err)
	}
	return nil
}

func (s *service) register() *grpc.Server {
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: s.minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WaitForHandlers(true), // whoever has stopped the server may close the log
		grpc.UnaryInterceptor(s.answerUnary),
		grpc.StreamInterceptor(s.answerStream),
	}
	if s.tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.tls)))
	}
	server := grpc.NewServer(options...)
	streams.RegisterStreamsServer(server, streamsService{service: s})
	persistent.RegisterPersistentSubscriptionsServer(server, persistentService{service: s})
	gossip.RegisterGossipServer(server, gossipService{service: s})
	serverfeatures.RegisterServerFeaturesServer(server, featuresService{})
	return server
}

// live gives a context that ends with the call, or when the server shall stop.
func (s *service) live(call context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(call)
	unhook := context.AfterFunc(s.stopping, cancel)
	return ctx, func() { unhook(); cancel() }
}
