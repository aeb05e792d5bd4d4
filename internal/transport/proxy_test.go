package transport

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// v2 makes a version 2 header.
func v2(command, family byte, body []byte) []byte {
	b := append(append([]byte{}, proxySignature...), 0x20|command, family)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

func TestReadProxy(t *testing.T) {
	t.Parallel()
	v4 := []byte{192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x16, 0x28}
	v6 := append(append(make([]byte, 0, 36), net.ParseIP("2001:db8::1")...), net.ParseIP("2001:db8::2")...)
	v6 = append(v6, 0xdc, 0x04, 0x16, 0x28)
	for name, c := range map[string]struct {
		header string
		remote string // "": the connection's own
		wrong  string
	}{
		"v1, IPv4":             {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 5672\r\n", "192.0.2.1:56324", ""},
		"v1, IPv6":             {"PROXY TCP6 2001:db8::1 2001:db8::2 56324 5672\r\n", "[2001:db8::1]:56324", ""},
		"v1, unknown":          {"PROXY UNKNOWN\r\n", "", ""},
		"v1, unknown and more": {"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "", ""},
		"v1, no address":       {"PROXY TCP4 somewhere 198.51.100.2 56324 5672\r\n", "", "unable to parse IP"},
		"v1, no port":          {"PROXY TCP4 192.0.2.1 198.51.100.2 99999 5672\r\n", "", `"99999" is not a port`},
		"v1, too short":        {"PROXY TCP4 192.0.2.1\r\n", "", "is not understood"},
		"v1, without an end":   {"PROXY TCP4 " + strings.Repeat("1", 200), "", "longer than 107 bytes"},
		"v2, IPv4":             {string(v2(1, 0x11, v4)), "192.0.2.1:56324", ""},
		"v2, IPv4 and more":    {string(v2(1, 0x11, append(v4[:12:12], 0x04, 0, 1, 0))), "192.0.2.1:56324", ""},
		"v2, IPv6":             {string(v2(1, 0x21, v6)), "[2001:db8::1]:56324", ""},
		"v2, local":            {string(v2(0, 0, nil)), "", ""},
		"v2, a socket file":    {string(v2(1, 0x31, make([]byte, 216))), "", ""},
		"v2, too short":        {string(v2(1, 0x11, v4[:5])), "", "too few for addresses"},
		"v2, too long":         {string(v2(1, 0x11, make([]byte, 5000))), "", "is not understood"},
		"v2, another command":  {string(v2(2, 0x11, v4)), "", "command 2 is not understood"},
		"AMQP":                 {"AMQP\x00\x00\x09\x01 and more", "", "did not send a header"},
		"nothing":              {"", "", "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, node := net.Pipe()
			_ = node.SetDeadline(time.Now().Add(20 * time.Second))
			go func() {
				_, _ = client.Write([]byte(c.header + "rest"))
				_ = client.Close()
			}()
			nc, err := readProxy(node)
			if c.wrong != "" || c.header == "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) && c.header != "" {
					t.Errorf("%v, want %s", err, c.wrong)
				}
				_ = node.Close()
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := nc.RemoteAddr().String(); got != c.remote && c.remote != "" {
				t.Errorf("from %s, want %s", got, c.remote)
			}
			if c.remote != "" && !strings.HasSuffix(nc.LocalAddr().String(), ":5672") {
				t.Errorf("to %s", nc.LocalAddr())
			}
			if b, err := io.ReadAll(nc); err != nil || string(b) != "rest" {
				t.Errorf("behind the header %q, %v", b, err)
			}
		})
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	list, err := ParseProxies("10.0.0.0/8, ::1 ,192.0.2.7")
	if err != nil || len(list) != 3 {
		t.Fatalf("%v, %v", list, err)
	}
	l := Layers{Proxies: list}
	for from, want := range map[string]bool{"10.1.2.3:1": true, "11.1.2.3:1": false, "[::1]:1": true, "[::2]:1": false, "192.0.2.7:1": true} {
		if got := l.proxied(&proxied{remote: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}); got != want {
			t.Errorf("%s: %t", from, got)
		}
	}
	if _, err := ParseProxies("10.0.0.0/8, here"); err == nil {
		t.Error("a name is taken")
	}
}

func FuzzReadProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.2 56324 5672\r\n"))
	f.Add(v2(1, 0x21, make([]byte, 36)))
	f.Fuzz(func(t *testing.T, header []byte) {
		client, node := net.Pipe()
		go func() {
			_, _ = client.Write(header)
			_ = client.Close()
		}()
		if nc, err := readProxy(node); err == nil {
			_ = nc.RemoteAddr()
		}
		_ = node.Close()
	})
}
