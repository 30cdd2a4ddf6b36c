package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/actahq/acta/domain/project"
)

// secretKey returns the 32 bytes that every derived secret hangs on: secret_key, or the file secret.key in the data
// folder. Only the development mode makes that file when it is missing, and then says generated.
func secretKey(c config) (key []byte, generated bool, err error) {
	text := c.SecretKey
	if text == "" {
		path := filepath.Join(c.DataDir, "secret.key")
		if c.development {
			text, generated, err = kept(path, randomHex())
		} else {
			text, err = readLine(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("empty, and there is no %s; openssl rand -hex 32 makes a key", path)
		}
		if err != nil {
			return nil, false, configError{fmt.Errorf("secret_key: %w", err)}
		}
	}
	if key, err = parseKey(text); err != nil {
		return nil, false, configError{fmt.Errorf("secret_key: %w", err)}
	}
	return key, generated, nil
}

func parseKey(text string) ([]byte, error) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != 32 || bytes.Count(key, key[:1]) == len(key) {
		return nil, errors.New(noKey)
	}
	return key, nil
}

// developmentKey returns the API key of the development mode's project. The file demo.key in the data folder keeps it
// over restarts; generated says that it was made just now.
func developmentKey(c config) (key project.Key, generated bool, err error) {
	secret, generated, err := kept(filepath.Join(c.DataDir, "demo.key"), "standard_"+randomHex())
	if err == nil && len(secret) < len("standard_")+64 {
		err = errors.New("demo.key in the data folder is damaged; delete it and a new one is made")
	}
	if err != nil {
		return project.Key{}, false, fmt.Errorf("development key: %w", err)
	}
	return project.Key{Name: "development", Secret: secret, Scopes: []string{"sessions.write", "users.read", "users.write"}}, generated, nil
}

func randomHex() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// kept returns the line in the file, made with the fresh value if there is none. Of several that find none at the same
// moment one makes it, and all return the same.
func kept(path, fresh string) (line string, made bool, err error) {
	line, err = readLine(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return line, false, err
	}
	err = create(path, fresh)
	if errors.Is(err, fs.ErrExist) {
		line, err = readLine(path)
		return line, false, err
	}
	return fresh, err == nil, err
}

func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

// create makes a file only its owner can read: whole or, if we crash here, not at all, and never over another one.
func create(path, line string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, ".draft-*") // O_EXCL, 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.WriteString(line + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil { // unlike a rename it fails where there is one already
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
