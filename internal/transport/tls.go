package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ClientAuth says what is asked of clients.
type ClientAuth string

// What can be asked of clients.
const (
	NoClientCertificate       ClientAuth = "none"
	OptionalClientCertificate ClientAuth = "optional"
	RequireClientCertificate  ClientAuth = "required"
)

// reloadEvery is how often the files are looked at, at most: by the handshake that comes next.
const reloadEvery = time.Second

// Files name what TLS is made of, in PEM.
type Files struct {
	Certificate, Key string
	// ClientCA verifies the certificates of clients; empty: none is asked for.
	ClientCA string
	Clients  ClientAuth
}

// Certificates are a server's certificate and what it asks of clients. When the files change, the
// next handshakes use the new ones; while they cannot be read, the old ones stay.
type Certificates struct {
	files  Files
	now    func() time.Time
	logger *slog.Logger

	mu      sync.Mutex // guards what follows
	config  *tls.Config
	stamps  [3]stamp
	checked time.Time
	failed  string // the last failure that was logged
}

// stamp tells two states of a file apart.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads the files.
func Load(files Files, now func() time.Time, logger *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files, now: now, logger: logger}
	var err error
	if c.config, err = files.read(); err != nil {
		return nil, err
	}
	c.stamps, c.checked = files.stamps(), now()
	return c, nil
}

// Config is what a listener's connections are opened with: TLS 1.2 or newer.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

// Expires tells when the first of the certificates ends that clients are shown.
func (c *Certificates) Expires() time.Time {
	var end time.Time
	for _, der := range c.current().Certificates[0].Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue // not the node's own, which was parsed when it was read
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}

// current looks at the files if it is time to.
func (c *Certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < reloadEvery {
		return c.config
	}
	c.checked = now
	stamps := c.files.stamps()
	if stamps == c.stamps {
		return c.config
	}
	config, err := c.files.read()
	if err != nil { // half a change, or a mistake: look again
		if c.failed != err.Error() {
			c.failed = err.Error()
			c.logger.Error("changed certificates cannot be used; the old ones stay", slog.String("error", c.failed))
		}
		return c.config
	}
	c.config, c.stamps, c.failed = config, stamps, ""
	c.logger.Info("certificates are renewed", slog.String("file", c.files.Certificate))
	return c.config
}

func (f *Files) stamps() (list [3]stamp) {
	for i, name := range []string{f.Certificate, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); name != "" && err == nil {
			list[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return list
}

func (f *Files) read() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if f.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("certificates that verify clients: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificates that verify clients: %w", errors.New("no certificate in "+f.ClientCA))
	}
	switch f.Clients {
	case RequireClientCertificate:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case OptionalClientCertificate, "":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case NoClientCertificate:
	}
	return c, nil
}
