package session

import (
	"slices"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// maxVoid is how many overdue tags a channel remembers: the client may still
// settle them, which means nothing any more.
const maxVoid = 1 << 16

// Overdue implements broker.Waker: the consumer is cancelled, what it did not
// settle in time goes back, and its client is told, as RabbitMQ 4.3 does, by
// basic.cancel. One that does not understand that loses its channel.
func (k *consumer) Overdue(_ *broker.Consumer, seqs []uint64) {
	late := k.ch.takeLate(&k.source, seqs)
	if len(late) == 0 {
		return
	}
	_, ours := k.conn.detach(k.ch, k.Tag)
	if ours {
		k.conn.vhost.Cancel(&k.Consumer)
	}
	e := timedOut(k.ch, k.Timeout())
	k.conn.log().Warn("deliveries were not settled in time: they go back, their consumer is cancelled", k.conn.attrs(k.ch, e)...)
	k.queue.Fail(&k.Consumer, late)
	switch {
	case !ours:
	case k.notify:
		k.sendCancel()
	default:
		k.conn.lose(k.ch, e)
	}
}

// getting is who gets messages of a channel by basic.get.
type getting struct {
	conn *Conn
	ch   *channel
}

// Overdue implements broker.Waker: nobody can be cancelled, so the channel ends.
func (g *getting) Overdue(k *broker.Consumer, seqs []uint64) {
	g.ch.mu.Lock()
	late := g.ch.unacked.overdue(k.Queue(), nil, seqs)
	g.ch.mu.Unlock()
	if len(late) > 0 {
		g.conn.lose(g.ch, timedOut(g.ch, k.Timeout()))
	}
}

// Wake implements broker.Waker.
func (g *getting) Wake(*broker.Consumer) {}

// Carry implements broker.Waker.
func (g *getting) Carry(*broker.Consumer) {}

// Cancelled implements broker.Waker.
func (g *getting) Cancelled(*broker.Consumer) {}

// lose closes a channel from outside the reader, which does the rest of it when
// the client sends something on the channel: at the latest that it agrees.
func (c *Conn) lose(ch *channel, e *amqp.Error) {
	if ch.lost.Swap(true) {
		return
	}
	c.log().Warn("channel closed: deliveries were not settled in time", c.attrs(ch, e)...)
	list, left := ch.close()
	for _, k := range list {
		c.vhost.Cancel(&k.Consumer)
	}
	var back settles
	for _, d := range left {
		back.add(d, failed)
	}
	back.flush()
	c.out.add(func(b []byte) []byte {
		return amqp.AppendMethod(b, ch.id, &amqp.ChannelClose{ReplyCode: e.Code, ReplyText: e.ReplyText()})
	})
}

func timedOut(ch *channel, timeout int64) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "delivery acknowledgement on channel %d timed out. Timeout value used: %d ms. "+
		"This timeout value can be configured, see consumers doc guide to learn more", ch.id, timeout)
}

// takeLate takes those of the messages back that are outstanding; their tags may
// still be settled.
func (ch *channel) takeLate(src *source, seqs []uint64) (late []uint64) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	tags := ch.unacked.overdue(src.queue, src.consumer, seqs)
	for _, tag := range tags {
		d, _ := ch.unacked.take(tag)
		late = append(late, d.seq)
	}
	ch.void = append(ch.void, tags[:min(len(tags), maxVoid-len(ch.void))]...)
	ch.voidMixed = true
	return late
}

// forgive reports whether a tag is overdue, alone or, with multiple, as the
// last of several, and forgets those that are settled by it; ch.mu is held.
func (ch *channel) forgive(tag uint64, multiple bool) bool {
	if ch.void == nil {
		return false
	}
	if ch.voidMixed {
		slices.Sort(ch.void)
		ch.voidMixed = false
	}
	i, ok := slices.BinarySearch(ch.void, tag)
	switch {
	case multiple && tag == 0:
		ch.void = nil
	case ok && multiple:
		ch.void = ch.void[i+1:]
	case ok:
		ch.void = slices.Delete(ch.void, i, i+1)
	}
	return ok
}

// lateness finds deliveries by what a queue calls them. Each delivery is
// entered once, when something is overdue: many consumers of a channel may be,
// one after another, and each may be for one message after another.
type lateness struct {
	of      map[taker]map[uint64]uint64 // tags by sequence number; some are settled since
	entries int
	upTo    uint64 // the last tag that is entered
}

// taker is who gets a queue's messages on a channel.
type taker struct {
	queue    *broker.Queue
	consumer *broker.Consumer // nil: basic.get
}

func (l *lateness) enter(tag uint64, d *outstanding) {
	k := taker{d.src.queue, d.src.consumer}
	seqs := l.of[k]
	if seqs == nil {
		seqs = map[uint64]uint64{}
		l.of[k] = seqs
	}
	seqs[d.seq] = tag
	l.entries++
}

// maxSettledLate is how many of the deliveries that are entered may be settled,
// beside as many as are not.
const maxSettledLate = 1024

// overdue lists the tags of those messages of a queue that are outstanding.
func (u *unacked) overdue(q *broker.Queue, k *broker.Consumer, seqs []uint64) (tags []uint64) {
	if u.late == nil || u.late.entries > 2*u.live+maxSettledLate {
		u.late = &lateness{of: map[taker]map[uint64]uint64{}}
	}
	l := u.late
	u.above(l.upTo, func(tag uint64, d *outstanding) bool {
		l.enter(tag, d)
		l.upTo = tag
		return true
	})
	of := l.of[taker{q, k}]
	for _, seq := range seqs {
		tag, ok := of[seq]
		if !ok {
			continue
		}
		delete(of, seq)
		l.entries--
		if d, ok := u.peek(tag); ok && d.seq == seq && d.src.queue == q && d.src.consumer == k {
			tags = append(tags, tag)
		}
	}
	if of != nil && len(of) == 0 {
		delete(l.of, taker{q, k})
	}
	slices.Sort(tags)
	return tags
}
