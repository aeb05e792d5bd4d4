package session

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// Delays of closing.
const (
	// closeOkTimeout is how long a client has to read connection.close and to
	// answer it.
	closeOkTimeout = 5 * time.Second
	// lingerTimeout is how long the socket stays open behind close-ok, for the
	// client to close it first.
	lingerTimeout = 5 * time.Second
)

// fail answers a connection error: all channels end, connection.close is
// sent, and everything but its answer is ignored.
func (c *Conn) fail(e *amqp.Error) error {
	c.flush()
	c.log().Warn("connection closed by an error", c.attrs(nil, e)...)
	c.endChannels()
	c.held.consumer = nil // never announced, as RabbitMQ's queues would answer too late
	c.sendClose(e)
	return nil
}

// sendClose sends connection.close once and bounds the wait for its answer. It
// is called by the reader and by others.
func (c *Conn) sendClose(e *amqp.Error) {
	if c.closing.Swap(true) {
		return
	}
	c.out.add(func(b []byte) []byte {
		return amqp.AppendMethod(b, 0, &amqp.ConnectionClose{
			ReplyCode: e.Code, ReplyText: e.ReplyText(), ClassID: e.Class, MethodID: e.Method,
		})
	})
	c.deadline(closeOkTimeout)
}

// Close ends the connection from outside: an operator, a revoked role, a
// shutdown. It returns at once.
func (c *Conn) Close(code uint16, text string) {
	c.sendClose(amqp.ConnectionErrorf(code, "%s", text))
}

// cut closes the socket for those who have other connections to see to. With
// TLS and WebSocket that takes its time, up to ten seconds with a client that
// has gone: goodbye is said, and waited for.
func (c *Conn) cut() {
	c.out.close()
	if c.raw != nil {
		_ = c.nc.Close()
		return
	}
	go func() { _ = c.nc.Close() }()
}

// deadline bounds all that is still read and written: a client that does not
// read keeps whoever writes to it.
func (c *Conn) deadline(d time.Duration) {
	_ = c.nc.SetDeadline(time.Now().Add(d)) //nolint:forbidigo // a socket's deadline is wall-clock time
}

// whileClosing waits for the answer to connection.close.
func (c *Conn) whileClosing(f amqp.Frame) error {
	if f.Type != amqp.FrameMethod || f.Channel != 0 {
		return nil
	}
	switch id, _, _ := amqp.SplitMethod(f.Payload); id {
	case amqp.IDConnectionCloseOk:
		return errDone
	case amqp.IDConnectionClose:
		c.send(0, &amqp.ConnectionCloseOk{})
		return errDone
	}
	return nil
}

// end cleans up behind the reader and closes the socket.
//
//go:noinline
func (c *Conn) end(err error) {
	c.deadline(lingerTimeout)
	c.flush()
	c.endChannels()
	switch {
	case errors.Is(err, errSilent), errors.Is(err, errLost):
		c.hold(SilentCloseDelay)
	case errors.Is(err, errLinger):
		c.hold(lingerTimeout)
	case errors.Is(err, errDone), errors.Is(err, errAbort):
	default:
		c.logEnd(err)
	}
	c.out.close()
	switch {
	case c.vhost == nil:
	case c.young != nil:
		c.speak()
	default:
		c.writeAll()
	}
	if tcp, ok := c.nc.(tcpSocket); ok && (c.vhost == nil || errors.Is(err, errAbort)) {
		_ = tcp.SetLinger(0) // a reset: there is nothing more to say
	}
	_ = c.nc.Close()
	c.cfg.Registry.panes.put(c.got.win.give())
}

// How the reading ends, apart from the socket's own errors.
var (
	errDone   = errors.New("connection closed")                 // by agreement
	errLinger = errors.New("connection closed by the client")   // its close-ok is on the way
	errSilent = errors.New("connection refused without a word") // after a delay
	errAbort  = errors.New("connection aborted")                // at once
	errLost   = errors.New("frames cannot be told apart")       // connection.close is on the way
)

// hold keeps the socket open, ignoring what comes, until the client answers
// connection.close, closes it, or the time is up.
func (c *Conn) hold(d time.Duration) {
	c.deadline(d)
	p := c.cfg.Registry.panes.get(windowMin)
	defer c.cfg.Registry.panes.put(p)
	scrap, kept := p.buf, 0
	for {
		n, err := c.nc.Read(scrap[kept:])
		if err != nil || bytes.Contains(scrap[:kept+n], []byte(closeOk)) {
			return
		}
		kept = copy(scrap, scrap[max(0, kept+n-len(closeOk)):kept+n])
	}
}

// closeOk is connection.close-ok on the wire.
const closeOk = "\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x33\xce"

func (c *Conn) logEnd(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF) && c.vhost == nil && c.got.win.w == 0: // a health check
	case errors.As(err, &timeout) && timeout.Timeout() && c.vhost == nil:
		c.log().Warn("handshake not finished in time", slog.Duration("limit", HandshakeTimeout))
	default:
		c.log().Info("connection ended without connection.close", slog.String("error", err.Error()))
	}
}

// endChannels ends all channels, then the connection's exclusive queues.
func (c *Conn) endChannels() {
	for _, ch := range c.channels {
		if !ch.closing {
			c.endChannel(ch)
		}
		c.forgetChannel(ch)
	}
	c.mu.Lock()
	queues := c.exclusive
	c.exclusive = nil
	c.mu.Unlock()
	for _, q := range queues {
		c.vhost.DropQueue(q)
	}
}

// attrs describes an error for the log.
func (c *Conn) attrs(ch *channel, e *amqp.Error) []any {
	list := []any{slog.Uint64("code", uint64(e.Code)), slog.String("text", e.Text)}
	if c.vhost != nil {
		list = append(list, slog.String("user", c.identity.Role), slog.String("vhost", c.vhost.Wire()))
	}
	if e.Class != 0 {
		id := amqp.MethodID(uint32(e.Class)<<16 | uint32(e.Method))
		list = append(list, slog.String("method", id.String()))
	}
	if ch != nil {
		list = append(list, slog.Uint64("channel", uint64(ch.id)))
	}
	return list
}
