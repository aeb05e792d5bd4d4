package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/warrenmq/warren/amqp"
)

const (
	// channelID is the one channel that a connection has.
	channelID = 1
	// frameMax is what the client asks for, RabbitMQ's own limit.
	frameMax = 131072
	// replyTimeout is how long the broker has to answer a method.
	replyTimeout = 60 * time.Second
	// smallBuffer is the read buffer of a connection that carries no load.
	smallBuffer = 4 << 10
)

// closedError is a channel.close or connection.close of the broker.
type closedError struct {
	what string
	code uint16
	text string
}

func (e *closedError) Error() string {
	return fmt.Sprintf("the broker closed the %s: %d %s", e.what, e.code, e.text)
}

// conn is a connection to the broker. Its methods are for one goroutine, except that one may write
// while another reads.
type conn struct {
	net      net.Conn
	buf      []byte // what was read and not parsed is buf[:have]
	have     int
	out      []byte // where methods are encoded
	frameMax uint32
	timeout  time.Duration
	detach   func() bool // from the context that would close it
}

// dial connects, logs in and opens a channel. When ctx ends before the connection does, it is
// closed.
func dial(ctx context.Context, t target, buffer int) (*conn, error) {
	d := net.Dialer{Timeout: replyTimeout}
	nc, err := d.DialContext(ctx, "tcp", t.addr)
	if err != nil {
		return nil, fmt.Errorf("no connection to %s: %w", t.addr, err)
	}
	c := &conn{net: nc, buf: make([]byte, buffer), frameMax: frameMax, timeout: replyTimeout}
	c.detach = context.AfterFunc(ctx, func() { _ = nc.Close() })
	if err = c.handshake(t); err == nil {
		err = c.openChannel(channelID)
	}
	if err != nil {
		c.drop()
		return nil, fmt.Errorf("no login at %s as %s on vhost %s: %w", t.addr, t.user, t.vhost, err)
	}
	return c, nil
}

func (c *conn) handshake(t target) error {
	c.expectReply()
	if _, err := io.WriteString(c.net, "AMQP\x00\x00\x09\x01"); err != nil {
		return err
	}
	if _, err := c.await(amqp.IDConnectionStart, false); err != nil {
		return err
	}
	capabilities := amqp.Table{
		{Key: "publisher_confirms", Value: true},
		{Key: "basic.nack", Value: true},
		{Key: "consumer_cancel_notify", Value: true},
		{Key: "connection.blocked", Value: true},
		{Key: "authentication_failure_close", Value: true},
	}
	var tune amqp.ConnectionTune
	err := c.call(0, &amqp.ConnectionStartOk{
		ClientProperties: amqp.Table{
			{Key: "product", Value: "warren bench"},
			{Key: "connection_name", Value: "warren bench"},
			{Key: "capabilities", Value: capabilities},
		},
		Mechanism: "PLAIN", Response: []byte("\x00" + t.user + "\x00" + t.password), Locale: "en_US",
	}, amqp.IDConnectionTune, &tune)
	if err != nil {
		return err
	}
	if tune.FrameMax != 0 {
		c.frameMax = min(tune.FrameMax, frameMax)
	}
	// No heartbeats: a run is short, and an idle connection shall cost what it costs by itself.
	err = c.send(0, &amqp.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: c.frameMax})
	if err != nil {
		return err
	}
	return c.call(0, &amqp.ConnectionOpen{VirtualHost: t.vhost}, amqp.IDConnectionOpenOk, nil)
}

func (c *conn) openChannel(id uint16) error {
	return c.call(id, &amqp.ChannelOpen{}, amqp.IDChannelOpenOk, nil)
}

func (c *conn) closeChannel(id uint16) error {
	return c.call(id, &amqp.ChannelClose{ReplyCode: amqp.CodeSuccess}, amqp.IDChannelCloseOk, nil)
}

// expectReply gives the broker its time to answer.
func (c *conn) expectReply() {
	_ = c.net.SetDeadline(newClock().at(int64(c.timeout))) // a closed connection says so at the next read
}

// send writes one method.
func (c *conn) send(channel uint16, m amqp.Method) error {
	c.out = amqp.AppendMethod(c.out[:0], channel, m)
	_, err := c.net.Write(c.out)
	return err
}

// call sends a method, waits for its reply, and decodes it unless into is nil. Afterwards the
// connection has no deadline.
func (c *conn) call(channel uint16, m amqp.Method, want amqp.MethodID, into amqp.Method) error {
	c.expectReply()
	if err := c.send(channel, m); err != nil {
		return fmt.Errorf("%v: %w", m.ID(), err)
	}
	args, err := c.await(want, false)
	if err != nil {
		return fmt.Errorf("%v: %w", m.ID(), err)
	}
	if err = c.net.SetDeadline(time.Time{}); err != nil || into == nil {
		return err
	}
	return into.Decode(args)
}

// await reads until the wanted method comes. If skip is set it passes over everything else, as one
// must who takes leave in the middle of deliveries. The arguments are good until the next read.
func (c *conn) await(want amqp.MethodID, skip bool) (args []byte, err error) {
	for {
		f, err := c.frame()
		if err != nil {
			return nil, err
		}
		if f.Type == amqp.FrameHeartbeat || f.Type != amqp.FrameMethod && skip {
			continue
		}
		if f.Type != amqp.FrameMethod {
			return nil, fmt.Errorf("%w of type %d instead of %v", errUnexpected, f.Type, want)
		}
		id, args, err := amqp.SplitMethod(f.Payload)
		if err != nil {
			return nil, err
		}
		if id == want {
			return args, nil
		}
		if err := c.closing(id, args); err != nil {
			return nil, err
		}
		if !skip && id != amqp.IDConnectionBlocked && id != amqp.IDConnectionUnblocked {
			return nil, fmt.Errorf("%w: %v instead of %v", errUnexpected, id, want)
		}
	}
}

var errUnexpected = errors.New("the broker sent a frame out of turn")

// closing returns the error that a close method or the end of a consumer stands for.
func (c *conn) closing(id amqp.MethodID, args []byte) error {
	switch id {
	case amqp.IDChannelClose:
		var m amqp.ChannelClose
		if err := m.Decode(args); err != nil {
			return err
		}
		return &closedError{"channel", m.ReplyCode, m.ReplyText}
	case amqp.IDConnectionClose:
		var m amqp.ConnectionClose
		if err := m.Decode(args); err != nil {
			return err
		}
		return &closedError{"connection", m.ReplyCode, m.ReplyText}
	case amqp.IDBasicCancel:
		return errors.New("the broker cancelled the consumer: its queue is gone")
	}
	return nil
}

// frame returns the next frame, which is good until the next call.
func (c *conn) frame() (amqp.Frame, error) {
	for {
		f, n, err := amqp.ParseFrame(c.buf[:c.have], c.frameMax)
		if err != nil {
			return f, err
		}
		if n > 0 {
			f.Payload = bytes.Clone(f.Payload) // only replies come this way, and few
			c.consumed(n)
			return f, nil
		}
		if err := c.fill(); err != nil {
			return f, err
		}
	}
}

// fill reads once, behind what is there; a full buffer grows.
func (c *conn) fill() error {
	if c.have == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.net.Read(c.buf[c.have:])
	c.have += n
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the broker closed the connection without a word")
	}
	return err
}

// consumed drops the first n bytes.
func (c *conn) consumed(n int) {
	if n > 0 {
		c.have = copy(c.buf, c.buf[n:c.have])
	}
}

// close takes leave: when it returns without an error, the broker has handled everything that was
// sent before.
func (c *conn) close() error {
	defer c.drop()
	c.expectReply()
	if err := c.send(0, &amqp.ConnectionClose{ReplyCode: amqp.CodeSuccess}); err != nil {
		return err
	}
	_, err := c.await(amqp.IDConnectionCloseOk, true)
	return err
}

// drop ends the connection without a word.
func (c *conn) drop() {
	c.detach()
	_ = c.net.Close()
}
