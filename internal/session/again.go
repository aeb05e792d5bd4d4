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
	method []byte   // the frame of basic.publish
	header []byte   // the content header frame
	msg    broker.Message
}

// Where the arguments begin in a method frame, and what is behind them.
const (
	argsAt    = 7 + 4
	frameTail = 1
)

// Where the body's size lies in a content header frame (§4.2.6.1), what is
// behind it, and where a body begins in its frame.
const (
	sizeAt  = 11
	flagsAt = 19
	bodyAt  = 7
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
	b := append(a.method[:0], amqp.FrameMethod)
	b = binary.BigEndian.AppendUint16(b, a.ch.id)
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(args))) //nolint:gosec // two short strings
	b = binary.BigEndian.AppendUint32(b, uint32(amqp.IDBasicPublish))
	b = append(b, args...)
	a.method = append(b, amqp.FrameEnd)
	args = a.args()
	route := args[2 : len(args)-1] // between the ticket and the bits
	n := int(route[0])
	a.msg.Route, a.msg.Exchange, a.msg.Key, a.msg.Content = route, route[1:1+n], route[2+n:], nil
}

// args are those of the last publish.
func (a *again) args() []byte { return a.method[argsAt : len(a.method)-frameTail] }

// forget lets go of the last publish, which lies in the window.
func (a *again) forget() { a.ch, a.msg = nil, broker.Message{} }

// content returns how long a content is that begins b, has the same header as
// the last publish but for the body's size, which is limit at most, and lies in
// b with its body in one frame; 0: it is not like that.
func (a *again) content(b []byte, limit uint64) (n int) {
	n = len(a.header)
	if len(b) < n || !bytes.Equal(b[:sizeAt], a.header[:sizeAt]) || !bytes.Equal(b[flagsAt:n], a.header[flagsAt:]) {
		return 0
	}
	size, body := binary.BigEndian.Uint64(b[sizeAt:]), b[n:]
	if size == 0 {
		return n
	}
	if size > limit || size+amqp.FrameOverhead > uint64(len(body)) {
		return 0
	}
	end := bodyAt + int(size) //nolint:gosec // within b
	if body[0] != amqp.FrameBody || body[1] != b[1] || body[2] != b[2] || uint64(binary.BigEndian.Uint32(body[3:])) != size ||
		body[end] != amqp.FrameEnd {
		return 0
	}
	return n + end + frameTail
}

// next returns the content of the publish that begins b if it is like the
// last one but for its body, as content has it; n is how long all of the
// publish is, 0: it is not like that.
func (a *again) next(b []byte, limit uint64) (content []byte, n int) {
	if !bytes.HasPrefix(b, a.method) {
		return nil, 0
	}
	content = b[len(a.method):]
	if n = a.content(content, limit); n == 0 {
		return nil, 0
	}
	return content[:n:n], len(a.method) + n
}

// mostAgain is the largest body that is taken by comparison.
func (c *Conn) mostAgain() uint64 { return min(c.cfg.maxMessage(), uint64(c.frameMax)) }

// sameContent is again.content for what follows a basic.publish of channel ch.
func (c *Conn) sameContent(ch *channel, rest []byte) (n int) {
	if c.again.ch != ch || ch.tx != nil {
		return 0
	}
	return c.again.content(rest, c.mostAgain())
}

// publishAgain handles a basic.publish that is like the last one but for its
// content, of which sameContent is true; false: it has to be looked at.
func (c *Conn) publishAgain(ch *channel, args, content []byte) bool {
	return bytes.Equal(args, c.again.args()) && c.publishAll(ch, [][]byte{content}) == 1
}

// publishAll publishes contents as the last one was, and returns how many it
// took: all for one queue without peculiarities, else the first, and none when
// it has to be published anew.
func (c *Conn) publishAll(ch *channel, contents [][]byte) int {
	m := &c.again.msg
	if c.wrote.rights != c.actor.Load().Rights || !bytes.Equal(c.wrote.exchange, m.Exchange) {
		return 0
	}
	m.Ticket = ticket(ch.id, ch.confirm.next)
	n := c.pub.Again(m, contents, ticketStep)
	if n > 0 {
		c.countPublishes(ch, n)
		c.publishedSome(ch, n)
	}
	return n
}

// maxRun is how many publishes a run hands over at once.
const maxRun = 64

// publishRun handles what follows a publish that publishAgain took, as long as
// it is like it; used is how much of rest that is.
func (c *Conn) publishRun(ch *channel, rest []byte) (used int) {
	a := &c.again
	var run [maxRun][]byte
	limit, most := c.mostAgain(), maxRun
	for !c.closing.Load() && !ch.lost.Load() {
		n := 0
		for at := used; n < most; n++ {
			content, size := a.next(rest[at:], limit)
			if size == 0 {
				break
			}
			run[n] = content
			at += size
		}
		took := 0
		if n > 0 {
			took = c.publishAll(ch, run[:n])
		}
		if took == 0 {
			break
		}
		for _, content := range run[:took] {
			used += len(a.method) + len(content)
		}
		if took < n {
			most = 1
		}
	}
	return used
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
