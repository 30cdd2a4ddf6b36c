package api

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The document in docs is the one that the program serves. After a change: go test ./api -run OpenAPI -update
func TestTheOpenAPIDocumentIsTheOneInDocs(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.PublicURL, p.Version = "http://localhost:8080", "dev" })
	a := w.ask("GET /openapi.json", nil, "X-Appwrite-Project:").is(200)
	var served bytes.Buffer
	if err := json.Indent(&served, []byte(a.body), "", "  "); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "docs", "openapi.json")
	if *update {
		if err := os.WriteFile(path, served.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if json.Unmarshal(served.Bytes(), &got) != nil || json.Unmarshal(kept, &want) != nil {
		t.Fatal("not JSON")
	}
	w.same("docs/openapi.json", got, want)
}

// Who reads the document finds every route under its first name, how to say who asks, and how a refusal looks.
func TestTheOpenAPIDocumentTellsWhatIsServed(t *testing.T) {
	w := newWorld(t)
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string                `json:"operationId"`
			Security    []map[string][]string `json:"security"`
			RequestBody *struct {
				Content map[string]struct {
					Schema struct {
						Required   []string       `json:"required"`
						Properties map[string]any `json:"properties"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"requestBody"`
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				} `json:"content"`
			} `json:"responses"`
		} `json:"paths"`
	}
	w.ask("GET /openapi.json", nil).is(200).read(&document)
	got := map[string]string{}
	for path, methods := range document.Paths {
		for method, o := range methods {
			got[method+" "+path] = o.OperationID
			if len(o.Security) == 0 {
				t.Errorf("%s: nobody may", o.OperationID)
			}
			if _, there := o.Responses["422"]; there {
				t.Errorf("%s: 422", o.OperationID)
			}
			for status, r := range o.Responses {
				for kind, c := range r.Content {
					if media, _, _ := strings.Cut(kind, ";"); media != "application/json" && o.OperationID != "accountGetMFAAuthenticatorQR" {
						t.Errorf("%s %s: %s", o.OperationID, status, kind)
					}
					if status >= "400" && c.Schema.Ref != "#/components/schemas/Envelope" {
						t.Errorf("%s %s: %s", o.OperationID, status, c.Schema.Ref)
					}
				}
			}
		}
	}
	w.same("operations", got, map[string]string{
		"get /v1/account/sessions/oauth2/{provider}": "accountCreateOAuth2Session", "get /v1/account/tokens/oauth2/{provider}": "accountCreateOAuth2Token",
		"get /v1/account/sessions/oauth2/{provider}/redirect": "accountReturnFromOAuth2",
		"get /v1/account/identities":                          "accountListIdentities", "delete /v1/account/identities/{identityId}": "accountDeleteIdentity",
		"patch /v1/account/mfa": "accountUpdateMFA", "get /v1/account/mfa/factors": "accountListMFAFactors",
		"post /v1/account/mfa/authenticators/{type}": "accountCreateMFAAuthenticator", "put /v1/account/mfa/authenticators/{type}": "accountUpdateMFAAuthenticator",
		"delete /v1/account/mfa/authenticators/{type}": "accountDeleteMFAAuthenticator", "get /v1/account/mfa/authenticators/{type}/qr": "accountGetMFAAuthenticatorQR",
		"post /v1/account/mfa/challenges": "accountCreateMFAChallenge", "put /v1/account/mfa/challenges": "accountUpdateMFAChallenge",
		"post /v1/account/mfa/recovery-codes": "accountCreateMFARecoveryCodes", "get /v1/account/mfa/recovery-codes": "accountGetMFARecoveryCodes",
		"patch /v1/account/mfa/recovery-codes": "accountUpdateMFARecoveryCodes",
		"post /v1/account":                     "accountCreate", "get /v1/account": "accountGet", "delete /v1/account": "accountDelete",
		"patch /v1/account/name": "accountUpdateName", "patch /v1/account/email": "accountUpdateEmail",
		"patch /v1/account/password": "accountUpdatePassword", "patch /v1/account/status": "accountUpdateStatus",
		"get /v1/account/prefs": "accountGetPrefs", "patch /v1/account/prefs": "accountUpdatePrefs", "get /v1/account/logs": "accountListLogs",
		"post /v1/account/sessions/email": "accountCreateEmailPasswordSession", "get /v1/account/sessions": "accountListSessions",
		"delete /v1/account/sessions": "accountDeleteSessions", "get /v1/account/sessions/{sessionId}": "accountGetSession",
		"patch /v1/account/sessions/{sessionId}": "accountUpdateSession", "delete /v1/account/sessions/{sessionId}": "accountDeleteSession",
		"post /v1/account/sessions/anonymous": "accountCreateAnonymousSession", "post /v1/account/sessions/token": "accountCreateSession",
		"post /v1/account/tokens/magic-url": "accountCreateMagicURLToken", "put /v1/account/sessions/magic-url": "accountUpdateMagicURLSession",
		"post /v1/account/tokens/phone": "accountCreatePhoneToken", "put /v1/account/sessions/phone": "accountUpdatePhoneSession",
		"post /v1/account/tokens/email": "accountCreateEmailToken", "post /v1/account/jwts": "accountCreateJWT",
		"patch /v1/account/phone":   "accountUpdatePhone",
		"post /v1/account/recovery": "accountCreateRecovery", "put /v1/account/recovery": "accountUpdateRecovery",
		"post /v1/account/verifications/email": "accountCreateEmailVerification", "put /v1/account/verifications/email": "accountUpdateEmailVerification",
		"post /v1/account/verifications/phone": "accountCreatePhoneVerification", "put /v1/account/verifications/phone": "accountUpdatePhoneVerification",
	})
	create := document.Paths["/v1/account"]["post"].RequestBody.Content["application/json"].Schema
	w.same("required", create.Required, []string{"userId", "email", "password"})
	w.same("parameters", len(create.Properties), 4)
}
