package eventstoredb

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/actahq/acta/adapters/embedded"
	"github.com/actahq/acta/adapters/embedded/protocol"
	"github.com/actahq/acta/adapters/logtest"
)

// This file runs the suite that every log must pass, over each server there is.

// serverVariable holds the connection string of a server for tests. The suite leaves its streams there.
const serverVariable = "ACTA_TEST_EVENTSTOREDB"

func TestConformanceOverTheTestServer(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Log { return openLog(t, startServer(t)) })
}

// The embedded log, served over the protocol and followed through the official client, is the log that it is in process.
func TestConformanceOverTheEmbeddedLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T) logtest.Log {
		log, err := embedded.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- protocol.New(log).Serve(ctx, listener) }()
		t.Cleanup(func() { // after the client's own
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		})
		return openAt(t, "esdb://"+listener.Addr().String()+"?tls=false")
	})
}

func TestConformanceOverARealServer(t *testing.T) {
	connection := os.Getenv(serverVariable)
	if connection == "" {
		t.Skipf("NOT COVERED: the conformance of a real EventStoreDB or KurrentDB (positions with gaps, system events in $all, idempotency, limits). Set %s to a connection string, for example esdb://localhost:2113?tls=false", serverVariable)
	}
	logtest.Run(t, func(t *testing.T) logtest.Log { return openAt(t, connection) })
}
