// Package project is what an operator says about one tenant: where its clients live, which keys its servers hold and
// which rules its accounts follow. It is configuration, read once; the tags name the keys of the configuration file
// and of the environment variables that override them.
package project

import (
	"fmt"
	"regexp"
	"time"
)

// Project is one tenant. Accounts of different projects never meet.
type Project struct {
	ID        string    `yaml:"id" env:"ID"`
	Name      string    `yaml:"name" env:"NAME"`
	Platforms []string  `yaml:"platforms" env:"PLATFORMS"` // host names allowed as Origin and in redirect URLs; "*.example.com" matches any depth below it
	Schemes   []string  `yaml:"schemes" env:"SCHEMES"`     // custom URL schemes allowed in redirect URLs
	Keys      []Key     `yaml:"keys" envPrefix:"KEYS"`
	Auth      Auth      `yaml:"auth" envPrefix:"AUTH_"`
	OAuth     []OAuth   `yaml:"oauth" envPrefix:"OAUTH"`
	Webhooks  []Webhook `yaml:"webhooks" envPrefix:"WEBHOOKS"`
}

// Key lets a server act for the project.
type Key struct {
	Name   string   `yaml:"name" env:"NAME"`
	Secret string   `yaml:"secret" env:"SECRET" secret:"true"`
	Scopes []string `yaml:"scopes" env:"SCOPES"`
}

// Allows says whether the key was given the scope.
func (k Key) Allows(scope string) bool {
	for _, s := range k.Scopes {
		if s == scope {
			return true
		}
	}
	return false
}

// Auth is the rules for signing up and in.
type Auth struct {
	SessionLimit       int           `yaml:"session_limit" env:"SESSION_LIMIT"` // newest sessions kept per account, 1 to 100
	SessionDuration    time.Duration `yaml:"session_duration" env:"SESSION_DURATION"`
	UsersLimit         int           `yaml:"users_limit" env:"USERS_LIMIT"`     // 0 = as many as want
	LettersLimit       int           `yaml:"letters_limit" env:"LETTERS_LIMIT"` // mails that people ask for in an hour, all together; 0 = as many as want
	TextsLimit         int           `yaml:"texts_limit" env:"TEXTS_LIMIT"`     // the same for text messages
	Methods            Methods       `yaml:"methods" envPrefix:"METHODS_"`
	MockNumbers        []MockNumber  `yaml:"mock_numbers" envPrefix:"MOCK_NUMBERS"`
	PasswordMinLength  int           `yaml:"password_min_length" env:"PASSWORD_MIN_LENGTH"` // bytes: 8, or 6 for clients of the oldest generation
	PasswordHistory    int           `yaml:"password_history" env:"PASSWORD_HISTORY"`       // earlier passwords refused, 0 to 20
	PasswordDictionary bool          `yaml:"password_dictionary" env:"PASSWORD_DICTIONARY"`
	PersonalDataCheck  bool          `yaml:"personal_data_check" env:"PERSONAL_DATA_CHECK"`
	InvalidateSessions bool          `yaml:"invalidate_sessions" env:"INVALIDATE_SESSIONS"` // a new password ends the other sessions
	SessionAlerts      bool          `yaml:"session_alerts" env:"SESSION_ALERTS"`
	Privacy            bool          `yaml:"privacy" env:"PRIVACY"`
}

// Methods is the ways in, each on or off.
type Methods struct {
	EmailPassword bool `yaml:"email_password" env:"EMAIL_PASSWORD"`
	MagicURL      bool `yaml:"magic_url" env:"MAGIC_URL"`
	EmailOTP      bool `yaml:"email_otp" env:"EMAIL_OTP"`
	Phone         bool `yaml:"phone" env:"PHONE"`
	Anonymous     bool `yaml:"anonymous" env:"ANONYMOUS"`
	JWT           bool `yaml:"jwt" env:"JWT"`
}

// MockNumber is a phone whose code is fixed and never sent.
type MockNumber struct {
	Phone string `yaml:"phone" env:"PHONE"`
	OTP   string `yaml:"otp" env:"OTP" secret:"true"`
}

// MockNumber finds a phone among the mock numbers.
func (p *Project) MockNumber(phone string) (MockNumber, bool) {
	for _, m := range p.Auth.MockNumbers {
		if m.Phone == phone {
			return m, true
		}
	}
	return MockNumber{}, false
}

// OAuth is a sign-in provider.
type OAuth struct {
	Provider     string            `yaml:"provider" env:"PROVIDER"`
	ClientID     string            `yaml:"client_id" env:"CLIENT_ID"`
	ClientSecret string            `yaml:"client_secret" env:"CLIENT_SECRET" secret:"true"`
	WellKnown    string            `yaml:"well_known" env:"WELL_KNOWN"`
	AuthorizeURL string            `yaml:"authorize_url" env:"AUTHORIZE_URL"`
	TokenURL     string            `yaml:"token_url" env:"TOKEN_URL"`
	UserinfoURL  string            `yaml:"userinfo_url" env:"USERINFO_URL"`
	JWKSURL      string            `yaml:"jwks_url" env:"JWKS_URL"`
	Scopes       []string          `yaml:"scopes" env:"SCOPES"`
	Fields       map[string]string `yaml:"fields" env:"FIELDS"`
}

// Webhook is an outside listener to account events.
type Webhook struct {
	Name   string   `yaml:"name" env:"NAME"`
	URL    string   `yaml:"url" env:"URL"`
	Secret string   `yaml:"secret" env:"SECRET" secret:"true"`
	Events []string `yaml:"events" env:"EVENTS"`
}

// Standard is the project that an operator who says nothing gets; what the configuration names replaces its values.
func Standard() Project {
	return Project{Auth: Auth{
		SessionLimit:       10,
		SessionDuration:    365 * 24 * time.Hour,
		Methods:            Methods{EmailPassword: true, MagicURL: true, EmailOTP: true, Phone: true, Anonymous: true, JWT: true},
		LettersLimit:       10_000,
		TextsLimit:         1_000,
		PasswordMinLength:  8,
		InvalidateSessions: true,
	}}
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,35}$`)

// Check says which value cannot be, by its key in the configuration file.
func (p Project) Check() error {
	switch a := p.Auth; {
	case !validID.MatchString(p.ID) || p.ID == "console":
		// No dot: in stream names the first dot ends the project.
		return fmt.Errorf("id: %q is not 1 to 36 letters, digits, _ or - beginning with a letter or digit, or is reserved", p.ID)
	case a.SessionLimit < 1 || a.SessionLimit > 100:
		return fmt.Errorf("auth.session_limit: %d is not between 1 and 100", a.SessionLimit)
	case a.SessionDuration < time.Second:
		return fmt.Errorf("auth.session_duration: %s is shorter than a second", a.SessionDuration)
	case a.UsersLimit < 0:
		return fmt.Errorf("auth.users_limit: %d is negative", a.UsersLimit)
	case a.LettersLimit < 0:
		return fmt.Errorf("auth.letters_limit: %d is negative", a.LettersLimit)
	case a.TextsLimit < 0:
		return fmt.Errorf("auth.texts_limit: %d is negative", a.TextsLimit)
	case a.PasswordHistory < 0 || a.PasswordHistory > 20:
		return fmt.Errorf("auth.password_history: %d is not between 0 and 20", a.PasswordHistory)
	case a.PasswordMinLength < 6 || a.PasswordMinLength > 64:
		return fmt.Errorf("auth.password_min_length: %d is not between 6 and 64", a.PasswordMinLength)
	}
	for i, k := range p.Keys {
		if len(k.Secret) < 16 {
			return fmt.Errorf("keys[%d].secret: shorter than 16 characters", i)
		}
	}
	return nil
}
