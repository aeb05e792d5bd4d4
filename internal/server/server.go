// Package server is the composition root: it opens the definitions, builds
// the broker from them, and serves connections until it is told to stop.
package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/mgmt"
	"github.com/warrenmq/warren/internal/session"
	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/transport"
)

// Options are what a Server is made of.
type Options struct {
	Logger *slog.Logger
	// Storage is where things are kept; nil: in memory. The server closes it.
	Storage *storage.Store
	// Failed is told that the node cannot go on, why, and has to end.
	Failed func(error)
	// Now is the clock; nil: the system's.
	Now func() time.Time
	// Version and ClusterName are told to clients.
	Version, ClusterName string
	Heartbeat            int    // seconds
	MaxMessageSize       int    // bytes
	MemoryLimit          int64  // bytes of messages; 0: none
	HotWindow            int64  // bytes of messages, see broker.Options
	MaxConnections       int    // 0: no limit
	Address              string // host:port that clients are told
	Data                 string // the data directory, to show; empty: none
	// Effective is the configuration, to show.
	Effective map[string]any
	// Export sends metrics to a collector of OpenTelemetry, if it has an endpoint.
	Export Export
	// CertificateLogin is the part of a client's certificate that names its role.
	CertificateLogin auth.CertificateLogin
}

// Server is one node.
type Server struct {
	opts     Options
	log      broker.Log
	store    *meta.Store
	broker   *broker.Broker
	registry *session.Registry
	config   session.Config

	work sync.WaitGroup // everything that Close waits for
	stop context.CancelFunc
	// ending ends when Close begins: half-open connections need not be waited for.
	ending context.Context //nolint:containedctx // the server's own life
	end    context.CancelFunc
	later  *later
	// revoked is what later does not wait with.
	revoked *revoked
	api     *mgmt.API
	seats   chan struct{} // one for each connection, nil: no limit
	drain   drain
	idle    chan func() // taken by those whose connection has ended

	mu        sync.Mutex // guards what follows
	listeners []io.Closer
	web       []*http.Server
	places    []mgmt.Listener // where the node listens, to show
	closed    bool
	// certificates are those that clients are shown.
	certificates []*transport.Certificates
}

// Open builds a node: what the definitions hold is there when it returns.
func Open(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // this is where the clock comes from
	}
	var definitions meta.Log = &meta.MemoryLog{}
	var log broker.Log = broker.MemoryLog{}
	var backlog broker.Backlog
	if o.Storage != nil {
		definitions, log, backlog = o.Storage.Definitions(), o.Storage, o.Storage
	}
	store, err := meta.Open(meta.Options{Log: definitions, Now: o.Now, Rand: rand.Reader, Logger: o.Logger, Failed: o.Failed})
	if err != nil {
		return nil, fmt.Errorf("definitions: %w", err)
	}
	if o.Storage != nil {
		store.RaiseUID(o.Storage.LastUID())
	}
	s := &Server{opts: o, log: log, store: store, registry: session.NewRegistry(), later: newLater(), revoked: newRevoked(), idle: make(chan func())}
	s.ending, s.end = context.WithCancel(context.Background())
	if o.MaxConnections > 0 {
		s.seats = make(chan struct{}, o.MaxConnections)
	}
	s.broker = broker.New(broker.Options{
		Definitions: store, Log: log, Backlog: backlog, NextUID: store.NextUID, MemoryLimit: o.MemoryLimit,
		HotWindow: o.HotWindow, Failed: o.Failed, Now: o.Now, Logger: o.Logger,
	})
	if s.api, err = s.newAPI("localhost"); err != nil {
		return nil, err
	}
	if err := s.restore(); err != nil {
		return nil, err
	}
	s.config = session.Config{
		Broker: s.broker, Authority: store, Registry: s.registry, Logger: o.Logger, Version: o.Version,
		CertificateLogin: o.CertificateLogin,
		ClusterName:      o.ClusterName, MaxMessageSize: uint64(o.MaxMessageSize), Heartbeat: uint16(o.Heartbeat), //nolint:gosec // validated by config
	}
	store.Watch(s.changed)
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.work.Go(func() { s.registry.Run(ctx) })
	s.work.Go(func() { s.tick(ctx) })
	s.work.Go(func() { s.broker.Relieve(ctx) })
	s.work.Go(func() { s.broker.ReadAhead(ctx) })
	s.work.Go(func() { s.broker.Expire(ctx) })
	s.work.Go(func() { s.later.run(ctx) })
	s.work.Go(func() { s.revoked.run(ctx, s.registry) })
	s.export(ctx)
	return s, nil
}

// Load takes in a file of definitions; see mgmt.API.Load.
func (s *Server) Load(r io.Reader) (notes []string, err error) { return s.api.Load(r) }

// Store returns the definitions.
func (s *Server) Store() *meta.Store { return s.store }

// Broker returns the core.
func (s *Server) Broker() *broker.Broker { return s.broker }

// Registry returns the living connections.
func (s *Server) Registry() *session.Registry { return s.registry }

// Address returns what clients are told to connect to, host:port.
func (s *Server) Address() string { return s.opts.Address }

// Version returns the version that the node tells.
func (s *Server) Version() string { return s.opts.Version }

// restore builds the broker from the definitions and what is left of the
// messages.
func (s *Server) restore() error {
	if s.opts.Storage != nil {
		defer s.opts.Storage.Attach(s.broker, s.broker.Memory().Logged)
	}
	for _, c := range s.store.Clusters() {
		vhosts, err := s.store.Vhosts(c.ID)
		if err != nil {
			return fmt.Errorf("cluster %s: %w", c.ID, err)
		}
		for _, v := range vhosts {
			if err := s.restoreVhost(c, v); err != nil {
				return fmt.Errorf("vhost %s of cluster %s: %w", v.Name, c.ID, err)
			}
		}
	}
	return nil
}

func (s *Server) restoreVhost(c meta.Cluster, v meta.Vhost) error {
	to := s.broker.AddVhost(v, wireName(c, v))
	exchanges, err := s.store.Exchanges(v.Ref())
	if err != nil {
		return err
	}
	queues, err := s.store.Queues(v.Ref())
	if err != nil {
		return err
	}
	bindings, err := s.store.Bindings(v.Ref())
	if err != nil {
		return err
	}
	policies, err := s.store.Policies(v.Ref())
	if err != nil {
		return err
	}
	to.RestorePolicies(plain(policies))
	for _, x := range exchanges {
		to.RestoreExchange(x, s.left(x.UID), s.left(x.Keys))
	}
	for _, q := range queues {
		to.RestoreQueue(q, s.left(q.UID), s.left(q.Waiting), s.left(q.Keys))
	}
	for _, b := range bindings {
		to.RestoreBinding(b)
	}
	return nil
}

// left returns what is left of the messages under a number.
func (s *Server) left(uid uint64) broker.Restored {
	if s.opts.Storage == nil || uid == 0 {
		return broker.Restored{}
	}
	return s.opts.Storage.Restore(uid)
}

// wireName is what clients call a vhost.
func wireName(c meta.Cluster, v meta.Vhost) string {
	if c.Default {
		return v.Name
	}
	return c.ID + "|" + v.Name
}

// tick lets the queues do what may wait, every second.
func (s *Server) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.broker.Tick()
			if n%history.Every == 0 {
				s.api.Sample()
			}
		}
	}
}

// Go serves one AMQP connection in the background; false: there is no room.
func (s *Server) Go(nc net.Conn) bool {
	return s.start(nc, func(nc net.Conn) { session.Serve(&s.config, nc) })
}

func (s *Server) serve(l net.Listener, f func(net.Conn)) error {
	if !s.listening(l) {
		return net.ErrClosed
	}
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			s.opts.Logger.Warn("connection not accepted", slog.String("error", err.Error()))
			time.Sleep(50 * time.Millisecond) //nolint:forbidigo // out of file descriptors: let some go
			continue
		}
		if !s.start(nc, f) {
			s.full()
			_ = nc.Close()
		}
	}
}

// full says that a connection is refused.
func (s *Server) full() {
	s.opts.Logger.Warn("connection refused: the node's connection limit is reached",
		slog.Int("max_connections", s.opts.MaxConnections))
}

// start runs f for a connection; false: there is no room.
func (s *Server) start(nc net.Conn, f func(net.Conn)) bool {
	if !s.seat() {
		return false
	}
	s.hand(func() { f(nc) })
	return true
}

// seat counts a connection; false: there is no room.
func (s *Server) seat() bool {
	if s.seats != nil {
		select {
		case s.seats <- struct{}{}:
		default:
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		if s.seats != nil {
			<-s.seats
		}
		return false
	}
	s.work.Add(1)
	return true
}

// vacate is called when a connection that has a seat has ended.
func (s *Server) vacate() {
	if s.seats != nil {
		<-s.seats
	}
	s.work.Done()
}

// hand serves a connection that has a seat in the background.
func (s *Server) hand(serve func()) {
	select {
	case s.idle <- serve:
	default:
		s.work.Go(func() { s.attend(serve) })
	}
}

// attendFor is how long a goroutine whose connection has ended waits for
// another: a new one would have to grow its stack again.
const attendFor = time.Second

// attend serves one connection after another until there is none.
func (s *Server) attend(serve func()) {
	for ok := true; ok; {
		serve()
		serve, ok = s.another()
	}
}

// another is called when a connection has ended, and waits for the next one;
// false: there is none. It is no part of attend, whose frame should be small:
// idle connections wait in it.
//
//go:noinline
func (s *Server) another() (serve func(), ok bool) {
	s.vacate()
	over := time.NewTimer(attendFor)
	defer over.Stop()
	select {
	case serve = <-s.idle:
		return serve, true
	case <-over.C:
	case <-s.ending.Done():
	}
	return nil, false
}

func (s *Server) listening(l io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return false
	}
	s.listeners = append(s.listeners, l)
	return true
}

// Close ends the node: no new connections, the present ones are told why and
// given until ctx ends, then everything is stored and released.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	s.end()
	s.closeHTTP(ctx)
	s.registry.Shutdown(ctx, "broker forced connection closure with reason 'shutdown'")
	s.stop()
	s.work.Wait()
	s.broker.Rest()
	return s.log.Close()
}
