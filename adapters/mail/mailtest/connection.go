package mailtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// tapped gives connections that the server can watch, and misbehave on where go-smtp asks nobody.
type tapped struct {
	net.Listener
	server *Server
	tls    *tls.Config
}

func (l *tapped) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.server.offer.TLS {
		accepted = tls.Server(accepted, l.tls)
	}
	c := &conn{Conn: accepted, server: l.server}
	l.server.change(func() {
		l.server.connections[c] = false
		l.server.tries++
	})
	return c, nil
}

type conn struct {
	net.Conn
	server  *Server
	greeted bool
}

// Write writes a line of the server, unless the client is to see something else instead. Then the connection is over,
// for go-smtp goes on as if it had been written.
func (c *conn) Write(line []byte) (int, error) {
	var m misbehaviour
	switch {
	case !c.greeted:
		c.greeted = true
		m = c.server.at(Connect)
	case bytes.HasPrefix(line, []byte("354 ")):
		m = c.server.at(Data)
	case bytes.HasPrefix(line, []byte("220 2.0.0 Ready to start TLS")):
		m = c.server.at(StartTLS)
	}
	switch {
	case m.code != 0:
		fmt.Fprintf(c.Conn, "%d %d.0.0 %s\r\n", m.code, m.code/100, Words)
		c.Close()
		return 0, net.ErrClosed
	case m.hang:
		c.server.hang(c)
		return 0, net.ErrClosed
	}
	return c.Conn.Write(line)
}

func (c *conn) Close() error {
	c.server.change(func() { delete(c.server.connections, c) })
	return c.Conn.Close()
}

// hang keeps a connection open until the client closes it or the server is healed.
func (s *Server) hang(on net.Conn) {
	if encrypted, ok := on.(*tls.Conn); ok { // by STARTTLS
		on = encrypted.NetConn()
	}
	c := on.(*conn)
	s.change(func() { s.connections[c] = true })
	io.Copy(io.Discard, c.Conn)
	c.Close()
}

// selfMade makes a certificate that nobody vouches for, and what trusts it.
func selfMade(t testing.TB) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mailtest"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}
