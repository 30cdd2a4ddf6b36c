package api

import (
	"bytes"
	"context"
	"encoding/json"
	"image/png"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/danielgtaylor/huma/v2"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
	"github.com/actahq/acta/projections"
)

var errMoreFactors = refusal.New(refusal.Unauthorized, "user_more_factors_required", "More factors are required to complete the sign in process.")

// enoughFactors is the factor gate: where MFA is on and there is a second factor to ask for, a session with one is
// refused. A JWT is as good as the session that it stands for.
func (c *call) enoughFactors() error {
	session := c.session
	if session == nil {
		session = c.standsFor
	}
	if a := c.account; a != nil && session != nil && needsTwo(a) && len(session.Factors) < 2 {
		return errMoreFactors
	}
	return nil
}

func needsTwo(a *projections.Account) bool {
	return a.MFA && (a.Authenticator || a.EmailVerified && a.Email != "" || a.PhoneVerified && a.Phone != "")
}

// asking is the session that asks; a JWT stands for one, but proves no further factors to it.
func (c *call) asking() (string, error) {
	if c.session == nil {
		return "", account.ErrSessionUnknown
	}
	return c.session.Session, nil
}

type switchMFA struct {
	MFA bool `json:"mfa" check:"strictBool" doc:"Whether a second factor is asked for."`
}

func (a *API) switchMFA(ctx context.Context, in *Params[switchMFA]) (*accountAnswer, error) {
	c := callOf(ctx)
	session, err := c.asking()
	if err != nil {
		return nil, err
	}
	at, err := a.Commands.SwitchMFA(ctx, c.caller(), c.account.ID, session, in.Value.MFA)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

// Factors is which factors a challenge can ask for.
type Factors struct {
	answer
	TOTP         bool `json:"totp" doc:"An authenticator was verified."`
	Phone        bool `json:"phone" doc:"The phone number was verified."`
	Email        bool `json:"email" doc:"The email address was verified, and is not what the session rests on already."`
	RecoveryCode bool `json:"recoveryCode" doc:"There are recovery codes left."`
}

type factorsAnswer struct{ Body *Factors }

func (a *API) listFactors(ctx context.Context, _ *nothing) (*factorsAnswer, error) {
	c := callOf(ctx)
	row := c.account
	f := &Factors{
		TOTP: row.Authenticator, Phone: row.PhoneVerified && row.Phone != "", Email: row.EmailVerified && row.Email != "", RecoveryCode: row.RecoveryCodes > 0,
	}
	if f.Email && (f.TOTP || f.Phone) {
		var err error
		if f.Email, err = a.Commands.CountsMailbox(ctx, c.caller(), row.ID, c.current()); err != nil {
			return nil, err
		}
	}
	return &factorsAnswer{f}, nil
}

// typePath names a kind of authenticator.
type typePath struct {
	Type string `path:"type" doc:"totp." enum:"totp"`
}

// picturePath is typePath of an answer that is a picture.
type picturePath struct {
	Type string `path:"type" doc:"totp." enum:"totp"`
}

func (*picturePath) document(op *huma.Operation, _ huma.Registry) {
	op.Responses["200"] = &huma.Response{Description: "The code.", Content: map[string]*huma.MediaType{"image/png": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
}

func (p typePath) check() error {
	if !strings.EqualFold(p.Type, account.FactorTOTP) {
		return invalid("type", "Value must be one of (totp)")
	}
	return nil
}

// Authenticator is what an authenticator program needs to know.
type Authenticator struct {
	answer
	Secret string `json:"secret" doc:"The seed, in Base32."`
	URI    string `json:"uri" doc:"The same as a URI, which authenticator programs read from a QR code."`
}

type authenticatorAnswer struct{ Body *Authenticator }

func (a *API) addAuthenticator(ctx context.Context, in *typePath) (*authenticatorAnswer, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	seed, at, err := a.Commands.AddAuthenticator(ctx, c.caller(), c.account.ID)
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	return &authenticatorAnswer{&Authenticator{Secret: seed, URI: c.authenticatorURI(seed)}}, nil
}

// authenticatorURI is what authenticator programs agree on (Google's Key Uri Format).
func (c *call) authenticatorURI(seed string) string {
	issuer, owner := c.project.Name, c.account.Email
	if issuer == "" {
		issuer = c.project.ID
	}
	if owner == "" {
		owner = c.account.Name
	}
	if owner == "" {
		owner = c.account.ID
	}
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	return "otpauth://totp/" + escape(issuer+":"+owner) + "?issuer=" + escape(issuer) + "&secret=" + seed
}

// qrSize is the side of the picture, in pixels.
const qrSize = 320

type pictureAnswer struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// drawAuthenticator draws the URI of an authenticator that was not verified yet, so that nobody needs to show the seed
// to somebody else for that.
func (a *API) drawAuthenticator(ctx context.Context, in *picturePath) (*pictureAnswer, error) {
	if err := (typePath{in.Type}).check(); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	seed, err := a.Commands.Seed(ctx, c.caller(), c.account.ID)
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(c.authenticatorURI(seed), qr.M, qr.Auto)
	if err != nil {
		return nil, err
	}
	if code, err = barcode.Scale(code, qrSize, qrSize); err != nil {
		return nil, err
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, code); err != nil {
		return nil, err
	}
	return &pictureAnswer{"image/png", picture.Bytes()}, nil
}

type verifyAuthenticator struct {
	OTP string `json:"otp" check:"code" doc:"A code of the authenticator."`
}

type verifyAuthenticatorInput struct {
	Params[verifyAuthenticator]
	Type string `path:"type" doc:"totp." enum:"totp"`
}

func (a *API) verifyAuthenticator(ctx context.Context, in *verifyAuthenticatorInput) (*accountAnswer, error) {
	c := callOf(ctx)
	session, err := c.asking()
	if err != nil {
		return nil, err
	}
	if err := (typePath{in.Type}).check(); err != nil {
		return nil, err
	}
	at, err := a.Commands.VerifyAuthenticator(ctx, c.caller(), c.account.ID, session, in.Value.OTP)
	return a.accountAsOf(ctx, c.account.ID, at, err)
}

func (a *API) removeAuthenticator(ctx context.Context, in *typePath) (*nothing, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	c := callOf(ctx)
	at, err := a.Commands.RemoveAuthenticator(ctx, c.caller(), c.account.ID, c.recent())
	return nil, a.settled(ctx, at, err)
}

// recent is the session that must have been proved a short while ago; "" = a JWT asks, which none was.
func (c *call) recent() string {
	if c.session == nil {
		return ""
	}
	return c.session.Session
}

type issueChallenge struct {
	Factor string `json:"factor" check:"factor" doc:"email, phone, totp or recoverycode."`
}

// Challenge is a question for a factor.
type Challenge struct {
	answer
	ID        string `json:"$id"`
	CreatedAt Time   `json:"$createdAt"`
	UserID    string `json:"userId"`
	Expire    Time   `json:"expire"`
}

type challengeAnswer struct{ Body *Challenge }

func (a *API) issueChallenge(ctx context.Context, in *Params[issueChallenge]) (*challengeAnswer, error) {
	c := callOf(ctx)
	session, err := c.asking()
	if err != nil {
		return nil, err
	}
	switch in.Value.Factor {
	case account.FactorEmail:
		err = c.deliverable(account.ForEmailCode, "")
	case account.FactorPhone:
		err = c.deliverable(account.ForPhoneCode, c.account.Phone)
	}
	if err != nil {
		return nil, err
	}
	issued, at, err := a.Commands.IssueChallenge(ctx, c.caller(), c.account.ID, session, in.Value.Factor)
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	return &challengeAnswer{&Challenge{ID: issued.ID, CreatedAt: Time{issued.At}, UserID: c.account.ID, Expire: Time{issued.Expires}}}, nil
}

type passChallenge struct {
	ChallengeID string `json:"challengeId" check:"code"`
	OTP         string `json:"otp" check:"code" doc:"The code that was sent, that of the authenticator, or a recovery code."`
}

func (a *API) passChallenge(ctx context.Context, in *Params[passChallenge]) (*sessionAnswer, error) {
	c := callOf(ctx)
	session, err := c.asking()
	if err != nil {
		return nil, err
	}
	at, err := a.Commands.PassChallenge(ctx, c.caller(), c.account.ID, session, in.Value.ChallengeID, in.Value.OTP)
	row, err := a.sessionAsOf(ctx, c.account.ID, session, at, err)
	if err != nil {
		return nil, err
	}
	return &sessionAnswer{c.sessionModel(row)}, nil
}

// Codes is recovery codes.
type Codes struct {
	answer
	RecoveryCodes []string `json:"recoveryCodes" doc:"Each can be used once in place of another factor."`
}

type codesAnswer struct{ Body *Codes }

func (a *API) makeRecoveryCodes(ctx context.Context, _ *nothing) (*codesAnswer, error) {
	return a.codes(ctx, false)
}

func (a *API) renewRecoveryCodes(ctx context.Context, _ *nothing) (*codesAnswer, error) {
	return a.codes(ctx, true)
}

func (a *API) codes(ctx context.Context, renew bool) (*codesAnswer, error) {
	c := callOf(ctx)
	codes, at, err := a.Commands.MakeRecoveryCodes(ctx, c.caller(), c.account.ID, c.recent(), renew)
	settled := a.settled(ctx, at, err)
	if err == nil {
		settled = nil // they hold, and are shown this once: not even read models that are behind may keep them back
	}
	return answerCodes(codes, settled)
}

func (a *API) listRecoveryCodes(ctx context.Context, _ *nothing) (*codesAnswer, error) {
	c := callOf(ctx)
	codes, err := a.Commands.RecoveryCodes(ctx, c.caller(), c.account.ID, c.recent())
	return answerCodes(codes, a.settled(ctx, event.Receipt{}, err))
}

func answerCodes(codes []string, err error) (*codesAnswer, error) {
	if err != nil {
		return nil, err
	}
	return &codesAnswer{&Codes{RecoveryCodes: codes}}, nil
}

const problemFactor = "Value must be one of (email, phone, totp, recoverycode)"

// checkFactor takes factors in any case, and so both spellings of recovery codes that the documentation knows.
func checkFactor(_ *call, raw json.RawMessage) (any, string) {
	s, _ := text(raw)
	s = strings.ToLower(s)
	if !slices.Contains([]string{account.FactorEmail, account.FactorPhone, account.FactorTOTP, account.FactorRecovery}, s) {
		return nil, problemFactor
	}
	return s, ""
}

func checkCode(_ *call, raw json.RawMessage) (any, string) {
	s, ok := text(raw)
	if n := utf8.RuneCountInString(s); !ok || n < 1 || n > 256 {
		return nil, problemCode
	}
	return s, ""
}

func checkStrictBool(_ *call, raw json.RawMessage) (any, string) {
	if s := string(raw); s != "true" && s != "false" {
		return nil, problemBool
	}
	return string(raw) == "true", ""
}
