package api

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/domain/refusal"
	"github.com/actahq/acta/projections"
)

var errJWTInvalid = refusal.New(refusal.Unauthorized, "user_jwt_invalid", "Failed to verify JWT. Invalid token.")

// How long a token opens its account, unless its session ends before.
const (
	jwtLife    = 15 * time.Minute
	maxJWTLife = time.Hour
)

// maxJWT is how long a token may be that is looked at. Ours have some 250 bytes.
const maxJWT = 4096

// claims is what a token says.
type claims struct {
	UserID    string `json:"userId"`
	SessionID string `json:"sessionId"`
	jwt.RegisteredClaims
}

// jwtKey is a project's own: a token of one project opens nothing in another.
func (a *API) jwtKey(p *project.Project) []byte { return projectKey(a.JWTKey, p) }

// projectKey derives a project's own key, of 32 bytes, from one for all projects.
func projectKey(all []byte, p *project.Project) []byte {
	key, err := hkdf.Expand(sha256.New, all, "project\x00"+p.ID, 32)
	if err != nil {
		panic(err) // only for more than 255 hashes of output
	}
	return key
}

// JWT is a token that stands for a session for a short time.
type JWT struct {
	answer
	JWT string `json:"jwt" doc:"To be sent as X-Appwrite-JWT."`
}

type jwtAnswer struct{ Body *JWT }

type createJWT struct {
	Duration *int `json:"duration,omitempty" check:"jwtDuration" minimum:"0" maximum:"3600" doc:"How many seconds the token shall be good for; 900 if absent."`
}

func checkJWTDuration(_ *call, raw json.RawMessage) (any, string) {
	seconds, err := strconv.Atoi(strings.Trim(string(raw), `"`)) // the reference takes digits in a string too
	if most := int(maxJWTLife.Seconds()); err != nil || seconds < 0 || seconds > most {
		return nil, "Value must be a valid range between 0 and 3,600"
	}
	return &seconds, ""
}

func (a *API) createJWT(ctx context.Context, in *Params[createJWT]) (*jwtAnswer, error) {
	c := callOf(ctx)
	if c.session == nil {
		return nil, account.ErrSessionUnknown // who comes by a token has no session to make another of
	}
	life := jwtLife
	if in.Value.Duration != nil {
		life = time.Duration(*in.Value.Duration) * time.Second
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{c.account.ID, c.session.Session, jwt.RegisteredClaims{
		ExpiresAt: jwt.NewNumericDate(a.Now().Add(life)),
	}})
	signed, err := t.SignedString(a.jwtKey(c.project))
	if err != nil {
		return nil, err
	}
	return &jwtAnswer{&JWT{JWT: signed}}, nil
}

// identifyByJWT finds out whose session a token stands for. Whoever's has ended is a guest.
func (c *call) identifyByJWT(token string) error {
	c.account, c.session = nil, nil
	said, err := c.readJWT(token)
	if err != nil {
		return err
	}
	ctx, now := c.r.Context(), c.api.Now()
	session, found, err := c.api.ReadModels.Session(ctx, c.project.ID, said.UserID, said.SessionID, now)
	if err != nil || !found {
		return err
	}
	account, found, err := c.api.ReadModels.Account(ctx, c.project.ID, said.UserID)
	if err != nil || !found {
		return err
	}
	c.account, c.standsFor = &account, &projections.SignedIn{Session: session.ID, Factors: session.Factors}
	return nil
}

// readJWT takes only what createJWT makes: HS256 by the project's key, with all its claims, and no header that would
// name another way to check it (RFC 8725, sections 3.1 and 3.11).
func (c *call) readJWT(token string) (claims, error) {
	var said claims
	if len(token) > maxJWT || !c.project.Auth.Methods.JWT {
		return said, errJWTInvalid
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithTimeFunc(c.api.Now), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(token, &said, func(t *jwt.Token) (any, error) {
		for name, value := range t.Header {
			if name != "alg" && (name != "typ" || value != "JWT") {
				return nil, errJWTInvalid
			}
		}
		return c.api.jwtKey(c.project), nil
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return said, errJWTInvalid.Saying("Failed to verify JWT. Invalid token: Expired")
	case err != nil || !validID.MatchString(said.UserID) || !validID.MatchString(said.SessionID):
		return said, errJWTInvalid
	}
	return said, nil
}
