package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/actahq/acta/adapters/breaker"
	"github.com/actahq/acta/adapters/geo"
	written "github.com/actahq/acta/adapters/letters"
	"github.com/actahq/acta/adapters/mail"
	"github.com/actahq/acta/adapters/oauth"
	texting "github.com/actahq/acta/adapters/sms"
	"github.com/actahq/acta/adapters/useragent"
	"github.com/actahq/acta/api/inbox"
	"github.com/actahq/acta/commands/process"
)

// post is what letters leave by: a mail server and an SMS provider, each as far as it is configured, or the inbox of
// the development mode.
type post struct {
	mail  *mail.Mailer
	texts *texting.Sender
	inbox *inbox.Inbox
}

func openPost(cfg config) (p post, err error) {
	if cfg.development {
		p.inbox = inbox.New(cfg.SMTP.URL == "", cfg.SMS.Provider == "")
	}
	if cfg.SMTP.URL != "" {
		if p.mail, err = mail.New(cfg.SMTP.URL, cfg.SMTP.From); err != nil {
			return p, err
		}
	}
	if cfg.SMS.Provider != "" {
		if p.texts, err = texting.New(texting.Config{Provider: cfg.SMS.Provider, URL: cfg.SMS.URL, From: cfg.SMS.From, User: cfg.SMS.User, Key: cfg.SMS.Key}); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p post) mails() bool { return p.mail != nil || p.inbox != nil }
func (p post) sends() bool { return p.texts != nil || p.inbox != nil }

// states is what the breakers before mail server and SMS provider are in, as far as there are any.
func (p post) states() map[string]string {
	states := map[string]string{}
	if p.mail != nil {
		states["mail"] = p.mail.State()
	}
	if p.texts != nil {
		states["sms"] = p.texts.State()
	}
	return states
}

// senders is how each channel delivers.
func (p post) senders() map[string]func(context.Context, process.Message) error {
	keep := func(_ context.Context, m process.Message) error {
		p.inbox.Keep(inbox.Message{
			ID: m.ID, Channel: m.Channel, To: m.To, Name: m.Name, Subject: m.Subject, Text: m.Text, HTML: m.HTML, At: time.Now(), Link: m.Link, Code: m.Code,
		})
		return nil
	}
	nobody := func(context.Context, process.Message) error {
		return fmt.Errorf("%w: nothing is configured that could send it", process.ErrUndeliverable)
	}
	senders := map[string]func(context.Context, process.Message) error{process.ChannelEmail: nobody, process.ChannelText: nobody}
	if p.inbox != nil {
		senders[process.ChannelEmail], senders[process.ChannelText] = keep, keep
	}
	if p.mail != nil {
		senders[process.ChannelEmail] = func(ctx context.Context, m process.Message) error {
			return delivered(p.mail.Send(ctx, mail.Message{ID: m.ID, To: m.To, Name: m.Name, Subject: m.Subject, Text: m.Text, HTML: m.HTML, Turn: m.Turn}), mail.ErrRefused)
		}
	}
	if p.texts != nil {
		senders[process.ChannelText] = func(ctx context.Context, m process.Message) error {
			return delivered(p.texts.Send(ctx, texting.Message{ID: m.ID, To: m.To, Text: m.Text, Turn: m.Turn}), texting.ErrRefused)
		}
	}
	return senders
}

// delivered says in the words of the delivery how a try ended.
func delivered(err, refused error) error {
	switch {
	case errors.Is(err, refused):
		return fmt.Errorf("%w: %w", process.ErrUndeliverable, err)
	case errors.Is(err, breaker.ErrResting):
		return process.ErrResting
	}
	return err
}

// write writes a letter in the language that was asked for.
func write(c process.Content) (subject, plain, html string, err error) {
	device, country := useragent.Parse(c.UserAgent), geo.Country(c.IP)
	l := written.Letter{
		Kind: written.Kind(c.Kind), Locale: c.Locale, Project: c.Project, Name: c.Name, Email: c.To, Link: c.Link, Code: c.Code, Phrase: c.Phrase,
		Change: c.Change, Provider: oauth.Name(c.Provider),
		At: c.At, Expires: c.Expires, Client: device.ClientName, OS: device.OSName, Device: device.DeviceName, IP: c.IP,
	}
	if l.Client == "" {
		l.Client = c.UserAgent
	}
	if name := geo.Name(country, written.Choose(c.Locale)); name != "Unknown" {
		l.Country = name
	}
	text, err := written.Write(l)
	return text.Subject, text.Text, text.HTML, err
}
