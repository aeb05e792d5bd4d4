package session

import (
	"bytes"
	"encoding/binary"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// again is the last publish, if one like it needs no second look: publishers
// send message after message that differ in their bodies alone, or in these and
// the routing key.
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

// remember notes the publish of a.msg, whose properties ask the broker for
// nothing.
func (a *again) remember(ch *channel, args, header []byte) {
	a.ch = ch
	a.header = append(a.header[:0], header...)
	a.msg.Headers, a.msg.Content = nil, nil
	a.keep(args)
}

// keep notes the arguments of the publish of a.msg.
func (a *again) keep(args []byte) {
	a.args = append(a.args[:0], args...)
	route := a.args[2 : len(a.args)-1] // between the ticket and the bits
	n := int(route[0])
	a.msg.Route, a.msg.Exchange, a.msg.Key, a.msg.Content = route, route[1:1+n], route[2+n:], nil
}

// forget lets go of the last publish, which lies in the window.
func (a *again) forget() { a.ch, a.msg = nil, broker.Message{} }

// sameContent returns how long a content is that begins rest, has the same
// header as the last publish but for the body's size, and lies in the window
// with its body in one frame; 0: it is not like that.
func (c *Conn) sameContent(ch *channel, rest []byte) (n int) {
	a := &c.again
	n = len(a.header)
	if a.ch != ch || ch.tx != nil || len(rest) < n || !bytes.Equal(rest[:sizeAt], a.header[:sizeAt]) ||
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
	return n
}

// publishAgain handles a basic.publish that is like the last one but for its
// content, of which sameContent is true; false: it has to be looked at.
func (c *Conn) publishAgain(ch *channel, args, content []byte) bool {
	a := &c.again
	if !bytes.Equal(args, a.args) || c.wrote.rights != c.actor.Load().Rights || !bytes.Equal(c.wrote.exchange, a.msg.Exchange) {
		return false
	}
	a.msg.Content, a.msg.Ticket = content, ticket(ch.id, ch.confirm.next)
	ok := c.pub.Again(&a.msg)
	a.msg.Content = nil
	if !ok {
		return false
	}
	c.countPublish(ch)
	c.publishedOne(ch)
	return true
}

// publishAlike is publishAgain for one that has another routing key or another
// bit.
func (c *Conn) publishAlike(ch *channel, p *amqp.Publish, args, content []byte) *amqp.Error {
	m := &c.again.msg
	m.Route, m.Exchange, m.Key = p.Route, p.Exchange, p.RoutingKey
	m.Content, m.Ticket = content, ticket(ch.id, ch.confirm.next)
	if err := c.mayPublish(m.Exchange); err != nil {
		c.again.forget()
		return err.At(amqp.IDBasicPublish)
	}
	if err := c.publishChecked(ch, m, p.Mandatory); err != nil {
		c.again.forget()
		return err
	}
	c.again.keep(args)
	return nil
}
