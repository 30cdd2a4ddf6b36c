package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// algorithms are how an id_token may be signed: by a private key. HS256 and its like are signed with what we show to others,
// or with a public key that is taken for a secret; none is not signed.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// skew is how far ahead of ours the clock of a provider may be.
const skew = 5 * time.Minute

// verify gives the claims of an id_token if they are to be believed (OpenID Connect Core 1.0, 3.1.3.7).
func (p *Provider) verify(ctx context.Context, m *metadata, raw, nonce string) (document, error) {
	if raw == "" {
		return nil, forged("there is no id_token")
	}
	var token *oidc.IDToken
	var err error
	for _, issuer := range m.issuers {
		ring := &keyring{set: m.keys}
		token, err = oidc.NewVerifier(issuer, ring, &oidc.Config{
			ClientID:             p.config.ClientID,
			SupportedSigningAlgs: algorithms,
			Now:                  p.now,
		}).Verify(ctx, raw)
		if ring.err != nil {
			return nil, ring.err
		}
		if err == nil {
			break
		}
	}
	if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
		return nil, forged("the id_token has expired")
	}
	if err != nil {
		return nil, forged("the id_token is not from this issuer, or not for us")
	}
	var payload json.RawMessage
	if err := token.Claims(&payload); err != nil {
		return nil, forged("the id_token cannot be read")
	}
	d, ok := parse(payload)
	if !ok {
		return nil, forged("the id_token cannot be read")
	}
	party, told := d["azp"]
	switch {
	case token.Subject == "":
		return nil, forged("the id_token does not tell who it is about")
	case token.IssuedAt.IsZero() || token.IssuedAt.After(p.now().Add(skew)):
		return nil, forged("the id_token has not been issued yet")
	case told && party != p.config.ClientID, !told && len(token.Audience) > 1:
		return nil, forged("the id_token was given to somebody else")
	case nonce == "" || token.Nonce != nonce && !(p.row.deaf && token.Nonce == ""):
		return nil, forged("the id_token is that of another sign-in")
	}
	return d, nil
}

// keyring keeps why the keys could not be had, of which go-oidc keeps only the words.
type keyring struct {
	set oidc.KeySet
	err error
}

func (k *keyring) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := k.set.VerifySignature(ctx, raw)
	if failure, ok := errors.AsType[*Failure](err); ok {
		k.err = failure
	} else if ctx.Err() != nil {
		k.err = ctx.Err()
	}
	return payload, err
}
