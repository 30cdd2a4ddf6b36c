package api

import (
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// legacySuffix is for browsers that do not know SameSite=None.
const legacySuffix = "_legacy"

func cookieName(project string) string { return "a_session_" + project }

// giveSession hands a session to a browser: as cookies, and where those would be third-party ones, in the header that
// the client libraries keep in local storage.
func (c *call) giveSession(value string, expires time.Time) {
	c.setCookies(value, expires)
	if !sameSite(c.r) {
		fallback, _ := json.Marshal(map[string]string{cookieName(c.project.ID): value}) // strings always marshal
		c.w.Header().Set("X-Fallback-Cookies", string(fallback))
	}
}

// takeSession makes a browser forget its session.
func (c *call) takeSession() {
	c.setCookies("deleted", time.Unix(0, 0).Add(time.Second))
	if !sameSite(c.r) {
		c.w.Header().Set("X-Fallback-Cookies", "[]")
	}
}

func (c *call) setCookies(value string, expires time.Time) {
	cookie := http.Cookie{
		Name:     cookieName(c.project.ID) + legacySuffix,
		Value:    value,
		Path:     "/",
		Domain:   cookieDomain(hostname(c.r.Host)),
		Expires:  expires,
		Secure:   c.api.secure(c.r),
		HttpOnly: true,
	}
	http.SetCookie(c.w, &cookie)
	cookie.Name = cookieName(c.project.ID)
	cookie.SameSite = http.SameSiteNoneMode
	http.SetCookie(c.w, &cookie)
}

// cookieDomain is empty (this host only) for localhost and addresses, otherwise the host with all below it.
func cookieDomain(host string) string {
	if host == "localhost" || net.ParseIP(host) != nil {
		return ""
	}
	return "." + host
}
