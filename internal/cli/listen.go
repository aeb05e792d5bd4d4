package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/transport"
)

// listener is one place where a node listens, and what it does there.
type listener struct {
	net.Listener

	serve func(s *server.Server, l net.Listener) error
}

// listeners are what a node listens on.
type listeners struct {
	list       []listener
	amqp, http net.Listener            // those that people are told of; http may be nil
	passed     map[string]net.Listener // by the service manager and not used yet
}

// listenAll opens all listeners or none. Of those that the service manager has
// passed each takes the place of the one of its name; one without a name is
// for AMQP.
func listenAll(ctx context.Context, c *config.Config, log *slog.Logger, passed map[string]net.Listener) (ls *listeners, err error) {
	ls = &listeners{passed: passed}
	defer func() {
		if err == nil {
			err = ls.allUsed()
		}
		if err != nil {
			ls.close()
		}
	}()
	plain := layered(transport.Layers{}, c.AMQPProxies) //nolint:contextcheck // connections live as long as the server
	if ls.amqp, err = ls.tcp(ctx, c.AMQP, "--amqp", plain); err != nil {
		return ls, err
	}
	if c.HTTP != "" {
		if ls.http, err = ls.tcp(ctx, c.HTTP, "--http", (*server.Server).ServeHTTP); err != nil {
			return ls, err
		}
	}
	if err = ls.metrics(ctx, c, log); err != nil {
		return ls, err
	}
	if c.WS != "" {
		if _, err = ls.tcp(ctx, c.WS, "--ws", (*server.Server).ServeWebSocket); err != nil {
			return ls, err
		}
	}
	if err = ls.secure(ctx, c, log); err != nil {
		return ls, err
	}
	for name, serve := range map[string]func(*server.Server, net.Listener) error{
		server.SocketName: (*server.Server).ServeOwner, server.AMQPSocketName: (*server.Server).ServeOwnerAMQP,
	} {
		l, err := server.ListenSocket(ctx, c.Data, name)
		if err != nil {
			return ls, err
		}
		ls.list = append(ls.list, listener{l, serve})
	}
	return ls, nil
}

// allUsed says that the service manager has passed what nobody asked for.
func (ls *listeners) allUsed() error {
	if len(ls.passed) == 0 {
		return nil
	}
	return fmt.Errorf("the service manager passes sockets that nothing here is called like: %s; name them amqp, amqps, http, metrics, ws or wss",
		strings.Join(slices.Sorted(maps.Keys(ls.passed)), ", "))
}

// metrics opens the listener for metrics. That of RabbitMQ's port is a wish:
// several nodes may be on one machine.
func (ls *listeners) metrics(ctx context.Context, c *config.Config, log *slog.Logger) error {
	if c.Metrics == "" {
		return nil
	}
	_, err := ls.tcp(ctx, c.Metrics, "--metrics", (*server.Server).ServeMetrics)
	if err != nil && c.Metrics == config.DefaultMetrics {
		log.Warn("no listener for metrics; they are at the address of the HTTP API too", slog.String("error", err.Error()))
		return nil
	}
	return err
}

// secure opens the listeners with TLS, if the node has a certificate.
func (ls *listeners) secure(ctx context.Context, c *config.Config, log *slog.Logger) error {
	if !c.TLS() {
		return nil
	}
	certificates, err := transport.Load(transport.Files{
		Certificate: c.TLSCert, Key: c.TLSKey, ClientCA: c.TLSClientCA, Clients: transport.ClientAuth(c.TLSClients),
	}, time.Now, log) //nolint:forbidigo // this is where the clock comes from
	if err != nil {
		return err
	}
	if c.AMQPS != "" {
		serve := layered(transport.Layers{TLS: certificates}, c.AMQPSProxies) //nolint:contextcheck // the same
		if _, err = ls.tcp(ctx, c.AMQPS, "--amqps", serve); err != nil {
			return err
		}
	}
	if c.WSS != "" {
		_, err = ls.tcp(ctx, c.WSS, "the key wss", func(s *server.Server, l net.Listener) error { //nolint:contextcheck // the same
			s.Presents(certificates)
			return s.ServeWebSocket(tls.NewListener(l, certificates.Config()))
		})
	}
	return err
}

// layered serves AMQP in layers, behind load balancers if there are any.
func layered(layers transport.Layers, proxies string) func(*server.Server, net.Listener) error {
	layers.Proxies, _ = transport.ParseProxies(proxies) // Validate saw to it
	return func(s *server.Server, l net.Listener) error { return s.ServeLayered(l, layers) }
}

// tcp opens a listener; flag names the way to choose another address.
func (ls *listeners) tcp(
	ctx context.Context, address, flag string, serve func(*server.Server, net.Listener) error,
) (net.Listener, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(flag, "--"), "the key ")
	for _, given := range []string{name, map[bool]string{true: "", false: name}[name == "amqp"]} {
		if l := ls.passed[given]; l != nil {
			delete(ls.passed, given)
			ls.list = append(ls.list, listener{l, serve})
			return l, nil
		}
	}
	lc := net.ListenConfig{KeepAlive: -1, Control: keepAlive}
	lc.SetMultipathTCP(false) // nobody asks for it, and each accept costs more
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the address %s is in use by another program; stop it or choose another with %s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with %s", address, err, flag)
	}
	ls.list = append(ls.list, listener{l, serve})
	return l, nil
}

// keepAlive has dead peers noticed, as Go does for each connection that is
// accepted: connections have what their listener has.
func keepAlive(_, _ string, c syscall.RawConn) error {
	var err error
	bad := c.Control(func(fd uintptr) {
		for _, o := range [][3]int{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
		} {
			err = errors.Join(err, unix.SetsockoptInt(int(fd), o[0], o[1], o[2]))
		}
	})
	return errors.Join(bad, err)
}

func (ls *listeners) close() {
	for _, l := range ls.list {
		_ = l.Close()
	}
	for _, l := range ls.passed {
		_ = l.Close()
	}
}

// serve starts to serve on all of them; what ends one ends the node.
func (ls *listeners) serve(s *server.Server) <-chan error {
	failed := make(chan error, len(ls.list))
	for _, l := range ls.list {
		go func() { failed <- l.serve(s, l.Listener) }()
	}
	return failed
}
