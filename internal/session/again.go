package session

import (
	"bytes"
	"encoding/binary"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// again is the last publish, if one like it needs no second look: publishers
// send message after message that differ in their bodies alone.
type again struct {
	ch     *channel // nil: none
	args   []byte   // of basic.publish
	header []byte   // the content header frame
	msg    broker.Message
}

// Where the body's size lies in a content header frame (§4.2.6.1).
const (
	sizeAt  = 11
	flagsAt = 19
)

// remember notes a publish whose properties ask the broker for nothing.
func (a *again) remember(ch *channel, args, header []byte, msg *broker.Message) {
	a.ch = ch
	a.args = append(a.args[:0], args...)
	a.header = append(a.header[:0], header...)
	route := a.args[2 : len(a.args)-1] // between the ticket and the bits
	n := int(route[0])
	a.msg = broker.Message{
		Route: route, Exchange: route[1 : 1+n], Key: route[2+n:], Persistent: msg.Persistent, Priority: msg.Priority, Ranked: msg.Ranked,
	}
}

// publishAgain handles a basic.publish that is like the last one but for its
// body, all of which lies in the window in one frame. N is what it consumed: 0
// when it has to be looked at.
func (c *Conn) publishAgain(ch *channel, args, rest []byte) (n int) {
	a := &c.again
	n = len(a.header)
	if a.ch != ch || ch.tx != nil || len(rest) < n || !bytes.Equal(args, a.args) || !bytes.Equal(rest[:sizeAt], a.header[:sizeAt]) ||
		!bytes.Equal(rest[flagsAt:n], a.header[flagsAt:]) {
		return 0
	}
	if size := binary.BigEndian.Uint64(rest[sizeAt:]); size > 0 {
		if size > c.cfg.maxMessage() || size > uint64(len(rest)) {
			return 0
		}
		f, used := c.frameOf(ch, amqp.FrameBody, rest[n:])
		if used == 0 || uint64(len(f.Payload)) != size {
			return 0
		}
		n += used
	}
	if c.wrote.rights != c.actor.Load().Rights || !bytes.Equal(c.wrote.exchange, a.msg.Exchange) {
		return 0
	}
	a.msg.Content = rest[:n]
	ok := c.pub.Again(&a.msg)
	a.msg.Content = nil
	if !ok {
		return 0
	}
	c.countPublish(ch)
	c.publishedOne(ch)
	return n
}
