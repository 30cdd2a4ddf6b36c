//go:build linux

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/EventStore/EventStore-Client-Go/v4/esdb"
)

// selfSigned makes a certificate for 127.0.0.1 that signs itself.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", pkcs8)
}

// Over TLS the event log serves only who knows the password.
func TestTheEventLogIsServedToWhoKnowsThePassword(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t)
	face := freeAddress(t)
	start(t, t.TempDir(), "ACTA_EVENT_STORE_LISTEN="+face, "ACTA_EVENT_STORE_TLS_CERT="+certificate, "ACTA_EVENT_STORE_TLS_KEY="+key,
		"ACTA_EVENT_STORE_USER=subscriber", "ACTA_EVENT_STORE_PASSWORD=long and random").people(t, 1)
	for who, c := range map[string]struct {
		user   string
		served bool
	}{
		"the right password": {"subscriber:long%20and%20random@", true},
		"a wrong one":        {"subscriber:short@", false},
		"another user":       {"admin:long%20and%20random@", false},
		"nobody":             {"", false},
	} {
		config, err := esdb.ParseConnectionString("esdb://" + c.user + face + "?tls=true&tlsCAFile=" + certificate)
		if err != nil {
			t.Fatal(err)
		}
		client, err := esdb.NewClient(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), minute)
		read, err := client.ReadAll(ctx, esdb.ReadAllOptions{From: esdb.Start{}}, 1)
		if err == nil {
			_, err = read.Recv()
			read.Close()
		}
		if c.served != (err == nil) {
			t.Errorf("%s: %v", who, err)
		}
		var refused *esdb.Error
		if !c.served && (!errors.As(err, &refused) || refused.Code() != esdb.ErrorCodeAccessDenied && refused.Code() != esdb.ErrorCodeUnauthenticated) {
			t.Errorf("%s: %v", who, err)
		}
		cancel()
		_ = client.Close()
	}
}
