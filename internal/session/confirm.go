package session

import (
	"slices"
	"sync"

	"github.com/warrenmq/warren/amqp"
)

// confirm is a channel's side of publisher confirms.
type confirm struct {
	on   bool
	next uint64 // tag of the next publish, from 1; when off, any number
	open bool   // published in the present batch

	closed bool // nothing is confirmed any more; guarded by confirms.mu
}

// confirms keeps the order of a connection's confirms: a batch that needed no
// log is confirmed at once, unless one before it still waits for the disk,
// since an acknowledgement of many tags covers all before it.
type confirms struct {
	mu      sync.Mutex
	waiting []*confirmBatch // in the order of publishing

	refusals refusals // the reader's
}

type confirmBatch struct {
	tags  []confirmTag
	nacks []uint64 // tickets of what queues refused; 0 among them: of anything
	done  bool
	err   error
	timed timing
}

// confirmTag: the channel's publishes after from, up to upTo.
type confirmTag struct {
	channel    uint16
	ch         *channel
	from, upTo uint64
}

// confirmed returns what runs when the batch is durable.
func (c *Conn) confirmed(b *confirmBatch) func(error) {
	c.confirms.mu.Lock()
	c.confirms.waiting = append(c.confirms.waiting, b)
	c.confirms.mu.Unlock()
	return func(err error) {
		c.confirms.mu.Lock()
		defer c.confirms.mu.Unlock()
		b.done, b.err = true, err
		w := c.confirms.waiting
		for len(w) > 0 && w[0].done {
			c.sendConfirms(w[0])
			w = w[1:]
		}
		c.confirms.waiting = w
	}
}

// sendConfirms acknowledges a batch: many with one method a channel. A channel that has
// been closed gets none. Confirms.mu is held.
func (c *Conn) sendConfirms(b *confirmBatch) {
	c.out.add(func(buf []byte) []byte {
		for _, t := range b.tags {
			t.ch.published.settled(t.from, t.upTo)
			c.vhost.Counts().Confirmed.Add(t.upTo - t.from)
			switch {
			case t.ch.confirm.closed:
			case b.err != nil || slices.Contains(b.nacks, 0):
				buf = amqp.AppendNack(buf, t.channel, t.upTo, t.upTo-t.from > 1, true)
			case b.nacks != nil:
				buf = b.appendMixed(buf, t)
			default:
				buf = t.appendAcks(buf)
			}
		}
		return buf
	})
	if b.err == nil {
		b.timed.done(c.cfg.Registry)
	}
}

// singly is how many publishes are confirmed each by itself: clients that keep
// a map of what is unconfirmed (amqp091-go) walk all of it for basic.ack with
// multiple.
const singly = 16

// appendAcks acknowledges all publishes of t.
func (t *confirmTag) appendAcks(buf []byte) []byte {
	from := t.from
	if t.upTo-from > singly {
		return amqp.AppendAck(buf, t.channel, t.upTo, true)
	}
	for ; from < t.upTo; from++ {
		buf = amqp.AppendAck(buf, t.channel, from+1, false)
	}
	return buf
}

// refusals are publishes for which queues had no room.
type refusals struct {
	batch *confirmBatch // that is being flushed
	count int           // of the connection's life
}

// ticket stands for a publish of a channel in the batch.
func ticket(channel uint16, tag uint64) uint64 { return tag*ticketStep | uint64(channel) }

// ticketStep is from one ticket of a channel to the next.
const ticketStep = 1 << 16

// notTaken notes what queues refused: it is not confirmed, the rest of the batch
// is.
func (c *Conn) notTaken(tickets []uint64) {
	c.confirms.refusals.count += len(tickets)
	if b := c.confirms.refusals.batch; b != nil {
		b.nacks = append(b.nacks, tickets...)
	}
}

// appendMixed acknowledges what of a channel was taken and negatively what was
// refused.
func (b *confirmBatch) appendMixed(buf []byte, t confirmTag) []byte {
	slices.Sort(b.nacks)
	b.nacks = slices.Compact(b.nacks) // what is behind them is 0 then
	last := t.from
	for _, n := range b.nacks {
		tag := n >> 16
		if uint16(n&0xffff) != t.channel || tag <= t.from || tag > t.upTo {
			continue
		}
		if tag-1 > last {
			buf = amqp.AppendAck(buf, t.channel, tag-1, tag-1-last > 1)
		}
		buf = amqp.AppendNack(buf, t.channel, tag, false, true)
		last = tag
	}
	if t.upTo > last {
		buf = amqp.AppendAck(buf, t.channel, t.upTo, t.upTo-last > 1)
	}
	return buf
}

// selectConfirms answers confirm.select.
func (c *Conn) selectConfirms(ch *channel, noWait bool) *amqp.Error {
	if ch.tx != nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "cannot switch from tx to confirm mode")
	}
	if !ch.confirm.on {
		ch.confirm.on, ch.confirm.next = true, 1
		ch.mu.Lock()
		ch.mode.Confirm = true
		ch.mu.Unlock()
	}
	if !noWait {
		c.send(ch.id, &amqp.ConfirmSelectOk{})
	}
	return nil
}
