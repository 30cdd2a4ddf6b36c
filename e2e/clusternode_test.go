//go:build linux

package e2e

import "testing"

// Other services follow the log by the official clients of EventStoreDB and KurrentDB.
func TestEventStoreLibraries(t *testing.T) {
	t.Parallel()
	libraries(t)
	log := freeAddress(t)
	s := start(t, t.TempDir(), "ACTA_EVENT_STORE_LISTEN="+log)
	for _, library := range []string{"@eventstore/db-client", "@kurrent/kurrentdb-client"} {
		s.script(t, "eventstore.mjs", library, log)
	}
}
