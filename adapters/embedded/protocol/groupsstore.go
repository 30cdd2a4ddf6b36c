package protocol

import (
	"encoding/json"
	"fmt"

	"github.com/actahq/acta/adapters/sqlite"
)

// groupsVersion is written into the file as SQLite's user_version.
const groupsVersion = 1

const groupsSchema = `
CREATE TABLE IF NOT EXISTS groups (
	id       INTEGER PRIMARY KEY AUTOINCREMENT, -- so that one made anew is another one
	source   TEXT NOT NULL, -- a stream or $all
	name     TEXT NOT NULL,
	settings BLOB NOT NULL, -- JSON
	resume   INTEGER,       -- first revision, or position of $all, that is not known to be done; null: none was ever
	UNIQUE (source, name)
) STRICT;
`

// groupsStore is the file of the persistent subscriptions. What it says is durable.
type groupsStore struct{ db sqlite.File }

// storedGroup is one row.
type storedGroup struct {
	id       int64
	key      groupKey
	settings settings
	resume   *uint64
}

func openGroupsStore(path string) (*groupsStore, error) {
	db, err := sqlite.Open(path, sqlite.Full)
	if err != nil {
		return nil, err
	}
	s := &groupsStore{db}
	var version int
	err = db.Write.QueryRow(`PRAGMA user_version`).Scan(&version)
	switch {
	case err == nil && version > groupsVersion:
		err = fmt.Errorf("%s has schema version %d; this program knows up to %d", path, version, groupsVersion)
	case err == nil:
		_, err = db.Write.Exec(groupsSchema + fmt.Sprintf("PRAGMA user_version = %d", groupsVersion))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *groupsStore) load() (all []storedGroup, err error) {
	rows, err := s.db.Read.Query(`SELECT id, source, name, settings, resume FROM groups`)
	if err != nil {
		return nil, fmt.Errorf("read persistent subscriptions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var g storedGroup
		var text []byte
		if err := rows.Scan(&g.id, &g.key.source, &g.key.name, &text, &g.resume); err != nil {
			return nil, fmt.Errorf("read persistent subscriptions: %w", err)
		}
		if err := json.Unmarshal(text, &g.settings); err != nil {
			return nil, fmt.Errorf("read persistent subscription %s: %w", g.key, err)
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// add adds a group and gives its id.
func (s *groupsStore) add(key groupKey, to settings) (id int64, _ error) {
	text, err := json.Marshal(to)
	if err != nil {
		return 0, err
	}
	err = s.db.Write.QueryRow(`INSERT INTO groups (source, name, settings) VALUES (?, ?, ?) RETURNING id`, key.source, key.name, text).Scan(&id)
	return id, err
}

// change changes the settings of a group.
func (s *groupsStore) change(id int64, to settings) error {
	text, err := json.Marshal(to)
	if err != nil {
		return err
	}
	_, err = s.db.Write.Exec(`UPDATE groups SET settings = ? WHERE id = ?`, text, id)
	return err
}

// note tells how far a group is. Of one that was removed there is nothing to tell.
func (s *groupsStore) note(id int64, resume uint64) error {
	_, err := s.db.Write.Exec(`UPDATE groups SET resume = ? WHERE id = ?`, int64(resume), id)
	return err
}

func (s *groupsStore) remove(id int64) error {
	_, err := s.db.Write.Exec(`DELETE FROM groups WHERE id = ?`, id)
	return err
}

func (s *groupsStore) close() error { return s.db.Close() }
