package cli

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeepAlive: connections that are accepted notice that their peer is gone.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	ls := &listeners{}
	l, err := ls.tcp(t.Context(), "127.0.0.1:0", "--amqp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ls.close()
	var d net.Dialer
	peer, err := d.DialContext(context.Background(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = nc.Close() }()
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		t.Fatalf("accepted a %T", nc)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, o := range []struct{ level, name, want int }{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		} {
			if got, err := unix.GetsockoptInt(int(fd), o.level, o.name); err != nil || got != o.want {
				t.Errorf("option %d of level %d is %d, %v, want %d", o.name, o.level, got, err, o.want)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}
