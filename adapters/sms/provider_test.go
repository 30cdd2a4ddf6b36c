package sms

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/breaker"
)

// basic is what Authorization holds for user:key, written down by hand.
const (
	basicTwilio   = "Basic QUMxMjM6dDBrZW4="
	basicTelesign = "Basic Q1VTVC0xOllXSmo="
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// asked is a request as a provider sees it.
type asked struct {
	Line   string
	Header map[string]string
	Body   string
}

func TestProvidersAreAskedAsTheyDocumentIt(t *testing.T) {
	service := all["twilio"]
	service.From = "MG42"
	odd := all["twilio"]
	odd.User = "a/b?c"
	plain := func(name string) Config { c := all[name]; c.From = ""; return c }
	accented, emoji := message, message
	accented.Text, emoji.Text = "Größe: 5 € [ok]", "code 🔑 418"

	for _, c := range []struct {
		name    string
		config  Config
		message Message
		answer  string
		want    asked
	}{
		{"webhook", at(all["webhook"], "/in/sms?channel=2"), message, "", asked{
			"POST /in/sms?channel=2",
			map[string]string{"Content-Type": jsonType, "X-Username": "ada", "X-Key": "k3y", "Idempotency-Key": "letter-7"},
			`{"from":"Acta","to":"+4917012345678","message":"418 206"}`,
		}},
		{"twilio", all["twilio"], message, "", asked{
			"POST /2010-04-01/Accounts/AC123/Messages.json",
			map[string]string{"Content-Type": formType, "Authorization": basicTwilio},
			"Body=418+206&From=%2B15005550006&To=%2B4917012345678",
		}},
		{"twilio by a messaging service", service, message, "", asked{
			"POST /2010-04-01/Accounts/AC123/Messages.json",
			map[string]string{"Content-Type": formType, "Authorization": basicTwilio},
			"Body=418+206&MessagingServiceSid=MG42&To=%2B4917012345678",
		}},
		{"twilio at another base", at(all["twilio"], "/simulator/"), message, "", asked{
			"POST /simulator/2010-04-01/Accounts/AC123/Messages.json",
			map[string]string{"Content-Type": formType, "Authorization": basicTwilio},
			"Body=418+206&From=%2B15005550006&To=%2B4917012345678",
		}},
		{"twilio with a user that is no path", odd, message, "", asked{
			"POST /2010-04-01/Accounts/a%2Fb%3Fc/Messages.json",
			map[string]string{"Content-Type": formType, "Authorization": "Basic YS9iP2M6dDBrZW4="},
			"Body=418+206&From=%2B15005550006&To=%2B4917012345678",
		}},
		{"vonage", all["vonage"], message, `{"messages":[{"status":"0"}]}`, asked{
			"POST /sms/json",
			map[string]string{"Content-Type": formType},
			"api_key=a1b2&api_secret=s3cret&from=15005550006&text=418+206&to=4917012345678",
		}},
		{"vonage in the GSM alphabet", all["vonage"], accented, `{"messages":[{"status":"0"}]}`, asked{
			"POST /sms/json",
			map[string]string{"Content-Type": formType},
			"api_key=a1b2&api_secret=s3cret&from=15005550006&text=Gr%C3%B6%C3%9Fe%3A+5+%E2%82%AC+%5Bok%5D&to=4917012345678",
		}},
		{"vonage in another alphabet", all["vonage"], emoji, `{"messages":[{"status":"0"}]}`, asked{
			"POST /sms/json",
			map[string]string{"Content-Type": formType},
			"api_key=a1b2&api_secret=s3cret&from=15005550006&text=code+%F0%9F%94%91+418&to=4917012345678&type=unicode",
		}},
		{"msg91", all["msg91"], message, `{"type":"success","message":"3763646c3058373530393938"}`, asked{
			"POST /api/v5/flow",
			map[string]string{"Content-Type": jsonType, "Authkey": "authk3y"},
			`{"template_id":"flow1","sender":"ACTAID","short_url":"0",` +
				`"recipients":[{"mobiles":"4917012345678","otp":"418 206","var":"418 206"}]}`,
		}},
		{"msg91 as the template says", plain("msg91"), message, `{"type":"success"}`, asked{
			"POST /api/v5/flow",
			map[string]string{"Content-Type": jsonType, "Authkey": "authk3y"},
			`{"template_id":"flow1","short_url":"0","recipients":[{"mobiles":"4917012345678","otp":"418 206","var":"418 206"}]}`,
		}},
		{"telesign", all["telesign"], message, `{"reference_id":"1","status":{"code":290}}`, asked{
			"POST /v1/messaging",
			map[string]string{"Content-Type": formType, "Authorization": basicTelesign},
			"message=418+206&message_type=OTP&phone_number=4917012345678&sender_id=Acta",
		}},
		{"telesign without a sender", plain("telesign"), message, `{"status":{"code":290}}`, asked{
			"POST /v1/messaging",
			map[string]string{"Content-Type": formType, "Authorization": basicTelesign},
			"message=418+206&message_type=OTP&phone_number=4917012345678",
		}},
		{"textmagic", all["textmagic"], message, "", asked{
			"POST /api/v2/messages",
			map[string]string{"Content-Type": formType, "X-Tm-Username": "ada", "X-Tm-Key": "tm-k3y"},
			"from=15005550006&phones=4917012345678&text=418+206",
		}},
		{"textmagic without a sender", plain("textmagic"), message, "", asked{
			"POST /api/v2/messages",
			map[string]string{"Content-Type": formType, "X-Tm-Username": "ada", "X-Tm-Key": "tm-k3y"},
			"phones=4917012345678&text=418+206",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := make(chan asked, 1)
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				header := map[string]string{}
				for name, values := range r.Header {
					header[name] = strings.Join(values, ", ")
				}
				seen <- asked{r.Method + " " + r.RequestURI, header, string(body)}
				io.WriteString(w, c.answer)
			})
			if err := open(t, at(c.config, base+c.config.URL)).Send(t.Context(), c.message); err != nil {
				t.Fatal(err)
			}
			c.want.Header["User-Agent"], c.want.Header["Connection"] = "Acta", "close"
			c.want.Header["Content-Length"] = fmt.Sprint(len(c.want.Body))
			if diff := cmp.Diff(c.want, <-seen); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWithoutAnotherBaseTheDocumentedEndpointsAreAsked(t *testing.T) {
	got := map[string]string{}
	for name, c := range all {
		if name != "webhook" {
			got[name] = open(t, c).url.String()
		}
	}
	if diff := cmp.Diff(map[string]string{
		"twilio":    "https://api.twilio.com/2010-04-01/Accounts/AC123/Messages.json",
		"vonage":    "https://rest.nexmo.com/sms/json",
		"msg91":     "https://control.msg91.com/api/v5/flow",
		"telesign":  "https://rest-api.telesign.com/v1/messaging",
		"textmagic": "https://rest.textmagic.com/api/v2/messages",
	}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(providers)), slices.Sorted(maps.Keys(all))); diff != "" {
		t.Errorf("providers without a test:\n%s", diff)
	}
}

// An answer's status and body, and the error without what stands before every one: "" = accepted.
type answered struct {
	provider string
	status   int
	body     string
	want     string
}

var answers = []answered{
	{"webhook", 200, "", ""},
	{"webhook", 202, "not even JSON", ""},
	{"webhook", 204, "", ""},
	{"webhook", 400, "", "the message is refused: status 400"},

	{"twilio", 201, `{"sid":"SM1","status":"queued"}`, ""},
	{"twilio", 201, `{`, ""},
	{"twilio", 400, `{"code":21211,"message":"The 'To' number +4917012345678 is not valid.","status":400}`, "the message is refused: status 400, code 21211"},
	{"twilio", 400, `{"code":21610}`, "the message is refused: status 400, code 21610"},
	{"twilio", 400, `{"code":21408}`, "the message is refused: status 400, code 21408"},
	{"twilio", 400, `{"code":21611}`, "not accepted: status 400, code 21611"},
	{"twilio", 400, `{"code":21212}`, "not accepted: status 400, code 21212"},
	{"twilio", 400, `{"code":21606}`, "not accepted: status 400, code 21606"},
	{"twilio", 400, `{"code":21705}`, "not accepted: status 400, code 21705"},
	{"twilio", 404, `{"code":20404}`, "not accepted: status 404, code 20404"},
	{"twilio", 401, `{"code":20003}`, "not accepted: status 401, code 20003"},
	{"twilio", 429, `{"code":20429}`, "not accepted: status 429, code 20429"},
	{"twilio", 400, `<html>`, "the message is refused: status 400"},

	{"vonage", 200, `{"message-count":"1","messages":[{"to":"4917012345678","message-id":"1","status":"0"}]}`, ""},
	{"vonage", 200, `{"messages":[{"status":"0"},{"status":"0"}]}`, ""},
	{"vonage", 200, `{"messages":[{"status":"0"},{"status":"5"}]}`, "not accepted: status 200, code 5"},
	{"vonage", 200, `{"messages":[{"status":"1","error-text":"Throughput Rate Exceeded"}]}`, "not accepted: status 200, code 1"},
	{"vonage", 200, `{"messages":[{"status":"4"}]}`, "not accepted: status 200, code 4"},
	{"vonage", 200, `{"messages":[{"status":"8"}]}`, "not accepted: status 200, code 8"},
	{"vonage", 200, `{"messages":[{"status":"9"}]}`, "not accepted: status 200, code 9"},
	{"vonage", 200, `{"messages":[{"status":"10"}]}`, "not accepted: status 200, code 10"},
	{"vonage", 200, `{"messages":[{"status":"13"}]}`, "not accepted: status 200, code 13"},
	{"vonage", 200, `{"messages":[{"status":"15"}]}`, "the message is refused: status 200, code 15"},
	{"vonage", 200, `{"messages":[{"status":"3"}]}`, "the message is refused: status 200, code 3"},
	{"vonage", 200, `{"messages":[{"status":"7"}]}`, "the message is refused: status 200, code 7"},
	{"vonage", 200, `{"messages":[{"status":"33"}]}`, "the message is refused: status 200, code 33"},
	{"vonage", 200, `{"messages":[{"status":"4917012345678"}]}`, "not accepted: status 200"},
	{"vonage", 200, `{"messages":[{}]}`, "not accepted: status 200"},
	{"vonage", 200, `{"messages":[]}`, "not accepted: status 200"},
	{"vonage", 200, `<html>`, "not accepted: status 200"},
	{"vonage", 500, `{"messages":[{"status":"0"}]}`, "not accepted: status 500"},

	{"msg91", 200, `{"type":"success","message":"3763646c3058373530393938"}`, ""},
	{"msg91", 200, `{"type":"error","message":"Invalid mobile number","code":"202"}`, "the message is refused: status 200, code 202"},
	{"msg91", 200, `{"type":"error","message":"Insufficient balance","code":301}`, "not accepted: status 200, code 301"},
	{"msg91", 200, `{"type":"error","message":"No code"}`, "not accepted: status 200"},
	{"msg91", 200, `{"type":"error","code":"apiError"}`, "not accepted: status 200"},
	{"msg91", 200, `maintenance`, "not accepted: status 200"},
	{"msg91", 401, `{"message":"Unauthorized","status":"fail","code":"401"}`, "not accepted: status 401, code 401"},
	{"msg91", 400, `{"type":"error","message":"template id missing"}`, "the message is refused: status 400"},
	{"msg91", 400, `{"type":"error","code":"202"}`, "the message is refused: status 400, code 202"},
	{"msg91", 400, `{"type":"error","code":"301"}`, "not accepted: status 400, code 301"},
	{"msg91", 401, `{"type":"error","code":"202"}`, "not accepted: status 401, code 202"},

	{"telesign", 200, `{"reference_id":"B56","status":{"code":290,"description":"Message in progress"}}`, ""},
	{"telesign", 200, `{"status":{"code":250}}`, ""},
	{"telesign", 200, `{"status":{"code":210}}`, "not accepted: status 200, code 210"},
	{"telesign", 200, `{"status":{"code":230}}`, "not accepted: status 200, code 230"},
	{"telesign", 200, `{"status":{"code":220}}`, "the message is refused: status 200, code 220"},
	{"telesign", 200, `{"status":{"code":229}}`, "the message is refused: status 200, code 229"},
	{"telesign", 200, `null`, "not accepted: status 200"},
	{"telesign", 400, `{"status":{"code":11000,"description":"Invalid value for phone_number."}}`, "the message is refused: status 400, code 11000"},
	{"telesign", 400, `{"status":{"code":-10001}}`, "the message is refused: status 400, code -10001"},
	{"telesign", 400, `{"status":{"code":-30003}}`, "not accepted: status 400, code -30003"},
	{"telesign", 400, `{"status":{"code":-90001}}`, "not accepted: status 400, code -90001"},
	{"telesign", 401, `{"status":{"code":-20004}}`, "not accepted: status 401, code -20004"},

	{"textmagic", 201, `{"id":1,"href":"/api/v2/messages/1","type":"message"}`, ""},
	{"textmagic", 400, `{"code":400,"message":"Validation Failed"}`, "the message is refused: status 400"},
	{"textmagic", 401, ``, "not accepted: status 401"},
}

func TestAnswersAreAcceptedRefusedOrWorthAnotherTry(t *testing.T) {
	answers := slices.Clone(answers)
	for _, status := range []int{400, 413, 422, 451} {
		for name := range all {
			answers = append(answers, answered{name, status, "", fmt.Sprintf("the message is refused: status %d", status)})
		}
	}
	for _, status := range []int{300, 304, 401, 402, 403, 404, 405, 407, 408, 409, 410, 415, 499, 425, 429, 500, 502, 503, 504, 599, 700} {
		for name := range all {
			answers = append(answers, answered{name, status, "", fmt.Sprintf("not accepted: status %d", status)})
		}
	}
	for _, a := range answers {
		want := a.want
		if want != "" {
			want = "send a text message by " + a.provider + ": " + want
		}
		err := open(t, at(all[a.provider], serve(t, says(a.status, a.body)))).Send(t.Context(), message)
		if got := text(err); got != want {
			t.Errorf("%s, %d %s:\n got %q\nwant %q", a.provider, a.status, a.body, got, want)
		}
		if got := errors.Is(err, ErrRefused); got != strings.Contains(want, "refused") || errors.Is(err, breaker.ErrResting) {
			t.Errorf("%s, %d %s: refused is %t", a.provider, a.status, a.body, got)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
