package process

import (
	"context"
	"fmt"
	"strings"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// Vault forgets people.
type Vault interface {
	// Forget destroys the key of a stream's personal data for ever. Asking again changes nothing.
	Forget(ctx context.Context, stream string) error
}

// Departures finishes what an account leaves behind: addresses it let go become free, and the person behind a deleted
// account is forgotten. The commands free addresses themselves before they answer; this is for when they crashed.
func Departures(c *commands.Commands, vault Vault) *Process {
	leave := func(ctx context.Context, r event.Recorded) error {
		e, err := account.Contract.Read(r)
		if err != nil {
			return err
		}
		for _, hold := range account.LetGo(e) {
			if err := c.ReleaseClaim(ctx, caused(r), ownerOf(r.Stream), hold); err != nil {
				return err
			}
		}
		if _, deleted := e.(account.Deleted); deleted {
			return vault.Forget(ctx, r.Stream)
		}
		return nil
	}
	return &Process{
		Name:   "departures",
		Follow: event.Filter{Streams: []string{"account-"}},
		On: map[string]func(context.Context, event.Recorded) error{
			account.EmailChanged{}.EventType():    leave,
			account.PhoneChanged{}.EventType():    leave,
			account.IdentityRemoved{}.EventType(): leave,
			account.Deleted{}.EventType():         leave,
		},
	}
}

// ownerOf is the account whose stream it is.
func ownerOf(stream string) string {
	_, owner, _ := strings.Cut(stream, ".")
	return owner
}

// caused is Acta itself, acting because of an event.
func caused(r event.Recorded) commands.Caller {
	_, name, _ := strings.Cut(r.Stream, "-")
	id, _, _ := strings.Cut(name, ".")
	request := ""
	if m, err := r.ReadMetadata(); err == nil {
		request = m.Request
	}
	return commands.Caller{
		Project: &project.Project{ID: id},
		Actor:   event.Actor{Kind: event.ActorSystem},
		Request: request,
		Cause:   fmt.Sprint(r.ID),
	}
}
