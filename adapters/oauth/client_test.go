package oauth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestWhichAddressesMayBeAsked(t *testing.T) {
	for _, c := range []struct {
		address string
		open    bool
	}{
		{"8.8.8.8", true},
		{"1.1.1.1", true},
		{"172.15.255.255", true},
		{"172.32.0.0", true},
		{"100.63.255.255", true},
		{"100.128.0.0", true},
		{"2606:4700:4700::1111", true},
		{"2001:4860:4860::8888", true},
		{"::ffff:8.8.8.8", true},
		{"64:ff9b::808:808", true}, // NAT64 of 8.8.8.8
		{"2002:808:808::1", true},  // 6to4 of 8.8.8.8

		{"10.1.2.3", false},
		{"fd00:1::7", false},
		{"169.254.7.7", false},
		{"::ffff:10.1.2.3", false},
		{"64:ff9b::a01:203", false},
		{"2002:a01:203::1", false},

		{"127.0.0.1", false},
		{"127.8.8.8", false},
		{"0.0.0.0", false},
		{"0.1.2.3", false},
		{"10.0.0.1", false},
		{"10.2.0.0", false},
		{"100.64.0.1", false}, // carrier-grade NAT
		{"100.127.255.255", false},
		{"169.254.169.254", false}, // metadata of clouds
		{"169.254.170.2", false},
		{"172.16.0.1", false},
		{"172.31.255.255", false},
		{"192.0.0.192", false}, // metadata of Oracle
		{"192.0.2.1", false},
		{"192.168.0.1", false},
		{"198.18.0.1", false},
		{"198.19.255.255", false},
		{"203.0.113.1", false},
		{"224.0.0.1", false},
		{"239.255.255.255", false},
		{"240.0.0.1", false},
		{"255.255.255.255", false},
		{"::", false},
		{"::1", false},
		{"::7f00:1", false}, // IPv4-compatible
		{"::8.8.8.8", false},
		{"::ffff:127.0.0.1", false},
		{"::ffff:169.254.169.254", false},
		{"::ffff:0:127.0.0.1", false}, // IPv4-translated
		{"64:ff9b::7f00:1", false},
		{"64:ff9b::a9fe:a9fe", false},
		{"64:ff9b:1::808:808", false}, // NAT64 of a network of its own
		{"100::1", false},
		{"2001::1", false}, // Teredo
		{"2001:db8::1", false},
		{"2002:7f00:1::", false},
		{"2002:a9fe:a9fe::1", false},
		{"2002:c0a8:1::1", false},
		{"3fff::1", false},
		{"4000::1", false},
		{"fc00::1", false},
		{"fd00:ec2::254", false}, // metadata of Amazon
		{"fe80::1", false},
		{"fe80::1%eth0", false},
		{"fec0::1", false},
		{"ff02::1", false},
	} {
		to := netip.AddrPortFrom(netip.MustParseAddr(c.address), 443).String()
		if err := guard("tcp", to, nil); (err == nil) != c.open {
			t.Errorf("%s: %v", c.address, err)
		}
	}
	for _, odd := range []string{"", "localhost:443", "8.8.8.8", "/run/acta.sock", "[::1]"} {
		if guard("unix", odd, nil) == nil {
			t.Errorf("%q may be asked", odd)
		}
	}
}

// names answers every question about a name by the next of its addresses, and for ever by the last.
type names struct {
	addresses []string
	asked     atomic.Int64
}

func (n *names) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		var size [2]byte // a pipe is no packet connection, and so has the framing of TCP
		if _, err := io.ReadFull(theirs, size[:]); err != nil {
			return
		}
		query := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(theirs, query); err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(query) != nil || len(m.Questions) != 1 {
			return
		}
		m.Header.Response, m.Additionals = true, nil
		q := m.Questions[0]
		if q.Type == dnsmessage.TypeA {
			i := min(int(n.asked.Add(1))-1, len(n.addresses)-1)
			m.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(n.addresses[i]).As4()},
			}}
		}
		if packed, err := m.Pack(); err == nil {
			theirs.Write(append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...))
		}
	}()
	return ours, nil
}

func (n *names) install(t *testing.T) {
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: n.dial}
	t.Cleanup(func() { net.DefaultResolver = before })
}

// at is the plainest provider at a host that is asked for real.
func at(t *testing.T, host string) *Provider {
	t.Helper()
	return open(t, Config{Provider: "plain", ClientID: "cl1ent", ClientSecret: "s3cret",
		AuthorizeURL: host + "/a", TokenURL: host + "/t", UserinfoURL: host + "/u"})
}

// led is a provider whose host the operator has named, and whose metadata leads elsewhere with the code; named says that
// the operator has named that place, too.
func led(t *testing.T, to string, named bool) (p *Provider, shown *atomic.Int64) {
	t.Helper()
	shown = new(atomic.Int64)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wellKnown {
			_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
			says(w, 200, text(map[string]string{
				"issuer": server.URL, "authorization_endpoint": server.URL + "/a", "jwks_uri": server.URL + "/k",
				"token_endpoint": "http://" + net.JoinHostPort(to, port) + "/t",
			}))
			return
		}
		shown.Add(1)
		says(w, 200, usualToken)
	}))
	t.Cleanup(server.Close)
	c := Config{Provider: "plain", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: server.URL + wellKnown}
	if named {
		_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
		c.TokenURL = "http://" + net.JoinHostPort(to, port) + "/t"
	}
	return open(t, c), shown
}

const private = "sign in by plain: the address is a private one, and the configuration does not name its host"

// A name that is public when somebody looks and private when it is asked is private.
func TestANameThatChangesItsAddressFindsNobody(t *testing.T) {
	dns := &names{addresses: []string{"93.184.215.14", "127.0.0.1"}}
	dns.install(t)
	if found, err := net.DefaultResolver.LookupHost(t.Context(), "rebind.example.com"); err != nil || found[0] != "93.184.215.14" {
		t.Fatal(found, err)
	}
	p, shown := led(t, "rebind.example.com", false)
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil || err.Error() != private || shown.Load() != 0 {
		t.Errorf("%v, and the code was shown %d times", err, shown.Load())
	}
	p, shown = led(t, "rebind.example.com", true)
	if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil || err.Error() == private || shown.Load() != 1 {
		t.Errorf("named: %v, and the code was shown %d times", err, shown.Load())
	}
}

func TestMetadataDoesNotLeadToPrivateAddresses(t *testing.T) {
	for _, host := range []string{"127.0.0.2", "localhost", "::ffff:127.0.0.1", "0.0.0.0", "::1", "169.254.169.254", "10.0.0.1", "64:ff9b::7f00:1"} {
		p, shown := led(t, host, false)
		if _, err := p.Exchange(t.Context(), "c0de", attempt, nil); err == nil || err.Error() != private || shown.Load() != 0 {
			t.Errorf("%s: %v, and the code was shown %d times", host, err, shown.Load())
		}
	}
}

// The operator knows where the provider is; only what others say is guarded, and only on the port that was named.
func TestWhatTheOperatorNamesIsAskedWhereverItIs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/t" {
			says(w, 200, usualToken)
		} else {
			says(w, 200, `{"id":"42"}`)
		}
	}))
	t.Cleanup(server.Close)
	if _, err := at(t, server.URL).Exchange(t.Context(), "c0de", attempt, nil); err != nil {
		t.Error(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for _, url := range []string{other.URL, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)} {
		_, err := at(t, server.URL).read(t.Context(), url)
		if failure, ok := errors.AsType[*Failure](err); !ok || failure.Error() != errUnreachable.Error() {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A provider of the operator's own network may keep its keys on another host there.
func TestKeysThatTheOperatorNamesAreAskedForWhereverTheyAre(t *testing.T) {
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { says(w, 200, jwks) }))
	t.Cleanup(keys.Close)
	for _, named := range []bool{false, true} {
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wellKnown {
				says(w, 200, text(map[string]string{"issuer": server.URL, "authorization_endpoint": server.URL + "/a", "token_endpoint": server.URL + "/t", "jwks_uri": keys.URL}))
				return
			}
			says(w, 200, text(map[string]string{"access_token": "t0ken", "id_token": idToken(claimsOf(server.URL))}))
		}))
		t.Cleanup(server.Close)
		c := Config{Provider: "plain", ClientID: "cl1ent", ClientSecret: "s3cret", WellKnown: server.URL + wellKnown}
		if named {
			c.JWKSURL = keys.URL
		}
		who, err := open(t, c).Exchange(t.Context(), "c0de", attempt, nil)
		if named && (err != nil || who.Subject != "42") || !named && (err == nil || err.Error() != private) {
			t.Errorf("named %v: %+v, %v", named, who, err)
		}
	}
}

// A proxy would look names up by itself.
func TestNoProxyIsAsked(t *testing.T) {
	if newClient(time.Second).Transport.(transport).base.(*http.Transport).Proxy != nil {
		t.Error("there may be one")
	}
}

func TestNoAnswerHasAReason(t *testing.T) {
	quiet := func(s *httptest.Server) { s.Config.ErrorLog = log.New(io.Discard, "", 0) }
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	quiet(secure)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	quiet(old)
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	t.Cleanup(old.Close)
	long := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Canary", strings.Repeat("canary", maxHeader))
	}))
	t.Cleanup(long.Close)
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(cut.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, c := range []struct{ url, want string }{
		{gone.URL, "no answer: connection refused"},
		{secure.URL, "no answer: the certificate is not trusted"},
		{old.URL, "no answer: TLS or HTTP has failed"},
		{strings.Replace(long.URL, "http:", "https:", 1), "no answer: TLS or HTTP has failed"},
		{long.URL, "no answer: TLS or HTTP has failed"},
		{cut.URL, "no answer: the connection was closed"},
		{"https://nobody.invalid", "no answer: the host name cannot be looked up"},
	} {
		p := at(t, c.url)
		_, err := p.Exchange(t.Context(), "c0de", attempt, nil)
		if err == nil || err.Error() != "sign in by plain: "+c.want {
			t.Errorf("%s: %v, want %s", c.url, err, c.want)
		}
		if failure, ok := errors.AsType[*Failure](err); !ok || failure.Kind != Failed || failure.Status != 0 {
			t.Errorf("%s: %v", c.url, err)
		}
		leaks(t, err)
	}
}

func TestOtherSchemesAreNotAsked(t *testing.T) {
	for _, scheme := range []string{"file", "ftp", "gopher", "unix", ""} {
		r := &http.Request{Method: http.MethodGet, URL: must(http.NewRequest("GET", "https://a.example.com/etc/passwd", nil)).URL, Header: http.Header{}}
		r.URL.Scheme = scheme
		if _, err := newClient(time.Second).Transport.RoundTrip(r); err == nil {
			t.Errorf("%q was asked", scheme)
		}
	}
}
