// Package api is HTTP in and HTTP out: a request becomes a command, a row becomes a response, a refusal becomes an
// error envelope. It serves the Account API as the published client libraries speak it. It decides nothing about
// accounts and does not know how anything is stored.
package api

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/rs/cors"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/project"
	"github.com/actahq/acta/projections"
)

// Allowance is what is left of a rate limit after a call: that of the tightest of its keys.
type Allowance struct {
	Limit     int       // calls in a window
	Remaining int       // calls left in it
	Reset     time.Time // when the next window begins
	Allowed   bool      // whether this call is within the limit
}

// Needs is what the API is made of.
type Needs struct {
	Commands       *commands.Commands
	ReadModels     *projections.ReadModels
	Projects       []project.Project
	PublicURL      string // base of the API as clients reach it
	TrustedProxies []netip.Prefix
	// CountCall counts one call under each key, unless one of them has had its limit in the present window.
	CountCall      func(ctx context.Context, limit int, window time.Duration, keys ...string) (Allowance, error)
	RateLimits     bool // whether calls are counted at all
	CommonPassword func(password string) bool
	JWTKey         []byte // the projects' keys are derived from it; 32 bytes
	IDKey          []byte // the keys for ids that are told to guests, derived likewise; 32 bytes
	Mail, Texts    bool   // whether letters go out by e-mail, and by text message
	// Provider gives an OAuth2 provider as a project has configured it; false = it has not. KnownProvider says whether
	// there is one of that id at all, ProviderName how people call it.
	Provider       func(project, id string) (Provider, bool)
	KnownProvider  func(id string) bool
	ProviderName   func(id string) string
	Device         func(userAgent string) Device
	CountryCode    func(ip string) string
	CountryName    func(code, locale string) string
	ObserveRequest func(route, method string, status int, took time.Duration)
	ObserveCommand func(command, outcome string) // outcome: ok, a refusal's type, or error
	Version        string
	Now            func() time.Time
}

// API is the Account API.
type API struct {
	Needs
	projects   map[string]*project.Project
	publicHost string
	publicPath string // what stands before /v1 where clients reach it; usually nothing
}

// New makes the handler of everything below /v1, of the OpenAPI document and of its page.
func New(needs Needs) (http.Handler, error) {
	a := &API{Needs: needs, projects: map[string]*project.Project{}}
	for i := range a.Projects {
		a.projects[a.Projects[i].ID] = &a.Projects[i]
	}
	public, err := url.Parse(a.PublicURL)
	if err != nil {
		return nil, err
	}
	a.publicHost, a.publicPath = hostname(public.Host), public.Path

	r := chi.NewRouter()
	r.Use(a.observe, a.secureHeaders, a.recover, a.limitHeaders, a.cors(), middleware.GetHead)
	r.NotFound(a.notFound)
	r.MethodNotAllowed(a.notAllowed(r))

	config := huma.DefaultConfig("Acta Account API", a.Version)
	config.Info.Description = "Accounts, sessions and the security log, event-sourced."
	config.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	config.Servers = []*huma.Server{{URL: a.PublicURL}}
	config.CreateHooks = nil
	config.SchemasPath = ""
	config.DocsPath = ""
	config.Components.SecuritySchemes = securitySchemes
	h := humachi.New(r, config)
	a.routes(h)
	r.Get(visitPath+"/callback/{provider}/{projectId}", a.callback)
	r.Post(visitPath+"/callback/{provider}/{projectId}", a.callback)
	a.docs(r)
	a.pages(r)
	return r, nil
}

func (a *API) cors() func(http.Handler) http.Handler {
	return cors.New(cors.Options{
		AllowOriginVaryRequestFunc: a.allowOrigin,
		AllowCredentials:           true,
		AllowedMethods:             []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{
			"Accept", "Cache-Control", "Content-Range", "Content-Type", "Cookie", "Expires", "Origin", "Pragma", "Range", "User-Agent",
			"X-Appwrite-Dev-Key", "X-Appwrite-ID", "X-Appwrite-JWT", "X-Appwrite-Key", "X-Appwrite-Locale", "X-Appwrite-Mode",
			"X-Appwrite-Project", "X-Appwrite-Response-Format", "X-Appwrite-Session", "X-Appwrite-Timestamp",
			"X-Fallback-Cookies", "X-Forwarded-For", "X-Forwarded-User-Agent", "X-Request-ID", "X-Requested-With",
			"X-SDK-GraphQL", "X-SDK-Language", "X-SDK-Name", "X-SDK-Platform", "X-SDK-Version",
		},
		ExposedHeaders:       []string{"X-Appwrite-Session", "X-Fallback-Cookies", "X-Request-ID", "Retry-After"},
		OptionsSuccessStatus: http.StatusNoContent,
		MaxAge:               600,
	}).Handler
}
