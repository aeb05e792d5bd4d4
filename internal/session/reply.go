package session

import (
	"encoding/binary"
	"log/slog"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// maxReplies is how many bytes of answers may wait for a requester that does
// not read: those that come then are lost, as direct reply-to may.
const maxReplies = 8 << 20

// replyConsumer is a channel's consumer of broker.ReplyQueue.
type replyConsumer struct {
	conn    *Conn
	ch      *channel
	tag     string
	replyTo string // what stands in the requests
	prefix  []byte // see consumer
}

// Reply implements broker.Replier: it sends an answer at once.
func (r *replyConsumer) Reply(m *broker.Message) {
	c, ch := r.conn, r.ch
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.reply != r {
		return
	}
	sent := c.out.addUpTo(maxReplies, func(b []byte) []byte {
		ch.lastTag++
		start := len(b)
		b = append(b, r.prefix...)
		b = binary.BigEndian.AppendUint64(b, ch.lastTag)
		b = append(append(b, 0), m.Route...)
		binary.BigEndian.PutUint32(b[start+3:], uint32(len(b)-start-7)) //nolint:gosec // a short method
		b = append(b, amqp.FrameEnd)
		return appendContent(b, m.Content, ch.id, c.frameMax)
	})
	if !sent {
		c.log().Debug("answer dropped: the requester does not read", slog.String("user", c.identity.Role))
		return
	}
	ch.ahead = true
	ch.did.DeliveredNow++
}

// consumeReplies is basic.consume from broker.ReplyQueue.
func (c *Conn) consumeReplies(ch *channel, m *amqp.BasicConsume, tag string) *amqp.Error {
	switch {
	case ch.reply != nil:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "reply consumer already set")
	case !m.NoAck:
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "reply consumer cannot acknowledge")
	}
	r := &replyConsumer{conn: c, ch: ch, tag: tag, prefix: deliverPrefix(ch.id, tag)}
	r.replyTo = c.vhost.AddReplier(r)
	ch.mu.Lock()
	ch.reply = r
	ch.mu.Unlock()
	return c.reply(ch, nil, m.NoWait, &amqp.BasicConsumeOk{ConsumerTag: tag})
}

// endReplies ends the channel's consumer of answers, if tag is its; empty:
// whatever it is.
func (c *Conn) endReplies(ch *channel, tag string) {
	r := ch.reply
	if r == nil || tag != "" && tag != r.tag {
		return
	}
	ch.mu.Lock()
	ch.reply = nil
	ch.mu.Unlock()
	c.vhost.RemoveReplier(r.replyTo)
}

// request puts the channel's reply-to in the place of the pseudo queue's name.
func (c *Conn) request(ch *channel, m *message) *amqp.Error {
	if ch.reply == nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "fast reply consumer does not exist")
	}
	var p amqp.Properties
	if err := p.Decode(m.header.Flags, m.header.Properties); err != nil {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s", err.Error())
	}
	p.ReplyTo = ch.reply.replyTo
	header := p.AppendHeader(nil, ch.id, m.header.BodySize)
	f, n, err := amqp.ParseFrame(header, FrameMax)
	if err != nil || n == 0 {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "the properties leave no room for the reply-to of %d bytes", len(p.ReplyTo))
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return errNoHeader()
	}
	m.content = append(header, m.content[m.headerLen:]...)
	m.header, m.headerLen = h, n
	return nil
}
