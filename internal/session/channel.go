package session

import (
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// channel is one AMQP channel.
type channel struct {
	id      uint16
	closing bool        // the server has sent channel.close and awaits the answer
	lost    atomic.Bool // the same, not by the reader, who has not seen it yet

	lastQueue string // stands for an empty queue name
	prefetch  int    // for new consumers
	content   content
	confirm   confirm
	tx        *transaction // nil: not transactional
	getter    *source      // of the last basic.get
	gets      getting

	mu        sync.Mutex // guards what follows
	closed    bool
	lastTag   uint64 // delivery tag
	ahead     bool   // what has it may still be in the outbox
	unacked   unacked
	void      []uint64    // tags of deliveries that were taken back
	voidMixed bool        // they are not in order
	global    int         // prefetch of the whole channel, 0: no limit
	starved   []*consumer // found the channel's prefetch used up
	consumers map[string]*consumer
	reply     *replyConsumer // of direct reply-to; changed by the reader
	did       channelDone
	mode      channelMode

	published published
}

// consumer is one basic.consume.
type consumer struct {
	source
	broker.Consumer
	ch   *channel
	out  *outbox
	conn *Conn
	// prefix is the start of every basic.deliver: frame header with a size to
	// be patched, ids, consumer tag.
	prefix []byte
	notify bool // the client understands basic.cancel

	announced bool // consume-ok was sent; guarded by outbox.mu
	queued    bool // in outbox.runnable, or to be once announced; guarded by outbox.mu
	gone      bool // cancelled; guarded by ch.mu
}

// Wake implements broker.Waker.
func (k *consumer) Wake(*broker.Consumer) { k.out.run(k) }

// Carry implements broker.Waker.
func (k *consumer) Carry(*broker.Consumer) {
	if !k.out.mark(k) {
		k.conn.speak()
	}
}

// Cancelled implements broker.Waker: the queue was deleted. Of a consumer that
// is not entered yet its client is told then.
func (k *consumer) Cancelled(*broker.Consumer) {
	k.ch.mu.Lock()
	entered := k.ch.consumers[k.Tag] == k
	k.gone = true
	if entered {
		delete(k.ch.consumers, k.Tag)
	}
	k.ch.mu.Unlock()
	if entered && k.notify {
		k.sendCancel()
	}
}

func (k *consumer) sendCancel() {
	k.out.add(func(b []byte) []byte {
		return amqp.AppendMethod(b, k.ch.id, &amqp.BasicCancel{ConsumerTag: k.Tag, NoWait: true})
	})
}

// openChannel answers channel.open.
func (c *Conn) openChannel(id uint16) *amqp.Error {
	if len(c.channels) >= int(c.channelMax) {
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed,
			"number of channels opened (%d) has reached the negotiated channel_max (%d)", len(c.channels), c.channelMax)
	}
	if e := c.admitChannel(); e != nil {
		return e
	}
	ch := &channel{id: id}
	ch.gets = getting{c, ch}
	c.mu.Lock()
	c.channels[id] = ch
	c.mu.Unlock()
	c.cfg.Registry.churn.ChannelsOpened.Add(1)
	c.last = ch
	c.send(id, &amqp.ChannelOpenOk{})
	return nil
}

// channel finds an open channel. Most frames are for the same one as the
// frame before.
func (c *Conn) channel(id uint16) *channel {
	if c.last != nil && c.last.id == id {
		return c.last
	}
	ch := c.channels[id]
	if ch != nil {
		c.last = ch
	}
	return ch
}

// failChannel answers a channel error: the channel's work ends, its
// consumers are cancelled, its unacknowledged messages go back.
func (c *Conn) failChannel(ch *channel, e *amqp.Error) {
	c.flush()
	c.log().Warn("channel closed by an error", c.attrs(ch, e)...)
	c.endChannel(ch)
	if k := c.held.consumer; k != nil && k.ch == ch {
		c.held.consumer = nil
	}
	ch.closing = true
	c.send(ch.id, &amqp.ChannelClose{
		ReplyCode: e.Code, ReplyText: e.ReplyText(), ClassID: e.Class, MethodID: e.Method,
	})
}

// endLost ends a channel that somebody else has closed.
func (c *Conn) endLost(ch *channel) {
	c.flush()
	c.endChannel(ch)
	if k := c.held.consumer; k != nil && k.ch == ch {
		c.held.consumer = nil
	}
	ch.closing = true
}

// endChannel takes a channel's consumers away and returns its messages.
func (c *Conn) endChannel(ch *channel) {
	c.confirms.mu.Lock()
	ch.confirm.closed = true
	c.confirms.mu.Unlock()
	list, left := ch.close()
	for _, k := range list {
		c.vhost.Cancel(&k.Consumer)
	}
	c.endReplies(ch, "")
	if ch.tx != nil {
		left = append(left, ch.tx.unsettled()...)
		c.holds -= uint64(ch.tx.bytes) //nolint:gosec // not negative
		ch.tx = nil
	}
	for _, d := range left {
		c.settles.add(d, failed)
	}
	c.settles.flush()
	c.holds -= ch.content.held
	c.release(&ch.content)
	ch.content = content{}
}

// close lets nothing more out of the channel and returns its consumers and what
// is outstanding.
func (ch *channel) close() (list []*consumer, left []outstanding) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.closed = true
	for _, k := range ch.consumers {
		k.gone = true
		list = append(list, k)
	}
	clear(ch.consumers)
	ch.starved = nil
	return list, ch.unacked.takeUpTo(0, nil)
}

// forgetChannel frees the number of a closed channel.
func (c *Conn) forgetChannel(ch *channel) {
	c.tallyPublishes()
	s := ch.stats()
	c.mu.Lock()
	if c.channels[ch.id] == ch {
		c.stats.past.Add(&s)
		c.cfg.Registry.churn.ChannelsClosed.Add(1)
	}
	delete(c.channels, ch.id)
	c.mu.Unlock()
	c.tenure.role.channels.Add(-1)
	if c.last == ch {
		c.last = nil
	}
}

// channelMethod runs the methods of class channel on an open channel.
func (c *Conn) channelMethod(ch *channel, m amqp.Method) *amqp.Error {
	switch m := m.(type) {
	case *amqp.ChannelOpen:
		return amqp.ConnectionErrorf(amqp.CodeChannelError, "second 'channel.open' seen")
	case *amqp.ChannelClose:
		c.endChannel(ch)
		c.forgetChannel(ch)
		c.send(ch.id, &amqp.ChannelCloseOk{})
	case *amqp.ChannelCloseOk: // of a close that crossed ours; nothing to do
	case *amqp.ChannelFlow:
		if !m.Active {
			return amqp.ConnectionErrorf(amqp.CodeNotImplemented, "active=false")
		}
		c.send(ch.id, &amqp.ChannelFlowOk{Active: true})
	case *amqp.ChannelFlowOk:
	default:
		return errUnimplemented()
	}
	return nil
}

func errUnimplemented() *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodeCommandInvalid, "unimplemented method")
}
