package api

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// confusing are URLs that parsers read differently, or that people and simple checks take for ones of the platform.
// allowedPages and refusedPages hold the plainer cases.
var confusing = []string{
	// Users: what stands in front of the last @ is none of the host.
	"https://app.mail.test:443@evil.test/", "https://localhost:80@evil.test/in", "http://localhost:80@evil.test", "https://@app.mail.test", "https://:@app.mail.test",
	"https://:x@app.mail.test", "https://app.mail.test@evil.test@app.mail.test", "https://app.mail.test%40evil.test", "https://app.mail.test&@evil.test",
	"https://app.mail.test;@evil.test", "https://app.mail.test:@evil.test", "https://app.mail.test%3a80@evil.test", "https://[::1]@evil.test", "https://evil.test:80@[::1]",
	"myapp://user:pass@in", "exp://app.mail.test@evil.test", "chrome-extension://app.mail.test@evil", "https://app.mail.test %20@evil.test",
	"https://evil.test@a.wild.test", "https://evil@.wild.test", "https://evil.test:80@a.wild.test",

	// Backslashes are slashes to browsers, where the scheme is one of the web.
	`https:\\evil.test`, `https:/\evil.test`, `https:\/evil.test`, `https://\evil.test`, `https:///\evil.test`, `\/evil.test`, `/\evil.test`, `/\/evil.test`,
	`https://evil.test\?.app.mail.test`, `https://evil.test\#@app.mail.test`, `https://app.mail.test:80\@evil.test`, `https://app.mail.test/\evil.test`, `https://app.mail.test?\`,
	`https://evil.test%5c@app.mail.test`, `https://evil.test%5c.wild.test`, `myapp:\\in`, `myapp://in\@evil`, `https://app.mail.test#\`,
	`https://evil.test\.wild.test`, `https://evil.test\@a.wild.test`, `https://evil.test\a.wild.test`,

	// Slashes: none, one, too many, escaped, or of another alphabet.
	"//evil.test", "///evil.test", "////evil.test", "/%2f/evil.test", "%2f%2fevil.test", "//evil.test/%2e%2e", "https:////evil.test", "https:///evil.test/app.mail.test", "https:evil.test",
	"https:/evil.test", "http:localhost", "https:%2f%2fapp.mail.test", "https%3a//app.mail.test", "https%3A%2F%2Fapp.mail.test", "https://evil.test%2f.wild.test",
	"https://evil.test%2f@app.mail.test",
	"https://evil.test%3f.wild.test", "https://evil.test%23.wild.test", "https://evil.test%252f@app.mail.test", "https://evil.test%25%32%66.wild.test", "https://%2fapp.mail.test",
	"https://%2f%2fevil.test", "https://evil.test\u2215.wild.test", "https://evil.test\u2044.wild.test", "https://evil.test\uff0f.wild.test", "https://evil.test\uff1f.wild.test",
	"https://evil.test\uff03.wild.test", "https://evil.test\uff3c.wild.test", "https://evil.test\u29f8.wild.test", "https:\uff0f\uff0fapp.mail.test", "https\uff1a//app.mail.test",
	"https://app.mail.test\uff1a80", "https://app.mail.test\uff20evil.test", "https://evil.test\u2100.wild.test", "https://evil.test\u2048@app.mail.test",

	// Tabs and line ends are dropped by browsers wherever they stand; other controls and spaces only at the ends.
	"h\tttps://app.mail.test", "https:\t//app.mail.test", "https:/\n/app.mail.test", "https://\tapp.mail.test", "https://app.mail\n.test", "https://app.mail.test\r",
	"https://app.mail.test/\t", "/\t/evil.test",
	"\t//evil.test", "/\r\n/evil.test", "java\nscript://app.mail.test", "\x00https://app.mail.test", "\x1fhttps://app.mail.test", "https://app.mail.test\x1f",
	"https://app.mail.test\x00.wild.test",
	"https://evil.test\x00.wild.test", "https://evil.test\x0b.wild.test", "https://evil.test\x7f.wild.test", "https://app.mail.test/\x00", "https://app.mail.test/\x7f",
	"https://app.mail.test/\x1b[2J",
	"https://evil.test%00.wild.test", "https://evil.test%09.wild.test", "https://evil.test%0d%0a.wild.test", "https://evil.test .wild.test", "https://evil.test%20.wild.test", "myapp\t://in",
	"myapp://in\r\n",
	"\ufeffhttps://app.mail.test", "\u00a0https://app.mail.test", "\u2028https://app.mail.test", "https://app.mail.test\u2029", "https://app.mail.test/\u0085",
	"https://app.mail.test/\u202egnp.exe",

	// Schemes that run or show what they hold, and schemes that wrap others.
	"javascript:alert(1)//://app.mail.test", "JAVASCRIPT:alert(1)", "javascript:https://app.mail.test", "javascript&colon;//app.mail.test", "java%73cript://app.mail.test",
	"\x01javascript:alert(1)", "data:text/html;base64,PHNjcmlwdD4=", "data:,https://app.mail.test", "DATA://app.mail.test/,x", "data://app.mail.test/,<script>",
	"vbscript:msgbox(1)", "VbScript://app.mail.test/%0amsgbox(1)", "blob:https://app.mail.test/0b6ab5a0", "blob:null/0b6ab5a0", "BLOB://app.mail.test",
	"filesystem:https://app.mail.test/temporary/x",
	"view-source:https://app.mail.test", "jar:https://app.mail.test!/x", "feed:https://app.mail.test", "feed://app.mail.test", "about:blank", "about:srcdoc", "mailto:ada@app.mail.test",
	"tel:112",
	"intent:#Intent;scheme=https;end", "intent://app.mail.test#Intent;scheme=javascript;end", "ms-appx://app.mail.test", "resource://app.mail.test", "chrome://app.mail.test",
	"wss://app.mail.test",
	"gopher://app.mail.test", "ldap://app.mail.test", "file:///app.mail.test", "file:app.mail.test", "urn:https://app.mail.test", "url:https://app.mail.test", "https:https://app.mail.test",
	"https://https://app.mail.test", "http:https://app.mail.test", "https+javascript://app.mail.test", "javascript.https://app.mail.test", "-https://app.mail.test", "1https://app.mail.test",
	"://app.mail.test", ":https://app.mail.test", "httpss://app.mail.test", "http s://app.mail.test", "https;//app.mail.test", "https//app.mail.test",

	// Schemes that only look like one of the project's.
	"myapp", "myapp:", "myapp:/in", "myapp:///\t", "myapp.evil://in", "evil.myapp://in", "myapp+x://in", "xmyapp://in", "myapp2://in", "exps://in", "exp:in", "appwrite-callback-://in",
	"appwrite-callback://in",
	"appwrite-callback-shop.evil://in", "appwrite-callback-shopp://in", "appwrite-callback-demo:///..//evil", "appwrite-callback-shop:/..//evil", "appwrite-callback-shop:evil",
	"appwrite-callback-*://in",
	"myapp://%65vil", "myapp://in%2f", "myapp://[::1]", "myapp://a:b:80", "myapp://in:port", "myapp://in:123456", "myapp://in,evil", "myapp://*", "myapp://<in>", "javascript:myapp://in",

	// Letters that fold, compose or map to those of the platform: the Kelvin sign to k, the long s to s, circles, widths.
	"appwrite-callbac\u212a-shop://in", "appwrite-callback-\u017fhop://in", "http\u017f://app.mail.test", "https://app.mail.te\u017ft", "https://\u212a.wild.test",
	"https://app.ma\u0131l.test", "https://app.ma\u0130l.test",
	"https://app.mail.te\uff53t", "https://\uff41pp.mail.test", "https://app.mail.te\ufb06", "https://app.mai\u2113.test", "https://\u24d0.wild.test", "https://app.mail.t\u0435st",
	"https://l\u043ecalhost",
	"https://localho\u017ft", "https://app.m\u00adail.test", "https://app\u200b.mail.test", "https://app\u200d.mail.test", "https://a\u0301pp.mail.test", "https://evil\u3002test",
	"https://evil.test\uff0ewild.test",
	"https://app\uff0email\uff0etest", "https://app\uff61mail\uff61test", "https://app.mail\u3002test", "https://app.mail.test\u3002", "https://app.mail.test\u2024",
	"https://a\u2025wild.test", "https://ma\u00df.wild.test",
	"https://xn--pp-7cd.mail.test", "https://app.mail.xn--test", "https://b\u00fccher.wild.test", "https://b%c3%bccher.wild.test", "https://app.mail.test\xc0\xaf",
	"https://evil.test\xc0\xaf.wild.test", "https://app.mail.test\xed\xa0\x80",

	// Dots: trailing, leading, doubled, escaped; labels that are empty.
	"https://app..mail.test", "https://..app.mail.test", "https://.app.mail.test", "https://app.mail.test./in", "https://app.mail.test.:443", "https://a.wild.test.", "https://..wild.test",
	"https://.", "https://..",
	"https://app.mail.test%2e", "https://app.mail.test%2eevil.test", "https://evil%2ewild.test", "https://localhost.", "https://api.mail.test.", "https://api.mail.test.evil.test",
	"https://localhost.evil.test",
	"https://evil.test.wild.test.evil.test", "https://wild.test.", "https://*.wild.test", "https://*", "https://-.wild.test", "https://a-.wild.test-", "https://app-mail.test",
	"https://mail.test", "https://test",

	// Ports.
	"https://app.mail.test:/in", "https://app.mail.test:443:80", "https://app.mail.test:80evil", "https://app.mail.test:80.evil.test", "https://app.mail.test:+80", "https://app.mail.test: 80",
	"https://app.mail.test:0x50",
	"https://app.mail.test:000000443", "https://app.mail.test:%38%30", "https://app.mail.test:\u0668\u0660", "https://app.mail.test::80", "https://:80", "https://:443/app.mail.test",
	"https://evil.test:80#@app.mail.test",
	"https://evil.test:443?app.mail.test", "https://app.mail.test:4 43", "https://app.mail.test:443%2f@evil.test",

	// Addresses. ::1 is a platform in that spelling only, 127.0.0.1 is none.
	"http://127.1", "http://0x7f.0.0.1", "http://0x7f000001", "http://017700000001", "http://0177.0.0.1", "http://127.0.1", "http://127.0.0.1.", "http://00000127.0.0.1", "http://0",
	"http://0.0.0.0", "http://4294967295",
	"http://0xA9FEA9FE", "http://169.254.169.254", "http://\uff11\uff12\uff17.0.0.1", "http://\u2460\u2461\u2466.0.0.1", "http://127%2e0%2e0%2e1", "http://0X7F.1", "http://0x",
	"http://1.2.3.4.5", "http://256.256.256.256",
	"http://[::]", "http://[0:0:0:0:0:0:0:1]", "http://[::0001]", "http://[0::1]", "http://[::0.0.0.1]", "http://[::127.0.0.1]", "http://[::1%eth0]", "http://[::1%25]",
	"http://[fe80::1%25lo]:80", "http://[fe80::1%25@app.mail.test]",
	"http://[::1]:80:80", "http://[::1].", "http://[::1].wild.test", "http://[::1]:", "http://[[::1]]", "http://[]", "http://[", "http://]", "http://::1", "http://::1:80", "http://[::1]]",
	"http://[v1.app.mail.test]",
	"http://[::1]@", "http://[::1]:@evil.test", "http://[:::1]", "http://[::1/]", "http://%5b::1%5d", "http://[::ffff:7f00:1]", "http://[2001:db8::1]",

	// Twice escaped, and marks a host may not hold.
	"https://app%252email.test", "https://%25%36%31pp.mail.test", "https://evil.test%252523.wild.test", "https://app.mail.test%", "https://%.wild.test", "https://%zz.wild.test",
	"https://%u0061pp.mail.test",
	"https://evil.test&.wild.test", "https://evil.test;.wild.test", "https://evil.test,.wild.test", "https://evil.test'.wild.test", "https://evil.test`.wild.test",
	"https://evil.test|.wild.test", "https://evil.test^.wild.test",
	"https://evil.test(.wild.test", "https://evil.test!.wild.test", "https://evil.test$.wild.test", "https://evil.test~.wild.test", "https://evil.test+.wild.test",
	"https://evil.test=.wild.test", "https://evil.test*.wild.test",
	"https://<evil.test>.wild.test", `https://"evil.test".wild.test`, "https://{evil}.wild.test", "https://${evil}.wild.test", "https://app.mail.test/|", "https://app.mail.test/'><script>",
	"https://app.mail.test/\u00e9",

	// Very long.
	"https://" + strings.Repeat("a.", 2000) + "wild.test", "https://app.mail.test/?" + strings.Repeat("%2f", 700), "https://" + strings.Repeat("x", 4000) + "@app.mail.test",
	"https://app.mail.test" + strings.Repeat(".", 300),
	strings.Repeat("/", 3000) + "evil.test", "myapp://" + strings.Repeat("x", 3000), strings.Repeat(" ", 100) + "https://app.mail.test", strings.Repeat("a", 3000) + "://app.mail.test",
}

// oddButAllowed are URLs that look worse than they are.
var oddButAllowed = []string{
	// Behind the host nothing changes it; what the page makes of its path and query is its own business.
	"https://app.mail.test//evil.test", "https://app.mail.test/%2f%2fevil.test", "https://app.mail.test/%5cevil.test", "https://app.mail.test/..//evil.test",
	"https://app.mail.test/.//@evil.test", "https://app.mail.test/https://evil.test",
	"https://app.mail.test/?next=javascript:alert(1)", "https://app.mail.test?@evil.test", "https://app.mail.test/#//evil.test", "https://app.mail.test/;@evil.test:80",
	"https://app.mail.test/%00%0d%0a", "https://app.mail.test/%zz%",
	"https://app.mail.test/in?a[]=1&a[]=2&b=%252f", "https://app.mail.test/#/in?x=1", "https://app.mail.test?#?", "https://app.mail.test##",

	// An app opens whatever follows its scheme; a browser goes to no host for it.
	"myapp:////evil.test", "myapp:///..//evil", "appwrite-callback-shop:///..//evil", "APPWRITE-CALLBACK-SHOP://evil", "myapp://evil.test/in", "myapp://?x", "myapp://#x", "exp://evil.test",
	"Exp://127.0.0.1:8081",

	// Names below a wildcard, however strange, belong to whom the names above belong.
	"https://a..wild.test", "https://_dmarc.wild.test", "https://a--b.wild.test", "https://evil.test.wild.test", "https://127.0.0.1.wild.test", "https://0x7f.wild.test",
	"https://xn--bcher-kva.wild.test", "https://A.WILD.TEST/",
	"https://app.mail.test.wild.test", "https://" + strings.Repeat("a.", 100) + "wild.test",

	// Every port of an allowed host is one of its. Beyond 65535, and for names that decode to nothing, browsers go nowhere.
	"https://app.mail.test:0/", "https://app.mail.test:00443", "http://app.mail.test:443", "http://[::1]", "https://[::1]:65535/?x", "https://app.mail.test:65536", "https://xn--.wild.test",
	"myapp://:80",

	"hTtPs://ApI.mAiL.tEsT/x", "moz-extension://app.mail.test/x", "Safari-Web-Extension://App.Mail.Test", "ms-browser-extension://localhost/x.html",
	"https://app.mail.test/" + strings.Repeat("x", 2000),
}

func TestRedirectsThatConfuseParsersAreRefused(t *testing.T) {
	a, p := redirecting()
	for _, bad := range confusing {
		if a.redirectProblem(p, bad) == "" {
			t.Errorf("%q is allowed", bad)
		}
	}
	for _, good := range oddButAllowed {
		if problem := a.redirectProblem(p, good); problem != "" {
			t.Errorf("%q: %s", good, problem)
		}
	}
}

// place is where a browser goes for a URL. It goes nowhere for what it cannot read.
type place struct {
	Nowhere                                        bool
	Protocol, Hostname, Username, Password, Search string
}

// foreign says that the project of redirecting has no page or app there. It repeats the rule for what a browser made of
// the URL, and shares no code with redirectProblem. Hosts keep their case where the scheme is not one of the web.
func (at place) foreign() bool {
	if at.Username+at.Password != "" {
		return true
	}
	switch at.Protocol {
	case "myapp:", "exp:", "appwrite-callback-shop:":
		return false
	case "http:", "https:", "chrome-extension:", "moz-extension:", "safari-web-extension:", "ms-browser-extension:":
		host := strings.ToLower(at.Hostname)
		return !slices.Contains([]string{"app.mail.test", "localhost", "[::1]", "api.mail.test"}, host) && !strings.HasSuffix(host, ".wild.test")
	}
	return true
}

// browse has Node, whose URL is the one of the browsers, read URLs on a page of another host.
func browse(t *testing.T, urls []string) []place {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is missing, and what browsers make of a URL is asked of it; on Debian: apt-get install nodejs")
	}
	const script = `
let lines = ""
process.stdin.setEncoding("utf8").on("data", some => lines += some).on("end", () => {
  for (const line of lines.trimEnd().split("\n")) {
    let at = {nowhere: true}
    try {
      const {protocol, hostname, username, password, search} = new URL(JSON.parse(line), "https://acta.example/")
      at = {protocol, hostname, username, password, search}
    } catch (e) {
      if (e.code !== "ERR_INVALID_URL") throw e
    }
    process.stdout.write(JSON.stringify(at) + "\n")
  }
})`
	var questions, complaints bytes.Buffer
	ask := json.NewEncoder(&questions)
	for _, u := range urls {
		if err := ask.Encode(u); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "node", "-e", script)
	c.Stdin, c.Stderr = &questions, &complaints
	out, err := c.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, complaints.Bytes())
	}
	places := make([]place, 0, len(urls))
	for answers := json.NewDecoder(bytes.NewReader(out)); answers.More(); {
		var at place
		if err := answers.Decode(&at); err != nil {
			t.Fatal(err)
		}
		places = append(places, at)
	}
	if len(places) != len(urls) {
		t.Fatalf("node answered %d of %d questions", len(places), len(urls))
	}
	return places
}

// fragments are what makes parsers disagree.
var fragments = []string{
	"@", ":@", "@evil.test", "user:pass@", "@app.mail.test", ":80@", ":", "::", ":80", ":443", ":0", ":99999", ":65536", "/", "//", "///", "/..//", "/./", `\`, `\\`, `/\`, `\@`, "?", "#",
	"?@", "#@", "&", ";", ",", "=", "%", "%2f", "%2F%2f",
	"%5c", "%40", "%3a", "%00", "%09", "%0a", "%0d%0a", "%20", "%23", "%25", "%252f", "%2e", "%e3%80%82", "%ef%bc%8f", "\t", "\n", "\r", "\r\n", "\x00", "\x01", "\x0b", "\x1f", "\x7f", " ",
	"\u00a0", "\ufeff", "\u2028", "\u200b", "\u200d",
	"\u00ad", "\u202e", "\u3002", "\uff0e", "\uff61", "\u2024", "\uff0f", "\uff3c", "\uff20", "\uff1a", "\uff1f", "\uff03", "\u2215", "\u2044", "\u2100", "\u212a", "\u017f", "\u0131",
	"\u0130", "\u00df", "\u0430", "\u24d0", "\ufb06", "\u0301",
	"\xff", "\xc0\xaf", "\xed\xa0\x80", ".", "..", ".evil.test", "evil.test", "evil", ".wild.test", "app.mail.test", "localhost", "xn--", "xn--bcher-kva", "_", "-", "--", "*", "~", "!", "$",
	"'", "(", "+", "|", "^", "`", "<", ">", `"`, "{", "}",
	"[", "]", "[::1]", "[::1", "::1]", "%eth0", "%25eth0", "127.0.0.1", "0x7f.1", "2130706433", "017700000001", "0", "0x", ".1", "http:", "https:", "https://", "https:/", `https:\\`,
	"javascript:", "javascript://", "data:", "data:text/html,", "vbscript:",
	"blob:", "file:", "ftp://", "ws:", "view-source:", "about:", "intent:", "myapp:", "myapp://", "exp://", "appwrite-callback-shop:", "appwrite-callback-", "chrome-extension://",
	"moz-extension:", "K", "S", "A", "e", "x",
}

// mutation is a URL with a fragment, or a few, put into it or in the place of some of it, mostly near the host.
func mutation(r *rand.Rand, seed string) string {
	for more := true; more; more = r.IntN(3) == 0 {
		end := len(seed)
		if r.IntN(2) == 0 {
			end = min(end, 32)
		}
		from := r.IntN(end + 1)
		to := from
		if r.IntN(2) == 0 {
			to = min(len(seed), from+1+r.IntN(4))
		}
		fragment := fragments[r.IntN(len(fragments))]
		if r.IntN(12) == 0 {
			fragment = ""
		}
		seed = seed[:from] + fragment + seed[to:]
	}
	return seed
}

// A browser is asked about everything, for what it says of the refused ones shows that there was something to refuse;
// and about each that passed twice: as it came, and as it stands in a letter.
func TestWhateverPassesLeadsABrowserToThePlatform(t *testing.T) {
	good, bad := slices.Concat(allowedPages, oddButAllowed), slices.Concat(refusedPages, confusing)
	corpus := slices.Concat(good, bad)
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		corpus = append(corpus, mutation(r, good[r.IntN(len(good))]), mutation(r, bad[r.IntN(len(bad))]))
	}
	slices.Sort(corpus)
	corpus = slices.Compact(corpus)

	a, p := redirecting()
	var passed, sent, refused []string
	for _, s := range corpus {
		switch {
		case a.redirectProblem(p, s) != "":
			refused = append(refused, s)
		case !utf8.ValidString(s):
			t.Errorf("%q is allowed, and no text", s)
		default:
			passed, sent = append(passed, s), append(sent, link(s, [2]string{"userId", "ada"}, [2]string{"secret", "s3cret"}))
		}
	}
	places := browse(t, slices.Concat(passed, sent, refused))
	led, nowhere, averted := 0, 0, 0
	for i, s := range slices.Concat(passed, sent) {
		switch at := places[i]; {
		case at.Nowhere:
			nowhere++
		case at.foreign():
			t.Errorf("%q is allowed, and leads a browser to %+v", s, at)
		case i >= len(passed) && !strings.HasSuffix(at.Search, "userId=ada&secret=s3cret"):
			t.Errorf("%q: the page is told %q", s, at.Search)
		case i < len(passed):
			led++
		}
	}
	for _, at := range places[2*len(passed):] {
		if !at.Nowhere && at.foreign() {
			averted++
		}
	}
	t.Logf("of %d URLs %d passed, %d of them to the platform (%d readings led nowhere); %d were refused, %d of them led elsewhere", len(corpus), len(passed), led, nowhere, len(refused), averted)
	if led < 200 || averted < 200 {
		t.Error("too few led anywhere for this to show anything")
	}
}
