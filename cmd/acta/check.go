package main

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/actahq/acta/domain/project"
)

// rule is a key, whether its value can be, and what is wrong otherwise. No message quotes a value: it may be a secret.
type rule struct {
	key     string
	holds   bool
	problem string
}

const (
	noAddress = "not an address such as 127.0.0.1:8080"
	noWebURL  = "not a URL such as https://example.com/path"
	noKey     = "must be 64 hex characters, not all of the same byte; openssl rand -hex 32 makes one"
)

func (c config) check() error {
	_, keyErr := parseKey(c.SecretKey)
	_, fromErr := mail.ParseAddress(c.SMTP.From)
	rules := []rule{
		{"event_store", c.EventStore == "" || isURL(c.EventStore, "esdb", "esdb+discover", "kurrentdb", "kurrentdb+discover"), "not a URL such as esdb://host:2113?tls=true"},
		// Instances that share a log must share the keys to it, and those are kept with the read models.
		{"event_store", c.EventStore == "" || c.ReadModels != "", "a server's log needs read_models in Postgres, where the instances share them and the keys"},
		{"event_store_listen", c.EventStoreListen == "" || isAddress(c.EventStoreListen), noAddress},
		{"event_store_listen", c.EventStoreListen == "" || c.EventStore == "", "only the embedded event log can be served; leave event_store or this empty"},
		{"event_store_tls_key", (c.EventStoreCert == "") == (c.EventStoreKey == ""), "goes with event_store_tls_cert: name both files or none"},
		{"event_store_password", (c.EventStoreUser == "") == (c.EventStorePass == ""), "goes with event_store_user: set both or none"},
		{"event_store_user", c.EventStoreUser == "" || c.EventStoreCert != "", "needs event_store_tls_cert: without TLS the password would be sent in clear"},
		{"event_store_advertise", c.EventStoreName == "" || isAddress(c.EventStoreName), noAddress},
		{"read_models", c.ReadModels == "" || isURL(c.ReadModels, "postgres", "postgresql"), "not a URL such as postgres://user:password@host:5432/database"},
		{"listen", isAddress(c.Listen), noAddress},
		{"metrics_listen", c.MetricsListen == "" || isAddress(c.MetricsListen), noAddress},
		{"public_url", isURL(c.PublicURL, "http", "https") && !strings.ContainsAny(c.PublicURL, "?#@"), "not a URL such as https://accounts.example.com"},
		{"data_dir", c.DataDir != "", "names no folder"},
		{"secret_key", c.SecretKey == "" || keyErr == nil, noKey},
		{"log.level", slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level), "not debug, info, warn or error"},
		{"log.format", slices.Contains([]string{"text", "json"}, c.Log.Format), "not text or json"},
		{"smtp.url", c.SMTP.URL == "" || isURL(c.SMTP.URL, "smtp", "smtps"), "not a URL such as smtp://user:password@mail.example.com:587"},
		{"smtp.from", c.SMTP.From != "", "missing: with smtp.url, name the address that letters come from"},
		{"smtp.from", fromErr == nil, "not an address such as Acta <no-reply@example.com>"},
		{"sms.provider", slices.Contains([]string{"", "webhook", "twilio", "vonage", "msg91", "telesign", "textmagic"}, c.SMS.Provider), "not webhook, twilio, vonage, msg91, telesign or textmagic"},
		{"sms.url", c.SMS.URL == "" && c.SMS.Provider != "webhook" || isURL(c.SMS.URL, "http", "https"), noWebURL},
	}
	for i, proxies := range c.TrustedProxies {
		_, err := netip.ParsePrefix(proxies)
		rules = append(rules, rule{fmt.Sprintf("trusted_proxies[%d]", i), err == nil, "not a CIDR such as 10.0.0.0/8"})
	}
	rules = append(rules, rule{"projects", len(c.Projects) > 0, "name at least one"})
	if err := firstBroken(rules); err != nil {
		return err
	}
	ids := map[string]bool{}
	for i, p := range c.Projects {
		err := p.Check()
		if err == nil {
			err = firstBroken(append(projectRules(p), rule{"id", !ids[p.ID], "another project has it"}))
		}
		if err != nil {
			return fmt.Errorf("projects[%d].%w", i, err)
		}
		ids[p.ID] = true
	}
	// They ask nobody yet, and refuse what they cannot work with.
	if _, err := openPost(c); err != nil {
		return err
	}
	_, err := openProviders(c)
	return err
}

func firstBroken(rules []rule) error {
	for _, r := range rules {
		if !r.holds {
			return fmt.Errorf("%s: %s", r.key, r.problem)
		}
	}
	return nil
}

var (
	hostName   = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	urlScheme  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	phone      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	sixDigits  = regexp.MustCompile(`^[0-9]{6}$`)
	dangerous  = []string{"http", "https", "javascript", "data", "file", "vbscript", "blob", "about", "ftp", "ws", "wss", "filesystem", "view-source", "intent", "jar"} // as custom schemes
	noHostName = `not a host name such as app.example.com, *.example.com or *, without scheme and port`
)

// projectRules are the rules of form; what an account may be like is project.Check.
func projectRules(p project.Project) []rule {
	var rules []rule
	add := func(holds bool, problem, key string, indexes ...any) {
		rules = append(rules, rule{fmt.Sprintf(key, indexes...), holds, problem})
	}
	for i, host := range p.Platforms {
		add(host == "*" || len(host) <= 253 && hostName.MatchString(host) || isIP(host), noHostName, "platforms[%d]", i)
	}
	for i, scheme := range p.Schemes {
		add(urlScheme.MatchString(scheme) && !slices.Contains(dangerous, scheme), "not a custom URL scheme such as myapp", "schemes[%d]", i)
	}
	for i, k := range p.Keys {
		same := func(other project.Key) bool { return other.Secret == k.Secret }
		add(!slices.ContainsFunc(p.Keys[:i], same), "another key has it", "keys[%d].secret", i)
	}
	for i, number := range p.Auth.MockNumbers {
		add(phone.MatchString(number.Phone), "not a phone number such as +15555550100", "auth.mock_numbers[%d].phone", i)
		add(sixDigits.MatchString(number.OTP), "not six digits", "auth.mock_numbers[%d].otp", i)
	}
	for i, o := range p.OAuth {
		same := func(other project.OAuth) bool { return other.Provider == o.Provider }
		add(o.Provider != "", "names no provider", "oauth[%d].provider", i)
		add(!slices.ContainsFunc(p.OAuth[:i], same), "another entry has it", "oauth[%d].provider", i)
		add(o.ClientID != "", "empty", "oauth[%d].client_id", i)
		add(o.WellKnown == "" || isURL(o.WellKnown, "http", "https"), noWebURL, "oauth[%d].well_known", i)
		add(o.AuthorizeURL == "" || isURL(o.AuthorizeURL, "http", "https"), noWebURL, "oauth[%d].authorize_url", i)
		add(o.TokenURL == "" || isURL(o.TokenURL, "http", "https"), noWebURL, "oauth[%d].token_url", i)
		add(o.UserinfoURL == "" || isURL(o.UserinfoURL, "http", "https"), noWebURL, "oauth[%d].userinfo_url", i)
		add(o.JWKSURL == "" || isURL(o.JWKSURL, "http", "https"), noWebURL, "oauth[%d].jwks_url", i)
	}
	for i, w := range p.Webhooks {
		add(isURL(w.URL, "http", "https"), noWebURL, "webhooks[%d].url", i)
	}
	return rules
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Hostname() != ""
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
