package useragent

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	chromeOnWindows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
	safariOnIPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1"
	chromeOnSamsung = "Mozilla/5.0 (Linux; Android 13; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36"
)

func TestParse(t *testing.T) {
	browser := func(code, name, version, engine, engineVersion string) Client {
		return Client{ClientType: "browser", ClientCode: code, ClientName: name, ClientVersion: version, ClientEngine: engine, ClientEngineVersion: engineVersion}
	}
	library := func(name, version string) Client {
		return Client{ClientType: "library", ClientName: name, ClientVersion: version}
	}
	on := func(c Client, code, name, version string, device ...string) Client {
		c.OSCode, c.OSName, c.OSVersion = code, name, version
		for i, field := range []*string{&c.DeviceName, &c.DeviceBrand, &c.DeviceModel}[:len(device)] {
			*field = device[i]
		}
		return c
	}
	chrome := browser("CH", "Chrome", "120.0", "Blink", "120.0")
	mobileChrome := browser("CM", "Chrome Mobile", "120.0", "Blink", "120.0")
	mobileSafari := browser("MF", "Mobile Safari", "17.1", "WebKit", "605.1")

	for name, c := range map[string]struct {
		ua   string
		want Client
	}{
		// The answers of the reference.
		"Chrome 70 on Windows 10": {
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.77 Safari/537.36",
			on(browser("CH", "Chrome", "70.0", "Blink", "70.0"), "WIN", "Windows", "10", "desktop")},
		"Chrome on Windows": {chromeOnWindows, on(chrome, "WIN", "Windows", "10", "desktop")},
		"Safari on an iPhone": {safariOnIPhone,
			on(mobileSafari, "IOS", "iOS", "17.1", "smartphone", "Apple", "iPhone")},
		"Chrome on a Samsung": {chromeOnSamsung,
			on(mobileChrome, "AND", "Android", "13", "smartphone", "Samsung", "Galaxy S23 Ultra")},
		"curl":   {"curl/8.5.0", library("curl", "8.5")},
		"OkHttp": {"okhttp/4.12.0", on(library("OkHttp", "4.12"), "AND", "Android", "")},
		"a forwarded Chrome 114 on a phone": {
			"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Mobile Safari/537.36",
			on(browser("CM", "Chrome Mobile", "114.0", "Blink", "114.0"), "AND", "Android", "10", "smartphone")},

		// Browsers on desktops.
		"Firefox on Linux": {
			"Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
			on(browser("FF", "Firefox", "121.0", "Gecko", "121.0"), "LIN", "GNU/Linux", "", "desktop")},
		"Firefox on Ubuntu": {
			"Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
			on(browser("FF", "Firefox", "115.0", "Gecko", "109.0"), "UBT", "Ubuntu", "", "desktop")},
		"Edge on Windows": {
			chromeOnWindows + " Edg/120.0.2210.91",
			on(browser("PS", "Microsoft Edge", "120.0", "Blink", "120.0"), "WIN", "Windows", "10", "desktop")},
		"the first Edge": {
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/70.0.3538.102 Safari/537.36 Edge/18.17763",
			on(browser("PS", "Microsoft Edge", "18.17763", "Edge", "18.17763"), "WIN", "Windows", "10", "desktop")},
		"Internet Explorer 11 on Windows 7": {
			"Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
			on(browser("IE", "Internet Explorer", "11.0", "Trident", "7.0"), "WIN", "Windows", "7", "desktop")},
		"Opera on Windows 8.1": {
			"Mozilla/5.0 (Windows NT 6.3; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36 OPR/105.0.0.0",
			on(browser("OP", "Opera", "105.0", "Blink", "119.0"), "WIN", "Windows", "8.1", "desktop")},
		"Safari on macOS": {
			"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15",
			on(browser("SF", "Safari", "17.1", "WebKit", "605.1"), "MAC", "Mac", "10.15", "desktop", "Apple")},
		"Chrome on macOS": {
			"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
			on(chrome, "MAC", "Mac", "10.15", "desktop", "Apple")},
		"Chrome on a Chromebook": {
			"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
			on(chrome, "COS", "Chrome OS", "14541.0", "desktop")},
		"Vivaldi on Linux": {
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Vivaldi/6.5.3206.39",
			on(browser("VI", "Vivaldi", "6.5", "Blink", "120.0"), "LIN", "GNU/Linux", "", "desktop")},
		"headless Chrome on Linux": {
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.6099.71 Safari/537.36",
			on(browser("HC", "Headless Chrome", "120.0", "Blink", "120.0"), "LIN", "GNU/Linux", "", "desktop")},
		"an application built on Chrome": {
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Frobnicator/2.1 Chrome/120.0.0.0 Electron/28.0.0 Safari/537.36",
			on(chrome, "WIN", "Windows", "10", "desktop")},

		// Browsers on phones, tablets and televisions.
		"Chrome on an Android tablet": {
			"Mozilla/5.0 (Linux; Android 12; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
			on(chrome, "AND", "Android", "12", "tablet", "Samsung", "Galaxy Tab S8 Ultra 5G")},
		"Samsung's browser": {
			"Mozilla/5.0 (Linux; Android 13; SAMSUNG SM-A127F) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36",
			on(browser("SB", "Samsung Browser", "23.0", "Blink", "115.0"), "AND", "Android", "13", "smartphone", "Samsung", "SM-A127F")},
		"a view inside an application": {
			"Mozilla/5.0 (Linux; Android 13; Pixel 7 Build/TQ3A.230805.001; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/120.0.6099.43 Mobile Safari/537.36",
			on(browser("CV", "Chrome Webview", "120.0", "Blink", "120.0"), "AND", "Android", "13", "smartphone", "Google", "Pixel 7")},
		"Firefox on a phone": {
			"Mozilla/5.0 (Android 13; Mobile; rv:120.0) Gecko/120.0 Firefox/120.0",
			on(browser("FM", "Firefox Mobile", "120.0", "Gecko", "120.0"), "AND", "Android", "13", "smartphone")},
		"Firefox on a tablet": {
			"Mozilla/5.0 (Android 13; Tablet; rv:120.0) Gecko/120.0 Firefox/120.0",
			on(browser("FM", "Firefox Mobile", "120.0", "Gecko", "120.0"), "AND", "Android", "13", "tablet")},
		"Opera on a phone": {
			"Mozilla/5.0 (Linux; Android 10; Nokia 7.2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0 Mobile Safari/537.36 OPR/78.0.0.0",
			on(browser("OM", "Opera Mobile", "78.0", "Blink", "118.0"), "AND", "Android", "10", "smartphone", "Nokia", "7.2")},
		"Edge on a phone": {
			"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36 EdgA/120.0.2210.84",
			on(browser("PS", "Microsoft Edge", "120.0", "Blink", "120.0"), "AND", "Android", "10", "smartphone")},
		"Opera Mini": {
			"Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
			on(browser("OI", "Opera Mini", "36.2", "Presto", "2.12"), "AND", "Android", "", "smartphone")},
		"Safari on an iPad": {
			"Mozilla/5.0 (iPad; CPU OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
			on(mobileSafari, "IPA", "iPadOS", "17.1", "tablet", "Apple", "iPad")},
		"Safari on an old iPad": {
			"Mozilla/5.0 (iPad; CPU OS 9_3_5 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) Version/9.0 Mobile/13G36 Safari/601.1",
			on(browser("MF", "Mobile Safari", "9.0", "WebKit", "601.1"), "IOS", "iOS", "9.3", "tablet", "Apple", "iPad")},
		"Chrome on an iPhone": {
			"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.101 Mobile/15E148 Safari/604.1",
			on(browser("CI", "Chrome Mobile iOS", "120.0", "WebKit", "605.1"), "IOS", "iOS", "17.1", "smartphone", "Apple", "iPhone")},
		"Firefox on an iPhone": {
			"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/120.0 Mobile/15E148 Safari/605.1.15",
			on(browser("FI", "Firefox Mobile iOS", "120.0", "WebKit", "605.1"), "IOS", "iOS", "17.1", "smartphone", "Apple", "iPhone")},
		"a television": {
			"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/3.2 Chrome/76.0.3809.146 TV Safari/537.36",
			on(browser("SB", "Samsung Browser", "3.2", "Blink", "76.0"), "TIZ", "Tizen", "6.0", "tv")},

		// Programs.
		"python-requests": {"python-requests/2.31.0", library("Python Requests", "2.31")},
		"Go":              {"Go-http-client/1.1", library("Go-http-client", "1.1")},
		"Go over HTTP/2":  {"Go-http-client/2.0", library("Go-http-client", "2.0")},
		"Node's fetch":    {"node", library("Node.js", "")},
		"undici":          {"undici", library("undici", "")},
		"axios":           {"axios/1.6.2", library("Axios", "1.6")},
		"the SDK for Node on Linux": {
			"AppwriteNodeJSSDK/14.0.0 (Linux; #1 SMP PREEMPT_DYNAMIC; x64)",
			Client{OSCode: "LIN", OSName: "GNU/Linux", DeviceName: "desktop"}},
		"the command line": {
			"AppwriteCLI/6.1.0 (Linux; x64)",
			Client{OSCode: "LIN", OSName: "GNU/Linux", DeviceName: "desktop",
				ClientType: "desktop", ClientCode: "cli", ClientName: "Appwrite CLI", ClientVersion: "6.1.0"}},
		"the command line without a version": {"AppwriteCLI",
			Client{ClientType: "desktop", ClientCode: "cli", ClientName: "Appwrite CLI"}},

		// Bots are not looked for: one that looks like a browser is one, as with the reference.
		"a plain bot": {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Client{}},
		"a bot as Chrome": {
			"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) Chrome/120.0.6099.71 Safari/537.36",
			chrome},
		"Slack's bot": {"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Client{}},

		// What tells nothing.
		"empty":             {"", Client{}},
		"unknown":           {"UNKNOWN", Client{}},
		"garbage":           {"\x00\xff\xfe ;;;((( ]][[ //// ::", Client{}},
		"markup":            {"<script>alert(1)</script>", Client{}},
		"10 kB":             {strings.Repeat("x", 10_000), Client{}},
		"10 kB of brackets": {strings.Repeat("(", 10_000), Client{}},
		"a browser after the bound": {
			strings.Repeat("x", maxLength) + chromeOnWindows, Client{}},
		"a version that is none": {
			"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/" + strings.Repeat("9", 500) + " Safari/537.36",
			on(browser("CH", "Chrome", "", "Blink", ""), "LIN", "GNU/Linux", "", "desktop")},
		"markup for a model": {
			"Mozilla/5.0 (Linux; Android 13; SM-<b>) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
			on(mobileChrome, "AND", "Android", "13", "smartphone")},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Parse(c.ua)); diff != "" {
				t.Errorf("%.200q (-want +got):\n%s", c.ua, diff)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for version, want := range map[string]string{
		"": "", "x": "", ".": "", "..": "", "1": "1", "1.": "1", "1.2": "1.2", "1.2.3.4": "1.2", "1..3": "1",
		".5": "5", "36.2/119": "36.2", "8.5-DEV": "8.5", "17_1": "17", "11111111111111111111.1": "",
	} {
		if got := cut(version); got != want {
			t.Errorf("cut(%q) = %q, want %q", version, got, want)
		}
	}
}

// Whatever the header is, the answer can be stored and shown.
func FuzzParse(f *testing.F) {
	for _, ua := range []string{chromeOnWindows, safariOnIPhone, chromeOnSamsung, "curl/8.5.0", "AppwriteCLI/6.1.0",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", "Opera/9.80 (Android; Opera Mini/36.2/119; U; id)", "Android 13; Pixel\x00"} {
		f.Add(ua)
	}
	f.Fuzz(func(t *testing.T, ua string) {
		c := Parse(ua)
		for _, field := range []string{c.OSCode, c.OSName, c.OSVersion, c.ClientType, c.ClientCode, c.ClientName, c.ClientVersion,
			c.ClientEngine, c.ClientEngineVersion, c.DeviceName, c.DeviceBrand, c.DeviceModel} {
			if len(field) > 64 || strings.ContainsFunc(field, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q gives %q", ua, field)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, ua := range map[string]string{
		"windows": chromeOnWindows, "iphone": safariOnIPhone, "android": chromeOnSamsung, "curl": "curl/8.5.0", "10kB": strings.Repeat("x (;", 2500),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Parse(ua)
			}
		})
	}
}
