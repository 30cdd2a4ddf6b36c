package eventstoredb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/domain/event"
)

// server speaks EventStoreDB's protocol over a log in memory, and misbehaves as it is told to.
type server struct {
	streams.UnimplementedStreamsServer
	serverfeatures.UnimplementedServerFeaturesServer
	log     *logtest.Memory
	address string
	tls     *tls.Config

	running *grpc.Server

	mu      sync.Mutex
	changed *sync.Cond
	count   counts
	// What is asked instead of what the log in memory would do; errInOrder means: do that.
	onAppend  func(streams.Streams_AppendServer) error
	onRead    func(*streams.ReadReq, streams.Streams_ReadServer) error
	onConnect func(context.Context) error
	version   string
}

// counts is what a test waits for.
type counts struct {
	connections, connected int // open now, ever made
	appends, reads         int // asked ever
	open                   int // calls being answered
}

var errInOrder = errors.New("nothing is amiss")

// newServer gives a server that is not yet there: its address is free.
func newServer(t testing.TB) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{log: logtest.NewMemory(), address: listener.Addr().String(), version: "24.10.0"}
	s.changed = sync.NewCond(&s.mu)
	listener.Close()
	return s
}

// startServer gives a server that listens.
func startServer(t testing.TB) *server {
	s := newServer(t)
	s.start(t)
	return s
}

func (s *server) start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	options := []grpc.ServerOption{grpc.StatsHandler(s), grpc.MaxRecvMsgSize(17 << 20)}
	if s.tls != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.tls)))
	}
	g := grpc.NewServer(options...)
	streams.RegisterStreamsServer(g, s)
	serverfeatures.RegisterServerFeaturesServer(g, s)
	s.running = g
	go g.Serve(listener)
	t.Cleanup(g.Stop)
}

// stop breaks all connections, and answers no more.
func (s *server) stop() { s.running.Stop() }

func (s *server) instead(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *server) counted(change func(*counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.count)
	s.changed.Broadcast()
}

func (s *server) counts() counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// await waits until the counts are as they should become.
func (s *server) await(t testing.TB, what string, come func(counts) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patienceOfTests)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !come(s.count) {
		if ctx.Err() != nil {
			t.Fatalf("waited in vain for %s: %+v", what, s.count)
		}
		s.changed.Wait()
	}
}

func (s *server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *server) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *server) HandleRPC(context.Context, stats.RPCStats)                         {}
func (s *server) HandleConn(_ context.Context, what stats.ConnStats) {
	switch what.(type) {
	case *stats.ConnBegin:
		s.counted(func(c *counts) { c.connections++; c.connected++ })
	case *stats.ConnEnd:
		s.counted(func(c *counts) { c.connections-- })
	}
}

func (s *server) GetSupportedMethods(ctx context.Context, _ *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	s.mu.Lock()
	on, version := s.onConnect, s.version
	s.mu.Unlock()
	if on != nil {
		if err := on(ctx); err != nil {
			return nil, err
		}
	}
	return &serverfeatures.SupportedMethods{EventStoreServerVersion: version}, nil
}

func (s *server) Append(call streams.Streams_AppendServer) error {
	s.counted(func(c *counts) { c.appends++; c.open++ })
	defer s.counted(func(c *counts) { c.open-- })
	s.mu.Lock()
	on := s.onAppend
	s.mu.Unlock()
	if on != nil {
		if err := on(call); !errors.Is(err, errInOrder) {
			return err
		}
	}
	stream, expected, events, err := readAppend(call)
	if err != nil {
		return err
	}
	receipt, err := s.log.Append(call.Context(), stream, expected, events)
	switch {
	case errors.Is(err, event.ErrConflict):
		return call.SendAndClose(&streams.AppendResp{Result: &streams.AppendResp_WrongExpectedVersion_{
			WrongExpectedVersion: &streams.AppendResp_WrongExpectedVersion{}}})
	case err != nil:
		return status.Error(codes.Unavailable, err.Error())
	}
	return call.SendAndClose(appended(receipt))
}

// readAppend reads the whole request.
func readAppend(call streams.Streams_AppendServer) (stream string, expected int64, events []event.Proposed, err error) {
	for {
		request, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return stream, expected, events, nil
		}
		if err != nil {
			return "", 0, nil, err
		}
		if o := request.GetOptions(); o != nil {
			stream, expected = string(o.StreamIdentifier.StreamName), int64(o.GetRevision())
			if o.GetNoStream() != nil {
				expected = event.NoStream
			}
			continue
		}
		m := request.GetProposedMessage()
		if m.Metadata["content-type"] != "application/json" {
			return "", 0, nil, status.Error(codes.InvalidArgument, "not JSON")
		}
		id := m.Id.GetStructured()
		e := event.Proposed{Type: m.Metadata["type"], Data: m.Data, Metadata: m.CustomMetadata}
		for i := range 8 {
			e.ID[i] = byte(uint64(id.MostSignificantBits) >> (56 - 8*i))
			e.ID[8+i] = byte(uint64(id.LeastSignificantBits) >> (56 - 8*i))
		}
		events = append(events, e)
	}
}

func appended(r event.Receipt) *streams.AppendResp {
	return &streams.AppendResp{Result: &streams.AppendResp_Success_{Success: &streams.AppendResp_Success{
		CurrentRevisionOption: &streams.AppendResp_Success_CurrentRevision{CurrentRevision: uint64(r.Revision)},
		PositionOption: &streams.AppendResp_Success_Position{Position: &streams.AppendResp_Position{
			CommitPosition: r.Position.Commit, PreparePosition: r.Position.Prepare}},
	}}}
}

func (s *server) Read(request *streams.ReadReq, call streams.Streams_ReadServer) error {
	s.counted(func(c *counts) { c.reads++; c.open++ })
	defer s.counted(func(c *counts) { c.open-- })
	s.mu.Lock()
	on := s.onRead
	s.mu.Unlock()
	if on != nil {
		if err := on(request, call); !errors.Is(err, errInOrder) {
			return err
		}
	}
	switch o := request.Options; {
	case o.GetSubscription() != nil:
		return s.subscription(o, call)
	case o.GetAll() != nil:
		return s.newest(call)
	default:
		return s.stream(o, call)
	}
}

// newest is all that we ask of the whole log: its last event, of whatever stream.
func (s *server) newest(call streams.Streams_ReadServer) error {
	head, err := s.log.Head(call.Context())
	if err != nil || head == (event.Position{}) {
		return err
	}
	return call.Send(found(event.Recorded{Stream: "$stats-0", Position: head, Proposed: event.Proposed{Type: "$statsCollected"}}))
}

func (s *server) stream(o *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
	name := string(o.GetStream().StreamIdentifier.StreamName)
	from, dir := int64(o.GetStream().GetRevision()), event.Forward
	if o.ReadDirection == streams.ReadReq_Options_Backwards {
		dir = event.Backward
	}
	if o.GetStream().GetEnd() != nil {
		from = event.End
	}
	events, err := s.log.Read(call.Context(), name, from, dir, int(min(o.GetCount(), math.MaxInt32)))
	if err != nil {
		return err
	}
	if first, _ := s.log.Read(call.Context(), name, event.Start, event.Forward, 1); len(first) == 0 {
		return call.Send(&streams.ReadResp{Content: &streams.ReadResp_StreamNotFound_{
			StreamNotFound: &streams.ReadResp_StreamNotFound{StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(name)}}}})
	}
	for _, e := range events {
		if err := call.Send(found(e)); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) subscription(o *streams.ReadReq_Options, call streams.Streams_ReadServer) error {
	if err := call.Send(confirmation); err != nil {
		return err
	}
	filter := o.GetFilter().GetStreamIdentifier()
	excluded := regexp.MustCompile(filter.GetRegex())
	passes := func(stream string) bool {
		return slices.ContainsFunc(filter.GetPrefix(), func(p string) bool { return strings.HasPrefix(stream, p) }) ||
			len(filter.GetPrefix()) == 0 && excluded.MatchString(stream)
	}
	from := event.Position{Commit: o.GetAll().GetPosition().GetCommitPosition(), Prepare: o.GetAll().GetPosition().GetPreparePosition()}
	window, considered, live := o.GetFilter().GetMax()*o.GetFilter().GetCheckpointIntervalMultiplier(), uint32(0), false
	everything := event.Filter{Streams: []string{""}}
	return s.log.Follow(call.Context(), from, everything, func(stretch event.Stretch) error {
		for _, e := range stretch.Events {
			if passes(e.Stream) {
				if err := call.Send(found(e)); err != nil {
					return err
				}
			}
			if considered++; considered%window == 0 {
				if err := call.Send(checkpoint(e.Position)); err != nil {
					return err
				}
			}
		}
		if stretch.Live && !live {
			live = true
			return call.Send(caughtUp)
		}
		return nil
	})
}

var (
	confirmation = &streams.ReadResp{Content: &streams.ReadResp_Confirmation{
		Confirmation: &streams.ReadResp_SubscriptionConfirmation{SubscriptionId: "1"}}}
	caughtUp   = &streams.ReadResp{Content: &streams.ReadResp_CaughtUp_{CaughtUp: &streams.ReadResp_CaughtUp{}}}
	fellBehind = &streams.ReadResp{Content: &streams.ReadResp_FellBehind_{FellBehind: &streams.ReadResp_FellBehind{}}}
)

func checkpoint(p event.Position) *streams.ReadResp {
	return &streams.ReadResp{Content: &streams.ReadResp_Checkpoint_{
		Checkpoint: &streams.ReadResp_Checkpoint{CommitPosition: p.Commit, PreparePosition: p.Prepare}}}
}

func found(e event.Recorded) *streams.ReadResp {
	var most, least uint64
	for i := range 8 {
		most, least = most<<8|uint64(e.ID[i]), least<<8|uint64(e.ID[8+i])
	}
	return &streams.ReadResp{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{
		Position: &streams.ReadResp_ReadEvent_CommitPosition{CommitPosition: e.Position.Commit},
		Event: &streams.ReadResp_ReadEvent_RecordedEvent{
			Id: &shared.UUID{Value: &shared.UUID_Structured_{Structured: &shared.UUID_Structured{
				MostSignificantBits: int64(most), LeastSignificantBits: int64(least)}}},
			StreamIdentifier: &shared.StreamIdentifier{StreamName: []byte(e.Stream)},
			StreamRevision:   uint64(e.Revision),
			CommitPosition:   e.Position.Commit,
			PreparePosition:  e.Position.Prepare,
			Data:             e.Data,
			CustomMetadata:   e.Metadata,
			Metadata: map[string]string{
				"type": e.Type, "content-type": "application/json", "created": strconv.FormatInt(e.Recorded.UnixNano()/100, 10),
			},
		},
	}}}
}

// refuse is an error with the trailers by which a server names it.
func refuse(call grpc.ServerStream, code codes.Code, text string, trailers ...string) error {
	call.SetTrailer(metadata.Pairs(trailers...))
	return status.Error(code, text)
}
