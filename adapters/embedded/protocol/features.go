package protocol

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/gossip"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/serverfeatures"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

// version is that of the EventStoreDB whose rules are followed. Clients want three numbers and nothing behind them.
const version = "24.10.0"

// supported is what the server can do, by service; names are in lower case.
var supported = []struct {
	service  string
	methods  []string
	features []string
}{
	{"event_store.client.streams.streams", []string{"append", "delete", "tombstone"}, nil},
	{"event_store.client.streams.streams", []string{"read"}, []string{"position", "events"}},
	{"event_store.client.streams.streams", []string{"batchappend"}, []string{"deadline_duration"}},
	{"event_store.client.persistent_subscriptions.persistentsubscriptions",
		[]string{"create", "update", "delete", "read", "getinfo", "list", "replayparked", "restartsubsystem"}, []string{"stream", "all"}},
	{"event_store.client.gossip.gossip", []string{"read"}, nil},
	{"event_store.client.server_features.serverfeatures", []string{"getsupportedmethods"}, nil},
}

// featuresService is event_store.client.server_features.ServerFeatures.
type featuresService struct {
	serverfeatures.UnimplementedServerFeaturesServer
}

// GetSupportedMethods is what clients ask first.
func (featuresService) GetSupportedMethods(context.Context, *shared.Empty) (*serverfeatures.SupportedMethods, error) {
	all := &serverfeatures.SupportedMethods{EventStoreServerVersion: version}
	for _, s := range supported {
		for _, m := range s.methods {
			all.Methods = append(all.Methods, &serverfeatures.SupportedMethod{ServiceName: s.service, MethodName: m, Features: s.features})
		}
	}
	return all, nil
}

// gossipService is event_store.client.gossip.Gossip.
type gossipService struct {
	gossip.UnimplementedGossipServer
	*service
}

// Read tells clients that look for the cluster's leader where it is: here.
func (s gossipService) Read(context.Context, *shared.Empty) (*gossip.ClusterInfo, error) {
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	instance := uuid.NewSHA1(uuid.NameSpaceURL, []byte(s.address)) // some clients look whether it is a right one
	return &gossip.ClusterInfo{Members: []*gossip.MemberInfo{{
		InstanceId:   writeID(event.ID(instance), false),
		TimeStamp:    time.Now().UnixMicro() * 10,
		State:        gossip.MemberInfo_Leader,
		IsAlive:      true,
		HttpEndPoint: &gossip.EndPoint{Address: host, Port: uint32(number)},
	}}}, nil
}
