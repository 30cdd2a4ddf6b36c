package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// Envelope is how every answer that is not a success looks.
type Envelope struct {
	Message string `json:"message" doc:"What went wrong, for people."`
	Code    int    `json:"code" doc:"The HTTP status."`
	Type    string `json:"type" doc:"What went wrong, for programs."`
	Version string `json:"version" doc:"Acta's version."`

	retryAfter time.Duration
}

// Error gives the sentence.
func (e *Envelope) Error() string { return e.Message }

// GetStatus gives the HTTP status, for huma.
func (e *Envelope) GetStatus() int { return e.Code }

// GetHeaders gives what else the answer must tell, also to huma.
func (e *Envelope) GetHeaders() http.Header {
	if e.retryAfter <= 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(e.retryAfter.Seconds())))}}
}

// ContentType adds the character set, for huma.
func (e *Envelope) ContentType(string) string { return jsonUTF8 }

const jsonUTF8 = "application/json; charset=UTF-8"

// What the API itself answers.
var (
	errUnauthorizedScope = refusal.New(refusal.Unauthorized, "general_unauthorized_scope", "The current user is not allowed to do this.")
	errArgumentInvalid   = refusal.New(refusal.Invalid, "general_argument_invalid", "The request contains an invalid value.")
	errUnknownOrigin     = refusal.New(refusal.Forbidden, "general_unknown_origin", "The request came from an unknown origin. If you trust this origin, add its host name to the platforms of the project.")
	errRateLimit         = refusal.New(refusal.TooMany, "general_rate_limit_exceeded", "The rate limit of this endpoint was exceeded. Please try again later.")
	errLetterLimit       = errRateLimit.Saying("This project sends no more letters for now. Please try again later.")
	errProjectUnknown    = refusal.New(refusal.NotFound, "project_not_found", "There is no project with this id. Please check the X-Appwrite-Project header.")
	errKeyUnknown        = refusal.New(refusal.Unauthorized, "user_unauthorized", "The API key is not known to this project.")
	errKeyAndSession     = refusal.New(refusal.Forbidden, "user_key_and_session_set", "An API key and a session were sent in one request. Use either.")
	errSessionExists     = refusal.New(refusal.Unauthorized, "user_session_already_exists", "A session cannot be created while another one is active.")
	errLogAway           = refusal.New(refusal.Unavailable, "general_event_log_unavailable", "The event log cannot be read now. Please try again in a moment.").After(2 * time.Second)
	errMethodDisabled    = refusal.New(refusal.NotImplemented, "user_auth_method_unsupported", "This authentication method is disabled for this project.")
)

// statuses maps the kinds of refusals to HTTP.
var statuses = map[refusal.Kind]int{
	refusal.Invalid:        http.StatusBadRequest,
	refusal.Unauthorized:   http.StatusUnauthorized,
	refusal.Forbidden:      http.StatusForbidden,
	refusal.NotFound:       http.StatusNotFound,
	refusal.Conflict:       http.StatusConflict,
	refusal.TooMany:        http.StatusTooManyRequests,
	refusal.Unavailable:    http.StatusServiceUnavailable,
	refusal.NotImplemented: http.StatusNotImplemented,
	refusal.Precondition:   http.StatusPreconditionFailed,
}

// envelope turns an error into the answer. What is no refusal becomes a 500 without inner text, and is logged.
func (a *API) envelope(ctx context.Context, err error) *Envelope {
	var e *Envelope
	if errors.As(err, &e) {
		return e
	}
	if r := refusal.Of(err); r != nil {
		status := statuses[r.Kind]
		if status == http.StatusServiceUnavailable {
			slog.WarnContext(ctx, "a request could not be served now", "request", requestID(ctx), "error", err)
		}
		return &Envelope{r.Message, status, r.Type, a.Version, r.RetryAfter}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Envelope{"The request took too long. Please try again in a moment.", http.StatusServiceUnavailable, "general_timeout", a.Version, time.Second}
	}
	if errors.Is(err, event.ErrUnavailable) {
		return a.envelope(ctx, fmt.Errorf("%w: %w", errLogAway, err))
	}
	slog.ErrorContext(ctx, "a request failed", "request", requestID(ctx), "error", err)
	return &Envelope{"Server Error", http.StatusInternalServerError, "general_unknown", a.Version, 0}
}

// huma has one way of making errors for the whole program, so it is set once; which API answers, the call knows.
func init() {
	huma.NewErrorWithContext = humaError
	huma.NewError = func(int, string, ...error) huma.StatusError { return &Envelope{} } // asked for its type only
	huma.DefaultArrayNullable = false
}

// humaError is what huma asks for when parameters or a handler refuse: every error of an operation comes by here.
// huma's own status and message stand for nothing, as it checks nothing by itself.
func humaError(hc huma.Context, _ int, _ string, errs ...error) huma.StatusError {
	e := callOf(hc.Context()).api.envelope(hc.Context(), errors.Join(errs...))
	for k, v := range e.GetHeaders() {
		hc.SetHeader(k, v[0])
	}
	return e
}

// refuse answers outside of huma.
func (a *API) refuse(w http.ResponseWriter, e *Envelope) {
	for k, v := range e.GetHeaders() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Type", jsonUTF8)
	w.WriteHeader(e.Code)
	_ = json.NewEncoder(w).Encode(e) // the client went away: nothing is left to tell it
}
