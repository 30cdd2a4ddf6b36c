package process_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
