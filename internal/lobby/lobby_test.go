package lobby

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// hall is a lobby under test.
type hall struct {
	*Lobby

	address string
	over    chan struct{} // closed when Serve has returned
	failed  atomic.Int64
}

func open(t *testing.T, rooms int, handle Handler) *hall {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, _ := l.(*net.TCPListener)
	h := &hall{address: l.Addr().String(), over: make(chan struct{})}
	h.Lobby, err = New(tcp, Options{
		Handle: handle, Go: func(rest func()) { go rest() }, Failed: func(error) { h.failed.Add(1) }, Rooms: rooms,
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		h.Serve()
		close(h.over)
	}()
	t.Cleanup(func() {
		_ = h.Close()
		within(t, "Serve returns", h.over)
	})
	return h
}

// within waits for something that is to come.
func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("not within 20 s: %s", what)
	}
}

func (h *hall) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a line and returns the answer of as many bytes.
func ask(t *testing.T, c net.Conn, line string) string {
	t.Helper()
	if _, err := c.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, len(line))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// echo answers in upper case until the client closes, or says "work": then what it returns does.
func echo(c *Conn) func() {
	if shout(c) {
		return func() {
			defer func() { _ = c.Close() }()
			shout(c)
		}
	}
	_ = c.Close()
	return nil
}

func shout(c *Conn) (works bool) {
	b := make([]byte, 512)
	for {
		if err := c.Await(); err != nil {
			return false
		}
		n, err := c.Read(b)
		if err != nil {
			return false
		}
		if _, err := c.Write(bytes.ToUpper(b[:n])); err != nil {
			return false
		}
		if string(b[:n]) == "work" {
			return true
		}
	}
}

func TestEcho(t *testing.T) {
	t.Parallel()
	h := open(t, 2, echo)
	before := descriptors(t)
	for range 20 {
		var clients sync.WaitGroup
		for i := range 16 {
			c := h.dial(t)
			clients.Go(func() {
				for _, line := range []string{"hello", "again", []string{"x", "work"}[i%2], "more", "and more"} {
					if got, want := ask(t, c, line), string(bytes.ToUpper([]byte(line))); got != want {
						t.Errorf("answered %q, want %q", got, want)
					}
				}
				if i%3 == 0 {
					_ = c.(*net.TCPConn).SetLinger(0) //nolint:forcetypeassert // it is one
				}
				_ = c.Close()
			})
		}
		clients.Wait()
	}
	for deadline := time.Now().Add(20 * time.Second); descriptors(t) > before+4; {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors before and %d after", before, descriptors(t))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// descriptors is how many this process has open, of all tests that run.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	got := make(chan [2]string, 1)
	h := open(t, 1, func(c *Conn) func() {
		got <- [2]string{c.RemoteAddr().String(), c.LocalAddr().String()}
		_ = c.Close()
		return nil
	})
	c := h.dial(t)
	if a, want := <-got, [2]string{c.LocalAddr().String(), c.RemoteAddr().String()}; a != want {
		t.Errorf("addresses %v, want %v", a, want)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end", err)
	}
}

// TestNoDelay: an answer is not kept back until the client has confirmed the one before.
func TestNoDelay(t *testing.T) {
	t.Parallel()
	set := make(chan int, 1)
	h := open(t, 1, func(c *Conn) func() {
		_ = rawConn{c}.Control(func(fd uintptr) {
			on, _ := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
			set <- on
		})
		return nil
	})
	h.dial(t)
	if on := <-set; on == 0 {
		t.Error("TCP_NODELAY is not set")
	}
}

// TestDeadline: a deadline ends the wait of a young connection and of one that has left, and one that is
// taken back does not.
func TestDeadline(t *testing.T) {
	t.Parallel()
	errs := make(chan error, 2)
	wait := func(c *Conn) {
		_ = c.SetDeadline(time.Now().Add(time.Hour))
		_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		errs <- err
		_ = c.SetDeadline(time.Time{})
	}
	h := open(t, 1, func(c *Conn) func() {
		wait(c)
		return func() {
			wait(c)
			echo(c)
		}
	})
	c := h.dial(t)
	for range 2 {
		if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read ended with %v", err)
		}
	}
	if got := ask(t, c, "alive"); got != "ALIVE" {
		t.Errorf("answered %q", got)
	}
}

// TestClose: others close a connection whose handler waits, young or not.
func TestClose(t *testing.T) {
	t.Parallel()
	conns, errs := make(chan *Conn), make(chan error, 1)
	read := func(c *Conn) {
		conns <- c
		_, err := c.Read(make([]byte, 1))
		errs <- err
	}
	h := open(t, 1, func(c *Conn) func() {
		b := make([]byte, 1)
		if _, err := c.Read(b); err != nil {
			t.Error(err)
		}
		if b[0] == 'w' {
			return func() { read(c) }
		}
		read(c)
		return nil
	})
	for _, first := range []string{"y", "w"} {
		client := h.dial(t)
		if _, err := client.Write([]byte(first)); err != nil {
			t.Fatal(err)
		}
		if err := (<-conns).Close(); err != nil {
			t.Error(err)
		}
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: read ended with %v", first, err)
		}
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: the client reads %v", first, err)
		}
	}
}

// TestBusy: while one handler is busy the others are served, and it waits like them afterwards.
func TestBusy(t *testing.T) {
	t.Parallel()
	resume := make(chan struct{})
	h := open(t, 1, func(c *Conn) func() {
		b := make([]byte, 4)
		_, _ = io.ReadFull(c, b)
		if string(b) == "busy" {
			c.Busy()
			<-resume
		}
		_, _ = c.Write(b)
		return echo(c)
	})
	first := h.dial(t)
	if _, err := first.Write([]byte("busy")); err != nil {
		t.Fatal(err)
	}
	second := h.dial(t)
	if got := ask(t, second, "idle"); got != "idle" {
		t.Errorf("answered %q", got)
	}
	close(resume)
	b := make([]byte, 4)
	if _, err := io.ReadFull(first, b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{first, second} {
		if got := ask(t, c, "then"); got != "THEN" {
			t.Errorf("answered %q", got)
		}
	}
}

// TestFull: somebody else writes more to a young connection than its socket takes. The connection leaves, and
// its handler goes on reading.
func TestFull(t *testing.T) {
	t.Parallel()
	const size = 16 << 20
	conns := make(chan *Conn)
	h := open(t, 1, func(c *Conn) func() {
		conns <- c
		return echo(c)
	})
	client := h.dial(t)
	c := <-conns
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(make([]byte, size))
		wrote <- err
	}()
	if n, err := io.CopyN(io.Discard, client, size); err != nil {
		t.Fatalf("%d of %d bytes came: %v", n, size, err)
	}
	if err := <-wrote; err != nil {
		t.Fatal(err)
	}
	if !c.Left() {
		t.Error("it is still young")
	}
	if got := ask(t, client, "hello"); got != "HELLO" {
		t.Errorf("answered %q", got)
	}
}

// TestEnd: a lobby that is closed accepts no more, and those that are young stay until they end.
func TestEnd(t *testing.T) {
	t.Parallel()
	h := open(t, 2, echo)
	c := h.dial(t)
	if got := ask(t, c, "hello"); got != "HELLO" {
		t.Errorf("answered %q", got)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, c, "still"); got != "STILL" {
		t.Errorf("answered %q", got)
	}
	select {
	case <-h.over:
		t.Error("Serve returned while one is there")
	default:
	}
	_ = c.Close()
	within(t, "Serve returns", h.over)
	if _, err := new(net.Dialer).DialContext(t.Context(), "tcp", h.address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialed a closed lobby: %v", err)
	}
}

// TestCrowd: with many ready at once the next room accepts too, and stops when there is no crowd any more.
func TestCrowd(t *testing.T) {
	t.Parallel()
	held, free := make(chan struct{}), make(chan struct{})
	h := open(t, 2, func(c *Conn) func() {
		b := make([]byte, 4)
		_, _ = io.ReadFull(c, b)
		if string(b) == "hold" { // the room: what no handler may do
			held <- struct{}{}
			<-free
		}
		_, _ = c.Write(b)
		return echo(c)
	})
	next := h.rooms[0]
	clients := make([]net.Conn, crowd)
	for i := range clients {
		clients[i] = h.dial(t)
		if got := ask(t, clients[i], "here"); got != "here" {
			t.Fatalf("answered %q", got)
		}
	}
	if next.first || next.accepts.Load() {
		t.Fatal("the second room accepts without a crowd")
	}
	last := h.dial(t)
	if _, err := last.Write([]byte("hold")); err != nil {
		t.Fatal(err)
	}
	within(t, "the room is held", held)
	for _, c := range clients {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	close(free)
	for _, is := range []bool{true, false} {
		for deadline := time.Now().Add(20 * time.Second); next.accepts.Load() != is; {
			if time.Now().After(deadline) {
				t.Fatalf("the second room accepts: %v, want %v", !is, is)
			}
			time.Sleep(sweepEvery / 20)
		}
	}
}

// TestFailed: a lobby that cannot accept says so and tries again.
func TestFailed(t *testing.T) {
	t.Parallel()
	h := open(t, 1, echo)
	if err := syscall.Shutdown(h.listener, syscall.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); h.failed.Load() < 3; {
		if time.Now().After(deadline) {
			t.Fatalf("told %d times", h.failed.Load())
		}
		time.Sleep(10 * time.Millisecond)
	}
}
