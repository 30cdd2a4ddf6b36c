package protocol

import (
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/protos/persistent"
)

// How the events of a group are shared out among its consumers.
const (
	roundRobin       = "RoundRobin"       // to each in turn
	dispatchToSingle = "DispatchToSingle" // to the first that has room
	pinned           = "Pinned"           // those of one stream to one consumer
)

// maxHeld bounds how many events of a group are in memory.
const maxHeld = 10_000

// settings of a persistent subscription, as they are stored.
type settings struct {
	Start           uint64        `json:"start"` // revision, or position of $all, to begin with
	Filter          *groupFilter  `json:"filter,omitempty"`
	ResolveLinks    bool          `json:"resolveLinks,omitempty"` // told back; there are no links here
	ExtraStatistics bool          `json:"extraStatistics,omitempty"`
	MaxRetries      int32         `json:"maxRetries"`
	MessageTimeout  time.Duration `json:"messageTimeout"` // in nanoseconds; 0 waits for ever
	CheckpointAfter time.Duration `json:"checkpointAfter"`
	MinCheckpoint   int32         `json:"minCheckpoint"`
	MaxCheckpoint   int32         `json:"maxCheckpoint"`
	MaxConsumers    int32         `json:"maxConsumers"` // 0 is any number
	LiveBuffer      int32         `json:"liveBuffer"`
	HistoryBuffer   int32         `json:"historyBuffer"`
	ReadBatch       int32         `json:"readBatch"`
	Strategy        string        `json:"strategy"`
}

// groupFilter is the filter of a group, as it is stored.
type groupFilter struct {
	ByType   bool     `json:"byType,omitempty"`
	Regex    string   `json:"regex,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"`
}

// GetRegex makes a stored filter an expression again.
func (f *groupFilter) GetRegex() string { return f.Regex }

// GetPrefix makes a stored filter an expression again.
func (f *groupFilter) GetPrefix() []string { return f.Prefixes }

// held is how many events are kept in memory for the consumers.
func (s *settings) held() int {
	return int(min(max(s.HistoryBuffer, s.LiveBuffer, s.ReadBatch, 1), maxHeld))
}

// settingsMessage is what Create and Update say in common.
type settingsMessage interface {
	GetResolveLinks() bool
	GetExtraStatistics() bool
	GetMaxRetryCount() int32
	GetMinCheckpointCount() int32
	GetMaxCheckpointCount() int32
	GetMaxSubscriberCount() int32
	GetLiveBufferSize() int32
	GetReadBatchSize() int32
	GetHistoryBufferSize() int32
	GetMessageTimeoutTicks() int64
	GetMessageTimeoutMs() int32
	GetCheckpointAfterTicks() int64
	GetCheckpointAfterMs() int32
}

func readSettings(m settingsMessage, strategy string) (settings, error) {
	const tick = 100 * time.Nanosecond
	s := settings{
		ResolveLinks: m.GetResolveLinks(), ExtraStatistics: m.GetExtraStatistics(), MaxRetries: m.GetMaxRetryCount(),
		MessageTimeout:  time.Duration(m.GetMessageTimeoutMs())*time.Millisecond + time.Duration(m.GetMessageTimeoutTicks())*tick,
		CheckpointAfter: time.Duration(m.GetCheckpointAfterMs())*time.Millisecond + time.Duration(m.GetCheckpointAfterTicks())*tick,
		MinCheckpoint:   m.GetMinCheckpointCount(), MaxCheckpoint: m.GetMaxCheckpointCount(), MaxConsumers: m.GetMaxSubscriberCount(),
		LiveBuffer: m.GetLiveBufferSize(), HistoryBuffer: m.GetHistoryBufferSize(), ReadBatch: m.GetReadBatchSize(),
		Strategy: strategy,
	}
	switch {
	case min(s.MaxRetries, s.MinCheckpoint, s.MaxCheckpoint, s.MaxConsumers, s.LiveBuffer, s.HistoryBuffer, s.ReadBatch) < 0,
		min(s.MessageTimeout, s.CheckpointAfter) < 0:
		return s, invalid("a setting is negative")
	case strategy != roundRobin && strategy != dispatchToSingle && strategy != pinned:
		return s, invalid("events are shared out as %s, %s or %s, not as %q", roundRobin, dispatchToSingle, pinned, strategy)
	}
	return s, nil
}

// strategies are the names of the strategies that older clients give as a number.
var strategies = map[int32]string{
	int32(persistent.CreateReq_DispatchToSingle): dispatchToSingle,
	int32(persistent.CreateReq_RoundRobin):       roundRobin,
	int32(persistent.CreateReq_Pinned):           pinned,
}
