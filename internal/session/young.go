package session

import (
	"errors"
	"net"

	"github.com/warrenmq/warren/amqp"
)

// YoungConn is a socket while the goroutine that serves it has many others to serve: it must not be kept.
// To read may wait; to write must not.
type YoungConn interface {
	net.Conn
	// Busy announces what takes more than some microseconds.
	Busy()
	// Await waits until there may be more to read, when all has been read.
	Await() error
	// Left reports whether the socket has gone over to the runtime's poller.
	Left() bool
}

// youngReads is how many reads a connection that is open stays young for. A client that opens channels and
// is idle then, or closes the connection again, needs fewer.
const youngReads = 12

// errDeaf ends a handshake: its client does not take the few hundred bytes that it is sent.
var errDeaf = errors.New("the client does not read during the handshake")

// Begin is Serve for a connection that is young. It returns nil when the connection has ended, else what is
// to go on with it in a goroutine of its own: it has work to do, or something that may take long.
func Begin(cfg *Config, nc YoungConn) (rest func()) {
	c := enter(cfg, nc)
	if c == nil {
		return nil
	}
	c.young = nc
	n, err := 0, c.begin()
	if err == nil {
		n, err = c.listenOnly()
	}
	switch {
	case errors.Is(err, errWorks):
		rest = func() { c.work(n) }
	case c.vhost != nil && c.behind():
		rest = func() { c.finish(err) }
	default:
		c.finish(err)
		return nil
	}
	c.young = nil
	return rest
}

// finish ends a connection and forgets it.
func (c *Conn) finish(err error) {
	c.end(err)
	c.cfg.Registry.remove(c)
}

// work goes on behind Begin, with n bytes that were read and not looked at. Idle connections wait in it: see
// Serve.
func (c *Conn) work(n int) {
	err := c.took(n)
	if err == nil {
		err = c.readLoop()
	}
	c.finish(err)
}

// errWorks ends the reading of a young connection.
var errWorks = errors.New("the connection is no longer young")

// listenOnly is readLoop while nothing comes but what opens and closes: it waits for nobody but the client.
// With errWorks n bytes were read that are still to be handled.
func (c *Conn) listenOnly() (n int, err error) {
	for reads := 0; ; reads++ {
		if n, err = c.fill(); err != nil {
			c.answer()
			return 0, err
		}
		if reads >= youngReads || c.young.Left() || !c.onlyOpens() || c.behind() {
			return n, errWorks
		}
		if err = c.took(n); err != nil {
			return 0, err
		}
	}
}

// onlyOpens reports whether the frames in the window are no work.
func (c *Conn) onlyOpens() bool {
	w := &c.got.win
	for rest := w.buf[w.r:w.w]; len(rest) > 0; {
		f, n, err := amqp.ParseFrame(rest, c.frameMax)
		if err != nil || n == 0 || f.Type != amqp.FrameHeartbeat && !opens(f) {
			return false
		}
		rest = rest[n:]
	}
	return true
}

// opens reports whether a frame opens or closes a channel or the connection.
func opens(f amqp.Frame) bool {
	if f.Type != amqp.FrameMethod {
		return false
	}
	switch id, _, _ := amqp.SplitMethod(f.Payload); id {
	case amqp.IDChannelOpen, amqp.IDChannelClose, amqp.IDConnectionClose, amqp.IDConnectionCloseOk:
		return true
	}
	return false
}

// behind reports whether something waits to be written that the socket has not taken, or somebody else
// writes.
func (c *Conn) behind() bool {
	if c.out.manned.Load() || !c.w.mu.TryLock() {
		return true
	}
	defer c.w.mu.Unlock()
	return c.w.left() > 0
}
