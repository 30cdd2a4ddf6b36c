package process

import (
	"context"
	"fmt"
	"time"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// Kinds of letters.
const (
	KindMagicURL          = "magic-url"
	KindEmailCode         = "otp"
	KindPhoneCode         = "phone-code"
	KindEmailVerification = "verification"
	KindPhoneVerification = "phone-verification"
	KindRecovery          = "recovery"
	KindSessionAlert      = "session-alert"
	KindSignUpTried       = "address-taken"
	KindMFACode           = "mfa-code"
	KindMFAPhoneCode      = "mfa-phone-code"
	KindNotice            = "notice"
	KindPhoneNotice       = "phone-notice"
)

// Channels of letters.
const (
	ChannelEmail = "email"
	ChannelText  = "sms"
)

// kinds names the letter that brings a secret.
var kinds = map[account.Purpose]string{
	account.ForMagicURL:          KindMagicURL,
	account.ForEmailCode:         KindEmailCode,
	account.ForPhoneCode:         KindPhoneCode,
	account.ForEmailVerification: KindEmailVerification,
	account.ForPhoneVerification: KindPhoneVerification,
	account.ForRecovery:          KindRecovery,
}

// notice is a change of the ways in that somebody is told of.
type notice struct {
	change, locale, provider string
	to                       string // e-mail address or phone number; "" = there is nobody to tell
}

// noticeOf gives the notice that an event asks for. address is the account's after it: where that, or what reaches it,
// is what changed, the event itself says who is told.
func noticeOf(e account.Event, address string) notice {
	switch e := e.(type) {
	case account.PasswordChanged:
		if e.Recovered {
			return notice{"password-recovered", e.Locale, "", e.Personal.Tell}
		}
		return notice{"password-changed", e.Locale, "", e.Personal.Tell}
	case account.PasswordRemoved:
		return notice{"password-removed", e.Locale, "", e.Personal.Tell}
	case account.EmailChanged:
		return notice{"email-changed", e.Locale, "", e.Personal.Tell}
	case account.PhoneChanged:
		return notice{"phone-changed", e.Locale, "", e.Personal.Tell}
	case account.PhoneVerified:
		return notice{"phone-verified", e.Locale, "", address}
	case account.MFASwitched:
		switch {
		case e.On:
			return notice{"mfa-on", e.Locale, "", address}
		case e.Reason == "":
			return notice{"mfa-off", e.Locale, "", address}
		}
	case account.AuthenticatorVerified:
		return notice{"authenticator-added", e.Locale, "", address}
	case account.AuthenticatorRemoved:
		if e.Reason == "" {
			return notice{"authenticator-removed", e.Locale, "", address}
		}
	case account.RecoveryCodesMade:
		return notice{"recovery-codes-made", e.Locale, "", address}
	case account.ChallengePassed:
		if e.Code != nil {
			return notice{"recovery-code-used", e.Locale, "", address}
		}
	case account.IdentityLinked:
		if !e.First {
			return notice{"identity-linked", e.Locale, e.Provider, address}
		}
	case account.IdentityRemoved:
		if e.Reason == "" {
			return notice{"identity-removed", e.Locale, e.Provider, address}
		}
	}
	return notice{}
}

// newsFor is how long a letter that brings no secret is worth sending.
const newsFor = 24 * time.Hour

// asksFor is the whole policy: which letter an event asks for, of an account that has an address, or none. mocked says
// that a phone's code is known and not sent.
func asksFor(e account.Event, at time.Time, address string, mocked func(phone string) bool) (letter Letter, ok bool) {
	switch e := e.(type) {
	case account.TokenIssued:
		if e.Purpose == account.ForOAuth {
			return Letter{}, false // the redirect brings it
		}
		letter = Letter{Kind: kinds[e.Purpose], Channel: ChannelEmail, Expires: e.Expires}
		if e.Purpose.ByPhone() {
			letter.Channel = ChannelText
		}
		return letter, !e.Purpose.ByPhone() || !mocked(e.Personal.To)
	case account.SessionStarted:
		return Letter{Kind: KindSessionAlert, Channel: ChannelEmail, Expires: at.Add(newsFor)}, e.Personal.Alert != ""
	case account.SignUpTried:
		return Letter{Kind: KindSignUpTried, Channel: ChannelEmail, Expires: at.Add(newsFor)}, true
	case account.ChallengeIssued:
		if e.Factor == account.FactorPhone {
			return Letter{Kind: KindMFAPhoneCode, Channel: ChannelText, Expires: e.Expires}, !mocked(e.Personal.To)
		}
		return Letter{Kind: KindMFACode, Channel: ChannelEmail, Expires: e.Expires}, e.Factor == account.FactorEmail
	}
	to := noticeOf(e, address).to
	if _, byPhone := account.ParsePhone(to); byPhone {
		return Letter{Kind: KindPhoneNotice, Channel: ChannelText, Expires: at.Add(newsFor)}, !mocked(to)
	}
	return Letter{Kind: KindNotice, Channel: ChannelEmail, Expires: at.Add(newsFor)}, to != ""
}

// Letters writes down the letters that events ask for; Delivery sends them. Meeting an event again adds none: a letter's
// id is its event's. A letter that nobody could use any more is not written down at all.
func Letters(box Letterbox, projects map[string]*project.Project, now func() time.Time, wake func()) *Process {
	write := func(ctx context.Context, r event.Recorded) error {
		e, err := account.Contract.Read(r)
		if err != nil {
			return err
		}
		m, err := r.ReadMetadata()
		if err != nil {
			return err
		}
		address := ""
		if m.Personal != nil {
			address = m.Personal.Email
		}
		letter, ok := asksFor(e, m.At, address, func(phone string) bool {
			p, known := projects[m.Project]
			if !known {
				return false
			}
			_, mock := p.MockNumber(phone)
			return mock
		})
		if !ok || !letter.Expires.After(now()) {
			return nil
		}
		letter.ID, letter.Stream, letter.Revision = r.ID.String(), r.Stream, r.Revision
		letter.Status, letter.CreatedAt, letter.UpdatedAt, letter.NextTry = Queued, m.At, m.At, m.At
		if err := box.Add(ctx, letter); err != nil {
			return err
		}
		wake()
		return nil
	}
	return &Process{
		Name:   "letters",
		Follow: event.Filter{Streams: []string{"account-"}},
		On: map[string]func(context.Context, event.Recorded) error{
			account.TokenIssued{}.EventType():           write,
			account.SessionStarted{}.EventType():        write,
			account.SignUpTried{}.EventType():           write,
			account.ChallengeIssued{}.EventType():       write,
			account.PasswordChanged{}.EventType():       write,
			account.PasswordRemoved{}.EventType():       write,
			account.EmailChanged{}.EventType():          write,
			account.PhoneChanged{}.EventType():          write,
			account.PhoneVerified{}.EventType():         write,
			account.MFASwitched{}.EventType():           write,
			account.AuthenticatorVerified{}.EventType(): write,
			account.AuthenticatorRemoved{}.EventType():  write,
			account.RecoveryCodesMade{}.EventType():     write,
			account.ChallengePassed{}.EventType():       write,
			account.IdentityLinked{}.EventType():        write,
			account.IdentityRemoved{}.EventType():       write,
		},
	}
}

// Content is what a letter has to tell. It is read from the log when the letter is sent and kept nowhere else.
type Content struct {
	Kind, Locale       string
	Project            string // its name, for people
	To, Name           string // the address or number, and whose it is
	Link, Code, Phrase string
	Change, Provider   string // of a notice
	At, Expires        time.Time
	IP, UserAgent      string
}

// Composer writes letters.
type Composer struct {
	Log      commands.Log
	Commands *commands.Commands
	Projects map[string]*project.Project
	Link     func(e account.TokenIssued, project, owner, secret string) string
	Write    func(Content) (subject, text, html string, err error)
}

// Compose writes a letter. ErrGone when the event tells no address any more, because the person was forgotten, or when
// the secret it brings has been used or replaced; ErrUndeliverable when it cannot be written.
func (c *Composer) Compose(ctx context.Context, letter Letter) (Message, error) {
	content, err := c.content(ctx, letter)
	if err != nil {
		return Message{}, err
	}
	subject, text, html, err := c.Write(content)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrUndeliverable, err)
	}
	return Message{
		ID: letter.ID, Channel: letter.Channel, To: content.To, Name: content.Name,
		Subject: subject, Text: text, HTML: html, Link: content.Link, Code: content.Code,
	}, nil
}

func (c *Composer) content(ctx context.Context, letter Letter) (Content, error) {
	events, err := c.Log.Read(ctx, letter.Stream, letter.Revision, event.Forward, 1)
	if err != nil {
		return Content{}, err
	}
	// In a log that was restored another event may stand there.
	if len(events) == 0 || events[0].Revision != letter.Revision || events[0].ID.String() != letter.ID {
		return Content{}, ErrGone
	}
	r := events[0]
	e, err := account.Contract.Read(r)
	if err != nil {
		return Content{}, err
	}
	m, err := r.ReadMetadata()
	if err != nil {
		return Content{}, err
	}
	p, known := c.Projects[m.Project]
	if !known {
		return Content{}, ErrGone
	}
	content := Content{Kind: letter.Kind, Project: p.Name, At: m.At, Expires: letter.Expires}
	if content.Project == "" {
		content.Project = p.ID
	}
	address := ""
	if m.Personal != nil {
		address, content.Name, content.IP, content.UserAgent = m.Personal.Email, m.Personal.Name, m.Personal.IP, m.Personal.UserAgent
	}
	switch e := e.(type) {
	case account.TokenIssued:
		owner := ownerOf(r.Stream)
		usable, err := c.Commands.CanUse(ctx, commands.Caller{Project: p}, owner, e)
		if err != nil {
			return Content{}, err
		}
		if !usable {
			return Content{}, ErrGone
		}
		content.To, content.Locale, content.Phrase = e.Personal.To, e.Locale, e.Personal.Phrase
		secret := c.Commands.Secret(p, owner, e)
		if e.Purpose.IsCode() {
			content.Code = secret
		} else {
			content.Link = c.Link(e, p.ID, owner, secret)
		}
	case account.SessionStarted:
		content.To, content.Locale = e.Personal.Alert, e.Locale
	case account.SignUpTried:
		content.To, content.Locale = e.Personal.To, e.Locale
	case account.ChallengeIssued:
		owner := ownerOf(r.Stream)
		usable, err := c.Commands.CanPass(ctx, commands.Caller{Project: p}, owner, e)
		if err != nil {
			return Content{}, err
		}
		if !usable {
			return Content{}, ErrGone
		}
		content.To, content.Locale, content.Code = e.Personal.To, e.Locale, c.Commands.ChallengeCode(p, owner, e)
	default:
		n := noticeOf(e, address)
		content.Change, content.Locale, content.Provider, content.To = n.change, n.locale, n.provider, n.to
	}
	if content.To == "" {
		return Content{}, ErrGone
	}
	return content, nil
}
