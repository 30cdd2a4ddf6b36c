package eventstoredb

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"log"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/streams"
	"google.golang.org/grpc/metadata"

	"github.com/actahq/acta/domain/event"
)

func TestCredentialsThatWouldNotBeSentAreRefused(t *testing.T) {
	for _, c := range []string{
		"esdb://admin:changeit@127.0.0.1:2113?tls=false",
		"esdb+discover://admin:changeit@cluster.example:2113?TLS=FALSE",
		"esdb://admin:changeit@one:2113,two:2113?tls=false",
		"esdb://127.0.0.1:2113?tls=false&userCertFile=/a&userKeyFile=/b",
	} {
		l, err := Open(c)
		if err == nil {
			l.Close()
			t.Errorf("%s was accepted", c)
		} else if !strings.Contains(err.Error(), "tls=false") || strings.Contains(err.Error(), "changeit") {
			t.Errorf("%s: %v", c, err)
		}
	}
}

func TestAWrongConnectionStringIsRefusedWithoutRepeatingThePassword(t *testing.T) {
	for _, c := range []string{
		"",
		"localhost:2113",
		"http://localhost:2113",
		"esdb://",
		"esdb://admin:changeit@local host:2113",
		"esdb://admin:changeit@one:2113,two:2x13",
		"esdb://admin:changeit@one:port",
		"esdb://admin:changeit@[::1]:2113",
		"esdb://:changeit@one:2113",
		"esdb://admin:changeit@one:2113/path",
		"esdb://one:2113?tsl=false",
		"esdb://one:2113?tls=no%zz",
		"esdb://one:2113?tls=perhaps",
		"esdb://one:2113?keepAliveInterval=-1",
		"esdb://one:2113?keepAliveInterval=1000",
		"esdb://one:2113?defaultDeadline=0",
		"esdb://one:2113?defaultDeadline=soon",
		"esdb://one:2113?gossipTimeout=0",
		"esdb://one:2113?userCertFile=/a",
	} {
		l, err := Open(c)
		if err == nil {
			l.Close()
			t.Errorf("%q was accepted", c)
		} else if strings.Contains(err.Error(), "changeit") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestBothNamesOfTheProtocolAreUnderstood(t *testing.T) {
	for _, c := range []string{
		"esdb://127.0.0.1?tls=false",
		"esdb+discover://127.0.0.1:1?tls=false&nodePreference=leader",
		"kurrentdb://127.0.0.1:1?tls=false&defaultDeadline=1500",
		"kurrentdb+discover://127.0.0.1:1?tls=false",
		"kurrentdb://admin:changeit@127.0.0.1:1,127.0.0.1:2?tlsVerifyCert=false&keepAliveInterval=10000",
	} {
		l, err := Open(c)
		if err != nil {
			t.Errorf("%s: %v", c, err)
			continue
		}
		if strings.Contains(c, "1500") && l.pace.deadline != 1500*time.Millisecond {
			t.Errorf("%s: the deadline is %s", c, l.pace.deadline)
		}
		mustBe(t, c, l.Close(), nil)
	}
}

func TestCredentialsAreSentOverTLS(t *testing.T) {
	s := newServer(t)
	certificate, authorities := selfSigned(t)
	s.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
	s.start(t)
	said := make(chan []string, 1)
	s.onAppend = func(call streams.Streams_AppendServer) error {
		sent, _ := metadata.FromIncomingContext(call.Context())
		said <- sent.Get("authorization")
		return errInOrder
	}
	l, err := Open("esdb://admin:changeit@"+s.address, WithRootCAs(authorities))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mustAppend(t, l, "note-1", event.NoStream, proposals(1, 1))
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:changeit"))
	if got := <-said; len(got) != 1 || got[0] != want {
		t.Errorf("sent: %q", got)
	}
}

// selfSigned gives a certificate for this machine, and whom to trust for it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestTheClientSaysNothingOnTheConsole(t *testing.T) {
	var console, structured bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&structured, &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.SetOutput(&console)
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(&bytes.Buffer{})
	}()
	s := startServer(t)
	l := openLog(t, s)
	awaitReady(t, l)
	s.stop()
	l.Read(t.Context(), "note-1", event.Start, event.Forward, 1)
	if _, err := Open("esdb://" + s.address + "?colour=red&keepAliveInterval=1"); err == nil {
		t.Error("it was accepted")
	}
	l.Follow(ended(t, 20*time.Millisecond), event.Position{}, event.Filter{}, func(event.Stretch) error { return nil })
	mustBe(t, "close", l.Close(), nil)
	if console.Len() > 0 {
		t.Errorf("on the console:\n%s", &console)
	}
	if !strings.Contains(structured.String(), "discovery attempt 1/1") {
		t.Errorf("what it says is lost:\n%s", &structured)
	}
}

func TestWhatTheClientLogsInItsOwnGoroutineNeverPanics(t *testing.T) {
	for _, args := range [][]any{nil, {"a"}, {context.Canceled}, {1, 2}} {
		listen("error", callFailed, args...)
		listen("error", "exception when fetching server features: %v", args...)
	}
}
