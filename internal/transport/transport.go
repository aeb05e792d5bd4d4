// Package transport is what lies between a socket and AMQP: the PROXY protocol, TLS with
// certificates that change while the node serves, and WebSocket.
//
// A connection is opened in its own goroutine and within the deadline that was set on it: nothing
// here keeps the accept loop, and nothing reads further than it has to.
package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Layers are what connections of one listener come wrapped in. The zero value: nothing.
type Layers struct {
	// Proxies are the addresses of load balancers that begin each connection with a PROXY protocol
	// header. Only from them is it taken, and from them it must come.
	Proxies []netip.Prefix
	// TLS, if not nil, encrypts.
	TLS *Certificates
}

// Open takes the layers off a connection that was accepted. The connection is the caller's to close
// when it fails.
func (l *Layers) Open(ctx context.Context, nc net.Conn) (net.Conn, error) {
	if l.proxied(nc) {
		var err error
		if nc, err = readProxy(nc); err != nil {
			return nil, fmt.Errorf("PROXY protocol: %w", err)
		}
	}
	if l.TLS == nil {
		return nc, nil
	}
	secure := tls.Server(nc, l.TLS.Config())
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// proxied reports whether nc comes from a load balancer.
func (l *Layers) proxied(nc net.Conn) bool {
	if len(l.Proxies) == 0 {
		return false
	}
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	from := tcp.AddrPort().Addr().Unmap()
	for _, p := range l.Proxies {
		if p.Contains(from) {
			return true
		}
	}
	return false
}

// ParseProxies reads addresses and prefixes, separated by commas: "10.0.0.0/8, 127.0.0.1".
func ParseProxies(s string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(part)
		if err != nil {
			a, bad := netip.ParseAddr(part)
			if bad != nil {
				return nil, fmt.Errorf("%q is neither an address nor a prefix such as 10.0.0.0/8", part)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		list = append(list, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
	}
	return list, nil
}
