package protocol

//lint:file-ignore SA1019 the Node clients still send the form that the protocol has deprecated

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"google.golang.org/grpc/codes"

	"github.com/actahq/acta/domain/event"
)

// persistentService is event_store.client.persistent_subscriptions.PersistentSubscriptions.
type persistentService struct {
	persistent.UnimplementedPersistentSubscriptionsServer
	*service
}

// Create makes a group. Clients say where it begins in the form of today or in that of 2020.
func (s persistentService) Create(ctx context.Context, request *persistent.CreateReq) (*persistent.CreateResp, error) {
	o := request.GetOptions()
	strategy := o.GetSettings().GetConsumerStrategy()
	if strategy == "" {
		strategy = strategies[int32(o.GetSettings().GetNamedConsumerStrategy())]
	}
	to, err := readSettings(o.GetSettings(), strategy)
	if err != nil {
		return nil, err
	}
	source := string(o.GetStreamIdentifier().GetStreamName())
	switch of := o.GetStreamOption().(type) {
	case *persistent.CreateReq_Options_Stream:
		source = string(of.Stream.GetStreamIdentifier().GetStreamName())
		to.Start, err = s.startOfStream(ctx, source, of.Stream.GetEnd() != nil, of.Stream.GetRevision())
	case *persistent.CreateReq_Options_All:
		source = allEvents
		if to.Start, err = s.startOfAll(ctx, of.All.GetEnd() != nil, of.All.GetPosition().GetCommitPosition()); err == nil {
			to.Filter, err = readGroupFilter(of.All.GetFilter())
		}
	default:
		to.Start, err = s.startOfStream(ctx, source, false, o.GetSettings().GetRevision())
	}
	if err != nil {
		return nil, err
	}
	return &persistent.CreateResp{}, s.groups.create(groupKey{source, o.GetGroupName()}, to)
}

// Update changes the settings of a group, and where it begins if it has not begun.
func (s persistentService) Update(ctx context.Context, request *persistent.UpdateReq) (*persistent.UpdateResp, error) {
	o := request.GetOptions()
	to, err := readSettings(o.GetSettings(), strategies[int32(o.GetSettings().GetNamedConsumerStrategy())])
	if err != nil {
		return nil, err
	}
	source := string(o.GetStreamIdentifier().GetStreamName())
	switch of := o.GetStreamOption().(type) {
	case *persistent.UpdateReq_Options_Stream:
		source = string(of.Stream.GetStreamIdentifier().GetStreamName())
		to.Start, err = s.startOfStream(ctx, source, of.Stream.GetEnd() != nil, of.Stream.GetRevision())
	case *persistent.UpdateReq_Options_All:
		source = allEvents
		to.Start, err = s.startOfAll(ctx, of.All.GetEnd() != nil, of.All.GetPosition().GetCommitPosition())
	default:
		to.Start, err = s.startOfStream(ctx, source, false, o.GetSettings().GetRevision())
	}
	if err != nil {
		return nil, err
	}
	g, err := s.groups.find(groupKey{source, o.GetGroupName()})
	if err != nil {
		return nil, err
	}
	return &persistent.UpdateResp{}, g.update(to)
}

// startOfStream gives the revision of the first event a group will see. Clients of 2020 write the end as -1.
func (s *service) startOfStream(ctx context.Context, stream string, end bool, revision uint64) (uint64, error) {
	if !end && revision <= math.MaxInt64 {
		return revision, nil
	}
	state, err := s.log.State(ctx, stream)
	switch {
	case err != nil:
		return 0, err
	case state.Tombstoned:
		return 0, streamDeleted(stream)
	}
	return uint64(state.Last + 1), nil
}

// startOfAll gives the position of the first event a group will see.
func (s *service) startOfAll(ctx context.Context, end bool, position uint64) (uint64, error) {
	if !end && position <= math.MaxInt64 {
		return position, nil
	}
	head, err := s.log.Head(ctx)
	return head.Commit + 1, err
}

func readGroupFilter(o *persistent.CreateReq_AllOptions_FilterOptions) (*groupFilter, error) {
	var f *groupFilter
	switch by := o.GetFilter().(type) {
	case *persistent.CreateReq_AllOptions_FilterOptions_StreamIdentifier:
		f = &groupFilter{Regex: by.StreamIdentifier.GetRegex(), Prefixes: by.StreamIdentifier.GetPrefix()}
	case *persistent.CreateReq_AllOptions_FilterOptions_EventType:
		f = &groupFilter{ByType: true, Regex: by.EventType.GetRegex(), Prefixes: by.EventType.GetPrefix()}
	case nil:
		if o != nil {
			return nil, invalid("a filter looks at the stream or at the type")
		}
		return nil, nil
	}
	_, err := readFilter(f.ByType, f)
	return f, err
}

// Delete forgets a group.
func (s persistentService) Delete(ctx context.Context, request *persistent.DeleteReq) (*persistent.DeleteResp, error) {
	o := request.GetOptions()
	return &persistent.DeleteResp{}, s.groups.remove(ctx, keyOf(o, o.GetAll() != nil))
}

// GetInfo tells how a group is set and how far it is.
func (s persistentService) GetInfo(ctx context.Context, request *persistent.GetInfoReq) (*persistent.GetInfoResp, error) {
	o := request.GetOptions()
	g, err := s.groups.find(keyOf(o, o.GetAll() != nil))
	if err != nil {
		return nil, err
	}
	info, err := g.info(ctx)
	return &persistent.GetInfoResp{SubscriptionInfo: info}, err
}

// List tells the same of all groups, or of those of one source.
func (s persistentService) List(ctx context.Context, request *persistent.ListReq) (*persistent.ListResp, error) {
	source := ""
	if of := request.GetOptions().GetListForStream(); of != nil {
		if source = string(of.GetStream().GetStreamName()); of.GetAll() != nil {
			source = allEvents
		}
	}
	groups := s.groups.list(source)
	if source != "" && len(groups) == 0 {
		return nil, groupKey{source: source}.refuse(codes.NotFound, "does not exist", "persistent-subscription-does-not-exist")
	}
	answer := &persistent.ListResp{}
	for _, g := range groups {
		info, err := g.info(ctx)
		if err != nil {
			return nil, err
		}
		answer.Subscriptions = append(answer.Subscriptions, info)
	}
	return answer, nil
}

// ReplayParked has the events that were parked handed out again.
func (s persistentService) ReplayParked(ctx context.Context, request *persistent.ReplayParkedReq) (*persistent.ReplayParkedResp, error) {
	o := request.GetOptions()
	g, err := s.groups.find(keyOf(o, o.GetAll() != nil))
	if err != nil {
		return nil, err
	}
	stopAt := int64(math.MaxInt64)
	if until, ok := o.GetStopAtOption().(*persistent.ReplayParkedReq_Options_StopAt); ok {
		stopAt = until.StopAt
	}
	return &persistent.ReplayParkedResp{}, g.replayParked(ctx, stopAt)
}

// RestartSubsystem ends all subscriptions; their clients connect again and go on.
func (s persistentService) RestartSubsystem(context.Context, *shared.Empty) (*shared.Empty, error) {
	for _, g := range s.groups.list("") {
		g.drop(g.key.refuse(codes.Canceled, "was restarted", "persistent-subscription-dropped"))
	}
	return &shared.Empty{}, nil
}

// Read connects a consumer to a group.
func (s persistentService) Read(call persistent.PersistentSubscriptions_ReadServer) error {
	first, err := call.Recv()
	if err != nil {
		return err
	}
	o := first.GetOptions()
	textIDs := false
	switch o.GetUuidOption().GetContent().(type) {
	case *persistent.ReadReq_Options_UUIDOption_Structured:
	case *persistent.ReadReq_Options_UUIDOption_String_:
		textIDs = true
	default:
		return invalid("the form of UUIDs was not given")
	}
	if size := o.GetBufferSize(); size < 1 || size > maxHeld {
		return invalid("a buffer has 1 to %d events", maxHeld)
	}
	g, err := s.groups.find(keyOf(o, o.GetAll() != nil))
	if err != nil {
		return err
	}
	c, err := g.connect(int(o.GetBufferSize()))
	if err != nil {
		return err
	}
	defer g.leave(c)
	ctx, cancel := s.live(call.Context())
	defer cancel()
	if err := call.Send(&persistent.ReadResp{Content: &persistent.ReadResp_SubscriptionConfirmation_{
		SubscriptionConfirmation: &persistent.ReadResp_SubscriptionConfirmation{SubscriptionId: newSubscriptionID()},
	}}); err != nil {
		return err
	}
	// Answers are taken while events are sent: a client that first answers and then takes more must not be waited for.
	hungUp := make(chan error, 1)
	go func() { hungUp <- listen(g, c, call) }()
	for {
		select {
		case d := <-c.events:
			if err := call.Send(deliver(d, textIDs)); err != nil {
				return err
			}
			if len(c.events) == 0 {
				g.look()
			}
		case <-c.dropped:
			return c.cause
		case err := <-hungUp:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// listen takes a consumer's answers until it has no more.
func listen(g *group, c *consumer, call persistent.PersistentSubscriptions_ReadServer) error {
	for {
		request, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch content := request.GetContent().(type) {
		case *persistent.ReadReq_Ack_:
			var ids []event.ID
			if ids, err = readIDs(content.Ack.GetIds()); err == nil {
				g.ack(c, ids)
			}
		case *persistent.ReadReq_Nack_:
			var ids []event.ID
			if ids, err = readIDs(content.Nack.GetIds()); err == nil {
				g.nack(c, ids, content.Nack.GetAction(), content.Nack.GetReason())
			}
		default:
			err = invalid("a consumer only answers for events")
		}
		if err != nil {
			return err
		}
	}
}

func readIDs(all []*shared.UUID) ([]event.ID, error) {
	ids := make([]event.ID, 0, len(all))
	for _, u := range all {
		id, err := readID(u)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func deliver(d delivery, textIDs bool) *persistent.ReadResp {
	e := &d.event
	all, metadata := properties(e)
	return &persistent.ReadResp{Content: &persistent.ReadResp_Event{Event: &persistent.ReadResp_ReadEvent{
		Event: &persistent.ReadResp_ReadEvent_RecordedEvent{
			Id:               writeID(e.ID, textIDs),
			StreamIdentifier: streamName(e.Stream),
			StreamRevision:   uint64(e.Revision),
			CommitPosition:   e.Position.Commit,
			PreparePosition:  e.Position.Prepare,
			Metadata:         all,
			CustomMetadata:   metadata,
			Data:             e.Data,
		},
		Position: &persistent.ReadResp_ReadEvent_CommitPosition{CommitPosition: e.Position.Commit},
		Count:    &persistent.ReadResp_ReadEvent_RetryCount{RetryCount: d.retries},
	}}}
}

// groupOptions is how every request names its group.
type groupOptions interface {
	GetStreamIdentifier() *shared.StreamIdentifier
	GetGroupName() string
}

func keyOf(o groupOptions, all bool) groupKey {
	if all {
		return groupKey{allEvents, o.GetGroupName()}
	}
	return groupKey{string(o.GetStreamIdentifier().GetStreamName()), o.GetGroupName()}
}
