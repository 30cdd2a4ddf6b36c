package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"

	"github.com/actahq/acta/adapters/embedded"
)

// groupsFile holds the persistent subscriptions, in the log's folder.
const groupsFile = "subscriptions.db"

// allEvents is the source of a group that is subscribed to every event.
const allEvents = "$all"

// maxGroupName is in bytes, as the name becomes a part of a stream's.
const maxGroupName = 255

// groups are all persistent subscriptions: consumers share the events of one, and the server remembers how far it is.
type groups struct {
	log     *embedded.Log
	file    *groupsStore
	ctx     context.Context // ended when the server stops
	running sync.WaitGroup  // groups that have consumers

	mu  sync.Mutex
	all map[groupKey]*group
}

// groupKey names a group: a stream or allEvents, and the group's own name.
type groupKey struct{ source, name string }

func (k groupKey) String() string { return k.source + "::" + k.name }

func openGroups(ctx context.Context, log *embedded.Log, path string) (*groups, error) {
	file, err := openGroupsStore(path)
	if err != nil {
		return nil, err
	}
	gs := &groups{log: log, file: file, ctx: ctx, all: map[groupKey]*group{}}
	stored, err := file.load()
	if err != nil {
		return nil, errors.Join(err, file.close())
	}
	for _, r := range stored {
		g, err := gs.newGroup(r.key, r.settings)
		if err != nil {
			return nil, errors.Join(err, file.close())
		}
		g.id = r.id
		if r.resume != nil {
			g.next, g.saved = *r.resume, *r.resume
		}
		gs.all[r.key] = g
	}
	return gs, nil
}

// close waits for the groups to note how far they are. The server has stopped before.
func (gs *groups) close() error {
	gs.running.Wait()
	return gs.file.close()
}

func (gs *groups) find(key groupKey) (*group, error) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if g := gs.all[key]; g != nil {
		return g, nil
	}
	return nil, key.refuse(codes.NotFound, "does not exist", "persistent-subscription-does-not-exist")
}

// list gives the groups of one source, or of every one when it is empty, in the order of their names.
func (gs *groups) list(source string) []*group {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var some []*group
	for key, g := range gs.all {
		if source == "" || key.source == source {
			some = append(some, g)
		}
	}
	slices.SortFunc(some, func(a, b *group) int { return strings.Compare(a.key.String(), b.key.String()) })
	return some
}

func (gs *groups) create(key groupKey, s settings) error {
	if key.source == "" || key.name == "" || len(key.name) > maxGroupName {
		return invalid("a group has a stream and a name of 1 to %d bytes", maxGroupName)
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.all[key] != nil {
		return key.refuse(codes.AlreadyExists, "exists already", "persistent-subscription-exists")
	}
	g, err := gs.newGroup(key, s)
	if err != nil {
		return err
	}
	if g.id, err = gs.file.add(key, s); err != nil {
		return err
	}
	gs.all[key] = g
	return nil
}

// remove forgets a group and ends the subscriptions of its consumers.
func (gs *groups) remove(ctx context.Context, key groupKey) error {
	g, err := gs.find(key)
	if err != nil {
		return err
	}
	gs.mu.Lock()
	err = gs.file.remove(g.id)
	if err == nil {
		delete(gs.all, key)
	}
	gs.mu.Unlock()
	if err != nil {
		return err
	}
	g.drop(key.refuse(codes.Canceled, "was deleted", "persistent-subscription-dropped"))
	if _, err := gs.log.Delete(ctx, key.parked(), embedded.Any); err != nil {
		var conflict *embedded.ConflictError
		if !errors.As(err, &conflict) { // nothing was ever parked
			return err
		}
	}
	return nil
}

func (k groupKey) refuse(code codes.Code, text, exception string) *refusal {
	return refuse(code, fmt.Sprintf("the persistent subscription %s %s", k, text),
		"exception", exception, "stream-name", k.source, "group-name", k.name)
}

// parked gives the stream of the events that no consumer could do.
func (k groupKey) parked() string { return "$persistentsubscription-" + k.String() + "-parked" }
