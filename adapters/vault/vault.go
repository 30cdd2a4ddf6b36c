// Package vault keeps one key per person and seals what the event log holds about that person with it, so that a
// person can be forgotten by destroying 32 bytes while the log stays as it was written.
//
// The person of an event is its stream: every stream whose name begins with "account-" is a subject. What tells
// something about the person stands in the top-level member `personal` of an event's data and metadata, and a Log
// seals that one member on the way in and opens it on the way out. The vault does not know what any event means, nor
// where the log keeps it.
//
// The vault holds every subject's key, wrapped by a key derived from the configuration's secret_key: in the file keys.db,
// or in a Postgres database that several instances share. Who has the log but not both of these can read nothing
// personal, and who loses one of them has lost it all: both belong in the backup, though not beside the log's. Keys that
// were restored have to be told again whom to forget, before anything is served from them.
package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/actahq/acta/domain/event"
)

var (
	// ErrForgotten: the subject was forgotten, so nothing can be sealed for it ever again.
	ErrForgotten = errors.New("the subject was forgotten")
	// ErrMaster: the keys were made with another master secret. Nothing was changed.
	ErrMaster = errors.New("the master secret is not the one these keys were wrapped with")
)

// Vault keeps the keys. Any number of goroutines may use it, and any number of processes may have the same keys open.
type Vault struct {
	store    store
	patience time.Duration // how long the store is waited for; zero is as long as the caller waits
	wraps    cipher.AEAD   // under the wrapping key
	ready    *cache

	wants   chan want     // subjects whose key is not ready, to the writer
	closing chan struct{} // closed when no more keys shall be made
	ended   chan struct{} // closed when the writer has answered its last batch
	close   sync.Once
	closed  error
}

// Open opens the keys in <dir>/keys.db, or makes both. The master secret is 32 random bytes, the same at every
// opening: any other is ErrMaster.
//
// A key that was used is remembered by the process that used it: a process other than the one that was asked to
// forget goes on opening that subject's events until it needs the room, or ends.
func Open(dir string, master []byte) (*Vault, error) {
	return open(context.Background(), master, 0, func(*cache) (store, error) { return openFile(dir) })
}

// OpenPostgres opens the keys in the tables vault_keys and vault_master of a Postgres database, or makes these:
// postgres://user:password@host:port/database, with the parameters of libpq. The master secret is as in Open. The vault
// wants sessions of its own, up to 5; of a pooler in between, only session pooling will do.
//
// When Postgres does not answer within 1.5 s, this is event.ErrUnavailable, here and wherever a key is needed that is
// not ready. An instance that was not asked to forget stops using the key at once when it hears of it, and within one
// second if it cannot hear.
//
// Postgres does not overwrite. A destroyed key is gone from the table for all who ask with SQL, but its wrapped bytes
// stay in the table's file until VACUUM has freed the room and something else was written there (VACUUM FULL leaves none),
// and in the write-ahead log, its archive, standbys and backups for as long as those are kept. They open nothing without
// the master secret. Who wants to be sure keeps backups no longer than a wish to be forgotten may take.
func OpenPostgres(ctx context.Context, dsn string, master []byte) (*Vault, error) {
	return open(ctx, master, patience, func(ready *cache) (store, error) { return openServer(dsn, ready) })
}

func open(ctx context.Context, master []byte, patience time.Duration, openStore func(*cache) (store, error)) (*Vault, error) {
	v, err := openWith(ctx, master, patience, openStore)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	return v, nil
}

func openWith(ctx context.Context, master []byte, patience time.Duration, openStore func(*cache) (store, error)) (*Vault, error) {
	if len(master) != 32 {
		return nil, fmt.Errorf("the master secret has %d bytes, not 32", len(master))
	}
	wraps, err := newAEAD(Derive(master, "acta vault v1"))
	if err != nil {
		return nil, err
	}
	ready := newCache(cached)
	store, err := openStore(ready)
	if err != nil {
		return nil, err
	}
	v := &Vault{
		store:    store,
		patience: patience,
		wraps:    wraps,
		ready:    ready,
		wants:    make(chan want),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
	}
	if err := v.prepare(ctx); err != nil {
		return nil, errors.Join(err, store.close())
	}
	go v.write()
	return v, nil
}

// prepare checks the master secret. The proof was made before the first key: were it missing now, any secret would pass.
func (v *Vault) prepare(ctx context.Context) error {
	ctx, enough := v.patiently(ctx)
	defer enough()
	proof, err := v.store.prepare(ctx, v.wraps.Seal(nil, nil, nil, proves))
	if err != nil {
		return v.trouble(ctx, err)
	}
	if proof == nil {
		return fmt.Errorf("%w: the vault has keys and no proof of their master secret", event.ErrDamaged)
	}
	if _, err := v.wraps.Open(nil, nil, proof, proves); err != nil {
		return ErrMaster
	}
	return nil
}

// proves is what the proof is bound to; no subject is called so.
var proves = []byte("proof")

// Close ends the vault; what waits for a key then gets event.ErrUnavailable.
func (v *Vault) Close() error {
	v.close.Do(func() {
		close(v.closing)
		<-v.ended
		v.closed = v.store.close()
	})
	return v.closed
}

// Forget destroys the subject's key: what was sealed with it is unreadable for ever, and ErrForgotten meets whoever
// would seal more. A subject that never had a key will not get one. Asking again changes nothing.
//
// When Forget returns nil, the key's loss is durable. Of keys.db, its bytes are gone from the file and its write-ahead
// log; copies made of these before are out of reach. OpenPostgres tells what Postgres keeps. After event.ErrUnavailable
// the key may be destroyed or not, or its bytes may still stand in the write-ahead log because another process reads
// there: Forget has to be called again.
func (v *Vault) Forget(ctx context.Context, subject string) error {
	if !isSubject(subject) {
		return fmt.Errorf("forget %q: not a subject", subject)
	}
	ctx, enough := v.patiently(ctx)
	defer enough()
	err := v.destroy(ctx, subject)
	if err == nil {
		err = v.store.clear(ctx) // what if we crash here: the next Open does it
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", subject, v.trouble(ctx, err))
	}
	return nil
}

func (v *Vault) destroy(ctx context.Context, subject string) error {
	// Also after an error: it may be destroyed, and the store knows.
	defer v.ready.remove(subject)
	return v.store.destroy(ctx, subject)
}

var errSlow = fmt.Errorf("%w: the vault's keys take too long", event.ErrUnavailable)

// patiently gives the context under which the store is waited for.
func (v *Vault) patiently(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.patience == 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, v.patience, errSlow)
}

// trouble says what an error of the store means to those who use the log.
func (v *Vault) trouble(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx) // the caller gave up, or our patience has ended
	case errors.Is(err, event.ErrDamaged):
		return err
	default:
		return v.store.trouble(err)
	}
}

// isSubject says whether the events of a stream belong to a person.
func isSubject(stream string) bool { return strings.HasPrefix(stream, "account-") }

// Derive gives the 32-byte key for one purpose, told by its label, from the master secret: HKDF-SHA-256 without a
// salt (RFC 5869). Different labels give independent keys.
func Derive(master []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, master, nil, label, 32)
	if err != nil {
		panic(err) // only for a length HKDF cannot give, or a master secret that FIPS mode finds too short
	}
	return key
}

// newAEAD is AES-256-GCM that draws a random 96-bit nonce for each message and puts it in front (NIST SP 800-38D,
// section 8.2.2). One key is good for 2^32 messages; no person has that many events, nor Acta that many persons.
func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
