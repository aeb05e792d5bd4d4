package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// sign makes a certificate for a name that ends after a while, and its key.
func (a *authority) sign(t *testing.T, name string, serial int64, life time.Duration) (cert, key []byte) {
	t.Helper()
	k := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})
}

// node is a server with a port for each way in.
type node struct {
	*server.Server

	t     *testing.T
	files transport.Files
	ca    *authority
	clock atomic.Int64 // seconds that the certificates' clock is ahead
}

func newNode(t *testing.T) *node {
	t.Helper()
	s, err := server.Open(server.Options{Logger: slog.New(slog.DiscardHandler), Heartbeat: 60, MaxMessageSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	n := &node{Server: s, t: t, ca: newAuthority(t), files: transport.Files{
		Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "ca.pem"),
	}}
	n.write(n.files.ClientCA, n.ca.pem)
	n.renew(100)
	return n
}

func (n *node) write(name string, text []byte) {
	n.t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// renew gives the node a certificate with this serial number.
func (n *node) renew(serial int64) {
	n.t.Helper()
	cert, key := n.ca.sign(n.t, "warren.test", serial, time.Hour)
	n.write(n.files.Certificate, cert)
	n.write(n.files.Key, key)
	later := time.Now().Add(time.Duration(serial) * time.Second) // whatever the file system's clock resolves
	if err := os.Chtimes(n.files.Certificate, later, later); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) listen(serve func(l net.Listener) error) string {
	n.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(n.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	go func() { _ = serve(l) }()
	return l.Addr().String()
}

func (n *node) certificates() *transport.Certificates {
	n.t.Helper()
	c, err := transport.Load(n.files, func() time.Time { return time.Now().Add(time.Duration(n.clock.Load()) * time.Second) }, slog.New(slog.DiscardHandler))
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// client is how a client connects that has these certificates.
func (n *node) client(cert, key []byte) *tls.Config {
	n.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "warren.test", MinVersion: tls.VersionTLS12}
	c.RootCAs.AddCert(n.ca.cert)
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			n.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// works publishes and gets a message.
func works(t *testing.T, conn *amqp091.Connection, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	if err := ch.PublishWithContext(t.Context(), "", q.Name, false, false, amqp091.Publishing{Body: body}); err != nil {
		t.Fatal(err)
	}
	m, ok, err := ch.Get(q.Name, true)
	if err != nil || !ok || !bytes.Equal(m.Body, body) {
		t.Errorf("%d bytes came back: %v, %v", len(m.Body), ok, err)
	}
}

// TestTLS: a login over TLS, a certificate that is renewed while the node serves, and one that
// cannot be read.
func TestTLS(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	certificates := n.certificates()
	address := n.listen(func(l net.Listener) error { return n.ServeLayered(l, transport.Layers{TLS: certificates}) })
	conn, err := amqp091.DialTLS("amqps://guest:guest@"+address, n.client(nil, nil))
	works(t, conn, err)
	serial := func() int64 {
		d := tls.Dialer{Config: n.client(nil, nil)}
		nc, err := d.DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		secure, _ := nc.(*tls.Conn)
		return secure.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 100 {
		t.Errorf("certificate %d", got)
	}
	n.renew(101)
	n.clock.Add(10)
	if got := serial(); got != 101 {
		t.Errorf("after it was renewed: certificate %d", got)
	}
	n.write(n.files.Certificate, []byte("half a certifi"))
	n.clock.Add(10)
	if got := serial(); got != 101 {
		t.Errorf("while it cannot be read: certificate %d", got)
	}
	n.renew(102)
	n.clock.Add(10)
	if got := serial(); got != 102 {
		t.Errorf("after it was renewed again: certificate %d", got)
	}
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}
	if nc, err := d.DialContext(t.Context(), "tcp", address); err == nil {
		t.Error("TLS 1.1 is spoken")
		_ = nc.Close()
	}
}

// TestExternal: roles log in by certificate, as long as it is good.
func TestExternal(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	c, err := n.Store().CreateCluster("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	ref := meta.VhostRef{Cluster: c.ID, Name: "orders"}
	if _, err = n.Store().CreateVhost(ref, meta.VhostOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err = n.Store().CreateRole(c.ID, "worker", meta.RoleOptions{}); err != nil {
		t.Fatal(err)
	}
	if err = n.Store().Grant(ref, "worker", auth.Grant{Produce: true, Consume: true}); err != nil {
		t.Fatal(err)
	}
	certificates := n.certificates()
	address := n.listen(func(l net.Listener) error { return n.ServeLayered(l, transport.Layers{TLS: certificates}) })
	external := func(vhost string, config *tls.Config) (*amqp091.Connection, error) {
		return amqp091.DialConfig("amqps://"+address, amqp091.Config{
			Vhost: vhost, TLSClientConfig: config, SASL: []amqp091.Authentication{&amqp091.ExternalAuth{}},
		})
	}
	conn, err := external("/", n.client(n.ca.sign(t, "guest", 1, time.Hour)))
	works(t, conn, err)
	conn, err = external("orders", n.client(n.ca.sign(t, c.ID+"_worker", 2, time.Hour)))
	works(t, conn, err)
	for name, config := range map[string]*tls.Config{
		"of nobody":           n.client(n.ca.sign(t, "nobody", 3, time.Hour)),
		"of another cluster":  n.client(n.ca.sign(t, "amqp-000000000000_worker", 4, time.Hour)),
		"signed by another":   n.client(newAuthority(t).sign(t, "guest", 5, time.Hour)),
		"that is out of date": n.client(n.ca.sign(t, "guest", 6, -time.Minute)),
		"that is not there":   n.client(nil, nil),
	} {
		if conn, err := external("/", config); err == nil {
			t.Errorf("a certificate %s opens a connection", name)
			_ = conn.Close()
		}
	}
	if conn, err = external("/", n.client(n.ca.sign(t, "guest", 7, 2*time.Second))); err != nil {
		t.Fatal(err)
	}
	if e := <-conn.NotifyClose(make(chan *amqp091.Error, 1)); e == nil || e.Reason != "CONNECTION_FORCED - credential expired" {
		t.Errorf("when the certificate ended: %v", e)
	}
}

// TestProxy: a load balancer tells who the client is; TLS begins behind its header.
func TestProxy(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	trusted, err := transport.ParseProxies("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	layers := transport.Layers{Proxies: trusted, TLS: n.certificates()}
	plain := n.listen(func(l net.Listener) error { return n.ServeLayered(l, transport.Layers{Proxies: trusted}) })
	secure := n.listen(func(l net.Listener) error { return n.ServeLayered(l, layers) })
	stranger := n.listen(func(l net.Listener) error {
		return n.ServeLayered(l, transport.Layers{Proxies: trusted[:0:0], TLS: layers.TLS})
	})
	through := func(address, header string) (*amqp091.Connection, error) {
		config := amqp091.Config{Dial: func(string, string) (net.Conn, error) {
			var d net.Dialer
			nc, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil {
				return nil, err
			}
			_, err = nc.Write([]byte(header))
			return nc, err
		}}
		url := "amqp://guest:guest@" + address
		if address != plain {
			url, config.TLSClientConfig = "amqps://guest:guest@"+address, n.client(nil, nil)
		}
		return amqp091.DialConfig(url, config)
	}
	const fromHere, fromAfar = "PROXY TCP4 127.0.0.9 127.0.0.1 7777 5672\r\n", "PROXY TCP4 192.0.2.1 127.0.0.1 7777 5672\r\n"
	conn, err := through(plain, fromHere)
	if err == nil && n.Registry().Connections()[0].Name != "127.0.0.9:7777 -> 127.0.0.1:5672" {
		t.Errorf("it is called %s", n.Registry().Connections()[0].Name)
	}
	works(t, conn, err)
	conn, err = through(secure, fromHere)
	works(t, conn, err)
	conn, err = through(stranger, "")
	works(t, conn, err)
	// Guest may only come from this machine, and the client does not.
	var refused *amqp091.Error
	if _, err := through(plain, fromAfar); !errors.As(err, &refused) || refused.Code != 403 {
		t.Errorf("guest from afar: %v", err)
	}
	if _, err := through(plain, ""); err == nil {
		t.Error("a load balancer need not send a header")
	}
	if _, err := through(stranger, fromHere); err == nil {
		t.Error("a stranger may say who it is")
	}
}

// TestWebSocket: AMQP in binary messages.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	plain := "ws://" + n.listen(n.ServeWebSocket)
	certificates := n.certificates()
	secure := "wss://" + n.listen(func(l net.Listener) error { return n.ServeWebSocket(tls.NewListener(l, certificates.Config())) })
	dial := func(url string, protocols ...string) (*amqp091.Connection, error) {
		return amqp091.DialConfig("amqp://guest:guest@ws", amqp091.Config{Dial: func(string, string) (net.Conn, error) {
			o := &websocket.DialOptions{Subprotocols: protocols, HTTPClient: httpClient(n.client(nil, nil))}
			ws, resp, err := websocket.Dial(t.Context(), url, o)
			if err != nil {
				return nil, err
			}
			if resp.Body != nil {
				_ = resp.Body.Close()
			}
			return websocket.NetConn(context.WithoutCancel(t.Context()), ws, websocket.MessageBinary), nil
		}})
	}
	conn, err := dial(plain+server.WebSocketPath, transport.Subprotocol)
	if err == nil {
		if _, ok := n.Registry().Connections()[0].Peer.(*net.TCPAddr); !ok {
			t.Errorf("the peer is %v", n.Registry().Connections()[0].Peer)
		}
	}
	works(t, conn, err)
	conn, err = dial(plain + server.WebSocketPath)
	works(t, conn, err)
	conn, err = dial(secure+server.WebSocketPath, transport.Subprotocol)
	works(t, conn, err)
	if _, err := dial(plain+server.WebSocketPath, "mqtt"); err == nil {
		t.Error("another protocol is spoken")
	}
	if _, err := dial(plain+"/other", transport.Subprotocol); err == nil {
		t.Error("another path is served")
	}
}

func httpClient(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}
