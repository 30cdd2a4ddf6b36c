// Package vault keeps one key per person and seals what the event log holds about that person with it, so that a
// person can be forgotten by destroying 32 bytes while the log stays as it was written.
//
// The person of an event is its stream: every stream whose name begins with "account-" is a subject. What tells
// something about the person stands in the top-level member `personal` of an event's data and metadata, and a Log
// seals that one member on the way in and opens it on the way out. The vault does not know what any event means, nor
// where the log keeps it.
//
// The file keys.db holds every subject's key, wrapped by a key derived from the configuration's secret_key. Who has
// the log but not both of these can read nothing personal, and who loses one of them has lost it all: both belong in
// the backup, though not beside the log's. A keys.db that was restored has to be told again whom to forget, before
// anything is served from it.
package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/actahq/acta/adapters/sqlite"
	"github.com/actahq/acta/domain/event"
)

var (
	// ErrForgotten: the subject was forgotten, so nothing can be sealed for it ever again.
	ErrForgotten = errors.New("the subject was forgotten")
	// ErrMaster: keys.db was made with another master secret. Nothing was changed.
	ErrMaster = errors.New("the master secret is not the one these keys were wrapped with")
)

// cached is how many subjects' keys are kept ready, at about 1.5 KiB each.
const cached = 10_000

// Vault keeps the keys. Any number of goroutines may use it, and any number of processes may have the same file open.
//
// A key that was used is remembered by the process that used it: a process other than the one that was asked to
// forget goes on opening that subject's events until it needs the room, or ends.
type Vault struct {
	file  sqlite.File
	wraps cipher.AEAD                     // under the wrapping key
	ready *lru.Cache[string, cipher.AEAD] // by subject; nil when forgotten
	mu    sync.RWMutex                    // held to read from the file into ready; held alone to forget

	wants   chan want     // subjects without a key, to the writer
	closing chan struct{} // closed when no more keys shall be made
	ended   chan struct{} // closed when the writer has answered its last batch
	close   sync.Once
	closed  error
}

// Rows are appended and never removed, they only shrink, and never to less than a third: SQLite then has no reason to
// move a row to another page, where secure_delete would overwrite the copy it knows and leave the one it moved from.
// That is what the number is for, and why the times are text.
const schema = `
CREATE TABLE IF NOT EXISTS master (
	id    INTEGER PRIMARY KEY CHECK (id = 1),
	proof BLOB NOT NULL -- nothing at all, sealed by the wrapping key
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
	number    INTEGER PRIMARY KEY,
	subject   TEXT NOT NULL UNIQUE,
	wrapped   BLOB,          -- the subject's key, sealed by the wrapping key; NULL = forgotten
	created   TEXT NOT NULL, -- RFC 3339
	forgotten TEXT,          -- RFC 3339
	CHECK ((wrapped IS NULL) = (forgotten IS NOT NULL))
) STRICT;`

// Open opens the keys in <dir>/keys.db, or makes both. The master secret is 32 random bytes, the same at every
// opening: any other is ErrMaster. The file may be open in other processes.
func Open(dir string, master []byte) (*Vault, error) {
	v, err := openIn(dir, master)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	return v, nil
}

func openIn(dir string, master []byte) (*Vault, error) {
	if len(master) != 32 {
		return nil, fmt.Errorf("the master secret has %d bytes, not 32", len(master))
	}
	wraps, err := newAEAD(Derive(master, "acta vault v1"))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "keys.db")
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	file, err := sqlite.Open(path, sqlite.Full)
	if err != nil {
		return nil, err
	}
	ready, err := lru.New[string, cipher.AEAD](cached)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	v := &Vault{
		file:    file,
		wraps:   wraps,
		ready:   ready,
		wants:   make(chan want),
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	err = v.prepare(context.Background())
	if err == nil {
		err = syncFolder(dir) // the names of new files are as durable as what will be written into them
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	go v.write()
	return v, nil
}

// makePrivate makes folder and file for their owner only, before SQLite would make the file for all to read. SQLite
// gives the write-ahead log the mode of the file.
func makePrivate(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(dir, 0o700), syncFolder(filepath.Dir(dir))); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// syncFolder makes the names in a folder durable.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prepare makes the tables and checks the master secret.
func (v *Vault) prepare(ctx context.Context) error {
	var proof []byte
	err := v.transaction(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		// The proof was made before the first key. Were it missing now, any secret would pass.
		const first = `INSERT INTO master SELECT 1, ? WHERE NOT EXISTS (SELECT 1 FROM keys) ON CONFLICT DO NOTHING`
		if _, err := tx.ExecContext(ctx, first, v.wraps.Seal(nil, nil, nil, proves)); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT proof FROM master`).Scan(&proof)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: keys.db has keys and no proof of their master secret", event.ErrDamaged)
	}
	if err != nil {
		return trouble(ctx, err)
	}
	if _, err := v.wraps.Open(nil, nil, proof, proves); err != nil {
		return ErrMaster
	}
	// A crash between the two steps of Forget leaves the bytes of a destroyed key in the write-ahead log. Whether they
	// could be cleared just now does not matter: what keeps them there is a process that clears them when it closes.
	_, err = v.clear(ctx)
	return err
}

// proves is what the proof is bound to; no subject is called so.
var proves = []byte("proof")

// Close ends the vault; what waits for a key then gets event.ErrUnavailable.
func (v *Vault) Close() error {
	v.close.Do(func() {
		close(v.closing)
		<-v.ended
		v.closed = v.file.Close()
	})
	return v.closed
}

// Forget destroys the subject's key: what was sealed with it is unreadable for ever, and ErrForgotten meets whoever
// would seal more. A subject that never had a key will not get one. Asking again changes nothing.
//
// When Forget returns nil, the key's loss is durable and its bytes are gone from the file and its write-ahead log;
// copies made of these before are out of reach. After event.ErrUnavailable the key may be destroyed or not, or its
// bytes may still stand in the write-ahead log because another process reads there: Forget has to be called again.
func (v *Vault) Forget(ctx context.Context, subject string) error {
	if !isSubject(subject) {
		return fmt.Errorf("forget %q: not a subject", subject)
	}
	if err := v.destroy(ctx, subject); err != nil {
		return fmt.Errorf("forget %s: %w", subject, trouble(ctx, err))
	}
	// What if we crash here: the next Open clears the log.
	cleared, err := v.clear(ctx)
	if err == nil && !cleared {
		err = fmt.Errorf("%w: the key is destroyed, but another process still reads keys.db-wal", event.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w", subject, err)
	}
	return nil
}

func (v *Vault) destroy(ctx context.Context, subject string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	// Also after an error: the transaction may have been committed, and the file knows.
	defer v.ready.Remove(subject)
	return v.transaction(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO keys (subject, created, forgotten) VALUES (?1, ?2, ?2)
			ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, forgotten = ?2 WHERE forgotten IS NULL`, subject, now())
		return err
	})
}

// clear folds the write-ahead log into the file and cuts it to nothing, unless somebody is reading from it.
func (v *Vault) clear(ctx context.Context) (bool, error) {
	var busy, pages, folded int
	err := v.file.Write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &pages, &folded)
	return busy == 0, trouble(ctx, err)
}

// transaction does all of do, or nothing. With secure_delete SQLite writes zeros over what it no longer needs; it is
// a property of the connection, and the pool may have made a new one since the last time.
func (v *Vault) transaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := v.file.Write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, `PRAGMA secure_delete = ON`); err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// trouble says what an error of the file means to those who use the log.
func trouble(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return err // the caller gave up
	case errors.Is(err, event.ErrDamaged):
		return err
	case sqlite.IsDamaged(err):
		return fmt.Errorf("%w: keys.db: %w", event.ErrDamaged, err)
	default:
		return fmt.Errorf("%w: keys.db: %w", event.ErrUnavailable, err)
	}
}

// isSubject says whether the events of a stream belong to a person.
func isSubject(stream string) bool { return strings.HasPrefix(stream, "account-") }

func now() string { return time.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

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
