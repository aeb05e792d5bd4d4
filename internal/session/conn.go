package session

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// Sizes of the read window and of the flow control.
const (
	windowMin = 4 << 10
	windowMax = 256 << 10
	// memoryNap is how often a publisher that waits for memory looks again.
	memoryNap = 10 * time.Millisecond
)

// Conn is one connection.
type Conn struct {
	cfg   *Config
	nc    net.Conn
	young YoungConn // nc while it is young, nil otherwise
	id    uint64
	name  string // "peer -> local"
	out   *outbox

	caps      capabilities
	identity  meta.Identity // changed by the reader under mu
	tenure    tenure
	actor     atomic.Pointer[broker.Actor]
	vhost     *broker.Vhost
	info      Info                     // what does not change after the handshake
	exclusive map[string]*broker.Queue // its own; changed by the reader under mu

	impersonator bool
	frameMax     uint32
	channelMax   uint16
	got          reading
	last         *channel          // of the last frame
	pub          *broker.Publisher // nil: it has not published
	published    uint64            // in the present batch
	holds        uint64            // bytes of contents that are not all there, and of transactions
	wrote        written
	again        again
	settles      settles
	taken        []outstanding
	confirms     confirms
	confirming   []confirmTag
	settled      []func(error) // confirms of the batch that needed no log
	held         held
	blockedSent  bool

	mu       sync.Mutex          // guards changes of channels and reads by others
	channels map[uint16]*channel // changed by the reader only

	heartbeat atomic.Int64 // interval in seconds, 0: none
	received  atomic.Int64 // Registry time of the last read
	sent      atomic.Int64 // Registry time of the last write
	stats     connCounts
	closing   atomic.Bool // the server has sent connection.close

	w   writer
	raw syscall.RawConn // reads and writes without waiting; nil: that cannot be done
}

// held is a consume-ok that waits for what the client sends behind it.
type held struct {
	consumer *consumer // nil: none
	patient  bool      // once
}

// Serve runs a connection until it ends, and closes it. Idle connections wait
// in it: what is called here has its variables in frames of its own, so that
// the stack of one that waits can be small: the collector halves one of which
// less than a quarter is used.
func Serve(cfg *Config, nc net.Conn) {
	c := enter(cfg, nc)
	if c == nil {
		return
	}
	err := c.begin()
	if err == nil {
		err = c.readLoop()
	}
	c.finish(err)
}

// enter makes a connection and enters it; nil: the node is shutting down.
//
//go:noinline
func enter(cfg *Config, nc net.Conn) *Conn {
	c := &Conn{
		cfg: cfg, nc: nc, name: nameOf(nc),
		frameMax: HandshakeFrameMax, channels: map[uint16]*channel{},
	}
	c.out = newOutbox(c.writeLoop)
	if tcp, ok := nc.(tcpSocket); ok {
		c.raw, _ = tcp.SyscallConn() // nil on error: then only the writer writes
	}
	if !cfg.Registry.add(c) {
		_ = nc.Close()
		return nil
	}
	return c
}

// begin is what comes before the frames of an open connection.
//
//go:noinline
func (c *Conn) begin() error {
	_ = c.nc.SetDeadline(time.Now().Add(HandshakeTimeout)) //nolint:forbidigo // a socket's deadline is wall-clock time
	if err := c.handshake(); err != nil {
		return err
	}
	c.cfg.Logger.LogAttrs(context.Background(), slog.LevelInfo, "connection opened", slog.String("connection", c.name),
		slog.String("user", c.identity.Role), slog.String("vhost", c.vhost.Wire()))
	return nil
}

// nameOf is "peer -> local".
func nameOf(nc net.Conn) string {
	b := make([]byte, 0, 64)
	b = append(appendAddr(b, nc.RemoteAddr()), " -> "...)
	return string(appendAddr(b, nc.LocalAddr()))
}

// appendAddr appends an address as its String has it.
func appendAddr(b []byte, a net.Addr) []byte {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.Zone == "" {
		if p := tcp.AddrPort(); p.IsValid() {
			return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()).AppendTo(b)
		}
	}
	return append(b, a.String()...)
}

// publisher is what publishes go to; most consumers have none.
func (c *Conn) publisher() *broker.Publisher {
	if c.pub == nil {
		c.pub = c.vhost.NewPublisher()
		c.pub.Refused = c.notTaken
	}
	return c.pub
}

// log says what is to be said of the connection.
func (c *Conn) log() *slog.Logger { return c.cfg.Logger.With(slog.String("connection", c.name)) }

// process handles the frames in the window.
func (c *Conn) process() error {
	w := &c.got.win
	w.want = max(0, min(w.want, windowMax))
	if len(w.buf) >= w.want {
		w.want = 0
	}
	for {
		rest := w.buf[w.r:w.w]
		f, n, err := amqp.ParseFrame(rest, c.frameMax)
		if err != nil {
			if !c.closing.Load() {
				_ = c.fail(asError(err))
			}
			return errLost
		}
		if n == 0 {
			if len(rest) >= 7 {
				w.want = max(w.want, frameNeed(rest))
			}
			return nil
		}
		used, err := c.frame(f, rest[n:])
		if err != nil {
			return err
		}
		w.r += n + used
	}
}

// frameNeed is how long the first frame of b is.
func frameNeed(b []byte) int {
	return int(uint32(b[3])<<24|uint32(b[4])<<16|uint32(b[5])<<8|uint32(b[6])) + amqp.FrameOverhead
}

// frame handles one frame; rest are the bytes behind it, of which it may take
// more. A returned error ends the reading.
func (c *Conn) frame(f amqp.Frame, rest []byte) (used int, err error) {
	if c.closing.Load() {
		return 0, c.whileClosing(f)
	}
	if f.Type == amqp.FrameHeartbeat {
		if f.Channel != 0 {
			return 0, c.fail(unexpectedFrame(f))
		}
		return 0, nil
	}
	if f.Channel == 0 {
		return 0, c.zero(f)
	}
	ch := c.channel(f.Channel)
	if ch != nil && ch.lost.Load() && !ch.closing {
		c.endLost(ch)
	}
	if ch != nil && ch.closing {
		c.whileChannelCloses(ch, f)
		return 0, nil
	}
	var e *amqp.Error
	if f.Type == amqp.FrameMethod {
		used, e, err = c.method(ch, f, rest)
	} else if ch == nil {
		e = errNoMethod()
	} else {
		e = c.contentFrame(ch, f)
	}
	if e == nil || err != nil {
		return used, err
	}
	if e.Scope == amqp.ScopeChannel {
		c.failChannel(ch, e)
		return used, nil
	}
	return used, c.fail(e)
}

func errNoMethod() *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodeUnexpectedFrame, "expected method frame, got non method frame instead")
}

func errNoBody() *amqp.Error {
	return amqp.ConnectionErrorf(amqp.CodeUnexpectedFrame,
		"expected content body, got non content body frame instead").At(amqp.IDBasicPublish)
}

func unexpectedFrame(f amqp.Frame) *amqp.Error {
	octets, which := f.Payload, "all"
	if len(octets) > 16 {
		octets, which = octets[:16], "first 16"
	}
	return amqp.ConnectionErrorf(amqp.CodeUnexpectedFrame, "type %d, %s octets = %s",
		f.Type, which, amqp.ErlangBinary(octets))
}

// whileChannelCloses ignores everything on a channel that the server has
// closed until the client agrees.
func (c *Conn) whileChannelCloses(ch *channel, f amqp.Frame) {
	if f.Type != amqp.FrameMethod {
		return
	}
	switch id, _, _ := amqp.SplitMethod(f.Payload); id {
	case amqp.IDChannelCloseOk:
		c.forgetChannel(ch)
	case amqp.IDChannelClose: // both sides closed at once
		c.send(ch.id, &amqp.ChannelCloseOk{})
	}
}

// method handles a method frame on a channel.
func (c *Conn) method(ch *channel, f amqp.Frame, rest []byte) (used int, e *amqp.Error, err error) {
	id, args, _ := amqp.SplitMethod(f.Payload) // ParseFrame saw to the length
	if ch == nil {
		e, err = c.unopened(f.Channel, id, args)
		return 0, e, err
	}
	switch ch.content.stage {
	case stageHeader:
		return 0, errNoHeader(), nil
	case stageBody:
		return 0, errNoBody(), nil
	case stageMethod:
	}
	switch id {
	case amqp.IDBasicPublish:
		return c.basicPublish(ch, args, rest)
	case amqp.IDBasicAck:
		var m amqp.BasicAck
		if err := m.Decode(args); err != nil {
			return 0, amqp.DecodeError(id, args, err), nil
		}
		if e := c.settle(ch, m.DeliveryTag, m.Multiple, acked); e != nil {
			return 0, e.At(id), nil
		}
		return 0, nil, nil
	}
	e, err = c.rareMethod(ch, id, args)
	return 0, e, err
}

// basicPublish takes basic.publish, in place when all of its content is there.
func (c *Conn) basicPublish(ch *channel, args, rest []byte) (used int, e *amqp.Error, err error) {
	same := c.sameContent(ch, rest)
	if same > 0 && c.publishAgain(ch, args, rest[:same]) {
		if len(rest) > same {
			same += c.publishRun(ch, rest[same:])
		}
		return same, nil, nil
	}
	p, perr := amqp.ParsePublish(args)
	if perr != nil {
		return 0, amqp.DecodeError(amqp.IDBasicPublish, args, perr), nil
	}
	if p.Immediate {
		return 0, amqp.ConnectionErrorf(amqp.CodeNotImplemented, "immediate=true").At(amqp.IDBasicPublish), nil
	}
	if same > 0 && bytes.Equal(p.Exchange, c.again.msg.Exchange) {
		return same, c.publishAlike(ch, &p, args, rest[:same]), nil
	}
	c.again.ch = nil
	used, e = c.publishInPlace(ch, &p, args, rest)
	if used == 0 && e == nil {
		ch.beginContent(&p)
	}
	return used, e, nil
}

// rareMethod handles all methods but the two of the hot path.
func (c *Conn) rareMethod(ch *channel, id amqp.MethodID, args []byte) (*amqp.Error, error) {
	m, e, err := c.decode(id, args)
	if m == nil {
		return e, err
	}
	switch id.Class() {
	case 60:
		if id != amqp.IDBasicNack && id != amqp.IDBasicReject {
			c.got.listen.other = true
			c.flush()
		}
		e = c.basicMethod(ch, m)
	default:
		c.got.listen.other = true
		c.flush()
		e = c.otherMethod(ch, id.Class(), m)
	}
	if e != nil {
		return e.At(id), nil
	}
	return nil, nil
}

func (c *Conn) otherMethod(ch *channel, class uint16, m amqp.Method) *amqp.Error {
	switch class {
	case 20:
		return c.channelMethod(ch, m)
	case 30:
		c.send(ch.id, &amqp.AccessRequestOk{Ticket: 1})
		return nil
	case 40:
		return c.exchangeMethod(ch, m)
	case 50:
		return c.queueMethod(ch, m)
	case 85:
		if s, ok := m.(*amqp.ConfirmSelect); ok {
			return c.selectConfirms(ch, s.NoWait)
		}
	case 90:
		return c.txMethod(ch, m)
	}
	return errUnimplemented()
}

// decode decodes a method that a client may send. Where RabbitMQ drops the
// connection without a word, so do we, and say why in the log.
func (c *Conn) decode(id amqp.MethodID, args []byte) (amqp.Method, *amqp.Error, error) {
	m, err := amqp.DecodeArguments(id, args)
	switch {
	case errors.Is(err, amqp.ErrUnknownMethod), errors.Is(err, amqp.ErrFieldType):
		c.log().Warn("method that cannot be understood", slog.String("method", id.String()), slog.String("error", err.Error()))
		return nil, nil, errAbort
	case err != nil:
		return nil, amqp.DecodeError(id, args, err), nil
	case !id.FromClient():
		return nil, errUnimplemented().At(id), nil
	}
	return m, nil, nil
}

// unopened handles a method on a channel that is not open.
func (c *Conn) unopened(channel uint16, id amqp.MethodID, args []byte) (*amqp.Error, error) {
	switch id {
	case amqp.IDChannelOpen:
		if m, e, err := c.decode(id, args); m == nil {
			return e, err
		}
		if e := c.openChannel(channel); e != nil {
			return e.At(id), nil
		}
		return nil, nil
	case amqp.IDChannelCloseOk: // late, of a close that crossed the client's
		return nil, nil
	}
	return amqp.ConnectionErrorf(amqp.CodeChannelError, "expected 'channel.open'").At(id), nil
}

// holdConsumeOk keeps a consume-ok back until another reply is sent or nothing
// follows for a moment. RabbitMQ's queues send it, and a channel that has
// failed by then gets none. Until it is sent nothing is delivered.
func (c *Conn) holdConsumeOk(k *consumer) {
	c.sendHeld()
	c.held = held{k, true}
}

func (c *Conn) sendHeld() {
	if k := c.held.consumer; k != nil {
		c.held.consumer = nil
		c.out.announce(k, amqp.AppendMethod(nil, k.ch.id, &amqp.BasicConsumeOk{ConsumerTag: k.Tag}))
	}
}

// send puts one method into the outbox.
func (c *Conn) send(channel uint16, m amqp.Method) {
	c.sendHeld()
	c.out.add(func(b []byte) []byte { return amqp.AppendMethod(b, channel, m) })
}

// flush hands the gathered publishes and acknowledgements to their queues.
func (c *Conn) flush() {
	c.settles.flush()
	c.flushPublished(false)
}

// flushPublished hands the gathered publishes to their queues, and returns the
// longest of these; here as in broker.Publisher.Flush.
func (c *Conn) flushPublished(here bool) *broker.Queue {
	if len(c.confirming) == 0 {
		if c.pub == nil || c.pub.Empty() {
			return nil
		}
		timed := c.timePublishes()
		q, _ := c.pub.Flush(nil, here)
		timed.done(c.cfg.Registry)
		return q
	}
	b := &confirmBatch{tags: c.confirming, timed: c.timePublishes()}
	for i := range b.tags {
		t := &b.tags[i]
		t.upTo = t.ch.confirm.next - 1
		t.ch.published.tags.Store(t.upTo)
		t.ch.confirm.open = false
	}
	c.confirming = nil
	done := c.confirmed(b)
	c.confirms.refusals.batch = b
	q, logged := c.pub.Flush(done, here)
	c.confirms.refusals.batch = nil
	if !logged {
		c.settled = append(c.settled, done)
	}
	return q
}

// waitForRoom stops reading from a publisher until there is memory or disk
// space again.
func (c *Conn) waitForRoom(reason string) {
	if c.caps.blocked && !c.blockedSent {
		c.send(0, &amqp.ConnectionBlocked{Reason: reason})
		c.blockedSent = true
	}
	t := time.NewTicker(memoryNap)
	defer t.Stop()
	c.stats.blocked.Store(true)
	defer c.stats.blocked.Store(false)
	for c.cfg.Broker.Blocked() != "" && !c.closing.Load() && !c.out.ended() {
		c.received.Store(c.cfg.Registry.now()) // heartbeats cannot be read meanwhile
		<-t.C
	}
	if c.blockedSent {
		c.send(0, &amqp.ConnectionUnblocked{})
		c.blockedSent = false
	}
}

func asError(err error) *amqp.Error {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e
	}
	return amqp.ConnectionErrorf(amqp.CodeInternalError, "")
}
