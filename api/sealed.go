package api

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/project"
)

// A guest who asks for a token has to be told an account's id, to give it back with the secret. Where answers are uniform
// it is sealed, anew each time: whether an address has an account, and whose, shows neither in it nor in two of them.
const (
	longestID    = 36                                        // bytes; shorter ones are padded, so that all look alike
	tagLength    = 20                                        // bytes of what stands for the address, see sealedID
	sealedLength = (12 + longestID + tagLength + 16) * 8 / 6 // characters: nonce, id, tag and authenticator in base64
)

// sealedID is what is told instead of an account's id.
type sealedID struct {
	account string
	// tag stands for the address that was asked about. Tries to redeem are counted by it, as those of one address must
	// meet in one limit even if it is nobody's, and each answer named another account.
	tag string
}

// idSeal is AES-256-GCM with random nonces under a project's own key.
func (a *API) idSeal(p *project.Project) cipher.AEAD {
	block, err := aes.NewCipher(projectKey(a.IDKey, p))
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for other ciphers
	}
	return aead
}

// sealID seals the id of an account for whoever asked about the address of a claim.
func (a *API) sealID(p *project.Project, account, claim string) string {
	plain := fmt.Sprintf("%-*s%s", longestID, account, claim[:tagLength])
	return base64.RawURLEncoding.EncodeToString(a.idSeal(p).Seal(nil, nil, []byte(plain), nil))
}

// openID opens what sealID made for the project.
func (a *API) openID(p *project.Project, sealed string) (sealedID, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return sealedID{}, false
	}
	plain, err := a.idSeal(p).Open(nil, nil, b, nil)
	if err != nil || len(plain) != longestID+tagLength {
		return sealedID{}, false
	}
	return sealedID{strings.TrimRight(string(plain[:longestID]), " "), string(plain[longestID:])}, true
}

// checkOwner takes the id of the account that a secret was sent to, as it is or as a guest was told it. What looks like
// the latter and is not becomes an id that nobody has.
func checkOwner(c *call, raw json.RawMessage) (any, string) {
	if s, ok := text(raw); ok && len(s) == sealedLength {
		opened, ok := c.api.openID(c.project, s)
		if !ok {
			return commands.NewID(), ""
		}
		return opened.account, ""
	}
	return checkID(c, raw)
}
