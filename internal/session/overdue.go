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
// basic.cancel. One that does not understand that is disconnected.
func (k *consumer) Overdue(_ *broker.Consumer, seqs []uint64) {
	_, ours := k.conn.detach(k.ch, k.Tag)
	if ours {
		k.conn.vhost.Cancel(&k.Consumer)
	}
	k.ch.mu.Lock()
	tags := k.ch.unacked.late(&k.source, seqs)
	late := seqs[:0]
	for _, tag := range tags {
		d, _ := k.ch.unacked.take(tag)
		late = append(late, d.seq)
	}
	k.ch.void = append(k.ch.void, tags[:min(len(tags), maxVoid-len(k.ch.void))]...)
	slices.Sort(k.ch.void)
	k.ch.mu.Unlock()
	if len(late) == 0 {
		return
	}
	e := timedOut(k)
	k.conn.log().Warn("deliveries were not settled in time: they go back, their consumer is cancelled", k.conn.attrs(k.ch, e)...)
	k.queue.Fail(&k.Consumer, late)
	switch {
	case !ours:
	case k.notify:
		k.sendCancel()
	default:
		k.conn.Close(e.Code, e.Text)
	}
}

func timedOut(k *consumer) *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodePreconditionFailed, "delivery acknowledgement on channel %d timed out. Timeout value used: %d ms. "+
		"This timeout value can be configured, see consumers doc guide to learn more", k.ch.id, k.Timeout())
}

// forgive reports whether a tag is overdue, alone or, with multiple, as the
// last of several, and forgets those that are settled by it; ch.mu is held.
func (ch *channel) forgive(tag uint64, multiple bool) bool {
	if ch.void == nil {
		return false
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

// late lists the tags of those messages that are outstanding.
func (u *unacked) late(src *source, seqs []uint64) (tags []uint64) {
	wanted := make(map[uint64]bool, len(seqs))
	for _, seq := range seqs {
		wanted[seq] = true
	}
	for _, tag := range u.tags(0) {
		if d, _ := u.peek(tag); d.src == src && wanted[d.seq] {
			tags = append(tags, tag)
		}
	}
	return tags
}
