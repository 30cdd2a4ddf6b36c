package api

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/commands"
	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
)

// asker is what an endpoint is asked about an address and a number.
type asker struct {
	what string
	body func(email, phone string) map[string]any
	door string // where a wrong secret for the answer is tried again and again
}

var askers = []asker{
	{"POST /v1/account", func(email, _ string) map[string]any {
		return map[string]any{"userId": "mine", "email": email, "password": "hunter-of-any", "name": "Any"}
	}, ""},
	{"POST /v1/account/sessions/email", func(email, _ string) map[string]any { return map[string]any{"email": email, "password": wrong} }, ""},
	{"POST /v1/account/tokens/magic-url", byMail, "PUT /v1/account/sessions/magic-url"},
	{"POST /v1/account/sessions/magic-url", byMail, "PUT /v1/account/sessions/magic-url"},
	{"POST /v1/account/tokens/email", byMail, "POST /v1/account/sessions/token"},
	{"POST /v1/account/tokens/phone", byText, "POST /v1/account/sessions/token"},
	{"POST /v1/account/sessions/phone", byText, "PUT /v1/account/sessions/phone"},
	{"POST /v1/account/recovery", func(email, _ string) map[string]any { return map[string]any{"email": email, "url": here} }, "PUT /v1/account/recovery"},
}

func byMail(email, _ string) map[string]any {
	return map[string]any{"userId": "mine", "email": email, "phrase": true}
}

func byText(_, phone string) map[string]any { return map[string]any{"userId": "mine", "phone": phone} }

// Whose address it is, and whether they are blocked or have to wait, shows in no answer to a guest: neither in that to
// the address, asked once or again, nor in what the id it gives then opens. Nor does it where there is no room for more.
func TestPrivateProjectsAnswerGuestsAlike(t *testing.T) {
	var all sync.WaitGroup
	for _, full := range []bool{false, true} {
		w := newWorld(t, func(p *plan) { p.project.Auth.Privacy = true })
		for i, id := range []string{"registered", "blocked", "paused", "moved"} {
			w.own(id, i)
		}
		w.moves("moved", "elsewhere@mail.test", numberOf(50))
		w.moves("moved", "moved@mail.test", numberOf(3)) // back, but not verified again
		if _, err := w.commands.Block(t.Context(), w.guest(), "blocked"); err != nil {
			t.Fatal(err)
		}
		w.guessAt("paused")
		if full {
			w.project.Auth.UsersLimit = 1
		}
		for n, asker := range askers {
			all.Go(func() {
				answers := map[string][]string{}
				var mu sync.Mutex
				var states sync.WaitGroup
				for i, state := range []string{"registered", "blocked", "paused", "moved", "unregistered"} {
					email, phone := state+"@mail.test", numberOf(i)
					if state == "unregistered" { // with any other endpoint, too
						email, phone = fmt.Sprintf("fresh-%d@mail.test", n), numberOf(100+n)
					}
					states.Go(func() {
						told := w.interrogate(asker, asker.body(email, phone), email, phone, fmt.Sprintf("Peer: 203.0.113.%d:1", 10*n+i))
						mu.Lock()
						defer mu.Unlock()
						answers[state] = told
					})
				}
				states.Wait()
				for state, told := range answers {
					if diff := cmp.Diff(answers["registered"], told); diff != "" {
						t.Errorf("%s, full: %v, tells who is %s (-registered +%s):\n%s", asker.what, full, state, state, diff)
					}
				}
			})
		}
	}
	all.Wait()
}

// interrogate asks twice about an address, then tries a wrong secret for both answers until the limit, and tells the
// shapes of all that came back.
func (w *world) interrogate(a asker, body map[string]any, email, phone, from string) (told []string) {
	mask := strings.NewReplacer(email, "<mail>", phone, "<phone>")
	note := func(began time.Time, r *reply) {
		if took := time.Since(began); took < uniformStep && r.status != http.StatusTooManyRequests {
			w.Errorf("%s: %d after %s", r.asked, r.status, took)
		}
		told = append(told, mask.Replace(r.shape()))
	}
	var ids []string
	for range 2 {
		began := time.Now()
		r := w.ask(a.what, body, from)
		note(began, r)
		if r.status == http.StatusCreated {
			id, _ := r.member("userId").(string)
			ids = append(ids, id)
		}
	}
	if a.door == "" || len(ids) < 2 {
		return told
	}
	if ids[0] == ids[1] {
		w.Errorf("%s answers twice with the id %s", a.what, ids[0])
	}
	for i := range 11 {
		began := time.Now()
		try := map[string]string{"userId": ids[i%2], "secret": fmt.Sprintf("%06d", i), "password": "hunter-the-new"}
		note(began, w.ask(a.door, try, from))
	}
	return told
}

var (
	sealedShape = regexp.MustCompile(fmt.Sprintf(`"[A-Za-z0-9_-]{%d}"`, sealedLength))
	phraseShape = regexp.MustCompile(`"phrase":"[^"]+"`)
	freshHeader = []string{"X-Request-Id", "Date"}
)

// shape is the answer without what is drawn for each.
func (a *reply) shape() string {
	var lines []string
	for name, values := range a.header {
		if !slices.Contains(freshHeader, name) {
			lines = append(lines, name+": "+strings.Join(values, " | "))
		}
	}
	slices.Sort(lines)
	body := sealedShape.ReplaceAllString(drawnID.ReplaceAllString(a.body, `"<id>"`), `"<sealed id>"`)
	body = phraseShape.ReplaceAllString(body, `"phrase":"<phrase>"`)
	return fmt.Sprintf("%s: %d\n%s\n%s", a.asked, a.status, strings.Join(lines, "\n"), body)
}

func (w *world) guest() commands.Caller {
	return commands.Caller{Project: w.project, Actor: event.Actor{Kind: event.ActorGuest}, Request: "test"}
}

func numberOf(i int) string { return fmt.Sprintf("+49176123%05d", i) }

// own makes an account with an address and a number, both verified, under an id of its own choice.
func (w *world) own(id string, i int) {
	w.Helper()
	p := person{id, id + "@mail.test", "hunter-of-" + id, "Any"}
	w.ask("POST /v1/account", p.body(), "X-Appwrite-Key: "+serverKey).is(201)
	w.moves(id, p.ID+"@mail.test", numberOf(i))
	for _, purpose := range []account.Purpose{account.ForEmailVerification, account.ForPhoneVerification} {
		issued, _, err := w.commands.IssueVerificationToken(w.Context(), w.guest(), id, purpose, commands.Letter{})
		if err == nil {
			_, _, err = w.commands.Verify(w.Context(), w.guest(), id, issued.Secret, purpose)
		}
		if err != nil {
			w.Fatal(err)
		}
	}
}

// moves gives an account another address and number, which nobody has verified.
func (w *world) moves(id, email, phone string) {
	w.Helper()
	password := "hunter-of-" + id
	_, err := w.commands.ChangeEmail(w.Context(), w.guest(), id, account.Email(email), password)
	if err == nil {
		_, err = w.commands.ChangePhone(w.Context(), w.guest(), id, account.Phone(phone), password)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// guessAt gives so many wrong passwords and codes for an account that it has to wait for both.
func (w *world) guessAt(id string) {
	w.Helper()
	address := account.Email(id + "@mail.test")
	for range 10 {
		_, _, _ = w.commands.SignIn(w.Context(), w.guest(), address, wrong)
	}
	for range 10 {
		if _, _, err := w.commands.IssueLoginToken(w.Context(), w.guest(), commands.IssueLoginToken{Purpose: account.ForEmailCode, ID: commands.NewID(), Email: address}); err != nil {
			w.Fatal(err)
		}
		for code := range 5 {
			_, _, _ = w.commands.SignInWithToken(w.Context(), w.guest(), id, fmt.Sprintf("%06d", code), account.ForEmailCode)
		}
	}
	for what, body := range map[string]map[string]any{
		"POST /v1/account/sessions/email": {"email": address, "password": wrong},
		"POST /v1/account/tokens/email":   {"email": address, "userId": "unique()"},
	} {
		w.ask(what, body, "X-Appwrite-Key: "+serverKey).refuses(429, "general_rate_limit_exceeded")
	}
}

// With what a guest is told they come in as before; servers are told what is.
func TestAnIDThatAGuestWasToldOpensTheirAccount(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.Privacy, p.RateLimits = true, false })
	w.own("registered", 0)
	for _, a := range askers {
		if a.door == "" {
			continue
		}
		body := a.body("registered@mail.test", numberOf(0))
		w.same(a.what+" to a server", w.ask(a.what, body, "X-Appwrite-Key: "+serverKey).is(201).member("userId"), any("registered"))
		told := w.ask(a.what, body).is(201).member("userId").(string)
		w.same(a.what+": length", len(told), sealedLength)
		issued, secret := w.letter("registered")
		if a.what != "POST /v1/account/recovery" && !issued.Purpose.ByPhone() && !issued.Purpose.IsCode() {
			if link := Link(issued, "shop", "registered", secret); !strings.Contains(link, "userId=registered&") {
				t.Error("the link has another id: " + link)
			}
		}
		try := map[string]string{"userId": told, "secret": secret, "password": "hunter-the-new"}
		for name, id := range map[string]string{
			"one that was changed": told[:20] + string(told[20]^1) + told[21:], "a shorter one": told[1:], "a longer one": told + "A",
		} {
			try["userId"] = id
			if len(id) == sealedLength {
				w.ask(a.door, try).refuses(401, "user_invalid_token")
			} else {
				w.same(name, w.ask(a.door, try).is(400).status, 400)
			}
		}
		try["userId"] = told
		w.ask(a.door, try, "X-Appwrite-Project: other").is(map[bool]int{true: 404, false: 401}[a.door == "PUT /v1/account/recovery"])
		w.ask("PUT /v1/account/verifications/email", try).refuses(400, "general_argument_invalid")
		in := w.ask(a.door, try)
		if in.status != 200 && in.status != 201 {
			t.Fatalf("%s: %d %s", a.door, in.status, in.body)
		}
		w.same(a.door, in.member("userId"), any("registered"))
		if in.status == 201 {
			heard.told(in.value())
		}
	}
	// The id in the letter's link opens as well.
	w.ask("POST /v1/account/tokens/magic-url", byMail("registered@mail.test", "")).is(201)
	_, secret := w.letter("registered")
	heard.told(w.ask("PUT /v1/account/sessions/magic-url", redeem("registered", secret)).is(201).value())
}

func TestSealedIDsTellNothing(t *testing.T) {
	w := newWorld(t)
	a := &API{Needs: Needs{IDKey: []byte("32 bytes for the tests of the ids")}}
	claim := w.commands.EmailClaim("ada@mail.test")
	seen := map[string]bool{}
	for _, id := range []string{"a", "ada", "ada", commands.NewID(), strings.Repeat("z", longestID)} {
		sealed := a.sealID(w.project, id, claim)
		if seen[sealed] || !sealedShape.MatchString(`"`+sealed+`"`) {
			t.Errorf("%q becomes %q", id, sealed)
		}
		seen[sealed] = true
		opened, ok := a.openID(w.project, sealed)
		w.same(id, []any{opened.account, opened.tag, ok}, []any{id, claim[:tagLength], true})
	}
}

// Whoever signs up with somebody's address under an id of their choice must not find it free afterwards.
func TestPrivateProjectsTakeNoIDFromAGuest(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.Privacy = true })
	w.own("registered", 0)
	for _, email := range []string{"registered@mail.test", "fresh@mail.test", "fresher@mail.test"} {
		id := w.ask("POST /v1/account", map[string]string{"userId": "chosen", "email": email, "password": "hunter-of-any"}).is(201).member("$id").(string)
		if !drawnID.MatchString(`"` + id + `"`) {
			t.Errorf("%s has the id %s", email, id)
		}
	}
	w.ask("POST /v1/account", map[string]string{"userId": "-", "email": "freshest@mail.test", "password": "hunter-of-any"}).refuses(400, "general_argument_invalid")
	w.ask("POST /v1/account", map[string]string{"userId": "chosen", "email": "freshest@mail.test", "password": "hunter-of-any"}, "X-Appwrite-Key: "+serverKey).is(201)
}

func TestPrivateProjectsTellServersAndTheOwner(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.project.Auth.Privacy = true })
	w.ask("POST /v1/account", ada.body(), "X-Appwrite-Key: "+serverKey).is(201)
	for range 2 {
		w.ask("POST /v1/account", ada.body()).is(201)
	}
	w.ask("POST /v1/account", ada.body("userId", "unique()"), "X-Appwrite-Key: "+serverKey).refuses(409, "user_already_exists")
	w.ask("POST /v1/account/recovery", map[string]string{"email": "nobody@mail.test", "url": here}, "X-Appwrite-Key: "+serverKey).refuses(404, "user_not_found")
	letters := slices.DeleteFunc(w.happened(), func(typ string) bool { return typ != "account.sign-up-tried.v1" })
	w.same("letters to the owner", len(letters), 1)
}
