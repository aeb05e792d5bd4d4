package broker

import (
	"fmt"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// Content is a message taken apart, for those who show it.
type Content struct {
	Exchange, Key string
	Properties    amqp.Properties
	Body          []byte
}

// Open takes a delivered message's wire image apart.
func Open(d *queue.Delivery) (Content, error) {
	route := d.Image[:d.RouteLen]
	n := int(route[0])
	c := Content{Exchange: string(route[1 : 1+n]), Key: string(route[2+n:])}
	rest := d.Image[d.RouteLen+1:]
	for len(rest) > 0 {
		f, used, err := amqp.ParseFrame(rest, 1<<31)
		if err != nil || used == 0 {
			return c, fmt.Errorf("message image: frame of %d bytes: %w", len(rest), amqp.ErrTruncated)
		}
		rest = rest[used:]
		if f.Type == amqp.FrameBody {
			c.Body = append(c.Body, f.Payload...)
			continue
		}
		h, err := amqp.ParseHeader(f.Payload)
		if err != nil {
			return c, fmt.Errorf("message image: %w", err)
		}
		if err := c.Properties.Decode(h.Flags, h.Properties); err != nil {
			return c, fmt.Errorf("message image: %w", err)
		}
	}
	return c, nil
}

// count adds to a delivery's headers how often the message was delivered
// before, when that is counted (RabbitMQ: x-delivery-count, x-acquired-count).
func (q *Queue) count(d *queue.Delivery) {
	if d.Tries == (queue.Tries{}) {
		return
	}
	frames := d.Image[d.RouteLen+1:]
	f, used, err := amqp.ParseFrame(frames, 1<<31)
	if err != nil {
		return // it came over the wire whole
	}
	h, err := amqp.ParseHeader(f.Payload)
	if err != nil {
		return
	}
	var p amqp.Properties
	if p.Decode(h.Flags, h.Properties) != nil {
		return
	}
	if q.Quorum {
		p.Headers = with(p.Headers, "x-acquired-count", int64(d.Tries.Acquired))
	}
	if q.Settings().Retry.Attempts != nil {
		p.Headers = with(p.Headers, "x-retry-count", int64(d.Tries.Acquired))
	}
	if n := d.Tries.Failed; n > 0 {
		p.Headers = with(p.Headers, "x-delivery-count", int64(n))
	}
	if len(p.Headers) == 0 {
		return
	}
	p.Flags |= amqp.FlagHeaders
	image := append(make([]byte, 0, len(d.Image)+64), d.Image[:d.RouteLen+1]...)
	image = p.AppendHeader(image, 0, h.BodySize)
	d.Image = append(image, frames[used:]...)
}

// Compose encodes a message for Publisher.Publish, as if it had come over the
// wire in frames of at most frameMax bytes. Exchange and key must be short
// strings.
func Compose(c *Content, frameMax uint32) (Message, error) {
	for _, s := range []string{c.Exchange, c.Key} {
		if _, err := amqp.ShortString(s); err != nil {
			return Message{}, fmt.Errorf("%.32q: %w", s, err)
		}
	}
	route := append([]byte{byte(len(c.Exchange) & 0xff)}, c.Exchange...)
	route = append(append(route, byte(len(c.Key)&0xff)), c.Key...)
	m := Message{
		Route: route, Exchange: route[1 : 1+len(c.Exchange)], Key: route[2+len(c.Exchange):],
		Persistent: c.Properties.DeliveryMode == 2, Priority: c.Properties.Priority, Ranked: c.Properties.Has(amqp.FlagPriority),
	}
	p := c.Properties
	if len(p.Headers) > 0 {
		m.Headers = amqp.RawTable(amqp.AppendTable(nil, p.Headers)[4:])
		if err := m.Select(&p); err != nil {
			return Message{}, err
		}
	}
	header := p.AppendHeader(nil, 0, uint64(len(c.Body)))
	if len(header) > int(frameMax) {
		return Message{}, fmt.Errorf("the properties take %d bytes, more than a frame of %d", len(header), frameMax)
	}
	m.Content = amqp.AppendBody(header, 0, c.Body, frameMax)
	if c.Properties.Expiration != "" {
		ttl, err := ParseExpiration(c.Properties.Expiration)
		if err != nil {
			return Message{}, err
		}
		m.Expires, m.TTL = true, ttl
	}
	return m, nil
}
