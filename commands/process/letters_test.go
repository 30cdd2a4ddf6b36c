package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pquerna/otp/totp"

	"github.com/actahq/acta/adapters/logtest"
	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/commands/process"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// pile is a letterbox that only takes letters in.
type pile struct {
	process.Letterbox
	mu      sync.Mutex
	letters []process.Letter
	came    chan struct{}
}

func (p *pile) Add(_ context.Context, letters ...process.Letter) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letters = append(p.letters, letters...)
	return nil
}

// correspondence is a project whose letters are written down and composed.
type correspondence struct {
	*testing.T
	log      *logtest.Memory
	now      time.Time
	project  *project.Project
	commands *commands.Commands
	pile     *pile
	composer *process.Composer
}

const mocked account.Phone = "+15555550100"

func newCorrespondence(t *testing.T) *correspondence {
	p := project.Standard()
	p.ID, p.Name, p.Auth.SessionAlerts = "web", "Web Shop", true
	p.Auth.MockNumbers = []project.MockNumber{{Phone: string(mocked), OTP: "123456"}}
	c := &correspondence{T: t, log: logtest.NewMemory(), now: time.Now().UTC().Truncate(time.Millisecond), project: &p, pile: &pile{came: make(chan struct{}, 100)}}
	c.commands = commands.New(commands.Needs{
		Log: c.log, Passwords: plain{}, ClaimKey: []byte("claims"), TokenKey: []byte("32 bytes from which secrets derive"), Now: func() time.Time { return c.now },
		CountAccounts: func(context.Context, string) (int, error) { return 0, nil },
	})
	projects := map[string]*project.Project{"web": &p}
	c.composer = &process.Composer{
		Log: c.log, Commands: c.commands, Projects: projects,
		Link: func(e account.TokenIssued, project, owner, secret string) string {
			return fmt.Sprintf("%s?%s %s %s", e.Personal.URL, project, owner, secret)
		},
		Write: func(c process.Content) (string, string, string, error) {
			return c.Kind + " " + c.Locale, fmt.Sprint(c.Link, c.Code, c.Phrase, c.IP), c.Project, nil
		},
	}
	letters := process.Letters(c.pile, projects, func() time.Time { return c.now }, func() { c.pile.came <- struct{}{} })
	t.Cleanup(run(t, letters, c.log, &checkpoints{}))
	return c
}

func (c *correspondence) guest() commands.Caller {
	return commands.Caller{Project: c.project, Actor: event.Actor{Kind: event.ActorGuest}, Request: "r", IP: "203.0.113.7", UserAgent: "test/1", Locale: "de"}
}

// letter waits for the next letter to be written down.
func (c *correspondence) letter() process.Letter {
	c.Helper()
	<-c.pile.came
	c.pile.mu.Lock()
	defer c.pile.mu.Unlock()
	return c.pile.letters[len(c.pile.letters)-1]
}

func (c *correspondence) login(p account.Purpose, phone account.Phone) commands.Issued {
	c.Helper()
	in := commands.IssueLoginToken{Purpose: p, ID: commands.NewID(), Email: "ada@example.com", Letter: commands.Letter{URL: "https://app.example.com/in", Phrase: true}}
	if p.ByPhone() {
		in.Email, in.Phone = "", phone
	}
	issued, _, err := c.commands.IssueLoginToken(c.Context(), c.guest(), in)
	if err != nil {
		c.Fatal(err)
	}
	return issued
}

func TestASecretAsksForALetterThatBringsIt(t *testing.T) {
	c := newCorrespondence(t)
	issued := c.login(account.ForMagicURL, "")
	letter := c.letter()
	want := process.Letter{
		ID: letter.ID, Stream: "account-web." + issued.AccountID, Revision: 1, Kind: "magic-url", Channel: "email", Status: process.Queued,
		NextTry: c.now, Expires: issued.Expires, CreatedAt: c.now, UpdatedAt: c.now,
	}
	if diff := cmp.Diff(want, letter); diff != "" || letter.ID == "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	m, err := c.composer.Compose(t.Context(), letter)
	link := "https://app.example.com/in?web " + issued.AccountID + " " + issued.Secret
	wantMessage := process.Message{
		ID: letter.ID, Channel: "email", To: "ada@example.com", Subject: "magic-url de", Text: link + issued.Personal.Phrase + "203.0.113.7", HTML: "Web Shop", Link: link,
	}
	if diff := cmp.Diff(wantMessage, m); diff != "" || err != nil {
		t.Errorf("message: %v (-want +got):\n%s", err, diff)
	}

	// By phone, and for somebody whose code is known: no letter. What comes next shows that none came.
	c.login(account.ForPhoneCode, mocked)
	issued = c.login(account.ForPhoneCode, "+4917612345678")
	letter = c.letter()
	m, err = c.composer.Compose(t.Context(), letter)
	if letter.Kind != "phone-code" || letter.Channel != "sms" || m.To != "+4917612345678" || m.Code != issued.Secret || err != nil {
		t.Errorf("%+v %+v %v", letter, m, err)
	}
}

func TestALetterNobodyNeedsIsNotWritten(t *testing.T) {
	c := newCorrespondence(t)
	issued := c.login(account.ForMagicURL, "")
	first := c.letter()
	replaced := c.login(account.ForMagicURL, "")
	second := c.letter()
	if _, err := c.composer.Compose(t.Context(), first); !errors.Is(err, process.ErrGone) {
		t.Errorf("of a secret that was replaced: %v", err)
	}
	other := second
	other.ID = first.ID
	if _, err := c.composer.Compose(t.Context(), other); !errors.Is(err, process.ErrGone) {
		t.Errorf("of an event in whose place another one stands: %v", err)
	}
	if _, _, err := c.commands.SignInWithToken(t.Context(), c.guest(), issued.AccountID, replaced.Secret, account.ForMagicURL); err != nil {
		t.Fatal(err)
	}
	if _, err := c.composer.Compose(t.Context(), second); !errors.Is(err, process.ErrGone) {
		t.Errorf("of a secret that was used: %v", err)
	}
	gone := first
	gone.Revision = 1000
	if _, err := c.composer.Compose(t.Context(), gone); !errors.Is(err, process.ErrGone) {
		t.Errorf("of an event that is not there: %v", err)
	}
	c.composer.Write = func(process.Content) (string, string, string, error) { return "", "", "", errors.New("no such kind") }
	c.login(account.ForEmailCode, "")
	if _, err := c.composer.Compose(t.Context(), c.letter()); !errors.Is(err, process.ErrUndeliverable) {
		t.Errorf("that cannot be written: %v", err)
	}
}

func TestTheOwnerHearsOfNewSessionsAndOfSignUpsWithTheirAddress(t *testing.T) {
	c := newCorrespondence(t)
	c.project.Auth.Privacy = true
	ada := commands.CreateAccount{ID: "ada", Email: "ada@example.com", Password: "hunter", Name: "Ada"}
	if _, err := c.commands.CreateAccount(t.Context(), c.guest(), ada); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first session is no news
		if _, _, err := c.commands.SignIn(t.Context(), c.guest(), "ada@example.com", "hunter"); err != nil {
			t.Fatal(err)
		}
	}
	letter := c.letter()
	m, err := c.composer.Compose(t.Context(), letter)
	if letter.Kind != "session-alert" || m.To != "ada@example.com" || m.Name != "Ada" || m.Subject != "session-alert de" || err != nil {
		t.Errorf("%+v %+v %v", letter, m, err)
	}
	ada.ID = "eve"
	if _, err := c.commands.CreateAccount(t.Context(), c.guest(), ada); !errors.Is(err, commands.ErrEmailTaken) {
		t.Fatal(err)
	}
	letter = c.letter()
	if m, err = c.composer.Compose(t.Context(), letter); letter.Kind != "address-taken" || m.To != "ada@example.com" || err != nil {
		t.Errorf("%+v %+v %v", letter, m, err)
	}
	if len(c.pile.letters) != 2 {
		t.Errorf("%d letters", len(c.pile.letters))
	}
}

func TestALetterIsWrittenDownOnceHoweverOftenItsEventIsMet(t *testing.T) {
	c := newCorrespondence(t)
	c.login(account.ForMagicURL, "")
	first := c.letter()
	again := make(chan struct{}, 1)
	other := &pile{}
	letters := process.Letters(other, map[string]*project.Project{"web": c.project}, func() time.Time { return c.now }, func() { again <- struct{}{} })
	stop := run(t, letters, c.log, &checkpoints{}) // from the beginning, as after a crash
	<-again
	stop()
	if diff := cmp.Diff([]process.Letter{first}, other.letters); diff != "" {
		t.Errorf("another letter (-first +again):\n%s", diff)
	}
	late := &pile{}
	expired := process.Letters(late, map[string]*project.Project{"web": c.project}, func() time.Time { return c.now.Add(time.Hour) }, func() {})
	done := &checkpoints{onSave: func() error { again <- struct{}{}; return nil }}
	stop = run(t, expired, c.log, done)
	<-again
	stop()
	if len(late.letters) != 0 {
		t.Errorf("written down when its secret had expired: %+v", late.letters)
	}
}

// recorded is an event as the log gives it, decided at a time by somebody who had an address, or none.
func recorded(t *testing.T, e account.Event, at time.Time, address string) event.Recorded {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := json.Marshal(event.Metadata{At: at, Project: "web", Personal: &event.Trace{Email: address, Name: "Ada"}})
	if err != nil {
		t.Fatal(err)
	}
	return event.Recorded{Proposed: event.Proposed{ID: event.ID{1}, Type: e.EventType(), Data: data, Metadata: metadata}, Stream: "account-web.ada", Revision: 7}
}

// The whole policy: of every event that can happen to an account, so that a new one is thought about.
func TestWhichEventsAskForWhichLetters(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	secretUntil, newsUntil, code := at.Add(15*time.Minute), at.Add(24*time.Hour), 3
	issued := func(p account.Purpose, to string) account.Event {
		e := account.TokenIssued{ID: "t", Purpose: p, Expires: secretUntil}
		e.Personal.To = to
		return e
	}
	challenge := func(factor, to string) account.Event {
		e := account.ChallengeIssued{ID: "c", Factor: factor, Session: "s", Expires: secretUntil}
		e.Personal.To = to
		return e
	}
	password := func(to string, recovered bool) account.Event {
		e := account.PasswordChanged{Recovered: recovered}
		e.Personal.Tell = to
		return e
	}
	removed := func(to string) account.Event {
		var e account.PasswordRemoved
		e.Personal.Tell = to
		return e
	}
	email := func(to string) account.Event {
		e := account.EmailChanged{}
		e.Personal.Email, e.Personal.Tell = "new@example.com", to
		return e
	}
	phone := func(to string) account.Event {
		e := account.PhoneChanged{}
		e.Personal.Phone, e.Personal.Tell = "+4917600000000", to
		return e
	}
	alert := account.SessionStarted{ID: "s"}
	alert.Personal.Alert = "ada@example.com"
	const none, number = "", "+4917612345678"
	asked := map[string]bool{}
	for _, c := range []struct {
		name          string
		e             account.Event
		kind, channel string // none = no letter
		until         time.Time
		nameless      bool // a letter to an address that only the account tells
	}{
		{"a magic URL", issued(account.ForMagicURL, "ada@example.com"), "magic-url", "email", secretUntil, false},
		{"a mailed code", issued(account.ForEmailCode, "ada@example.com"), "otp", "email", secretUntil, false},
		{"a code to the phone", issued(account.ForPhoneCode, number), "phone-code", "sms", secretUntil, false},
		{"a code to a mocked phone", issued(account.ForPhoneCode, string(mocked)), none, "", at, false},
		{"a verification of the address", issued(account.ForEmailVerification, "ada@example.com"), "verification", "email", secretUntil, false},
		{"a verification of the number", issued(account.ForPhoneVerification, number), "phone-verification", "sms", secretUntil, false},
		{"a verification of a mocked number", issued(account.ForPhoneVerification, string(mocked)), none, "", at, false},
		{"a recovery", issued(account.ForRecovery, "ada@example.com"), "recovery", "email", secretUntil, false},
		{"a token of a visit, which the redirect brings", issued(account.ForOAuth, ""), none, "", at, false},
		{"a session to be told of", alert, "session-alert", "email", newsUntil, false},
		{"a session", account.SessionStarted{ID: "s"}, none, "", at, false},
		{"a sign-up with the address", account.SignUpTried{}, "address-taken", "email", newsUntil, false},

		{"an account that was made", account.Created{}, none, "", at, false},
		{"another password", password("ada@example.com", false), "notice", "email", newsUntil, false},
		{"another password of who has a number alone", password(number, false), "phone-notice", "sms", newsUntil, false},
		{"another password of who has a mocked number", password(string(mocked), false), none, "", at, false},
		{"another password of who is reached by nothing, or was before anybody was told", password("", false), none, "", at, false},
		{"a password that was recovered", password("ada@example.com", true), "notice", "email", newsUntil, false},
		{"a password that was not the owner's", removed("ada@example.com"), "notice", "email", newsUntil, false},
		{"a password that was not the owner's, who has a number alone", removed(number), "phone-notice", "sms", newsUntil, false},
		{"a password under other parameters", account.PasswordRehashed{}, none, "", at, false},
		{"a wrong password", account.WrongPasswordGiven{}, none, "", at, false},
		{"another address", email("old@example.com"), "notice", "email", newsUntil, false},
		{"another address of who has a number", email(number), "phone-notice", "sms", newsUntil, false},
		{"an address in place of none that was proved", email(""), none, "", at, false},
		{"an address that was verified, which its owner did", account.EmailVerified{}, none, "", at, false},
		{"another number", phone("ada@example.com"), "notice", "email", newsUntil, false},
		{"another number in place of the one that is told", phone(number), "phone-notice", "sms", newsUntil, false},
		{"another number in place of a mocked one", phone(string(mocked)), none, "", at, false},
		{"a number of who is reached by nothing, or that a recovery took away", phone(""), none, "", at, false},
		{"a number that was verified", account.PhoneVerified{}, "notice", "email", newsUntil, true},

		{"a challenge by mail", challenge(account.FactorEmail, "ada@example.com"), "mfa-code", "email", secretUntil, false},
		{"a challenge by phone", challenge(account.FactorPhone, number), "mfa-phone-code", "sms", secretUntil, false},
		{"a challenge by a mocked phone", challenge(account.FactorPhone, string(mocked)), none, "", at, false},
		{"a challenge of an authenticator", challenge(account.FactorTOTP, ""), none, "", at, false},
		{"a challenge of a recovery code", challenge(account.FactorRecovery, ""), none, "", at, false},
		{"a second factor is asked for", account.MFASwitched{On: true}, "notice", "email", newsUntil, true},
		{"and no longer", account.MFASwitched{}, "notice", "email", newsUntil, true},
		{"an authenticator that was added", account.AuthenticatorAdded{ID: "x"}, none, "", at, false},
		{"an authenticator that was verified", account.AuthenticatorVerified{ID: "x", Step: 1}, "notice", "email", newsUntil, true},
		{"an authenticator that was removed", account.AuthenticatorRemoved{ID: "x"}, "notice", "email", newsUntil, true},
		{"recovery codes", account.RecoveryCodesMade{Set: "set"}, "notice", "email", newsUntil, true},
		{"a recovery code that was used", account.ChallengePassed{ID: "c", Factor: account.FactorRecovery, Code: &code}, "notice", "email", newsUntil, true},
		{"the first recovery code that was used", account.ChallengePassed{ID: "c", Factor: account.FactorRecovery, Code: new(int)}, "notice", "email", newsUntil, true},
		{"another challenge that was passed", account.ChallengePassed{ID: "c", Factor: account.FactorTOTP, Step: 1}, none, "", at, false},
		{"a wrong answer", account.WrongAnswerGiven{ID: "c"}, none, "", at, false},
		{"a session that was proved", account.SessionProved{ID: "s", Challenged: true}, none, "", at, false},
		{"an identity", account.IdentityLinked{ID: "i", Provider: "github"}, "notice", "email", newsUntil, true},
		{"an identity that the account was made with", account.IdentityLinked{ID: "i", Provider: "github", First: true}, none, "", at, false},
		{"another token of an identity", account.IdentityRefreshed{ID: "i"}, none, "", at, false},
		{"an identity that its owner removed", account.IdentityRemoved{ID: "i", Provider: "github"}, "notice", "email", newsUntil, true},
		{"an identity that went with the account", account.IdentityRemoved{ID: "i", Provider: "github", Reason: account.RevokedByDeletion}, none, "", at, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := project.Standard()
			p.ID, p.Auth.MockNumbers = "web", []project.MockNumber{{Phone: string(mocked), OTP: "123456"}}
			met := func(now time.Time, address string) []process.Letter {
				box, woken := &pile{}, 0
				letters := process.Letters(box, map[string]*project.Project{"web": &p}, func() time.Time { return now }, func() { woken++ })
				if on := letters.On[c.e.EventType()]; on != nil {
					if err := on(t.Context(), recorded(t, c.e, at, address)); err != nil {
						t.Fatal(err)
					}
				}
				if woken != len(box.letters) {
					t.Errorf("woken %d times for %d letters", woken, len(box.letters))
				}
				return box.letters
			}
			var want []process.Letter
			if c.kind != none {
				want = []process.Letter{{
					ID: event.ID{1}.String(), Stream: "account-web.ada", Revision: 7, Kind: c.kind, Channel: c.channel, Status: process.Queued,
					NextTry: at, Expires: c.until, CreatedAt: at, UpdatedAt: at,
				}}
			}
			if diff := cmp.Diff(want, met(at, "ada@example.com")); diff != "" {
				t.Errorf("letters (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, met(c.until.Add(-time.Millisecond), "ada@example.com")); diff != "" {
				t.Errorf("in the last moment (-want +got):\n%s", diff)
			}
			if late := met(c.until, "ada@example.com"); len(late) != 0 {
				t.Errorf("too late: %+v", late)
			}
			if c.nameless {
				want = nil // there is nobody to tell
			}
			if diff := cmp.Diff(want, met(at, "")); diff != "" {
				t.Errorf("of an account without an address (-want +got):\n%s", diff)
			}
		})
		asked[c.e.EventType()] = true
	}
	letters := process.Letters(&pile{}, nil, time.Now, func() {})
	for wire := range account.Contract {
		if on := letters.On[wire] != nil; on && !asked[wire] {
			t.Errorf("%s asks for letters; the test wanted to know which", wire)
		}
	}
}

// told is the contents of the letters that were composed.
func (c *correspondence) told() func(process.Letter) (process.Content, process.Message, error) {
	var content process.Content
	c.composer.Write = func(of process.Content) (string, string, string, error) {
		content = of
		return "", "", "", nil
	}
	return func(l process.Letter) (process.Content, process.Message, error) {
		content = process.Content{}
		m, err := c.composer.Compose(c.Context(), l)
		return content, m, err
	}
}

// ada makes an account with an address and a number, both verified, and signs it in.
func (c *correspondence) ada() (by commands.Caller, session string) {
	c.Helper()
	ada := commands.CreateAccount{ID: "ada", Email: "ada@example.com", Password: "hunter", Name: "Ada"}
	by = c.guest()
	by.Actor = event.Actor{Kind: event.ActorUser, ID: "ada"}
	c.must(c.commands.CreateAccount(c.Context(), c.guest(), ada))
	c.must(c.commands.ChangePhone(c.Context(), by, "ada", "+4917612345678", "hunter"))
	c.letter() // tells of the number
	for _, p := range []account.Purpose{account.ForEmailVerification, account.ForPhoneVerification} {
		issued, receipt, err := c.commands.IssueVerificationToken(c.Context(), by, "ada", p, commands.Letter{})
		c.must(receipt, err)
		c.letter()
		_, receipt, err = c.commands.Verify(c.Context(), by, "ada", issued.Secret, p)
		c.must(receipt, err)
	}
	c.letter() // tells that the number was verified
	s, receipt, err := c.commands.SignIn(c.Context(), c.guest(), "ada@example.com", "hunter")
	c.must(receipt, err)
	return by, s.ID
}

func (c *correspondence) must(_ event.Receipt, err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func TestALetterBringsTheCodeOfAChallengeAsLongAsItCanBePassed(t *testing.T) {
	for factor, want := range map[string]struct{ kind, channel, to string }{
		account.FactorEmail: {"mfa-code", "email", "ada@example.com"},
		account.FactorPhone: {"mfa-phone-code", "sms", "+4917612345678"},
	} {
		t.Run(factor, func(t *testing.T) {
			c := newCorrespondence(t)
			by, session := c.ada()
			compose := c.told()
			ask := func() (commands.IssuedChallenge, process.Letter) {
				t.Helper()
				issued, receipt, err := c.commands.IssueChallenge(t.Context(), by, "ada", session, factor)
				c.must(receipt, err)
				return issued, c.letter()
			}
			first, letter := ask()
			if letter.Kind != want.kind || letter.Channel != want.channel || !letter.Expires.Equal(first.Expires) {
				t.Errorf("letter %+v", letter)
			}
			code := c.commands.ChallengeCode(c.project, "ada", first.ChallengeIssued)
			content, m, err := compose(letter)
			wantContent := process.Content{
				Kind: want.kind, Locale: "de", Project: "Web Shop", To: want.to, Name: "Ada", Code: code,
				At: c.now, Expires: first.Expires, IP: "203.0.113.7", UserAgent: "test/1",
			}
			if diff := cmp.Diff(wantContent, content); diff != "" || err != nil || m.Code != code || m.To != want.to || len(code) != 6 {
				t.Errorf("%v %+v (-want +got):\n%s", err, m, diff)
			}

			second, next := ask()
			if _, _, err := compose(letter); !errors.Is(err, process.ErrGone) {
				t.Errorf("of a challenge that was replaced: %v", err)
			}
			c.must(c.commands.PassChallenge(t.Context(), by, "ada", session, second.ID, c.commands.ChallengeCode(c.project, "ada", second.ChallengeIssued)))
			if _, _, err := compose(next); !errors.Is(err, process.ErrGone) {
				t.Errorf("of a challenge that was passed: %v", err)
			}

			third, letter := ask()
			for range 5 {
				if _, err := c.commands.PassChallenge(t.Context(), by, "ada", session, third.ID, "a guess"); !errors.Is(err, account.ErrTokenInvalid) {
					t.Fatal(err)
				}
			}
			if _, _, err := compose(letter); !errors.Is(err, process.ErrGone) {
				t.Errorf("of a challenge that was guessed at: %v", err)
			}

			fourth, letter := ask()
			c.now = fourth.Expires.Add(-time.Millisecond)
			if _, _, err := compose(letter); err != nil {
				t.Errorf("in the last moment: %v", err)
			}
			c.now = fourth.Expires
			if _, _, err := compose(letter); !errors.Is(err, process.ErrGone) {
				t.Errorf("of a challenge that expired: %v", err)
			}

			_, letter = ask()
			c.must(c.commands.EndSession(t.Context(), by, "ada", session))
			if _, _, err := compose(letter); !errors.Is(err, process.ErrGone) {
				t.Errorf("of a session that ended: %v", err)
			}
		})
	}
}

func TestTheOwnerIsNotifiedOfEveryOtherWayIn(t *testing.T) {
	c := newCorrespondence(t)
	by, session := c.ada()
	compose := c.told()
	by.Locale = "fr" // the letters are in the language of who asked
	written := len(c.pile.letters)
	notified := func(change, provider, to, locale string) {
		t.Helper()
		letter := c.letter()
		if letter.Kind != "notice" || letter.Channel != "email" || !letter.Expires.Equal(c.now.Add(24*time.Hour)) {
			t.Errorf("%s: %+v", change, letter)
		}
		content, m, err := compose(letter)
		want := process.Content{
			Kind: "notice", Locale: locale, Project: "Web Shop", To: to, Name: "Ada", Change: change, Provider: provider,
			At: c.now, Expires: letter.Expires, IP: "203.0.113.7", UserAgent: "test/1",
		}
		if diff := cmp.Diff(want, content); diff != "" || err != nil || m.To != to {
			t.Errorf("%s: %v %+v (-want +got):\n%s", change, err, m, diff)
		}
		written++
	}
	passed := func(factor, answer string) {
		t.Helper()
		issued, receipt, err := c.commands.IssueChallenge(t.Context(), by, "ada", session, factor)
		c.must(receipt, err)
		if factor == account.FactorEmail {
			c.letter()
			written++
			answer = c.commands.ChallengeCode(c.project, "ada", issued.ChallengeIssued)
		}
		c.must(c.commands.PassChallenge(t.Context(), by, "ada", session, issued.ID, answer))
	}

	c.must(c.commands.SwitchMFA(t.Context(), by, "ada", session, true))
	notified("mfa-on", "", "ada@example.com", "fr")
	c.must(c.commands.SwitchMFA(t.Context(), by, "ada", session, true)) // already so
	c.must(c.commands.SwitchMFA(t.Context(), by, "ada", session, false))
	notified("mfa-off", "", "ada@example.com", "fr")

	seed, receipt, err := c.commands.AddAuthenticator(t.Context(), by, "ada") // proves nothing yet
	c.must(receipt, err)
	code, err := totp.GenerateCode(seed, c.now)
	c.must(receipt, err)
	c.must(c.commands.VerifyAuthenticator(t.Context(), by, "ada", session, code))
	notified("authenticator-added", "", "ada@example.com", "fr")
	passed(account.FactorEmail, "")
	c.must(c.commands.RemoveAuthenticator(t.Context(), by, "ada", session))
	notified("authenticator-removed", "", "ada@example.com", "fr")

	codes, receipt, err := c.commands.MakeRecoveryCodes(t.Context(), by, "ada", session, false)
	c.must(receipt, err)
	notified("recovery-codes-made", "", "ada@example.com", "fr")
	passed(account.FactorRecovery, codes[0])
	notified("recovery-code-used", "", "ada@example.com", "fr")
	_, receipt, err = c.commands.MakeRecoveryCodes(t.Context(), by, "ada", session, true)
	c.must(receipt, err)
	notified("recovery-codes-made", "", "ada@example.com", "fr")

	visitor := account.Visitor{Provider: "github", Subject: "42", Email: "ada@example.com", EmailVerified: true}
	back := c.guest() // nobody knows yet who comes back
	back.Locale = "es"
	_, receipt, err = c.commands.Enter(t.Context(), back, commands.Enter{Visitor: visitor})
	c.must(receipt, err)
	notified("identity-linked", "github", "ada@example.com", "es")
	_, receipt, err = c.commands.Enter(t.Context(), back, commands.Enter{Visitor: visitor}) // is connected
	c.must(receipt, err)
	events, err := c.log.Read(t.Context(), "account-web.ada", 0, event.Forward, 1000)
	c.must(receipt, err)
	identity := ""
	for _, r := range events {
		if e, err := account.Contract.Read(r); err != nil {
			t.Fatal(err)
		} else if linked, ok := e.(account.IdentityLinked); ok {
			identity = linked.ID
		}
	}
	c.must(c.commands.RemoveIdentity(t.Context(), by, "ada", identity))
	notified("identity-removed", "github", "ada@example.com", "fr")

	// Of an account that ends nobody is told, and nobody is told of what an account begins with.
	_, receipt, err = c.commands.Enter(t.Context(), back, commands.Enter{Visitor: visitor})
	c.must(receipt, err)
	notified("identity-linked", "github", "ada@example.com", "es")
	c.must(c.commands.DeleteAccount(t.Context(), by, "ada"))
	entered, receipt, err := c.commands.Enter(t.Context(), back, commands.Enter{Visitor: visitor})
	c.must(receipt, err)
	c.login(account.ForMagicURL, "") // shows that no letter came before its own
	if letter := c.letter(); letter.Kind != "magic-url" || letter.Stream != "account-web."+entered.AccountID || len(c.pile.letters) != written+1 {
		t.Errorf("%d letters, the last is %+v", len(c.pile.letters), letter)
	}
}

// Whoever takes an account over takes its address and number along; the owner hears of it where they were before.
func TestTheOwnerIsNotifiedWhereTheyWereReachedBefore(t *testing.T) {
	c := newCorrespondence(t)
	by, _ := c.ada()
	compose := c.told()
	by.Locale = "fr"
	notices := 2 // of ada's beginning
	notified := func(change, kind, channel, to, locale string) {
		t.Helper()
		letter := c.letter()
		content, m, err := compose(letter)
		want := process.Content{
			Kind: kind, Locale: locale, Project: "Web Shop", To: to, Name: "Ada", Change: change,
			At: c.now, Expires: c.now.Add(24 * time.Hour), IP: "203.0.113.7", UserAgent: "test/1",
		}
		if diff := cmp.Diff(want, content); diff != "" || err != nil || m.To != to || letter.Channel != channel {
			t.Errorf("%s: %v %+v (-want +got):\n%s", change, err, m, diff)
		}
		if kind == "notice" {
			notices++
		}
	}
	byMail := func(change, to string) { t.Helper(); notified(change, "notice", "email", to, "fr") }
	verify := func(p account.Purpose) {
		t.Helper()
		issued, receipt, err := c.commands.IssueVerificationToken(t.Context(), by, "ada", p, commands.Letter{})
		c.must(receipt, err)
		c.letter()
		_, receipt, err = c.commands.Verify(t.Context(), by, "ada", issued.Secret, p)
		c.must(receipt, err)
	}

	c.must(c.commands.ChangePassword(t.Context(), by, "ada", "hunter 2", "hunter", ""))
	byMail("password-changed", "ada@example.com")
	issued, receipt, err := c.commands.IssueRecoveryToken(t.Context(), c.guest(), "ada@example.com", commands.Letter{})
	c.must(receipt, err)
	c.letter()
	_, receipt, err = c.commands.Recover(t.Context(), c.guest(), "ada", issued.Secret, "hunter 3")
	c.must(receipt, err)
	notified("password-recovered", "notice", "email", "ada@example.com", "de")

	c.must(c.commands.ChangePhone(t.Context(), by, "ada", "+4917600000000", "hunter 3"))
	byMail("phone-changed", "ada@example.com")
	verify(account.ForPhoneVerification)
	byMail("phone-verified", "ada@example.com")

	c.must(c.commands.ChangeEmail(t.Context(), by, "ada", "ada@example.org", "hunter 3"))
	byMail("email-changed", "ada@example.com")
	c.must(c.commands.ChangeEmail(t.Context(), by, "ada", "ada@example.org", "hunter 3")) // already so
	// The new address was not proved: until it is, the number is better.
	c.must(c.commands.ChangePhone(t.Context(), by, "ada", "+4917611111111", "hunter 3"))
	notified("phone-changed", "phone-notice", "sms", "+4917600000000", "fr")
	// And neither was the number: an address that stays is told, one that is left is not.
	c.must(c.commands.ChangePassword(t.Context(), by, "ada", "hunter 4", "hunter 3", ""))
	byMail("password-changed", "ada@example.org")
	c.must(c.commands.ChangeEmail(t.Context(), by, "ada", "ada@example.net", "hunter 4"))
	verify(account.ForEmailVerification)
	c.must(c.commands.ChangePassword(t.Context(), by, "ada", "hunter 5", "hunter 4", ""))
	byMail("password-changed", "ada@example.net")

	// The passwords that accounts begin with, and the one that somebody signs in with, are told to nobody.
	_, receipt, err = c.commands.SignIn(t.Context(), c.guest(), "ada@example.net", "hunter 5")
	c.must(receipt, err)
	anonymous, receipt, err := c.commands.SignUpAnonymously(t.Context(), c.guest())
	c.must(receipt, err)
	as := c.guest()
	as.Actor = event.Actor{Kind: event.ActorUser, ID: anonymous.AccountID}
	receipt, err = c.commands.ChangeEmail(t.Context(), as, anonymous.AccountID, "eve@example.com", "hunter")
	c.must(receipt, err)
	for _, revision := range []int64{receipt.Revision - 1, receipt.Revision} { // nor would they be, as after somebody was forgotten
		gone := process.Letter{ID: "1", Stream: "account-web." + anonymous.AccountID, Revision: revision, Kind: "notice", Channel: "email", Expires: c.now.Add(time.Hour)}
		if _, m, err := compose(gone); !errors.Is(err, process.ErrGone) {
			t.Errorf("composed %+v %v", m, err)
		}
	}
	c.login(account.ForMagicURL, "") // shows that no letter came before its own
	if letter := c.letter(); letter.Kind != "magic-url" {
		t.Errorf("%+v", letter)
	}
	c.pile.mu.Lock()
	defer c.pile.mu.Unlock()
	kept := map[string]int{}
	for _, l := range c.pile.letters {
		kept[l.Kind]++
	}
	if diff := cmp.Diff(map[string]int{"notice": notices, "phone-notice": 1, "recovery": 1, "verification": 2, "phone-verification": 2, "magic-url": 1}, kept); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

func TestWhoHasNoAddressIsNotifiedOfNothing(t *testing.T) {
	c := newCorrespondence(t)
	anonymous, receipt, err := c.commands.SignUpAnonymously(t.Context(), c.guest())
	c.must(receipt, err)
	by := c.guest()
	by.Actor = event.Actor{Kind: event.ActorUser, ID: anonymous.AccountID}
	receipt, err = c.commands.SwitchMFA(t.Context(), by, anonymous.AccountID, anonymous.ID, true)
	c.must(receipt, err)
	c.login(account.ForMagicURL, "") // shows that no letter came before its own
	if letter := c.letter(); letter.Kind != "magic-url" || len(c.pile.letters) != 1 {
		t.Errorf("%d letters, the last is %+v", len(c.pile.letters), letter)
	}
	// Somebody who was forgotten since has none either.
	gone := process.Letter{ID: "1", Stream: "account-web." + anonymous.AccountID, Revision: receipt.Revision, Kind: "notice", Channel: "email", Expires: c.now.Add(time.Hour)}
	if m, err := c.composer.Compose(t.Context(), gone); !errors.Is(err, process.ErrGone) {
		t.Errorf("composed %+v %v", m, err)
	}
}
