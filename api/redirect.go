package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/actahq/acta/domain/project"
)

// maxURL is how long a URL in a parameter may be.
const maxURL = 2048

// A URL that a person is sent to is taken apart by a browser. Parsers differ over what is unusual, so only what all of
// them read alike passes: no user, no escapes or other letters than ASCII in the host, nothing that one of them drops
// (tabs, line ends) or takes for another character (backslashes).
var (
	plainURL = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)((?:[/?#][!#-;=?-\[\]_a-z~]*)?)$`)
	webHost  = regexp.MustCompile(`^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)
	appHost  = regexp.MustCompile(`^[A-Za-z0-9._~-]*(?::[0-9]{1,5})?$`)
)

// webSchemes are those whose host is checked against the project's platforms.
var webSchemes = []string{"http", "https", "chrome-extension", "moz-extension", "safari-web-extension", "ms-browser-extension"}

// checkURL takes a URL that a link may lead to: of a host among the project's platforms, or of a scheme of its apps.
func checkURL(c *call, raw json.RawMessage) (any, string) {
	s, _ := text(raw)
	if problem := c.api.redirectProblem(c.project, s); problem != "" {
		return nil, problem
	}
	return s, ""
}

// redirectProblem says why a person must not be sent to a URL; "" = they may.
func (a *API) redirectProblem(p *project.Project, s string) string {
	parts := plainURL.FindStringSubmatch(s)
	if parts == nil || len(s) > maxURL {
		return "Invalid URI. The URI must be absolute and must not hold a user name, spaces or backslashes."
	}
	scheme, authority := strings.ToLower(parts[1]), parts[2]
	if !slices.Contains(webSchemes, scheme) {
		if appHost.MatchString(authority) && (slices.Contains(p.Schemes, scheme) || scheme == strings.ToLower("appwrite-callback-"+p.ID)) {
			return ""
		}
		return fmt.Sprintf("Invalid URI. Add the scheme (%s) to the schemes of the project.", scheme)
	}
	host := hostname(authority)
	if !webHost.MatchString(authority) || host != a.publicHost && !matchesPlatform(p, host) {
		return fmt.Sprintf("Invalid URI. Register your new client (%s) as a new Web platform: add its host name to the platforms of the project.", host)
	}
	return ""
}

// link adds parameters to a URL that passed redirectProblem, behind those it has, in their order.
func link(base string, parameters ...[2]string) string {
	base, fragment, fragmented := strings.Cut(base, "#")
	var b strings.Builder
	b.WriteString(base)
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	for _, p := range parameters {
		b.WriteString(separator + url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1]))
		separator = "&"
	}
	if fragmented {
		b.WriteString("#" + fragment)
	}
	return b.String()
}
