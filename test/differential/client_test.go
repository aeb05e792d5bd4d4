package differential_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// patience is how long an answer that must come may take.
const patience = 20 * time.Second

// event is something that came from a broker.
type event struct {
	channel uint16
	group   string // events of one group come in order
	text    string
	id      amqp.MethodID
	tag     uint64 // of a delivery
	body    string
	queue   string // of queue.declare-ok
}

// client is one AMQP connection, thin enough to see every field.
type client struct {
	nc net.Conn

	mu      sync.Mutex // guards what follows
	events  []event
	last    time.Time // when the last frame came
	closed  bool      // by the broker, or the socket is gone
	content content
	news    chan struct{} // holds a token when something came

	barriers map[uint16]int // by channel: round trips whose answer is not there
}

// content is a method whose header and body are on their way.
type content struct {
	method amqp.Method
	props  string
	size   uint64
	body   []byte
}

// dial opens a connection and goes through the handshake.
func dial(address, vhost string) (*client, error) {
	nc, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, news: make(chan struct{}, 1), last: time.Now(), barriers: map[uint16]int{}}
	r := bufio.NewReader(nc)
	caps := amqp.Table{{Key: "capabilities", Value: amqp.Table{
		{Key: "consumer_cancel_notify", Value: true}, {Key: "authentication_failure_close", Value: true},
	}}}
	if _, err = nc.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		want amqp.MethodID
		send []amqp.Method
	}{
		{amqp.IDConnectionStart, []amqp.Method{&amqp.ConnectionStartOk{
			ClientProperties: caps, Mechanism: "PLAIN", Response: []byte("\x00guest\x00guest"), Locale: "en_US",
		}}},
		{amqp.IDConnectionTune, []amqp.Method{
			&amqp.ConnectionTuneOk{ChannelMax: 2047, FrameMax: 131072}, &amqp.ConnectionOpen{VirtualHost: vhost},
		}},
		{amqp.IDConnectionOpenOk, nil},
	} {
		f, err := readFrame(nc, r)
		if err != nil {
			return nil, err
		}
		if id := amqp.MethodID(binary.BigEndian.Uint32(f.Payload)); id != step.want {
			return nil, fmt.Errorf("handshake: %v instead of %v", id, step.want)
		}
		for _, m := range step.send {
			c.send(0, m)
		}
	}
	go c.read(r)
	return c, nil
}

func readFrame(nc net.Conn, r *bufio.Reader) (amqp.Frame, error) {
	_ = nc.SetReadDeadline(time.Now().Add(10 * patience))
	head, err := r.Peek(7)
	if err != nil {
		return amqp.Frame{}, err
	}
	whole := make([]byte, int(binary.BigEndian.Uint32(head[3:]))+amqp.FrameOverhead)
	if _, err := io.ReadFull(r, whole); err != nil {
		return amqp.Frame{}, err
	}
	f, _, err := amqp.ParseFrame(whole, 1<<20)
	return f, err
}

func (c *client) send(channel uint16, m amqp.Method) {
	c.write(amqp.AppendMethod(nil, channel, m))
}

func (c *client) write(b []byte) { _, _ = c.nc.Write(b) } // that it is gone is seen when reading

// read takes in what comes until the socket ends.
func (c *client) read(r *bufio.Reader) {
	for {
		f, err := readFrame(c.nc, r)
		if err != nil {
			c.mu.Lock()
			if !c.closed {
				c.closed = true
				c.events = append(c.events, event{group: "reply", text: "the socket ended"})
			}
			c.mu.Unlock()
			c.tell()
			return
		}
		c.mu.Lock()
		c.last = time.Now()
		if err := c.frame(f); err != nil {
			c.events = append(c.events, event{channel: f.Channel, group: "reply", text: "frame not understood: " + err.Error()})
		}
		c.mu.Unlock()
		c.tell()
	}
}

func (c *client) tell() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// frame takes in one frame; c.mu is held.
func (c *client) frame(f amqp.Frame) error {
	t := &c.content
	switch f.Type {
	case amqp.FrameMethod:
		m, err := amqp.DecodeMethod(f.Payload)
		if err != nil {
			return err
		}
		if m.ID().HasContent() {
			*t = content{method: m}
			return nil
		}
		c.method(f.Channel, m)
	case amqp.FrameHeader:
		h, err := amqp.ParseHeader(f.Payload)
		if err != nil {
			return err
		}
		var p amqp.Properties
		if err := p.Decode(h.Flags, h.Properties); err != nil {
			return err
		}
		p.Flags = 0
		t.size, t.props = h.BodySize, describe(&p)
		if h.BodySize == 0 {
			c.whole(f.Channel)
		}
	case amqp.FrameBody:
		if t.body = append(t.body, f.Payload...); uint64(len(t.body)) >= t.size {
			c.whole(f.Channel)
		}
	}
	return nil
}

// method notes a method without content, and answers a close.
func (c *client) method(channel uint16, m amqp.Method) {
	e := event{channel: channel, group: "reply", id: m.ID(), text: m.ID().String() + describe(m)}
	switch m := m.(type) {
	case *amqp.BasicAck:
		e.group, e.tag = "confirm", m.DeliveryTag
	case *amqp.BasicNack:
		e.group, e.tag = "confirm", m.DeliveryTag
	case *amqp.ExchangeDeclareOk:
		if c.barriers[channel] > 0 {
			c.barriers[channel]--
			return
		}
	case *amqp.BasicCancel:
		e.group = "cancel " + m.ConsumerTag
	case *amqp.QueueDeclareOk:
		e.queue = m.Queue
	case *amqp.ChannelClose:
		c.send(channel, &amqp.ChannelCloseOk{})
	case *amqp.ConnectionClose:
		c.closed = true
		c.send(0, &amqp.ConnectionCloseOk{})
	case *amqp.ConnectionCloseOk:
		c.closed = true
	}
	c.events = append(c.events, e)
}

// whole notes a method whose content is there.
func (c *client) whole(channel uint16) {
	t := &c.content
	e := event{channel: channel, group: "reply", id: t.method.ID(), body: string(t.body)}
	m := t.method
	switch d := m.(type) {
	case *amqp.BasicDeliver:
		e.group, e.tag = "deliver "+d.ConsumerTag, d.DeliveryTag
		copied := *d
		copied.DeliveryTag = 0
		m = &copied
	case *amqp.BasicGetOk:
		e.tag = d.DeliveryTag
		copied := *d
		copied.DeliveryTag = 0
		m = &copied
	}
	if strings.Contains(t.props, "x-death:array") { // see README.md
		switch d := m.(type) {
		case *amqp.BasicDeliver:
			d.Redelivered = false
		case *amqp.BasicGetOk:
			d.Redelivered = false
		}
	}
	e.text = fmt.Sprintf("%s%s | %q%s", m.ID(), describe(m), t.body, t.props)
	c.events = append(c.events, e)
	*t = content{}
}

// take returns what came since the last time.
func (c *client) take() (list []event, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, c.events = c.events, nil
	return list, c.closed
}

// await waits for an answer to a method on a channel: one of its class, or a
// close.
func (c *client) await(channel uint16, ids ...amqp.MethodID) error {
	for end := time.Now().Add(patience); ; {
		c.mu.Lock()
		there := c.closed || slices.ContainsFunc(c.events, func(e event) bool {
			return e.channel == channel && (slices.Contains(ids, e.id) || e.id == amqp.IDChannelClose)
		})
		c.mu.Unlock()
		if there {
			return nil
		}
		if time.Now().After(end) {
			names := make([]string, 0, len(ids))
			for _, id := range ids {
				names = append(names, id.String())
			}
			return fmt.Errorf("no %s within %v", strings.Join(names, " or "), patience)
		}
		select {
		case <-c.news:
		case <-time.After(time.Second):
		}
	}
}

// barrier makes a round trip on a channel, which changes nothing. It reports whether there was one: the channel may be closed.
func (c *client) barrier(channel uint16) bool {
	ended := func(e event) bool {
		return e.channel == channel && (e.id == amqp.IDChannelClose || e.id == amqp.IDChannelCloseOk)
	}
	c.mu.Lock()
	if channel == 0 || c.closed || slices.ContainsFunc(c.events, ended) {
		c.mu.Unlock()
		return false
	}
	c.barriers[channel]++
	c.mu.Unlock()
	c.send(channel, &amqp.ExchangeDeclare{Exchange: "amq.direct", Passive: true})
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c.mu.Lock()
		passed, gone := c.barriers[channel] == 0, c.closed || slices.ContainsFunc(c.events, ended)
		if gone {
			delete(c.barriers, channel)
		}
		c.mu.Unlock()
		if passed || gone {
			return passed
		}
		select {
		case <-c.news:
		case <-time.After(time.Second):
		}
	}
	return false
}

// calm waits until nothing came for a while on any of the connections.
func calm(quiet time.Duration, clients ...*client) {
	last := time.Now()
	for {
		for _, c := range clients {
			c.mu.Lock()
			if c.last.After(last) {
				last = c.last
			}
			c.mu.Unlock()
		}
		left := quiet - time.Since(last)
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}
