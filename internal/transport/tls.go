package transport

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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
	ends    []Expiry
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
	if c.config, c.ends, err = files.read(); err != nil {
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

// Expiry is when certificates of a file end: of several, the first.
type Expiry struct {
	File string
	// Clients says that they verify those of clients; else they are the node's
	// own.
	Clients bool
	At      time.Time
}

// Expires tells when the certificates end that clients are shown, and those
// that verify clients.
func (c *Certificates) Expires() []Expiry {
	_, ends := c.look()
	return ends
}

// current is what the next handshake uses.
func (c *Certificates) current() *tls.Config {
	config, _ := c.look()
	return config
}

// look looks at the files if it is time to.
func (c *Certificates) look() (*tls.Config, []Expiry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < reloadEvery {
		return c.config, c.ends
	}
	c.checked = now
	stamps := c.files.stamps()
	if stamps == c.stamps {
		return c.config, c.ends
	}
	config, ends, err := c.files.read()
	if err != nil { // half a change, or a mistake: look again
		if c.failed != err.Error() {
			c.failed = err.Error()
			c.logger.Error("changed certificates cannot be used; the old ones stay", slog.String("error", c.failed))
		}
		return c.config, c.ends
	}
	c.config, c.ends, c.stamps, c.failed = config, ends, stamps, ""
	c.logger.Info("certificates are renewed", slog.String("file", c.files.Certificate))
	return c.config, c.ends
}

func (f *Files) stamps() (list [3]stamp) {
	for i, name := range []string{f.Certificate, f.Key, f.ClientCA} {
		if info, err := os.Stat(name); name != "" && err == nil {
			list[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return list
}

func (f *Files) read() (*tls.Config, []Expiry, error) {
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("certificate %s with key %s: %w", f.Certificate, f.Key, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	ends := []Expiry{{File: f.Certificate, At: firstEnd(pair.Certificate)}}
	if f.ClientCA == "" {
		return c, ends, nil
	}
	text, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("certificates that verify clients: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("certificates that verify clients: %w", errors.New("no certificate in "+f.ClientCA))
	}
	ends = append(ends, Expiry{File: f.ClientCA, Clients: true, At: firstEnd(blocks(text))})
	switch f.Clients {
	case RequireClientCertificate:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	case OptionalClientCertificate, "":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case NoClientCertificate:
	}
	return c, ends, nil
}

// blocks are the certificates of a PEM file.
func blocks(text []byte) (list [][]byte) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return list
		}
		if b.Type == "CERTIFICATE" {
			list = append(list, b.Bytes)
		}
	}
}

// firstEnd is when the first of some certificates ends.
func firstEnd(list [][]byte) (end time.Time) {
	for _, der := range list {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			continue // the others are used all the same
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end
}
