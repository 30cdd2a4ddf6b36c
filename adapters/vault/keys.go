package vault

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/actahq/acta/domain/event"
)

// keys are ready keys by subject: nil is a subject that was forgotten, none a subject that never had a key.
type keys map[string]cipher.AEAD

// key gives the subject's key and makes one if it never had one. The key is durable before key returns.
func (v *Vault) key(ctx context.Context, subject string) (cipher.AEAD, error) {
	key, ok := v.ready.Get(subject)
	if !ok {
		found, err := v.load(ctx, []string{subject})
		if err != nil {
			return nil, err
		}
		if key, ok = found[subject]; !ok {
			if key, err = v.create(ctx, subject); err != nil {
				return nil, err
			}
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
		if key, ok := v.ready.Get(s); ok {
			found[s] = key
		} else {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	if err := v.read(ctx, missing, found); err != nil {
		return nil, trouble(ctx, err)
	}
	return found, nil
}

// read adds the subjects' keys to found and makes them ready. It needs v.mu, lest a key be made ready that was
// forgotten since it was read.
func (v *Vault) read(ctx context.Context, subjects []string, found keys) error {
	list, err := json.Marshal(subjects)
	if err != nil {
		return err
	}
	// One parameter, however many subjects: nothing to split, and one statement to prepare.
	rows, err := v.file.Read.QueryContext(ctx, `SELECT subject, wrapped, forgotten IS NOT NULL FROM keys
		WHERE subject IN (SELECT value FROM json_each(?))`, string(list))
	if err != nil {
		return err
	}
	defer rows.Close()
	var subject string
	var wrapped sql.RawBytes
	var forgotten bool
	for rows.Next() {
		if err := rows.Scan(&subject, &wrapped, &forgotten); err != nil {
			return err
		}
		var key cipher.AEAD
		if !forgotten { // the mark decides, and not that there is no key: a lost key is no wish to be forgotten
			if key, err = v.unwrap(subject, wrapped); err != nil {
				return err
			}
		}
		found[subject] = key
		v.ready.Add(subject, key)
	}
	return rows.Err()
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
		return nil, fmt.Errorf("%w: the key of %s in keys.db does not open", event.ErrDamaged, subject)
	}
	return newAEAD(key)
}

// want is somebody waiting for a subject's key to be made.
type want struct {
	subject string
	made    chan<- made // has room for one, so that the writer need not care whether anybody still waits
}

type made struct {
	key cipher.AEAD
	err error
}

// create makes the subject's key, or gives the one that somebody else made meanwhile.
func (v *Vault) create(ctx context.Context, subject string) (cipher.AEAD, error) {
	answer := make(chan made, 1)
	select {
	case v.wants <- want{subject, answer}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-v.closing:
		return nil, fmt.Errorf("%w: the vault is closed", event.ErrUnavailable)
	}
	select {
	case m := <-answer:
		return m.key, m.err
	case <-ctx.Done():
		return nil, context.Cause(ctx) // the key is made all the same, for the next one who asks
	}
}

// together is how many keys are made durable by one commit at most.
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
	found, err := v.insert(subjects)
	for _, w := range batch {
		key, ok := found[w.subject]
		if err == nil && !ok {
			w.made <- made{err: fmt.Errorf("%w: keys.db does not give back the key of %q", event.ErrDamaged, w.subject)}
			continue
		}
		w.made <- made{key, err}
	}
}

// insert gives a key to each subject that has no row yet, and returns the keys of all. Who comes second, be it in
// another process, finds the row of the first and uses that.
func (v *Vault) insert(subjects []string) (keys, error) {
	ctx := context.Background() // begun for many; none of them may stop it
	v.mu.RLock()
	defer v.mu.RUnlock()
	err := v.transaction(ctx, func(tx *sql.Tx) error {
		stmt, err := tx.PrepareContext(ctx, `INSERT INTO keys (subject, wrapped, created) VALUES (?, ?, ?)
			ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		at := now()
		for _, s := range subjects {
			if _, err := stmt.ExecContext(ctx, s, v.wrap(s), at); err != nil {
				return err
			}
		}
		return nil
	})
	found := make(keys, len(subjects))
	if err == nil {
		// Read what was committed, and not before: a key must not be ready that a failed commit took back.
		err = v.read(ctx, subjects, found)
	}
	return found, trouble(ctx, err)
}
