package mail

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// server is what the operator says about the mail server.
type server struct {
	host           string
	address        string // host:port
	encryption     encryption
	tls            *tls.Config
	user, password string // "" = no authentication
}

type encryption string

const (
	implicit      encryption = "implicit"
	required      encryption = "required"
	opportunistic encryption = "opportunistic"
	none          encryption = "none"
)

// errURL quotes nothing: a password that is not escaped makes any part of a URL look like any other.
var errURL = errors.New("not of the form smtp://user:password@host:port or smtps://user:password@host:port, " +
	"with special characters in user and password as %XX")

func parseURL(raw string) (server, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" ||
		u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return server{}, errURL
	}
	password, _ := u.User.Password()
	s := server{host: u.Hostname(), user: u.User.Username(), password: password}
	switch {
	case (s.user == "") != (s.password == ""):
		return server{}, errors.New("the user or the password is missing")
	case strings.ContainsFunc(s.user+s.password, unicode.IsControl): // most often the line break at the end of a file
		return server{}, errors.New("the user or the password holds a line break or another control character")
	}
	if s.encryption, err = parseEncryption(u, s.user != ""); err != nil {
		return server{}, err
	}
	port := cmp.Or(u.Port(), defaultPort(u.Scheme, s.user != ""))
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return server{}, errors.New("the port is not a number from 1 to 65535")
	}
	s.address = net.JoinHostPort(s.host, port)
	// Opportunistic is the only one that would go on in clear, where nobody is verified either.
	s.tls = &tls.Config{
		ServerName: s.host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.encryption == opportunistic,
	}
	return s, nil
}

// parseEncryption reads the query, which may hold the key tls and no other.
func parseEncryption(u *url.URL, authenticated bool) (encryption, error) {
	query, err := url.ParseQuery(u.RawQuery)
	given := query["tls"]
	if err != nil || len(query) > 1 || len(query) == 1 && len(given) != 1 {
		return "", errors.New("tls is the only setting, to be given once")
	}
	if u.Scheme == "smtps" {
		if len(given) > 0 && given[0] != string(required) {
			return "", errors.New("smtps is always encrypted; use smtp for another setting of tls")
		}
		return implicit, nil
	}
	exposed := authenticated && !isLoopback(u.Hostname()) // whoever is on the line would read the password
	if len(given) == 0 {
		if exposed {
			return required, nil
		}
		return opportunistic, nil
	}
	switch e := encryption(given[0]); {
	case e != required && e != opportunistic && e != none:
		return "", errors.New("tls is required, opportunistic or none")
	case e == opportunistic && exposed:
		// Whoever strips the server's offer would be handed the password.
		return "", errors.New("tls=opportunistic does not protect the password; use required, or none if the line is trusted")
	default:
		return e, nil
	}
}

func defaultPort(scheme string, authenticated bool) string {
	switch {
	case scheme == "smtps":
		return "465"
	case authenticated:
		return "587"
	default:
		return "25"
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
