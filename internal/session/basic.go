package session

import (
	"encoding/binary"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
)

// basicMethod runs the methods of class basic that are not on the hot path.
func (c *Conn) basicMethod(ch *channel, m amqp.Method) *amqp.Error {
	switch m := m.(type) {
	case *amqp.BasicQos:
		return c.qos(ch, m)
	case *amqp.BasicConsume:
		return c.consume(ch, m)
	case *amqp.BasicCancel:
		return c.cancel(ch, m)
	case *amqp.BasicCancelOk: // the answer to the server's basic.cancel
		return nil
	case *amqp.BasicGet:
		err := c.get(ch, m)
		c.room()
		return err
	case *amqp.BasicAck:
		return c.settle(ch, m.DeliveryTag, m.Multiple, acked)
	case *amqp.BasicNack:
		return c.settle(ch, m.DeliveryTag, m.Multiple, unwanted(m.Requeue, returned))
	case *amqp.BasicReject:
		return c.settle(ch, m.DeliveryTag, false, unwanted(m.Requeue, failed))
	case *amqp.BasicRecover:
		return c.reply(ch, c.recoverAll(ch, m.Requeue), false, &amqp.BasicRecoverOk{})
	case *amqp.BasicRecoverAsync:
		return c.recoverAll(ch, m.Requeue)
	}
	return errUnimplemented()
}

// unwanted is what becomes of a delivery that a consumer did not take, again
// with requeue.
func unwanted(requeue bool, again fate) fate {
	if requeue {
		return again
	}
	return rejected
}

func (c *Conn) qos(ch *channel, m *amqp.BasicQos) *amqp.Error {
	if m.PrefetchSize != 0 {
		return amqp.ConnectionErrorf(amqp.CodeNotImplemented, "prefetch_size!=0 (%d)", m.PrefetchSize)
	}
	if m.Global {
		ch.mu.Lock()
		ch.global = int(m.PrefetchCount)
		c.feed(ch)
		ch.mu.Unlock()
	} else {
		ch.mu.Lock()
		ch.prefetch = int(m.PrefetchCount)
		ch.mu.Unlock()
	}
	c.send(ch.id, &amqp.BasicQosOk{})
	return nil
}

func (c *Conn) consume(ch *channel, m *amqp.BasicConsume) *amqp.Error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	tag := m.ConsumerTag
	if tag == "" {
		tag = broker.ServerName("amq.ctag-")
	}
	ch.mu.Lock() // a queue that is deleted takes its consumers away
	_, used := ch.consumers[tag]
	many := len(ch.consumers)
	ch.mu.Unlock()
	if used || ch.reply != nil && ch.reply.tag == tag {
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed, "attempt to reuse consumer tag '%s'", tag)
	}
	if many >= MaxConsumersPerChannel {
		return amqp.ConnectionErrorf(amqp.CodeNotAllowed, "reached maximum (%d) of consumers per channel", MaxConsumersPerChannel)
	}
	if m.Queue == broker.ReplyQueue {
		return c.consumeReplies(ch, m, tag)
	}
	k := &consumer{ch: ch, out: c.out, conn: c, notify: c.caps.cancelNotify}
	k.Consumer = broker.Consumer{
		Tag: tag, NoAck: m.NoAck, Exclusive: m.Exclusive, Prefetch: ch.prefetch, Arguments: m.Arguments,
		Connection: c.name, Channel: ch.id, User: c.identity.Role,
	}
	k.prefix = deliverPrefix(ch.id, tag)
	if e := c.vhost.Consume(c.actor.Load(), name, &k.Consumer, k); e != nil {
		return e
	}
	k.source = source{queue: k.Queue(), consumer: &k.Consumer, prefetch: k.Prefetch}
	gone := ch.enter(k)
	if m.NoWait {
		c.out.announce(k, nil)
	} else {
		c.holdConsumeOk(k)
	}
	if gone && k.notify {
		c.sendHeld()
		k.sendCancel()
	}
	return nil
}

// enter makes k one of the channel's consumers; gone: its queue was deleted in
// the meantime.
func (ch *channel) enter(k *consumer) (gone bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if k.gone {
		return true
	}
	if ch.consumers == nil {
		ch.consumers = map[string]*consumer{}
	}
	ch.consumers[k.Tag] = k
	return false
}

// deliverPrefix encodes the part of basic.deliver that all of a consumer's
// deliveries share (§1.8.3.9).
func deliverPrefix(ch uint16, tag string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{amqp.FrameMethod}, ch)
	b = append(b, 0, 0, 0, 0) // size, patched for each delivery
	b = binary.BigEndian.AppendUint32(b, uint32(amqp.IDBasicDeliver))
	return append(append(b, byte(len(tag)&0xff)), tag...)
}

func (c *Conn) cancel(ch *channel, m *amqp.BasicCancel) *amqp.Error {
	if k, ok := c.detach(ch, m.ConsumerTag); ok {
		c.vhost.Cancel(&k.Consumer)
	}
	if m.ConsumerTag != "" {
		c.endReplies(ch, m.ConsumerTag)
	}
	return c.reply(ch, nil, m.NoWait, &amqp.BasicCancelOk{ConsumerTag: m.ConsumerTag})
}

// detach takes a consumer off its channel; after it no delivery is sent.
func (c *Conn) detach(ch *channel, tag string) (*consumer, bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	k, ok := ch.consumers[tag]
	if ok {
		k.gone = true
		delete(ch.consumers, tag)
	}
	return k, ok
}

func (c *Conn) get(ch *channel, m *amqp.BasicGet) *amqp.Error {
	name, err := ch.queueName(m.Queue)
	if err != nil {
		return err
	}
	q, d, left, ok, err := c.vhost.Get(c.actor.Load(), name, m.NoAck, &ch.gets)
	if err != nil {
		return err
	}
	if !ok {
		ch.mu.Lock()
		ch.did.GetEmpty++
		ch.mu.Unlock()
		c.send(ch.id, &amqp.BasicGetEmpty{})
		return nil
	}
	if ch.getter == nil || ch.getter.queue != q {
		ch.getter = &source{queue: q}
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.lastTag++
	if !m.NoAck {
		ch.unacked.add(ch.lastTag, outstanding{ch.getter, d.Seq, c.stampNow().of(1)})
	}
	tag := ch.lastTag
	ch.ahead = true
	ch.did.Fetched(&d, m.NoAck)
	c.sendHeld()
	c.out.add(func(b []byte) []byte {
		start := len(b)
		b = binary.BigEndian.AppendUint16(append(b, amqp.FrameMethod), ch.id)
		b = append(b, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(amqp.IDBasicGetOk))
		b = binary.BigEndian.AppendUint64(b, tag)
		b = append(b, bit(d.Redelivered))
		b = append(b, d.Image[:d.RouteLen]...)
		b = binary.BigEndian.AppendUint32(b, count(left))
		binary.BigEndian.PutUint32(b[start+3:], uint32(len(b)-start-7)) //nolint:gosec // a short method
		b = append(b, amqp.FrameEnd)
		return appendContent(b, d.Image[d.RouteLen+1:], ch.id, c.frameMax)
	})
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// unreadable returns the channel's consumers whose queue the connection may
// no longer read from.
func (ch *channel) unreadable(a *broker.Actor, v *broker.Vhost) (list []*consumer) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for _, k := range ch.consumers {
		if v.Check(a, auth.Read, broker.KindQueue, k.Queue().Name) != nil {
			list = append(list, k)
		}
	}
	return list
}
