package eventstoredb

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// settings are those the client knows. It prints the others to the console and ignores them, so that a slip of the pen
// in "tls" would be found out too late.
var settings = []string{
	"discoveryinterval", "gossiptimeout", "maxdiscoverattempts", "nodepreference", "keepaliveinterval", "keepalivetimeout",
	"tls", "tlscafile", "tlsverifycert", "usercertfile", "userkeyfile", "defaultdeadline",
}

// shortestKeepAlive is the client's own limit, in milliseconds.
const shortestKeepAlive = 10_000

// configure reads a connection string. Errors do not repeat the string, which may hold a password.
func configure(connection string) (*esdb.Configuration, error) {
	if err := checkSettings(connection); err != nil {
		return nil, err
	}
	if rest, ok := strings.CutPrefix(connection, "kurrentdb"); ok {
		connection = "esdb" + rest // the same protocol by its newer name, which this client does not know
	}
	cfg, err := esdb.ParseConnectionString(connection)
	if wrong, ok := errors.AsType[*url.Error](err); ok {
		err = wrong.Err
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("connection string: %w", err)
	case cfg.DisableTLS && cfg.Username != "":
		return nil, errors.New("connection string: with tls=false the user and password would not be sent; use TLS, or a server without authentication and no user")
	case cfg.DisableTLS && cfg.UserCertFile != "":
		return nil, errors.New("connection string: with tls=false the user's certificate would not be sent")
	case cfg.DefaultDeadline != nil && *cfg.DefaultDeadline <= 0:
		return nil, errors.New("connection string: defaultDeadline is a number of milliseconds above 0")
	case cfg.GossipTimeout < 1:
		return nil, errors.New("connection string: gossipTimeout is a number of seconds above 0")
	}
	cfg.MaxDiscoverAttempts, cfg.DiscoveryInterval = 1, 0 // the connector tries again, with a new client
	cfg.Logger = listen
	return cfg, cfg.Validate()
}

// checkSettings refuses what the client would only complain about on the console.
func checkSettings(connection string) error {
	_, query, _ := strings.Cut(connection, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("connection string: %w", err)
	}
	for name, values := range given {
		switch lower := strings.ToLower(name); {
		case !slices.Contains(settings, lower):
			return fmt.Errorf("connection string: unknown setting %q", name)
		case lower == "keepaliveinterval":
			// Without keep-alive a follower would wait for ever on a connection whose other end is gone.
			if ms, err := strconv.Atoi(values[0]); err != nil || ms < shortestKeepAlive {
				return fmt.Errorf("connection string: keepAliveInterval is a number of milliseconds from %d", shortestKeepAlive)
			}
		}
	}
	return nil
}
