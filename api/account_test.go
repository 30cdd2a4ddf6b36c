package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const goldenAda = `{
	"$id": "ada", "$createdAt": "2026-11-20T12:15:00.250+00:00", "$updatedAt": "2026-11-20T12:15:00.250+00:00",
	"name": "Ada Lovelace", "registration": "2026-11-20T12:15:00.250+00:00", "status": true, "labels": [],
	"passwordUpdate": "2026-11-20T12:15:00.250+00:00", "email": "ada@mail.test", "phone": "",
	"emailVerification": false, "phoneVerification": false, "mfa": false, "prefs": {},
	"targets": [{
		"$id": "<id>", "$createdAt": "2026-11-20T12:15:00.250+00:00", "$updatedAt": "2026-11-20T12:15:00.250+00:00", "name": "",
		"userId": "ada", "providerId": null, "providerType": "email", "identifier": "ada@mail.test", "expired": false
	}],
	"accessedAt": "2026-11-20T12:15:00.250+00:00"
}`

// golden is ada with some members changed: pairs of name and value. "target." begins the members of her target.
func golden(t testing.TB, changes ...any) string {
	t.Helper()
	var account map[string]any
	if err := json.Unmarshal([]byte(goldenAda), &account); err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(changes, 2) {
		in, name := account, pair[0].(string)
		if member, ofTarget := strings.CutPrefix(name, "target."); ofTarget {
			in, name = account["targets"].([]any)[0].(map[string]any), member
		}
		if _, there := in[name]; !there {
			t.Fatalf("%s is not in the golden account", name)
		}
		in[name] = pair[1]
	}
	text, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnAccountIsMadeAndAnswered(t *testing.T) {
	w := newWorld(t)
	w.ask("POST /v1/account", ada.body()).is(201).gives(goldenAda)
	w.did("claim.taken.v1", "account.created.v1")
	w.ask("GET /v1/account", nil, w.signIn(ada).header()).is(200).gives(goldenAda)
	w.did("account.session-started.v1")
}

func TestAnAccountIsChangedAndAnsweredAsItIsThen(t *testing.T) {
	const later = "2026-11-20T12:16:00.250+00:00"
	for _, test := range []struct {
		asked, body string
		changes     []any
		events      []string
	}{
		{"PATCH /v1/account/name", `{"name":"Countess"}`, []any{"name", "Countess", "$updatedAt", later}, []string{"account.name-changed.v1"}},
		{"PATCH /v1/account/name", `{"name":"Ada Lovelace"}`, nil, nil},
		{
			"PATCH /v1/account/email", `{"email":"Countess@mail.test","password":"hunter-of-ada"}`,
			[]any{"email", "countess@mail.test", "target.identifier", "countess@mail.test", "$updatedAt", later, "target.$updatedAt", later},
			[]string{"claim.taken.v1", "account.email-changed.v1", "claim.released.v1"},
		},
		{"PATCH /v1/account/email", `{"email":"ADA@mail.test","password":"hunter-of-ada"}`, nil, nil},
		{
			"PATCH /v1/account/password", `{"password":"hunter-of-old","oldPassword":"hunter-of-ada"}`,
			[]any{"passwordUpdate", later, "$updatedAt", later}, []string{"account.password-changed.v1"},
		},
		{
			"PATCH /v1/account/prefs", `{"prefs":{"theme":"dark","n":[1,{"a":null}]}}`,
			[]any{"prefs", json.RawMessage(`{"theme":"dark","n":[1,{"a":null}]}`), "$updatedAt", later}, []string{"account.prefs-changed.v1"},
		},
		{"PATCH /v1/account/prefs", `{"prefs": { } }`, nil, nil},
		{"PATCH /v1/account/status", `{}`, []any{"status", false, "$updatedAt", later}, []string{"account.blocked.v1"}},
	} {
		t.Run(test.asked+" "+test.body, func(t *testing.T) {
			w := newWorld(t)
			s := w.member(ada)
			w.happened()
			w.clock.move(time.Minute)
			want := golden(t, test.changes...)
			w.ask(test.asked, test.body, s.header()).is(200).gives(want)
			w.did(test.events...)
			if test.asked != "PATCH /v1/account/status" {
				w.ask("GET /v1/account", nil, s.header()).is(200).gives(want)
			}
		})
	}
}

func TestPreferencesAreAnsweredAloneToo(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("GET /v1/account/prefs", nil, s.header()).is(200).gives(`{}`)
	w.ask("PATCH /v1/account/prefs", `{"prefs":{"a":"<b>&\u00e9é/","1":{}}}`, s.header()).is(200)
	w.ask("GET /v1/account/prefs", nil, s.header()).is(200).gives(`{"a":"<b>&éé/","1":{}}`)
	// All of them are replaced, none is kept.
	w.ask("PATCH /v1/account/prefs", `{"prefs":{"b":1}}`, s.header()).is(200)
	w.ask("GET /v1/account/prefs", nil, s.header()).is(200).gives(`{"b":1}`)
}

// Parameters, in the contract's words.
const (
	textID       = "Invalid `userId` param: " + problemID
	textEmail    = "Invalid `email` param: Value must be a valid email address"
	textPassword = "Invalid `password` param: Password must be between 8 and 256 characters long."
	textOld      = "Invalid `oldPassword` param: Password must be between 8 and 256 characters long."
	textName     = "Invalid `name` param: Value must be a valid string and at least 1 chars and no longer than 128 chars"
	textPrefs    = "Invalid `prefs` param: Value must be a valid object."
	textObject   = "The request body is not a valid JSON object."
	textType     = "The request body must be a JSON object with content type application/json."
)

func missing(name string) string { return fmt.Sprintf("Param %q is not optional.", name) }

// badTexts is what is no text of 1 to 128 characters.
var badTexts = []any{nil, "", 1, true, []string{"a"}, map[string]string{}, "a\x00b"}

func TestParametersAreRefusedInTheContractsWords(t *testing.T) {
	type refused struct {
		body any
		text string
	}
	signUp := []refused{
		{ada.body("userId", absent), missing("userId")},
		{ada.body("email", absent), missing("email")},
		{ada.body("password", absent), missing("password")},
		{ada.body("userId", absent, "email", absent, "password", ""), missing("userId")},
		{ada.body("email", "", "password", absent), textEmail},
		{ada.body("email", "", "password", ""), textEmail},
		{ada.body("password", "", "name", ""), textPassword},
		{`{}`, missing("userId")},
		{``, missing("userId")},
		{"  \n", missing("userId")},
		{`null`, missing("userId")},
	}
	for _, id := range append(badTexts, "Unique()", "_a", "-a", ".a", "a b", "a/b", "ä", strings.Repeat("a", 37), "a\n", "console\r\n") {
		signUp = append(signUp, refused{ada.body("userId", id), textID})
	}
	for _, email := range append(badTexts, "ada", "@mail.test", "ada@", "ada@mail", "ada@@mail.test", "a b@mail.test", "ada@mail.test ", "Ada <ada@mail.test>",
		"ada@mail..test", "ada@-mail.test", "ada.@mail.test", strings.Repeat("a", 65)+"@mail.test", "ada@"+strings.Repeat("a", 260)+".test", "ada@[127.0.0.1]",
		"ada@mail.test\r\nBcc: eve@mail.test", `"ada"@mail.test`) {
		signUp = append(signUp, refused{ada.body("email", email), textEmail})
	}
	for _, password := range append(badTexts, "hunter7", strings.Repeat("x", 257), strings.Repeat("é", 129), "hunter\x00hunter") {
		signUp = append(signUp, refused{ada.body("password", password), textPassword})
	}
	for _, name := range append(badTexts[1:], strings.Repeat("n", 129), strings.Repeat("😀", 129)) {
		signUp = append(signUp, refused{ada.body("name", name), textName})
	}

	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(grace)
	w.happened()
	for _, r := range signUp {
		w.ask("POST /v1/account", r.body).refuses(400, "general_argument_invalid", r.text)
	}
	for _, test := range []struct {
		asked   string
		refused []refused
	}{
		{"POST /v1/account/sessions/email", []refused{
			{`{}`, missing("email")},
			{`{"email":"ada@mail.test"}`, missing("password")},
			{`{"email":"ada","password":""}`, textEmail},
			{`{"email":"ada@mail.test","password":"hunter7"}`, textPassword},
			{`{"email":"ada@mail.test","password":null}`, textPassword},
		}},
		{"PATCH /v1/account/name", []refused{{`{}`, missing("name")}, {`{"name":null}`, textName}, {`{"name":""}`, textName}, {`{"name":["a"]}`, textName}, {`{"Name":"a"}`, missing("name")}}},
		{"PATCH /v1/account/email", []refused{
			{`{"password":"hunter-of-grace"}`, missing("email")},
			{`{"email":"x@mail.test"}`, missing("password")},
			{`{"email":"","password":"hunter-of-grace"}`, textEmail},
			{`{"email":"x@mail.test","password":"hunter7"}`, textPassword},
		}},
		{"PATCH /v1/account/password", []refused{
			{`{}`, missing("password")},
			{`{"oldPassword":"hunter-of-grace"}`, missing("password")},
			{`{"password":"hunter7"}`, textPassword},
			{`{"password":"hunter-of-more","oldPassword":""}`, textOld},
			{`{"password":"hunter-of-more","oldPassword":"hunter7"}`, textOld},
			{`{"password":"hunter-of-more","oldPassword":7}`, textOld},
		}},
		{"PATCH /v1/account/prefs", []refused{
			{`{}`, missing("prefs")},
			{`{"prefs":null}`, textPrefs}, {`{"prefs":""}`, textPrefs}, {`{"prefs":"{}"}`, textPrefs}, {`{"prefs":"[]"}`, textPrefs},
			{`{"prefs":"{\"a\":1}"}`, textPrefs}, {`{"prefs":[]}`, textPrefs}, {`{"prefs":[{"a":1}]}`, textPrefs}, {`{"prefs":1}`, textPrefs}, {`{"prefs":true}`, textPrefs},
			{`{"prefs":{"0":"a"}}`, textPrefs}, {`{"prefs":{"0":"a","1":"b"}}`, textPrefs},
			{`{"prefs":{"a":"\u0000"}}`, textPrefs}, {`{"prefs":{"a\u0000":1}}`, textPrefs}, {`{"prefs":{"a":[{"b":"c\\\u0000"}]}}`, textPrefs},
		}},
	} {
		for _, r := range test.refused {
			w.ask(test.asked, r.body, cond(strings.HasPrefix(test.asked, "PATCH"), s.header())...).refuses(400, "general_argument_invalid", r.text)
		}
	}
	w.did()
}

func cond(when bool, headers ...string) []string {
	if when {
		return headers
	}
	return nil
}

func TestOnlyJSONObjectsAreBodies(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	w.happened()
	for _, test := range []struct{ name, body, kind, text string }{
		{"not JSON", `name=Countess`, "application/json", textObject},
		{"cut JSON", `{"name":"Countess"`, "application/json", textObject},
		{"JSON and more", `{"name":"Countess"} {}`, "application/json", textObject},
		{"a comment", `{"name":"Countess"/**/}`, "application/json", textObject},
		{"a list", `[{"name":"Countess"}]`, "application/json", textObject},
		{"a string", `"Countess"`, "application/json", textObject},
		{"a number", `1`, "application/json", textObject},
		{"not UTF-8", "{\"name\":\"\xff\"}", "application/json", textObject},
		{"UTF-16", "\xff\xfe{\x00}\x00", "application/json", textObject},
		{"a byte order mark", "\ufeff{}", "application/json", textObject},
		{"a form", `name=Countess`, "application/x-www-form-urlencoded", textType},
		{"JSON as plain text, which foreign pages may send", `{"name":"Countess"}`, "text/plain", textType},
		{"JSON of no type", `{"name":"Countess"}`, "", textType},
		{"JSON of a broken type", `{"name":"Countess"}`, "application/json; charset", textType},
		{"JSON of a similar type", `{"name":"Countess"}`, "application/json5", textType},
		{"10,000 lists", `{"name":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, "application/json", textObject},
		{"100,000 open lists", `{"name":` + strings.Repeat("[", 100_000), "application/json", textObject},
		{"one list too many", `{"name":` + strings.Repeat("[", 512) + strings.Repeat("]", 512) + `}`, "application/json", textObject},
		{"as many lists as may be", `{"name":` + strings.Repeat("[", 511) + strings.Repeat("]", 511) + `}`, "application/json", textName},
		{"brackets in a string", `{"name":"` + strings.Repeat(`[\"`, 600) + `"}`, "application/json", textName},
	} {
		w.ask("PATCH /v1/account/name", test.body, "Content-Type: "+test.kind, s.header()).refuses(400, "general_argument_invalid", test.text)
		if t.Failed() {
			t.Fatal(test.name)
		}
	}
	w.did()
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "APPLICATION/JSON"} {
		w.ask("PATCH /v1/account/name", `{"name":"`+kind+`"}`, "Content-Type: "+kind, s.header()).is(200)
	}
	// Clients send bodies where none are asked for, some of them "null" with a GET.
	w.ask("GET /v1/account", `null`, s.header()).is(200)
	w.ask("GET /v1/account", `nonsense`, "Content-Type: text/plain", s.header()).is(200)
	w.ask("PATCH /v1/account/sessions/current", `nonsense`, s.header()).is(200)
}

func TestABodyMayHaveAMebibyte(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	padded := func(size int) string {
		const body = `{"name":"Countess"}`
		return body + strings.Repeat(" ", size-len(body))
	}
	w.ask("PATCH /v1/account/name", padded(1<<20), s.header()).is(200)
	w.ask("PATCH /v1/account/name", padded(1<<20+1), s.header()).
		refuses(413, "general_argument_invalid", "The request body is larger than 1 MiB.")
	w.ask("POST /v1/account/sessions/email", strings.Repeat("x", 2<<20)).refuses(413, "general_argument_invalid")
	// Who may not is told that, whatever they send.
	w.ask("PATCH /v1/account/name", padded(1<<20+1)).refuses(401, "general_unauthorized_scope", scopeText)
}

func TestThePreferencesMayHave65535Bytes(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	s := w.member(ada)
	const frame = len(`{"a":""}`)
	for _, test := range []struct {
		name, what string
		counts     int // bytes as the reference counts
	}{
		{"letters", "x", 1},
		{"letters beyond ASCII", "é", 6},
		{"emoji", "😀", 12},
		{"slashes", "/", 2},
		{"escaped slashes", `\/`, 2},
		{"escaped backslashes and slashes", `\\/`, 4},
		{"escaped letters beyond ASCII", `\u00e9`, 6},
		{"escaped emoji", `\ud83d\ude00`, 12},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := (65535 - frame) / test.counts
			fill := strings.Repeat("x", 65535-frame-n*test.counts)
			value := strings.Repeat(test.what, n) + fill
			body := func(value string) string { return `{"prefs": { "a" : "` + value + `" } }` } // spaces do not count
			w.ask("PATCH /v1/account/prefs", body(value), s.header()).is(200)
			w.ask("GET /v1/account/prefs", nil, s.header()).is(200).gives(`{"a":"` + value + `"}`)
			w.ask("PATCH /v1/account/prefs", body(value+"x"), s.header()).refuses(400, "general_argument_invalid", textPrefs)
		})
	}
	for _, fine := range []string{`{}`, `{"1":"a"}`, `{"0":1,"a":2}`, `{"1":1,"0":2}`, `{"00":1}`, `{"a":"\\u0000"}`, `{"a":{"0":1}}`, `{"a":1e400,"b":-0.0}`, `{"a":"\ud800"}`} {
		w.ask("PATCH /v1/account/prefs", `{"prefs":`+fine+`}`, s.header()).is(200)
		if got := w.ask("GET /v1/account/prefs", nil, s.header()).is(200).body; strings.TrimSpace(got) != fine {
			t.Errorf("%s became %s", fine, got)
		}
	}
}

// Preferences that could be written but not read again would stop every read model.
func TestDeepPreferencesDoNotStopTheReadModels(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	for _, lists := range []int{509, 510, 511, 9_998, 9_999, 30_000} {
		body := `{"prefs":{"a":` + strings.Repeat("[", lists) + strings.Repeat("]", lists) + `}}`
		a := w.ask("PATCH /v1/account/prefs", body, s.header())
		if lists <= 510 {
			a.is(200)
		} else {
			a.refuses(400, "general_argument_invalid", textObject)
		}
		w.ask("GET /v1/account", nil, s.header()).is(200)
	}
	for _, status := range w.models.Status() {
		if status.Stopped != nil {
			t.Error(status.Stopped)
		}
	}
}

func TestTheLastOfTwoMembersCounts(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	a := w.ask("PATCH /v1/account/name", `{"name":"First","name":"Last"}`, s.header()).is(200)
	w.same("name", a.member("name"), "Last")
	w.ask("PATCH /v1/account/name", `{"name":"First","name":""}`, s.header()).refuses(400, "general_argument_invalid", textName)
	// For the rate limit as for the sign-in.
	for range 10 {
		w.ask("POST /v1/account/sessions/email", `{"email":"x@mail.test","email":"grace@mail.test","password":"hunter-but-wrong"}`).is(401)
	}
	w.ask("POST /v1/account/sessions/email", `{"email":"grace@mail.test","password":"hunter-but-wrong"}`).is(429)
	w.ask("POST /v1/account/sessions/email", `{"email":"x@mail.test","password":"hunter-but-wrong"}`).is(401)
}

func TestPrivilegedAndUnknownMembersAreIgnored(t *testing.T) {
	w := newWorld(t)
	extra := []any{"$id", "eve", "status", false, "labels", []string{"admin"}, "emailVerification", true, "phoneVerification", true, "hash", "x",
		"passwordUpdate", "2000-01-01", "mfa", true, "roles", []string{"admin"}, "phone", "+15551234567", "prefs", map[string]int{"a": 1}, "nonsense", nil}
	w.ask("POST /v1/account", ada.body(extra...)).is(201).gives(goldenAda)
	s := w.signIn(ada)
	w.ask("PATCH /v1/account/name", ada.body(append(extra, "name", "Ada Lovelace")...), s.header()).is(200).gives(goldenAda)
	w.ask("POST /v1/account?email=query@mail.test&userId=query", grace.body("email", absent)).refuses(400, "general_argument_invalid", missing("email"))
}

func TestNamesIDsAndAddressesAtTheirBounds(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	for i, name := range []string{strings.Repeat("n", 128), strings.Repeat("😀", 128), " ", "<b>&\"'\\ \u2028", "Zoë\r\nX: y", "x"} {
		a := w.ask("POST /v1/account", ada.body("userId", "unique()", "email", fmt.Sprintf("name%d@mail.test", i), "name", name)).is(201)
		w.same("name", a.member("name"), name)
		if id := a.member("$id").(string); !drawnID.MatchString(`"` + id + `"`) {
			t.Errorf("a drawn id is %q", id)
		}
	}
	for i, id := range []string{"a", "0", strings.Repeat("z", 36), "a.b-c_d", "A", "a..", "current", "console"} {
		a := w.ask("POST /v1/account", ada.body("userId", id, "email", fmt.Sprintf("id%d@mail.test", i))).is(201)
		w.same("id", a.member("$id"), id)
	}
	a := w.ask("POST /v1/account", ada.body("userId", "nameless", "email", "nameless@mail.test", "name", nil)).is(201)
	w.same("name", a.member("name"), "")
	a = w.ask("POST /v1/account", ada.body("userId", "unnamed", "email", "unnamed@mail.test", "name", absent)).is(201)
	w.same("name", a.member("name"), "")
	for i, password := range []string{"hunter-8"[:8], strings.Repeat("h", 256), strings.Repeat("é", 128), "        ", "密码密码密码", "'; DROP--", "\ufffd\ufffd\ufffd"} {
		p := person{fmt.Sprintf("password%d", i), fmt.Sprintf("password%d@mail.test", i), password, ""}
		w.ask("POST /v1/account", p.body()).is(201)
		w.signIn(p)
	}
}

func TestAddressesAreComparedByTheMailboxTheyReach(t *testing.T) {
	w := newWorld(t, func(p *plan) { p.RateLimits = false })
	for _, group := range [][]string{
		{"case@mail.test", "CASE@mail.test", "Case@MAIL.Test"},
		{"idn@bücher.mail.test", "idn@BÜCHER.mail.test", "idn@xn--bcher-kva.mail.test", "idn@bu\u0308cher.mail.test"},
	} {
		for i, email := range group {
			a := w.ask("POST /v1/account", ada.body("userId", "unique()", "email", email))
			if i > 0 {
				a.refuses(409, "user_already_exists")
				continue
			}
			a.is(201)
			w.same("email", a.member("email"), strings.ToLower(email))
		}
		for _, email := range group {
			w.ask("POST /v1/account/sessions/email", map[string]string{"email": email, "password": ada.Password}, "X-Appwrite-Key: "+serverKey).is(201)
		}
	}
}

func TestWhatIsTakenIsAConflict(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.signUp(grace)
	w.happened()
	const text = "An account with the same id, email or phone already exists in this project."
	w.ask("POST /v1/account", ada.body()).refuses(409, "user_already_exists", text)
	w.ask("POST /v1/account", ada.body("userId", "else")).refuses(409, "user_already_exists", text)
	w.ask("POST /v1/account", ada.body("userId", "else", "email", "ADA@mail.test")).refuses(409, "user_already_exists", text)
	w.did()
	w.ask("PATCH /v1/account/email", `{"email":"grace@mail.test","password":"hunter-of-ada"}`, s.header()).refuses(409, "user_target_already_exists")
	w.did()
	w.ask("PATCH /v1/account/email", `{"email":"grace@mail.test","password":"hunter-but-wrong"}`, s.header()).refuses(401, "user_invalid_credentials")
	w.did("account.wrong-password-given.v1")
	// The address stays free for others when only the id was taken.
	w.ask("POST /v1/account", ada.body("email", "else@mail.test")).refuses(409, "user_already_exists", text)
	w.ask("POST /v1/account", ada.body("userId", "else", "email", "else@mail.test")).is(201)
}

func TestAnAddressThatWasLeftIsFreeAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.ask("PATCH /v1/account/email", `{"email":"new@mail.test","password":"hunter-of-ada"}`, s.header()).is(200)
	w.ask("POST /v1/account", ada.body("userId", "second")).is(201)
	w.ask("POST /v1/account/sessions/email", `{"email":"new@mail.test","password":"hunter-of-ada"}`, "X-Appwrite-Key: "+serverKey).is(201)
}

func TestAProjectsOwnRulesForAccounts(t *testing.T) {
	w := newWorld(t, func(p *plan) {
		p.project.Auth.PasswordDictionary, p.project.Auth.PersonalDataCheck, p.project.Auth.UsersLimit = true, true, 2
		p.project.Auth.PasswordMinLength, p.project.Auth.PasswordHistory = 6, 2
	})
	const common = "Invalid `password` param: Password must be between 6 and 256 characters long, and should not be one of the commonly used password."
	w.ask("POST /v1/account", ada.body("password", "password")).refuses(400, "general_argument_invalid", common)
	w.ask("POST /v1/account", ada.body("password", "short")).refuses(400, "general_argument_invalid", "Invalid `password` param: Password must be between 6 and 256 characters long.")
	for _, tells := range []string{"hunter-ADA-x", "xx-Ada@mail.test", "Ada Lovelace!"} {
		w.ask("POST /v1/account", ada.body("password", tells)).refuses(400, "password_personal_data")
	}
	plain := person{"ada", "ada@mail.test", "hunter-1", ""}
	s := w.member(plain)
	change := func(to, old string) *reply {
		return w.ask("PATCH /v1/account/password", map[string]string{"password": to, "oldPassword": old}, s.header())
	}
	change("123456", "hunter-1").refuses(400, "general_argument_invalid", common)
	change("hunter-ada", "hunter-1").refuses(400, "password_personal_data")
	change("hunter-1", "hunter-1").refuses(400, "password_recently_used")
	change("hunter-2", "hunter-1").is(200)
	change("hunter-1", "hunter-2").refuses(400, "password_recently_used")
	change("hunter-3", "hunter-2").is(200)
	change("hunter-1", "hunter-3").is(200)
	w.ask("POST /v1/account", person{"second", "second@mail.test", "hunter-of-two", ""}.body()).is(201)
	w.ask("POST /v1/account", person{"third", "third@mail.test", "hunter-of-no", ""}.body()).refuses(400, "user_count_exceeded")
	// A common password that somebody has opens their account nevertheless.
	w.ask("POST /v1/account/sessions/email", `{"email":"second@mail.test","password":"password"}`).refuses(401, "user_invalid_credentials")
}

func TestAnAccessIsNotedOnceADay(t *testing.T) {
	w := newWorld(t)
	s := w.member(ada)
	w.happened()
	w.clock.move(24*time.Hour - time.Millisecond)
	w.ask("GET /v1/account", nil, s.header()).is(200)
	w.did()
	w.clock.move(time.Millisecond)
	w.ask("GET /v1/account", nil, s.header()).is(200)
	w.did("account.accessed.v1")
	w.ask("GET /v1/account/prefs", nil, s.header()).is(200)
	w.did()
	head, err := w.log.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.models.Wait(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	w.same("accessedAt", w.ask("GET /v1/account", nil, s.header()).member("accessedAt"), "2026-11-21T12:15:00.250+00:00")
	w.same("updatedAt", w.ask("GET /v1/account", nil, s.header()).member("$updatedAt"), "2026-11-20T12:15:00.250+00:00")
}
