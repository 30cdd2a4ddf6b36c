package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// securitySchemes is the ways to say who asks, for the OpenAPI document.
var securitySchemes = map[string]*huma.SecurityScheme{
	"Project": {Type: "apiKey", In: "header", Name: "X-Appwrite-Project", Description: "The project's id."},
	"Session": {Type: "apiKey", In: "header", Name: "X-Appwrite-Session", Description: "A session's secret, as its creation answered it. Browsers send it as a cookie."},
	"Key":     {Type: "apiKey", In: "header", Name: "X-Appwrite-Key", Description: "An API key of the project, for servers."},
}

// operation is an endpoint as the list below names it.
type operation struct {
	id      string
	method  string
	paths   []string // the first is documented, the others are what older client libraries call it
	status  int
	summary string
	rules   rules
}

// routes lists every endpoint.
func (a *API) routes(h huma.API) {
	guest := rules{scope: scopeSessionsWrite}
	user := rules{scope: scopeAccount}
	byAddress := []string{"url:{url},ip:{ip}"}
	byUser := "url:{url},userId:{userId}"

	register(a, h, operation{"accountCreate", "POST", []string{"/account"}, 201, "Create account",
		rules{scope: scopeSessionsWrite, limit: 10, limitKeys: byAddress, authMethod: "emailPassword"}}, a.createAccount)
	register(a, h, operation{"accountGet", "GET", []string{"/account"}, 200, "Get account", user}, a.getAccount)
	register(a, h, operation{"accountDelete", "DELETE", []string{"/account"}, 204, "Delete account", user}, a.deleteAccount)
	register(a, h, operation{"accountUpdateName", "PATCH", []string{"/account/name"}, 200, "Update name", user}, a.changeName)
	// Each try at another address tells whether it is taken, and each change costs a letter.
	register(a, h, operation{"accountUpdateEmail", "PATCH", []string{"/account/email"}, 200, "Update email", rules{scope: scopeAccount, limit: 10, limitKeys: []string{byUser}, stamped: true}}, a.changeEmail)
	register(a, h, operation{"accountUpdatePassword", "PATCH", []string{"/account/password"}, 200, "Update password",
		rules{scope: scopeAccount, limit: 10, limitKeys: byAddress}}, a.changePassword)
	register(a, h, operation{"accountUpdateStatus", "PATCH", []string{"/account/status"}, 200, "Block account", user}, a.block)
	register(a, h, operation{"accountGetPrefs", "GET", []string{"/account/prefs"}, 200, "Get preferences", user}, a.getPrefs)
	register(a, h, operation{"accountUpdatePrefs", "PATCH", []string{"/account/prefs"}, 200, "Update preferences", user.stampedToo()}, a.changePrefs)
	register(a, h, operation{"accountListLogs", "GET", []string{"/account/logs"}, 200, "List logs", user}, a.listLogs)

	signIn := guest
	signIn.limit, signIn.limitKeys, signIn.startsOne, signIn.authMethod = 10, []string{"url:{url},email:{param-email}"}, true, "emailPassword"
	register(a, h, operation{"accountCreateEmailPasswordSession", "POST", []string{"/account/sessions/email", "/account/sessions"}, 201, "Create email password session", signIn}, a.createEmailSession)
	register(a, h, operation{"accountListSessions", "GET", []string{"/account/sessions"}, 200, "List sessions", user}, a.listSessions)
	register(a, h, operation{"accountDeleteSessions", "DELETE", []string{"/account/sessions"}, 204, "Delete sessions",
		rules{scope: scopeAccount, limit: 100, limitKeys: byAddress}}, a.endSessions)
	register(a, h, operation{"accountGetSession", "GET", []string{"/account/sessions/{sessionId}"}, 200, "Get session", user}, a.getSession)
	register(a, h, operation{"accountUpdateSession", "PATCH", []string{"/account/sessions/{sessionId}"}, 200, "Update session",
		rules{scope: scopeAccount, limit: 10, limitKeys: byAddress}}, a.extendSession)
	register(a, h, operation{"accountDeleteSession", "DELETE", []string{"/account/sessions/{sessionId}"}, 204, "Delete session",
		rules{scope: scopeAccount, limit: 100, limitKeys: byAddress, stamped: true, oneFactor: true}}, a.endSession)

	// The other ways in.
	byEmail, byPhone := "url:{url},email:{param-email}", "url:{url},phone:{param-phone}"
	byOwner := []string{"ip:{ip},userId:{param-userId}"}
	register(a, h, operation{"accountCreateAnonymousSession", "POST", []string{"/account/sessions/anonymous"}, 201, "Create anonymous session",
		rules{scope: scopeSessionsWrite, limit: 50, limitKeys: []string{"ip:{ip}"}, startsOne: true, authMethod: "anonymous"}}, a.createAnonymousSession)
	magicURL := rules{scope: scopeSessionsWrite, limit: 60, limitKeys: []string{byEmail, byAddress[0]}, authMethod: "magicURL"}
	register(a, h, operation{"accountCreateMagicURLToken", "POST", []string{"/account/tokens/magic-url"}, 201, "Create magic URL token", magicURL}, a.createMagicURL)
	// The older names have a limit of their own per address; per client they share that of today's, so that nobody has both.
	magicURL.limit, magicURL.limitKeys, magicURL.old = 10, []string{byEmail}, true
	magicURL.wider = limit{60, []string{"url:POST /v1/account/tokens/magic-url,ip:{ip}"}}
	register(a, h, operation{"accountCreateMagicURLSession", "POST", []string{"/account/sessions/magic-url"}, 201, "Create magic URL session", magicURL}, a.createMagicURL)
	register(a, h, operation{"accountCreateEmailToken", "POST", []string{"/account/tokens/email"}, 201, "Create email token (OTP)",
		rules{scope: scopeSessionsWrite, limit: 10, limitKeys: []string{byEmail, byAddress[0]}, authMethod: "emailOTP"}}, a.createEmailCode)
	phone := rules{scope: scopeSessionsWrite, limit: 10, limitKeys: []string{byPhone, byAddress[0]}, authMethod: "phone"}
	register(a, h, operation{"accountCreatePhoneToken", "POST", []string{"/account/tokens/phone"}, 201, "Create phone token", phone}, a.createPhoneCode)
	phone.limitKeys, phone.old = []string{byPhone, "url:POST /v1/account/tokens/phone,ip:{ip}"}, true
	register(a, h, operation{"accountCreatePhoneSession", "POST", []string{"/account/sessions/phone"}, 201, "Create phone session", phone}, a.createPhoneCode)
	redeem := rules{scope: scopeSessionsWrite, limit: 10, limitKeys: byOwner, startsOne: true}
	register(a, h, operation{"accountCreateSession", "POST", []string{"/account/sessions/token"}, 201, "Create session from a token", redeem}, a.createTokenSession)
	register(a, h, operation{"accountUpdateMagicURLSession", "PUT", []string{"/account/sessions/magic-url"}, 201, "Create session from a magic URL", redeem}, a.createMagicURLSession)
	register(a, h, operation{"accountUpdatePhoneSession", "PUT", []string{"/account/sessions/phone"}, 201, "Create session from a phone code", redeem}, a.createPhoneSession)
	register(a, h, operation{"accountCreateJWT", "POST", []string{"/account/jwts", "/account/jwt"}, 201, "Create JWT",
		rules{scope: scopeAccount, limit: 100, limitKeys: []string{byUser}, authMethod: "jwt"}}, a.createJWT)

	// Proving and recovering.
	register(a, h, operation{"accountUpdatePhone", "PATCH", []string{"/account/phone"}, 200, "Update phone",
		rules{scope: scopeAccount, limit: 10, limitKeys: []string{byUser}}}, a.changePhone)
	register(a, h, operation{"accountCreateRecovery", "POST", []string{"/account/recovery"}, 201, "Create password recovery",
		rules{scope: scopeSessionsWrite, limit: 10, limitKeys: []string{byEmail, byAddress[0]}}}, a.createRecovery)
	register(a, h, operation{"accountUpdateRecovery", "PUT", []string{"/account/recovery"}, 200, "Set the password anew",
		rules{scope: scopeSessionsWrite, limit: 10, limitKeys: []string{"url:{url},userId:{param-userId}"}}}, a.finishRecovery)
	register(a, h, operation{"accountCreateEmailVerification", "POST", []string{"/account/verifications/email", "/account/verification"}, 201, "Create email verification",
		rules{scope: scopeAccount, limit: 10, limitKeys: []string{byUser, "url:{url},email:{email}"}}}, a.createEmailVerification)
	register(a, h, operation{"accountUpdateEmailVerification", "PUT", []string{"/account/verifications/email", "/account/verification"}, 200, "Verify the email",
		rules{scope: scopePublic, limit: 10, limitKeys: []string{"url:{url},userId:{param-userId}"}}}, a.finishEmailVerification)
	register(a, h, operation{"accountCreatePhoneVerification", "POST", []string{"/account/verifications/phone", "/account/verification/phone"}, 201, "Create phone verification",
		rules{scope: scopeAccount, limit: 10, limitKeys: []string{byUser, "url:{url},phone:{phone}", byAddress[0]}, authMethod: "phone"}}, a.createPhoneVerification)
	register(a, h, operation{"accountUpdatePhoneVerification", "PUT", []string{"/account/verifications/phone", "/account/verification/phone"}, 200, "Verify the phone",
		rules{scope: scopePublic, limit: 10, limitKeys: []string{"userId:{param-userId}"}}}, a.finishPhoneVerification)

	// By way of a provider.
	navigating := rules{scope: scopeSessionsWrite, limit: 50, limitKeys: []string{"ip:{ip}"}, page: true}
	register(a, h, operation{"accountCreateOAuth2Session", "GET", []string{"/account/sessions/oauth2/{provider}"}, 301, "Create session with OAuth2", navigating}, a.visitForSession)
	register(a, h, operation{"accountCreateOAuth2Token", "GET", []string{"/account/tokens/oauth2/{provider}"}, 301, "Create token with OAuth2", navigating}, a.visitForToken)
	register(a, h, operation{"accountReturnFromOAuth2", "GET", []string{"/account/sessions/oauth2/{provider}/redirect"}, 301, "Return from an OAuth2 provider", navigating}, a.comeBack)
	register(a, h, operation{"accountListIdentities", "GET", []string{"/account/identities"}, 200, "List identities", user}, a.listIdentities)
	register(a, h, operation{"accountDeleteIdentity", "DELETE", []string{"/account/identities/{identityId}"}, 204, "Delete identity", user}, a.removeIdentity)

	// Second factors.
	half := rules{scope: scopeAccount, oneFactor: true}
	register(a, h, operation{"accountUpdateMFA", "PATCH", []string{"/account/mfa"}, 200, "Update MFA", user}, a.switchMFA)
	register(a, h, operation{"accountListMFAFactors", "GET", []string{"/account/mfa/factors"}, 200, "List factors", half}, a.listFactors)
	register(a, h, operation{"accountCreateMFAAuthenticator", "POST", []string{"/account/mfa/authenticators/{type}"}, 200, "Create authenticator", user}, a.addAuthenticator)
	register(a, h, operation{"accountGetMFAAuthenticatorQR", "GET", []string{"/account/mfa/authenticators/{type}/qr"}, 200, "Draw the QR code of an authenticator", user}, a.drawAuthenticator)
	register(a, h, operation{"accountUpdateMFAAuthenticator", "PUT", []string{"/account/mfa/authenticators/{type}"}, 200, "Verify authenticator", user}, a.verifyAuthenticator)
	register(a, h, operation{"accountDeleteMFAAuthenticator", "DELETE", []string{"/account/mfa/authenticators/{type}"}, 204, "Delete authenticator", user}, a.removeAuthenticator)
	challenges := []string{"/account/mfa/challenges", "/account/mfa/challenge"}
	half.limit, half.limitKeys = 10, []string{byUser}
	register(a, h, operation{"accountCreateMFAChallenge", "POST", challenges, 201, "Create MFA challenge", half}, a.issueChallenge)
	half.limitKeys = []string{"url:{url},challengeId:{param-challengeId}"}
	register(a, h, operation{"accountUpdateMFAChallenge", "PUT", challenges, 200, "Answer MFA challenge", half}, a.passChallenge)
	codes := []string{"/account/mfa/recovery-codes"}
	register(a, h, operation{"accountCreateMFARecoveryCodes", "POST", codes, 201, "Create recovery codes", user}, a.makeRecoveryCodes)
	register(a, h, operation{"accountGetMFARecoveryCodes", "GET", codes, 200, "List recovery codes", user}, a.listRecoveryCodes)
	register(a, h, operation{"accountUpdateMFARecoveryCodes", "PATCH", codes, 200, "Renew recovery codes", user}, a.renewRecoveryCodes)
}

func (r rules) stampedToo() rules {
	r.stamped = true
	return r
}

// documented is an input that describes its own part of the OpenAPI document.
type documented interface {
	document(op *huma.Operation, registry huma.Registry)
}

// register serves an operation under all its paths. The aliases share the first path's rate limit.
func register[I, O any](a *API, h huma.API, o operation, handle func(context.Context, *I) (*O, error)) {
	for i, path := range o.paths {
		op := huma.Operation{
			OperationID:        o.id,
			Method:             o.method,
			Path:               "/v1" + path,
			Summary:            o.summary,
			Tags:               []string{"account"},
			DefaultStatus:      o.status,
			Hidden:             i > 0 || o.rules.old,
			Security:           o.security(),
			Middlewares:        huma.Middlewares{a.pipeline(o.id, o.rules, o.method+" /v1"+o.paths[0])},
			Errors:             o.errors(),
			SkipValidateParams: true, // what there is to check is checked in the contract's words
		}
		huma.Register(h, op, handle)
		if i > 0 || o.rules.old {
			continue
		}
		described := operationOf(h.OpenAPI().Paths[op.Path], o.method)
		delete(described.Responses, "422") // huma adds it; what is invalid is a 400 here
		if d, ok := any(new(I)).(documented); ok {
			d.document(described, h.OpenAPI().Components.Schemas)
		}
	}
}

func (o operation) security() []map[string][]string {
	session := map[string][]string{"Project": {}, "Session": {}}
	switch o.rules.scope {
	case scopeAccount:
		return []map[string][]string{session}
	case scopePublic:
		return []map[string][]string{{"Project": {}}}
	}
	return []map[string][]string{{"Project": {}}, {"Project": {}, "Key": {}}}
}

// errors lists the statuses an operation can refuse with besides 500, for the OpenAPI document.
func (o operation) errors() []int {
	statuses := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusServiceUnavailable}
	if o.rules.limit > 0 {
		statuses = append(statuses, http.StatusTooManyRequests)
	}
	if o.rules.authMethod != "" {
		statuses = append(statuses, http.StatusNotImplemented)
	}
	if slices.Contains([]string{"accountCreate", "accountUpdateEmail", "accountUpdatePhone", "accountCreateMagicURLToken", "accountCreateEmailToken",
		"accountCreatePhoneToken", "accountCreateMFAAuthenticator", "accountUpdateMFAAuthenticator", "accountCreateMFARecoveryCodes", "accountCreateEmailVerification", "accountCreatePhoneVerification"}, o.id) {
		statuses = append(statuses, http.StatusConflict)
	}
	return statuses
}

func operationOf(item *huma.PathItem, method string) *huma.Operation {
	switch method {
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	default:
		return item.Get
	}
}
