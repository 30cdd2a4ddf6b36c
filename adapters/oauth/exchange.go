package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Exchange gives the code of a callback for tokens, and says who has signed in. form holds all parameters of the callback.
// The caller has found the attempt by the state in it and let nobody else use it. The error is breaker.ErrResting, a *Failure or the
// context's; a code is good for one Exchange, whatever comes of it.
func (p *Provider) Exchange(ctx context.Context, code string, a Attempt, form url.Values) (Profile, error) {
	var who Profile
	err := p.through(ctx, func(ctx context.Context) (err error) {
		who, err = p.exchange(ctx, code, a, form)
		return err
	})
	if err != nil {
		return Profile{}, fmt.Errorf("sign in by %s: %w", p.config.Provider, err)
	}
	return who, nil
}

func (p *Provider) exchange(ctx context.Context, code string, a Attempt, form url.Values) (Profile, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return Profile{}, err
	}
	if code == "" {
		return Profile{}, forged("the callback has no code")
	}
	// Before the code is shown to anybody: it may be another provider's, who answers in this one's place (RFC 9207).
	if said, ok := form["iss"]; len(m.issuers) > 0 && (ok || m.names) {
		if len(said) != 1 || !slices.Contains(m.issuers, said[0]) {
			return Profile{}, forged("the callback is that of another issuer")
		}
	}
	secret, err := p.secret()
	if err != nil {
		return Profile{}, err
	}
	c := p.oauth2(m, secret)
	var options []oauth2.AuthCodeOption
	if !p.row.unproven && a.Verifier != "" {
		options = append(options, oauth2.VerifierOption(a.Verifier))
	}
	if scopes := p.scopes(a); p.row.scopeAgain && len(scopes) > 0 {
		options = append(options, oauth2.SetAuthURLParam("scope", strings.Join(scopes, " ")))
	}
	if p.row.terse {
		c.ClientID, c.RedirectURL = "", ""
	}
	token, err := c.Exchange(p.carrying(ctx), code, options...)
	if err != nil {
		return Profile{}, tokenFailure(err)
	}
	tokens, err := p.tokens(token)
	if err != nil {
		return Profile{}, err
	}
	who, err := p.who(ctx, m, token, a)
	if err != nil {
		return Profile{}, err
	}
	who.Tokens = tokens
	if who.Name == "" {
		who.Name = nameIn(form.Get("user"))
	}
	return who.checked()
}

// Refresh gives a refresh token for another access token. The refresh token in the answer is the new one, or the same when
// none came. The error is breaker.ErrResting, a *Failure or the context's.
func (p *Provider) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	var tokens Tokens
	err := p.through(ctx, func(ctx context.Context) (err error) {
		tokens, err = p.refresh(ctx, refreshToken)
		return err
	})
	if err != nil {
		return Tokens{}, fmt.Errorf("refresh a token by %s: %w", p.config.Provider, err)
	}
	return tokens, nil
}

func (p *Provider) refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	if refreshToken == "" {
		return Tokens{}, forged("there is no refresh token")
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return Tokens{}, err
	}
	secret, err := p.secret()
	if err != nil {
		return Tokens{}, err
	}
	c := p.oauth2(m, secret)
	if p.row.refresh != "" {
		c.Endpoint.TokenURL = p.row.refresh
	}
	if p.row.terse {
		c.ClientID = ""
	}
	token, err := c.TokenSource(p.carrying(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err != nil {
		return Tokens{}, tokenFailure(err)
	}
	return p.tokens(token)
}

// secret is what shows a token endpoint who we are.
func (p *Provider) secret() (string, error) {
	if p.apple != nil {
		return p.apple.secret(p.config.ClientID, p.now())
	}
	return p.config.ClientSecret, nil
}

// oauth2 is the client of the protocol.
func (p *Provider) oauth2(m *metadata, secret string) oauth2.Config {
	auth := oauth2.AuthStyleInParams // to try both would show a code twice
	for _, style := range []oauth2.AuthStyle{m.auth, p.row.auth} {
		if style != 0 {
			auth = style
			break
		}
	}
	if p.row.public {
		secret = ""
	}
	return oauth2.Config{
		ClientID:     p.config.ClientID,
		ClientSecret: secret,
		RedirectURL:  p.redirect,
		Endpoint:     oauth2.Endpoint{AuthURL: m.authorize, TokenURL: m.token, AuthStyle: auth},
	}
}

// carrying is a context by which tokens are asked for.
func (p *Provider) carrying(ctx context.Context) context.Context {
	client := *p.client
	if p.row.reshape != nil {
		client.Transport = reshaping{client.Transport, p.row.reshape}
	}
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}

// reshaping puts answers with tokens into the form of RFC 6749.
type reshaping struct {
	base    http.RoundTripper
	reshape func(document)
}

func (t reshaping) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, noAnswer(err)
	}
	if d, ok := parse(body); ok {
		t.reshape(d)
		if body, err = json.Marshal(d); err != nil {
			return nil, unreadable(answer.StatusCode, "it cannot be read")
		}
		answer.Header.Set("Content-Type", "application/json")
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// tokenFailure reads what golang.org/x/oauth2 has to say. Its text quotes the answer.
func tokenFailure(err error) error {
	if _, ok := errors.AsType[*Failure](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if said, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		if status := said.Response.StatusCode; status != http.StatusOK {
			return unreadable(status, "it leads elsewhere or is none")
		}
		return refusal(http.StatusOK, valid(said.ErrorCode))
	}
	return unreadable(0, "there is no token in it")
}

// maxToken bounds a token, in bytes. The longest are JWTs with the groups of their owner.
const maxToken = 8 << 10

// tokens are what came of them. golang.org/x/oauth2 reckons by another clock. What is kept is kept for good, so that a
// token which no header or database takes ends here.
func (p *Provider) tokens(t *oauth2.Token) (Tokens, error) {
	tokens := Tokens{Access: t.AccessToken, Refresh: t.RefreshToken}
	if !plain(tokens.Access, maxToken) || !plain(tokens.Refresh, maxToken) {
		return Tokens{}, unreadable(0, "a token in it is too long, or no text")
	}
	seconds := t.ExpiresIn
	if seconds == 0 {
		seconds, _ = t.Extra("expires_in").(int64) // of a query string
	}
	if seconds > 0 {
		tokens.Expires = p.now().Add(time.Duration(min(seconds, math.MaxInt32)) * time.Second)
	}
	return tokens, nil
}
