package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
	"github.com/actahq/acta/domain/visit"
)

// Provider is an OAuth2 provider as a project uses it. Its errors are *ProviderFailure, or ErrProviderResting.
type Provider interface {
	// AuthorizeURL is where a visitor goes. scopes are those that the client asks for beside the usual ones.
	AuthorizeURL(ctx context.Context, v commands.Visit, scopes []string) (string, error)
	// Exchange learns who came back, and what the provider gave for asking it more. form is all that it sent along.
	Exchange(ctx context.Context, code string, v commands.Visit, form url.Values) (account.Visitor, error)
	// Refresh gets other tokens.
	Refresh(ctx context.Context, refreshToken string) (account.ProviderTokens, error)
}

// ErrNobody: the provider let somebody in, and did not tell whom.
var ErrNobody = refusal.New(refusal.Invalid, "user_missing_id", "The OAuth2 provider did not tell who somebody is.")

// ErrProviderResting: the provider failed several times in a row and was not asked.
var ErrProviderResting = errors.New("the provider is given a rest")

// ProviderFailure is what a provider answered instead of what it was asked for.
type ProviderFailure struct {
	Status int    // of HTTP; 0 = there was no answer that could be used
	Code   string // of OAuth2, such as invalid_grant; may be empty
	Why    string // for the operator, without anything that the provider said
}

func (f *ProviderFailure) Error() string { return f.Why }

// What visits answer.
var (
	errProviderDisabled = refusal.New(refusal.Precondition, "project_provider_disabled", "The chosen OAuth2 provider is disabled. Add it to the project's configuration to enable it.")
	errSuccessURL       = refusal.New(refusal.Invalid, "project_invalid_success_url", "The success URL of this sign-in is not one of the project's any more.")
	errFailureURL       = refusal.New(refusal.Invalid, "project_invalid_failure_url", "The failure URL of this sign-in is not one of the project's any more.")
	errOtherSession     = refusal.New(refusal.Unauthorized, "user_unauthorized", "You were signed in to another account, or signed out, while you were at the provider. Please begin again.")
)

const (
	successPage = "/console/auth/oauth2/success"
	failurePage = "/console/auth/oauth2/failure"
	// visitCookie and a hash of the state name the cookie that binds a visit to its browser.
	visitCookie = "a_visit_"
	visitPath   = "/v1/account/sessions/oauth2"

	maxVisitValue = 2048 // bytes of what comes back from a provider
	maxScopes     = 100
	maxScope      = 4096

	providerRest = 10 * time.Second // how long a provider that has failed is left alone
)

// browserAnswer is for a browser that navigates: it goes somewhere, or shows a page.
type browserAnswer struct {
	Status      int
	Location    string `header:"Location"`
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func goTo(where string) *browserAnswer {
	return &browserAnswer{Status: http.StatusMovedPermanently, Location: where, ContentType: "text/html; charset=UTF-8"}
}

// visitInput is what a client may say that sends somebody to a provider.
type visitInput struct {
	Provider string `path:"provider" doc:"Such as github, or an id of the project's own."`
}

func (*visitInput) document(op *huma.Operation, _ huma.Registry) {
	text := &huma.Schema{Type: huma.TypeString}
	list := &huma.Schema{Type: huma.TypeArray, Items: text}
	op.Parameters = append(op.Parameters,
		&huma.Param{Name: "project", In: "query", Schema: text, Description: "The project's id: a browser that navigates sends no headers."},
		&huma.Param{Name: "success", In: "query", Schema: text, Description: "Where to go afterwards: a platform of the project."},
		&huma.Param{Name: "failure", In: "query", Schema: text, Description: "Where to go if it fails; error is added, as JSON."},
		&huma.Param{Name: "scopes[]", In: "query", Schema: list, Description: "What to ask the provider for beside the usual."})
	op.Responses = map[string]*huma.Response{"301": {Description: "To the provider."}}
}

func (a *API) visitForSession(ctx context.Context, in *visitInput) (*browserAnswer, error) {
	return a.beginVisit(ctx, in.Provider, false)
}

func (a *API) visitForToken(ctx context.Context, in *visitInput) (*browserAnswer, error) {
	return a.beginVisit(ctx, in.Provider, true)
}

func (a *API) beginVisit(ctx context.Context, id string, token bool) (*browserAnswer, error) {
	c := callOf(ctx)
	begun, way, scopes, err := c.visitParams(id, token)
	if err != nil {
		return c.page(err), nil
	}
	provider, ok := a.Provider(c.project.ID, id)
	if !ok {
		return c.page(errProviderDisabled), nil
	}
	// A server begins visits for browsers that it alone knows. They end with a token, which it takes from its own page: to
	// see that it comes from the browser it sent away is its own business. A session goes to no browser but that one.
	v, err := a.Commands.BeginVisit(ctx, c.caller(), begun, way, c.key == nil || !token)
	if err := a.counted(ctx, err); err != nil {
		return c.page(err), nil
	}
	where, err := provider.AuthorizeURL(ctx, v, scopes)
	if err != nil {
		return c.fail(v.Failure, c.providerError(id, "", err)), nil
	}
	if v.Browser != "" {
		c.setVisitCookie(v.State, v.Browser, visit.Lifetime)
	}
	return goTo(where), nil
}

// visitParams checks what a client says about a visit.
func (c *call) visitParams(id string, token bool) (visit.Begun, commands.Way, []string, error) {
	q := c.r.URL.Query()
	begun, way := visit.Begun{Provider: id, Token: token}, commands.Way{Success: q.Get("success"), Failure: q.Get("failure")}
	if !c.api.KnownProvider(id) {
		if _, custom := c.api.Provider(c.project.ID, id); !custom {
			return begun, way, nil, invalid("provider", "Value must be one of the OAuth2 providers that the documentation lists, or one of the project's own")
		}
	}
	for _, name := range []string{"success", "failure"} {
		if !q.Has(name) {
			continue
		}
		if problem := c.api.redirectProblem(c.project, q.Get(name)); problem != "" {
			return begun, way, nil, invalid(name, problem)
		}
	}
	if way.Success == "" {
		way.Success = c.api.PublicURL + successPage
	}
	if way.Failure == "" {
		way.Failure = c.api.PublicURL + failurePage
	}
	if c.session != nil {
		begun.Account = c.account.ID
	}
	scopes, err := scopesOf(q)
	return begun, way, scopes, err
}

// scopesOf reads scopes[], scopes[0], scopes[1], ...
func scopesOf(q url.Values) ([]string, error) {
	if q.Has("scopes") {
		return nil, invalid("scopes", "Value must a valid array")
	}
	var scopes []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if name == "scopes[]" || strings.HasPrefix(name, "scopes[") && strings.HasSuffix(name, "]") {
			scopes = append(scopes, q[name]...)
		}
	}
	for _, s := range scopes {
		if len(scopes) > maxScopes || s == "" || len(s) > maxScope || clean(s) != s {
			return nil, invalid("scopes", fmt.Sprintf("Value must a valid array no longer than %d items and Value must be a valid string and at least 1 chars and no longer than %d chars", maxScopes, maxScope))
		}
	}
	return scopes, nil
}

// callback is where providers send people back to. It belongs to no project's pipeline: all it does is to lead the
// browser to the next step, by GET, so that it brings the cookies that a form sent from elsewhere does not bring.
func (a *API) callback(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8*maxVisitValue)
	status := http.StatusMovedPermanently
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	provider, project := chi.URLParam(r, "provider"), chi.URLParam(r, "projectId")
	if err := r.ParseForm(); err != nil || !validID.MatchString(provider) || a.projects[project] == nil {
		a.writePage(w, a.envelope(r.Context(), errArgumentInvalid))
		return
	}
	r.Form.Set("project", project)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", a.publicPath+visitPath+"/"+provider+"/redirect?"+r.Form.Encode())
	w.WriteHeader(status)
}

// comeBackInput is what a provider sends along.
type comeBackInput struct {
	Provider string `path:"provider" doc:"Where they come from."`
}

func (*comeBackInput) document(op *huma.Operation, _ huma.Registry) {
	op.Responses = map[string]*huma.Response{"301": {Description: "To the success or the failure URL."}}
}

// comeBack is the way back from a provider: the visit ends, whatever comes of it.
func (a *API) comeBack(ctx context.Context, in *comeBackInput) (*browserAnswer, error) {
	c := callOf(ctx)
	q := c.r.URL.Query()
	for _, name := range []string{"code", "state", "error", "error_description"} {
		if len(q.Get(name)) > maxVisitValue {
			return c.page(invalid(name, fmt.Sprintf("Value must be a valid string and no longer than %d chars", maxVisitValue))), nil
		}
	}
	state, browser := q.Get("state"), ""
	if cookie, err := c.r.Cookie(visitCookieName(state)); err == nil {
		browser = cookie.Value
		c.setVisitCookie(state, "", -time.Hour)
	}
	v, err := a.Commands.EndVisit(ctx, c.caller(), in.Provider, state, browser)
	if err != nil {
		return c.page(a.counted(ctx, err)), nil
	}
	switch { // the configuration may have changed since
	case a.redirectProblem(c.project, v.Success) != "" && v.Success != a.PublicURL+successPage:
		return c.page(errSuccessURL), nil
	case a.redirectProblem(c.project, v.Failure) != "" && v.Failure != a.PublicURL+failurePage:
		return c.page(errFailureURL), nil
	}
	where, err := c.enter(ctx, v, q)
	if err := a.counted(ctx, err); err != nil {
		return c.fail(v.Failure, err), nil
	}
	return goTo(where), nil
}

// counted counts the outcome of a command whose answer is not waited for here.
func (a *API) counted(ctx context.Context, err error) error {
	outcome := "ok"
	if err != nil {
		outcome = "error"
		if e := a.envelope(ctx, err); e.Code < http.StatusInternalServerError {
			outcome = e.Type
		}
	}
	a.ObserveCommand(callOf(ctx).operation, outcome)
	return err
}

// enter lets a visitor in and says where they go.
func (c *call) enter(ctx context.Context, v commands.Visit, q url.Values) (string, error) {
	provider, ok := c.api.Provider(c.project.ID, v.Provider)
	switch {
	case !ok:
		return "", errProviderDisabled
	case q.Get("error") != "":
		return "", c.providerSaid(v.Provider, q.Get("error"), q.Get("error_description"))
	case q.Get("code") == "":
		return "", &Envelope{Message: "Missing OAuth2 code. Please contact the operator of this server for additional support.", Code: http.StatusFailedDependency, Type: "user_oauth2_provider_error", Version: c.api.Version}
	}
	visitor, err := provider.Exchange(ctx, q.Get("code"), v, q)
	if err != nil {
		return "", c.providerError(v.Provider, "Failed to obtain access token. ", err)
	}
	in := commands.Enter{Visitor: visitor, Token: v.Token}
	if v.Account != "" {
		if c.session == nil || c.account.ID != v.Account {
			return "", errOtherSession
		}
		in.Account, in.Session = c.account.ID, c.session.Session
	}
	by := c.caller()
	if v.Account == "" && c.key == nil {
		by.Actor = event.Actor{Kind: event.ActorGuest} // whatever they are signed in to by now, they did not go for it
	}
	entered, at, err := c.api.Commands.Enter(ctx, by, in)
	if err == nil {
		err = c.api.wait(ctx, at)
	}
	if err != nil {
		return "", err
	}
	if c.session != nil && v.Account == "" {
		// They signed in by another way while they were at the provider. The browser is about to forget that session, or
		// to redeem a token, which nobody can who is signed in. What they came for they have, if this fails.
		if at, err := c.api.Commands.EndSession(ctx, c.caller(), c.account.ID, c.session.Session); err == nil {
			_ = c.api.wait(ctx, at)
		}
	}
	if v.Token {
		return link(v.Success, [2]string{"secret", entered.Token.Secret}, [2]string{"userId", entered.Token.AccountID}), nil
	}
	secret := credential{entered.AccountID, entered.StartedSession.Secret}.encode()
	c.giveSession(secret, entered.Expires)
	if c.api.isSuccessPage(v.Success) {
		// Apps that cannot read the cookie take the session from here.
		return link(v.Success, [2]string{"project", c.project.ID}, [2]string{"domain", cookieDomain(hostname(c.r.Host))},
			[2]string{"key", cookieName(c.project.ID)}, [2]string{"secret", secret}), nil
	}
	return v.Success, nil
}

// isSuccessPage says whether a URL is the page of that name, on this server or as an app's own.
func (a *API) isSuccessPage(success string) bool {
	u, err := url.Parse(success)
	return err == nil && (u.Path == successPage || u.Path == "/auth/oauth2/success" || success == a.PublicURL+successPage)
}

// fail sends somebody to a failure URL that was checked, with what went wrong.
func (c *call) fail(failure string, err error) *browserAnswer {
	e := c.api.envelope(c.r.Context(), err)
	told, _ := json.Marshal(struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    int    `json:"code"`
	}{e.Message, e.Type, e.Code}) // texts and a number always marshal
	return goTo(link(failure, [2]string{"error", string(told)}))
}

// maxProviderText is how much is shown of what a provider says, in characters.
const maxProviderText = 200

// providerSaid is an error that the provider sent along.
func (c *call) providerSaid(id, code, description string) error {
	text := clean(code)
	if description != "" {
		text += ": " + clean(description)
	}
	if r := []rune(text); len(r) > maxProviderText {
		text = string(r[:maxProviderText])
	}
	return &Envelope{
		Message: fmt.Sprintf("The %s OAuth2 provider returned an error: %s", c.api.ProviderName(id), text),
		Code:    http.StatusFailedDependency, Type: "user_oauth2_provider_error", Version: c.api.Version,
	}
}

// providerError turns what came of asking a provider into the contract's words.
func (c *call) providerError(id, before string, err error) error {
	failure, failed := errors.AsType[*ProviderFailure](err)
	if failed || errors.Is(err, ErrNobody) {
		slog.WarnContext(c.r.Context(), "a provider did not do what it was asked for", "request", requestID(c.r.Context()), "project", c.project.ID, "provider", id, "error", err)
	}
	e := &Envelope{Code: http.StatusFailedDependency, Type: "user_oauth2_provider_error", Version: c.api.Version}
	said := "it did not answer as it should"
	switch {
	case errors.Is(err, ErrProviderResting):
		said = "it does not answer. Please try again in a moment"
	case !failed:
		return err
	case failure.Status == http.StatusBadRequest:
		e.Code, e.Type = failure.Status, "user_oauth2_bad_request"
	case failure.Status == http.StatusUnauthorized:
		e.Code, e.Type = failure.Status, "user_oauth2_unauthorized"
	}
	if failed && failure.Code != "" {
		said = failure.Code
	}
	e.Message = fmt.Sprintf("%sThe %s OAuth2 provider returned an error: %s.", before, c.api.ProviderName(id), said)
	return e
}

func visitCookieName(state string) string {
	sum := sha256.Sum256([]byte(state))
	return visitCookie + hex.EncodeToString(sum[:8])
}

func (c *call) setVisitCookie(state, value string, life time.Duration) {
	http.SetCookie(c.w, &http.Cookie{
		Name: visitCookieName(state), Value: value, Path: c.api.publicPath + visitPath, MaxAge: int(life.Seconds()),
		Secure: c.api.secure(c.r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
