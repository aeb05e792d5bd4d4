package session

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestOutput: what is borrowed comes out where it belongs, however little the socket takes at once.
func TestOutput(t *testing.T) {
	t.Parallel()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	peer, err := new(net.Dialer).DialContext(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok || tcp.SetWriteBuffer(4<<10) != nil {
		t.Fatal("no small buffer")
	}
	c := &Conn{nc: nc}
	if c.raw, err = tcp.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	var o output
	var want []byte
	for i, size := range []int{0, 1, borrowMin - 1, borrowMin, 3 * borrowMin, 40 * borrowMin, 2 * vecMax * borrowMin, 10, 5 * borrowMin} {
		body := bytes.Repeat([]byte{byte('a' + i)}, size)
		frames := (&amqp.Properties{}).AppendHeader(nil, 1, uint64(size))
		limit := uint32(10 * borrowMin)
		if i == 6 {
			limit = amqp.FrameMinSize // more places than one call takes
		}
		frames = amqp.AppendBody(frames, 1, body, limit)
		before := bytes.Clone(frames)
		o.buf = append(o.buf, "deliver"...)
		want = append(want, "deliver"...)
		if i == 5 {
			limit = 7 * borrowMin // the client takes less than the publisher sent
		}
		o.appendContent(frames, 9, limit)
		want = appendContent(want, frames, 9, limit)
		if !bytes.Equal(frames, before) {
			t.Fatalf("%d bytes: the message was changed", size)
		}
	}
	if len(o.borrowed) <= vecMax || o.left() != len(want) {
		t.Fatalf("%d borrowed, %d bytes of %d", len(o.borrowed), o.left(), len(want))
	}
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(peer)
		got <- b
	}()
	n, err := c.write(&o, false)
	if err != nil || n == len(want) {
		t.Fatalf("at once: %d, %v", n, err)
	}
	m, err := c.write(&o, true)
	if err != nil || n+m != len(want) || o.left() != 0 {
		t.Fatalf("then: %d of %d, %v", m, len(want)-n, err)
	}
	_ = nc.Close()
	if b := <-got; !bytes.Equal(b, want) {
		t.Error("other bytes came out")
	}
}
