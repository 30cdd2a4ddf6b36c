package account_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// life makes one random decision after the other, as commands would.
type life struct {
	*rand.Rand
	now   time.Time
	limit int
	token map[account.Purpose]string // the last that was issued
	sent  []account.TokenIssued      // all of them
	spent map[string]bool            // ids of those that were used

	challenge string                      // the last that was issued
	factor    string                      // what it asks for
	asked     string                      // the session that it asks
	set       string                      // of recovery codes, the last that was made
	step      int64                       // of the authenticator, the last that was taken
	begun     account.SessionRefreshBegun // the last one
	proved    bool                        // that one was passed in the last step
	wrong     string                      // what was found to be wrong while noting
}

func newLife(r *rand.Rand, limit int) *life {
	return &life{Rand: r, now: noon, limit: limit, token: map[account.Purpose]string{}, spent: map[string]bool{}}
}

// note keeps what was sent and used.
func (l *life) note(e account.Event) {
	switch e := e.(type) {
	case account.TokenIssued:
		l.token[e.Purpose] = e.ID
		l.sent = append(l.sent, e)
	case account.TokenUsed:
		l.spent[e.ID] = true
	case account.ChallengeIssued:
		l.challenge, l.factor, l.asked = e.ID, e.Factor, e.Session
	case account.ChallengePassed:
		if l.spent[e.ID] {
			l.wrong = "a challenge was passed twice"
		}
		l.spent[e.ID], l.proved = true, true
		if e.Code != nil {
			code := codeOf(l.set, *e.Code)
			if l.spent[code] {
				l.wrong = "a recovery code was used twice"
			}
			l.spent[code] = true
		}
		l.takeStep(e.Step)
	case account.AuthenticatorAdded:
		l.step = 0
	case account.AuthenticatorVerified:
		l.takeStep(e.Step)
	case account.RecoveryCodesMade:
		l.set = e.Set
	case account.SessionRefreshBegun:
		l.begun = e
	}
}

func (l *life) takeStep(step int64) {
	if step != 0 && step <= l.step {
		l.wrong = "a code of the authenticator was used again, or one from before it"
	}
	l.step = max(l.step, step)
}

// codeOf and sameStep are how tests make codes: of a set, its index; of an authenticator, the step as it is.
func codeOf(set string, index int) string { return fmt.Sprint(set, "/", index) }

func sameStep(_, code string) (step int64, ok bool) {
	n, err := fmt.Sscan(code, &step)
	return step, n == 1 && err == nil
}

func sentCode(_ account.Account, c account.Challenge) string { return "the code of " + c.ID }

var answers = account.Answers{SentCode: sentCode, StepOf: sameStep, CodeOf: codeOf}

// prove does something about second factors.
func (l *life) prove(a account.Account) ([]account.Event, error) {
	id, session := fmt.Sprint(l.Uint64()), l.session(a)
	step := fmt.Sprint(l.now.Unix()/30 + l.Int64N(3) - 1)
	switch l.IntN(14) {
	case 0:
		return a.SwitchMFA(l.IntN(3) > 0, session, "de")
	case 1:
		e := account.AuthenticatorAdded{ID: id}
		e.Personal.Seed = "SEED"
		return a.AddAuthenticator(e)
	case 2, 12:
		return a.VerifyAuthenticator(step, sameStep, session, "de")
	case 3, 13:
		return a.RemoveAuthenticator(session, "de", l.now)
	case 4:
		return a.MakeRecoveryCodes(account.RecoveryCodesMade{Set: id})
	case 5:
		return a.RenewRecoveryCodes(account.RecoveryCodesMade{Set: id}, session, l.now)
	case 6, 7:
		factor := []string{account.FactorEmail, account.FactorPhone, account.FactorTOTP, account.FactorRecovery}[l.IntN(4)]
		return a.IssueChallenge(account.ChallengeIssued{ID: id, Factor: factor, Session: session, Locale: "de"}, l.now)
	default:
		answer := map[string]string{account.FactorTOTP: step, account.FactorRecovery: codeOf(l.set, l.IntN(6))}[l.factor]
		if answer == "" {
			answer = sentCode(a, account.Challenge{ID: l.challenge})
		}
		if l.IntN(6) == 0 {
			answer = "a guess"
		} else {
			session = l.asked
		}
		events, _, err := a.PassChallenge(l.challenge, session, answer, answers, "de", l.now)
		return events, err
	}
}

// refresh asks the provider of a session, or stores what came of that.
func (l *life) refresh(a account.Account) ([]account.Event, error) {
	switch l.IntN(3) {
	case 0:
		return a.EndRefresh(l.begun)
	case 1:
		tokens := account.ProviderTokens{Access: fmt.Sprint("access ", l.IntN(3)), Refresh: fmt.Sprint("refresh ", l.IntN(3))}
		return a.RefreshSession(l.begun, a.RefreshToken(l.begun.ID), tokens, l.now.Add(time.Hour), l.now)
	}
	return a.BeginRefresh(account.SessionRefreshBegun{ID: l.session(a), Taking: fmt.Sprint(l.Uint64()), Expires: l.now.Add(account.RefreshLife)}, l.now)
}

// visit enters by way of a provider, or disconnects one.
func (l *life) visit(a account.Account) ([]account.Event, error) {
	if l.IntN(8) == 0 {
		identities := reflect.ValueOf(a).FieldByName("identities")
		if n := identities.Len(); n > 0 {
			return a.RemoveIdentity(identities.Index(l.IntN(n)).FieldByName("ID").String(), "de")
		}
	}
	e := account.Entry{Why: account.Why(1 + l.IntN(4)), By: l.session(a), IdentityID: fmt.Sprint(l.Uint64()), EmailTarget: "target", Limit: l.limit, Locale: "de"}
	e.EmailClaim = a.EmailHold.Claim
	e.Visitor = account.Visitor{Provider: "github", Subject: fmt.Sprint(l.IntN(3)), Email: "ada@example.com", EmailVerified: l.IntN(2) == 0, Name: "Ada"}
	e.Access, e.Refresh = fmt.Sprint("access ", l.IntN(3)), fmt.Sprint("refresh ", l.IntN(3))
	e.Identity = account.Hold{Claim: "github " + e.Subject, Taking: fmt.Sprint(l.Uint64())}
	if e.Why == account.AsNew || e.Why == account.BySession && a.Email == "" {
		e.EmailHold = l.hold()
	}
	e.Started = started(fmt.Sprint(l.Uint64()), l.now.Add(time.Hour))
	if l.IntN(3) == 0 {
		e.Token = issue(l.tokenID(), account.ForOAuth, l.now)
	}
	return a.Enter(e, l.now)
}

// check says what is wrong with an account after what was noted: of each purpose it can use the last secret at most,
// that one only once, and none when it is closed.
func (l *life) check(a account.Account) string {
	for _, e := range l.sent {
		switch {
		case !a.CanUse(e.Purpose, e.ID, l.now):
		case e.ID != l.token[e.Purpose]:
			return fmt.Sprintf("a secret for %s outlives the next one", e.Purpose)
		case l.spent[e.ID]:
			return fmt.Sprintf("a secret for %s can be used again", e.Purpose)
		case !e.Expires.After(l.now):
			return fmt.Sprintf("a secret for %s never expires", e.Purpose)
		case a.Blocked || !a.Exists():
			return fmt.Sprintf("a closed account has a secret for %s", e.Purpose)
		case e.Purpose == account.ForOAuth:
		case e.Purpose.ByPhone() && e.Personal.To != string(a.Phone), !e.Purpose.ByPhone() && e.Personal.To != string(a.Email):
			return fmt.Sprintf("a secret for %s went to an address that was left", e.Purpose)
		}
	}
	if l.challenge != "" && l.spent[l.challenge] && a.CanPass(l.challenge, l.now) {
		return "a challenge can be passed again"
	}
	state := reflect.ValueOf(a)
	switch n, tokens := len(a.Sessions()), state.FieldByName("tokens").Len(); {
	case l.wrong != "":
		return l.wrong
	case state.FieldByName("challenges").Len() > 4*(l.limit+1):
		return fmt.Sprintf("%d challenges", state.FieldByName("challenges").Len())
	case n > l.limit:
		return fmt.Sprintf("%d sessions, limit %d", n, l.limit)
	case tokens > len(purposes):
		return fmt.Sprintf("%d tokens", tokens)
	case len(a.RecentPasswords(1000)) > 20:
		return fmt.Sprintf("%d hashes", len(a.RecentPasswords(1000)))
	}
	return ""
}

func (l *life) hash() string { return fmt.Sprint("hash ", l.IntN(30)) }

func (l *life) hold() account.Hold {
	return account.Hold{Claim: fmt.Sprint("claim ", l.IntN(4)), Taking: fmt.Sprint("taking ", l.Uint32())}
}

func (l *life) session(a account.Account) string {
	if sessions := a.Sessions(); len(sessions) > 0 && l.IntN(5) > 0 {
		return sessions[l.IntN(len(sessions))].ID
	}
	return "no such session"
}

func (l *life) checked(a account.Account) string {
	if l.IntN(10) == 0 {
		return "a hash of before"
	}
	return a.Password
}

// first is a password for an account that has none.
func (l *life) first(a account.Account) string {
	if a.Password != "" {
		return ""
	}
	return l.hash()
}

// purposes is all there are.
var purposes = []account.Purpose{account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode, account.ForEmailVerification, account.ForPhoneVerification, account.ForRecovery, account.ForOAuth}

// secretOf is six digits or more, from the id.
func secretOf(_ account.Account, t account.Token) string {
	if t.Purpose.IsCode() {
		return t.ID[:6]
	}
	return "the secret of " + t.ID
}

func issue(id string, p account.Purpose, at time.Time) account.TokenIssued {
	e := account.TokenIssued{ID: id, Purpose: p, Expires: at.Add(p.Lifetime()), Locale: "de"}
	if p == account.ForOAuth {
		e.Identity = "identity"
	}
	return e
}

func (l *life) tokenID() string { return fmt.Sprintf("%06d%d", l.IntN(1e6), l.Uint64()) }

// useToken guesses at one of the account's secrets, or knows it.
func (l *life) useToken(a account.Account) ([]account.Event, error) {
	p := purposes[l.IntN(len(purposes))]
	secret := fmt.Sprintf("%06d", l.IntN(1e6))
	if l.IntN(3) > 0 && l.token[p] != "" {
		secret = secretOf(a, account.Token{ID: l.token[p], Purpose: p})
	}
	asked := []account.Purpose{p}
	if l.IntN(3) == 0 {
		asked = append(asked, account.ForMagicURL, account.ForEmailCode, account.ForPhoneCode)
	}
	t, ok, wrong := a.FindToken(secret, secretOf, l.now, asked...)
	if !ok {
		return wrong, nil
	}
	switch t.Purpose {
	case account.ForRecovery:
		return a.Recover(t, l.hash(), l.IntN(2) == 0, "")
	case account.ForEmailVerification, account.ForPhoneVerification:
		return a.Verify(t, "")
	default:
		return a.SignInWithToken(t, started(fmt.Sprint(l.Uint64()), l.now.Add(time.Hour)), l.limit, l.IntN(2) == 0, l.now)
	}
}

func (l *life) decide(a account.Account) ([]account.Event, error) {
	if l.proved {
		if l.proved = false; l.IntN(2) == 0 {
			return a.RemoveAuthenticator(l.asked, "de", l.now)
		}
	}
	switch l.IntN(100) {
	case 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84:
		return l.prove(a)
	case 85, 86, 87, 88, 89, 90:
		return l.visit(a)
	case 30, 31, 32, 33, 40, 41, 42, 43, 44, 45, 46:
		p := purposes[l.IntN(len(purposes)-1)] // a visit issues the last
		return a.IssueToken(issue(l.tokenID(), p, l.now))
	case 47, 48, 49, 50, 51, 52, 53:
		return l.useToken(a)
	case 54, 55:
		return a.ChangePhone(account.Phone(fmt.Sprintf("+4917612345%d", l.IntN(4))), l.hold(), l.first(a), "")
	case 56:
		return a.NoteSignUp("de", l.now)
	case 57:
		return a.CreateSignedIn(account.Created{}, started(fmt.Sprint(l.Uint64()), l.now.Add(time.Hour)))
	case 58:
		e := account.Created{PhoneHold: l.hold(), PhoneTarget: "target"}
		e.Personal.Phone = "+4917612345678"
		return a.CreateAndSend(e, issue(l.tokenID(), account.ForPhoneCode, l.now), l.now)
	case 0, 1, 2:
		e := account.Created{EmailHold: l.hold(), EmailTarget: "target"}
		e.Personal.Email, e.Personal.Name, e.Personal.Password = "ada@example.com", "Ada <&> \u2028 Lovelace", l.hash()
		return a.Create(e)
	case 3, 4, 5:
		return a.ChangeEmail(account.Email(fmt.Sprintf("ada%d@example.com", l.IntN(4))), l.hold(), l.first(a), "")
	case 6, 7, 8:
		return a.ChangeName(fmt.Sprint("Ada ", l.IntN(3)))
	case 9, 10, 11:
		return a.ChangePrefs(json.RawMessage(fmt.Sprintf(`{"html":"<b>&amp;\u2028","n":%d.0e1}`, l.IntN(3))))
	case 12, 13, 14, 15:
		return a.ChangePassword(l.checked(a), l.hash(), l.IntN(2) == 0, l.session(a), "")
	case 16, 17, 18:
		return a.NoteWrongPassword(l.checked(a))
	case 21, 22:
		return l.refresh(a)
	case 19, 20:
		return a.ExtendSession(l.session(a), l.now.Add(time.Duration(l.IntN(5000))*time.Minute), l.now)
	case 23, 24:
		return a.EndSession(l.session(a))
	case 25:
		return a.EndSessions()
	case 26:
		return a.Access(l.now)
	case 27:
		return a.LapseClaim(l.hold().Claim)
	case 28:
		if l.IntN(10) == 0 {
			return a.Block()
		}
		return nil, nil
	case 29:
		if l.IntN(20) == 0 {
			return a.Delete()
		}
		return nil, nil
	default:
		s := started(fmt.Sprint(l.Uint64()), l.now.Add(time.Duration(l.IntN(5000))*time.Minute))
		if l.IntN(4) == 0 {
			s.Provider = "magic-url"
		}
		rehashed := ""
		if l.IntN(5) == 0 {
			rehashed = a.Password + "+"
		}
		return a.SignIn(s, l.checked(a), rehashed, l.limit, l.IntN(2) == 0, l.now)
	}
}

// throughTheLog gives an event as it comes back from being stored.
func throughTheLog(t *testing.T, at time.Time, e account.Event) (time.Time, account.Event) {
	t.Helper()
	stored := event.Recorded{Proposed: event.Proposed{Type: e.EventType(), Data: write(t, e), Metadata: write(t, event.Metadata{At: at})}}
	m, err := stored.ReadMetadata()
	if err != nil {
		t.Fatal(err)
	}
	return m.At, read(t, stored.Type, stored.Data)
}

// A command goes on from the state it made in memory; after a restart it goes on from the stored events.
func TestTheStateInMemoryIsTheStateThatIsReadBack(t *testing.T) {
	kinds := map[string]int{}
	for seed := range uint64(3000) {
		l := newLife(rand.New(rand.NewPCG(seed, 0)), 1+int(seed%12))
		var inMemory, readBack account.Account
		for range 5 + l.IntN(60) {
			l.now = l.now.Add(time.Duration(l.IntN([]int{60_000, 100_000_000}[l.IntN(2)])) * time.Millisecond)
			events, err := l.decide(inMemory)
			if err != nil && len(events) > 0 {
				t.Fatalf("seed %d: events beside the refusal %v", seed, err)
			}
			for _, e := range events {
				kinds[e.EventType()]++
				l.note(e)
				inMemory = inMemory.Evolve(l.now, e)
				at, stored := throughTheLog(t, l.now, e)
				readBack = readBack.Evolve(at, stored)
			}
			if wrong := l.check(inMemory); wrong != "" {
				t.Fatalf("seed %d: %s", seed, wrong)
			}
		}
		if diff := cmp.Diff(readBack, inMemory, wholeState); diff != "" {
			t.Fatalf("seed %d (-read back +in memory):\n%s", seed, diff)
		}
	}
	for name := range account.Contract {
		if kinds[name] == 0 {
			t.Errorf("no sequence came to %s", name)
		}
	}
}

// A state is a value: commands that decide at the same time go on from the same one.
func TestNoEventChangesTheStateBeforeIt(t *testing.T) {
	for seed := range uint64(200) {
		l := newLife(rand.New(rand.NewPCG(seed, 1)), 1+int(seed%12))
		var a account.Account
		for range 60 {
			l.now = l.now.Add(time.Duration(l.IntN(600)) * time.Second)
			other, _ := l.decide(a)
			events, _ := l.decide(a)
			was := fmt.Sprintf("%+v", a)
			next := foldFrom(a, l.now, events...)
			is := fmt.Sprintf("%+v", next)
			foldFrom(a, l.now, other...)
			if now := fmt.Sprintf("%+v", a); now != was {
				t.Fatalf("seed %d: after %v and %v\nit was %s\nand is %s", seed, events, other, was, now)
			}
			if now := fmt.Sprintf("%+v", next); now != is {
				t.Fatalf("seed %d: %v mixed with %v\nit was %s\nand is %s", seed, events, other, is, now)
			}
			for _, e := range events {
				l.note(e)
			}
			a = next
		}
	}
	a := fold(created(), started("a", noon))
	a.Sessions()[0].ID = "b"
	if a.Sessions()[0].ID != "a" {
		t.Error("who looks at the sessions can change them")
	}
}

func TestTheStateStaysSmallOverTenThousandEvents(t *testing.T) {
	l := newLife(rand.New(rand.NewPCG(7, 7)), 10)
	a, tokens := fold(created()), 0
	for n := 0; n < 10_000; {
		l.now = l.now.Add(time.Duration(l.IntN(1000)) * time.Second)
		events, err := l.decide(a)
		if err != nil || endsIt(events) {
			continue
		}
		for _, e := range events {
			a = a.Evolve(l.now, e)
			l.note(e)
		}
		n += len(events)
		if wrong := l.check(a); wrong != "" {
			t.Fatalf("%s after %d events", wrong, n)
		}
		tokens = max(tokens, reflect.ValueOf(a).FieldByName("tokens").Len())
	}
	if tokens < 3 {
		t.Errorf("at most %d tokens were there at once; the test wanted to see more", tokens)
	}
	if got := len(a.RecentPasswords(1000)); got != 20 {
		t.Errorf("%d hashes are kept in the end; the test wanted to see the limit", got)
	}
}

func endsIt(events []account.Event) bool {
	for _, e := range events {
		switch e.(type) {
		case account.Blocked, account.Deleted:
			return true
		}
	}
	return false
}
