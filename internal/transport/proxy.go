package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The PROXY protocol (haproxy.org/download/3.0/doc/proxy-protocol.txt). Version 1 is a line, of at
// most 107 bytes:
//
//	PROXY TCP4 192.0.2.1 198.51.100.2 56324 5672\r\n
//
// Version 2 is 12 bytes of signature, then version and command, family and transport, a length of
// two bytes, and that many bytes: addresses, ports, extensions.
const (
	maxProxyLine = 107
	// maxProxyBody bounds a version 2 header; addresses take at most 216 bytes of it.
	maxProxyBody = 4096
)

var proxySignature = []byte("\r\n\r\n\x00\r\nQUIT\n")

var errProxyHeader = errors.New("the load balancer did not send a header")

// proxied is a connection whose addresses a load balancer has told.
type proxied struct {
	net.Conn

	remote, local net.Addr
}

// RemoteAddr is the address of the client.
func (p *proxied) RemoteAddr() net.Addr { return p.remote }

// LocalAddr is the address that the client connected to.
func (p *proxied) LocalAddr() net.Addr { return p.local }

// proxiedTCP is proxied and keeps what a TCP socket can do besides.
type proxiedTCP struct {
	*net.TCPConn

	remote, local net.Addr
}

// RemoteAddr is the address of the client.
func (p *proxiedTCP) RemoteAddr() net.Addr { return p.remote }

// LocalAddr is the address that the client connected to.
func (p *proxiedTCP) LocalAddr() net.Addr { return p.local }

// readProxy reads the header and not a byte more.
func readProxy(nc net.Conn) (net.Conn, error) {
	var begin [12]byte // as long as the signature, and shorter than any line
	if _, err := io.ReadFull(nc, begin[:]); err != nil {
		return nil, err
	}
	var remote, local netip.AddrPort
	var err error
	switch {
	case bytes.Equal(begin[:], proxySignature):
		remote, local, err = readProxy2(nc)
	case bytes.HasPrefix(begin[:], []byte("PROXY ")):
		remote, local, err = readProxy1(nc, begin[:])
	default:
		err = errProxyHeader
	}
	if err != nil || !remote.IsValid() { // a health check of the load balancer's own
		return nc, err
	}
	r, l := net.TCPAddrFromAddrPort(remote), net.TCPAddrFromAddrPort(local)
	if tcp, ok := nc.(*net.TCPConn); ok {
		return &proxiedTCP{tcp, r, l}, nil
	}
	return &proxied{nc, r, l}, nil
}

func readProxy1(nc net.Conn, begin []byte) (remote, local netip.AddrPort, err error) {
	line := append(make([]byte, 0, maxProxyLine), begin...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyLine {
			return remote, local, fmt.Errorf("the line is longer than %d bytes", maxProxyLine)
		}
		line = line[:len(line)+1]
		if _, err := io.ReadFull(nc, line[len(line)-1:]); err != nil {
			return remote, local, err
		}
	}
	words := strings.Split(strings.TrimSuffix(string(line), "\r\n"), " ")
	if words[1] == "UNKNOWN" {
		return remote, local, nil
	}
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return remote, local, fmt.Errorf("the line %q is not understood", line)
	}
	if remote, err = endpoint(words[2], words[4]); err == nil {
		local, err = endpoint(words[3], words[5])
	}
	return remote, local, err
}

func endpoint(address, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is not a port", port)
	}
	return netip.AddrPortFrom(a.WithZone(""), uint16(n)), nil
}

func readProxy2(nc net.Conn) (remote, local netip.AddrPort, err error) {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return remote, local, err
	}
	n := int(binary.BigEndian.Uint16(head[2:]))
	if head[0]>>4 != 2 || n > maxProxyBody {
		return remote, local, fmt.Errorf("version %d with %d bytes is not understood", head[0]>>4, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(nc, body); err != nil {
		return remote, local, err
	}
	const commandLocal, commandProxy, tcp4, tcp6 = 0, 1, 0x11, 0x21
	switch command := head[0] & 0xf; {
	case command == commandLocal:
		return remote, local, nil
	case command != commandProxy:
		return remote, local, fmt.Errorf("command %d is not understood", command)
	}
	var size int
	switch head[1] {
	case tcp4:
		size = 4
	case tcp6:
		size = 16
	default: // a family that has no addresses for us
		return remote, local, nil
	}
	if len(body) < 2*size+4 {
		return remote, local, fmt.Errorf("%d bytes are too few for addresses", len(body))
	}
	from, _ := netip.AddrFromSlice(body[:size])
	to, _ := netip.AddrFromSlice(body[size : 2*size])
	ports := body[2*size:]
	return netip.AddrPortFrom(from, binary.BigEndian.Uint16(ports)), netip.AddrPortFrom(to, binary.BigEndian.Uint16(ports[2:])), nil
}
