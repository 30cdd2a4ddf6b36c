package oauth

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/actahq/acta/adapters/peertest"
)

// leaks complains about an error that holds what belongs to somebody.
func leaks(t testing.TB, err error) {
	t.Helper()
	for ; err != nil; err = errors.Unwrap(err) {
		for _, word := range append(canaries, attempt.Nonce) {
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), word) {
				t.Errorf("%q holds %q", err, word)
			}
		}
	}
}

// simple is a provider of the plainest kind.
func simple(t testing.TB) *Provider {
	return open(t, Config{Provider: "plain", ClientID: "cl1ent", ClientSecret: "s3cret",
		AuthorizeURL: "https://p.example.com/a", TokenURL: "https://p.example.com/t", UserinfoURL: "https://p.example.com/u"})
}

// profiled answers every code with tokens, and the profile by answer.
func profiled(answer func(http.ResponseWriter, asked)) func(http.ResponseWriter, asked) {
	return func(w http.ResponseWriter, a asked) {
		if strings.HasSuffix(a.url, "/t") {
			says(w, 200, usualToken)
			return
		}
		answer(w, a)
	}
}

func TestOnlyTrueIsVerified(t *testing.T) {
	for spelling, want := range map[string]bool{
		`true`: true, `"true"`: true,
		`false`: false, `"false"`: false, `null`: false, `1`: false, `"1"`: false, `"yes"`: false, `"True"`: false, `"TRUE"`: false,
		`" true"`: false, `"t"`: false, `""`: false, `[]`: false, `[true]`: false, `{}`: false, `{"true":true}`: false, `1.0`: false,
		`"2012-05-23T09:05:22Z"`: false,
	} {
		p := simple(t)
		serve(t, p, profiled(func(w http.ResponseWriter, _ asked) {
			says(w, 200, `{"id":"42","email":"ada@example.com","email_verified":`+spelling+`}`)
		}))
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		if err != nil || who.EmailVerified != want {
			t.Errorf("%s: verified %t, %v", spelling, who.EmailVerified, err)
		}
	}
	for _, c := range []struct {
		provider, profile string
		want              bool
	}{
		{"zoom", `{"id":"42","email":"a@example.com","verified":1}`, true},
		{"zoom", `{"id":"42","email":"a@example.com","verified":0}`, false},
		{"zoom", `{"id":"42","email":"a@example.com","verified":"1"}`, false},
		{"zoom", `{"id":"42","email":"a@example.com","verified":2}`, false},
		{"zoom", `{"id":"42","email":"a@example.com","verified":true}`, false},
		{"zoom", `{"id":"42","verified":1}`, false}, // nothing is
		{"gitlab", `{"id":42,"email":"a@example.com","confirmed_at":"2012-05-23T09:05:22Z"}`, true},
		{"gitlab", `{"id":42,"email":"a@example.com","confirmed_at":null}`, false},
		{"gitlab", `{"id":42,"email":"a@example.com","confirmed_at":""}`, false},
		{"gitlab", `{"id":42,"email":"a@example.com"}`, false},
		{"discord", `{"id":"42","email":"a@example.com","verified":"yes"}`, false},
		{"facebook", `{"id":"42","email":"a@example.com","email_verified":true,"verified":true}`, false}, // it tells nothing of the kind
		{"microsoft", `{"id":"42","userPrincipalName":"a@example.com","email_verified":true}`, false},
		{"wordpress", `{"ID":42,"email":"a@example.com","verified":true,"email_verified":false}`, false},
		{"bitly", `{"login":"42","emails":[{"email":"a@example.com","is_verified":"yes"}]}`, false},
		{"paypalSandbox", `{"payer_id":"42","verified_account":true,"emails":[{"value":"a@example.com","primary":true}]}`, false},
		{"paypal", `{"payer_id":"42","verified_account":true,"emails":[{"value":"a@example.com","primary":true,"confirmed":false}]}`, false},
	} {
		p := open(t, Config{Provider: c.provider, ClientID: "cl1ent", ClientSecret: "s3cret"})
		serve(t, p, func(w http.ResponseWriter, a asked) {
			if a.form.Get("code") != "" {
				says(w, 200, usualToken)
			} else {
				says(w, 200, c.profile)
			}
		})
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		if err != nil || who.EmailVerified != c.want {
			t.Errorf("%s, %s: verified %t, %v", c.provider, c.profile, who.EmailVerified, err)
		}
	}
}

func TestAddressesAreChosenByWhatIsProven(t *testing.T) {
	for _, c := range []struct {
		name, provider, user, emails string
		want                         Profile
	}{
		{"primary", "github", `{"id":1,"email":"p@x"}`, `[{"email":"a@x","verified":true},{"email":"b@x","verified":true,"primary":true},{"email":"c@x","verified":true}]`,
			Profile{Subject: "1", Email: "b@x", EmailVerified: true}},
		{"last verified", "github", `{"id":1,"email":"p@x"}`, `[{"email":"a@x","verified":true},{"email":"b@x","primary":true},{"email":"c@x","verified":true}]`,
			Profile{Subject: "1", Email: "c@x", EmailVerified: true}},
		{"public", "github", `{"id":1,"email":"p@x"}`, `[{"email":"b@x","verified":"yes","primary":true}]`, Profile{Subject: "1", Email: "p@x"}},
		{"none", "github", `{"id":1,"email":null}`, `[]`, Profile{Subject: "1"}},
		{"none", "bitbucket", `{"uuid":"1"}`, `{"values":[{"email":"a@x","is_confirmed":false},"b@x",null]}`, Profile{Subject: "1"}},
		{"verified elsewhere", "podio", `{"user_id":1,"mail":"a@x","mails":[{"mail":"b@x","verified":true},{"mail":"a@x","verified":false}]}`, `{}`,
			Profile{Subject: "1", Email: "a@x"}},
		{"none", "wordpress", `{"ID":1,"email":"a@x","email_verified":true}`, ``, Profile{Subject: "1"}},
	} {
		p := open(t, Config{Provider: c.provider, ClientID: "cl1ent", ClientSecret: "s3cret"})
		serve(t, p, func(w http.ResponseWriter, a asked) {
			switch {
			case a.form.Get("code") != "":
				says(w, 200, usualToken)
			case strings.HasSuffix(a.url, "/emails"), strings.HasSuffix(a.url, "/profile"):
				says(w, 200, c.emails)
			default:
				says(w, 200, c.user)
			}
		})
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		who.Tokens = Tokens{}
		if diff := cmp.Diff(c.want, who); err != nil || diff != "" {
			t.Errorf("%s, %s: %v\n%s", c.provider, c.name, err, diff)
		}
	}
}

func TestErrorsOfAllShapes(t *testing.T) {
	const secretive = `,"error_description":"canary of ada@example.com","message":"c0de t0ken"}`
	for _, c := range []struct {
		status int
		body   string
		want   Failure
		said   string
	}{
		{400, `{"error":"invalid_grant"` + secretive, Failure{Kind: BadRequest, Status: 400, Code: "invalid_grant"}, "the provider refuses, status 400, invalid_grant"},
		{401, `{"error":"invalid_client"` + secretive, Failure{Kind: Unauthorized, Status: 401, Code: "invalid_client"}, "the provider refuses, status 401, invalid_client"},
		{403, `{"error":{"code":403,"status":"PERMISSION_DENIED","message":"canary"}}`, Failure{Status: 403, Code: "permission_denied"}, "the provider refuses, status 403, permission_denied"},
		{400, `{"error":{"type":"OAuthException","code":100,"message":"canary"}}`, Failure{Kind: BadRequest, Status: 400, Code: "oauthexception"}, "the provider refuses, status 400, oauthexception"},
		{400, `{"errors":[{"errorType":"canary","code":"expired_token","message":"canary"}]}`, Failure{Kind: BadRequest, Status: 400, Code: "expired_token"}, "the provider refuses, status 400, expired_token"},
		{400, `{"errors":{"email":"ada@example.com"}}`, Failure{Kind: BadRequest, Status: 400}, "the provider refuses, status 400"},
		{400, `{"message":"canary"}`, Failure{Kind: BadRequest, Status: 400}, "the provider refuses, status 400"},
		{400, `{"error":"Code c0de of ada@example.com"}`, Failure{Kind: BadRequest, Status: 400}, "the provider refuses, status 400"},
		{400, `{"error":"` + strings.Repeat("a", 65) + `"}`, Failure{Kind: BadRequest, Status: 400}, "the provider refuses, status 400"},
		{400, `{"error":7}`, Failure{Kind: BadRequest, Status: 400}, "the provider refuses, status 400"},
		{400, `error=bad_verification_code&error_description=canary`, Failure{Kind: BadRequest, Status: 400, Code: "bad_verification_code"}, "the provider refuses, status 400, bad_verification_code"},
		{404, `<html>canary</html>`, Failure{Status: 404}, "the provider refuses, status 404"},
		{429, ``, Failure{Status: 429}, "the provider refuses, status 429"},
		{500, `{"error":"server_error"` + secretive, Failure{Status: 500, Code: "server_error"}, "the provider has failed, status 500, server_error"},
		{503, `canary`, Failure{Status: 503}, "the provider has failed, status 503"},
		{200, `{"error":"bad_verification_code"` + secretive, Failure{Kind: BadRequest, Status: 200, Code: "bad_verification_code"}, "the provider refuses, status 200, bad_verification_code"},
	} {
		for name, atProfile := range map[string]bool{"token": false, "profile": true} {
			p := simple(t)
			serve(t, p, func(w http.ResponseWriter, a asked) {
				if atProfile && strings.HasSuffix(a.url, "/t") {
					says(w, 200, usualToken)
					return
				}
				says(w, c.status, c.body)
			})
			_, err := p.Exchange(t.Context(), "c0de", attempt, nil)
			failure, _ := errors.AsType[*Failure](err)
			if failure == nil {
				t.Fatalf("%s, %s: %v", name, c.body, err)
			}
			got := Failure{Kind: failure.Kind, Status: failure.Status, Code: failure.Code}
			if got != c.want || err.Error() != "sign in by plain: "+c.said {
				t.Errorf("%s, %d %s: got %+v, %v", name, c.status, c.body, got, err)
			}
			leaks(t, err)
			if _, err := p.Refresh(t.Context(), "r3fresh"); !atProfile && err == nil {
				t.Errorf("refreshed by %s", c.body)
			} else {
				leaks(t, err)
			}
		}
	}
}

func TestAnswersThatAreNoUse(t *testing.T) {
	packed := &bytes.Buffer{}
	gz := gzip.NewWriter(packed)
	gz.Write(bytes.Repeat([]byte(" "), 8<<20))
	gz.Close()
	for _, c := range []struct {
		name, body, token, profile string
	}{
		{"HTML", `<!doctype html><title>canary</title>`, "there is no token in it", "it is no object in JSON, status 200"},
		{"nothing", ``, "there is no token in it", "it is no object in JSON, status 200"},
		{"null", `null`, "there is no token in it", "it is no object in JSON, status 200"},
		{"a list", `["t0ken"]`, "there is no token in it", "it is no object in JSON, status 200"},
		{"a half", `{"access_token":"t0ken","id":"4`, "there is no token in it", "it is no object in JSON, status 200"},
		{"two", `{"id":"42"}{"id":"43"}`, "there is no token in it", "it is no object in JSON, status 200"},
		{"an object of nothing", `{}`, "there is no token in it", "it does not tell who it is about"},
		{"no subject", `{"email":"ada@example.com"}`, "there is no token in it", "it does not tell who it is about"},
		{"an empty subject", `{"id":""}`, "there is no token in it", "it does not tell who it is about"},
		{"an object for a subject", `{"id":{"a":1}}`, "there is no token in it", "it does not tell who it is about"},
		{"half of a subject", `{"id":1.5}`, "there is no token in it", "it does not tell who it is about"},
		{"a long subject", `{"id":"` + strings.Repeat("4", 256) + `"}`, "there is no token in it", "it does not tell who it is about"},
		{"a subject of two lines", `{"id":"4\n2"}`, "there is no token in it", "it does not tell who it is about"},
		{"5 MB", `{"id":"42","bio":"` + strings.Repeat("canary", 5<<20/6) + `"}`, "more than 1048576 bytes, status 200", "more than 1048576 bytes, status 200"},
		{"a bomb", packed.String(), "there is no token in it", "it is no object in JSON, status 200"},
	} {
		for atProfile, want := range map[bool]string{false: c.token, true: c.profile} {
			p := simple(t)
			serve(t, p, func(w http.ResponseWriter, a asked) {
				if atProfile && strings.HasSuffix(a.url, "/t") {
					says(w, 200, usualToken)
					return
				}
				if c.name == "a bomb" {
					w.Header().Set("Content-Encoding", "gzip")
				}
				says(w, 200, c.body)
			})
			_, err := p.Exchange(t.Context(), "c0de", attempt, nil)
			if err == nil || err.Error() != "sign in by plain: the answer is no use: "+want {
				t.Errorf("%s: got %v, want %s", c.name, err, want)
			}
			kind := Failed
			if strings.HasSuffix(want, "who it is about") {
				kind = Nobody
			}
			if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != kind {
				t.Errorf("%s: %v", c.name, err)
			}
			leaks(t, err)
		}
	}
}

func TestARedirectIsFollowedOnTheSameHostOnly(t *testing.T) {
	for _, c := range []struct {
		name, at, to string
		hops         int
		want         string
	}{
		{"the same host", "/u", "/v", 1, ""},
		{"three times", "/u", "/v", 3, ""},
		{"four times", "/u", "/v", 4, "status 302"},
		{"without end", "/u", "/u", 1 << 30, "status 302"},
		{"another host", "/u", "https://evil.test/v", 1, "status 302"},
		{"a host below", "/u", "https://x.p.example.com/v", 1, "status 302"},
		{"another port", "/u", "https://p.example.com:8443/v", 1, "status 302"},
		{"no TLS", "/u", "http://p.example.com/v", 1, "status 302"},
		{"a file", "/u", "file:///etc/passwd", 1, "status 302"},
		{"tokens", "/t", "/v", 1, "status 302"},
		{"tokens elsewhere", "/t", "https://evil.test/v", 1, "status 302"},
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			var left atomic.Int64
			left.Store(int64(c.hops))
			p := simple(t)
			s := serve(t, p, func(w http.ResponseWriter, a asked) {
				asksAt := strings.HasSuffix(a.url, c.at) || strings.HasSuffix(a.url, "/v")
				switch {
				case asksAt && left.Add(-1) >= 0:
					w.Header().Set("Location", c.to)
					w.WriteHeader(status)
				case a.method == http.MethodPost:
					says(w, 200, usualToken)
				default:
					says(w, 200, `{"id":"42"}`)
				}
			})
			_, err := p.Exchange(t.Context(), "c0de", attempt, nil)
			want := strings.Replace(c.want, "302", fmt.Sprint(status), 1)
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasSuffix(err.Error(), want)) {
				t.Errorf("%s, %d: %v", c.name, status, err)
			}
			leaks(t, err)
			for i, a := range s.seen {
				if strings.Contains(a.url, "evil") || strings.Contains(a.url, "x.p") || strings.Contains(a.url, ":8443") || strings.HasPrefix(a.url, "http:") {
					t.Errorf("%s, %d: it asked %s", c.name, status, a.url)
				}
				if i > 4 {
					t.Errorf("%s, %d: it asked %d times", c.name, status, i)
				}
			}
		}
	}
}

// hangs answers nothing more until the other side has gone.
func hangs(before string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if before != "" {
			says(w, 200, before)
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}
}

// drips sends a byte a second.
func drips(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	for tick := time.NewTicker(time.Second); ; {
		if _, err := io.WriteString(w, " "); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func TestASignInEndsAfterTenSeconds(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": hangs(""), "half of one": hangs(`{"access_token":"t0ken"`), "a slow one": drips,
		"a slow one after a quick one": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/t" {
				time.Sleep(6 * time.Second) // of a bubble
				says(w, 200, usualToken)
				return
			}
			drips(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, answer, func(t *testing.T, p *Provider) {
				var err error
				if d := peertest.Took(func() { _, err = p.Exchange(t.Context(), "c0de", attempt, nil) }); d != 10*time.Second {
					t.Errorf("it took %s", d)
				}
				if err == nil || err.Error() != "sign in by gh: no answer within 10s" {
					t.Error(err)
				}
				if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != Failed {
					t.Error(err)
				}
			})
		})
	}
}

func TestTheCallersDeadlineIsKept(t *testing.T) {
	inBubble(t, hangs(""), func(t *testing.T, p *Provider) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var err error
		if d := peertest.Took(func() { _, err = p.Refresh(ctx, "r3fresh") }); d != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %s", err, d)
		}
	})
}

func TestTokensInAQueryString(t *testing.T) {
	for expires, want := range map[string]time.Time{
		"3600": now.Add(time.Hour), "99999999999999": now.Add((1<<31 - 1) * time.Second), "-1": {}, "soon": {}, "": {},
	} {
		p := simple(t)
		serve(t, p, func(w http.ResponseWriter, _ asked) {
			w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			io.WriteString(w, "access_token=t0ken&refresh_token=r3fresh2&token_type=bearer&expires_in="+expires)
		})
		tokens, err := p.Refresh(t.Context(), "r3fresh")
		if want := (Tokens{"t0ken", "r3fresh2", want}); err != nil || tokens != want {
			t.Errorf("%q: %+v, %v", expires, tokens, err)
		}
	}
}

func TestATokenThatNobodyCanKeepIsNone(t *testing.T) {
	for name, token := range map[string]string{
		"a NUL": `"r\u0000r"`, "a line break": `"r\nr"`, "an escape": `"\u001b[2J"`, "8193 bytes": `"` + strings.Repeat("r", 8193) + `"`,
	} {
		for _, member := range []string{"access_token", "refresh_token"} {
			p := simple(t)
			serve(t, p, func(w http.ResponseWriter, _ asked) {
				says(w, 200, `{"id":"42","access_token":"t0ken","`+member+`":`+token+`}`)
			})
			_, exchanged := p.Exchange(t.Context(), "c0de", attempt, nil)
			_, refreshed := p.Refresh(t.Context(), "r3fresh")
			for _, err := range []error{exchanged, refreshed} {
				if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != Failed || !strings.HasSuffix(err.Error(), "a token in it is too long, or no text") {
					t.Errorf("%s, %s: %v", name, member, err)
				}
			}
		}
	}
	p := simple(t)
	serve(t, p, func(w http.ResponseWriter, _ asked) {
		w.Header().Set("Content-Type", "application/x-www-form-urlencoded")
		io.WriteString(w, "access_token=%ff&token_type=bearer")
	})
	if _, err := p.Refresh(t.Context(), "r3fresh"); err == nil {
		t.Error("a token that is not UTF-8 was taken")
	}
}

// Whoever signs in can write what they like into a profile. It costs them their name or address, and lets them in.
func TestWhatIsKeptOfAProfileIsPlainText(t *testing.T) {
	for _, c := range []struct{ name, profile, email, called string }{
		{"as it should be", `"email":"ada@example.com","name":"Ada Lovelace"`, "ada@example.com", "Ada Lovelace"},
		{"control characters", `"email":"a\u0000da@example.com","name":"Ada\u0000\r\nLove\u001blace"`, "", "Ada Love lace"},
		{"too long", `"email":"` + strings.Repeat("a", 310) + `@example.com","name":"` + strings.Repeat("A", 1025) + `"`, "", ""},
	} {
		p := simple(t)
		serve(t, p, profiled(func(w http.ResponseWriter, _ asked) {
			says(w, 200, `{"id":"42","email_verified":true,`+c.profile+`}`)
		}))
		who, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		if err != nil || who.Email != c.email || who.EmailVerified != (c.email != "") || who.Name != c.called {
			t.Errorf("%s: %+v, %v", c.name, who, err)
		}
	}
}

func TestTheTimeTokensLast(t *testing.T) {
	for in, want := range map[string]time.Time{
		`3600`: now.Add(time.Hour), `"3600"`: now.Add(time.Hour), `0`: {}, `-1`: {}, `null`: {}, `99999999999`: now.Add((1<<31 - 1) * time.Second),
	} {
		p := simple(t)
		serve(t, p, func(w http.ResponseWriter, _ asked) {
			says(w, 200, `{"access_token":"t0ken","expires_in":`+in+`}`)
		})
		tokens, err := p.Refresh(t.Context(), "r3fresh")
		if err != nil || !tokens.Expires.Equal(want) {
			t.Errorf("%s: %+v, %v", in, tokens, err)
		}
	}
}

func TestTheNameThatAppleSendsByTheBrowser(t *testing.T) {
	for user, want := range map[string]string{
		`{"name":{"firstName":"Ada","lastName":"Lovelace"}}`: "Ada Lovelace",
		`{"name":{"firstName":"Ada"}}`:                       "Ada",
		`{"name":{"firstName":["Ada"]}}`:                     "",
		`{"name":"Ada"}`:                                     "",
		`Ada`:                                                "",
		``:                                                   "",
		`{"name":{"firstName":"` + strings.Repeat("A", 5000) + `"}}`: "",
	} {
		p := simple(t)
		serve(t, p, profiled(func(w http.ResponseWriter, _ asked) { says(w, 200, `{"id":"42"}`) }))
		who, err := p.Exchange(t.Context(), "c0de", attempt, url.Values{"user": {user}})
		if err != nil || who.Name != want {
			t.Errorf("%s: %q, %v", user, who.Name, err)
		}
	}
}
