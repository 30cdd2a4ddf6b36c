package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/actahq/acta/domain/project"
)

// hostname is a host without its port, in lower case; IPv6 addresses without brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// matchesPlatform says whether a host name is one of the project's: the name itself, or, for "*.example.com", any name
// below it. "*" is every name.
func matchesPlatform(p *project.Project, host string) bool {
	for _, platform := range p.Platforms {
		platform = strings.ToLower(platform)
		if rest, wild := strings.CutPrefix(platform, "*"); host == platform || wild && strings.HasSuffix(host, rest) {
			return true
		}
	}
	return false
}

// originHost is the host of an Origin or Referer header; "" for one that names none, such as "null".
func originHost(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// checkOrigin refuses a change that a foreign page asks for with the visitor's cookies.
func (c *call) checkOrigin() error {
	switch c.r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return nil
	}
	origin := c.r.Header.Get("Origin")
	if origin == "" {
		origin = c.r.Referer()
	}
	if origin == "" || c.r.Header.Get("X-Appwrite-Key") != "" {
		return nil // not a browser, or one that would need the key
	}
	if host := originHost(origin); host == "" || !c.api.trustsOrigin(c.project, c.r, host) {
		return errUnknownOrigin
	}
	return nil
}

// trustsOrigin says whether pages of a host may use the project from a browser: its platforms, and the host that
// serves the API itself.
func (a *API) trustsOrigin(p *project.Project, r *http.Request, host string) bool {
	return host == hostname(r.Host) || host == a.publicHost || p != nil && matchesPlatform(p, host)
}

// allowOrigin decides on CORS. A preflight does not name the project; it is answered for a platform of any.
func (a *API) allowOrigin(r *http.Request, origin string) (bool, []string) {
	host := originHost(origin)
	if host == "" {
		return false, nil
	}
	if p := a.findProject(r); p != nil || r.Method != http.MethodOptions {
		return a.trustsOrigin(p, r, host), nil
	}
	for i := range a.Projects {
		if a.trustsOrigin(&a.Projects[i], r, host) {
			return true, nil
		}
	}
	return false, nil
}

// sameSite says whether a page's cookies for the API are first-party: both under one registrable domain. Without an
// Origin it is about no page.
func sameSite(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		origin = r.Referer()
	}
	site, err := publicsuffix.EffectiveTLDPlusOne(hostname(r.Host))
	if err != nil || net.ParseIP(hostname(r.Host)) != nil {
		return false
	}
	other, err := publicsuffix.EffectiveTLDPlusOne(originHost(origin))
	return err == nil && site == other
}

// clientIP is the peer's address, unless the peer is a trusted proxy: then the right-most address in X-Forwarded-For
// that is not one itself. What cannot be parsed is not believed.
func (a *API) clientIP(r *http.Request) string {
	ip, ok := peer(r)
	switch {
	case !ok:
		return ""
	case !a.trustsProxy(ip):
		return ip.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if ip = hop.Unmap().WithZone(""); !a.trustsProxy(ip) {
			break
		}
	}
	return ip.String()
}

func peer(r *http.Request) (netip.Addr, bool) {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	return p.Addr().Unmap().WithZone(""), err == nil
}

func (a *API) trustsProxy(ip netip.Addr) bool {
	for _, p := range a.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// secure says whether the client speaks HTTPS, to us or to a trusted proxy.
func (a *API) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	ip, ok := peer(r)
	return ok && a.trustsProxy(ip) && r.Header.Get("X-Forwarded-Proto") == "https"
}
