package api

import (
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/projections"
)

// Time is how the API writes a time: UTC, milliseconds, "" for none.
type Time struct{ time.Time }

// MarshalJSON writes the time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`""`), nil
	}
	const layout = `"2006-01-02T15:04:05.000+00:00"`
	return t.UTC().AppendFormat(make([]byte, 0, len(layout)), layout), nil
}

// Schema describes it, for huma.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "ISO 8601 in UTC, or empty.", Examples: []any{"2020-10-15T06:38:00.000+00:00"}}
}

// answer is embedded in every model: it names the character set, for huma.
type answer struct{}

// ContentType names the media type with its character set.
func (answer) ContentType(string) string { return jsonUTF8 }

// Account is somebody with an account, as they see themselves.
type Account struct {
	answer
	ID                string   `json:"$id" doc:"Account id."`
	CreatedAt         Time     `json:"$createdAt" doc:"When the account was created."`
	UpdatedAt         Time     `json:"$updatedAt" doc:"When the account last changed."`
	Name              string   `json:"name"`
	Registration      Time     `json:"registration" doc:"When the account was created."`
	Status            bool     `json:"status" doc:"False when the account is blocked."`
	Labels            []string `json:"labels"`
	PasswordUpdate    Time     `json:"passwordUpdate" doc:"When the password last changed; empty for an account without one."`
	Email             string   `json:"email"`
	Phone             string   `json:"phone" doc:"In E.164 form."`
	EmailVerification bool     `json:"emailVerification"`
	PhoneVerification bool     `json:"phoneVerification"`
	MFA               bool     `json:"mfa" doc:"Whether a second factor is asked for."`
	Prefs             object   `json:"prefs" doc:"Preferences, any object."`
	Targets           []Target `json:"targets" doc:"Where messages to the account go."`
	AccessedAt        Time     `json:"accessedAt" doc:"Last use, to the day."`
}

// Target is where messages to an account go.
type Target struct {
	ID           string  `json:"$id"`
	CreatedAt    Time    `json:"$createdAt"`
	UpdatedAt    Time    `json:"$updatedAt"`
	Name         string  `json:"name"`
	UserID       string  `json:"userId"`
	ProviderID   *string `json:"providerId"`
	ProviderType string  `json:"providerType" enum:"email,sms,push"`
	Identifier   string  `json:"identifier"`
	Expired      bool    `json:"expired"`
}

func accountModel(a projections.Account) *Account {
	m := &Account{
		ID: a.ID, CreatedAt: Time{a.CreatedAt}, UpdatedAt: Time{a.UpdatedAt},
		Name: a.Name, Registration: Time{a.CreatedAt}, Status: !a.Blocked, Labels: []string{},
		PasswordUpdate: Time{a.PasswordUpdatedAt}, Email: a.Email, Phone: a.Phone,
		EmailVerification: a.EmailVerified, PhoneVerification: a.PhoneVerified, MFA: a.MFA,
		Prefs: object{RawMessage: a.Prefs}, Targets: []Target{}, AccessedAt: Time{a.AccessedAt},
	}
	if a.EmailTarget != "" {
		m.Targets = append(m.Targets, Target{
			ID: a.EmailTarget, CreatedAt: Time{a.EmailTargetCreatedAt}, UpdatedAt: Time{a.EmailTargetUpdatedAt},
			UserID: a.ID, ProviderType: "email", Identifier: a.Email,
		})
	}
	if a.PhoneTarget != "" {
		m.Targets = append(m.Targets, Target{
			ID: a.PhoneTarget, CreatedAt: Time{a.PhoneTargetCreatedAt}, UpdatedAt: Time{a.PhoneTargetUpdatedAt},
			UserID: a.ID, ProviderType: "sms", Identifier: a.Phone,
		})
	}
	return m
}

// Device is what a user agent and an address tell about where somebody is.
type Device struct {
	OSCode              string `json:"osCode"`
	OSName              string `json:"osName"`
	OSVersion           string `json:"osVersion"`
	ClientType          string `json:"clientType"`
	ClientCode          string `json:"clientCode"`
	ClientName          string `json:"clientName"`
	ClientVersion       string `json:"clientVersion"`
	ClientEngine        string `json:"clientEngine"`
	ClientEngineVersion string `json:"clientEngineVersion"`
	DeviceName          string `json:"deviceName"`
	DeviceBrand         string `json:"deviceBrand"`
	DeviceModel         string `json:"deviceModel"`
}

// Country is where an address is.
type Country struct {
	CountryCode string `json:"countryCode" doc:"ISO 3166-1 alpha-2 in lower case, or --."`
	CountryName string `json:"countryName" doc:"In the language of X-Appwrite-Locale."`
}

// Session is a place where an account is signed in.
type Session struct {
	answer
	ID                        string `json:"$id"`
	CreatedAt                 Time   `json:"$createdAt"`
	UpdatedAt                 Time   `json:"$updatedAt"`
	UserID                    string `json:"userId"`
	Expire                    Time   `json:"expire"`
	Provider                  string `json:"provider" doc:"The way in."`
	ProviderUID               string `json:"providerUid"`
	ProviderAccessToken       string `json:"providerAccessToken"`
	ProviderAccessTokenExpiry Time   `json:"providerAccessTokenExpiry"`
	ProviderRefreshToken      string `json:"providerRefreshToken"`
	IP                        string `json:"ip"`
	Device
	Country
	Current      bool     `json:"current" doc:"Whether it is the session that asks."`
	Factors      []string `json:"factors" doc:"What it was proved with."`
	Secret       string   `json:"secret" doc:"Given once, at creation, to servers with an API key."`
	MFAUpdatedAt Time     `json:"mfaUpdatedAt"`
}

func (c *call) sessionModel(s projections.Session) *Session {
	return &Session{
		ID: s.ID, CreatedAt: Time{s.CreatedAt}, UpdatedAt: Time{s.UpdatedAt}, UserID: s.AccountID,
		Expire: Time{s.Expires}, Provider: s.Provider, ProviderUID: s.ProviderUID,
		ProviderAccessToken: s.ProviderAccess, ProviderAccessTokenExpiry: Time{s.ProviderAccessExpires}, ProviderRefreshToken: s.ProviderRefresh,
		IP: s.IP, Device: c.api.Device(s.UserAgent), Country: c.country(s.IP),
		Current: c.session != nil && c.session.Session == s.ID, Factors: append([]string{}, s.Factors...),
		MFAUpdatedAt: Time{s.MFAUpdatedAt},
	}
}

func (c *call) country(ip string) Country {
	code := c.api.CountryCode(ip)
	return Country{code, c.api.CountryName(code, c.locale)}
}

// SessionList is all places where an account is signed in, oldest first.
type SessionList struct {
	answer
	Total    int        `json:"total"`
	Sessions []*Session `json:"sessions"`
}

// Log is one line of the owner's security log.
type Log struct {
	Event     string `json:"event"`
	UserID    string `json:"userId"`
	UserEmail string `json:"userEmail" doc:"As it was at the time."`
	UserName  string `json:"userName" doc:"As it was at the time."`
	Mode      string `json:"mode"`
	IP        string `json:"ip"`
	Time      Time   `json:"time"`
	Device
	Country
}

// LogList is a page of the owner's security log, newest first.
type LogList struct {
	answer
	Total int   `json:"total" doc:"How many lines the whole log has."`
	Logs  []Log `json:"logs"`
}

// object is any JSON object.
type object struct {
	answer
	json.RawMessage
}

// Schema describes it, for huma.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}
