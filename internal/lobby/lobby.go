// Package lobby serves TCP connections while they are young: many of them by one goroutine.
//
// A client that opens a connection and closes it soon costs Go's net as much as what it asks for: the
// scheduler is told of each accept and close, wakes its monitor for them, and hands each answer to
// another thread. Here a room accepts, reads, writes and closes without telling it. A room is a
// goroutine and an epoll(7), which itself lies in the runtime's poller. Each connection's handler is a
// coroutine: it is written as if it could wait, and when it waits for its client the room goes on with
// another one.
//
// A connection that has work to do leaves: its handler returns what is to serve it further, and that runs
// in a goroutine of its own, with the socket in the runtime's poller. A handler must not do anything long
// before; [Conn.Busy] is for what cannot be put off.
//
// Owners. A Conn's coroutine is driven by one goroutine at a time, which its state tells: whoever makes it
// running. The table of a room and the number of users of a socket have locks, which are held briefly.
package lobby

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handler serves a connection until it ends, and returns nil, or what is to go on with it in a goroutine
// of its own. It closes the connection, if it returns nil.
type Handler func(c *Conn) (rest func())

// Options are what a Lobby is made of.
type Options struct {
	Handle Handler
	// Go runs what a handler has returned in a goroutine.
	Go func(rest func())
	// Failed is told why no connection could be accepted; the lobby tries again in a moment.
	Failed func(error)
	// Rooms is how many goroutines there are at most that serve; the first does as long as there is no crowd.
	Rooms int
}

// Lobby accepts connections and serves them while they are young.
type Lobby struct {
	listener int
	rooms    []*room
	closed   atomic.Bool
}

// New takes a listener over, which it closes: the Lobby has one of its own for the same socket.
func New(l *net.TCPListener, o Options) (*Lobby, error) {
	fd, err := duplicate(l)
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.Addr(), err)
	}
	_ = l.Close()
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // what it accepts has it from it
	b := &Lobby{listener: fd}
	var r *room
	for range max(o.Rooms, 1) {
		if r, err = newRoom(fd, &b.closed, &o, r); err != nil {
			break
		}
		b.rooms = append(b.rooms, r)
	}
	if err == nil {
		r.first = true
		err = r.listen()
	}
	if err != nil {
		b.end()
		return nil, fmt.Errorf("listener %s: %w", l.Addr(), err)
	}
	return b, nil
}

// duplicate returns a descriptor of the listener that the runtime's poller knows nothing of.
func duplicate(l *net.TCPListener) (fd int, err error) {
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	var bad error
	err = raw.Control(func(of uintptr) { fd, bad = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	if err == nil {
		err = bad
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	return fd, err
}

// Serve accepts and serves until the Lobby is closed and the connections that are young then are gone or
// have left.
func (b *Lobby) Serve() {
	var rooms sync.WaitGroup
	for _, r := range b.rooms {
		rooms.Go(r.run)
	}
	rooms.Wait()
	b.end()
}

// Close has the Lobby accept no more. It returns at once.
func (b *Lobby) Close() error {
	b.closed.Store(true)
	for _, r := range b.rooms {
		r.knock()
	}
	return nil
}

// end gives the descriptors back.
func (b *Lobby) end() {
	for _, r := range b.rooms {
		_ = r.epoll.Close()
	}
	_ = unix.Close(b.listener)
}
