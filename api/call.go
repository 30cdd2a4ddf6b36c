package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/projections"
)

// call is one request to the Account API: for which project, and who asks.
type call struct {
	api       *API
	operation string // id of the operation, as the OpenAPI document names it
	r         *http.Request
	w         http.ResponseWriter
	project   *project.Project
	ip        string
	locale    string // as the client asks for it, known or not
	body      body

	key       *project.Key          // set when a server asks
	account   *projections.Account  // set when somebody is signed in
	session   *projections.SignedIn // the session they are signed in with
	standsFor *projections.SignedIn // the session that a JWT they came with stands for
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// findProject looks at the query first, as browsers that navigate cannot send headers.
func (a *API) findProject(r *http.Request) *project.Project {
	id := ""
	if r.URL.RawQuery != "" {
		id = r.URL.Query().Get("project")
	}
	if id == "" {
		id = r.Header.Get("X-Appwrite-Project")
	}
	return a.projects[id]
}

// credential is what a session is presented as: base64 of JSON {"id": account id, "secret": plain secret}.
type credential struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

func (c credential) encode() string {
	b, _ := json.Marshal(c) // two strings always marshal
	return base64.StdEncoding.EncodeToString(b)
}

// decodeCredential reads a credential. One without an id of ours is none: Postgres would refuse to look for a NUL.
func decodeCredential(value string) (c credential, ok bool) {
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(b, &c) != nil || !validID.MatchString(c.ID) || c.Secret == "" {
		return credential{}, false
	}
	return c, true
}

// presented finds the session in a request: cookie, legacy cookie, header, fallback header, in that order.
func (c *call) presented() (credential, bool) {
	name := cookieName(c.project.ID)
	for _, n := range []string{name, name + legacySuffix} {
		if cookie, err := c.r.Cookie(n); err == nil {
			if cred, ok := decodeCredential(cookie.Value); ok {
				return cred, true
			}
		}
	}
	if cred, ok := decodeCredential(c.r.Header.Get("X-Appwrite-Session")); ok {
		return cred, true
	}
	c.w.Header().Set("X-Debug-Fallback", "true")
	var fallback map[string]string
	if json.Unmarshal([]byte(c.r.Header.Get("X-Fallback-Cookies")), &fallback) == nil {
		return decodeCredential(fallback[name])
	}
	return credential{}, false
}

// identify finds out who asks. Who cannot be identified is a guest; there is no "invalid session".
func (c *call) identify() error {
	c.w.Header().Set("X-Debug-Fallback", "false")
	if cred, ok := c.presented(); ok {
		account, session, found, err := c.api.ReadModels.BySecret(c.r.Context(), c.project.ID, cred.ID, commands.HashSecret(cred.Secret), c.api.Now())
		if err != nil {
			return err
		}
		if found {
			c.account, c.session = &account, &session
		}
	}
	if token := c.r.Header.Get("X-Appwrite-JWT"); token != "" {
		if err := c.identifyByJWT(token); err != nil {
			return err
		}
	}
	if presented := c.r.Header.Get("X-Appwrite-Key"); presented != "" {
		if c.key = findKey(c.project, presented); c.key == nil {
			return errKeyUnknown
		}
		if c.account != nil {
			return errKeyAndSession
		}
	}
	return nil
}

// findKey compares with every key of the project in constant time.
func findKey(p *project.Project, presented string) *project.Key {
	given := sha256.Sum256([]byte(presented))
	var found *project.Key
	for i := range p.Keys {
		known := sha256.Sum256([]byte(p.Keys[i].Secret))
		if subtle.ConstantTimeCompare(given[:], known[:]) == 1 {
			found = &p.Keys[i]
		}
	}
	return found
}

// Scopes of the endpoints.
const (
	scopeAccount       = "account"        // somebody is signed in
	scopeSessionsWrite = "sessions.write" // everybody; keys that were given it
	scopePublic        = "public"         // everybody but keys
)

func (c *call) allowed(scope string) bool {
	switch {
	case c.key != nil:
		return scope == scopeSessionsWrite && c.key.Allows(scope) // a server is nobody's account, whatever its key says
	case c.account != nil:
		return true
	default:
		return scope != scopeAccount
	}
}

// role tells, for the answer to somebody who may not, who they are taken for.
func (c *call) role() (name, role string) {
	if c.key != nil {
		return "app." + c.project.ID + "@service." + hostname(c.r.Host), "applications"
	}
	return "User", "guests" // who is signed in may
}

// current is the session that asks, by itself or by a JWT that stands for it; "" = none.
func (c *call) current() string {
	switch {
	case c.session != nil:
		return c.session.Session
	case c.standsFor != nil:
		return c.standsFor.Session
	}
	return ""
}

// generation is the published API that the client library was made for.
type generation struct{ major, minor int }

func (c *call) generation() generation {
	var g generation
	if n, err := fmt.Sscanf(c.r.Header.Get("X-Appwrite-Response-Format"), "%d.%d.", &g.major, &g.minor); n < 2 || err != nil {
		return generation{math.MaxInt, 0} // today's
	}
	return g
}

func (g generation) before(major, minor int) bool {
	return g.major < major || g.major == major && g.minor < minor
}

var localeShape = regexp.MustCompile(`^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})?$`)

// caller is who asks, in the words of commands.
func (c *call) caller() commands.Caller {
	by := commands.Caller{Project: c.project, Request: requestID(c.r.Context()), IP: c.ip, UserAgent: c.userAgent()}
	if localeShape.MatchString(c.locale) {
		by.Locale = c.locale
	}
	switch {
	case c.key != nil:
		by.Actor = event.Actor{Kind: event.ActorKey, ID: c.key.Name}
	case c.account != nil:
		by.Actor = event.Actor{Kind: event.ActorUser, ID: c.account.ID}
	default:
		by.Actor = event.Actor{Kind: event.ActorGuest}
	}
	return by
}

// maxUserAgent bounds what is kept of a header that the client chooses.
const maxUserAgent = 1024

// userAgent is the client's; a server with a key may hand on its own client's.
func (c *call) userAgent() string {
	ua := c.r.UserAgent()
	if forwarded := c.r.Header.Get("X-Forwarded-User-Agent"); c.key != nil && forwarded != "" {
		ua = forwarded
	}
	return clean(ua[:min(len(ua), maxUserAgent)])
}
