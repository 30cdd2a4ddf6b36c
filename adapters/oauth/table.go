package oauth

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
)

// table holds the providers of the reference, by id; adding one is a row here and a recorded profile in recorded_test.go.
//
// When an address counts as verified. An account may be found by it, so only a provider's word that the person has proven
// it will do. The reference takes "there is an address" for that word with Amazon, Box, Etsy, Facebook, Figma, Microsoft,
// Notion, PayPal, Slack, Stripe, Tradeshift, Twitch, Yahoo and Yammer. Of these
//
//   - PayPal marks each address as confirmed, Yahoo gives email_verified, and so does Slack to its newer scopes: these flags
//     count;
//   - Microsoft's userPrincipalName is a name that the administrator of any tenant chooses ("nOAuth", 2023);
//   - the others tell no more than that there is an address (Twitch says so in a sentence of its manual, but gives no flag).
//
// Dailymotion's "verified" and PayPal's "verified_account" are about the account, not the address. Disqus, Spotify and
// Yandex never tell. Bitbucket, Bitly, GitHub and Podio list addresses with a flag each.
//
// Everybody gets PKCE (S256), as RFC 9700, 2.1.1 asks for and RFC 6749, 3.1 lets those ignore who do not know it, except
// where a code_verifier, or any parameter that is not known, is an error: Figma, LinkedIn, Slack and Stripe.
//
// The reference sends the client secret in the URL to Facebook, GitLab, Google, Slack and Twitch; all of them take the body
// of a POST, which nobody logs.
var table = map[string]row{
	"amazon": {
		name:      "Amazon",
		authorize: "https://www.amazon.com/ap/oa",
		token:     "https://api.amazon.com/auth/o2/token",
		profile:   "https://api.amazon.com/user/profile",
		scopes:    []string{"profile"},
		twice:     true, // it unescapes once too often; a state of letters, digits, - and _ does not notice
		fields:    fields{subject: "user_id", email: "email", name: "name"},
	},
	"apple": {
		name:      "Apple",
		authorize: "https://appleid.apple.com/auth/authorize",
		token:     "https://appleid.apple.com/auth/token",
		openid:    true,
		issuer:    "https://appleid.apple.com",
		keys:      "https://appleid.apple.com/auth/keys",
		scopes:    []string{"name", "email"},
		extra:     map[string]string{"response_mode": "form_post"}, // else it gives neither name nor e-mail
		members:   []member{{name: "p8", shape: anything}, {name: "keyID"}, {name: "teamID"}},
		fields:    fields{subject: "sub", email: "email", verified: "email_verified"},
	},
	"auth0": {
		name:       "Auth0",
		authorize:  "https://{auth0Domain}/authorize",
		token:      "https://{auth0Domain}/oauth/token",
		profile:    "https://{auth0Domain}/userinfo",
		openid:     true,
		issuer:     "https://{auth0Domain}/",
		keys:       "https://{auth0Domain}/.well-known/jwks.json",
		members:    []member{{name: "auth0Domain", shape: domain}},
		scopes:     []string{"openid", "profile", "email", "offline_access"},
		scopeAgain: true,
		fields:     claims,
	},
	"authentik": {
		name:       "Authentik",
		authorize:  "https://{authentikDomain}/application/o/authorize",
		token:      "https://{authentikDomain}/application/o/token/",
		profile:    "https://{authentikDomain}/application/o/userinfo/",
		openid:     true, // its issuer holds the name of the application, which only a well_known tells
		members:    []member{{name: "authentikDomain", shape: domain}},
		scopes:     []string{"openid", "profile", "email", "offline_access"},
		scopeAgain: true,
		fields:     claims,
	},
	"autodesk": {
		name:      "Autodesk",
		authorize: "https://developer.api.autodesk.com/authentication/v1/authorize",
		token:     "https://developer.api.autodesk.com/authentication/v1/gettoken",
		refresh:   "https://developer.api.autodesk.com/authentication/v1/refreshtoken", // the reference calls the refresh token "code" there, which nobody documents
		profile:   "https://developer.api.autodesk.com/userprofile/v1/users/@me",
		scopes:    []string{"user-profile:read"},
		fields:    fields{subject: "userId", email: "emailId", verified: "emailVerified", name: "userName"},
	},
	"bitbucket": {
		name:      "Bitbucket",
		authorize: "https://bitbucket.org/site/oauth2/authorize",
		token:     "https://bitbucket.org/site/oauth2/access_token",
		profile:   "https://api.bitbucket.org/2.0/user",
		nowhere:   true,
		inquire:   bitbucket,
	},
	"bitly": {
		name:      "Bitly",
		authorize: "https://bitly.com/oauth/authorize",
		token:     "https://api-ssl.bitly.com/oauth/access_token",
		profile:   "https://api-ssl.bitly.com/v4/user",
		silent:    []string{"response_type", "scope"},
		inquire:   bitly,
	},
	"box": {
		name:       "Box",
		authorize:  "https://account.box.com/api/oauth2/authorize",
		token:      "https://account.box.com/api/oauth2/token",
		profile:    "https://api.box.com/2.0/users/me", // the reference asks /2.0/me, which is not documented
		scopes:     []string{"manage_app_users"},
		commas:     true,
		scopeAgain: true,
		fields:     fields{subject: "id", email: "login", name: "name"},
	},
	"dailymotion": {
		name:       "Dailymotion",
		authorize:  "https://www.dailymotion.com/oauth/authorize",
		token:      "https://api.dailymotion.com/oauth/token",
		profile:    "https://api.dailymotion.com/user/me?fields=email,id,fullname,verified",
		scopes:     []string{"userinfo", "email"},
		scopeAgain: true,
		fields:     fields{subject: "id", email: "email", name: "fullname"},
	},
	"discord": {
		name:       "Discord",
		authorize:  "https://discordapp.com/api/oauth2/authorize",
		token:      "https://discordapp.com/api/oauth2/token",
		profile:    "https://discordapp.com/api/users/@me",
		scopes:     []string{"identify", "email"},
		scopeAgain: true,
		fields:     fields{subject: "id", email: "email", verified: "verified", name: "username"},
	},
	"disqus": {
		name:       "Disqus",
		authorize:  "https://disqus.com/api/oauth/2.0/authorize/",
		token:      "https://disqus.com/api/oauth/2.0/access_token/",
		profile:    "https://disqus.com/api/3.0/users/details.json",
		scopes:     []string{"read", "email"},
		commas:     true,
		scopeAgain: true,
		show: func(r *http.Request, c Config, token string) { // it documents no other way
			q := r.URL.Query()
			q.Set("access_token", token)
			q.Set("api_key", c.ClientID)
			q.Set("api_secret", c.ClientSecret)
			r.URL.RawQuery = q.Encode()
		},
		fields: fields{subject: "response.id", email: "response.email", name: "response.name"},
	},
	"dropbox": {
		name:      "Dropbox",
		authorize: "https://www.dropbox.com/oauth2/authorize",
		token:     "https://api.dropboxapi.com/oauth2/token",
		profile:   "https://api.dropboxapi.com/2/users/get_current_account",
		method:    http.MethodPost,
		fields:    fields{subject: "account_id", email: "email", verified: "email_verified", name: "name.display_name"},
	},
	"etsy": { // the reference sends a challenge that is the verifier itself, and no token with the profile: nobody gets in
		name:      "Etsy",
		authorize: "https://www.etsy.com/oauth/connect/oauth/authorize",
		token:     "https://api.etsy.com/v3/public/oauth/token",
		profile:   "https://api.etsy.com/v3/application/users/{user}",
		scopes:    []string{"email_r", "profile_r"}, // with a space between them, as documented; the reference sends an array
		public:    true,
		show: func(r *http.Request, c Config, token string) {
			bearer(r, c, token)
			r.Header.Set("X-Api-Key", c.ClientID)
		},
		fields:  fields{subject: "user_id", email: "primary_email", name: "login_name|first_name last_name"},
		inquire: etsy,
	},
	"facebook": {
		name:      "Facebook",
		authorize: "https://www.facebook.com/v2.8/dialog/oauth",
		token:     "https://graph.facebook.com/v2.8/oauth/access_token",
		profile:   "https://graph.facebook.com/v2.8/me?fields=email,name",
		scopes:    []string{"email"},
		show: func(r *http.Request, _ Config, token string) { // it documents no other way
			q := r.URL.Query()
			q.Set("access_token", token)
			r.URL.RawQuery = q.Encode()
		},
		fields: fields{subject: "id", email: "email", name: "name"},
	},
	"figma": {
		name:      "Figma",
		authorize: "https://www.figma.com/oauth",
		token:     "https://api.figma.com/v1/oauth/token",
		refresh:   "https://api.figma.com/v1/oauth/refresh",
		profile:   "https://api.figma.com/v1/me",
		scopes:    []string{"current_user:read"},
		unproven:  true,
		auth:      oauth2.AuthStyleInHeader,
		fields:    fields{subject: "id", email: "email", name: "handle"},
	},
	"github": {
		name:      "GitHub",
		authorize: "https://github.com/login/oauth/authorize",
		token:     "https://github.com/login/oauth/access_token",
		profile:   "https://api.github.com/user",
		scopes:    []string{"user:email"},
		show: func(r *http.Request, _ Config, token string) {
			r.Header.Set("Authorization", "token "+token)
		},
		inquire: github,
	},
	"gitlab": {
		name:      "GitLab",
		authorize: "{endpoint}/oauth/authorize",
		token:     "{endpoint}/oauth/token",
		profile:   "{endpoint}/api/v4/user",
		members:   []member{{name: "endpoint", standard: "https://gitlab.com", shape: base}},
		scopes:    []string{"read_user"},
		fields:    fields{subject: "id", email: "email", verified: "confirmed_at", proof: isTime, name: "name"},
	},
	"google": {
		name:      "Google",
		authorize: "https://accounts.google.com/o/oauth2/v2/auth",
		token:     "https://oauth2.googleapis.com/token",
		profile:   "https://www.googleapis.com/oauth2/v3/userinfo",
		openid:    true,
		issuer:    "https://accounts.google.com",
		spelling:  "accounts.google.com",
		keys:      "https://www.googleapis.com/oauth2/v3/certs",
		scopes: []string{
			"https://www.googleapis.com/auth/userinfo.email", "https://www.googleapis.com/auth/userinfo.profile", "openid",
		},
		extra:   map[string]string{"access_type": "offline", "prompt": "consent"},
		members: []member{{name: "prompt", standard: "consent", shape: anything}},
		fields:  claims,
	},
	"linkedin": {
		name:      "LinkedIn",
		authorize: "https://www.linkedin.com/oauth/v2/authorization",
		token:     "https://www.linkedin.com/oauth/v2/accessToken",
		profile:   "https://api.linkedin.com/v2/userinfo",
		openid:    true,
		issuer:    "https://www.linkedin.com/oauth",
		spelling:  "https://www.linkedin.com", // until 2024
		keys:      "https://www.linkedin.com/oauth/openid/jwks",
		deaf:      true,
		unproven:  true, // it has PKCE for native clients only, at other endpoints
		scopes:    []string{"openid", "profile", "email"},
		fields: fields{
			subject: "sub", email: "email", verified: "email_verified", name: "name|given_name family_name",
		},
	},
	"microsoft": {
		name:       "Microsoft",
		authorize:  "https://login.microsoftonline.com/{tenantID}/oauth2/v2.0/authorize",
		token:      "https://login.microsoftonline.com/{tenantID}/oauth2/v2.0/token",
		profile:    "https://graph.microsoft.com/v1.0/me",
		members:    []member{{name: "tenantID", standard: "common"}},
		scopes:     []string{"offline_access", "user.read"}, // no openid: there is no id_token
		extra:      map[string]string{"response_mode": "query"},
		scopeAgain: true,
		fields:     fields{subject: "id", email: "userPrincipalName", name: "displayName"},
	},
	"notion": {
		name:      "Notion",
		authorize: "https://api.notion.com/v1/oauth/authorize",
		token:     "https://api.notion.com/v1/oauth/token",
		profile:   "https://api.notion.com/v1/users/me",
		extra:     map[string]string{"owner": "user"},
		auth:      oauth2.AuthStyleInHeader,
		show: func(r *http.Request, c Config, token string) {
			bearer(r, c, token)
			r.Header.Set("Notion-Version", "2021-08-16")
		},
		fields: fields{subject: "bot.owner.user.id", email: "bot.owner.user.person.email", name: "bot.owner.user.name"},
	},
	"oidc": {
		name:       "OpenID Connect",
		openid:     true,
		scopes:     []string{"openid", "profile", "email"},
		scopeAgain: true,
		fields:     claims,
		members: []member{ // the same as keys of the configuration, which win
			{name: "wellKnownEndpoint", shape: anything}, {name: "authorizationEndpoint", shape: anything},
			{name: "tokenEndpoint", shape: anything}, {name: "userinfoEndpoint", shape: anything},
		},
	},
	"okta": {
		name:       "Okta",
		authorize:  "https://{oktaDomain}/oauth2/{authorizationServerId}/v1/authorize",
		token:      "https://{oktaDomain}/oauth2/{authorizationServerId}/v1/token",
		profile:    "https://{oktaDomain}/oauth2/{authorizationServerId}/v1/userinfo",
		openid:     true,
		issuer:     "https://{oktaDomain}/oauth2/{authorizationServerId}",
		keys:       "https://{oktaDomain}/oauth2/{authorizationServerId}/v1/keys",
		members:    []member{{name: "oktaDomain", shape: domain}, {name: "authorizationServerId", standard: "default"}},
		scopes:     []string{"openid", "profile", "email", "offline_access"},
		scopeAgain: true,
		fields:     claims,
	},
	"paypal":        paypalAt("PayPal", "https://www.paypal.com", "https://api.paypal.com"),
	"paypalSandbox": paypalAt("PayPal Sandbox", "https://www.sandbox.paypal.com", "https://api.sandbox.paypal.com"),
	"podio": {
		name:      "Podio",
		authorize: "https://podio.com/oauth/authorize",
		token:     "https://api.podio.com/oauth/token",
		profile:   "https://api.podio.com/user",
		silent:    []string{"response_type", "scope"},
		inquire:   podio,
	},
	"salesforce": {
		name:      "Salesforce",
		authorize: "https://login.salesforce.com/services/oauth2/authorize",
		token:     "https://login.salesforce.com/services/oauth2/token",
		profile:   "https://login.salesforce.com/services/oauth2/userinfo",
		openid:    true,
		issuer:    "https://login.salesforce.com",
		keys:      "https://login.salesforce.com/id/keys",
		scopes:    []string{"openid"},
		auth:      oauth2.AuthStyleInHeader,
		fields:    fields{subject: "user_id", email: "email", verified: "email_verified", name: "name"},
	},
	"slack": {
		name:      "Slack",
		authorize: "https://slack.com/oauth/v2/authorize",
		token:     "https://slack.com/api/oauth.v2.access",
		profile:   "https://slack.com/api/users.identity",
		scopes:    []string{"openid", "email", "profile"},
		scopeName: "user_scope", // scope would ask for a bot
		unproven:  true,
		reshape:   authedUser,
		inquire:   slack,
	},
	"spotify": {
		name:      "Spotify",
		authorize: "https://accounts.spotify.com/authorize",
		token:     "https://accounts.spotify.com/api/token",
		profile:   "https://api.spotify.com/v1/me",
		scopes:    []string{"user-read-email"},
		auth:      oauth2.AuthStyleInHeader,
		fields:    fields{subject: "id", email: "email", name: "display_name"},
	},
	"stripe": {
		name:      "Stripe",
		authorize: "https://connect.stripe.com/oauth/authorize",
		token:     "https://connect.stripe.com/oauth/token",
		profile:   "https://api.stripe.com/v1/accounts/{account}",
		scopes:    []string{"read_write"},
		unproven:  true,
		terse:     true, // the secret key says which account of ours it is
		fields:    fields{subject: "id", email: "email", name: "name"},
		inquire:   stripe,
	},
	"tradeshift":    tradeshiftAt("Tradeshift", "https://api.tradeshift.com"),
	"tradeshiftBox": tradeshiftAt("Tradeshift Sandbox", "https://api-sandbox.tradeshift.com"),
	"twitch": {
		name:      "Twitch",
		authorize: "https://id.twitch.tv/oauth2/authorize",
		token:     "https://id.twitch.tv/oauth2/token",
		profile:   "https://api.twitch.tv/helix/users",
		scopes:    []string{"user:read:email"},
		extra:     map[string]string{"force_verify": "1"},
		show: func(r *http.Request, c Config, token string) {
			bearer(r, c, token)
			r.Header.Set("Client-Id", c.ClientID)
		},
		fields: fields{subject: "data.0.id", email: "data.0.email", name: "data.0.display_name"},
	},
	"wordpress": {
		name:      "WordPress",
		authorize: "https://public-api.wordpress.com/oauth2/authorize",
		token:     "https://public-api.wordpress.com/oauth2/token",
		profile:   "https://public-api.wordpress.com/rest/v1/me",
		scopes:    []string{"auth"},
		array:     true,
		inquire:   wordpress,
	},
	"yahoo": {
		name:      "Yahoo",
		authorize: "https://api.login.yahoo.com/oauth2/request_auth",
		token:     "https://api.login.yahoo.com/oauth2/get_token",
		profile:   "https://api.login.yahoo.com/openid/v1/userinfo",
		openid:    true,
		issuer:    "https://api.login.yahoo.com",
		keys:      "https://api.login.yahoo.com/openid/v1/certs",
		scopes:    []string{"openid", "profile", "email"}, // as 1.9.6 has it; "sdct-r sdpp-w" of before opens no userinfo any more
		auth:      oauth2.AuthStyleInHeader,
		fields:    claims,
	},
	"yammer": {
		name:      "Yammer",
		authorize: "https://www.yammer.com/oauth2/oauth2/authorize", // sic
		token:     "https://www.yammer.com/oauth2/access_token",
		profile:   "https://www.yammer.com/api/v1/users/current.json",
		reshape:   innerToken,
		fields:    fields{subject: "id", email: "email", name: "full_name"},
	},
	"yandex": { // the reference refreshes by grant_type=authorization_code, which is refused
		name:      "Yandex",
		authorize: "https://oauth.yandex.com/authorize",
		token:     "https://oauth.yandex.com/token",
		profile:   "https://login.yandex.ru/info?format=json",
		nowhere:   true,
		auth:      oauth2.AuthStyleInHeader,
		show: func(r *http.Request, _ Config, token string) {
			r.Header.Set("Authorization", "OAuth "+token)
		},
		fields: fields{subject: "id", email: "default_email", name: "display_name"},
	},
	"zoho": {
		name:       "Zoho",
		authorize:  "https://accounts.zoho.com/oauth/v2/auth",
		token:      "https://accounts.zoho.com/oauth/v2/token",
		openid:     true,
		issuer:     "https://accounts.zoho.com",
		spelling:   "accounts.zoho.com",
		keys:       "https://accounts.zoho.com/oauth/v2/keys",
		deaf:       true,
		scopes:     []string{"email", "profile"},
		scopeAgain: true,
		fields:     claims,
	},
	"zoom": {
		name:      "Zoom",
		authorize: "https://zoom.us/oauth/authorize",
		token:     "https://zoom.us/oauth/token",
		profile:   "https://api.zoom.us/v2/users/me",
		scopes:    []string{"user_info:read"},
		auth:      oauth2.AuthStyleInHeader,
		fields:    fields{subject: "id", email: "email", verified: "verified", proof: isOne, name: "first_name last_name"},
	},
}

// row is a provider as it documents itself. What is not said in it is as RFC 6749, RFC 7636 and OpenID Connect have it.
type row struct {
	name string // for people

	// URLs. {words} in them are members of the client secret.
	authorize, token, profile string
	refresh                   string // where tokens are refreshed, "" = at token
	members                   []member

	// Who signs the id_token. Without an issuer and without a well_known nobody knows, and it is not looked at.
	openid       bool   // speaks OpenID Connect, and so may be configured by well_known
	issuer, keys string // keys = its JWKS
	spelling     string // how else the issuer spells itself in an id_token
	deaf         bool   // does not document that it gives the nonce back, so that a missing one says nothing

	scopes     []string
	scopeName  string            // "" = scope
	commas     bool              // stand between scopes of the authorize URL, instead of spaces
	array      bool              // scope[0]=a&scope[1]=b there, instead of scope=a b
	scopeAgain bool              // hears the scopes with the code, too
	extra      map[string]string // more parameters of the authorize URL
	silent     []string          // parameters it does not take there
	nowhere    bool              // takes no redirect_uri: people come back to the one of the registration
	numeric    bool              // knows no localhost: redirect_uri has 127.0.0.1 instead
	twice      bool              // state is escaped once more
	unproven   bool              // takes no PKCE

	auth    oauth2.AuthStyle // 0 = in the body
	public  bool             // has no client secret: PKCE shows whose code it is
	terse   bool             // hears neither client_id nor redirect_uri with the code
	reshape func(document)   // puts an answer with tokens into the form of RFC 6749

	method  string                                           // of the profile request, "" = GET
	show    func(r *http.Request, c Config, token string)    // shows the access token, nil = bearer
	fields  fields                                           // of the profile
	inquire func(context.Context, *inquiry) (Profile, error) // instead of one request and the fields of its answer
}

// fields are where things are in a profile, by the paths of document.text.
type fields struct {
	subject, email, name string
	verified             string         // "" = it does not tell
	proof                func(any) bool // what there shows that the address is verified, nil = isTrue
}

// claims are the fields of OpenID Connect Core 1.0, 5.1.
var claims = fields{subject: "sub", email: "email", verified: "email_verified", name: "name"}

func (f fields) of(d document) Profile {
	proof := f.proof
	if proof == nil {
		proof = isTrue
	}
	return Profile{
		Subject:       d.text(f.subject),
		Email:         d.text(f.email),
		Name:          d.text(f.name),
		EmailVerified: f.verified != "" && proof(d.at(f.verified)),
	}
}

// bearer shows the token as RFC 6750 has it. The reference puts it into the URL for Amazon, Bitbucket, GitLab, Google and
// Salesforce; all of them document this, and URLs end up in logs.
func bearer(r *http.Request, _ Config, token string) { r.Header.Set("Authorization", "Bearer "+token) }
