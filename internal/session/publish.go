package session

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
)

// content is a publish whose frames are not all there yet, or were not all in
// one read.
type content struct {
	stage     stage
	route     []byte // copied
	exchange  int    // bytes of the exchange's name in route
	mandatory bool
	size      uint64 // announced
	got       uint64
	frames    []byte // content header frame and body, re-framed
	pane      *pane  // what frames lie in; nil: in memory of their own
	usual     int    // how large the pane of the last message was
	last      int    // where the last body frame begins in frames, 0: none yet
	held      uint64 // of Conn.holds
	discard   bool   // too large: read and refused
}

// stage is what frame a channel expects.
type stage uint8

const (
	stageMethod stage = iota
	stageHeader
	stageBody
)

const (
	// tinyBody is the size below which body frames are merged: a frame costs
	// eight bytes in memory and on each delivery.
	tinyBody = 1024
	// maxGathered is from how many places in queues on a batch is flushed
	// before the read it came with is at its end: a fanout multiplies it.
	maxGathered = 1 << 10
)

// publishInPlace handles a basic.publish whose header and body frames follow
// it in the window, without copying them first. N is what it consumed: 0 when
// the frames have to be taken one by one.
func (c *Conn) publishInPlace(ch *channel, p *amqp.Publish, args, rest []byte) (n int, err *amqp.Error) {
	f, hn := c.frameOf(ch, amqp.FrameHeader, rest)
	if hn == 0 {
		return 0, nil
	}
	h, ok := c.plainHeader(f.Payload)
	if !ok {
		return 0, nil
	}
	end := hn + c.bodyLen(ch, h.BodySize, rest[hn:])
	if end == hn && h.BodySize > 0 {
		return 0, nil
	}
	return end, c.publish(ch, &message{
		args:  args,
		route: p.Route, exchange: p.Exchange, key: p.RoutingKey, mandatory: p.Mandatory,
		header: h, content: rest[:end], headerLen: hn,
	})
}

// frameOf reads the next frame if it is whole, of the given type and of
// channel ch; else n is 0.
func (c *Conn) frameOf(ch *channel, typ byte, b []byte) (f amqp.Frame, n int) {
	f, n, err := amqp.ParseFrame(b, c.frameMax)
	if err != nil || f.Type != typ || f.Channel != ch.id {
		return f, 0
	}
	return f, n
}

// plainHeader reads a content header that nothing is wrong with.
func (c *Conn) plainHeader(payload []byte) (amqp.Header, bool) {
	h, err := amqp.ParseHeader(payload)
	return h, err == nil && c.checkHeader(&h) == nil && h.BodySize <= c.cfg.maxMessage()
}

// bodyLen returns how many bytes the body frames of a content take that is
// size bytes long; 0 when they are not all there or are cut too small to be
// kept as they are.
func (c *Conn) bodyLen(ch *channel, size uint64, b []byte) (n int) {
	for size > 0 {
		f, k := c.frameOf(ch, amqp.FrameBody, b[n:])
		got := uint64(len(f.Payload))
		if k == 0 || got > size || got < size && got < tinyBody {
			return 0
		}
		size -= got
		n += k
	}
	return n
}

// beginContent remembers a publish whose content follows frame by frame.
func (ch *channel) beginContent(p *amqp.Publish) {
	old := ch.content
	ch.content = content{
		stage: stageHeader, route: append(old.route[:0], p.Route...), exchange: len(p.Exchange),
		mandatory: p.Mandatory, usual: old.usual,
	}
}

// extend makes room for n bytes more. Memory comes from the registry, twice as
// much each time, beginning with what the channel's last message took: it is
// never far ahead of what was received, and a channel that has nothing
// unfinished has none.
func (c *Conn) extend(t *content, n int) {
	need := len(t.frames) + n
	if need <= cap(t.frames) {
		return
	}
	size := max(windowMin, t.usual)
	for size < need && size <= windowMax {
		size *= 2
	}
	panes := &c.cfg.Registry.panes
	if size > windowMax {
		t.frames = slices.Grow(t.frames, n)
		panes.put(t.pane)
		t.pane = nil
		return
	}
	p := panes.get(size)
	t.frames = append(p.buf[:0], t.frames...)
	panes.put(t.pane)
	t.pane = p
}

// release gives back what a content lies in.
func (c *Conn) release(t *content) {
	switch {
	case t.pane == nil:
		if len(t.frames) > windowMax {
			t.usual = windowMax
		}
	case len(t.frames) < len(t.pane.buf)/4:
		t.usual = len(t.pane.buf) / 2
	default:
		t.usual = len(t.pane.buf)
	}
	c.cfg.Registry.panes.put(t.pane)
	t.pane, t.frames = nil, nil
}

// checkHeader checks what a content header announces.
func (c *Conn) checkHeader(h *amqp.Header) *amqp.Error {
	switch {
	case h.Class != amqp.ClassBasic:
		return amqp.ConnectionErrorf(amqp.CodeUnexpectedFrame,
			"expected content header for class 60, got one for class %d instead", h.Class).At(amqp.IDBasicPublish)
	case h.Weight != 0:
		return errNoHeader()
	case h.BodySize > MaxContentSize:
		return amqp.ConnectionErrorf(amqp.CodeFrameError, "content body size %d exceeds maximum allowed size %d",
			h.BodySize, uint64(MaxContentSize)).At(amqp.IDBasicPublish)
	}
	return nil
}

func errNoHeader() *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodeUnexpectedFrame,
		"expected content header for class 60, got non content header frame instead").At(amqp.IDBasicPublish)
}

// contentFrame takes a header or body frame of a channel.
func (c *Conn) contentFrame(ch *channel, f amqp.Frame) *amqp.Error {
	switch {
	case ch.content.stage == stageMethod:
		return errNoMethod()
	case ch.content.stage == stageHeader && f.Type != amqp.FrameHeader:
		return errNoHeader()
	case ch.content.stage == stageBody && f.Type != amqp.FrameBody:
		return errNoBody()
	case f.Type == amqp.FrameHeader:
		return c.contentHeader(ch, f)
	}
	return c.contentBody(ch, f)
}

func (c *Conn) contentHeader(ch *channel, f amqp.Frame) *amqp.Error {
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return errNoHeader()
	}
	if err := c.checkHeader(&h); err != nil {
		return err
	}
	t := &ch.content
	t.stage, t.size, t.got, t.last = stageBody, h.BodySize, 0, 0
	t.discard = h.BodySize > c.cfg.maxMessage()
	c.extend(t, len(f.Payload)+amqp.FrameOverhead)
	t.frames = appendFrame(t.frames, amqp.FrameHeader, ch.id, f.Payload)
	if t.size == 0 {
		return c.contentDone(ch)
	}
	return nil
}

func (c *Conn) contentBody(ch *channel, f amqp.Frame) *amqp.Error {
	t := &ch.content
	size := uint64(len(f.Payload))
	if size > t.size-t.got {
		return amqp.ConnectionErrorf(amqp.CodeFrameError, "content body frame exceeds remaining content size").
			At(amqp.IDBasicPublish)
	}
	t.got += size
	if !t.discard && c.holds+size > c.cfg.maxHeld() {
		c.holds -= t.held
		t.discard, t.held = true, 0
		c.release(t)
	}
	if !t.discard {
		t.held += size
		c.holds += size
		c.extend(t, len(f.Payload)+(1+len(f.Payload)/tinyBody)*amqp.FrameOverhead)
		t.append(ch.id, f.Payload)
	}
	if t.got < t.size {
		return nil
	}
	return c.contentDone(ch)
}

// append adds body bytes to the last body frame, or begins one that is full
// at FrameMax: however a client cuts its body, it is kept in few frames.
func (t *content) append(ch uint16, body []byte) {
	const most = FrameMax - amqp.FrameOverhead
	for len(body) > 0 {
		if t.last == 0 || len(t.frames)-t.last-amqp.FrameOverhead == most {
			t.last = len(t.frames)
			t.frames = appendFrame(t.frames, amqp.FrameBody, ch, nil)
		}
		had := len(t.frames) - t.last - amqp.FrameOverhead
		n := min(len(body), most-had)
		t.frames = append(t.frames[:len(t.frames)-1], body[:n]...)
		t.frames = append(t.frames, amqp.FrameEnd)
		binary.BigEndian.PutUint32(t.frames[t.last+3:], uint32(had+n)) //nolint:gosec // at most FrameMax
		body = body[n:]
	}
}

func appendFrame(dst []byte, typ byte, ch uint16, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint16(append(dst, typ), ch)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload))) //nolint:gosec // came in a frame
	return append(append(dst, payload...), amqp.FrameEnd)
}

// contentDone publishes a message that came frame by frame.
func (c *Conn) contentDone(ch *channel) *amqp.Error {
	t := &ch.content
	t.stage = stageMethod
	c.holds -= t.held
	t.held = 0
	defer c.release(t)
	switch {
	case !t.discard:
	case t.size <= c.cfg.maxMessage():
		return errHeld(c.cfg.maxHeld()).At(amqp.IDBasicPublish)
	default:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "message size %d is larger than configured max size %d",
			t.size, c.cfg.maxMessage()).At(amqp.IDBasicPublish)
	}
	f, n, _ := amqp.ParseFrame(t.frames, max(c.frameMax, FrameMax))
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return errNoHeader()
	}
	return c.publish(ch, &message{
		route: t.route, exchange: t.route[1 : 1+t.exchange], key: t.route[2+t.exchange:], mandatory: t.mandatory,
		header: h, content: t.frames, headerLen: n,
	})
}

// errHeld refuses a message that is one too many of those begun and not sent, or
// not committed.
func errHeld(most uint64) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
		"unfinished messages and transactions of the connection exceed %d bytes; send and commit one after another", most)
}

// message is a publish with all its content.
type message struct {
	args                 []byte // of basic.publish, when all of it came in one piece
	route, exchange, key []byte
	mandatory            bool
	header               amqp.Header
	content              []byte // header frame and body frames
	headerLen            int    // bytes of the header frame
}

// publish checks a message and enters it into the batch, or into the
// channel's transaction.
func (c *Conn) publish(ch *channel, m *message) *amqp.Error {
	if err := c.mayPublish(m.exchange); err != nil {
		return err.At(amqp.IDBasicPublish)
	}
	view, err := amqp.ScanProperties(m.header.Flags, m.header.Properties)
	if err != nil {
		return amqp.ConnectionErrorf(amqp.CodeInternalError, "")
	}
	msg := &c.again.msg
	*msg = broker.Message{
		Route: m.route, Exchange: m.exchange, Key: m.key, Headers: view.Headers, Content: m.content,
		Persistent: view.DeliveryMode == 2, Priority: view.Priority, Ranked: view.Flags&amqp.FlagPriority != 0,
		Ticket: ticket(ch.id, ch.confirm.next),
	}
	c.again.ch = nil
	e := c.publishWith(ch, m, &view)
	if e == nil && ch.tx == nil && m.args != nil && len(view.Headers) == 0 && !msg.Expires && len(view.ReplyTo) == 0 {
		c.again.remember(ch, m.args, m.content[:m.headerLen])
	} else {
		c.again.forget()
	}
	return e
}

// publishWith publishes c.again.msg once its properties are checked.
func (c *Conn) publishWith(ch *channel, m *message, view *amqp.PropertyView) *amqp.Error {
	msg := &c.again.msg
	if m.header.Flags != 0 {
		if string(view.ReplyTo) == broker.ReplyQueue {
			if err := c.request(ch, m); err != nil {
				return c.refused(m, err)
			}
			msg.Content = m.content
		}
		if err := c.checkProperties(ch, m, view, msg); err != nil {
			return c.refused(m, err)
		}
	}
	if ch.tx == nil {
		return c.publishChecked(ch, msg, m.mandatory)
	}
	if err := c.mayPublishBy(msg); err != nil {
		return err.At(amqp.IDBasicPublish)
	}
	if err := c.publishLater(ch, msg, m.mandatory); err != nil {
		return err.At(amqp.IDBasicPublish)
	}
	return nil
}

// publishChecked enters a message into the batch whose exchange and properties
// are checked.
func (c *Conn) publishChecked(ch *channel, msg *broker.Message, mandatory bool) *amqp.Error {
	if err := c.mayPublishBy(msg); err != nil {
		return err.At(amqp.IDBasicPublish)
	}
	if err := c.route(ch, msg, mandatory); err != nil {
		return err.At(amqp.IDBasicPublish)
	}
	c.publishedOne(ch)
	return nil
}

// refused is the answer to a publish whose properties are wrong: RabbitMQ looks
// at the exchange before it looks at them.
func (c *Conn) refused(m *message, e *amqp.Error) *amqp.Error {
	if missing := c.publisher().Check(m.exchange); missing != nil {
		e = missing
	}
	return e.At(amqp.IDBasicPublish)
}

// publishedOne is called for each message that is in the batch.
func (c *Conn) publishedOne(ch *channel) { c.publishedSome(ch, 1) }

// publishedSome is publishedOne for n messages.
func (c *Conn) publishedSome(ch *channel, n int) {
	if ch.confirm.on {
		c.noteConfirm(ch)
	}
	ch.confirm.next += uint64(n) //nolint:gosec // not negative; each has a ticket of its own
	if c.pub.Gathered() >= maxGathered {
		c.flush()
	}
}

// route gives a message to the publisher and returns it to the client when it
// was mandatory and nobody takes it.
func (c *Conn) route(ch *channel, msg *broker.Message, mandatory bool) *amqp.Error {
	n, err := c.publisher().Publish(msg)
	if err != nil {
		return err
	}
	c.countPublish(ch)
	if n == 0 {
		c.countUnroutable(ch, mandatory)
	}
	if n == 0 && mandatory {
		c.sendReturn(ch, msg)
	}
	return nil
}

// sendReturn sends basic.return with the content as it came (§1.8.3.8).
func (c *Conn) sendReturn(ch *channel, m *broker.Message) {
	c.out.add(func(b []byte) []byte {
		b = amqp.AppendMethod(b, ch.id, &amqp.BasicReturn{
			ReplyCode: amqp.CodeNoRoute, ReplyText: "NO_ROUTE", Exchange: string(m.Exchange), RoutingKey: string(m.Key),
		})
		return append(b, m.Content...)
	})
}

// noteConfirm begins a channel's confirms of the present batch with its next
// publish.
func (c *Conn) noteConfirm(ch *channel) {
	if !ch.confirm.open {
		ch.confirm.open = true
		c.confirming = append(c.confirming, confirmTag{channel: ch.id, ch: ch, from: ch.confirm.next - 1})
	}
}

// mayPublish checks the right to write to an exchange, remembering the last.
func (c *Conn) mayPublish(exchange []byte) *amqp.Error {
	a := c.actor.Load()
	if c.wrote.rights == a.Rights && bytes.Equal(c.wrote.exchange, exchange) {
		return nil
	}
	if err := c.vhost.Check(a, auth.Write, broker.KindExchange, string(exchange)); err != nil {
		return err
	}
	c.wrote.rights, c.wrote.exchange = a.Rights, append(c.wrote.exchange[:0], exchange...)
	return nil
}

// mayPublishBy checks the routing keys, if the role's topic permissions narrow
// them.
func (c *Conn) mayPublishBy(m *broker.Message) *amqp.Error {
	a := c.actor.Load()
	if !a.Rights.Narrowed() {
		return nil
	}
	if err := c.vhost.CheckTopic(a, auth.Write, string(m.Exchange), string(m.Key)); err != nil {
		return err
	}
	for _, key := range m.Extra {
		if err := c.vhost.CheckTopic(a, auth.Write, string(m.Exchange), string(key)); err != nil {
			return err
		}
	}
	return nil
}

// written is the last permission that was found.
type written struct {
	rights   *auth.Rights
	exchange []byte
}

// checkProperties checks the properties that the broker acts on and takes
// them over.
func (c *Conn) checkProperties(ch *channel, m *message, v *amqp.PropertyView, msg *broker.Message) *amqp.Error {
	if v.Expiration != nil {
		ttl, err := broker.ParseExpiration(string(v.Expiration))
		if err != nil {
			return err
		}
		msg.Expires, msg.TTL = true, ttl
	}
	if err := c.senderSelected(ch, m, msg); err != nil {
		return err
	}
	if len(v.UserID) > 0 && string(v.UserID) != c.identity.Role && !c.impersonator {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"user_id property set to '%s' but authenticated user was '%s'", v.UserID, c.identity.Role)
	}
	return nil
}

// senderSelected adds the routing keys of the CC and BCC headers and takes
// BCC out of the message (RabbitMQ's sender-selected distribution).
func (c *Conn) senderSelected(ch *channel, m *message, msg *broker.Message) *amqp.Error {
	if len(msg.Headers) == 0 {
		return nil
	}
	_, cc := msg.Headers.Lookup("CC")
	_, bcc := msg.Headers.Lookup("BCC")
	if !cc && !bcc {
		return nil
	}
	var p amqp.Properties
	if err := p.Decode(m.header.Flags, m.header.Properties); err != nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s", err.Error())
	}
	if err := msg.Select(&p); err != nil || !bcc {
		return err
	}
	msg.Content = append(p.AppendHeader(nil, ch.id, m.header.BodySize), m.content[m.headerLen:]...)
	return nil
}
