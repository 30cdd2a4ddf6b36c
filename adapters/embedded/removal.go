package embedded

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/actahq/acta/domain/event"
)

// limitsOf gives the limits of a stream as they will be after this batch.
func (b *batch) limitsOf(stream string) (*limits, error) {
	if only, staged := b.limits[stream]; staged {
		return only, nil
	}
	return b.log.limitsOf(context.Background(), b.log.file.own, stream)
}

func (b *batch) limit(stream string, to *limits) {
	if b.limits == nil {
		b.limits = map[string]*limits{}
	}
	b.limits[stream] = to
}

// refuse is an error for what a stream cannot be asked because of what was deleted.
func (b *batch) refuse(r *request, current head, only *limits) error {
	if current.revision == gone {
		return ErrDeleted
	}
	if of, ok := described(r.stream); ok {
		// Metadata go with what they are about.
		if _, about, err := b.head(of); err != nil {
			return err
		} else if about.revision == gone {
			return ErrDeleted
		}
	}
	if r.expected == StreamExists {
		switch {
		case only.deleted():
			return ErrDeleted
		case current == noHead && only == nil:
			return conflict(r, current)
		}
	}
	return nil
}

// remove stages what hides a stream or ends it.
func (b *batch) remove(r *request, current head, only *limits) (event.Receipt, error) {
	meta := metadataPrefix + r.stream
	expected := r.expected < event.NoStream || r.expected == current.revision || r.expected == event.NoStream && only.deleted()
	if !expected || r.deed == hiding && current == noHead {
		return event.Receipt{}, conflict(r, current)
	}
	if r.deed == burying {
		// Its revision is the last there can be: the one behind gone-1.
		h := b.stage(r.stream, head{revision: gone - 1}, r.events)
		return event.Receipt{Revision: h.revision, Position: event.At(h.position)}, nil
	}
	_, about, err := b.head(meta)
	if err != nil {
		return event.Receipt{}, err
	}
	if !only.deleted() {
		about = b.stage(meta, about, r.events)
	}
	return event.Receipt{Revision: about.revision, Position: event.At(about.position)}, nil
}

// bringBack makes a deleted stream begin behind its newest event. What else its metadata tell stays.
func (b *batch) bringBack(stream string, current head) error {
	meta := metadataPrefix + stream
	stored, about, err := b.head(meta)
	if err != nil {
		return err
	}
	newest, err := b.read(meta, about.revision, about.revision, stored)
	if err != nil {
		return err
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(newest[0].Data, &members); err != nil {
		return fmt.Errorf("metadata of %q: %w", stream, err) // cannot be: they were read as limits
	}
	members["$tb"] = fmt.Append(nil, current.revision+1)
	data, err := json.Marshal(members)
	if err != nil {
		return fmt.Errorf("metadata of %q: %w", stream, err)
	}
	b.stage(meta, about, []event.Proposed{{ID: event.ID(uuid.New()), Type: metadataType, Data: data}})
	return nil
}
