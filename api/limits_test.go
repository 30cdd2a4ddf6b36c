package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/actahq/acta/domain/project"
)

// Who asks for letters to ever new addresses is held by their own address, under old names and new ones alike.
func TestOneClientCannotHaveLettersSentToEverybody(t *testing.T) {
	for _, test := range []struct {
		paths []string
		to    func(i int) map[string]string
		most  int
	}{
		{[]string{"/sessions/magic-url"}, anyEmail, 60},
		{[]string{"/tokens/magic-url", "/sessions/magic-url"}, anyEmail, 60},
		{[]string{"/tokens/email"}, anyEmail, 10},
		{[]string{"/sessions/phone"}, anyPhone, 10},
		{[]string{"/tokens/phone", "/sessions/phone"}, anyPhone, 10},
	} {
		t.Run(fmt.Sprint(test.paths), func(t *testing.T) {
			w := newWorld(t)
			for i := range test.most {
				w.ask("POST /v1/account"+test.paths[i%len(test.paths)], test.to(i)).is(201)
			}
			for i, path := range test.paths {
				w.ask("POST /v1/account"+path, test.to(test.most+i)).refuses(429, "general_rate_limit_exceeded").has("Retry-After: 2700")
				w.ask("POST /v1/account"+path, test.to(test.most+i), "Peer: 203.0.113.8:1").is(201)
			}
		})
	}
}

func anyEmail(i int) map[string]string {
	return map[string]string{"userId": "unique()", "email": fmt.Sprintf("somebody-%d@mail.test", i)}
}

func anyPhone(i int) map[string]string {
	return map[string]string{"userId": "unique()", "phone": fmt.Sprintf("+49176123%05d", i)}
}

// A mailbox has as many letters and tries as its limit says, however its address is spelled and whoever asks.
func TestAllSpellingsOfAnAddressHaveOneLimit(t *testing.T) {
	spellings := []string{"ada@mail-börse.test", "ADA@MAIL-BÖRSE.TEST", "ada@mail-bo\u0308rse.test", "ada@xn--mail-brse-57a.test", "ada@ｍａｉｌ-börse.test", "ada@mail-börse.ｔｅｓｔ"}
	for what, most := range map[string]int{
		"POST /v1/account/tokens/magic-url": 60, "POST /v1/account/sessions/magic-url": 10, "POST /v1/account/tokens/email": 10,
		"POST /v1/account/recovery": 10, "POST /v1/account/sessions/email": 10,
	} {
		w := newWorld(t)
		ask := func(i int) *reply {
			body := map[string]string{"userId": "unique()", "email": spellings[i%len(spellings)], "url": here, "password": wrong}
			return w.ask(what, body, fmt.Sprintf("Peer: 203.0.113.%d:1", 100+i%100))
		}
		for i := range most {
			if a := ask(i); a.status == 429 {
				t.Fatalf("%s refused the call %d of %d", what, i+1, most)
			}
		}
		for i := range spellings {
			ask(i).refuses(429, "general_rate_limit_exceeded", "The rate limit of this endpoint was exceeded. Please try again later.")
		}
	}
}

// What is no address makes no limit of its own, and takes nothing from anybody else's.
func TestWhatIsNoAddressIsCountedByItsSender(t *testing.T) {
	for what, param := range map[string]string{
		"POST /v1/account/sessions/email": "email", "POST /v1/account/tokens/email": "email", "POST /v1/account/sessions/phone": "phone",
		"PUT /v1/account/recovery": "userId", "POST /v1/account/sessions/token": "userId",
	} {
		w := newWorld(t)
		for i := range 10 {
			w.ask(what, map[string]string{param: fmt.Sprintf("!%d", i)}).is(400)
		}
		w.ask(what, map[string]any{param: 11}).refuses(429, "general_rate_limit_exceeded")
		w.ask(what, nil).refuses(429, "general_rate_limit_exceeded")
		w.ask(what, map[string]any{param: 11}, "Peer: 203.0.113.8:1").is(400)
	}
}

// Whoever has an IPv6 address has a network of them.
func TestAnIPv6NetworkIsOneClient(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.ask("POST /v1/account/tokens/email", anyEmail(i), fmt.Sprintf("Peer: [2001:db8:0:1:%d::1]:1", i)).is(201)
	}
	w.ask("POST /v1/account/tokens/email", anyEmail(10), "Peer: [2001:db8:0:1::ffff]:1").refuses(429, "general_rate_limit_exceeded")
	w.ask("POST /v1/account/tokens/email", anyEmail(10), "Peer: [2001:db8:0:2::1]:1").is(201)
}

// Each try tells whether an address or number is taken, and a change may cost a text message.
func TestWhoIsSignedInMovesTenTimesAnHour(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for what, body := range map[string]func(i int) map[string]string{
		"PATCH /v1/account/email": func(i int) map[string]string {
			return map[string]string{"email": fmt.Sprintf("ada-%d@mail.test", i), "password": ada.Password}
		},
		"PATCH /v1/account/phone": func(i int) map[string]string {
			return map[string]string{"phone": numberOf(i), "password": ada.Password}
		},
	} {
		for i := range 10 {
			w.ask(what, body(i), s.cookie(), fmt.Sprintf("Peer: 203.0.113.%d:1", i)).is(200)
		}
		w.ask(what, body(10), s.cookie()).refuses(429, "general_rate_limit_exceeded")
	}
}

// What many clients have sent to many addresses has one end: the operator pays for it.
func TestAProjectSendsNoMoreThanItsOperatorAllows(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.project.Auth.LettersLimit, p.project.Auth.TextsLimit = 6, 2
		p.project.Auth.MockNumbers = []project.MockNumber{{Phone: "+4917612399999", OTP: "123456"}}
	})
	s := w.member(ada)
	ways := []func(i int) *reply{
		func(i int) *reply { return w.ask("POST /v1/account/tokens/email", anyEmail(i)) },
		func(i int) *reply { return w.ask("POST /v1/account/tokens/magic-url", anyEmail(i)) },
		func(i int) *reply { return w.ask("POST /v1/account/sessions/magic-url", anyEmail(i)) },
		func(int) *reply {
			return w.ask("POST /v1/account/recovery", map[string]string{"email": ada.Email, "url": here})
		},
	}
	for i := range 6 {
		ways[i%len(ways)](i).is(201)
	}
	for i, way := range ways {
		way(10+i).refuses(429, "general_rate_limit_exceeded", "This project sends no more letters for now. Please try again later.").has("Retry-After: 2700")
	}
	// What guests use up keeps nobody who is signed in from their letters, and what these use up nobody from a second factor.
	verify := func() *reply {
		return w.ask("POST /v1/account/verifications/email", map[string]string{"url": here}, s.cookie())
	}
	for range 6 {
		verify().is(201)
	}
	verify().refuses(429, "general_rate_limit_exceeded").has("Retry-After: 2700")
	_, secret := w.letter("ada")
	w.ask("PUT /v1/account/verifications/email", redeem("ada", secret)).is(200)
	for range 3 {
		w.challenge(s, "email")
	}
	for i, path := range []string{"/tokens/phone", "/sessions/phone"} {
		w.ask("POST /v1/account"+path, anyPhone(i)).is(201)
	}
	w.ask("POST /v1/account/tokens/phone", anyPhone(2)).refuses(429, "general_rate_limit_exceeded")
	w.ask("POST /v1/account/tokens/phone", map[string]string{"userId": "x", "phone": "+4917612399999"}).is(201)
	w.ask("POST /v1/account/tokens/phone", anyPhone(2), "X-Appwrite-Key: "+serverKey).is(201)
	w.clock.move(45 * time.Minute)
	w.ask("POST /v1/account/tokens/phone", anyPhone(2)).is(201)
}

// Accounts that take turns in having somebody's address do not have more letters sent there than one.
func TestVerificationsAreCountedByWhereTheyGo(t *testing.T) {
	w := newWorld(t)
	victim, hers := map[string]string{"url": here}, "victim@mail.test"
	sent := 0
	for i := range 3 {
		p := person{fmt.Sprint("mallory", i), fmt.Sprintf("mallory-%d@mail.test", i), "hunter-of-mallory", ""}
		s := w.member(p)
		w.ask("PATCH /v1/account/email", map[string]string{"email": hers, "password": p.Password}, s.cookie()).is(200)
		for range 6 {
			if w.ask("POST /v1/account/verifications/email", victim, s.cookie()).status == 201 {
				sent++
			}
		}
		w.ask("PATCH /v1/account/email", map[string]string{"email": p.Email, "password": p.Password}, s.cookie()).is(200)
		w.ask("POST /v1/account/verifications/email", victim, s.cookie()).is(201)
	}
	w.same("letters to her", sent, 10)
}
