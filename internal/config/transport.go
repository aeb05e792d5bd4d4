package config

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// TLS reports whether the node has a certificate.
func (c *Config) TLS() bool { return c.TLSCert != "" && c.TLSKey != "" }

// validateTransport says what is wrong with the listeners.
func (c *Config) validateTransport(wrong func(format string, a ...any)) {
	for key, address := range map[string]string{"amqps": c.AMQPS, "ws": c.WS, "wss": c.WSS} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			wrong("%s: %q is not host:port", key, address)
		}
	}
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		wrong("tls_cert, tls_key: give both or neither")
	case c.WSS != "" && !c.TLS():
		wrong("wss: it needs tls_cert and tls_key")
	case c.TLSClientCA != "" && !c.TLS():
		wrong("tls_client_ca: it needs tls_cert and tls_key")
	}
	if !slices.Contains([]string{"optional", "required"}, c.TLSClients) {
		wrong("tls_clients: %q is neither optional nor required", c.TLSClients)
	}
	if c.TLSClients == "required" && c.TLSClientCA == "" {
		wrong("tls_clients: certificates can only be required with tls_client_ca, which verifies them")
	}
	if !slices.Contains([]string{"cn", "dns", "email", "uri"}, c.TLSLogin) {
		wrong("tls_login: %q is none of cn, dns, email, uri", c.TLSLogin)
	}
	for key, list := range map[string]string{"amqp_proxies": c.AMQPProxies, "amqps_proxies": c.AMQPSProxies} {
		for part := range strings.SplitSeq(list, ",") {
			part = strings.TrimSpace(part)
			_, notAddress := netip.ParseAddr(part)
			if _, notPrefix := netip.ParsePrefix(part); part != "" && notAddress != nil && notPrefix != nil {
				wrong("%s: %q is neither an address nor a prefix such as 10.0.0.0/8", key, part)
			}
		}
	}
}
