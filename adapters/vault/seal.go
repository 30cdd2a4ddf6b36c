package vault

import (
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"

	"github.com/actahq/acta/domain/event"
)

// part of an event that may have a member `personal`.
type part string

const (
	data     part = "data"
	metadata part = "metadata"
)

var parts = [...]part{data, metadata}

// of gives that part of an event.
func (p part) of(e *event.Proposed) *json.RawMessage {
	if p == metadata {
		return &e.Metadata
	}
	return &e.Data
}

var errSealed = errors.New("does not open: it is damaged, or was sealed for another place")

// bind appends what a sealed value is bound to, so that it opens nowhere else. Each piece tells its length or has a
// fixed one, so that no two places are bound alike.
func bind(b []byte, stream string, e *event.Proposed, p part) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(stream))), stream...)
	b = append(binary.AppendUvarint(b, uint64(len(e.Type))), e.Type...)
	b = append(b, e.ID[:]...)
	return append(b, p...)
}

// sealValue gives the JSON string that stands for the value: base64 of nonce, ciphertext and tag.
func sealValue(key cipher.AEAD, value, binding []byte) []byte {
	sealed := key.Seal(make([]byte, 0, len(value)+key.Overhead()), nil, value, binding)
	text := make([]byte, 0, base64.RawStdEncoding.EncodedLen(len(sealed))+2)
	text = append(text, '"')
	text = base64.RawStdEncoding.AppendEncode(text, sealed)
	return append(text, '"')
}

// openValue gives the value that sealValue was given.
func openValue(key cipher.AEAD, text, binding []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '"' {
		return nil, errors.New("is not sealed")
	}
	sealed, err := base64.RawStdEncoding.AppendDecode(nil, text[1:len(text)-1])
	if err != nil {
		return nil, errSealed
	}
	value, err := key.Open(sealed[:0], nil, sealed, binding)
	if err != nil {
		return nil, errSealed
	}
	return value, nil
}
