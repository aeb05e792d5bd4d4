package lobby

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/warrenmq/warren/internal/rawio"
)

// Conn is an accepted connection. It is a net.Conn; the first write that the socket does not take at once,
// and everything after its handler has returned, is done by way of the runtime's poller.
type Conn struct {
	room        *room
	fd          int
	peer, local *net.TCPAddr

	run     *runner      // of who drives it, as watched
	watched bool         // the descriptor is in the room's epoll
	state   atomic.Int32 // see running
	ends    atomic.Bool  // the client has closed its side, or the socket has failed

	deadline atomic.Int64 // Unix time in nanoseconds, 0: none
	left     atomic.Pointer[file]

	mu     sync.Mutex // guards what follows
	users  int        // calls that use the descriptor outside of the poller
	closed bool
}

// file is a socket in the runtime's poller.
type file struct {
	*os.File

	raw syscall.RawConn
}

// States of a Conn's coroutine.
const (
	running int32 = iota // or over: nobody is to drive it
	woken                // running, and there is something new
	parked               // to be claimed by who drives it next
)

func newConn(r *room, fd int, peer *net.TCPAddr) *Conn {
	return &Conn{room: r, fd: fd, peer: peer, local: localOf(fd)}
}

// claim reports whether the caller is to drive the connection, because something has happened.
func (c *Conn) claim() bool {
	for {
		switch s := c.state.Load(); s {
		case woken:
			return false
		case running:
			if c.state.CompareAndSwap(running, woken) {
				return false
			}
		default:
			if c.state.CompareAndSwap(parked, running) {
				return true
			}
		}
	}
}

// park lets others drive the connection; false: something has happened meanwhile.
func (c *Conn) park() bool {
	if c.state.CompareAndSwap(running, parked) {
		return true
	}
	c.state.Store(running)
	return false
}

// wake is claim for other goroutines than the room's.
func (c *Conn) wake() {
	if c.claim() {
		go c.room.drive(c, false)
	}
}

// Busy is to be called by a handler before it does something that takes more than some microseconds: it
// goes on in another goroutine. When it waits for its client it comes back.
func (c *Conn) Busy() {
	if c.run != nil {
		c.run.yield(long)
	}
}

// Await is for a handler that has just read all that the socket held: it waits for more, which a read would
// have to find out. Those that have left do not wait here.
func (c *Conn) Await() error {
	if c.ends.Load() || c.Left() || !c.watched {
		return nil
	}
	return c.wait()
}

// wait has the handler wait for its client, or for the deadline.
func (c *Conn) wait() error {
	if c.late() {
		return os.ErrDeadlineExceeded
	}
	c.run.yield(waits)
	return nil
}

// watch has the room told of what comes; closed connections see that by themselves.
func (c *Conn) watch() {
	if c.watched || c.use() != nil {
		return
	}
	defer c.done()
	c.watched = true
	if control(c.room.fd, unix.EPOLL_CTL_ADD, c.fd, unix.EPOLLIN|unix.EPOLLRDHUP|edge) != nil {
		_ = c.Close()
	}
}

// Left reports whether the connection is in the runtime's poller: its handler is to return soon.
func (c *Conn) Left() bool { return c.left.Load() != nil }

// use is to be called before the descriptor is used, and done after it.
func (c *Conn) use() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.users++
	return nil
}

func (c *Conn) done() {
	c.mu.Lock()
	c.users--
	last := c.closed && c.users == 0
	c.mu.Unlock()
	if last {
		c.release()
	}
}

// release closes the socket; it is called once.
func (c *Conn) release() {
	if f := c.left.Load(); f != nil {
		_ = f.Close()
		return
	}
	c.room.forget(c)
	closeNow(c.fd)
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	last := c.users == 0
	c.mu.Unlock()
	switch f := c.left.Load(); {
	case last:
		c.release()
	case f != nil:
		_ = f.SetDeadline(time.Unix(0, 1)) // who uses it is not kept
	}
	c.wake()
	return nil
}

// leave brings the socket into the runtime's poller.
func (c *Conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.left.Load() != nil {
		return
	}
	_ = control(c.room.fd, unix.EPOLL_CTL_DEL, c.fd, 0) // it may not be there
	c.room.forget(c)
	f := &file{File: os.NewFile(uintptr(c.fd), "tcp")}
	f.raw, _ = f.SyscallConn() // of a file that is not nil there is always one
	c.left.Store(f)
	if at := c.deadline.Load(); at != 0 {
		_ = f.SetDeadline(time.Unix(0, at))
	}
}

// SyscallConn gives read, write and control of the descriptor. Their functions must not wait.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// rawConn implements syscall.RawConn.
type rawConn struct{ c *Conn }

// Control implements syscall.RawConn.
func (r rawConn) Control(f func(fd uintptr)) error {
	if err := r.c.use(); err != nil {
		return err
	}
	defer r.c.done()
	f(uintptr(r.c.fd))
	return nil
}

// Read implements syscall.RawConn. While the connection is young only its handler may call it.
func (r rawConn) Read(f func(fd uintptr) bool) error {
	c := r.c
	for {
		if in := c.left.Load(); in != nil {
			return c.why(in.raw.Read(f))
		}
		if ok, err := c.try(f); ok || err != nil {
			return err
		}
		if err := c.wait(); err != nil {
			return err
		}
	}
}

// try calls f once.
func (c *Conn) try(f func(fd uintptr) bool) (ok bool, err error) {
	if err := c.use(); err != nil {
		return false, err
	}
	defer c.done()
	return f(uintptr(c.fd)), nil
}

// why is an error of the poller as of a net.Conn.
func (c *Conn) why(err error) error {
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return err
}

// late reports whether the deadline is over.
func (c *Conn) late() bool {
	at := c.deadline.Load()
	return at != 0 && time.Now().UnixNano() >= at //nolint:forbidigo // a socket's deadline is wall-clock time
}

// Write implements syscall.RawConn. A handler must not have it wait.
func (r rawConn) Write(f func(fd uintptr) bool) error {
	c := r.c
	if c.left.Load() == nil {
		if ok, err := c.try(f); ok || err != nil {
			return err
		}
		c.leave()
		c.wake() // the handler waits there too
	}
	if in := c.left.Load(); in != nil {
		return c.why(in.raw.Write(f))
	}
	return net.ErrClosed
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (n int, err error) {
	return transfer(rawConn{c}.Read, rawio.Read, p)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = transfer(rawConn{c}.Write, rawio.Write, p[n:])
		n += k
	}
	return n, err
}

// transfer is one call to read or write, by way of what waits until it can be done.
func transfer(by func(func(uintptr) bool) error, call func(uintptr, []byte) (int, error), p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	var bad error
	err = by(func(fd uintptr) bool {
		n, bad = call(fd, p)
		return !errors.Is(bad, syscall.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, err
	case bad != nil:
		return 0, bad
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// SetDeadline implements net.Conn. While the connection is young it is up to sweepEvery late.
func (c *Conn) SetDeadline(t time.Time) error {
	at := int64(0)
	if !t.IsZero() {
		at = t.UnixNano()
	}
	c.deadline.Store(at)
	if in := c.left.Load(); in != nil {
		return in.SetDeadline(t)
	}
	if at != 0 {
		c.room.arm()
	}
	return nil
}

// SetReadDeadline implements net.Conn, when the connection has left.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if in := c.left.Load(); in != nil {
		return in.SetReadDeadline(t)
	}
	return os.ErrNoDeadline
}

// SetWriteDeadline implements net.Conn, when the connection has left.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if in := c.left.Load(); in != nil {
		return in.SetWriteDeadline(t)
	}
	return os.ErrNoDeadline
}

// SetLinger is SetLinger of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	l := unix.Linger{Onoff: 1, Linger: int32(sec)} //nolint:gosec // seconds
	if sec < 0 {
		l = unix.Linger{}
	}
	var bad error
	err := rawConn{c}.Control(func(fd uintptr) {
		bad = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &l)
	})
	return errors.Join(err, bad)
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.peer }
