package bench

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/warrenmq/warren/amqp"
)

// consumer takes deliveries on a connection of its own.
type consumer struct {
	conn  *conn
	clock clock
	every int64 // messages an acknowledgement; 0: the broker wants none

	stopping  atomic.Bool
	delivered counter
	last      counter // when the last delivery came

	measured func(due int64) bool // which messages belong to the latencies; nil: none
	latency  *histogram
}

// start subscribes to a queue.
func (c *consumer) start(queue string, qos int) error {
	if qos > 0 {
		m := &amqp.BasicQos{PrefetchCount: uint16(qos)} //nolint:gosec // validated
		if err := c.conn.call(channelID, m, amqp.IDBasicQosOk, nil); err != nil {
			return err
		}
	}
	m := &amqp.BasicConsume{Queue: queue, ConsumerTag: consumerTag, NoAck: c.every == 0}
	return c.conn.call(channelID, m, amqp.IDBasicConsumeOk, nil)
}

// run counts and acknowledges until it is told to stop, and takes leave.
func (c *consumer) run() error {
	now := int64(0)
	in := parser{maxFrame: c.conn.frameMax, method: c.conn.closing}
	if c.measured != nil {
		in.stamp = func(stamp uint64) {
			if due := int64(stamp); c.measured(due) { //nolint:gosec // as the producer wrote it
				c.latency.record(now - due)
			}
		}
	}
	acked, acks := int64(0), []byte(nil)
	for {
		now = c.clock.now()
		n, err := in.parse(c.conn.buf[:c.conn.have])
		if err != nil {
			return err
		}
		c.conn.consumed(n)
		if in.messages > c.delivered.Load() {
			c.last.Store(now)
			c.delivered.Store(in.messages)
		}
		if c.every > 0 && in.messages-acked >= c.every {
			acks, acked = c.appendAcks(acks[:0], acked, in.messages)
			if _, err := c.conn.net.Write(acks); err != nil {
				return err
			}
		}
		err = c.conn.fill()
		if errors.Is(err, os.ErrDeadlineExceeded) && c.stopping.Load() {
			return c.leave(&in, acked)
		}
		if err != nil {
			return err
		}
	}
}

// appendAcks appends an acknowledgement for each full batch after acked and returns how far they
// reach. Delivery tags count from 1, which the parser sees to.
func (c *consumer) appendAcks(dst []byte, acked, messages int64) ([]byte, int64) {
	for messages-acked >= c.every {
		acked += c.every
		dst = amqp.AppendAck(dst, channelID, uint64(acked), c.every > 1) //nolint:gosec // a count
	}
	return dst, acked
}

// leave acknowledges the rest and closes the connection.
func (c *consumer) leave(in *parser, acked int64) error {
	if c.every > 0 && in.messages > acked {
		ack := amqp.AppendAck(nil, channelID, uint64(in.messages), true) //nolint:gosec // a count
		if _, err := c.conn.net.Write(ack); err != nil {
			return err
		}
	}
	c.conn.expectReply()
	for in.inBody { // close reads whole frames
		if err := c.conn.fill(); err != nil {
			return err
		}
		n, err := in.body(c.conn.buf[:c.conn.have], 0)
		if err != nil {
			return err
		}
		c.conn.consumed(n)
	}
	return c.conn.close()
}

// stop makes the consumer end at once.
func (c *consumer) stop() {
	c.stopping.Store(true)
	_ = c.conn.net.SetReadDeadline(newClock().at(0)) // if it is closed already, all the better
}
