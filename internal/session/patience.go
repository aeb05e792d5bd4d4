package session

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/warrenmq/warren/internal/rawio"
)

// A client that does nothing but acknowledge, message by message, with a large
// prefetch, need not be heard at once: it has more in hand, or may get more,
// than it can take in a moment. Its acknowledgements are left to gather in the
// socket, where they wake nobody: one wake-up for many, instead of one each,
// which is most of what such a client costs.
const (
	// patientFrom is the prefetch from which on that is so.
	patientFrom = 64
	// patience is how long a client that has most of its prefetch in hand waits
	// for more, so that it gets more at once (later).
	patience = time.Millisecond
	// gatherTime is how long acknowledgements gather at most.
	gatherTime = 4 * time.Millisecond
	// patientAfter is how many batches of acknowledgements in turn make such a
	// client.
	patientAfter = 16
	// gatherMin is how many bytes are worth waiting for: three acknowledgements.
	gatherMin = 63
	// unlimited stands for the prefetch of who has none.
	unlimited = 1 << 12
)

// listening is how a connection is read from.
type listening struct {
	// Of the present batch:
	settled int  // deliveries
	least   int  // the smallest prefetch of these, 0: none yet
	other   bool // something else than settling

	alone  int // batches in turn that did nothing but settle
	enough int // bytes that are to be heard at once; 0: any
	low    int // the socket's low-water mark, 0: as it was made

	again func(fd uintptr) bool // linger, made once
	first bool
}

// heard notes that a delivery of a consumer with that prefetch was settled.
func (l *listening) heard(prefetch int) {
	if prefetch == 0 {
		prefetch = unlimited
	}
	if l.least == 0 || prefetch < l.least {
		l.least = prefetch
	}
	l.settled++
}

// judge is called at the end of a batch of so many bytes: how much of what
// comes next is to be heard at once.
func (l *listening) judge(bytes int, published bool) {
	enough := 0
	if l.settled > 0 && l.least >= patientFrom && !l.other && !published {
		enough = l.least / 8 * bytes / l.settled
	}
	l.settled, l.least, l.other = 0, 0, false
	if enough < gatherMin {
		l.alone, l.enough = 0, 0
		return
	}
	if l.alone < patientAfter {
		l.alone++
		return
	}
	if l.enough < enough/2 || l.enough > enough {
		l.enough = enough
	}
}

// readPatiently returns what the socket holds in a moment, or as soon as that
// is enough.
func (c *Conn) readPatiently() (int, error) {
	c.answer()
	g := &c.got
	if g.listen.again == nil {
		g.listen.again = c.linger
	}
	g.listen.first = true
	g.n, g.err = 0, nil
	_ = c.nc.SetReadDeadline(time.Now().Add(gatherTime)) //nolint:forbidigo // a socket's deadline is wall-clock time
	err := c.raw.Read(g.listen.again)
	_ = c.nc.SetReadDeadline(time.Time{})
	if c.closing.Load() {
		c.deadline(closeOkTimeout) // another goroutine's, which may just have gone
	}
	switch {
	case g.n > 0:
		return g.n, nil
	case err == nil && g.err == nil:
		return 0, io.EOF
	case err == nil:
		return 0, g.err
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return 0, err
	}
	g.listen.alone, g.listen.enough = 0, 0
	return c.read()
}

// linger reads what is there and then what comes until it is enough; false: it
// is to be called again then.
func (c *Conn) linger(fd uintptr) bool {
	g, l := &c.got, &c.got.listen
	if l.low != l.enough {
		l.lower(fd, l.enough)
	}
	first := l.first
	l.first = false
	w := &g.win
	if w.pane == nil {
		w.hold(c.cfg.Registry.panes.get(w.size))
	}
	n, err := rawio.Read(fd, w.buf[w.w+g.n:])
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return !first && g.n > 0
	case n == 0:
		g.err = err
		return true
	}
	g.n += n
	return !first || g.n >= l.enough || g.n == len(w.buf)-w.w
}

// lower sets the socket's low-water mark: it is readable from so many bytes on.
func (l *listening) lower(fd uintptr, mark int) {
	if syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, max(1, mark)) == nil {
		l.low = mark
	}
}

// What a publisher may have in a second when the consumers of its queue have
// all that they can take: enough to say that it is not held up, and little
// enough to leave them the processor.
const (
	leadMessage = time.Microsecond // a million messages
	leadByte    = time.Nanosecond  // and a gigabyte
	// leadNap is the shortest pause that is worth making.
	leadNap = time.Millisecond
)

// lead is how much a publisher is ahead of that pace.
type lead time.Duration

// hold makes a pause when a publisher is ahead after so many messages more.
func (l *lead) hold(messages uint64, bytes int) {
	*l += lead(messages)*lead(leadMessage) + lead(bytes)*lead(leadByte) //nolint:gosec // of one batch
	if time.Duration(*l) < leadNap {
		return
	}
	t := time.Now() //nolint:forbidigo // how long a nap was
	time.Sleep(time.Duration(*l))
	*l = max(*l-lead(time.Since(t)), -lead(leadNap))
}
