package useragent

import (
	"strings"

	mileusna "github.com/mileusna/useragent"
)

// system is an operating system as the reference calls it.
type system struct {
	code, name string
	desktop    bool
}

var (
	android = system{"AND", "Android", false}
	ios     = system{"IOS", "iOS", false}
	iPadOS  = system{"IPA", "iPadOS", false}
	mac     = system{"MAC", "Mac", true}
	windows = system{"WIN", "Windows", true}
)

// systems is by the parser's name.
var systems = map[string]system{
	mileusna.Android:      android,
	mileusna.BlackBerry:   {"BLB", "BlackBerry OS", false},
	mileusna.ChromeOS:     {"COS", "Chrome OS", true},
	mileusna.FreeBSD:      {"BSD", "FreeBSD", true},
	mileusna.Harmony:      {"HAR", "HarmonyOS", false},
	mileusna.IOS:          ios,
	mileusna.Linux:        {"LIN", "GNU/Linux", true},
	mileusna.MacOS:        mac,
	mileusna.Windows:      windows,
	mileusna.WindowsPhone: {"WPH", "Windows Phone", false},
}

// linuxes are systems that the parser takes for Linux or Android, by what else they say.
var linuxes = []struct {
	token string
	system
}{
	{"Tizen", system{"TIZ", "Tizen", false}},
	{"Web0S", system{"WOS", "webOS", false}},
	{"Ubuntu", system{"UBT", "Ubuntu", true}},
	{"Debian", system{"DEB", "Debian", true}},
	{"Fedora", system{"FED", "Fedora", true}},
	{"CentOS", system{"CES", "CentOS", true}},
	{"Gentoo", system{"GNT", "Gentoo", true}},
	{"Arch Linux", system{"ARL", "Arch Linux", true}},
	{"Linux Mint", system{"MIN", "Mint", true}},
}

// windowsVersions is by the version of the NT kernel. Windows 11 calls itself 10.0 too.
var windowsVersions = map[string]string{
	"10.0": "10",
	"6.3":  "8.1",
	"6.2":  "8",
	"6.1":  "7",
	"6.0":  "Vista",
	"5.2":  "Server 2003",
	"5.1":  "XP",
	"5.0":  "2000",
}

func setSystem(c *Client, ua string, parsed mileusna.UserAgent) {
	s := systems[parsed.OS]
	version := cut(parsed.OSVersion)
	switch parsed.OS {
	case "":
		s = speechless(parsed.Name)
	case mileusna.Windows:
		version = windowsVersions[version]
	case mileusna.ChromeOS:
		version = chromeOS(ua)
	case mileusna.IOS:
		if parsed.Device == "iPad" && parsed.OSVersionNo.Major >= 13 { // since when the iPad's has its own name
			s = iPadOS
		}
	case mileusna.Linux, mileusna.Android:
		for _, l := range linuxes {
			if _, rest, found := strings.Cut(ua, l.token); found {
				s, version = l.system, cut(strings.TrimLeft(rest, " /"))
				break
			}
		}
	}
	c.OSCode, c.OSName, c.OSVersion = s.code, s.name, version
	if s.desktop {
		c.DeviceName = "desktop"
	}
}

// speechless is the system of clients that run on one system only and do not say it.
func speechless(client string) system {
	if client == "okhttp" {
		return android
	}
	return system{}
}

// chromeOS reads "CrOS x86_64 14541.0.0", where the parser takes the processor for the version.
func chromeOS(ua string) string {
	_, rest, _ := strings.Cut(ua, "CrOS ")
	_, rest, _ = strings.Cut(rest, " ")
	return cut(rest)
}
