package oauth

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"
)

// What some providers do in a way of their own, for the table.

func paypalAt(name, site, api string) row {
	return row{
		name:      name,
		authorize: site + "/connect/",
		token:     api + "/v1/oauth2/token",
		profile:   api + "/v1/identity/oauth2/userinfo?schema=paypalv1.1",
		scopes:    []string{"openid", "profile", "email"}, // it documents an id_token for few, and signs it with the secret
		extra:     map[string]string{"flowEntry": "static"},
		numeric:   true,
		auth:      oauth2.AuthStyleInHeader,
		inquire:   paypal,
	}
}

func tradeshiftAt(name, api string) row {
	return row{
		name:      name,
		authorize: api + "/tradeshift/auth/login",
		token:     api + "/tradeshift/auth/token",
		profile:   api + "/tradeshift/rest/external/account/info/user",
		scopes:    []string{"openid", "offline"},
		numeric:   true,
		auth:      oauth2.AuthStyleInHeader,
		fields:    fields{subject: "Id", email: "Username", name: "FirstName LastName"},
	}
}

// below is a URL under another.
func below(base, name string) string {
	joined, err := url.JoinPath(base, name)
	if err != nil {
		return base
	}
	return joined
}

func bitbucket(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	emails, err := i.ask(ctx, below(i.profile, "emails"))
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "uuid", name: "display_name"}.of(user)
	for _, entry := range emails.list("values") {
		if isTrue(entry["is_confirmed"]) {
			p.Email, p.EmailVerified = entry.text("email"), true
			break
		}
	}
	return p, nil
}

func bitly(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "login", name: "name"}.of(user)
	for _, entry := range user.list("emails") {
		if isTrue(entry["is_verified"]) {
			p.Email, p.EmailVerified = entry.text("email"), true
			break
		}
	}
	return p, nil
}

// github takes the primary address if it is verified, else the last one that is, else what the profile shows to everybody.
func github(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	emails, err := i.askList(ctx, below(i.profile, "emails"))
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "id", email: "email", name: "name"}.of(user)
	for _, entry := range emails {
		if !isTrue(entry["verified"]) {
			continue
		}
		p.Email, p.EmailVerified = entry.text("email"), true
		if isTrue(entry["primary"]) {
			break
		}
	}
	return p, nil
}

func paypal(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "payer_id", name: "name"}.of(user)
	for _, entry := range user.list("emails") {
		if isTrue(entry["primary"]) {
			p.Email, p.EmailVerified = entry.text("value"), isTrue(entry["confirmed"])
			break
		}
	}
	return p, nil
}

func podio(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	profile, err := i.ask(ctx, below(i.profile, "profile"))
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "user_id", email: "mail"}.of(user)
	p.Name = profile.text("name")
	for _, entry := range user.list("mails") {
		if entry.text("mail") == p.Email {
			p.EmailVerified = isTrue(entry["verified"])
			break
		}
	}
	return p, nil
}

// wordpress gives an address to nobody who has not verified it, and tells so a second time.
func wordpress(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if err != nil {
		return Profile{}, err
	}
	p := fields{subject: "ID", email: "email", verified: "email_verified", name: "username"}.of(user)
	if !isTrue(user["verified"]) {
		p.Email, p.EmailVerified = "", false
	}
	return p, nil
}

// slack asks as the reference does. The scopes of the reference open that for apps of long ago only; for others Slack
// documents a second place, with the same ids and a flag at the address.
func slack(ctx context.Context, i *inquiry) (Profile, error) {
	user, err := i.ask(ctx, i.profile)
	if failure, ok := errors.AsType[*Failure](err); ok && failure.Code == "missing_scope" {
		user, err = i.ask(ctx, strings.Replace(i.profile, "users.identity", "openid.connect.userInfo", 1))
		return claims.of(user), err
	}
	return fields{subject: "user.id", email: "user.email", name: "user.name"}.of(user), err
}

// authedUser takes the token of the person; one beside it is a bot's, unless it says otherwise, as a refreshed one does.
func authedUser(answer document) {
	user, _ := answer["authed_user"].(map[string]any)
	if _, ok := user["access_token"]; !ok && answer["token_type"] == "user" {
		return
	}
	for _, key := range []string{"access_token", "refresh_token", "expires_in"} {
		delete(answer, key)
		if v, ok := user[key]; ok {
			answer[key] = v
		}
	}
}

// innerToken: Yammer tells a lot about a token and calls all of it access_token.
func innerToken(answer document) {
	if inner, ok := answer["access_token"].(map[string]any); ok {
		answer["access_token"] = inner["token"]
	}
}

var (
	etsyUser      = regexp.MustCompile(`^[0-9]{1,20}$`)
	stripeAccount = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
)

// etsy says whose token it is before the first dot of it.
func etsy(ctx context.Context, i *inquiry) (Profile, error) {
	user, _, _ := strings.Cut(i.token.AccessToken, ".")
	if !etsyUser.MatchString(user) {
		return Profile{}, unreadable(0, "the token does not tell whose it is")
	}
	d, err := i.ask(ctx, strings.Replace(i.profile, "{user}", user, 1))
	if err != nil {
		return Profile{}, err
	}
	p := i.fields.of(d)
	if p.Subject != user {
		return Profile{}, forged("the profile is somebody else's")
	}
	return p, nil
}

// stripe says whose token it is beside the token.
func stripe(ctx context.Context, i *inquiry) (Profile, error) {
	account, _ := i.token.Extra("stripe_user_id").(string)
	if !stripeAccount.MatchString(account) {
		return Profile{}, unreadable(0, "the answer with the token does not tell whose it is")
	}
	d, err := i.ask(ctx, strings.Replace(i.profile, "{account}", account, 1))
	return i.fields.of(d), err
}
