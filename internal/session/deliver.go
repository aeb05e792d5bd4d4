package session

import (
	"encoding/binary"
	"sync"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/queue"
)

// Sizes of the writer's work.
const (
	// writeHigh is how many bytes are gathered for one write.
	writeHigh = 128 << 10
	// pullMax is how many messages are taken from a queue at once.
	pullMax = 1024
	// idleBuffer is the largest write buffer that an idle connection keeps.
	idleBuffer = 4 << 10
)

// writer empties the outbox and pulls for the consumers that were woken.
type writer struct {
	mu sync.Mutex // held by who writes to the socket; guards what follows

	output
	runnable []*consumer
	again    []*consumer // that may have more, those not served first
	taken    []queue.Delivery
	large    bool // the last write was: the next one gets a desk at once
	timing   sampler
}

// desk is what a writer that has much to do works with; idle connections have
// none.
type desk struct {
	buf   []byte
	taken []queue.Delivery
}

// writeLoop runs until the outbox is closed, the socket fails, or the
// connection has been idle for a while.
func (c *Conn) writeLoop() {
	for range c.out.wake {
		if !c.writeAll() || c.out.off() {
			return
		}
	}
}

// writeAll writes what there is to write; false: there will be no more.
func (c *Conn) writeAll() bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	more := c.drain(&c.w)
	c.shrink(&c.w)
	return more
}

// drain writes until there is nothing more to write; false: no more ever.
func (c *Conn) drain(w *writer) bool {
	for w.left() > 0 || c.gather(w) {
		n, err := c.write(&w.output, true)
		c.stats.sent(n)
		if err != nil {
			c.lost()
			return false
		}
		c.sent.Store(c.cfg.Registry.now())
	}
	return !c.out.ended()
}

// gather fills w with what there is to write, if anything.
func (c *Conn) gather(w *writer) bool {
	w.clear()
	w.buf, w.runnable = c.out.take(w.buf, w.runnable)
	w.again = append(w.again, w.runnable...)
	if w.large && len(w.again) > 0 && cap(w.buf) < writeHigh {
		b := c.cfg.Registry.desk()
		w.buf, w.taken = append(b.buf, w.buf...), b.taken
	}
	if !c.closing.Load() {
		w.again = c.pull(w, w.again)
	} else {
		w.again = w.again[:0]
	}
	if w.size() > 0 {
		w.large = w.size() > idleBuffer
	}
	return w.size() > 0
}

// lost ends a connection whose socket cannot be written to.
func (c *Conn) lost() {
	c.out.close()
	_ = c.nc.Close()
}

// say writes b, which stays the caller's, during the handshake: there is no writer.
func (c *Conn) say(b []byte) error {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.buf = b
	n, err := c.write(&c.w.output, c.young == nil)
	c.stats.sent(n)
	if err == nil && c.w.left() > 0 {
		err = errDeaf
	}
	c.w.clear()
	c.w.buf = nil
	return err
}

// speak does the writer's work in the caller's goroutine as long as the socket
// takes it at once; the rest, or all of it if the writer is at it, is the
// writer's.
func (c *Conn) speak() {
	if c.raw == nil || !c.w.mu.TryLock() {
		c.out.kick()
		return
	}
	done := c.drainHere(&c.w)
	c.shrink(&c.w)
	c.w.mu.Unlock()
	if !done {
		c.out.kick()
	}
}

// speakRounds bounds how long speak keeps its caller.
const speakRounds = 3

// drainHere is drain that does not wait; it reports whether all is written.
func (c *Conn) drainHere(w *writer) bool {
	if w.left() > 0 {
		return false
	}
	for range speakRounds {
		if !c.gather(w) {
			return !c.out.ended()
		}
		n, err := c.write(&w.output, false)
		c.stats.sent(n)
		if err != nil || w.left() > 0 {
			return false // the writer finds out what is wrong
		}
		c.sent.Store(c.cfg.Registry.now())
	}
	return false
}

// pull takes messages for each consumer in turn until the buffer is full. It
// returns the consumers that may have more, those not served first.
func (c *Conn) pull(w *writer, list []*consumer) []*consumer {
	for i := range list {
		if w.size() >= writeHigh {
			return append(list[i:len(list):len(list)], keep(list[:i])...)
		}
		if !c.pullOne(w, list[i]) {
			list[i] = nil
		}
	}
	return keep(list)
}

// keep removes the consumers that had nothing.
func keep(list []*consumer) []*consumer {
	n := 0
	for _, k := range list {
		if k != nil {
			list[n] = k
			n++
		}
	}
	return list[:n]
}

// pullOne takes messages for one consumer and encodes them; false: it has no
// more for now and will be woken.
func (c *Conn) pullOne(w *writer, k *consumer) bool {
	ch := k.ch
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if k.gone || ch.closed {
		return false
	}
	limit := pullMax
	if ch.global > 0 && !k.NoAck {
		if limit = min(limit, ch.global-ch.unacked.live); limit <= 0 {
			ch.starved = append(ch.starved, k)
			k.Take(0, 0, nil) // what is ready may go elsewhere
			return false
		}
	}
	if ch.ahead { // delivery tags come in their order
		w.buf, ch.ahead = c.out.rest(w.buf), false
	}
	w.taken = k.Take(limit, max(1, writeHigh-w.size()), w.taken[:0]) // with no room at all nobody would wake it
	var at stamp
	sample := -1
	if !k.NoAck {
		at, sample = w.stampPull(c.cfg.Registry, ch.lastTag, len(w.taken))
	}
	for i := range w.taken {
		d := &w.taken[i]
		ch.lastTag++
		if !k.NoAck {
			o := outstanding{&k.source, d.Seq, at}
			if i == sample {
				o.at = at.of(len(w.taken))
			}
			ch.unacked.add(ch.lastTag, o)
		}
		if frames := d.Image[d.RouteLen+1:]; len(frames) >= borrowMin && c.raw != nil {
			w.buf = append(k.appendHead(w.buf, d, ch.lastTag), d.Image[:d.RouteLen+1]...)
			w.appendContent(frames, ch.id, c.frameMax)
		} else {
			w.buf = adopt(append(k.appendHead(w.buf, d, ch.lastTag), d.Image...), frames, ch.id, c.frameMax)
		}
	}
	n := len(w.taken)
	ch.did.Took(w.taken, k.NoAck)
	clear(w.taken)
	return n > 0
}

// appendHead encodes basic.deliver up to where the message's image begins, with
// the exchange and routing key: the consumer's prefix, the tag, the bit.
func (k *consumer) appendHead(b []byte, d *queue.Delivery, tag uint64) []byte {
	at := len(b) + 3
	b = append(b, k.prefix...)
	size := len(k.prefix) - 7 + 8 + 1 + d.RouteLen
	binary.BigEndian.PutUint32(b[at:], uint32(size)) //nolint:gosec // a short method
	b = binary.BigEndian.AppendUint64(b, tag)
	return append(b, bit(d.Redelivered))
}

// appendContent appends a header frame and its body frames for channel ch.
func appendContent(b, frames []byte, ch uint16, frameMax uint32) []byte {
	return adopt(append(b, frames...), frames, ch, frameMax)
}

// adopt makes the copy of a content that ends b one for channel ch and a client
// whose frames are frameMax large at most.
func adopt(b, frames []byte, ch uint16, frameMax uint32) []byte {
	start := len(b) - len(frames)
	for at := start; at < len(b); {
		size := binary.BigEndian.Uint32(b[at+3:])
		if size > frameMax-amqp.FrameOverhead {
			return splitContent(b[:start], frames, ch, frameMax)
		}
		binary.BigEndian.PutUint16(b[at+1:], ch)
		at += int(size) + amqp.FrameOverhead
	}
	return b
}

// splitContent is appendContent for a client with smaller frames than the
// publisher's.
func splitContent(b, frames []byte, ch uint16, frameMax uint32) []byte {
	for len(frames) > 0 {
		n := int(binary.BigEndian.Uint32(frames[3:]))
		payload := frames[7 : 7+n]
		if frames[0] == amqp.FrameBody {
			b = amqp.AppendBody(b, ch, payload, frameMax)
		} else {
			if room := int(frameMax - amqp.FrameOverhead); n > room {
				payload = broker.Narrow(payload, room)
			}
			b = appendFrame(b, frames[0], ch, payload)
		}
		frames = frames[n+amqp.FrameOverhead:]
	}
	return b
}

// shrink gives back what an idle connection does not need.
func (c *Conn) shrink(w *writer) {
	if w.left() > 0 {
		return
	}
	w.clear()
	if cap(w.buf) > idleBuffer || cap(w.taken) > 32 {
		c.cfg.Registry.leave(desk{w.buf, w.taken})
		w.buf, w.taken = nil, nil
	}
}
