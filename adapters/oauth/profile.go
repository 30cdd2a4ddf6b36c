package oauth

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// inquiry asks a provider about the one whose token it has.
type inquiry struct {
	*Provider
	token   *oauth2.Token
	profile string
	fields  fields
}

// who asks who has signed in.
func (p *Provider) who(ctx context.Context, m *metadata, token *oauth2.Token, a Attempt) (Profile, error) {
	i := &inquiry{Provider: p, token: token, profile: m.profile, fields: p.row.fields}
	switch {
	case len(m.issuers) > 0:
		return p.believed(ctx, m, i, a)
	case p.row.inquire != nil:
		return p.row.inquire(ctx, i)
	}
	d, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	return i.fields.of(d), nil
}

// believed takes what the id_token says, and what the userinfo endpoint adds about the same person.
func (p *Provider) believed(ctx context.Context, m *metadata, i *inquiry, a Attempt) (Profile, error) {
	raw, _ := i.token.Extra("id_token").(string)
	said, err := p.verify(ctx, m, raw, a.Nonce)
	if err != nil {
		return Profile{}, err
	}
	who := i.fields.of(said)
	if i.profile == "" {
		return who, nil
	}
	d, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	if d["sub"] != said["sub"] { // OpenID Connect Core 1.0, 5.3.2
		return Profile{}, forged("the profile is somebody else's")
	}
	more := i.fields.of(d)
	if who.Subject == "" {
		who.Subject = more.Subject
	}
	if who.Name == "" {
		who.Name = more.Name
	}
	switch who.Email { // what is said of an address is said of this one only
	case "":
		who.Email, who.EmailVerified = more.Email, more.EmailVerified
	case more.Email:
		who.EmailVerified = who.EmailVerified || more.EmailVerified
	}
	return who, nil
}

// ask asks for a JSON object about the one whose token it is.
func (i *inquiry) ask(ctx context.Context, url string) (document, error) {
	r, err := i.request(ctx, url)
	if err != nil {
		return nil, err
	}
	return i.object(r)
}

// askList asks for a list of them.
func (i *inquiry) askList(ctx context.Context, url string) ([]document, error) {
	r, err := i.request(ctx, url)
	if err != nil {
		return nil, err
	}
	status, body, err := i.answer(r)
	if err != nil {
		return nil, err
	}
	var list []document
	if json.Unmarshal(body, &list) != nil {
		return nil, unreadable(status, "it is no list in JSON")
	}
	return list, nil
}

func (i *inquiry) request(ctx context.Context, url string) (*http.Request, error) {
	method := i.row.method
	if method == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, failed("the URL is none")
	}
	show := i.row.show
	if show == nil {
		show = bearer
	}
	show(r, i.config, i.token.AccessToken)
	return r, nil
}

// object makes a request whose answer is a JSON object. One that is an error is none.
func (p *Provider) object(r *http.Request) (document, error) {
	status, body, err := p.answer(r)
	if err != nil {
		return nil, err
	}
	d, ok := parse(body)
	if !ok {
		return nil, unreadable(status, "it is no object in JSON")
	}
	if said := d["error"]; said != nil && said != false && said != "" { // with 200: Slack
		return nil, refusal(status, codeIn(body))
	}
	return d, nil
}

func (p *Provider) answer(r *http.Request) (status int, body []byte, _ error) {
	answer, err := p.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return 0, nil, noAnswer(err)
	case answer.StatusCode != http.StatusOK:
		return 0, nil, unreadable(answer.StatusCode, "it leads elsewhere or is none")
	}
	return answer.StatusCode, body, nil
}

// Bounds of what is kept of a profile, in bytes.
const (
	maxSubject = 255
	maxEmail   = 320 // RFC 3696, erratum 1690
	maxName    = 1024
)

// checked refuses a profile that is nobody's, and leaves out what is no address or no name: people are let in without.
func (who Profile) checked() (Profile, error) {
	if who.Subject == "" || !plain(who.Subject, maxSubject) {
		return Profile{}, &Failure{Kind: Nobody, why: "the answer is no use: it does not tell who it is about"}
	}
	if !plain(who.Email, maxEmail) {
		who.Email = ""
	}
	who.Name = strings.Join(strings.FieldsFunc(who.Name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if !plain(who.Name, maxName) {
		who.Name = ""
	}
	who.EmailVerified = who.EmailVerified && who.Email != ""
	return who, nil
}

// plain says that a text is UTF-8 without control characters, and not longer than that.
func plain(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// nameIn reads what Apple sends by the browser, once: {"name": {"firstName": "Ada", "lastName": "Lovelace"}}. Whoever signs
// in can write there what they like, as they can into a profile.
func nameIn(user string) string {
	if len(user) > 4096 {
		return ""
	}
	d, _ := parse([]byte(user))
	return d.text("name.firstName name.lastName")
}
