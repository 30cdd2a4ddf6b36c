package protocol

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/projections"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestClientsFindTheLeader(t *testing.T) {
	w := begin(t)
	host, port, _ := net.SplitHostPort(w.address)
	w.client = dial(t, "esdb+discover://"+w.address+"?tls=false&nodePreference=leader")
	w.append("note", esdb.NoStream{}, notes(1)...)
	info, err := gossip.NewGossipClient(w.raw()).Read(w.ctx, &shared.Empty{})
	if err != nil || len(info.Members) != 1 || info.Members[0].HttpEndPoint.Address != host || info.Members[0].State != gossip.MemberInfo_Leader || !info.Members[0].IsAlive {
		t.Errorf("on port %s: %v, %v", port, info, err)
	}

	w = begin(t, WithAdvertised("events.example.com:2113"))
	info, err = gossip.NewGossipClient(w.raw()).Read(w.ctx, &shared.Empty{})
	if err != nil || info.Members[0].HttpEndPoint.Address != "events.example.com" || info.Members[0].HttpEndPoint.Port != 2113 {
		t.Errorf("advertised: %v, %v", info, err)
	}
}

func TestWhatIsSupportedIsTold(t *testing.T) {
	w := begin(t)
	all, err := serverfeatures.NewServerFeaturesClient(w.raw()).GetSupportedMethods(w.ctx, &shared.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all.Methods {
		got[m.ServiceName+"/"+m.MethodName] = strings.Join(m.Features, ",")
	}
	for name, features := range map[string]string{
		"event_store.client.streams.streams/read":                                              "position,events",
		"event_store.client.streams.streams/batchappend":                                       "deadline_duration",
		"event_store.client.persistent_subscriptions.persistentsubscriptions/create":           "stream,all",
		"event_store.client.persistent_subscriptions.persistentsubscriptions/getinfo":          "stream,all",
		"event_store.client.persistent_subscriptions.persistentsubscriptions/restartsubsystem": "stream,all",
	} {
		if given, ok := got[name]; !ok || given != features {
			t.Errorf("%s has %q", name, given)
		}
	}
	if all.EventStoreServerVersion != "24.10.0" {
		t.Errorf("version %q", all.EventStoreServerVersion)
	}
	_, err = projections.NewProjectionsClient(w.raw()).Create(w.ctx, &projections.CreateReq{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("projections: %v", err)
	}
}

// certificate makes one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

func TestOnlyTheUserIsAnswered(t *testing.T) {
	config, pool := certificate(t)
	address, _ := serve(t, New(openLog(t, memory(t)), WithTLS(config), WithUser("acta", "s3cret: with colon")))
	for _, test := range []struct {
		name, user, password string
		want                 esdb.ErrorCode
	}{
		{"the user", "acta", "s3cret: with colon", -1},
		{"nobody", "", "", esdb.ErrorCodeAccessDenied},
		{"a wrong password", "acta", "s3cret", esdb.ErrorCodeUnauthenticated},
		{"another user", "acta2", "s3cret: with colon", esdb.ErrorCodeUnauthenticated},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := esdb.ParseConnectionString("esdb://" + address)
			if err != nil {
				t.Fatal(err)
			}
			c.Logger, c.RootCAs, c.Username, c.Password = nil, pool, test.user, test.password
			w := &world{T: t, ctx: t.Context(), client: connect(t, c)}
			appended := w.tryAppend("note", esdb.Any{}, notes(1)...)
			_, read := w.tryRead("note", esdb.ReadStreamOptions{}, 1)
			if test.want < 0 {
				if appended != nil || read != nil {
					t.Errorf("append: %v; read: %v", appended, read)
				}
				return
			}
			w.is("append", appended, test.want)
			w.is("read", read, test.want)
		})
	}
}

func TestAPasswordIsNotAskedForInClear(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(openLog(t, memory(t)), WithUser("acta", "secret")).Serve(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %v", err)
	}
	if err := New(openLog(t, memory(t)), WithAdvertised("nowhere")).Serve(t.Context(), listener); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("got %v", err)
	}
}

func TestALogThatIsClosedIsUnavailable(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(1)...)
	w.log.Close()
	w.is("append", w.tryAppend("note", esdb.Any{}, notes(1)...), esdb.ErrorUnavailable)
}

func TestAnAppendThatWaitsTooLongIsAborted(t *testing.T) {
	w := begin(t, func(s *Server) { s.writeTimeout = 0 })
	w.is("append", w.tryAppend("note", esdb.Any{}, notes(1)...), esdb.ErrorAborted)
	w.is("delete", w.delete("note", esdb.Any{}), esdb.ErrorAborted)
}

func TestTheEndAnswersWhatIsUnderWay(t *testing.T) {
	log := openLog(t, memory(t))
	address, stop := serve(t, New(log))
	w := &world{t, t.Context(), log, address, dial(t, "esdb://"+address+"?tls=false")}
	w.group("note", "readers", nil)
	consumer := w.consume("note", "readers", 1)
	all, one := w.followAll(esdb.SubscribeToAllOptions{From: esdb.Start{}}), w.followStream("note", esdb.Start{})
	told(all, "caught up")
	told(one, "caught up")
	conn := w.raw()
	call, err := streams.NewStreamsClient(conn).Append(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	call.Send(&streams.AppendReq{Content: &streams.AppendReq_Options_{Options: &streams.AppendReq_Options{
		StreamIdentifier: streamName("note"), ExpectedStreamRevision: &streams.AppendReq_Options_NoStream{},
	}}})
	// One connection begins its calls in order: when this one is answered, the append is under way.
	if _, err := serverfeatures.NewServerFeaturesClient(conn).GetSupportedMethods(w.ctx, &shared.Empty{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		stop()
	}()
	for _, sub := range []*esdb.Subscription{all, one} {
		if diff := cmp.Diff([]string{"dropped: Unavailable"}, told(sub, "")); diff != "" {
			t.Error(diff)
		}
	}
	if e := consumer.Recv(); e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.Unavailable {
		t.Errorf("the consumer got %+v", e)
	}
	call.Send(&streams.AppendReq{Content: &streams.AppendReq_ProposedMessage_{ProposedMessage: &streams.AppendReq_ProposedMessage{
		Id: correlation(1), Metadata: map[string]string{typeKey: "x", contentTypeKey: jsonType},
	}}})
	if r, err := call.CloseAndRecv(); err != nil || r.GetSuccess() == nil {
		t.Errorf("the append under way got %v, %v", r, err)
	}
	<-ended
}

func TestTheEndDoesNotWaitForEver(t *testing.T) {
	log := openLog(t, memory(t))
	address, stop := serve(t, New(log, func(s *Server) { s.stopTimeout = 10 * time.Millisecond }))
	w := &world{t, t.Context(), log, address, nil}
	conn := w.raw()
	call, err := streams.NewStreamsClient(conn).Append(w.ctx) // which never ends
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serverfeatures.NewServerFeaturesClient(conn).GetSupportedMethods(w.ctx, &shared.Empty{}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := call.RecvMsg(&streams.AppendResp{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

// pings sends HTTP/2 pings over an idle connection and gives how many were answered before the server hung up.
func pings(t *testing.T, address string, n int, every time.Duration) (answered int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.WriteSettings()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range n {
		<-tick.C
		var data [8]byte
		binary.BigEndian.PutUint64(data[:], uint64(i)+1)
		if err := framer.WritePing(false, data); err != nil {
			return answered
		}
		for acked := false; !acked; {
			switch f, err := framer.ReadFrame(); f := f.(type) {
			case *http2.PingFrame:
				if acked = f.IsAck(); !acked {
					framer.WritePing(true, f.Data)
				}
			case *http2.GoAwayFrame:
				return answered
			default:
				if err != nil {
					return answered
				}
			}
		}
		answered++
	}
	return answered
}

func TestAnIdleConnectionThatPingsIsKept(t *testing.T) {
	if minPing > 10*time.Second {
		t.Error("the official clients ping every 10 seconds")
	}
	// The same policy with a shorter time, so that the test need not wait: no call was ever made on this connection.
	address, _ := serve(t, New(openLog(t, memory(t)), func(s *Server) { s.minPing = time.Millisecond }))
	if n := pings(t, address, 10, 5*time.Millisecond); n != 10 {
		t.Errorf("the server hung up after %d pings", n)
	}
	address, _ = serve(t, New(openLog(t, memory(t))))
	if n := pings(t, address, 10, time.Millisecond); n == 10 {
		t.Error("a flood of pings was borne")
	}
}

func TestASubscriberThatTakesItsTimeCostsLittleMemory(t *testing.T) {
	w := begin(t)
	followed, err := streams.NewStreamsClient(w.raw()).Read(w.ctx, &streams.ReadReq{Options: &streams.ReadReq_Options{StreamOption: fromStart, CountOption: following, UuidOption: textIDs}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := followed.Recv(); err != nil { // the confirmation; from now on nothing is taken
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 20
	}
	const n = 160
	before := heap()
	for range n {
		e := note("")
		e.ContentType, e.Data = esdb.ContentTypeBinary, make([]byte, 600_000)
		w.append("note", esdb.Any{}, e)
	}
	if after := heap(); after > before+60 {
		t.Errorf("%d MiB are held for a subscriber that took none of 92", after-before)
	}
	for next := uint64(1); next <= n; {
		r, err := followed.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if e := r.GetEvent(); e != nil {
			if e.Event.CommitPosition != next {
				t.Fatalf("position %d where %d was expected", e.Event.CommitPosition, next)
			}
			next++
		}
	}
}

func TestACallThatFailsInsideIsAnsweredAndTheServerLivesOn(t *testing.T) {
	s := &service{Server: New(nil), stopping: context.Background()}
	_, err := s.answerUnary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/x"}, func(context.Context, any) (any, error) { panic("broken") })
	if status.Code(err) != codes.Internal {
		t.Errorf("got %v", err)
	}
	_, err = s.answerUnary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/x"}, func(context.Context, any) (any, error) { return nil, errors.New("odd") })
	if status.Code(err) != codes.Unknown {
		t.Errorf("got %v", err)
	}
}

func TestUnknownGroupsAreRefusedAsClientsKnowIt(t *testing.T) {
	w := begin(t)
	groups := persistent.NewPersistentSubscriptionsClient(w.raw())
	_, err := groups.List(w.ctx, &persistent.ListReq{Options: &persistent.ListReq_Options{ListOption: &persistent.ListReq_Options_ListForStream{
		ListForStream: &persistent.ListReq_StreamOption{StreamOption: &persistent.ListReq_StreamOption_Stream{Stream: streamName("note")}},
	}}})
	if status.Code(err) != codes.NotFound {
		t.Errorf("list: %v", err)
	}
	_, err = groups.ReplayParked(w.ctx, &persistent.ReplayParkedReq{})
	if status.Code(err) != codes.NotFound {
		t.Errorf("replay: %v", err)
	}
}
