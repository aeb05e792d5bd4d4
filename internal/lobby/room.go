package lobby

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// eventsMax is how many sockets are looked at between two looks at the epoll.
	eventsMax = 64
	// acceptMax is how many connections are accepted before those that are there get their turn.
	acceptMax = 16
	// idleRunners is how many coroutines without a connection a room keeps.
	idleRunners = 64
	// crowd is from how many sockets on that are ready at once a room has the next one accept too, until this
	// has not been so for a while. One room wakes fewer threads; several do more.
	crowd = 6
	// sweepEvery is how often deadlines are looked at while there are any, and by how much they are late.
	// After so long a room tries again to accept.
	sweepEvery = 100 * time.Millisecond
)

// room is one goroutine's connections.
type room struct {
	listener int
	closed   *atomic.Bool
	o        *Options
	fd       int // of epoll
	epoll    *os.File
	raw      syscall.RawConn // of epoll
	ready    [eventsMax]unix.EpollEvent
	accepts  atomic.Bool // the listener is in the epoll

	next    *room       // accepts when there is a crowd; nil: none does
	invited atomic.Bool // since the last sweep
	first   bool        // it always accepts

	armed atomic.Bool // a sweep is due

	mu      sync.Mutex // guards what follows
	young   map[int32]*Conn
	runners []*runner // without a connection
	left    bool      // the room's goroutine has gone
}

func newRoom(listener int, closed *atomic.Bool, o *Options, next *room) (*room, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	r := &room{listener: listener, closed: closed, o: o, fd: fd, next: next, young: map[int32]*Conn{}}
	if err = unix.SetNonblock(fd, true); err == nil {
		r.epoll = os.NewFile(uintptr(fd), "lobby") // not blocking: so it goes into the runtime's poller
		r.raw, err = r.epoll.SyscallConn()
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return r, nil
}

// listen has the room accept. The kernel wakes one room for a connection.
func (r *room) listen() error {
	if r.accepts.Swap(true) {
		return nil
	}
	err := control(r.fd, unix.EPOLL_CTL_ADD, r.listener, unix.EPOLLIN|unix.EPOLLEXCLUSIVE)
	if errors.Is(err, syscall.EEXIST) { // invited while its own goroutine deafened it
		err = nil
	}
	r.accepts.Store(err == nil)
	return err
}

// deafen has the room accept no more. Only its own goroutine calls it.
func (r *room) deafen() {
	if r.accepts.Load() {
		_ = control(r.fd, unix.EPOLL_CTL_DEL, r.listener, 0)
		r.accepts.Store(false)
	}
}

// invite has the next room accept for a while.
func (r *room) invite() {
	if n := r.next; n != nil && !n.invited.Swap(true) {
		_ = n.listen() // or this one does all
		n.arm()
	}
}

// run is the room's goroutine. Serving is what it does within a read of the epoll, which so waits for the
// next edge in the runtime's poller: a new read would forget the edges before it, and have to look first.
func (r *room) run() {
	for !r.over() {
		_ = r.raw.Read(r.serve) // ends at the deadline that was set for it
		r.sweep()
	}
	r.mu.Lock()
	idle := r.runners
	r.runners, r.left = nil, true
	r.mu.Unlock()
	for _, k := range idle {
		k.stop()
	}
}

// serve serves those that are ready; true: there is nobody left.
func (r *room) serve(fd uintptr) bool {
	for more := true; more; {
		n := wait(fd, &r.ready)
		more = n == len(r.ready)
		if n >= crowd {
			r.invite()
		}
		for i := range r.ready[:n] {
			e := &r.ready[i]
			if int(e.Fd) == r.listener {
				more = r.accept() || more
			} else if c := r.find(e.Fd); c != nil {
				if e.Events&^unix.EPOLLIN != 0 {
					c.ends.Store(true)
				}
				if c.claim() {
					r.drive(c, true)
				}
			}
		}
	}
	return r.closed.Load() && r.over()
}

// over reports whether the room is to be left: the lobby is closed and nobody is there.
func (r *room) over() bool {
	if !r.closed.Load() {
		return false
	}
	r.deafen()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.young) == 0
}

// knock has the room's goroutine look around.
func (r *room) knock() { _ = r.epoll.SetReadDeadline(time.Unix(0, 1)) }

// arm has the room look at the deadlines in a moment.
func (r *room) arm() {
	if r.armed.CompareAndSwap(false, true) {
		_ = r.epoll.SetReadDeadline(time.Now().Add(sweepEvery)) //nolint:forbidigo // a file's deadline is wall-clock time
	}
}

// sweep wakes the connections whose time is over. Whoever sets a deadline after the sweep has begun arms
// the next one; those set before are seen by this one.
func (r *room) sweep() {
	_ = r.epoll.SetReadDeadline(time.Time{})
	r.armed.Store(false)
	switch {
	case r.closed.Load():
	case !r.first && !r.invited.Swap(false):
		r.deafen()
	case r.listen() != nil || !r.first:
		r.arm()
	}
	now := time.Now().UnixNano() //nolint:forbidigo // a socket's deadline is wall-clock time
	var over []*Conn
	r.mu.Lock()
	for _, c := range r.young {
		switch at := c.deadline.Load(); {
		case at == 0:
		case at <= now:
			over = append(over, c)
		default:
			r.arm()
		}
	}
	r.mu.Unlock()
	for _, c := range over {
		if c.claim() {
			r.drive(c, true)
		}
	}
}

// accept takes the connections that wait; true: there may be more.
func (r *room) accept() bool {
	if r.closed.Load() {
		return false
	}
	for range acceptMax {
		fd, peer, err := accept(r.listener)
		switch {
		case err == nil:
			c := newConn(r, fd, peer)
			r.mu.Lock()
			r.young[int32(fd)] = c //nolint:gosec // a descriptor
			r.mu.Unlock()
			r.drive(c, true)
		case errors.Is(err, syscall.EAGAIN):
			return false
		case !errors.Is(err, syscall.ECONNABORTED):
			r.o.Failed(fmt.Errorf("accept: %w", err))
			r.deafen()
			r.arm()
			return false
		}
	}
	return true
}

func (r *room) find(fd int32) *Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.young[fd]
}

// forget is called when a connection ends or leaves, while its descriptor is still open.
func (r *room) forget(c *Conn) {
	r.mu.Lock()
	delete(r.young, int32(c.fd)) //nolint:gosec // a descriptor
	last := len(r.young) == 0
	r.mu.Unlock()
	if last && r.closed.Load() {
		r.knock()
	}
}

// drive runs a connection that the caller has claimed until it waits for its client. The room itself hands
// one that will be long to another goroutine.
func (r *room) drive(c *Conn, here bool) {
	if c.run == nil {
		c.run = r.hire()
		c.run.conn = c
	}
	for {
		what, _ := c.run.next()
		switch what {
		case waits:
			if c.watch(); c.park() {
				return
			}
		case long:
			if here {
				go r.drive(c, false)
				return
			}
		case done:
			r.finish(c)
			return
		}
	}
}

// finish is what comes when a handler has returned. The connection's state stays running: nobody drives it
// again.
func (r *room) finish(c *Conn) {
	k := c.run
	rest := k.rest
	c.run, k.conn, k.rest = nil, nil, nil
	r.dismiss(k)
	if rest == nil {
		_ = c.Close()
		return
	}
	c.leave()
	r.o.Go(rest)
}

// hire returns a coroutine for a connection.
func (r *room) hire() *runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.runners); n > 0 {
		k := r.runners[n-1]
		r.runners = r.runners[:n-1]
		return k
	}
	return newRunner(r.o.Handle)
}

// dismiss keeps a coroutine for the next connection: a new one would have to grow its stack again.
func (r *room) dismiss(k *runner) {
	r.mu.Lock()
	kept := !r.left && len(r.runners) < idleRunners
	if kept {
		r.runners = append(r.runners, k)
	}
	r.mu.Unlock()
	if !kept {
		k.stop()
	}
}
