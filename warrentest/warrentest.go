// Package warrentest is a broker inside a Go test: no port, no files, nothing
// left behind.
//
//	b := warrentest.Start(t)
//	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
//
// Programs that insist on a port get one with [Broker.Listen].
package warrentest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/vfs"
)

// closeTimeout is how long clients have to go when the broker is stopped.
const closeTimeout = 200 * time.Millisecond

// Broker is a running broker. Its methods may be used from any goroutine of
// the test.
type Broker struct {
	t      testing.TB
	logger *slog.Logger
	disk   *vfs.Mem

	mu     sync.Mutex // guards what follows
	server *server.Server
}

// Option changes how a broker is started.
type Option func(*Broker)

// WithLog writes the broker's log to w; without it nothing is logged.
func WithLog(w io.Writer) Option {
	return func(b *Broker) { b.logger = slog.New(slog.NewTextHandler(w, nil)) }
}

// Start runs a broker until the test ends. It has what a new data directory
// has: vhost "/" and user guest, password guest.
func Start(tb testing.TB, opts ...Option) *Broker {
	tb.Helper()
	b := &Broker{t: tb, logger: slog.New(slog.DiscardHandler), disk: vfs.NewMem()}
	for _, o := range opts {
		o(b)
	}
	b.start()
	tb.Cleanup(b.Stop)
	return b
}

func (b *Broker) start() {
	b.t.Helper()
	st, err := server.OpenTestStorage(b.disk, b.logger)
	if err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	s, err := server.Open(server.Options{
		Logger: b.logger, Storage: st, Version: "test", ClusterName: "warrentest", Heartbeat: 60,
		MaxMessageSize: 16 << 20, Address: "warren.test:5672",
	})
	if err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	b.mu.Lock()
	b.server = s
	b.mu.Unlock()
}

// Stop ends the broker: connections are told and closed. It is called by the
// test's end and may be called before.
func (b *Broker) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := b.node().Close(ctx); err != nil {
		b.t.Errorf("warrentest: %v", err)
	}
}

// Restart stops the broker and starts it again on the same data: durable
// definitions and persistent messages are there again.
func (b *Broker) Restart() {
	b.t.Helper()
	b.Stop()
	b.start()
}

func (b *Broker) node() *server.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.server
}

// URL returns the URL of vhost "/" for user guest. Its host is none: use Dial.
func (b *Broker) URL() string { return "amqp://guest:guest@warren.test:5672/" }

// Dial connects to the broker, whatever the address says. It has the form
// that amqp091.Config.Dial wants.
func (b *Broker) Dial(string, string) (net.Conn, error) {
	client, node, err := pair()
	if err != nil {
		return nil, err
	}
	if !b.node().Go(node) {
		return nil, errors.Join(errors.New("warrentest: the broker is stopped"), client.Close(), node.Close())
	}
	return client, nil
}

// pair returns both ends of a connection inside this process.
func pair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "warrentest")
		ends[i], err = net.FileConn(f)
		_ = f.Close() // FileConn has a copy
		if err != nil {
			return nil, nil, err
		}
	}
	return ends[0], ends[1], nil
}

// Listen opens a port on loopback for clients that need one and returns its
// address, host:port.
func (b *Broker) Listen() string {
	b.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	s := b.node()
	go func() { _ = s.ServeAMQP(l) }() // ends with the server
	return l.Addr().String()
}

// Manage makes a request to the HTTP API as the node's owner, who may do
// everything: Manage("PUT", "/api/policies/%2F/p", `{"pattern": …}`).
func (b *Broker) Manage(method, path, body string) (status int, answer string) {
	b.t.Helper()
	req := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	rec := httptest.NewRecorder()
	b.node().OwnerHandler().ServeHTTP(rec, req)
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

// Tenant is a cluster with one vhost and one role that may produce and consume.
type Tenant struct {
	Cluster string // id
	Vhost   string // as clients address it: id|name
	Role    string
	Key     string
}

// Tenant makes a cluster with a vhost and a role of the given names.
func (b *Broker) Tenant(cluster, vhost, role string) Tenant {
	b.t.Helper()
	store := b.node().Store()
	c, err := store.CreateCluster(cluster, "")
	if err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	ref := meta.VhostRef{Cluster: c.ID, Name: vhost}
	if _, err = store.CreateVhost(ref, meta.VhostOptions{}); err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	_, key, err := store.CreateRole(c.ID, role, meta.RoleOptions{})
	if err == nil {
		err = store.Grant(ref, role, auth.Grant{Produce: true, Consume: true})
	}
	if err != nil {
		b.t.Fatalf("warrentest: %v", err)
	}
	return Tenant{Cluster: c.ID, Vhost: c.ID + "|" + vhost, Role: role, Key: key}
}
