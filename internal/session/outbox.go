package session

import (
	"sync"
	"sync/atomic"
)

// outboxHigh is how many bytes may wait in an outbox before the reader stops
// reading: a client that asks without taking the answers.
const outboxHigh = 1 << 20

// outbox is what waits to be written to one connection. Anybody may add to
// it; the writer empties it. The writer is there while there is much to write:
// what an idle connection has to say is said by others.
type outbox struct {
	wake   chan struct{} // holds one token when there may be something to do
	man    func()        // starts a writer
	manned atomic.Bool   // there is a writer
	leave  atomic.Bool   // it may go

	mu       sync.Mutex
	quiet    bool        // frames that are added do not wake the writer: the reader looks in a moment
	buf      []byte      // whole frames
	runnable []*consumer // woken and not yet pulled, each once
	room     sync.Cond   // signalled when buf was taken or the outbox closed
	closed   bool        // nothing will be written any more
}

func newOutbox(man func()) *outbox {
	o := &outbox{wake: make(chan struct{}, 1), man: man}
	o.room.L = &o.mu
	return o
}

// kick makes the writer look.
func (o *outbox) kick() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
	if !o.manned.Load() && !o.ended() && o.manned.CompareAndSwap(false, true) {
		go o.man()
	}
}

// dismiss lets the writer go when there is nothing left to do.
func (o *outbox) dismiss() {
	if o.manned.Load() {
		o.leave.Store(true)
		o.kick()
	}
}

// off reports whether the writer may go and has; it is called by the writer.
func (o *outbox) off() bool {
	if !o.leave.Load() {
		return false
	}
	o.leave.Store(false)
	o.manned.Store(false)
	// Who kicks puts the token in before it looks whether there is a writer.
	return len(o.wake) == 0 || !o.manned.CompareAndSwap(false, true)
}

// add appends frames; f gets the buffer and returns it longer.
func (o *outbox) add(f func(b []byte) []byte) {
	if !o.put(f) {
		o.kick()
	}
}

// put is add that wakes nobody; it returns quiet.
func (o *outbox) put(f func(b []byte) []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.buf = f(o.buf)
	}
	return o.quiet
}

// addUpTo is add unless limit bytes wait already; false: nothing was added.
func (o *outbox) addUpTo(limit int, f func(b []byte) []byte) bool {
	o.mu.Lock()
	room := !o.closed && len(o.buf) < limit
	if room {
		o.buf = f(o.buf)
	}
	quiet := o.quiet
	o.mu.Unlock()
	if room && !quiet {
		o.kick()
	}
	return room
}

// hush sets whether what is added wakes the writer, and reports whether there
// are frames, and whether there is anything.
func (o *outbox) hush(quiet bool) (frames, some bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.quiet = quiet
	return len(o.buf) > 0, len(o.buf)+len(o.runnable) > 0
}

// run asks the writer to pull for k.
func (o *outbox) run(k *consumer) {
	if !o.mark(k) {
		o.kick()
	}
}

// mark enters k among those to be pulled, and returns quiet.
func (o *outbox) mark(k *consumer) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !k.queued {
		k.queued = true
		if k.announced {
			o.runnable = append(o.runnable, k)
		}
	}
	return o.quiet
}

// announce adds a consumer's consume-ok (none with nowait); only then is it
// pulled for.
func (o *outbox) announce(k *consumer, consumeOk []byte) {
	o.mu.Lock()
	if !o.closed {
		o.buf = append(o.buf, consumeOk...)
	}
	k.announced = true
	if k.queued {
		o.runnable = append(o.runnable, k)
	}
	quiet := o.quiet
	o.mu.Unlock()
	if !quiet {
		o.kick()
	}
}

// take hands the waiting frames and the woken consumers to the writer at one
// moment: a consume-ok that was added before its consumer was woken is always
// taken before the consumer is pulled. The slices given are reused.
func (o *outbox) take(buf []byte, runnable []*consumer) ([]byte, []*consumer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, o.buf = o.buf, buf[:0]
	runnable, o.runnable = o.runnable, runnable[:0]
	for _, k := range runnable {
		k.queued = false
	}
	o.room.Signal()
	return buf, runnable
}

// rest appends the waiting frames to the writer's buffer.
func (o *outbox) rest(buf []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf = append(buf, o.buf...)
	o.buf = o.buf[:0]
	o.room.Signal()
	return buf
}

// wait blocks the reader while the client does not take its answers.
func (o *outbox) wait() {
	o.mu.Lock()
	for len(o.buf) > outboxHigh && !o.closed {
		o.room.Wait()
	}
	o.mu.Unlock()
}

// over reports whether more waits than the reader may leave behind.
func (o *outbox) over() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) > outboxHigh
}

// close ends the outbox: nothing more is added, and the writer goes when it
// has written the rest.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.room.Broadcast()
	o.mu.Unlock()
	o.kick()
}

// ended reports whether nothing will be written any more.
func (o *outbox) ended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}
