package event

import "time"

// Metadata is what every event tells about its making. The names beginning with $ are those EventStoreDB's own
// projections understand.
type Metadata struct {
	At          time.Time `json:"at"` // when it was decided, UTC, whole milliseconds
	Actor       Actor     `json:"actor"`
	Project     string    `json:"project"`
	Request     string    `json:"request,omitempty"` // id of the HTTP request it came from
	Correlation string    `json:"$correlationId,omitempty"`
	Causation   string    `json:"$causationId,omitempty"` // id of the event it follows from
	// Personal tells something about the person and is sealed on the way into the log. Nil in streams that belong to nobody.
	Personal *Trace `json:"personal,omitempty"`
}

// Actor is who caused an event.
type Actor struct {
	Kind string `json:"kind"`         // one of the Actor kinds below
	ID   string `json:"id,omitempty"` // account id or key name
}

// The kinds of actors.
const (
	ActorGuest  = "guest"  // nobody signed in yet
	ActorUser   = "user"   // the account itself
	ActorKey    = "key"    // a server with an API key
	ActorSystem = "system" // Acta, following from something that happened
)

// Trace is where a person came from and who they were at the time.
type Trace struct {
	IP        string `json:"ip,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	Email     string `json:"email,omitempty"`
	Name      string `json:"name,omitempty"`
}
