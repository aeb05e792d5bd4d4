package session

import (
	"sync"

	"github.com/warrenmq/warren/amqp"
)

// confirm is a channel's side of publisher confirms.
type confirm struct {
	on   bool
	next uint64 // tag of the next publish, from 1
	open bool   // published in the present batch

	closed bool // nothing is confirmed any more; guarded by confirms.mu
}

// confirms keeps the order of a connection's confirms: a batch that needed no
// log is confirmed at once, unless one before it still waits for the disk,
// since an acknowledgement of many tags covers all before it.
type confirms struct {
	mu      sync.Mutex
	waiting []*confirmBatch // in the order of publishing
}

type confirmBatch struct {
	tags []confirmTag
	done bool
	err  error
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

// sendConfirms acknowledges a batch: one method a channel. A channel that has
// been closed gets none. Confirms.mu is held.
func (c *Conn) sendConfirms(b *confirmBatch) {
	c.out.add(func(buf []byte) []byte {
		for _, t := range b.tags {
			switch {
			case t.ch.confirm.closed:
			case b.err != nil:
				buf = amqp.AppendNack(buf, t.channel, t.upTo, t.upTo-t.from > 1, true)
			default:
				buf = amqp.AppendAck(buf, t.channel, t.upTo, t.upTo-t.from > 1)
			}
		}
		return buf
	})
}

// selectConfirms answers confirm.select.
func (c *Conn) selectConfirms(ch *channel, noWait bool) *amqp.Error {
	if ch.tx != nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "cannot switch from tx to confirm mode")
	}
	if !ch.confirm.on {
		ch.confirm.on, ch.confirm.next = true, 1
	}
	if !noWait {
		c.send(ch.id, &amqp.ConfirmSelectOk{})
	}
	return nil
}
