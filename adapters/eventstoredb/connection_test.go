package eventstoredb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/actahq/acta/domain/event"
)

func TestAServerThatComesLateIsFound(t *testing.T) {
	s := newServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.deadline = 20 * time.Millisecond }))
	// Many times the attempts after which the client alone would be dead for good.
	for range 50 {
		_, err := l.connector.acquire(ended(t, 5*time.Millisecond))
		if err == nil {
			t.Fatal("there was a connection to nobody")
		}
	}
	mustBe(t, "away", l.Ready(t.Context()), event.ErrUnavailable)
	s.start(t)
	awaitReady(t, l)
}

// ended gives a context that ends by itself.
func ended(t testing.TB, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), after)
	t.Cleanup(cancel)
	return ctx
}

// awaitReady asks again until the log answers.
func awaitReady(t testing.TB, l *Log) {
	t.Helper()
	for began := time.Now(); ; {
		err := l.Ready(t.Context())
		if err == nil {
			return
		}
		if time.Since(began) > patienceOfTests {
			t.Fatalf("the log is not back: %v", err)
		}
	}
}

func TestCallsThatWaitForTheServerAreAnsweredWhenItComes(t *testing.T) {
	s := newServer(t)
	l := openLog(t, s)
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			if _, err := l.Append(t.Context(), fmt.Sprint("note-", i), event.NoStream, proposals(i, 1)); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	s.start(t)
	wg.Wait()
}

func TestNoCallHangsWhileTheServerIsAway(t *testing.T) {
	l := openLog(t, newServer(t), withPace(func(p *pace) { p.deadline = 30 * time.Millisecond }))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 1)
			if !errors.Is(err, event.ErrUnavailable) {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestACallerCanLeaveAServerThatHangs(t *testing.T) {
	s := startServer(t)
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	s.onAppend = func(call streams.Streams_AppendServer) error { return hang(call.Context()) }
	s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error { return hang(call.Context()) }
	l := openLog(t, s)

	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error)
	go func() {
		_, err := l.Append(ctx, "note-1", event.NoStream, proposals(1, 1))
		answered <- err
	}()
	s.await(t, "the append", func(c counts) bool { return c.appends == 1 })
	cancel()
	mustBe(t, "a caller who leaves", <-answered, context.Canceled)

	_, err := l.Read(ended(t, 10*time.Millisecond), "note-1", event.Start, event.Forward, 1)
	mustBe(t, "a caller's deadline", err, event.ErrUnavailable)

	hasty := openLog(t, s, withPace(func(p *pace) { p.deadline = 50 * time.Millisecond }))
	_, err = hasty.Head(t.Context())
	mustBe(t, "the log's deadline", err, event.ErrUnavailable)
	s.await(t, "the server to be let go", func(c counts) bool { return c.open == 0 })
}

func TestANodeThatHangsWhenConnectingDelaysNobody(t *testing.T) {
	s := startServer(t)
	release := make(chan struct{})
	s.onConnect = func(ctx context.Context) error { <-release; return nil }
	l := openLog(t, s)
	_, err := l.Append(ended(t, 10*time.Millisecond), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "while connecting", err, event.ErrUnavailable)
	close(release)
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
}

func TestClosingWhileCallsWaitNeitherPanicsNorHangs(t *testing.T) {
	l := openLog(t, newServer(t))
	answered := make(chan error)
	for i := range 8 {
		go func() {
			_, err := l.Append(t.Context(), fmt.Sprint("note-", i), event.NoStream, proposals(1, 1))
			answered <- err
		}()
	}
	followed := make(chan error)
	go func() {
		followed <- l.Follow(t.Context(), event.Position{}, event.Filter{}, func(event.Stretch) error { return nil })
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		mustBe(t, "append", <-answered, event.ErrUnavailable)
	}
	mustBe(t, "follow", <-followed, event.ErrUnavailable)
	mustBe(t, "ready", l.Ready(t.Context()), event.ErrUnavailable)
}

func TestClosingAnswersWhatIsRunningAndEndsFollowers(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	reached, release := make(chan struct{}), make(chan struct{})
	s.instead(func() {
		s.onAppend = func(streams.Streams_AppendServer) error { close(reached); <-release; return errInOrder }
	})
	appended, followed := make(chan error), make(chan error)
	go func() {
		_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
		appended <- err
	}()
	live := make(chan struct{})
	go func() {
		followed <- l.Follow(t.Context(), event.Position{}, event.Filter{}, func(event.Stretch) error { close(live); return nil })
	}()
	<-reached
	<-live
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	mustBe(t, "the follower", <-followed, event.ErrUnavailable)
	close(release)
	mustBe(t, "the append", <-appended, nil)
	mustBe(t, "close", <-closed, nil)
}

func TestAReadThatBreaksOffIsAnErrorAndNotAPanic(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	s.instead(func() {
		s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error {
			if err := call.Send(found(event.Recorded{Stream: "note-1", Position: event.At(1)})); err != nil {
				return err
			}
			return status.Error(codes.Unavailable, "shutting down")
		}
	})
	events, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 10)
	mustBe(t, "read", err, event.ErrUnavailable)
	if len(events) != 0 {
		t.Errorf("a part was given as the whole: %d events", len(events))
	}
	mustBe(t, "close", l.Close(), nil)
}

func TestReconnectingLeavesNoConnectionBehind(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Hour }))
	for i := range uint64(20) {
		stream := fmt.Sprint("note-", i)
		s.instead(func() {
			s.onAppend = func(call streams.Streams_AppendServer) error {
				if _, _, _, err := readAppend(call); err != nil {
					return err
				}
				return status.Error(codes.Unavailable, "not ready")
			}
		})
		_, err := l.Append(t.Context(), stream, event.NoStream, proposals(i, 1))
		mustBe(t, "append", err, event.ErrUnavailable)
		s.instead(func() { s.onAppend = nil })
		mustAppend(t, l, stream, event.NoStream, proposals(i, 1))
	}
	s.await(t, "the old connections to be closed", func(c counts) bool { return c.connections == 1 })
	if made := s.counts().connected; made != 21 {
		t.Errorf("%d connections were made for 20 losses", made)
	}
}

func TestTheClientIsKeptFromSearchingForANode(t *testing.T) {
	s := startServer(t)
	cfg, err := configure("esdb://" + s.address + "?tls=false")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(*cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.client.Close()
	s.stop()
	_, err = withoutPanic(conn.client, func(client *esdb.Client) (*esdb.WriteResult, error) {
		return client.AppendToStream(t.Context(), "note-1", esdb.AppendToStreamOptions{}, wire(proposals(1, 1))...)
	})
	if !isLost(err) {
		t.Fatalf("append: %v", err)
	}
	// It would search now, find nothing, and be dead.
	if _, err := conn.client.GetServerVersion(); err != nil {
		t.Errorf("the client gave up its connection: %v", err)
	}
}

func TestARestartOfTheServerIsOutlived(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	stretches := follow(t, l, event.Position{}, event.Filter{})
	var want []event.Proposed
	for i := range int64(20) {
		events := proposals(uint64(i), 2)
		want = append(want, events...)
		for { // the same ids at the same revision, until there is an answer
			_, err := l.Append(t.Context(), "note-1", 2*i-1, events)
			if err == nil {
				break
			}
			mustBe(t, "append", err, event.ErrUnavailable)
		}
		s.stop()
		s.start(t)
	}
	var got []event.Recorded
	until(t, stretches, func(stretch event.Stretch) bool {
		got = append(got, stretch.Events...)
		return len(got) >= len(want)
	})
	for i, e := range got {
		if e.ID != want[i].ID || e.Revision != int64(i) {
			t.Fatalf("event %d is %s at revision %d", i, e.ID, e.Revision)
		}
	}
	awaitReady(t, l)
	s.await(t, "one connection", func(c counts) bool { return c.connections == 1 })
}

func TestManyCallersLoseTheServerAtOnceAndFindItAgain(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s)
	var wg sync.WaitGroup
	for w := range uint64(16) {
		wg.Go(func() {
			for i := range int64(20) {
				for {
					_, err := l.Append(t.Context(), fmt.Sprint("note-", w), i-1, proposals(100*w+uint64(i), 1))
					if err == nil {
						break
					}
					if !errors.Is(err, event.ErrUnavailable) {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			}
		})
	}
	for range 5 {
		appends := s.counts().appends
		s.await(t, "appends", func(c counts) bool { return c.appends > appends+10 || c.appends > 300 })
		s.stop()
		s.start(t)
	}
	wg.Wait()
	for w := range 16 {
		events, err := l.Read(t.Context(), fmt.Sprint("note-", w), event.Start, event.Forward, 100)
		if err != nil || len(events) != 20 {
			t.Errorf("writer %d: %d events, %v", w, len(events), err)
		}
	}
}

func TestAnAppendGoesToTheLeader(t *testing.T) {
	leader, follower := startServer(t), startServer(t)
	leader.log = follower.log
	host, port, _ := net.SplitHostPort(leader.address)
	follower.onAppend = func(call streams.Streams_AppendServer) error {
		if _, _, _, err := readAppend(call); err != nil {
			return err
		}
		return refuse(call, codes.NotFound, "Leader info available",
			"exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port)
	}
	l := openLog(t, follower)
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
	mustAppend(t, l, "note-1", 0, proposals(2, 1))
	if f, l := follower.counts().appends, leader.counts().appends; f != 1 || l != 2 {
		t.Errorf("the follower was asked %d times, the leader %d times", f, l)
	}
}

// The client never closes a connection that it began to a leader whom it could not reach. Nobody else can, so the test
// does it in a process of its own, where goroutines are not counted.
func TestALeaderThatIsGoneIsSearchedFor(t *testing.T) {
	if os.Getenv(uncountedVariable) == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), uncountedVariable+"=1")
		if output, err := child.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	s := startServer(t)
	gone := newServer(t)
	host, port, _ := net.SplitHostPort(gone.address)
	var once sync.Once
	s.onAppend = func(call streams.Streams_AppendServer) (err error) {
		err = errInOrder
		once.Do(func() {
			if _, _, _, err = readAppend(call); err == nil {
				err = refuse(call, codes.NotFound, "", "exception", "not-leader", "leader-endpoint-host", host, "leader-endpoint-port", port)
			}
		})
		return err
	}
	mustAppend(t, openLog(t, s), "note-1", event.NoStream, proposals(1, 1))
}

func TestWhatTheClientWrapsIsStillUnderstood(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("could not send append request. Reason: %w", err) }
	for _, test := range []struct {
		name string
		err  error
		want error // nil: none of the log's
		lost bool
	}{
		{"not available", status.Error(codes.Unavailable, "x"), event.ErrUnavailable, true},
		{"aborted", status.Error(codes.Aborted, "write timeout"), event.ErrUnavailable, false},
		{"too late", status.Error(codes.DeadlineExceeded, "x"), event.ErrUnavailable, false},
		{"ended by the client", status.Error(codes.Canceled, "the client connection is closing"), event.ErrUnavailable, false},
		{"denied", status.Error(codes.PermissionDenied, "x"), event.ErrUnavailable, false},
		{"an early end", errors.New("EOF"), event.ErrUnavailable, false},
		{"a panic", errPanicked, event.ErrUnavailable, true},
		{"too large", status.Error(codes.InvalidArgument, "Maximum Append Size of 1048576 Exceeded."), event.ErrTooLarge, false},
		{"too large, by its name", status.Error(codes.InvalidArgument, "maximum-append-size-exceeded"), event.ErrTooLarge, false},
		{"nobody should ask it", status.Error(codes.InvalidArgument, "x"), nil, false},
		{"damaged", event.ErrDamaged, event.ErrDamaged, false},
	} {
		for _, err := range []error{test.err, wrap(test.err), wrap(wrap(test.err))} {
			got := understood(t.Context(), err)
			if test.want == nil {
				for _, no := range []error{event.ErrUnavailable, event.ErrConflict, event.ErrTooLarge, event.ErrDamaged} {
					if got == nil || errors.Is(got, no) {
						t.Errorf("%s: %v", test.name, got)
					}
				}
			} else {
				mustBe(t, test.name, got, test.want)
			}
			if isLost(err) != test.lost {
				t.Errorf("%s: lost is %v", test.name, isLost(err))
			}
		}
	}
	mustBe(t, "dead for good", errors.Join(understood(t.Context(), wrap(deadClient(t)))), event.ErrUnavailable)
	if !isLost(wrap(deadClient(t))) {
		t.Error("a client that is dead for good is kept")
	}
}

// deadClient gives what a client says when it will never answer again.
func deadClient(t *testing.T) error {
	cfg, err := configure("esdb://127.0.0.1:1?tls=false")
	if err != nil {
		t.Fatal(err)
	}
	client, err := esdb.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.GetServerVersion()
	_, err = client.GetServerVersion()
	if known, ok := errors.AsType[*esdb.Error](err); !ok || known.Code() != esdb.ErrorCodeConnectionClosed {
		t.Fatalf("the client lives: %v", err)
	}
	return err
}

func TestNotFoundOfSomethingElseIsNoEmptyStream(t *testing.T) {
	s := startServer(t)
	s.onRead = func(*streams.ReadReq, streams.Streams_ReadServer) error {
		return status.Error(codes.NotFound, "no such service here")
	}
	_, err := openLog(t, s).Read(t.Context(), "note-1", event.Start, event.Forward, 1)
	mustBe(t, "read", err, event.ErrUnavailable)
}

func TestGarbageIsAnErrorAndNotACrash(t *testing.T) {
	s := startServer(t)
	l := openLog(t, s, withPace(func(p *pace) { p.refusal = time.Nanosecond }))
	for i, garbage := range []*streams.ReadResp{
		{}, // the client panics at what it does not know
		caughtUp,
		confirmation,
		{Content: &streams.ReadResp_LastStreamPosition{LastStreamPosition: 1}},
		{Content: &streams.ReadResp_Event{Event: &streams.ReadResp_ReadEvent{}}},
		{Content: &streams.ReadResp_StreamNotFound_{StreamNotFound: &streams.ReadResp_StreamNotFound{}}},
	} {
		s.instead(func() {
			s.onRead = func(_ *streams.ReadReq, call streams.Streams_ReadServer) error { return call.Send(garbage) }
		})
		_, err := l.Read(t.Context(), "note-1", event.Start, event.Forward, 1)
		mustBe(t, "read "+strconv.Itoa(i), err, event.ErrUnavailable)
		_, err = l.Head(t.Context())
		mustBe(t, "head "+strconv.Itoa(i), err, event.ErrUnavailable)
	}
	s.instead(func() {
		s.onRead = nil
		s.onAppend = func(call streams.Streams_AppendServer) error { // a name without the trailers that belong to it
			return refuse(call, codes.FailedPrecondition, "", "exception", "stream-deleted")
		}
	})
	_, err := l.Append(t.Context(), "note-1", event.NoStream, proposals(1, 1))
	mustBe(t, "append", err, event.ErrUnavailable)
	s.instead(func() { s.onAppend = nil })
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
}

func TestAServerWhoseVersionCannotBeReadIsAwayAndNotACrash(t *testing.T) {
	s := startServer(t)
	s.version = "24.10.0-rc"
	l := openLog(t, s, withPace(func(p *pace) { p.deadline = 100 * time.Millisecond }))
	err := l.Ready(t.Context())
	mustBe(t, "ready", err, event.ErrUnavailable)
	if !strings.Contains(err.Error(), "version") {
		t.Errorf("it does not say why: %v", err)
	}
}
