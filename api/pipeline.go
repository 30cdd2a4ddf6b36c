package api

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/actahq/acta/domain/account"
	"github.com/actahq/acta/domain/event"
	"github.com/actahq/acta/domain/project"
)

// rules is what an endpoint asks of its caller before its parameters are looked at.
type rules struct {
	scope      string
	limit      int      // calls per window and key; 0 = as many as want
	limitKeys  []string // see limitKey
	wider      limit    // another limit, counted first: what it refuses is not counted by the one above
	startsOne  bool     // starts a session: refused when there is one
	authMethod string   // must be on for the project; see authMethods
	stamped    bool     // looks at X-Appwrite-Timestamp
	oneFactor  bool     // open to a session that was proved with too few factors
	page       bool     // answers to a browser that navigates: refusals are pages
	old        bool     // an older name of an operation, with a limit of its own: not documented
}

// limit is how many calls may come in a window under each of its keys.
type limit struct {
	calls int
	keys  []string
}

// pipeline does, in the order that the contract gives (flows.md section 2), all that comes before the parameters.
func (a *API) pipeline(operation string, rules rules, route string) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		r, w := humachi.Unwrap(hc)
		c := &call{api: a, operation: operation, r: r, w: w, project: a.findProject(r), ip: a.clientIP(r)}
		c.locale = cmp.Or(r.URL.Query().Get("locale"), r.Header.Get("X-Appwrite-Locale"))
		if err := c.check(rules, route); err != nil {
			if rules.page {
				a.writePage(w, a.envelope(r.Context(), err))
			} else {
				a.refuse(w, a.envelope(r.Context(), err))
			}
			return
		}
		next(huma.WithValue(hc, callKey{}, c))
	}
}

func (c *call) check(rules rules, route string) error {
	if c.project == nil {
		return errProjectUnknown
	}
	if err := c.checkOrigin(); err != nil {
		return err
	}
	if err := c.identify(); err != nil {
		return err
	}
	if !c.allowed(rules.scope) {
		name, role := c.role()
		return errUnauthorizedScope.Saying(`%s (role: %s) missing scopes (["%s"])`, name, role, rules.scope)
	}
	if c.account != nil && c.account.Blocked {
		return account.ErrBlocked
	}
	if !rules.oneFactor {
		if err := c.enoughFactors(); err != nil {
			return err
		}
	}
	c.body = c.api.readBody(c.r)
	if err := c.checkRate(rules, route); err != nil {
		return err
	}
	if rules.startsOne && c.account != nil {
		return errSessionExists
	}
	if method := authMethods[rules.authMethod]; method.on != nil && c.key == nil && !method.on(c.project) {
		return errMethodDisabled.Saying("%s authentication is disabled for this project", method.name)
	}
	if rules.stamped {
		if err := c.checkTimestamp(); err != nil {
			return err
		}
	}
	if c.account != nil && c.api.Now().Sub(c.account.AccessedAt) >= account.AccessInterval {
		// A failure to note it must not fail what was asked for.
		if err := c.api.Commands.NoteAccess(c.r.Context(), c.caller(), c.account.ID); err != nil {
			slog.WarnContext(c.r.Context(), "an access could not be noted", "request", requestID(c.r.Context()), "error", err)
		}
	}
	return nil
}

// authMethods is the ways in that a project can switch off, with the names that the answer gives them.
var authMethods = map[string]struct {
	name string
	on   func(*project.Project) bool
}{
	"emailPassword": {"Email / Password", func(p *project.Project) bool { return p.Auth.Methods.EmailPassword }},
	"magicURL":      {"Magic URL", func(p *project.Project) bool { return p.Auth.Methods.MagicURL }},
	"emailOTP":      {"Email OTP", func(p *project.Project) bool { return p.Auth.Methods.EmailOTP }},
	"phone":         {"Phone", func(p *project.Project) bool { return p.Auth.Methods.Phone }},
	"anonymous":     {"Anonymous", func(p *project.Project) bool { return p.Auth.Methods.Anonymous }},
	"jwt":           {"JWT", func(p *project.Project) bool { return p.Auth.Methods.JWT }},
}

// limitWindow is the window of every rate limit.
const limitWindow = time.Hour

// checkRate counts the call and refuses it when there were too many. Servers with a key are not counted.
func (c *call) checkRate(rules rules, route string) error {
	if rules.limit == 0 {
		return nil
	}
	h := c.w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(rules.limit))
	if c.key != nil || !c.api.RateLimits {
		h.Set("X-RateLimit-Remaining", strconv.Itoa(rules.limit))
		h.Set("X-RateLimit-Reset", strconv.FormatInt(c.api.Now().Truncate(limitWindow).Add(limitWindow).Unix(), 10))
		return nil
	}
	var tightest Allowance
	for _, l := range []limit{rules.wider, {rules.limit, rules.limitKeys}} {
		if l.calls == 0 {
			continue
		}
		keys := make([]string, len(l.keys))
		for i, k := range l.keys {
			keys[i] = c.project.ID + "\x00" + c.limitKey(k, route)
		}
		decided, err := c.api.CountCall(c.r.Context(), l.calls, limitWindow, keys...)
		if err != nil {
			return fmt.Errorf("count the call: %w", err)
		}
		if tightest.Limit == 0 || decided.Remaining < tightest.Remaining || !decided.Allowed {
			tightest = decided
		}
		if !decided.Allowed {
			break
		}
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(tightest.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(tightest.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(tightest.Reset.Unix(), 10))
	if !tightest.Allowed {
		return errRateLimit.After(tightest.Reset.Sub(c.api.Now()))
	}
	return nil
}

// limitKey fills in a key such as "url:{url},ip:{ip}": {url} is method and route (not the host that the client names: each name
// would have a limit of its own), {ip} the client's address or network, {userId}, {email} and {phone} who is signed in and where
// their letters go, {param-x} a parameter of the request.
func (c *call) limitKey(pattern, route string) string {
	known := []string{"{url}", route, "{ip}", c.network()}
	if a := c.account; a != nil {
		email, phone := a.ID, a.ID // who has none is sent nothing
		if a.Email != "" {
			email = c.api.Commands.EmailClaim(account.Email(a.Email))
		}
		if a.Phone != "" {
			phone = c.api.Commands.PhoneClaim(account.Phone(a.Phone))
		}
		known = append(known, "{userId}", a.ID, "{email}", email, "{phone}", phone)
	}
	pattern = strings.NewReplacer(known...).Replace(pattern)
	if before, rest, ok := strings.Cut(pattern, "{param-"); ok {
		name, after, _ := strings.Cut(rest, "}")
		pattern = before + c.countedAs(name) + after
	}
	return pattern
}

// network is whom a limit counts a client's address with: of IPv6 everybody has some 2^64.
func (c *call) network() string {
	ip, err := netip.ParseAddr(c.ip)
	if err != nil || ip.Is4() {
		return c.ip
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// countedAs is what stands for a parameter in a limit's key: for an address what stands for it in its claim, so that all
// spellings of a mailbox have one limit. What is no address is counted by the client that sends it.
func (c *call) countedAs(param string) string {
	raw := c.body.members[param]
	switch param {
	case "email":
		if email, problem := checkEmail(c, raw); problem == "" {
			return c.api.Commands.EmailClaim(email.(account.Email))
		}
	case "phone":
		if phone, problem := checkPhone(c, raw); problem == "" {
			return c.api.Commands.PhoneClaim(phone.(account.Phone))
		}
	case "userId":
		if sealed, ok := text(raw); ok && len(sealed) == sealedLength {
			if opened, ok := c.api.openID(c.project, sealed); ok {
				return opened.tag
			}
		}
		if id, problem := checkID(c, raw); problem == "" {
			return id.(string)
		}
	default:
		return strings.ToLower(c.body.text(param))
	}
	return "from " + c.network()
}

// countLetter counts a letter that somebody asks for, among all of its kind that the project sends: many clients and
// addresses have many limits, but an operator one bill.
func (c *call) countLetter(kind string, most int) error {
	if most == 0 || c.key != nil || !c.api.RateLimits {
		return nil
	}
	decided, err := c.api.CountCall(c.r.Context(), most, limitWindow, c.project.ID+"\x00"+kind)
	switch {
	case err != nil:
		return fmt.Errorf("count the letter: %w", err)
	case !decided.Allowed:
		slog.WarnContext(c.r.Context(), "a project has sent all its letters of this hour", "request", requestID(c.r.Context()), "project", c.project.ID, "kind", kind)
		return errLetterLimit.After(decided.Reset.Sub(c.api.Now()))
	}
	return nil
}

// checkTimestamp refuses a time that is none. The reference compares it with nothing.
func (c *call) checkTimestamp() error {
	v := c.r.Header.Get("X-Appwrite-Timestamp")
	if v == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000-07:00", time.DateTime, time.DateOnly} {
		if _, err := time.Parse(layout, v); err == nil {
			return nil
		}
	}
	return errArgumentInvalid.Saying("Invalid X-Appwrite-Timestamp header value")
}

// wait answers only once the read models are as of a receipt; then whoever was answered reads what they wrote, and a
// revoked session is refused everywhere.
func (a *API) wait(ctx context.Context, at event.Receipt) error {
	ctx, cancel := context.WithTimeout(ctx, waitForReadModels)
	defer cancel()
	return a.ReadModels.Wait(ctx, at.Position)
}

// waitForReadModels is how long an answer may wait. Normally it takes a few milliseconds.
const waitForReadModels = 1500 * time.Millisecond
