package api

import (
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/refusal"
)

// What letters need that the operator did not set up.
var (
	errNoMail  = refusal.New(refusal.Unavailable, "general_smtp_disabled", "SMTP is disabled on this server. Set smtp.url to send letters.")
	errNoTexts = refusal.New(refusal.Unavailable, "general_phone_disabled", "Phone provider is not configured. Set sms.provider to send text messages.")

	errPasswordMismatch = refusal.New(refusal.Invalid, "user_password_mismatch", "Passwords do not match. Please check the password and confirm password.")
)

// Token is a one-time secret that was sent to somebody.
type Token struct {
	answer
	ID        string `json:"$id"`
	CreatedAt Time   `json:"$createdAt"`
	UserID    string `json:"userId"`
	Secret    string `json:"secret" doc:"Given to servers with an API key; everybody else has it from the letter."`
	Expire    Time   `json:"expire"`
	Phrase    string `json:"phrase" doc:"Stands in the letter too, when it was asked for."`
}

type tokenAnswer struct{ Body *Token }

type createMagicURL struct {
	UserID string        `json:"userId" check:"newID" doc:"1 to 36 characters, or unique(). Counts when the address is nobody's yet."`
	Email  account.Email `json:"email" check:"email"`
	URL    string        `json:"url,omitempty" check:"url" doc:"Where the link leads: a platform of the project. userId, secret, expire and project are added."`
	Phrase bool          `json:"phrase,omitempty" check:"bool" doc:"Whether a phrase shows that the letter belongs to this request."`
}

func (a *API) createMagicURL(ctx context.Context, in *Params[createMagicURL]) (*tokenAnswer, error) {
	p := in.Value
	if p.URL == "" {
		p.URL = a.PublicURL + magicURLPage
	}
	return a.issueLogin(ctx, commands.IssueLoginToken{Purpose: account.ForMagicURL, ID: p.UserID, Email: p.Email, Letter: commands.Letter{URL: p.URL, Phrase: p.Phrase}})
}

type createEmailCode struct {
	UserID string        `json:"userId" check:"newID" doc:"1 to 36 characters, or unique(). Counts when the address is nobody's yet."`
	Email  account.Email `json:"email" check:"email"`
	Phrase bool          `json:"phrase,omitempty" check:"bool" doc:"Whether a phrase shows that the letter belongs to this request."`
}

func (a *API) createEmailCode(ctx context.Context, in *Params[createEmailCode]) (*tokenAnswer, error) {
	p := in.Value
	return a.issueLogin(ctx, commands.IssueLoginToken{Purpose: account.ForEmailCode, ID: p.UserID, Email: p.Email, Letter: commands.Letter{Phrase: p.Phrase}})
}

type createPhoneCode struct {
	UserID string        `json:"userId" check:"newID" doc:"1 to 36 characters, or unique(). Counts when the number is nobody's yet."`
	Phone  account.Phone `json:"phone" check:"phone" doc:"In E.164 form."`
}

func (a *API) createPhoneCode(ctx context.Context, in *Params[createPhoneCode]) (*tokenAnswer, error) {
	p := in.Value
	answer, err := a.issueLogin(ctx, commands.IssueLoginToken{Purpose: account.ForPhoneCode, ID: p.UserID, Phone: p.Phone})
	if err == nil && answer.Body.Secret != "" {
		answer.Body.Secret = credential{answer.Body.UserID, answer.Body.Secret}.encode() // as the reference gives it to servers
	}
	return answer, err
}

func (a *API) issueLogin(ctx context.Context, in commands.IssueLoginToken) (*tokenAnswer, error) {
	c := callOf(ctx)
	if err := c.payable(in.Purpose, string(in.Phone)); err != nil {
		return nil, err
	}
	if c.uniform() {
		in.ID = commands.NewID() // an id of their choice would tell whether it was needed
	}
	defer c.uniformly()()
	issued, at, err := a.Commands.IssueLoginToken(ctx, c.caller(), in)
	return a.tokenToAddressAsOf(ctx, a.Commands.LoginClaim(in), issued, at, err)
}

type createRecovery struct {
	Email account.Email `json:"email" check:"email"`
	URL   string        `json:"url" check:"url" doc:"Where the link leads: a platform of the project. userId, secret and expire are added."`
}

func (a *API) createRecovery(ctx context.Context, in *Params[createRecovery]) (*tokenAnswer, error) {
	c := callOf(ctx)
	if err := c.payable(account.ForRecovery, ""); err != nil {
		return nil, err
	}
	defer c.uniformly()()
	issued, at, err := a.Commands.IssueRecoveryToken(ctx, c.caller(), in.Value.Email, commands.Letter{URL: in.Value.URL})
	return a.tokenToAddressAsOf(ctx, a.Commands.EmailClaim(in.Value.Email), issued, at, err)
}

type finishRecovery struct {
	UserID        string `json:"userId" check:"owner"`
	Secret        string `json:"secret" check:"secret"`
	Password      string `json:"password" check:"newPassword"`
	PasswordAgain string `json:"passwordAgain,omitempty" check:"password" doc:"Sent by older client libraries; must be the same."`
}

func (a *API) finishRecovery(ctx context.Context, in *Params[finishRecovery]) (*tokenAnswer, error) {
	p, c := in.Value, callOf(ctx)
	if p.PasswordAgain != "" && p.PasswordAgain != p.Password {
		return nil, errPasswordMismatch
	}
	wait := c.uniformly()
	used, at, err := a.Commands.Recover(ctx, c.caller(), p.UserID, p.Secret, p.Password)
	if err != nil {
		wait() // an account is read where there is one
	}
	return a.usedAsOf(ctx, p.UserID, used, at, err)
}

type createVerification struct {
	URL string `json:"url" check:"url" doc:"Where the link leads: a platform of the project. userId, secret and expire are added."`
}

func (a *API) createEmailVerification(ctx context.Context, in *Params[createVerification]) (*tokenAnswer, error) {
	return a.issueVerification(ctx, account.ForEmailVerification, in.Value.URL)
}

func (a *API) createPhoneVerification(ctx context.Context, _ *nothing) (*tokenAnswer, error) {
	return a.issueVerification(ctx, account.ForPhoneVerification, "")
}

func (a *API) issueVerification(ctx context.Context, purpose account.Purpose, url string) (*tokenAnswer, error) {
	c := callOf(ctx)
	if err := c.payable(purpose, c.account.Phone); err != nil {
		return nil, err
	}
	issued, at, err := a.Commands.IssueVerificationToken(ctx, c.caller(), c.account.ID, purpose, commands.Letter{URL: url})
	return a.tokenAsOf(ctx, issued, at, err)
}

type redeemToken struct {
	UserID string `json:"userId" check:"id"`
	Secret string `json:"secret" check:"secret"`
}

func (a *API) finishEmailVerification(ctx context.Context, in *Params[redeemToken]) (*tokenAnswer, error) {
	return a.verify(ctx, in.Value, account.ForEmailVerification)
}

func (a *API) finishPhoneVerification(ctx context.Context, in *Params[redeemToken]) (*tokenAnswer, error) {
	return a.verify(ctx, in.Value, account.ForPhoneVerification)
}

func (a *API) verify(ctx context.Context, p redeemToken, purpose account.Purpose) (*tokenAnswer, error) {
	c := callOf(ctx)
	wait := c.uniformly()
	used, at, err := a.Commands.Verify(ctx, c.caller(), p.UserID, p.Secret, purpose)
	if err != nil {
		wait() // sign-up told an id, be it somebody's or not
	}
	return a.usedAsOf(ctx, p.UserID, used, at, err)
}

// redeemLogin is redeemToken where the id may come from the answer to a guest.
type redeemLogin struct {
	UserID string `json:"userId" check:"owner"`
	Secret string `json:"secret" check:"secret"`
}

// createTokenSession signs in with any secret that was sent for that; the older ways in take only their own.
func (a *API) createTokenSession(ctx context.Context, in *Params[redeemLogin]) (*startedAnswer, error) {
	return a.signInWithToken(ctx, in.Value, account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode, account.ForOAuth)
}

func (a *API) createMagicURLSession(ctx context.Context, in *Params[redeemLogin]) (*startedAnswer, error) {
	return a.signInWithToken(ctx, in.Value, account.ForMagicURL)
}

func (a *API) createPhoneSession(ctx context.Context, in *Params[redeemLogin]) (*startedAnswer, error) {
	return a.signInWithToken(ctx, in.Value, account.ForPhoneCode)
}

func (a *API) signInWithToken(ctx context.Context, p redeemLogin, purposes ...account.Purpose) (*startedAnswer, error) {
	c := callOf(ctx)
	wait := c.uniformly()
	started, at, err := a.Commands.SignInWithToken(ctx, c.caller(), p.UserID, p.Secret, purposes...)
	if err != nil {
		wait() // a wrong code is recorded where there is one
	}
	return a.startedAsOf(ctx, started, at, err)
}

func (a *API) createAnonymousSession(ctx context.Context, _ *nothing) (*startedAnswer, error) {
	started, at, err := a.Commands.SignUpAnonymously(ctx, callOf(ctx).caller())
	return a.startedAsOf(ctx, started, at, err)
}

// tokenAsOf answers with a token that was issued.
func (a *API) tokenAsOf(ctx context.Context, issued commands.Issued, at event.Receipt, err error) (*tokenAnswer, error) {
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	t := &Token{ID: issued.ID, CreatedAt: Time{issued.At}, UserID: issued.AccountID, Expire: Time{issued.Expires}, Phrase: issued.Personal.Phrase}
	if callOf(ctx).key != nil {
		t.Secret = issued.Secret
	}
	return &tokenAnswer{t}, nil
}

// tokenToAddressAsOf answers with a token that was sent to the address of a claim, by whoever wanted that.
func (a *API) tokenToAddressAsOf(ctx context.Context, claim string, issued commands.Issued, at event.Receipt, err error) (*tokenAnswer, error) {
	answer, err := a.tokenAsOf(ctx, issued, at, err)
	if c := callOf(ctx); err == nil && c.uniform() {
		answer.Body.UserID = a.sealID(c.project, issued.AccountID, claim)
	}
	return answer, err
}

// usedAsOf answers with a token that was used.
func (a *API) usedAsOf(ctx context.Context, owner string, used account.Token, at event.Receipt, err error) (*tokenAnswer, error) {
	if err := a.settled(ctx, at, err); err != nil {
		return nil, err
	}
	return &tokenAnswer{&Token{ID: used.ID, CreatedAt: Time{used.Expires.Add(-used.Purpose.Lifetime())}, UserID: owner, Expire: Time{used.Expires}}}, nil
}

// deliverable refuses what no letter would come of.
func (c *call) deliverable(purpose account.Purpose, phone string) error {
	_, mock := c.project.MockNumber(phone)
	switch {
	case purpose.ByPhone() && !mock && !c.api.Texts:
		return errNoTexts
	case !purpose.ByPhone() && !c.api.Mail:
		return errNoMail
	}
	return nil
}

// payable refuses what no letter would come of, and letters beyond what the project sends. Those that guests ask for and
// those of who is signed in are counted apart, and codes for a second factor not at all: strangers must not keep an owner
// from theirs.
func (c *call) payable(purpose account.Purpose, phone string) error {
	if err := c.deliverable(purpose, phone); err != nil {
		return err
	}
	kind, most := "letters", c.project.Auth.LettersLimit
	if purpose.ByPhone() {
		if _, mock := c.project.MockNumber(phone); mock {
			return nil
		}
		kind, most = "texts", c.project.Auth.TextsLimit
	}
	if c.account != nil {
		kind += " of members"
	}
	return c.countLetter(kind, most)
}

// Link is the one in the letter of a token that was issued.
func Link(e account.TokenIssued, project, owner, secret string) string {
	parameters := [][2]string{{"userId", owner}, {"secret", secret}, {"expire", e.Expires.UTC().Format("2006-01-02T15:04:05.000+00:00")}}
	if e.Purpose == account.ForMagicURL {
		parameters = append(parameters, [2]string{"project", project})
	}
	return link(e.Personal.URL, parameters...)
}

func checkSecret(c *call, raw json.RawMessage) (any, string) {
	value, problem := checkCode(c, raw)
	if problem != "" {
		return nil, problem
	}
	s := value.(string)
	// A server is given the secret of a phone code as base64 of a credential; it may give it back as it came.
	if b, err := base64.StdEncoding.DecodeString(s); err == nil {
		var given credential
		if json.Unmarshal(b, &given) == nil && given.Secret != "" {
			return given.Secret, ""
		}
	}
	return s, ""
}
