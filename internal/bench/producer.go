package bench

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// producer publishes on a connection of its own: one goroutine writes, another reads what the
// broker has to say.
type producer struct {
	conn  *conn
	ring  *ring
	limit int64 // messages; 0: none
	paced *pacer
	until int64 // of the pacer's clock: what is due later is not sent; 0: no end

	window  int64 // unconfirmed publishes; 0: no confirms
	settled atomic.Int64
	wake    chan struct{} // the reader has settled something, or ended
	done    chan struct{} // the reader has ended
	failed  error         // of the reader; read when done is closed

	stopping atomic.Bool // send no more
	hurried  atomic.Bool // do not even wait for confirms
	cut      bool        // it was hurried and had not ended: its counts are not final

	published, confirmed, nacked counter
	blocked                      atomic.Bool // the broker has said connection.blocked

	measured func(due int64) bool // which messages belong to the latencies; nil: none
	lag      *histogram           // from due to sent
	latency  *histogram           // from due to confirmed
}

// run publishes until it is told to stop, waits for the confirms, and takes leave: afterwards the
// broker has handled everything that was published.
func (p *producer) run() error {
	go p.read()
	err := p.publish()
	if err == nil {
		err = p.leave()
	}
	if err != nil { // the reader may know why
		_ = p.conn.net.SetReadDeadline(newClock().at(int64(time.Second)))
	}
	<-p.done
	p.conn.drop()
	late := errors.Is(p.failed, os.ErrDeadlineExceeded)
	if p.hurried.Load() && (late || errors.Is(err, os.ErrDeadlineExceeded)) {
		p.cut = true // and the message that was being written is not counted
		return nil
	}
	if err != nil && (p.failed == nil || late) {
		return err
	}
	return p.failed
}

// publish writes what may be written until there is an end.
func (p *producer) publish() error {
	if p.paced != nil {
		p.paced.exact()
	}
	for sent := int64(0); ; {
		n := p.allowed(sent)
		if n == 0 {
			return nil
		}
		if p.measured != nil {
			p.stamp(sent, n)
		}
		if _, err := p.conn.net.Write(p.ring.take(int(n))); err != nil {
			return err
		}
		sent += n
		p.published.Store(sent)
	}
}

// allowed waits until messages may be sent and returns how many; none is the end.
func (p *producer) allowed(sent int64) int64 {
	for !p.stopping.Load() {
		n, end := p.due(sent)
		if end {
			return 0
		}
		if p.window > 0 {
			n = min(n, p.window-(sent-p.settled.Load()))
			if n <= 0 && !p.news() {
				return 0
			}
		}
		if n > 0 {
			return n
		}
	}
	return 0
}

// due returns how many messages are to be sent now, none if it napped, and whether that was all.
func (p *producer) due(sent int64) (n int64, end bool) {
	n = int64(p.ring.room())
	if p.limit > 0 {
		n = min(n, p.limit-sent)
	}
	if n == 0 || p.until > 0 && p.paced.due(sent) >= p.until {
		return 0, true
	}
	if p.paced != nil {
		n = min(n, p.paced.ready(sent))
	}
	if p.until > 0 { // the last ones that are due before the end
		n = min(n, int64(float64(p.until-p.paced.due(sent))/p.paced.interval)+1)
	}
	return n, false
}

// news waits for the reader to settle something and reports whether it may do so again.
func (p *producer) news() bool {
	select {
	case <-p.wake:
		return true
	case <-p.done:
		return false
	}
}

// stamp writes into the next n messages when they were due.
func (p *producer) stamp(sent, n int64) {
	now := p.paced.clock.now()
	for i := range n {
		due := p.paced.due(sent + i)
		p.ring.stamp(int(i), due)
		if p.measured(due) {
			p.lag.record(now - due)
		}
	}
}

// leave waits for the confirms and closes the connection, the orderly way.
func (p *producer) leave() error {
	for p.window > 0 && p.settled.Load() < p.published.Load() && !p.hurried.Load() {
		if !p.news() {
			return nil
		}
	}
	_ = p.conn.net.SetDeadline(newClock().at(int64(replyTimeout))) // a closed connection says so below
	return p.conn.send(0, &amqp.ConnectionClose{ReplyCode: amqp.CodeSuccess})
}

// stop makes the producer end soon.
func (p *producer) stop() {
	p.stopping.Store(true)
	p.nudge()
}

// hurry makes it end at once.
func (p *producer) hurry() {
	p.hurried.Store(true)
	p.stop()
	_ = p.conn.net.SetDeadline(newClock().at(0)) // if it is closed already, all the better
}

func (p *producer) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

var errLeft = errors.New("the broker has said goodbye")

// read handles confirms until the connection ends.
func (p *producer) read() {
	defer close(p.done)
	confirms := newConfirms(int(p.window))
	if p.latency != nil {
		clock := p.paced.clock
		confirms.each = func(tag uint64) {
			if due := p.paced.due(int64(tag) - 1); p.measured(due) { //nolint:gosec // a count
				p.latency.record(clock.now() - due)
			}
		}
	}
	in := parser{maxFrame: p.conn.frameMax, method: func(id amqp.MethodID, args []byte) error { return p.handle(confirms, id, args) }}
	for {
		n, err := in.parse(p.conn.buf[:p.conn.have])
		p.conn.consumed(n)
		if total := confirms.acked + confirms.nacked; total != p.settled.Load() {
			p.confirmed.Store(confirms.acked)
			p.nacked.Store(confirms.nacked)
			p.settled.Store(total)
			p.nudge()
		}
		if err == nil {
			err = p.conn.fill()
		}
		if err != nil {
			if !errors.Is(err, errLeft) {
				p.failed = err
			}
			return
		}
	}
}

// handle handles one method of the broker.
func (p *producer) handle(confirms *confirms, id amqp.MethodID, args []byte) error {
	switch id {
	case amqp.IDBasicAck:
		var m amqp.BasicAck
		if err := m.Decode(args); err != nil {
			return err
		}
		return confirms.settle(m.DeliveryTag, m.Multiple, true)
	case amqp.IDBasicNack:
		var m amqp.BasicNack
		if err := m.Decode(args); err != nil {
			return err
		}
		return confirms.settle(m.DeliveryTag, m.Multiple, false)
	case amqp.IDConnectionBlocked:
		p.blocked.Store(true)
	case amqp.IDConnectionCloseOk:
		return errLeft
	}
	return p.conn.closing(id, args)
}
