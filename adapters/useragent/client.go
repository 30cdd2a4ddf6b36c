package useragent

import (
	"strings"

	mileusna "github.com/mileusna/useragent"
)

// product is a browser as the reference calls it.
type product struct{ code, name string }

// browser is a family of products. The ones for phones and for iOS are the desktop's where they are empty.
type browser struct{ desktop, phone, ios product }

// browsers is by the parser's name, which for lesser-known ones is the word the header uses.
var browsers = map[string]browser{
	"Android browser": {desktop: product{"AN", "Android Browser"}},
	"Brave":           {desktop: product{"BR", "Brave"}},
	"Chrome": {
		desktop: product{"CH", "Chrome"},
		phone:   product{"CM", "Chrome Mobile"},
		ios:     product{"CI", "Chrome Mobile iOS"},
	},
	"Chrome Webview": {desktop: product{"CV", "Chrome Webview"}},
	"Chromium":       {desktop: product{"CR", "Chromium"}},
	"Ddg":            {desktop: product{"DD", "DuckDuckGo Privacy Browser"}},
	"DuckDuckGo":     {desktop: product{"DD", "DuckDuckGo Privacy Browser"}},
	"Edge":           {desktop: product{"PS", "Microsoft Edge"}},
	"Firefox": {
		desktop: product{"FF", "Firefox"},
		phone:   product{"FM", "Firefox Mobile"},
		ios:     product{"FI", "Firefox Mobile iOS"},
	},
	"Headless Chrome":   {desktop: product{"HC", "Headless Chrome"}},
	"Huawei Browser":    {desktop: product{"HU", "Huawei Browser Mobile"}},
	"Internet Explorer": {desktop: product{"IE", "Internet Explorer"}},
	"Miui Browser":      {desktop: product{"MU", "MIUI Browser"}},
	"Opera":             {desktop: product{"OP", "Opera"}, phone: product{"OM", "Opera Mobile"}},
	"Opera Mini":        {desktop: product{"OI", "Opera Mini"}},
	"Opera Touch":       {desktop: product{"OT", "Opera Touch"}},
	"Safari":            {desktop: product{"SF", "Safari"}, phone: product{"MF", "Mobile Safari"}},
	"Samsung Browser":   {desktop: product{"SB", "Samsung Browser"}},
	"Silk":              {desktop: product{"MS", "Mobile Silk"}},
	"UCBrowser":         {desktop: product{"UC", "UC Browser"}},
	"Vivaldi":           {desktop: product{"VI", "Vivaldi"}},
	"Whale":             {desktop: product{"WH", "Whale Browser"}},
	"YaBrowser":         {desktop: product{"YA", "Yandex Browser"}},
}

// engines are tried in this order, since newer ones claim to be the older ones too. On iOS every browser is WebKit, and
// none says Chrome or Gecko there.
var engines = []struct{ token, name string }{
	{"Edge/", "Edge"},
	{"Trident/", "Trident"},
	{"Presto/", "Presto"},
	{"Chrome/", "Blink"},
	{"Chromium/", "Blink"},
	{"AppleWebKit/", "WebKit"},
	{"Gecko/", "Gecko"},
}

// libraries is by the parser's name in lower case.
var libraries = map[string]string{
	"apache-httpclient": "Apache HTTP Client",
	"axios":             "Axios",
	"curl":              "curl",
	"dart":              "Dart",
	"go-http-client":    "Go-http-client",
	"got":               "got",
	"guzzlehttp":        "Guzzle (PHP HTTP Client)",
	"httpie":            "HTTPie",
	"java":              "Java",
	"java-http-client":  "Java HTTP Client",
	"libwww-perl":       "libwww-perl",
	"node":              "Node.js",
	"node-fetch":        "Node Fetch",
	"okhttp":            "OkHttp",
	"python-httpx":      "HTTPX",
	"python-requests":   "Python Requests",
	"python-urllib":     "Python urllib",
	"undici":            "undici",
	"wget":              "Wget",
}

func setClient(c *Client, ua string, parsed mileusna.UserAgent) {
	if strings.Contains(ua, "AppwriteCLI") {
		// The reference takes the version of the first word, whole.
		first, _, _ := strings.Cut(ua, " ")
		_, version, _ := strings.Cut(first, "/")
		c.ClientType, c.ClientCode, c.ClientName, c.ClientVersion = "desktop", "cli", "Appwrite CLI", number(version)
		return
	}
	if name, ok := libraries[strings.ToLower(parsed.Name)]; ok {
		c.ClientType, c.ClientName, c.ClientVersion = "library", name, cut(parsed.Version)
		return
	}
	family, version := recognise(ua, parsed)
	b, ok := browsers[family]
	if !ok {
		return
	}
	p := b.on(c, ua)
	c.ClientType, c.ClientCode, c.ClientName, c.ClientVersion = "browser", p.code, p.name, version
	c.ClientEngine, c.ClientEngineVersion = engine(ua)
}

// recognise gives the name that browsers has, or none, and the version.
func recognise(ua string, parsed mileusna.UserAgent) (family, version string) {
	switch _, known := browsers[parsed.Name]; {
	case parsed.Name == "Chrome" && strings.Contains(ua, "; wv)"):
		return "Chrome Webview", cut(parsed.Version)
	case known:
		return parsed.Name, cut(parsed.Version)
	case parsed.Name == "Trident": // Internet Explorer 11
		return "Internet Explorer", after(ua, "rv:")
	case strings.Contains(ua, "Chrome/"): // an application or a bot built on it, which the reference calls Chrome too
		return "Chrome", after(ua, "Chrome/")
	case strings.Contains(ua, "Version/") && strings.Contains(ua, "Safari/"):
		return "Safari", after(ua, "Version/")
	}
	return "", ""
}

// on gives the product of the family for the client's system.
func (b browser) on(c *Client, ua string) product {
	apple := c.OSCode == ios.code || c.OSCode == iPadOS.code
	// Chrome says Mobile on phones and neither on tablets, where the reference calls it Chrome; Firefox says either.
	mobile := apple || strings.Contains(ua, "Mobile") || strings.Contains(ua, "Tablet")
	switch {
	case apple && b.ios != product{}:
		return b.ios
	case mobile && b.phone != product{}:
		return b.phone
	}
	return b.desktop
}

func engine(ua string) (name, version string) {
	for _, e := range engines {
		if !strings.Contains(ua, e.token) {
			continue
		}
		if e.name == "Gecko" { // what follows Gecko/ is a date on desktops
			return e.name, after(ua, "rv:")
		}
		return e.name, after(ua, e.token)
	}
	return "", ""
}
