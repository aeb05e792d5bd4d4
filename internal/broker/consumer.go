package broker

import (
	"slices"
	"sync/atomic"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/queue"
)

// Waker is who a consumer belongs to. Its methods are called without a lock
// of the broker held and must not block.
type Waker interface {
	// Wake says that c may find messages now.
	Wake(c *Consumer)
	// Carry is Wake that may serve c in the caller's goroutine, which holds no
	// lock and has little else to do.
	Carry(c *Consumer)
	// Cancelled says that c's queue is gone.
	Cancelled(c *Consumer)
	// Overdue says that c did not settle messages in time. They stay c's until
	// they are returned.
	Overdue(c *Consumer, seqs []uint64)
}

// Consumer is one consumer of one queue. Its owner takes messages with Take
// and gives them up with Settle or Return.
type Consumer struct {
	Tag              string
	NoAck, Exclusive bool
	Prefetch         int // 0: no limit
	Arguments        amqp.Table
	Connection       string // name of the connection, to show
	Channel          uint16
	User             string

	waker Waker
	queue *Queue
	state queue.Consumer
}

// ConsumerView is what can be seen of a consumer.
type ConsumerView struct {
	Tag, Connection, User string
	Channel               uint16
	NoAck, Exclusive      bool
	Prefetch, Unacked     int
	Arguments             amqp.Table
	// Active is false of one that stands by while another has the queue to
	// itself.
	Active bool
}

// view is called under the queue's lock.
func (c *Consumer) view() ConsumerView {
	return ConsumerView{
		Tag: c.Tag, Connection: c.Connection, User: c.User, Channel: c.Channel, NoAck: c.NoAck, Exclusive: c.Exclusive,
		Prefetch: c.Prefetch, Unacked: c.state.Unacked(), Arguments: c.Arguments,
		Active: !c.queue.settings.SingleActive || c.queue.state.Active() == &c.state,
	}
}

// argConsumerTimeout is an argument of consumers and of queues.
const argConsumerTimeout = "x-consumer-timeout"

// Timeout returns within how many milliseconds c has to settle what it gets; 0:
// it need not.
func (c *Consumer) Timeout() int64 {
	if n, _, _ := c.Arguments.Int(argConsumerTimeout); n > 0 {
		return n
	}
	if n := c.queue.Settings().ConsumerTimeout; n != nil {
		return *n
	}
	return 0
}

// Queue returns the queue that c consumes from.
func (c *Consumer) Queue() *Queue { return c.queue }

// Consume attaches a consumer to a queue (basic.consume, §1.8.3.3). w may be
// told of it from then on, before Consume returns.
func (v *Vhost) Consume(a *Actor, name string, c *Consumer, w Waker) *amqp.Error {
	if err := v.Check(a, auth.Read, KindQueue, cleanName(name)); err != nil {
		return err
	}
	q, err := v.usable(a, name)
	if err != nil {
		return err
	}
	if err := v.checkArguments(v.rules.consumer, q.Name, c.Arguments); err != nil {
		return err
	}
	if q.Quorum { // as with RabbitMQ: it is let through and means nothing
		c.Exclusive = false
	}
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return v.notFound(KindQueue, name)
	}
	if q.exclusive != nil || c.Exclusive && (q.state.Consumers() > 0 || q.settings.SingleActive) {
		q.mu.Unlock()
		return amqp.ChannelErrorf(amqp.CodeAccessRefused, "%s in exclusive use", v.resource(KindQueue, q.Name))
	}
	if c.Exclusive {
		q.exclusive = c
	}
	c.queue, c.waker = q, w
	rank, _, _ := c.Arguments.Int("x-priority")
	timeout, _, _ := c.Arguments.Int(argConsumerTimeout)
	c.state = queue.Consumer{Owner: c, Prefetch: c.Prefetch, NoAck: c.NoAck, Priority: rank, Timeout: timeout}
	q.served = true
	var told []Delivered
	if q.Durable {
		told = q.tellAhead()
	}
	q.state.Add(&c.state, &q.fx)
	q.consumers.Store(int32(q.state.Consumers())) //nolint:gosec // bounded by the channels' limits
	q.unlock()
	if told != nil {
		q.env.log.Append(Batch{Delivered: told}, q.told(told))
	}
	return nil
}

// Cancel detaches a consumer; its unacknowledged messages stay outstanding.
// An auto-delete queue goes with its last consumer.
func (v *Vhost) Cancel(c *Consumer) {
	q := c.queue
	q.mu.Lock()
	q.state.Remove(&c.state, &q.fx)
	if q.exclusive == c {
		q.exclusive = nil
	}
	left := q.state.Consumers()
	q.touch()
	q.consumers.Store(int32(left)) //nolint:gosec // bounded by the channels' limits
	drop := q.AutoDelete && left == 0 && q.served && !q.closed
	q.unlock()
	if drop {
		v.DropQueue(q)
	}
}

// Take moves up to limit messages with about budget bytes to the consumer and
// appends them to dst. When it returns none, Wake will be called.
func (c *Consumer) Take(limit, budget int, dst []queue.Delivery) []queue.Delivery {
	q := c.queue
	q.lockTimely(q.finishLater)
	if q.closed {
		q.mu.Unlock()
		return dst
	}
	n := len(dst)
	dst = q.state.Take(&c.state, limit, budget, dst, &q.fx)
	q.stats.Took(dst[n:], c.NoAck)
	if c.state.Timeout > 0 || q.settings.ConsumerTimeout != nil {
		q.state.Hold(&c.state, dst[n:], q.env.soon())
	}
	q.finishLater(q.release())
	if !q.settleLevel(dst[n:]) {
		return dst[:n]
	}
	for i := n; i < len(dst); i++ {
		q.count(&dst[i])
	}
	return dst
}

// Get takes one message for basic.get (§1.8.3.10) and returns how many stay
// ready; ok is false when the queue is empty. Getter is told when it is not
// settled in time.
func (v *Vhost) Get(a *Actor, name string, noAck bool, getter Waker) (q *Queue, d queue.Delivery, left int, ok bool, err *amqp.Error) {
	if err = v.Check(a, auth.Read, KindQueue, cleanName(name)); err != nil {
		return nil, d, 0, false, err
	}
	if q, err = v.usable(a, name); err != nil {
		return nil, d, 0, false, err
	}
	if q.Quorum && q.Settings().SingleActive {
		return nil, d, 0, false, amqp.ChannelErrorf(amqp.CodeResourceLocked, "cannot obtain access to locked %s. basic.get operations "+
			"are not supported by <<\"quorum\">> queues with single active consumer", v.resource(KindQueue, q.Name))
	}
	q.touch()
	paused := a.Conn != 0 && q.Paused() // an operator looks into it all the same
	for more := !paused; more && !ok; { // again when it had to be fetched
		q.lockTimely(q.finish)
		wanted := a.Conn != 0 && q.state.Wanted()
		if !q.closed && !wanted {
			d, ok = q.state.Get(noAck, &q.fx)
			left = q.state.Ready()
		}
		if ok {
			q.stats.Fetched(&d, noAck)
			q.holdGot(&d, noAck, getter)
		}
		more = q.fx.Load && !q.broken && !wanted
		q.unlock()
	}
	if ok = ok && q.settleLevel([]queue.Delivery{d}); ok {
		q.count(&d)
	} else {
		q.gotNothing()
	}
	return q, d, left, ok, nil
}

// holdGot wants a message to be settled in time; q.mu is held.
func (q *Queue) holdGot(d *queue.Delivery, noAck bool, getter Waker) {
	if q.settings.ConsumerTimeout == nil || getter == nil || noAck {
		return
	}
	c := &Consumer{waker: getter, queue: q}
	c.state.Owner = c
	q.state.Hold(&c.state, []queue.Delivery{*d}, q.env.soon())
}

// Settle removes messages for good that were delivered to c, or by basic.get
// when c is nil.
func (q *Queue) Settle(c *Consumer, seqs []uint64) { q.settleAs(c, seqs, false) }

// Reject is Settle for messages that were not wanted: they are dead letters.
func (q *Queue) Reject(c *Consumer, seqs []uint64) { q.settleAs(c, seqs, true) }

func (q *Queue) settleAs(c *Consumer, seqs []uint64, reject bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	if reject {
		q.state.Reject(c.inner(), seqs, &q.fx)
	} else {
		q.state.Settle(c.inner(), seqs, &q.fx)
	}
	q.stats.Acked += uint64(len(seqs))
	q.unlock()
}

// SettleWith is Settle or Reject as part of the publisher's next Flush: both
// are durable or neither.
func (p *Publisher) SettleWith(q *Queue, c *Consumer, seqs []uint64, reject bool) {
	q.mu.Lock()
	q.waitForPuts(seqs)
	if q.closed {
		q.mu.Unlock()
		return
	}
	if reject {
		q.state.Reject(c.inner(), seqs, &q.fx)
	} else {
		q.state.Settle(c.inner(), seqs, &q.fx)
	}
	q.stats.Acked += uint64(len(seqs))
	if q.Durable && len(q.fx.Settled) > 0 {
		p.settles(q, slices.Clone(q.fx.Settled))
		q.fx.Settled = q.fx.Settled[:0]
	}
	a := q.release()
	p.lay(q, a.dead)
	a.dead = nil
	q.finish(a)
}

// settles makes settles part of the batch: the messages leave q with it. Q.mu is
// held.
func (p *Publisher) settles(q *Queue, seqs []uint64) {
	if p.batch.Entered == nil {
		p.batch.Entered = new(atomic.Bool)
	}
	q.leaveWith(seqs, p.batch.Entered)
	p.batch.Settled = append(p.batch.Settled, Settled{Queue: q.UID, Seqs: seqs})
	p.settling = append(p.settling, q)
}

// waitForPuts waits until messages are in the log, so that what settles them
// may follow; q.mu is held, but for the time of waiting.
func (q *Queue) waitForPuts(seqs []uint64) {
	for !q.closed && slices.ContainsFunc(seqs, q.onTheWay) {
		q.entered.Wait()
	}
}

// leave notes that persistent messages are gone and not settled yet; q.mu is
// held.
func (q *Queue) leave(dead []queue.Dead) {
	for i := range dead {
		if dead[i].Persistent {
			q.leaveWith([]uint64{dead[i].Seq}, nil)
		}
	}
}

// leaveWith notes with which batch messages leave, nil when there is none yet.
// Q.mu is held.
func (q *Queue) leaveWith(seqs []uint64, entered *atomic.Bool) {
	if q.leaving == nil {
		q.leaving = map[uint64]*atomic.Bool{}
	}
	for _, seq := range seqs {
		q.leaving[seq] = entered
	}
}

// isLeaving reports whether a message has left the queue with a batch that is
// not in the log. It is asked by who puts it again there: if the batch is, what
// is put now is behind it. Q.mu is held.
func (q *Queue) isLeaving(seq uint64) bool {
	entered, leaving := q.leaving[seq]
	return leaving && (entered == nil || !entered.Load())
}

// left says that what a transaction settled is settled in the log.
func (q *Queue) left(seqs []uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range seqs {
		delete(q.leaving, seq)
	}
}

// Return puts messages back that were delivered to c, or by basic.get when c
// is nil.
func (q *Queue) Return(c *Consumer, seqs []uint64) { q.giveBack(c, seqs, false) }

// Fail is Return for messages that c could not cope with, which counts for the
// queue's delivery limit.
func (q *Queue) Fail(c *Consumer, seqs []uint64) { q.giveBack(c, seqs, true) }

func (q *Queue) giveBack(c *Consumer, seqs []uint64, failed bool) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.state.Return(c.inner(), seqs, failed, q.env.now(), &q.fx)
	q.unlock()
}

func (c *Consumer) inner() *queue.Consumer {
	if c == nil {
		return nil
	}
	return &c.state
}
