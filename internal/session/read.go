package session

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/warrenmq/warren/internal/rawio"
)

// Sizes of a batch: what is read before it is answered.
const (
	// hereMax is how many bytes a batch has at most that is worked off, to the
	// end, by the reader.
	hereMax = 16 << 10
	// hereConfirmed is hereMax for a client that waits for confirms: what it sends
	// next depends on them, and the disk takes longer than all else.
	hereConfirmed = 128 << 10
	// gatherReads is how many reads a batch is at most.
	gatherReads = 64
	// consumeGrace is how long a consume-ok waits for what comes behind its
	// basic.consume, when nothing does. RabbitMQ's takes as long by way of the
	// queue.
	consumeGrace = 300 * time.Microsecond
	// graceMax is how many of a node's connections wait so at a time, each with a
	// thread. Further ones do not wait.
	graceMax = 8
)

// window is the bytes that were read and not yet taken. While the reader waits
// and there are none, it has no memory.
type window struct {
	buf  []byte // of pane
	pane *pane
	r, w int
	want int // bytes that the next frames need in one piece, 0: not known
	size int // of pane; while there is none, of the next
	last int // bytes of the last read
}

// reading is the state of the reader's batch and of its read.
type reading struct {
	win window

	bytes, reads int   // of the batch
	drained      bool  // the last read took all that the socket held
	hungry       bool  // it acknowledged deliveries of a consumer that is not busy
	confirms     bool  // the batch before had publishes that are to be confirmed
	since        stamp // when what it began with was read; 0: it is not timed
	timing       sampler
	listen       listening
	lead         lead

	later *time.Timer
	armed atomic.Bool // later runs

	n   int
	err error
	try func(fd uintptr) bool // tryRead, made once
}

// readLoop takes what each read brings, whole frames first to last. Reads that
// follow one another without waiting are one batch: a client that writes
// message by message, faster than they could be answered one by one, is
// answered for many at a time.
func (c *Conn) readLoop() error {
	for {
		n, err := c.fill()
		if err != nil {
			c.answer()
			return err
		}
		if err := c.took(n); err != nil {
			return err
		}
	}
}

// took handles what a read of n bytes has brought.
func (c *Conn) took(n int) error {
	if c.raw != nil && c.got.bytes == 0 && n <= c.hereMost() {
		c.out.hush(true)
	}
	if c.got.bytes == 0 {
		c.got.since = 0
		if c.got.timing.next(c.cfg.Registry) {
			c.got.since = c.got.timing.last
		}
	}
	c.got.bytes += n
	c.got.reads++
	if err := c.process(); err != nil {
		c.out.hush(false)
		c.speak()
		return err
	}
	if c.raw == nil || c.got.bytes > c.hereMost() || c.got.reads >= gatherReads {
		c.answer()
	}
	return nil
}

// hereMost is how many bytes a batch has at most that the reader works off.
func (c *Conn) hereMost() int {
	if c.got.confirms || len(c.confirming) > 0 {
		return hereConfirmed
	}
	return hereMax
}

// answer ends the batch, if there is one.
func (c *Conn) answer() {
	if c.got.bytes == 0 {
		return
	}
	here := c.raw != nil && c.got.bytes <= c.hereMost()
	c.got.confirms = len(c.confirming) > 0
	c.got.listen.judge(c.got.bytes, c.published > 0)
	n := c.got.bytes
	c.got.bytes, c.got.reads = 0, 0
	c.endBatch(here, n)
	c.out.wait()
}

// read is Read of the connection into the window; before it waits, the batch is
// answered.
func (c *Conn) read() (int, error) {
	g := &c.got
	if c.raw == nil {
		return c.nc.Read(g.win.buf[g.win.w:])
	}
	if g.listen.enough > 0 {
		return c.readPatiently()
	}
	if c.young != nil && g.drained {
		c.answer()
		c.yieldWindow()
		if err := c.young.Await(); err != nil {
			return 0, err
		}
	}
	if g.try == nil {
		g.try = c.tryRead
	}
	if err := c.raw.Read(g.try); err != nil {
		return 0, err
	}
	if g.n == 0 && g.err == nil {
		return 0, io.EOF
	}
	return g.n, g.err
}

// readBehind reads when a consume-ok is held back: what the client has sent
// behind its basic.consume mostly comes at once, and may be an error. The thread
// waits itself: the runtime's timers are a millisecond late when the node is idle.
func (c *Conn) readBehind() (int, error) {
	if waiting := &c.cfg.Registry.graces; c.raw != nil {
		if waiting.Add(1) <= graceMax {
			_ = c.raw.Control(waitBehind)
		}
		waiting.Add(-1)
	}
	c.held.patient = false
	return c.read()
}

// waitBehind waits for more, and has the kernel say that it has got what came: a
// client that has not set TCP_NODELAY sends no more before that, and a held answer
// does not say it.
func waitBehind(fd uintptr) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	limit := unix.NsecToTimespec(int64(consumeGrace))
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &limit, nil) //nolint:gosec // a descriptor
}

// tryRead reads once; false: there is nothing, and the read is to wait.
func (c *Conn) tryRead(fd uintptr) bool {
	g := &c.got
	w := &g.win
	for {
		if w.pane == nil {
			w.hold(c.cfg.Registry.panes.get(w.size))
		}
		g.n, g.err = rawio.Read(fd, w.buf[w.w:])
		if !errors.Is(g.err, syscall.EAGAIN) {
			return true
		}
		if g.listen.low == 0 {
			c.answer()
			c.yieldWindow()
			return false
		}
		g.listen.lower(fd, 0)
	}
}

// yieldWindow gives back the window's memory, if there is nothing in it.
func (c *Conn) yieldWindow() {
	if c.got.win.w == 0 {
		c.cfg.Registry.panes.put(c.got.win.give())
	}
}

// fill reads once more into the window, n bytes.
func (c *Conn) fill() (n int, err error) {
	w := &c.got.win
	switch {
	case w.r == w.w:
		w.r, w.w = 0, 0
	case w.r > 0 && (len(w.buf)-w.w < len(w.buf)/4 || w.want > len(w.buf)-w.r):
		w.w = copy(w.buf, w.buf[w.r:w.w])
		w.r = 0
	}
	if need := max(windowMin, w.want); w.r == 0 && (len(w.buf) < need || w.w == len(w.buf)) {
		size := max(windowMin, len(w.buf))
		for size < need || size == w.w {
			size *= 2
		}
		next := c.cfg.Registry.panes.get(size)
		copy(next.buf, w.buf[:w.w])
		c.cfg.Registry.panes.put(w.give())
		w.hold(next)
	}
	if c.held.consumer != nil {
		n, err = c.readBehind()
	} else {
		n, err = c.read()
	}
	w.w += n
	w.last = n
	c.got.drained = n > 0 && w.w < len(w.buf)
	if n > 0 {
		c.received.Store(c.cfg.Registry.now())
		c.stats.received(n)
		if w.w == len(w.buf) && len(w.buf) < windowMax {
			w.want = 2 * len(w.buf) // the socket holds more than the window takes
		}
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// endBatch ends a batch: flush, then let consumers catch up. With here it is
// little, and what it leads to is done by this goroutine: waking another one
// costs more. Bytes is how long the batch is.
func (c *Conn) endBatch(here bool, bytes int) {
	patient := here && !c.got.hungry && len(c.settles.runs) > 0 && c.published == 0
	c.got.hungry = false
	c.settles.flush()
	q := c.flushPublished(here)
	if len(c.settled) > 0 {
		err := c.pub.Err()
		for _, done := range c.settled {
			done(err)
		}
		c.settled = c.settled[:0]
	}
	if !here || !c.held.patient {
		c.sendHeld()
	}
	switch frames, some := c.out.hush(false); {
	case !some:
	case !here:
		c.out.kick()
	case patient && !frames:
		c.later()
	default:
		c.speak()
	}
	if c.published == 0 {
		return
	}
	c.tallyPublishes()
	n := c.published
	c.published = 0
	if q != nil && q.Ahead() && !q.CatchUp() {
		c.got.lead.hold(n, bytes)
	}
	if reason := c.cfg.Broker.Blocked(); reason != "" {
		c.waitForRoom(reason)
	}
}

// room waits, within a batch, while the client does not take its answers: one
// read asks for thousands of messages.
func (c *Conn) room() {
	if c.out.over() {
		c.out.hush(false)
		c.out.kick()
		c.out.wait()
	}
}

// later serves the consumers that were woken in a moment, or with what comes
// next.
func (c *Conn) later() {
	g := &c.got
	switch {
	case g.armed.Swap(true):
	case g.later == nil:
		g.later = time.AfterFunc(patience, func() {
			g.armed.Store(false)
			c.out.kick()
		})
	default:
		g.later.Reset(patience)
	}
}
