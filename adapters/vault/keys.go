package vault

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"

	"github.com/actahq/acta/domain/event"
)

// keys are ready keys by subject: nil is a subject that was forgotten, none a subject that never had a key.
type keys map[string]cipher.AEAD

// key gives the subject's key and makes one if it never had one. The key is durable before key returns.
func (v *Vault) key(ctx context.Context, subject string) (cipher.AEAD, error) {
	key, ok := v.ready.get(subject)
	if !ok {
		ctx, enough := v.patiently(ctx)
		defer enough()
		var err error
		if key, err = v.ask(ctx, subject); err != nil {
			return nil, err
		}
	}
	if key == nil {
		return nil, ErrForgotten
	}
	return key, nil
}

// load gives the keys of these subjects, reading all that are not ready at once. A subject may be named twice.
func (v *Vault) load(ctx context.Context, subjects []string) (keys, error) {
	found := make(keys)
	var missing []string
	for _, s := range subjects {
		if _, ok := found[s]; ok {
			continue
		}
		if key, ok := v.ready.get(s); ok {
			found[s] = key
		} else {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	ctx, enough := v.patiently(ctx)
	defer enough()
	read, err := v.read(ctx, missing)
	if err != nil {
		return nil, v.trouble(ctx, err)
	}
	maps.Copy(found, read)
	return found, nil
}

// read reads the subjects' keys and makes them ready.
func (v *Vault) read(ctx context.Context, subjects []string) (keys, error) {
	found := make(keys, len(subjects))
	removed := v.ready.reading()
	err := v.store.read(ctx, subjects, func(subject string, wrapped []byte, forgotten bool) (err error) {
		var key cipher.AEAD
		if !forgotten { // the mark decides, and not that there is no key: a lost key is no wish to be forgotten
			key, err = v.unwrap(subject, wrapped)
		}
		found[subject] = key
		return err
	})
	if err != nil {
		return nil, err
	}
	v.ready.add(removed, found)
	return found, nil
}

// wrap draws a key for the subject. Bound to the subject, the key of one cannot be put in the place of another's.
func (v *Vault) wrap(subject string) []byte {
	key := make([]byte, 32)
	rand.Read(key) // never fails, see crypto/rand
	return v.wraps.Seal(nil, nil, key, []byte(subject))
}

func (v *Vault) unwrap(subject string, wrapped []byte) (cipher.AEAD, error) {
	key, err := v.wraps.Open(nil, nil, wrapped, []byte(subject))
	if err != nil {
		return nil, fmt.Errorf("%w: the key of %s in the vault does not open", event.ErrDamaged, subject)
	}
	return newAEAD(key)
}

// want is somebody waiting for a subject's key, which there may be or not.
type want struct {
	subject string
	answer  chan<- answer // has room for one, so that the writer need not care whether anybody still waits
}

type answer struct {
	key cipher.AEAD
	err error
}

// ask asks the writer for the subject's key. A key that is not ready is nearly always that of a new subject: who
// changes an older one has read its events before.
func (v *Vault) ask(ctx context.Context, subject string) (cipher.AEAD, error) {
	answer := make(chan answer, 1)
	select {
	case v.wants <- want{subject, answer}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-v.closing:
		return nil, fmt.Errorf("%w: the vault is closed", event.ErrUnavailable)
	}
	select {
	case a := <-answer:
		return a.key, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx) // the key is made all the same, for the next one who asks
	}
}

// together is how many subjects are read, and their keys made durable, at once at most.
const together = 512

// write makes keys until the vault is closed. Everybody who asks while one commit is under way shares the next one,
// so the disk's pace bounds the commits and not the sign-ups.
func (v *Vault) write() {
	defer close(v.ended)
	for {
		select {
		case w := <-v.wants:
			v.answer(v.gather(w))
		case <-v.closing:
			return
		}
	}
}

// gather adds whoever else waits already.
func (v *Vault) gather(first want) []want {
	batch := []want{first}
	for len(batch) < together {
		select {
		case w := <-v.wants:
			batch = append(batch, w)
		default:
			return batch
		}
	}
	return batch
}

// answer answers a batch once its keys are durable.
func (v *Vault) answer(batch []want) {
	subjects := make([]string, len(batch))
	for i, w := range batch {
		subjects[i] = w.subject
	}
	found, err := v.ensure(subjects)
	for _, w := range batch {
		key, ok := found[w.subject]
		if err == nil && !ok {
			w.answer <- answer{err: fmt.Errorf("%w: the vault does not give back the key of %q", event.ErrDamaged, w.subject)}
			continue
		}
		w.answer <- answer{key, err}
	}
}

// ensure gives a key to each subject that has no row yet, and returns the keys of all.
func (v *Vault) ensure(subjects []string) (keys, error) {
	ctx, enough := v.patiently(context.Background()) // begun for many; none of them may stop it
	defer enough()
	found, err := v.read(ctx, subjects)
	if err != nil {
		return nil, v.trouble(ctx, err)
	}
	missing := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { _, ok := found[s]; return ok })
	if len(missing) == 0 {
		return found, nil
	}
	made, err := v.insert(ctx, missing)
	maps.Copy(found, made)
	return found, v.trouble(ctx, err)
}

// insert makes keys of subjects that had no row. Who comes second, be it in another process, finds the row of the
// first and uses that.
func (v *Vault) insert(ctx context.Context, subjects []string) (keys, error) {
	wrapped := make([][]byte, len(subjects))
	for i, s := range subjects {
		wrapped[i] = v.wrap(s)
	}
	if err := v.store.insert(ctx, subjects, wrapped); err != nil {
		return nil, err
	}
	// Read what was committed, and not before: a key must not be ready that a failed commit took back.
	return v.read(ctx, subjects)
}
