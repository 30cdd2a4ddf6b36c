package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// member is what a client secret of {"clientSecret": "...", ...} holds beside the secret.
type member struct {
	name, standard string
	shape          func(string) (string, bool) // of its value, nil = word
}

var (
	wordShape   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	domainShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,252}(:[0-9]{1,5})?$`)
)

func word(s string) (string, bool) { return s, wordShape.MatchString(s) }

func anything(s string) (string, bool) { return s, true }

// domain also understands what is copied from the address bar of a browser.
func domain(s string) (string, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "https://"), "/")
	return s, domainShape.MatchString(s)
}

func base(s string) (string, bool) {
	s = strings.TrimSuffix(s, "/")
	return s, checkURL(s) == nil && !strings.Contains(s, "?")
}

// unpack finds the secret in what is configured as one, and what the row looks for beside it. A secret that is no JSON is
// the secret.
func unpack(configured string, r row) (secret string, words map[string]string, _ error) {
	words = make(map[string]string)
	for _, m := range r.members {
		words[m.name] = m.standard
	}
	if r.members == nil || !strings.HasPrefix(strings.TrimSpace(configured), "{") {
		return configured, words, nil
	}
	var held map[string]any
	if err := json.Unmarshal([]byte(configured), &held); err != nil {
		return "", nil, errors.New("client_secret: begins like JSON, and is none")
	}
	for _, m := range r.members {
		value, _ := held[m.name].(string)
		if several, ok := held[m.name].([]any); ok { // prompt of Google
			value = joined(several)
		}
		if value == "" {
			continue
		}
		shape := m.shape
		if shape == nil {
			shape = word
		}
		var ok bool
		if words[m.name], ok = shape(value); !ok {
			return "", nil, fmt.Errorf("client_secret: its %s is not what one looks like", m.name)
		}
	}
	secret, _ = held["clientSecret"].(string)
	return secret, words, nil
}

func joined(words []any) string {
	var texts []string
	for _, w := range words {
		texts = append(texts, textOf(w))
	}
	return strings.Join(texts, " ")
}

// fill puts the words into a URL, or says which one is missing.
func fill(url string, members []member, words map[string]string) (string, error) {
	for _, m := range members {
		hole := "{" + m.name + "}"
		if words[m.name] == "" && strings.Contains(url, hole) {
			return "", fmt.Errorf(`client_secret: no %s; it is JSON such as {"clientSecret": "...", "%[1]s": "..."}`, m.name)
		}
		url = strings.ReplaceAll(url, hole, words[m.name])
	}
	return url, nil
}

// apple is the account that signs what Apple takes for a client secret.
type apple struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string
}

func newApple(words map[string]string) (*apple, error) {
	for _, name := range []string{"p8", "keyID", "teamID"} {
		if words[name] == "" {
			return nil, fmt.Errorf(`client_secret: no %s; it is JSON such as {"p8": "...", "keyID": "...", "teamID": "..."}`, name)
		}
	}
	key, err := jwt.ParseECPrivateKeyFromPEM([]byte(words["p8"]))
	if err != nil || key.Curve != elliptic.P256() {
		return nil, errors.New("client_secret: its p8 is not the PEM of a private key of Apple")
	}
	return &apple{key, words["keyID"], words["teamID"]}, nil
}

// secret is made for one request: what Apple would take for half a year, nobody can use ten minutes later.
func (a *apple) secret(clientID string, now time.Time) (string, error) {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": a.teamID,
		"iat": now.Unix(),
		"exp": now.Add(10 * time.Minute).Unix(),
		"aud": "https://appleid.apple.com",
		"sub": clientID,
	})
	token.Header["kid"] = a.keyID
	signed, err := token.SignedString(a.key)
	if err != nil {
		return "", failed("the client secret cannot be signed")
	}
	return signed, nil
}
