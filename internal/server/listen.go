package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/warrenmq/warren/internal/metrics"
	"github.com/warrenmq/warren/internal/session"
	"github.com/warrenmq/warren/internal/transport"
)

// WebSocketPath is where AMQP over WebSocket is served.
const WebSocketPath = "/ws"

// ServeAMQP accepts connections from l until the server is closed.
func (s *Server) ServeAMQP(l net.Listener) error { return s.ServeLayered(l, transport.Layers{}) }

// ServeLayered is ServeAMQP for connections that come wrapped.
func (s *Server) ServeLayered(l net.Listener, layers transport.Layers) error {
	protocol := "amqp"
	if layers.TLS != nil {
		s.Presents(layers.TLS)
		protocol = "amqp/ssl"
	}
	s.show(l, protocol, layers.TLS != nil)
	if layers.TLS == nil && layers.Proxies == nil {
		if tcp, ok := l.(*net.TCPListener); ok {
			return s.serveYoung(tcp)
		}
		return s.serve(l, s.unlessDraining(func(nc net.Conn) { session.Serve(&s.config, nc) }))
	}
	return s.serve(l, s.unlessDraining(func(nc net.Conn) {
		if inner := s.unwrap(nc, &layers); inner != nil {
			session.Serve(&s.config, inner)
		}
	}))
}

// Presents notes that clients are shown certificates, so that the health check
// looks at when they end. ServeLayered does so by itself.
func (s *Server) Presents(c *transport.Certificates) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.certificates, c) {
		s.certificates = append(s.certificates, c)
	}
}

// expiries tells when certificates end: those that clients are shown and those
// that verify clients.
func (s *Server) expiries() (all []metrics.Certificate) {
	s.mu.Lock()
	list := slices.Clone(s.certificates)
	s.mu.Unlock()
	for _, c := range list {
		for _, e := range c.Expires() {
			if m := (metrics.Certificate{File: e.File, Clients: e.Clients, Until: e.At}); !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// unwrap takes the layers off a connection; nil: it was closed.
func (s *Server) unwrap(nc net.Conn, layers *transport.Layers) net.Conn {
	ctx, cancel := context.WithTimeout(s.ending, session.HandshakeTimeout)
	defer cancel()
	_ = nc.SetDeadline(time.Now().Add(session.HandshakeTimeout))              //nolint:forbidigo // a socket's deadline is wall-clock time
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Now()) }) //nolint:forbidigo // the same
	inner, err := layers.Open(ctx, nc)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		s.opts.Logger.Warn("connection refused", slog.String("peer", nc.RemoteAddr().String()), slog.String("error", err.Error()))
		_ = nc.Close()
		return nil
	}
	return inner
}

// ServeWebSocket serves AMQP over WebSocket at WebSocketPath until the server
// is closed.
func (s *Server) ServeWebSocket(l net.Listener) error {
	s.show(l, "http/web-amqp", false)
	mux := http.NewServeMux()
	mux.Handle(WebSocketPath, transport.WebSocket(func(nc net.Conn) {
		done := make(chan struct{})
		if !s.start(nc, func(nc net.Conn) {
			defer close(done)
			s.unlessDraining(func(nc net.Conn) { session.Serve(&s.config, nc) })(nc)
		}) {
			_ = nc.Close()
			return
		}
		<-done
	}))
	return s.serveHTTP(l, mux, false)
}
