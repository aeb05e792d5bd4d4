package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/metrics"
	"github.com/warrenmq/warren/internal/mgmt"
)

// Limits of the HTTP listeners.
const (
	httpHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpReadTimeout   = time.Minute
	httpHeaderBytes   = 64 << 10
)

func (s *Server) newAPI(host string) (*mgmt.API, error) {
	return mgmt.New(mgmt.Options{
		Store: s.store, Broker: s.broker, Registry: s.registry, Logger: s.opts.Logger, Version: s.opts.Version,
		Address: s.opts.Address, NodeName: "warren@" + host, Now: s.opts.Now,
		Applied: s.later.wait, ClusterName: s.opts.ClusterName, Data: s.opts.Data, MaxConnections: s.opts.MaxConnections,
		Listeners: s.listeningAt, Drainer: s, Effective: s.opts.Effective, Journal: s.journal(),
		Certificates: s.expiries, LoggedIn: loggedIn, MaxMessageSize: s.opts.MaxMessageSize,
	})
}

// journal tells what the journal takes; nil: there is none.
func (s *Server) journal() func() metrics.Journal {
	if s.opts.Storage == nil {
		return nil
	}
	return func() metrics.Journal {
		m := s.opts.Storage.Measure()
		return metrics.Journal{Disk: m.Disk, Bounds: m.Bounds, Counts: m.Counts, Sum: m.Sum}
	}
}

// listeningAt tells where the node listens.
func (s *Server) listeningAt() []mgmt.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.places)
}

// show notes that the node speaks a protocol at l.
func (s *Server) show(l net.Listener, protocol string, tls bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places = append(s.places, mgmt.Listener{Protocol: protocol, Address: l.Addr(), TLS: tls})
}

// ServeHTTP answers the HTTP API at l until the server is closed; callers log
// in.
func (s *Server) ServeHTTP(l net.Listener) error {
	s.show(l, "http", false)
	return s.serveHTTP(l, s.api.Handler(), false)
}

// ServeMetrics answers Prometheus' requests at l, without a login, until the
// server is closed.
func (s *Server) ServeMetrics(l net.Listener) error {
	s.show(l, "http/prometheus", false)
	return s.serveHTTP(l, s.api.MetricsHandler(), false)
}

// ServeOwner answers the HTTP API at a socket that only the owner of the data
// directory can open.
func (s *Server) ServeOwner(l net.Listener) error {
	return s.serveHTTP(l, s.api.OwnerHandler(), true)
}

// OwnerHandler is the HTTP API for the owner of the node, who need not log in.
func (s *Server) OwnerHandler() http.Handler { return s.api.OwnerHandler() }

// serveHTTP answers at l, as many as come if only the owner can.
func (s *Server) serveHTTP(l net.Listener, h http.Handler, owner bool) error {
	web := &http.Server{
		Handler: steady(h), ReadHeaderTimeout: httpHeaderTimeout, ReadTimeout: httpReadTimeout, IdleTimeout: httpIdleTimeout,
		MaxHeaderBytes: httpHeaderBytes, ErrorLog: slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
	if !owner {
		new(strangers).welcome(web)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		_ = l.Close()
		return net.ErrClosed
	}
	s.web = append(s.web, web)
	s.mu.Unlock()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// closeHTTP ends the HTTP listeners, letting requests finish until ctx ends.
func (s *Server) closeHTTP(ctx context.Context) {
	s.mu.Lock()
	web := s.web
	s.mu.Unlock()
	for _, w := range web {
		if w.Shutdown(ctx) != nil {
			_ = w.Close()
		}
	}
}
