package oauth

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer, and its header, in bytes. Answers have a few thousand.
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
	// maxHops bounds how often an answer may lead elsewhere on the same host.
	maxHops = 3
	// connecting bounds each of opening a connection and agreeing on TLS, within the patience for all.
	connecting = 5 * time.Second
)

// newClient makes the one client by which this package asks anybody anything. It connects anew for every request, so that
// there is nothing to close and no code meets a connection that the provider is closing. trusted is the hosts, with their
// ports, that the operator has named: wherever they are, that is what was meant.
func newClient(patience time.Duration, trusted ...string) *http.Client {
	guarded := &net.Dialer{Timeout: connecting, Control: guard}
	plain := &net.Dialer{Timeout: connecting}
	return &http.Client{
		Timeout:       patience, // also for keys, which go-oidc fetches by a context that never ends
		CheckRedirect: sameHost,
		Transport: transport{&http.Transport{
			Proxy: nil, // a proxy would look names up by itself, behind the back of the guard
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if slices.Contains(trusted, address) {
					return plain.DialContext(ctx, network, address)
				}
				return guarded.DialContext(ctx, network, address)
			},
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connecting,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		}},
	}
}

// sameHost lets a GET go on where it is led on the same host, three times. Any other answer that leads elsewhere is the
// answer: where it leads is not where the operator sends tokens.
func sameHost(r *http.Request, via []*http.Request) error {
	from := via[0]
	if from.Method != http.MethodGet || len(via) > maxHops || r.URL.Scheme != from.URL.Scheme || r.URL.Host != from.URL.Host {
		return http.ErrUseLastResponse
	}
	return nil
}

// transport reads every answer to its end, so that nobody above it meets a huge one or a slow one, and makes a Failure of
// those that are no success. What it says about them cannot hold what the provider said, nor the URL.
type transport struct{ base http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if scheme := r.URL.Scheme; scheme != "http" && scheme != "https" {
		return nil, failed("the URL is neither http nor https")
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "Acta")
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json") // GitHub and Bitly answer otherwise by a query string, Tradeshift by XML
	}
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, noAnswer(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, noAnswer(err)
	case len(body) > maxAnswer:
		return nil, unreadable(answer.StatusCode, fmt.Sprintf("more than %d bytes", maxAnswer))
	case answer.StatusCode >= 400:
		return nil, refusal(answer.StatusCode, codeIn(body))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	answer.ContentLength = int64(len(body))
	return answer, nil
}

// noAnswer says why there is none. The words are ours or the system's: errors of net/http quote the URL, or what came
// instead of an answer.
func noAnswer(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err // through tells whose patience it was
	case errors.Is(err, errUnreachable):
		return failed(errUnreachable.Error())
	}
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return failed("no answer: " + number.Error()) // such as "connection refused"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return failed("no answer: the host name cannot be looked up")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return failed("no answer: the certificate is not trusted")
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return failed("no answer: the connection takes too long")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return failed("no answer: the connection was closed")
	}
	return failed("no answer: TLS or HTTP has failed")
}

// errUnreachable: the name of a host led to an address that only this machine or its network is to reach.
var errUnreachable = errors.New("the address is a private one, and the configuration does not name its host")

// guard judges the address a connection is about to be opened to, when the name has been looked up for the last time: one
// that leads to a public address at first and to a private one later finds nobody in between.
func guard(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !reachable(to.Addr()) {
		return errUnreachable
	}
	return nil
}

// reserved is what of the addresses that look public is not (IANA special-purpose address registries). All of IPv6 outside
// of 2000::/3 is reserved, too.
var reserved = prefixes(`
	0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
	192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
	2001::/23 2001:db8::/32 3fff::/20`)

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
	global = netip.MustParsePrefix("2000::/3")
)

// reachable says whether an address is public. An IPv6 address that stands for an IPv4 address is judged as what it stands
// for.
func reachable(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	holds := func(p netip.Prefix) bool { return p.Contains(a) }
	switch all := a.As16(); {
	case nat64.Contains(a):
		return reachable(netip.AddrFrom4([4]byte(all[12:])))
	case sixTo4.Contains(a):
		return reachable(netip.AddrFrom4([4]byte(all[2:6])))
	}
	return a.IsValid() && (a.Is4() || global.Contains(a)) && !slices.ContainsFunc(reserved, holds)
}

func prefixes(list string) []netip.Prefix {
	var all []netip.Prefix
	for p := range strings.FieldsSeq(list) {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}
