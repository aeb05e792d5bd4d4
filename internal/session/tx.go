package session

import (
	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// transaction holds back what a transactional channel did since the last
// commit or rollback (§1.9).
type transaction struct {
	publishes []heldPublish
	bytes     int
	settles   []heldSettle
}

type heldPublish struct {
	message   broker.Message
	mandatory bool
}

type heldSettle struct {
	tag uint64
	outstanding
	fate fate
}

func (t *transaction) unsettled() (list []outstanding) {
	for _, s := range t.settles {
		list = append(list, s.outstanding)
	}
	return list
}

// publishLater holds a publish back.
func (c *Conn) publishLater(ch *channel, m *broker.Message, mandatory bool) *amqp.Error {
	t := ch.tx
	size := len(m.Route) + len(m.Content)
	if len(t.publishes) >= MaxTransactionMessages || t.bytes+size > MaxTransactionBytes {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"transaction exceeds %d messages or %d bytes; commit more often", MaxTransactionMessages, MaxTransactionBytes)
	}
	if err := c.publisher().CheckHeld(m); err != nil {
		return err
	}
	if c.holds+uint64(size) > c.cfg.maxHeld() {
		return errHeld(c.cfg.maxHeld())
	}
	t.bytes += size
	c.holds += uint64(size)
	held := *m
	held.Ticket = ticket(ch.id, uint64(len(t.publishes)))
	held.Route = append([]byte(nil), m.Route...)
	n := int(held.Route[0])
	held.Exchange, held.Key = held.Route[1:1+n], held.Route[2+n:]
	held.Content = append([]byte(nil), m.Content...)
	held.Headers = append(amqp.RawTable(nil), m.Headers...)
	t.publishes = append(t.publishes, heldPublish{held, mandatory})
	ch.mu.Lock()
	ch.mode.uncommitted.messages++
	ch.mu.Unlock()
	return nil
}

// settleLater holds an acknowledgement back; its deliveries are no longer
// outstanding, and are again after a rollback.
func (c *Conn) settleLater(ch *channel, tag uint64, multiple bool, what fate) *amqp.Error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	t := ch.tx
	if !multiple {
		d, ok := ch.unacked.take(tag)
		if !ok && ch.forgive(tag, false) {
			return nil
		}
		if !ok {
			return unknownTag(tag)
		}
		if what == acked {
			c.timeAck(&d)
		}
		t.settles = append(t.settles, heldSettle{tag, d, what})
		ch.mode.uncommitted.acks++
		return nil
	}
	if late := ch.forgive(tag, true); !late && tag != 0 && !ch.unacked.has(tag) {
		return unknownTag(tag)
	}
	for _, id := range ch.unacked.tags(tag) {
		d, _ := ch.unacked.take(id)
		if what == acked {
			c.timeAck(&d)
		}
		t.settles = append(t.settles, heldSettle{id, d, what})
		ch.mode.uncommitted.acks++
	}
	return nil
}

// txMethod runs class tx.
func (c *Conn) txMethod(ch *channel, m amqp.Method) *amqp.Error {
	if _, ok := m.(*amqp.TxSelect); ok {
		if ch.confirm.on {
			return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "cannot switch from confirm to tx mode")
		}
		if ch.tx == nil {
			ch.tx = &transaction{}
			ch.mu.Lock()
			ch.mode.Tx = true
			ch.mu.Unlock()
		}
		c.send(ch.id, &amqp.TxSelectOk{})
		return nil
	}
	if ch.tx == nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "channel is not transactional")
	}
	switch m.(type) {
	case *amqp.TxCommit:
		return c.commit(ch)
	case *amqp.TxRollback:
		c.rollback(ch)
		c.send(ch.id, &amqp.TxRollbackOk{})
		return nil
	}
	return errUnimplemented()
}

// commit lets a transaction take effect: its publishes and acknowledgements
// are one batch of the log, and commit-ok is sent when that is on stable
// storage.
func (c *Conn) commit(ch *channel) *amqp.Error {
	t, pub := ch.tx, c.publisher()
	ch.tx = &transaction{}
	c.holds -= uint64(t.bytes) //nolint:gosec // not negative
	for _, s := range t.settles {
		if len(c.settles.runs) == maxSettleRuns {
			c.settles.flushWith(pub)
		}
		c.settles.add(s.outstanding, s.fate)
	}
	c.settles.flushWith(pub)
	var invalid *amqp.Error
	for i := range t.publishes {
		p := &t.publishes[i]
		switch err := c.route(ch, &p.message, p.mandatory); {
		case err == nil:
		case err.Code == amqp.CodePreconditionFailed:
			invalid = err.At(amqp.IDTxCommit)
		case p.mandatory: // an exchange that went since then routes nothing, as with RabbitMQ
			c.sendReturn(ch, &p.message)
		}
	}
	done := make(chan error, 1)
	refused := c.confirms.refusals.count
	if _, logged := pub.Flush(func(err error) { done <- err }, false); !logged {
		done <- pub.Err()
	}
	if err := <-done; err != nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "transaction not stored: %s", err.Error())
	}
	if c.confirms.refusals.count > refused {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "partial tx completion")
	}
	if invalid != nil {
		return invalid
	}
	ch.mu.Lock()
	ch.mode.uncommitted = uncommitted{}
	c.feed(ch)
	ch.mu.Unlock()
	c.send(ch.id, &amqp.TxCommitOk{})
	return nil
}

// rollback forgets a transaction; what it had acknowledged is outstanding
// again and is not redelivered.
func (c *Conn) rollback(ch *channel) {
	t := ch.tx
	ch.tx = &transaction{}
	c.holds -= uint64(t.bytes) //nolint:gosec // not negative
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.mode.uncommitted = uncommitted{}
	list := make([]oldDelivery, len(t.settles))
	for i, s := range t.settles {
		list[i] = oldDelivery{s.tag, s.outstanding}
	}
	ch.unacked.restore(list)
}
