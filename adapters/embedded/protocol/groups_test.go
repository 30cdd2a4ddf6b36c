package protocol

//lint:file-ignore SA1019 the Node clients still send the form that the protocol has deprecated

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
	"github.com/EventStore/EventStore-Client-Go/v4/protos/shared"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// group makes a persistent subscription to a stream, from its start, with changed settings.
func (w *world) group(stream, name string, change func(*esdb.PersistentSubscriptionSettings)) {
	w.Helper()
	s := esdb.SubscriptionSettingsDefault()
	s.CheckpointAfter = 0
	if change != nil {
		change(&s)
	}
	if err := w.client.CreatePersistentSubscription(w.ctx, stream, name, esdb.PersistentStreamSubscriptionOptions{Settings: &s, StartFrom: esdb.Start{}}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) consume(stream, name string, buffer uint32) *esdb.PersistentSubscription {
	w.Helper()
	sub, err := w.client.SubscribeToPersistentSubscription(w.ctx, stream, name, esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: buffer})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { sub.Close() })
	return sub
}

// take receives n events.
func (w *world) take(sub *esdb.PersistentSubscription, n int) (events []*esdb.EventAppeared) {
	w.Helper()
	for len(events) < n {
		e := sub.Recv()
		if e.SubscriptionDropped != nil {
			w.Fatalf("dropped after %d of %d events: %v", len(events), n, e.SubscriptionDropped.Error)
		}
		events = append(events, e.EventAppeared)
	}
	return events
}

// given writes events as stream@revision, and how often they were tried before.
func given(events []*esdb.EventAppeared) (all []string) {
	for _, e := range events {
		said := fmt.Sprintf("%s@%d", e.Event.Event.StreamID, e.Event.Event.EventNumber)
		if e.RetryCount > 0 {
			said += fmt.Sprintf(" retry %d", e.RetryCount)
		}
		all = append(all, said)
	}
	return all
}

func (w *world) gives(sub *esdb.PersistentSubscription, want ...string) []*esdb.EventAppeared {
	w.Helper()
	events := w.take(sub, len(want))
	if diff := cmp.Diff(want, given(events)); diff != "" {
		w.Fatalf("events (-want +got):\n%s", diff)
	}
	return events
}

func (w *world) info(stream, name string) *esdb.PersistentSubscriptionInfo {
	w.Helper()
	info, err := w.client.GetPersistentSubscriptionInfo(w.ctx, stream, name, esdb.GetPersistentSubscriptionOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return info
}

func TestAGroupGivesEventsAndGoesOnBehindWhatWasDone(t *testing.T) {
	dir := memory(t)
	log := openLog(t, dir)
	address, stop := serve(t, New(log))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &world{t, ctx, log, address, dial(t, "esdb://"+address+"?tls=false")}
	w.append("note", esdb.NoStream{}, notes(6)...)
	w.group("note", "readers", nil)
	sub := w.consume("note", "readers", 10)
	events := w.gives(sub, "note@0", "note@1", "note@2", "note@3", "note@4", "note@5")
	for _, e := range append(events[:3:3], events[4]) {
		if err := sub.Ack(e.Event); err != nil {
			t.Fatal(err)
		}
	}
	// What was answered out of order counts when all before it is done.
	for info := w.info("note", "readers"); info.Stats.LastCheckpointedEventRevision == nil || *info.Stats.LastCheckpointedEventRevision != 2; {
		info = w.info("note", "readers")
	}
	stop()
	if e := sub.Recv(); e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.Unavailable {
		t.Errorf("when the server stopped: %+v", e)
	}

	w.address, _ = serve(t, New(log))
	w.client = dial(t, "esdb://"+w.address+"?tls=false")
	sub = w.consume("note", "readers", 10)
	w.gives(sub, "note@3", "note@4", "note@5")
	w.append("note", esdb.Any{}, notes(1)...)
	w.gives(sub, "note@6")
}

func TestAConsumerHasAtMostItsBufferUnanswered(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(5)...)
	w.group("note", "readers", nil)
	sub := w.consume("note", "readers", 2)
	events := w.gives(sub, "note@0", "note@1")
	if info := w.info("note", "readers"); info.Stats.OutstandingMessagesCount != 2 || info.Connections[0].AvailableSlots != 0 {
		t.Errorf("info: %+v", info)
	}
	sub.Ack(events[1].Event)
	w.gives(sub, "note@2")
	sub.Ack(events[0].Event)
	w.gives(sub, "note@3")
}

func TestWhatAConsumerCannotDo(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(4)...)
	w.group("note", "readers", func(s *esdb.PersistentSubscriptionSettings) { s.MaxRetryCount = 2 })
	sub := w.consume("note", "readers", 1)
	sub.Nack("later", esdb.NackActionRetry, w.gives(sub, "note@0")[0].Event)
	sub.Nack("later", esdb.NackActionUnknown, w.gives(sub, "note@0 retry 1")[0].Event)
	sub.Nack("still not", esdb.NackActionRetry, w.gives(sub, "note@0 retry 2")[0].Event) // too often
	sub.Nack("cannot be read", esdb.NackActionPark, w.gives(sub, "note@1")[0].Event)
	sub.Nack("of no use", esdb.NackActionSkip, w.gives(sub, "note@2")[0].Event)
	sub.Ack(w.gives(sub, "note@3")[0].Event)
	for w.info("note", "readers").Stats.ParkedMessagesCount != 2 {
	}
	parked := w.read("$persistentsubscription-note::readers-parked")
	if string(parked[0].Data) != "0@note" || string(parked[1].Data) != "1@note" || parked[0].EventType != "$>" ||
		!strings.Contains(string(parked[0].UserMetadata), "still not") || !strings.Contains(string(parked[1].UserMetadata), "cannot be read") {
		t.Errorf("parked: %+v", parked)
	}

	// What was parked can be tried again, and is not parked any more when it is done.
	if err := w.client.ReplayParkedMessages(w.ctx, "note", "readers", esdb.ReplayParkedMessagesOptions{}); err != nil {
		t.Fatal(err)
	}
	sub.Ack(w.gives(sub, "note@0")[0].Event)
	sub.Nack("again", esdb.NackActionPark, w.gives(sub, "note@1")[0].Event)
	for !slices.Equal(revisions(w.read("$persistentsubscription-note::readers-parked")), []uint64{2}) {
	}

	w.append("note", esdb.Any{}, notes(1)...)
	sub.Nack("enough", esdb.NackActionStop, w.gives(sub, "note@4")[0].Event)
	if e := sub.Recv(); e.SubscriptionDropped == nil {
		t.Errorf("after a stop: %+v", e)
	}
	w.gives(w.consume("note", "readers", 1), "note@4")
}

func TestWhatIsNotAnsweredInTimeIsGivenAgain(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(1)...)
	w.group("note", "readers", func(s *esdb.PersistentSubscriptionSettings) { s.MessageTimeout, s.MaxRetryCount = 20, 1 })
	sub := w.consume("note", "readers", 5)
	w.gives(sub, "note@0", "note@0 retry 1")
	for w.info("note", "readers").Stats.ParkedMessagesCount != 1 {
	}
}

func TestWhatAConsumerLeavesGoesToTheOthers(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(2)...)
	w.group("note", "readers", func(s *esdb.PersistentSubscriptionSettings) {
		s.ConsumerStrategyName, s.MaxSubscriberCount = esdb.ConsumerStrategyDispatchToSingle, 2
	})
	first := w.consume("note", "readers", 10)
	w.gives(first, "note@0", "note@1")
	second := w.consume("note", "readers", 10)
	_, err := w.client.SubscribeToPersistentSubscription(w.ctx, "note", "readers", esdb.SubscribeToPersistentSubscriptionOptions{})
	if err == nil || !strings.Contains(err.Error(), codes.FailedPrecondition.String()) {
		t.Errorf("a third consumer: %v", err)
	}
	first.Close()
	w.gives(second, "note@0", "note@1")
}

func TestEventsAreSharedOut(t *testing.T) {
	for _, test := range []struct {
		strategy esdb.ConsumerStrategy
		want     [2]int // how many each of two consumers gets
	}{
		{esdb.ConsumerStrategyRoundRobin, [2]int{5, 5}},
		{esdb.ConsumerStrategyDispatchToSingle, [2]int{10, 0}},
	} {
		t.Run(string(test.strategy), func(t *testing.T) {
			w := begin(t)
			w.group("note", "readers", func(s *esdb.PersistentSubscriptionSettings) { s.ConsumerStrategyName = test.strategy })
			subs := []*esdb.PersistentSubscription{w.consume("note", "readers", 20), w.consume("note", "readers", 20)}
			w.append("note", esdb.NoStream{}, notes(10)...)
			for i, n := range test.want {
				w.take(subs[i], n)
			}
		})
	}
	t.Run("Pinned", func(t *testing.T) {
		w := begin(t)
		s := esdb.SubscriptionSettingsDefault()
		s.ConsumerStrategyName = esdb.ConsumerStrategyPinned
		if err := w.client.CreatePersistentSubscriptionToAll(w.ctx, "readers", esdb.PersistentAllSubscriptionOptions{Settings: &s, StartFrom: esdb.Start{}}); err != nil {
			t.Fatal(err)
		}
		seen := make(chan string, 40)
		for i := range 2 {
			sub, err := w.client.SubscribeToPersistentSubscriptionToAll(w.ctx, "readers", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 40})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Close()
			go func() {
				for {
					e := sub.Recv()
					if e.SubscriptionDropped != nil {
						return
					}
					seen <- fmt.Sprintf("%s to %d", e.EventAppeared.Event.Event.StreamID, i)
				}
			}()
		}
		for i := range 10 {
			w.append(fmt.Sprint("note-", i), esdb.NoStream{}, notes(4)...)
		}
		to := map[string]int{}
		for range 40 {
			to[<-seen]++
		}
		if len(to) != 10 {
			t.Errorf("streams were not each given to one consumer: %v", to)
		}
	})
}

func TestAGroupOfAllEvents(t *testing.T) {
	w := begin(t)
	w.append("other", esdb.NoStream{}, notes(1)...)
	w.append("note-1", esdb.NoStream{}, notes(2)...)
	s := esdb.SubscriptionSettingsDefault()
	s.CheckpointAfter = 0
	err := w.client.CreatePersistentSubscriptionToAll(w.ctx, "readers", esdb.PersistentAllSubscriptionOptions{
		Settings: &s, StartFrom: esdb.Start{}, Filter: &esdb.SubscriptionFilter{Type: esdb.StreamFilterType, Prefixes: []string{"note-", "$persistent"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := w.client.SubscribeToPersistentSubscriptionToAll(w.ctx, "readers", esdb.SubscribeToPersistentSubscriptionOptions{BufferSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	events := w.gives(sub, "note-1@0", "note-1@1")
	sub.Nack("no", esdb.NackActionPark, events[0].Event) // which adds an event that the group must not be given
	sub.Ack(events[1].Event)
	w.append("other", esdb.Any{}, notes(1)...)
	w.append("note-2", esdb.NoStream{}, notes(1)...)
	sub.Ack(w.gives(sub, "note-2@0")[0].Event)
	for {
		info, err := w.client.GetPersistentSubscriptionInfoToAll(w.ctx, "readers", esdb.GetPersistentSubscriptionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if at := info.Stats.LastCheckpointedPosition; at != nil && at.Commit == 6 {
			break
		}
	}
}

func TestGroupsAreMadeListedChangedAndForgotten(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(3)...)
	w.group("note", "readers", nil)
	s := esdb.SubscriptionSettingsDefault()
	options := esdb.PersistentStreamSubscriptionOptions{Settings: &s, StartFrom: esdb.End{}}
	w.is("made twice", w.client.CreatePersistentSubscription(w.ctx, "note", "readers", options), esdb.ErrorCodeResourceAlreadyExists)
	if err := w.client.CreatePersistentSubscription(w.ctx, "note", "late", options); err != nil {
		t.Fatal(err)
	}
	if err := w.client.CreatePersistentSubscriptionToAll(w.ctx, "all", esdb.PersistentAllSubscriptionOptions{Settings: &s, StartFrom: esdb.Position{Commit: 2, Prepare: 2}}); err != nil {
		t.Fatal(err)
	}
	all, err := w.client.ListAllPersistentSubscriptions(w.ctx, esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(all) != 3 {
		t.Errorf("%d groups, %v", len(all), err)
	}
	some, err := w.client.ListPersistentSubscriptionsForStream(w.ctx, "note", esdb.ListPersistentSubscriptionsOptions{})
	if err != nil || len(some) != 2 || some[0].GroupName != "late" || some[1].GroupName != "readers" {
		t.Errorf("groups of the stream: %v, %v", some, err)
	}
	if some, err = w.client.ListPersistentSubscriptionsToAll(w.ctx, esdb.ListPersistentSubscriptionsOptions{}); err != nil || len(some) != 1 {
		t.Errorf("groups of all events: %v, %v", some, err)
	}

	s.MaxRetryCount, s.MessageTimeout = 3, 1234
	if err := w.client.UpdatePersistentSubscription(w.ctx, "note", "readers", esdb.PersistentStreamSubscriptionOptions{Settings: &s, StartFrom: esdb.Revision(1)}); err != nil {
		t.Fatal(err)
	}
	if got := w.info("note", "readers").Settings; got.MaxRetryCount != 3 || got.MessageTimeout != 1234 || got.StartFrom.(esdb.StreamRevision).Value != 1 {
		t.Errorf("settings after the change: %+v", got)
	}
	sub := w.consume("note", "readers", 10)
	w.gives(sub, "note@1", "note@2")
	late := w.consume("note", "late", 10)
	w.append("note", esdb.Any{}, notes(1)...)
	w.gives(late, "note@3")

	if err := w.client.DeletePersistentSubscription(w.ctx, "note", "readers", esdb.DeletePersistentSubscriptionOptions{}); err != nil {
		t.Fatal(err)
	}
	for {
		if e := sub.Recv(); e.SubscriptionDropped != nil {
			break
		}
	}
	w.is("forgotten twice", w.client.DeletePersistentSubscription(w.ctx, "note", "readers", esdb.DeletePersistentSubscriptionOptions{}), esdb.ErrorCodeResourceNotFound)
	_, err = w.client.SubscribeToPersistentSubscription(w.ctx, "note", "readers", esdb.SubscribeToPersistentSubscriptionOptions{})
	w.is("connecting", err, esdb.ErrorCodeResourceNotFound)
	_, err = w.client.GetPersistentSubscriptionInfo(w.ctx, "note", "readers", esdb.GetPersistentSubscriptionOptions{})
	w.is("info", err, esdb.ErrorCodeResourceNotFound)
	if err := w.client.RestartPersistentSubscriptionSubsystem(w.ctx, esdb.RestartPersistentSubscriptionSubsystemOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := late.Recv(); e.SubscriptionDropped == nil || status.Code(e.SubscriptionDropped.Error) != codes.Canceled {
		t.Errorf("after a restart: %+v", e)
	}
}

func TestAGroupCanBeMadeInTheFormOf2020(t *testing.T) {
	w := begin(t)
	w.append("note", esdb.NoStream{}, notes(2)...)
	groups := persistent.NewPersistentSubscriptionsClient(w.raw())
	for name, revision := range map[string]uint64{"start": 0, "later": 1, "end": 1<<64 - 1} {
		_, err := groups.Create(w.ctx, &persistent.CreateReq{Options: &persistent.CreateReq_Options{
			StreamIdentifier: streamName("note"), GroupName: name, Settings: &persistent.CreateReq_Settings{
				Revision: revision, NamedConsumerStrategy: persistent.CreateReq_RoundRobin, ReadBatchSize: 20,
				MessageTimeout: &persistent.CreateReq_Settings_MessageTimeoutTicks{MessageTimeoutTicks: 30 * 10_000_000},
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.append("note", esdb.Any{}, notes(1)...)
	w.gives(w.consume("note", "start", 10), "note@0", "note@1", "note@2")
	w.gives(w.consume("note", "later", 10), "note@1", "note@2")
	w.gives(w.consume("note", "end", 10), "note@2")
	if got := w.info("note", "end").Settings.MessageTimeout; got != 30_000 {
		t.Errorf("the time-out is %d ms", got)
	}
	for name, o := range map[string]*persistent.CreateReq_Options{
		"no name":     {StreamIdentifier: streamName("note"), Settings: &persistent.CreateReq_Settings{}},
		"no stream":   {GroupName: "x", Settings: &persistent.CreateReq_Settings{}},
		"no strategy": {StreamIdentifier: streamName("note"), GroupName: "x", Settings: &persistent.CreateReq_Settings{ConsumerStrategy: "Fair"}},
		"negative":    {StreamIdentifier: streamName("note"), GroupName: "x", Settings: &persistent.CreateReq_Settings{MaxRetryCount: -1}},
		"no options":  nil,
	} {
		if _, err := groups.Create(w.ctx, &persistent.CreateReq{Options: o}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, o := range map[string]*persistent.ReadReq_Options{
		"no form of UUIDs": {StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: streamName("note")}, GroupName: "start", BufferSize: 1},
		"no buffer": {StreamOption: &persistent.ReadReq_Options_StreamIdentifier{StreamIdentifier: streamName("note")}, GroupName: "start",
			UuidOption: &persistent.ReadReq_Options_UUIDOption{Content: &persistent.ReadReq_Options_UUIDOption_String_{String_: &shared.Empty{}}}},
	} {
		call, err := groups.Read(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		call.Send(&persistent.ReadReq{Content: &persistent.ReadReq_Options_{Options: o}})
		if _, err := call.Recv(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
}
