package process

import (
	"context"
	"strings"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/claim"
	"github.com/actahq/acta/domain/event"
)

// Claims frees addresses that were claimed by a command that never came to hold them, because it crashed in between.
// Whoever wants such an address frees it as well; this is so that none stays lost until then.
func Claims(c *commands.Commands) *Process {
	return &Process{
		Name:   "claims",
		Follow: event.Filter{Streams: []string{"claim-"}},
		Delay:  2 * commands.ClaimGrace,
		On: map[string]func(context.Context, event.Recorded) error{
			claim.Taken{}.EventType(): func(ctx context.Context, r event.Recorded) error {
				e, err := claim.Contract.Read(r)
				if err != nil {
					return err
				}
				taken := e.(claim.Taken)
				_, name, _ := strings.Cut(r.Stream, ".")
				return c.RepairClaim(ctx, caused(r), taken.Owner, account.Hold{Claim: name, Taking: taken.Taking})
			},
		},
	}
}
