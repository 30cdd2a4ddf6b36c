package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/actahq/acta/adapters/embedded"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test.
const patience = 30 * time.Second

// world is a log that is served, and a client of it.
type world struct {
	*testing.T
	ctx     context.Context
	log     *embedded.Log
	address string
	client  *esdb.Client
}

// memory is a file system in memory where there is one: what disks keep is tested by the log itself.
func memory(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "acta-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func begin(t *testing.T, options ...Option) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	log := openLog(t, memory(t))
	address, _ := serve(t, New(log, options...))
	return &world{t, ctx, log, address, dial(t, "esdb://"+address+"?tls=false")}
}

func openLog(t testing.TB, dir string, options ...embedded.Option) *embedded.Log {
	t.Helper()
	log, err := embedded.Open(dir, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// serve serves until the test ends or stop is called.
func serve(t testing.TB, s *Server) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return listener.Addr().String(), stop
}

func dial(t testing.TB, address string) *esdb.Client {
	t.Helper()
	config, err := esdb.ParseConnectionString(address)
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = nil
	return connect(t, config)
}

func connect(t testing.TB, config *esdb.Configuration) *esdb.Client {
	t.Helper()
	client, err := esdb.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// raw is a connection for what the client never sends.
func (w *world) raw() *grpc.ClientConn {
	w.Helper()
	conn, err := grpc.NewClient(w.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return conn
}

// note is an event with an id of its own.
func note(text string) esdb.EventData {
	data, _ := json.Marshal(map[string]string{"text": text})
	return esdb.EventData{EventID: uuid.New(), EventType: "note.written.v1", ContentType: esdb.ContentTypeJson, Data: data, Metadata: []byte(`{"by":"ada"}`)}
}

func notes(n int) []esdb.EventData {
	events := make([]esdb.EventData, n)
	for i := range events {
		events[i] = note(fmt.Sprint(i))
	}
	return events
}

func (w *world) append(stream string, expected esdb.ExpectedRevision, events ...esdb.EventData) *esdb.WriteResult {
	w.Helper()
	result, err := w.client.AppendToStream(w.ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: expected}, events...)
	if err != nil {
		w.Fatalf("append to %s: %v", stream, err)
	}
	return result
}

func (w *world) tryAppend(stream string, expected esdb.ExpectedRevision, events ...esdb.EventData) error {
	_, err := w.client.AppendToStream(w.ctx, stream, esdb.AppendToStreamOptions{ExpectedRevision: expected}, events...)
	return err
}

// is checks the code of a client's error.
func (w *world) is(what string, err error, code esdb.ErrorCode) {
	w.Helper()
	var e *esdb.Error
	if !errors.As(err, &e) || e.Code() != code {
		w.Fatalf("%s: got %v, want code %d", what, err, code)
	}
}

// drain gives all events of a read.
func drain(stream *esdb.ReadStream, err error) (events []*esdb.RecordedEvent, _ error) {
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return events, nil
		} else if err != nil {
			return events, err
		}
		events = append(events, e.Event)
	}
}

func (w *world) tryRead(stream string, options esdb.ReadStreamOptions, count uint64) ([]*esdb.RecordedEvent, error) {
	return drain(w.client.ReadStream(w.ctx, stream, options, count))
}

func (w *world) read(stream string) []*esdb.RecordedEvent {
	w.Helper()
	events, err := w.tryRead(stream, esdb.ReadStreamOptions{}, 10_000)
	if err != nil {
		w.Fatalf("read %s: %v", stream, err)
	}
	return events
}

func revisions(events []*esdb.RecordedEvent) []uint64 {
	all := []uint64{}
	for _, e := range events {
		all = append(all, e.EventNumber)
	}
	return all
}

func ids(events []*esdb.RecordedEvent) []uuid.UUID {
	all := []uuid.UUID{}
	for _, e := range events {
		all = append(all, e.EventID)
	}
	return all
}

func proposedIDs(events ...[]esdb.EventData) []uuid.UUID {
	all := []uuid.UUID{}
	for _, e := range slices.Concat(events...) {
		all = append(all, e.EventID)
	}
	return all
}
