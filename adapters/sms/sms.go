// Package sms hands text messages to one of six providers, each by one POST:
//
//	webhook    the URL of the configuration
//	twilio     https://api.twilio.com/2010-04-01/Accounts/{user}/Messages.json
//	vonage     https://rest.nexmo.com/sms/json
//	msg91      https://control.msg91.com/api/v5/flow
//	telesign   https://rest-api.telesign.com/v1/messaging
//	textmagic  https://rest.textmagic.com/api/v2/messages
//
// What the keys of the configuration are to them:
//
//	           user               key                 from
//	webhook    header X-Username  header X-Key        "from" in the body
//	twilio     account SID        auth token          number, name, or messaging service SID (MG...)
//	vonage     API key            API secret          number or name
//	msg91      template id        authkey             sender id, or empty: the template's
//	telesign   customer id        API key             sender id, or empty: the account's
//	textmagic  username           API key             sender id, or empty: the account's
//
// Accepted means that the provider has taken the message over, not that a phone has it. A message that is tried again
// after a try without an answer may arrive twice: only the webhook is told by which id it can know the second one.
//
// Errors hold numbers and words of this package. What a provider answers may quote the phone number, the text or our
// account, and so is never part of one, nor is a URL.
//
// It does not know what messages say, when to try again, or when to give up.
package sms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/actahq/acta/adapters/breaker"
)

// ErrRefused: this message will not be taken, however often it is tried.
var ErrRefused = errors.New("the message is refused")

// Message is one text message to one phone.
type Message struct {
	ID   string // the same for every try; not empty, printable
	To   string // E.164: + and 2 to 15 digits
	Text string // 1 to 1600 characters; providers cut it into as many SMS as it takes

	// Turn, if any, is called when the provider may take the message with what is sent next; its error ends the try.
	Turn func(context.Context) error
}

// maxText is what Twilio takes at most; the others take about as much.
const maxText = 1600

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)

// check refuses what no provider takes, without telling what it is.
func (m Message) check() error {
	switch {
	case !e164.MatchString(m.To):
		return fmt.Errorf("%w: its number is not E.164", ErrRefused)
	case m.Text == "" || !utf8.ValidString(m.Text) || utf8.RuneCountInString(m.Text) > maxText:
		return fmt.Errorf("%w: its text is not 1 to %d characters", ErrRefused, maxText)
	case m.ID == "" || strings.ContainsFunc(m.ID, unicode.IsControl):
		return fmt.Errorf("%w: its id is empty or not printable", ErrRefused)
	}
	return nil
}

// Config is what the operator says under the key sms. The package comment tells what User, Key and From are for whom.
type Config struct {
	Provider string // webhook, twilio, vonage, msg91, telesign or textmagic
	URL      string // of the webhook; for the others what stands before the path instead of their own, "" = their own
	From     string
	User     string
	Key      string
}

// Sender sends messages through one provider. It is safe for concurrent use and keeps no connection, so that there is
// nothing to close.
type Sender struct {
	config   Config
	provider provider
	url      *url.URL
	client   *http.Client
	breaker  breaker.Breaker
	patience time.Duration
}

// pace is how long things take.
type pace struct {
	patience time.Duration // with one try, from connecting to the end of the answer; it begins anew with the turn
	rest     time.Duration // of a provider that has failed, before one message is tried
}

var defaultPace = pace{patience: 10 * time.Second, rest: 5 * time.Second}

// New makes a sender, or says which key of the configuration is wrong and why ("sms.key: missing"), without quoting it.
// It does not ask the provider.
func New(c Config) (*Sender, error) { return newSender(c, defaultPace) }

func newSender(c Config, p pace) (*Sender, error) {
	provider, known := providers[c.Provider]
	if !known {
		return nil, errors.New("sms.provider: not webhook, twilio, vonage, msg91, telesign or textmagic")
	}
	for _, entry := range []struct{ key, value string }{{"url", c.URL}, {"from", c.From}, {"user", c.User}, {"key", c.Key}} {
		switch {
		case entry.value == "" && slices.Contains(provider.needs, entry.key):
			return nil, fmt.Errorf("sms.%s: missing", entry.key)
		case strings.ContainsFunc(entry.value, unicode.IsControl): // most often the line break at the end of a file
			return nil, fmt.Errorf("sms.%s: holds a line break or another control character", entry.key)
		}
	}
	endpoint, err := url.Parse(cmp.Or(c.URL, provider.base))
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Hostname() == "" {
		return nil, errors.New("sms.url: not a URL such as https://example.com/path")
	}
	if provider.path != "" {
		endpoint.Path = cmp.Or(endpoint.Path, "/") // what JoinPath joins to no path is none that can be asked for
		endpoint = endpoint.JoinPath(strings.Replace(provider.path, "{user}", url.PathEscape(c.User), 1))
	}
	return &Sender{
		config:   c,
		provider: provider,
		url:      endpoint,
		client:   newClient(),
		breaker:  newBreaker(c.Provider, p.rest),
		patience: p.patience,
	}, nil
}

// Send tries once to hand the message to the provider, which has ten seconds to accept a connection, and ten more to
// accept the message; in between it waits for its turn, as long as Turn does. nil: it was accepted. The error is
// ErrRefused when another try is useless, breaker.ErrResting when nothing was tried, or the context's; any other is worth another
// try.
func (s *Sender) Send(ctx context.Context, m Message) error {
	err := cmp.Or(ctx.Err(), m.check())
	if err == nil {
		err = s.breaker.Through(func() error { return s.try(ctx, m) })
	}
	if err != nil {
		return fmt.Errorf("send a text message by %s: %w", s.config.Provider, err)
	}
	return nil
}

// newBreaker makes the breaker in front of a provider, so that messages do not queue for one that is down or does not know
// us any more. A message that is refused proves that the provider is well; that its turn did not come proves nothing.
func newBreaker(provider string, rest time.Duration) breaker.Breaker {
	return breaker.New(breaker.Settings{
		Of:   "text messages by " + provider,
		Rest: rest,
		Well: func(err error) bool { return errors.Is(err, ErrRefused) },
		Moot: func(err error) bool { return errors.Is(err, errNoTurn) },
	})
}

// State gives the state of the breaker in front of the provider.
func (s *Sender) State() string { return s.breaker.State() }
