package session

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// maxSettleRuns is how many runs are gathered before they are flushed.
const maxSettleRuns = 8

// fate is what becomes of a delivery.
type fate uint8

const (
	acked    fate = iota
	rejected      // a dead letter
	returned      // goes back to its queue
	failed        // goes back, since the consumer could not cope with it
)

// settles gathers what one socket read settled, so that each queue is entered
// once: runs of sequence numbers by source and fate.
type settles struct {
	runs []settleRun
}

type settleRun struct {
	src  *source
	fate fate
	seqs []uint64
}

// add notes what becomes of a delivery. What goes back or dies keeps its order:
// others see it.
func (s *settles) add(d outstanding, what fate) {
	for i := len(s.runs) - 1; i >= 0; i-- {
		r := &s.runs[i]
		if r.src == d.src && r.fate == what {
			r.seqs = append(r.seqs, d.seq)
			return
		}
		if what != acked && r.fate != acked {
			break
		}
	}
	if len(s.runs) == maxSettleRuns {
		s.flush()
	}
	n := len(s.runs)
	if n < cap(s.runs) {
		s.runs = s.runs[:n+1]
	} else {
		s.runs = append(s.runs, settleRun{})
	}
	r := &s.runs[n]
	r.src, r.fate, r.seqs = d.src, what, append(r.seqs[:0], d.seq)
}

// flush hands the runs to their queues.
func (s *settles) flush() { s.flushWith(nil) }

// flushWith makes what is settled part of the batch of p, if there is one.
func (s *settles) flushWith(p *broker.Publisher) {
	for i := range s.runs {
		r := &s.runs[i]
		switch {
		case r.fate == returned:
			r.src.queue.Return(r.src.consumer, r.seqs)
		case r.fate == failed:
			r.src.queue.Fail(r.src.consumer, r.seqs)
		case p != nil:
			p.SettleWith(r.src.queue, r.src.consumer, r.seqs, r.fate == rejected)
		case r.fate == rejected:
			r.src.queue.Reject(r.src.consumer, r.seqs)
		default:
			r.src.queue.Settle(r.src.consumer, r.seqs)
		}
		r.src = nil
	}
	s.runs = s.runs[:0]
}

// settle runs basic.ack, basic.nack and basic.reject (§1.8.3.13, §1.8.3.14).
func (c *Conn) settle(ch *channel, tag uint64, multiple bool, what fate) *amqp.Error {
	if ch.tx != nil {
		return c.settleLater(ch, tag, multiple, what)
	}
	if what != acked && c.pub != nil && !c.pub.Empty() {
		c.flush() // what goes back or dies comes behind what was published before
	}
	ch.mu.Lock()
	c.taken = c.taken[:0]
	known := true
	if !multiple {
		d, ok := ch.unacked.take(tag)
		c.taken, known = append(c.taken, d), ok
		if !ok && ch.forgive(tag, false) {
			c.taken, known = c.taken[:0], true
		}
	} else if late := ch.forgive(tag, true); late || tag == 0 || ch.unacked.has(tag) {
		c.taken = ch.unacked.takeUpTo(tag, c.taken)
	} else {
		known = false
	}
	if ch.starved != nil {
		c.feed(ch)
	}
	if known {
		c.heed(ch, what)
	}
	ch.mu.Unlock()
	if !known {
		return unknownTag(tag)
	}
	for i := range c.taken {
		d := &c.taken[i]
		if d.at.messages() > 0 && what == acked {
			c.timeAck(d)
		}
		c.settles.add(*d, what)
	}
	return nil
}

// heed notes what the settling of c.taken says about the client; ch.mu is held.
func (c *Conn) heed(ch *channel, what fate) {
	g := &c.got
	if what == acked {
		ch.did.Acked += uint64(len(c.taken))
	} else {
		g.listen.other = true
	}
	for i := range c.taken {
		src := c.taken[i].src
		g.listen.heard(src.prefetch)
		g.hungry = g.hungry || !src.busy()
	}
}

// feed wakes the consumers that waited for the channel's prefetch; ch.mu is
// held.
func (c *Conn) feed(ch *channel) {
	if ch.global > 0 && ch.unacked.live >= ch.global {
		return
	}
	for _, k := range ch.starved {
		c.out.run(k)
	}
	ch.starved = nil
}

func unknownTag(tag uint64) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "unknown delivery tag %d", tag)
}

// recoverAll returns all of a channel's unacknowledged messages
// (basic.recover, §1.8.3.16).
func (c *Conn) recoverAll(ch *channel, requeue bool) *amqp.Error {
	if !requeue {
		return amqp.ConnectionErrorf(amqp.CodeNotImplemented, "requeue=false")
	}
	ch.mu.Lock()
	c.taken = ch.unacked.takeUpTo(0, c.taken[:0])
	if ch.starved != nil {
		c.feed(ch)
	}
	ch.mu.Unlock()
	for _, d := range c.taken {
		c.settles.add(d, returned)
	}
	c.settles.flush()
	return nil
}
