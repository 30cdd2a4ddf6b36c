package protocol

import (
	"context"
	"fmt"
	"strconv"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
)

// update changes the settings of a group. What it has done it does not do again; the filter cannot be changed.
func (g *group) update(to settings) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	begun := g.saved != g.settings.Start || g.next != g.settings.Start
	to.Filter = g.settings.Filter
	if begun {
		to.Start = g.settings.Start
	}
	if err := g.groups.file.change(g.id, to); err != nil {
		return err
	}
	if g.settings = to; !begun {
		g.next, g.saved = to.Start, to.Start
	}
	g.look()
	return nil
}

// info is what an operator wants to know of a group.
func (g *group) info(ctx context.Context) (*persistent.SubscriptionInfo, error) {
	known, err := g.newest(ctx)
	if err != nil {
		return nil, err
	}
	parked, err := g.groups.log.State(ctx, g.key.parked())
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	info := &persistent.SubscriptionInfo{
		EventSource:                 g.key.source,
		GroupName:                   g.key.name,
		Status:                      "Live",
		TotalItems:                  g.total,
		LastKnownEventPosition:      known,
		ResolveLinkTos:              g.settings.ResolveLinks,
		StartFrom:                   g.text(g.settings.Start),
		MessageTimeoutMilliseconds:  int32(g.settings.MessageTimeout.Milliseconds()),
		ExtraStatistics:             g.settings.ExtraStatistics,
		MaxRetryCount:               g.settings.MaxRetries,
		LiveBufferSize:              g.settings.LiveBuffer,
		BufferSize:                  g.settings.HistoryBuffer,
		ReadBatchSize:               g.settings.ReadBatch,
		CheckPointAfterMilliseconds: int32(g.settings.CheckpointAfter.Milliseconds()),
		MinCheckPointCount:          g.settings.MinCheckpoint,
		MaxCheckPointCount:          g.settings.MaxCheckpoint,
		LiveBufferCount:             int64(len(g.waiting)),
		TotalInFlightMessages:       int32(len(g.out)),
		OutstandingMessagesCount:    int32(len(g.out)),
		NamedConsumerStrategy:       g.settings.Strategy,
		MaxSubscriberCount:          g.settings.MaxConsumers,
	}
	if g.saved > g.settings.Start {
		info.LastCheckpointedEventPosition = g.text(g.saved - 1)
	}
	if parked.Found {
		info.ParkedMessageCount = max(parked.Last-parked.First+1, 0)
	}
	for _, m := range g.waiting {
		if m.retries > 0 {
			info.RetryBufferCount++
		}
	}
	for _, c := range g.consumers {
		info.Connections = append(info.Connections, &persistent.SubscriptionInfo_ConnectionInfo{
			TotalItems: c.total, AvailableSlots: int32(c.buffer - c.held), InFlightMessages: int32(c.held),
		})
	}
	return info, nil
}

// newest gives the place of the newest event there is for the group; empty when there is none.
func (g *group) newest(ctx context.Context) (string, error) {
	if g.key.source == allEvents {
		head, err := g.groups.log.Head(ctx)
		return g.text(head.Commit), err
	}
	state, err := g.groups.log.State(ctx, g.key.source)
	if err != nil || state.Last < 0 {
		return "", err
	}
	return g.text(uint64(state.Last)), nil
}

// text writes a place as clients read it.
func (g *group) text(place uint64) string {
	if g.key.source == allEvents {
		return fmt.Sprintf("C:%d/P:%d", place, place)
	}
	return strconv.FormatUint(place, 10)
}
