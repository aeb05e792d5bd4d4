package crash_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// The queues of the load, and who publishes to them. Numbers of publishers
// are never used for two channels.
const (
	exchange = "crash.fanout"

	pubOwn   = 1 // connection 1, to own, which it consumes itself, and to crowd
	pubFan   = 2 // connection 1, another channel, to three queues at once
	pubOther = 3 // connection 2, to other, back and crowd
	pubMark  = 4 // connection 3, which consumes, and publishes so that its acknowledgements are proved
	pubTx    = 5 // connection 4, transactions
	pubPika  = 6
	pubFlood = 7 // and on: to each of flooded
)

// fan are the queues bound to exchange; the last is not consumed.
var fan = []string{"crash.f1", "crash.f2", "crash.f3"}

// loadQueues are all queues of the load.
var loadQueues = append([]string{
	"crash.own", "crash.other", "crash.back", "crash.crowd", "crash.mark", "crash.t1", "crash.t2", "crash.pika",
}, fan...)

// target is where a publisher sends to.
type target struct {
	exchange, key string
	queues        []string
}

func direct(queue string) target { return target{"", queue, []string{queue}} }

// topology declares what the load needs.
func topology(n *node) error {
	c, err := n.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(exchange, "fanout", true, false, false, false, nil); err != nil {
		return err
	}
	for _, q := range loadQueues {
		if _, err := ch.QueueDeclare(q, true, false, false, false, nil); err != nil {
			return err
		}
	}
	for _, q := range fan {
		if err := ch.QueueBind(q, "", exchange, false, nil); err != nil {
			return err
		}
	}
	return nil
}

// load is everything that is done to a node until it dies.
type load struct {
	l     *Ledger
	node  *node
	seed  uint64
	most  int  // messages that a queue may gather
	large bool // messages of 100 KiB
	work  sync.WaitGroup

	ctx    context.Context //nolint:containedctx // of one life of a node
	cancel context.CancelFunc

	nacked  atomic.Bool  // something was refused
	after   atomic.Int64 // confirmed though it was sent after that
	blocked atomic.Int64 // connection.blocked
	opened  atomic.Int64 // connection.unblocked
}

// run starts the load on a node.
func run(ctx context.Context, l *Ledger, n *node, seed uint64, most int) (*load, error) {
	d := &load{l: l, node: n, seed: seed, most: most}
	d.begin(ctx)
	starts := []func() error{d.connection1, d.connection2, d.connection3, d.connection4}
	for _, f := range starts {
		if err := f(); err != nil {
			select {
			case <-n.done: // it was quick to die
				return d, nil
			case <-time.After(patience / 6):
				return d, err
			}
		}
	}
	return d, nil
}

func (d *load) begin(ctx context.Context) { d.ctx, d.cancel = context.WithCancel(ctx) }

// end waits until everything that the broker sent has been taken in; the node
// is dead, or its load is to end.
func (d *load) end() {
	d.cancel()
	d.work.Wait()
	d.l.parted()
}

func (d *load) rng(n uint64) *rand.Rand { return rand.New(rand.NewPCG(d.seed, n)) }

// dial opens a connection that is closed when the load ends.
func (d *load) dial() (*amqp091.Connection, *flow, error) {
	c, err := d.node.dial()
	if err != nil {
		return nil, nil, err
	}
	blocks := c.NotifyBlocked(make(chan amqp091.Blocking, 16))
	d.work.Go(func() {
		for b := range blocks {
			if b.Active {
				d.blocked.Add(1)
			} else {
				d.opened.Add(1)
			}
		}
	})
	d.work.Go(func() {
		<-d.ctx.Done()
		_ = c.CloseDeadline(time.Now().Add(5 * time.Second)) // a publisher that waits cannot be closed
	})
	return c, &flow{}, nil
}

func (d *load) connection1() error {
	c, f, err := d.dial()
	if err != nil {
		return err
	}
	own := []target{direct("crash.own"), direct("crash.own"), direct("crash.crowd")}
	if err := d.publisher(c, f, pubOwn, own, 200, 0); err != nil {
		return err
	}
	if err := d.publisher(c, f, pubFan, []target{{exchange, "", fan}}, 50, 0); err != nil {
		return err
	}
	return d.consumer(c, f, "crash.own", 50)
}

func (d *load) connection2() error {
	c, f, err := d.dial()
	if err != nil {
		return err
	}
	targets := []target{direct("crash.other"), direct("crash.back"), direct("crash.crowd")}
	return d.publisher(c, f, pubOther, targets, 500, 0)
}

func (d *load) connection3() error {
	c, f, err := d.dial()
	if err != nil {
		return err
	}
	if err := d.publisher(c, f, pubMark, []target{direct("crash.mark")}, 2, 3*time.Millisecond); err != nil {
		return err
	}
	for i, q := range []string{"crash.other", "crash.crowd", "crash.mark", fan[0], fan[1]} {
		if err := d.consumer(c, f, q, []int{1, 20, 300}[i%3]); err != nil {
			return err
		}
	}
	return nil
}

// size is what a message is long: mostly small.
func size(rng *rand.Rand) int {
	switch p := rng.IntN(1000); {
	case p < 5:
		return rng.IntN(300 << 10)
	case p < 50:
		return rng.IntN(20 << 10)
	case p < 300:
		return bodyHeader
	}
	return rng.IntN(2000)
}

// message is a publishing of size bytes.
func message(b []byte, persistent bool) amqp091.Publishing {
	p := amqp091.Publishing{Body: b, DeliveryMode: amqp091.Transient}
	if persistent {
		p.DeliveryMode = amqp091.Persistent
	}
	return p
}

// publisher publishes with confirms, up to window of them outstanding, until
// its connection ends.
func (d *load) publisher(c *amqp091.Connection, f *flow, pub uint16, targets []target, window int, pause time.Duration) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.Confirm(false); err != nil {
		return err
	}
	for _, t := range targets {
		d.l.source(f, t.queues...)
	}
	room := make(chan struct{}, window)
	sent := make(chan *publish, window)
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, window))
	d.work.Go(func() { d.confirms(confirms, sent, room) })
	d.work.Go(func() {
		rng := d.rng(uint64(pub))
		for d.ctx.Err() == nil {
			t := targets[rng.IntN(len(targets))]
			if d.full(t) {
				time.Sleep(time.Millisecond)
				continue
			}
			select {
			case room <- struct{}{}:
			case <-d.ctx.Done():
				return
			}
			persistent := rng.IntN(10) > 0
			i := d.l.next(pub)
			long := size(rng)
			if d.large {
				long = 100 << 10
			}
			m := message(body(i, long, rng), persistent)
			late := d.nacked.Load()
			p := d.l.sending(f, i, persistent, nil, t.queues...)
			p.late = late
			sent <- p
			if err := ch.PublishWithContext(d.ctx, t.exchange, t.key, false, false, m); err != nil {
				return
			}
			time.Sleep(pause)
		}
	})
	return nil
}

// full reports that a queue of a target has gathered enough.
func (d *load) full(t target) bool {
	for _, q := range t.queues {
		if d.l.live(q) >= d.most {
			return true
		}
	}
	return false
}

// confirms takes confirms in, which come in the order of the publishes.
func (d *load) confirms(confirms <-chan amqp091.Confirmation, sent <-chan *publish, room <-chan struct{}) {
	for c := range confirms {
		p := <-sent
		<-room
		if !c.Ack {
			d.nacked.Store(true)
			continue
		}
		d.l.confirmed(p)
		if p.late {
			d.after.Add(1)
		}
	}
}

// consumer consumes with acknowledgements of one or of many, and gives some
// back, until its connection ends.
func (d *load) consumer(c *amqp091.Connection, f *flow, queue string, prefetch int) error {
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	d.work.Go(func() {
		rng := d.rng(uint64(len(queue)) + 100)
		var held []id
		for m := range deliveries {
			i, ok := d.l.delivered(queue, m.Body)
			if !ok {
				continue
			}
			held = append(held, i)
			switch p := rng.IntN(100); {
			case p < 3:
				d.l.returned(queue, held...)
				err = m.Nack(true, true)
				held = held[:0]
			case p < 50 || len(held) >= prefetch:
				d.l.acking(queue, held...)
				if err = m.Ack(true); err == nil {
					d.l.acked(f, queue, held...)
				}
				held = held[:0]
			}
			if err != nil {
				return
			}
		}
	})
	return nil
}

// connection4 runs transactions over two queues: what one takes from them and
// puts into them is committed together.
func (d *load) connection4() error {
	c, f, err := d.dial()
	if err != nil {
		return err
	}
	ch, err := c.Channel()
	if err != nil {
		return err
	}
	if err := errors.Join(ch.Tx(), ch.Qos(40, 0, false)); err != nil {
		return err
	}
	x := &transactions{load: d, ch: ch, f: f, rng: d.rng(pubTx)}
	for i, q := range []string{"crash.t1", "crash.t2"} {
		d.l.source(f, q)
		if x.in[i], err = ch.Consume(q, "", false, false, false, false, nil); err != nil {
			return err
		}
	}
	d.work.Go(x.run)
	return nil
}

// transactions is one transactional channel.
type transactions struct {
	*load

	ch   *amqp091.Channel
	f    *flow
	rng  *rand.Rand
	in   [2]<-chan amqp091.Delivery
	held []heldDelivery
}

type heldDelivery struct {
	amqp091.Delivery

	place place
}

func (x *transactions) run() {
	for x.ctx.Err() == nil {
		x.receive()
		if x.once() != nil {
			return
		}
	}
}

// receive takes what has come.
func (x *transactions) receive() {
	for i, q := range []string{"crash.t1", "crash.t2"} {
		for more := true; more; {
			select {
			case m, ok := <-x.in[i]:
				if more = ok; !ok {
					break
				}
				if id, ok := x.l.delivered(q, m.Body); ok {
					x.held = append(x.held, heldDelivery{m, place{q, id}})
				}
			default:
				more = false
			}
		}
	}
}

// once runs one transaction.
func (x *transactions) once() error {
	g := x.l.begin()
	for range x.rng.IntN(8) {
		q := []string{"crash.t1", "crash.t2"}[x.rng.IntN(2)]
		if x.l.live(q) >= x.most {
			continue
		}
		i := x.l.next(pubTx)
		m := message(body(i, size(x.rng), x.rng), true)
		x.l.sending(x.f, i, true, g, q)
		if err := x.ch.PublishWithContext(x.ctx, "", q, false, false, m); err != nil {
			return err
		}
	}
	n := min(len(x.held), x.rng.IntN(9))
	for _, h := range x.held[:n] {
		x.l.ackIn(g, h.place.queue, h.place.id)
		if err := h.Ack(false); err != nil {
			return err
		}
	}
	if x.rng.IntN(10) == 0 {
		if err := x.ch.TxRollback(); err != nil {
			return err
		}
		return x.answered(g, false)
	}
	x.l.committing(g)
	if err := x.ch.TxCommit(); err != nil {
		return err
	}
	x.held = x.held[n:]
	return x.answered(g, true)
}

// errPower says that the power is going.
var errPower = errors.New("nobody hears the answer any more")

func (x *transactions) answered(g *group, yes bool) error {
	if !x.l.decided(g, yes) {
		return errPower
	}
	return nil
}
