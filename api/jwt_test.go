package api

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/actahq/acta/domain/project"
)

func TestAJWTStandsForItsSession(t *testing.T) {
	w, ada := newWorld(t), ada
	s := w.member(ada)
	token := w.ask("POST /v1/account/jwts", map[string]any{}, s.cookie()).is(201).member("jwt").(string)
	heard.told(token)
	by := "X-Appwrite-JWT: " + token
	w.same("who", w.ask("GET /v1/account", nil, by).is(200).member("$id"), any("ada"))
	w.same("current", w.ask("GET /v1/account/sessions/"+s.id, nil, by).is(200).member("current"), any(false))
	w.ask("GET /v1/account/sessions/current", nil, by).refuses(404, "user_session_not_found")
	w.ask("POST /v1/account/jwt", nil, by).refuses(404, "user_session_not_found")
	w.ask("GET /v1/account", nil, by, "X-Appwrite-Key: "+serverKey).refuses(403, "user_key_and_session_set")
	other := w.signIn(ada)
	w.ask("PATCH /v1/account/password", map[string]string{"password": "hunter-the-new", "oldPassword": ada.Password}, by).is(200)
	w.ask("GET /v1/account", nil, other.cookie()).refuses(401, "general_unauthorized_scope")
	w.ask("GET /v1/account", nil, s.cookie()).is(200) // the one it stands for stays

	w.clock.move(15*time.Minute - time.Second)
	w.ask("GET /v1/account", nil, by).is(200)
	w.clock.move(time.Second)
	w.ask("GET /v1/account", nil, by).refuses(401, "user_jwt_invalid")

	// As long as is asked for, an hour at most.
	for _, d := range []any{60, "60"} {
		token = w.ask("POST /v1/account/jwts", map[string]any{"duration": d}, s.cookie()).is(201).member("jwt").(string)
		heard.told(token)
		w.clock.move(time.Minute - time.Second)
		w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+token).is(200)
		w.clock.move(time.Second)
		w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+token).refuses(401, "user_jwt_invalid")
	}
	for _, d := range []any{-1, 3601, 1.5, "soon", true, nil} {
		if a := w.ask("POST /v1/account/jwts", map[string]any{"duration": d}, s.cookie()); d != nil {
			a.refuses(400, "general_argument_invalid", "Invalid `duration` param: Value must be a valid range between 0 and 3,600")
		} else {
			heard.told(a.is(201).member("jwt").(string)) // the usual one
		}
	}
	heard.told(w.ask("POST /v1/account/jwts", `[]`, "Content-Type: application/json", s.cookie()).is(201).member("jwt").(string)) // a client in PHP

	token = w.ask("POST /v1/account/jwts", map[string]any{"duration": 3600}, s.cookie()).is(201).member("jwt").(string)
	heard.told(token)
	if a := w.ask("DELETE /v1/account/sessions", nil, "X-Appwrite-JWT: "+token).is(204); len(a.cookies()) != 0 {
		t.Errorf("who comes by a token is told to forget %v", a.cookies())
	}
	ada.Password = "hunter-the-new"
	s = w.signIn(ada)
	token = w.ask("POST /v1/account/jwts", nil, s.cookie()).is(201).member("jwt").(string)
	heard.told(token)
	w.ask("DELETE /v1/account/sessions/current", nil, s.cookie()).is(204)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+token).refuses(401, "general_unauthorized_scope")
}

func TestForgedJWTsAreRefused(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("POST /v1/account/sessions/email", credentials(ada), "X-Appwrite-JWT: "+"garbage").refuses(401, "user_jwt_invalid")
	a := &API{Needs: Needs{JWTKey: []byte("32 bytes for the tests of tokens")}}
	key := a.jwtKey(w.project)
	good := claims{"ada", s.id, jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(w.clock.Now().Add(time.Minute))}}
	sign := func(method jwt.SigningMethod, c jwt.Claims, key any, header ...string) string {
		token := jwt.NewWithClaims(method, c)
		for i := 0; i < len(header); i += 2 {
			token.Header[header[i]] = header[i+1]
		}
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	genuine := sign(jwt.SigningMethodHS256, good, key)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+genuine).is(200)
	parts := strings.Split(genuine, ".")
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	without := func(c claims, change func(*claims)) claims { change(&c); return c }
	for name, token := range map[string]string{
		"garbage":                 "garbage",
		"no algorithm":            sign(jwt.SigningMethodNone, good, jwt.UnsafeAllowNoneSignatureType),
		"no algorithm, unsigned":  text(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + ".",
		"HS512":                   sign(jwt.SigningMethodHS512, good, key),
		"RS256":                   sign(jwt.SigningMethodRS256, good, private),
		"another key":             sign(jwt.SigningMethodHS256, good, []byte("another")),
		"another project's key":   sign(jwt.SigningMethodHS256, good, a.jwtKey(&project.Project{ID: "other"})),
		"the master key":          sign(jwt.SigningMethodHS256, good, a.JWTKey),
		"no signature":            parts[0] + "." + parts[1] + ".",
		"two parts":               parts[0] + "." + parts[1],
		"another body":            parts[0] + "." + text(`{"userId":"grace","sessionId":"x","exp":9999999999}`) + "." + parts[2],
		"a key id":                sign(jwt.SigningMethodHS256, good, key, "kid", "1"),
		"a key's address":         sign(jwt.SigningMethodHS256, good, key, "jku", "http://127.0.0.1:9/"),
		"a certificate's address": sign(jwt.SigningMethodHS256, good, key, "x5u", "http://127.0.0.1:9/"),
		"another type":            sign(jwt.SigningMethodHS256, good, key, "typ", "at+jwt"),
		"critical":                sign(jwt.SigningMethodHS256, good, key, "crit", "exp"),
		"no end":                  sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.ExpiresAt = nil }), key),
		"no account":              sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.UserID = "" }), key),
		"no session":              sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.SessionID = "" }), key),
		"not yet":                 sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.NotBefore = jwt.NewNumericDate(w.clock.Now().Add(time.Minute)) }), key),
		"over":                    sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(w.clock.Now()) }), key),
		"padding":                 genuine + "=",
		"a space":                 genuine + " x",
		"too long":                genuine + strings.Repeat("A", 5000),
	} {
		heard.told(token)
		if got := w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+token); got.status != 401 {
			t.Errorf("%s: %d", name, got.status)
		} else {
			got.refuses(401, "user_jwt_invalid")
		}
	}
	// Another account's session is nobody's.
	grace := w.member(grace)
	w.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+sign(jwt.SigningMethodHS256, without(good, func(c *claims) { c.SessionID = grace.id }), key)).refuses(401, "general_unauthorized_scope")

	off := newWorld(t, func(p *plan) { p.project.Auth.Methods.JWT = false })
	off.ask("GET /v1/account", nil, "X-Appwrite-JWT: "+genuine).refuses(401, "user_jwt_invalid")
}
