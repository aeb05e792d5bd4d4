package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/queue"
	"github.com/warrenmq/warren/internal/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// life is one run of a node under random work.
type life struct {
	*node

	r         *mrand.Rand
	m         *model
	pub       *broker.Publisher
	other     *broker.Publisher // another connection's
	consumers []*consumer
	err       error // what the node did wrong
	over      bool  // a fault has come out: the process would end
}

type consumer struct {
	*broker.Consumer

	q       *modelQueue
	unacked []*place
}

// Wake implements broker.Waker: the simulation looks by itself.
func (*consumer) Wake(*broker.Consumer) {}

// Carry implements broker.Waker.
func (*consumer) Carry(*broker.Consumer) {}

// Cancelled implements broker.Waker.
func (*consumer) Cancelled(*broker.Consumer) {}

// Overdue implements broker.Waker.
func (*consumer) Overdue(*broker.Consumer, []uint64) {}

func (l *life) fail(format string, a ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, a...)
	}
}

// pick returns one of the queues, nil when there is none.
func (l *life) pick() *modelQueue {
	names := slices.Sorted(maps.Keys(l.m.queues))
	if len(names) == 0 {
		return nil
	}
	return l.m.queues[names[l.r.IntN(len(names))]]
}

// act does one random thing.
func (l *life) act() {
	l.m.expire()
	q := l.pick()
	k := l.r.IntN(103)
	switch {
	case q == nil || k < 4:
		l.declare()
	case k < 5:
		l.drop(q)
	case k < 9:
		l.bind(q)
	case k < 10:
		l.role()
	case k < 50:
		l.publish()
	case k < 68:
		l.get(q)
	case k < 78:
		l.settleSome(q)
	case k < 82:
		l.returnSome(q)
	case k < 83:
		l.purge(q)
	case k < 85:
		l.consume(q)
	case k < 93:
		l.take()
	case k < 94:
		l.cancel()
	case k < 95:
		l.server.Broker().Tick()
	case k < 98:
		l.m.clock.Add(int64(l.r.IntN(200)))
		l.server.Broker().ExpireDue()
	default:
		l.transact(q)
	}
}

// stored ends the life when a definition could not be stored; resolve makes
// the model what the next start shows of it.
func (l *life) stored(err error, resolve func(s *seen)) bool {
	if err != nil {
		l.over, l.m.unsure = true, resolve
	}
	return err == nil
}

// asError makes a nil *amqp.Error a nil error.
func asError(err *amqp.Error) error {
	if err == nil {
		return nil
	}
	return err
}

func (l *life) declare() {
	name := fmt.Sprintf("q%d", l.r.IntN(5))
	add := func() {
		if l.m.queues[name] == nil {
			l.m.queues[name] = &modelQueue{name: name, byID: map[uint64]*place{}, ever: map[uint64]*place{}}
		}
	}
	_, err := l.vhost.DeclareQueue(l.actor, broker.QueueDeclare{Name: name, Durable: true, Arguments: queueArguments(name)})
	if l.stored(asError(err), func(s *seen) {
		if _, ok := s.queues[name]; ok {
			add()
		}
	}) {
		add()
	}
}

func (l *life) drop(q *modelQueue) {
	remove := func() {
		if q.name == mortal {
			l.m.dead.forget()
		}
		delete(l.m.queues, q.name)
		delete(l.m.bound, q.name)
	}
	n, err := l.vhost.DeleteQueue(l.actor, q.name, false, false)
	if !l.stored(asError(err), func(s *seen) {
		if _, ok := s.queues[q.name]; !ok {
			remove()
		} else if !s.bound[q.name] {
			l.fail("queue %s lost its binding and is still there", q.name)
		}
	}) {
		return
	}
	if want := q.count(ready); n < want || n > want && !timed(q.name) { // what expires outside of memory may still count
		l.fail("delete of %s: %d messages, want %d", q.name, n, want)
	}
	remove()
	l.consumers = slices.DeleteFunc(l.consumers, func(c *consumer) bool { return c.q == q })
}

func (l *life) bind(q *modelQueue) {
	b := broker.Binding{Source: "fan", Destination: q.name, DestinationKind: broker.KindQueue}
	want := !l.m.bound[q.name]
	do := l.vhost.Bind
	if !want {
		do = l.vhost.Unbind
	}
	set := func(bound bool) {
		if delete(l.m.bound, q.name); bound {
			l.m.bound[q.name] = true
		}
	}
	if l.stored(asError(do(l.actor, b)), func(s *seen) { set(s.bound[q.name]) }) {
		set(want)
	}
}

func (l *life) role() {
	name := fmt.Sprintf("r%d", l.r.IntN(3))
	var key string
	var err error
	if _, ok := l.m.keys[name]; ok {
		key, err = l.server.Store().ResetKey("", name, 0)
	} else {
		_, key, err = l.server.Store().CreateRole("", name, meta.RoleOptions{})
	}
	if l.stored(err, func(s *seen) {
		if k, ok := s.keys[name]; ok {
			l.m.keys[name] = k
		}
	}) {
		l.m.keys[name] = key
	}
}

// send enters one message into the publisher's batch and the model.
func (l *life) send(b *batch) {
	c := broker.Content{Exchange: "fan"}
	if q := l.pick(); q != nil && l.r.IntN(3) > 0 {
		c.Exchange, c.Key = "", q.name
	}
	if l.r.IntN(4) > 0 {
		c.Properties.DeliveryMode = 2
	}
	until := int64(0)
	if timed(c.Key) && l.r.IntN(2) == 0 {
		ttl := int64(l.r.IntN(600))
		c.Properties.Expiration = strconv.FormatInt(ttl, 10)
		until = l.m.clock.Load() + ttl
	}
	c.Properties.Priority = uint8(l.r.IntN(6))
	l.m.bodies++
	c.Body = append(binary.BigEndian.AppendUint64(nil, l.m.bodies), bytes.Repeat([]byte{byte('a' + l.m.bodies%26)}, l.r.IntN(400))...)
	m, err := broker.Compose(&c, 1<<17)
	if err != nil {
		l.fail("compose: %w", err)
		return
	}
	n, failed := l.pub.Publish(&m)
	if failed != nil {
		l.fail("publish: %w", asError(failed))
		return
	}
	image := append(append(bytes.Clone(m.Route), amqp.FrameEnd), m.Content...)
	routed := 0
	for name, q := range l.m.queues {
		if c.Exchange == "" && name == c.Key || c.Exchange == "fan" && l.m.bound[name] {
			l.m.add(q, &place{id: l.m.bodies, image: image, persistent: m.Persistent, until: until, priority: m.Priority}, b)
			routed++
		}
	}
	if n != routed {
		l.fail("a message went to %d queues, want %d", n, routed)
	}
}

// timed reports whether messages of a queue may expire: such a queue has no
// consumers, so that none is promised to one.
func timed(name string) bool { return name == "q3" || name == "q4" }

// flush appends what was published; it waits now and then.
func (l *life) flush(b *batch) {
	done := make(chan struct{})
	defer l.m.expire()
	_, logged := l.pub.Flush(func(err error) {
		if err == nil {
			l.m.confirm(b)
		}
		close(done)
	}, l.r.IntN(2) == 0)
	if want := len(b.places)+len(b.settles)+len(b.moves) > 0; logged != want {
		l.fail("logged is %t, want %t", logged, want)
	}
	if logged && (b.tx || l.r.IntN(3) == 0) {
		<-done
	}
}

func (l *life) publish() {
	b := l.m.begin()
	for range 1 + l.r.IntN(6) {
		l.send(b)
	}
	l.flush(b)
}

// transact is tx.commit: settles and publishes that stand or fall together.
func (l *life) transact(q *modelQueue) {
	b := &batch{tx: true, queues: map[*place]*modelQueue{}}
	if all := l.held(q); len(all) > 0 {
		l.settleWith(q, all[:1+l.r.IntN(len(all))], b)
	}
	if other := l.pick(); other != q && l.r.IntN(2) == 0 {
		if all := l.held(other); len(all) > 0 {
			l.settleWith(other, all[:1], b)
		}
	}
	if l.r.IntN(8) == 0 { // meanwhile others publish, and segments go
		l.pub, l.other = l.other, l.pub
		for range l.r.IntN(40) {
			l.publish()
		}
		l.pub, l.other = l.other, l.pub
		if l.r.IntN(4) == 0 {
			l.over = true // the machine stops before the transaction comes to its end
			for _, p := range b.settles {
				p.settled = nil
			}
			for _, p := range b.moves {
				p.moved = nil
			}
			return
		}
	}
	l.m.enter(b)
	for range 1 + l.r.IntN(4) {
		l.send(b)
	}
	l.flush(b)
}

func (l *life) settleWith(q *modelQueue, places []*place, b *batch) {
	bq, ok := l.vhost.Queue(q.name)
	if !ok {
		l.fail("queue %s is not there", q.name)
		return
	}
	if l.r.IntN(3) == 0 {
		l.pub.SettleWith(bq, nil, l.buried(q, places, b), true)
		return
	}
	l.pub.SettleWith(bq, nil, l.settled(q, places, b), false)
}

// settled enters settles into the model and returns their numbers.
func (l *life) settled(q *modelQueue, places []*place, b *batch) []uint64 {
	var seqs []uint64
	for _, p := range places {
		seqs = append(seqs, p.seq)
		l.m.settle(p, q, b)
	}
	return seqs
}

// buried is settled for messages that are rejected.
func (l *life) buried(q *modelQueue, places []*place, b *batch) []uint64 {
	var seqs []uint64
	for _, p := range places {
		seqs = append(seqs, p.seq)
		l.m.bury(p, q, b)
	}
	return seqs
}

// held are the messages that basic.get took and nobody has settled.
func (l *life) held(q *modelQueue) []*place {
	all := q.list(unacked)
	for _, c := range l.consumers {
		all = slices.DeleteFunc(all, func(p *place) bool { return slices.Contains(c.unacked, p) })
	}
	return all
}

// delivered holds a delivery against the model.
func (l *life) delivered(q *modelQueue, d *queue.Delivery) *place {
	id, err := identify(d)
	if err != nil {
		l.fail("queue %s: %w", q.name, err)
		return nil
	}
	p := q.byID[id]
	switch {
	case p == nil || p.state != ready:
		l.fail("queue %s: delivered message %d, which is not ready there", q.name, id)
		return nil
	case !bytes.Equal(p.image, stored(d)):
		l.fail("queue %s: message %d is %q, want %q", q.name, id, stored(d), p.image)
	case d.Tries != p.tries:
		l.fail("queue %s: message %d was tried %+v, want %+v", q.name, id, d.Tries, p.tries)
	case p.flag != d.Redelivered:
		l.fail("queue %s: message %d redelivered is %t, want %t", q.name, id, d.Redelivered, p.flag)
	case p.persistent != d.Persistent:
		l.fail("queue %s: message %d persistent is %t", q.name, id, d.Persistent)
	case !q.consumed && q.first() != p:
		l.fail("queue %s: delivered message %d before message %d", q.name, id, q.first().id)
	}
	p.state, p.seq, p.delivered = unacked, d.Seq, true
	return p
}

func (l *life) get(q *modelQueue) {
	noAck := l.r.IntN(3) == 0
	for range 1 + l.r.IntN(8) {
		_, d, _, ok, err := l.vhost.Get(l.actor, q.name, noAck, nil)
		if err != nil {
			l.fail("get: %w", asError(err))
			return
		}
		if !ok {
			if want := q.count(ready); want > 0 && !l.ends() {
				l.fail("queue %s: get finds nothing, %d messages are ready", q.name, want)
			}
			l.withheld(q, noAck)
			return
		}
		p := l.delivered(q, &d)
		if p == nil {
			return
		}
		if noAck {
			l.m.settle(p, q, l.m.begin())
		}
	}
}

// withheld is for deliveries without acknowledgement that the node took back
// because the log failed: nobody knows whether they are settled there.
func (l *life) withheld(q *modelQueue, noAck bool) {
	if !noAck || q.count(ready) == 0 || !l.ends() {
		return
	}
	b := l.m.begin()
	for _, p := range q.list(ready) {
		l.m.settle(p, q, b)
	}
}

// ends reports whether the node is ending: who waits for the log is told a
// moment before the node is, so the log is asked.
func (l *life) ends() bool {
	done := make(chan error, 1)
	l.store.Append(broker.Batch{}, func(err error) { done <- err })
	l.over = l.over || <-done != nil || l.ended.Load()
	return l.over
}

// some picks a random part of messages in any order.
func (l *life) some(all []*place) []*place {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	l.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+l.r.IntN(len(all))]
}

// holder picks who settles or returns: a consumer of q, or basic.get.
func (l *life) holder(q *modelQueue) (*consumer, []*place) {
	for _, c := range l.consumers {
		if c.q == q && len(c.unacked) > 0 && l.r.IntN(2) == 0 {
			return c, l.some(c.unacked)
		}
	}
	return nil, l.some(l.held(q))
}

func (l *life) settleSome(q *modelQueue) {
	c, places := l.holder(q)
	bq, ok := l.vhost.Queue(q.name)
	if !ok || len(places) == 0 {
		return
	}
	if l.r.IntN(3) == 0 {
		seqs := l.buried(q, places, l.m.begin())
		bq.Reject(c.forget(places), seqs)
		return
	}
	seqs := l.settled(q, places, l.m.begin())
	bq.Settle(c.forget(places), seqs)
}

// forget takes messages off a consumer's list and returns it as the broker
// knows it.
func (c *consumer) forget(places []*place) *broker.Consumer {
	if c == nil {
		return nil
	}
	c.unacked = slices.DeleteFunc(c.unacked, func(p *place) bool { return slices.Contains(places, p) })
	return c.Consumer
}

func (l *life) returnSome(q *modelQueue) {
	c, places := l.holder(q)
	l.giveBack(q, c, places)
}

func (l *life) giveBack(q *modelQueue, c *consumer, places []*place) {
	bq, ok := l.vhost.Queue(q.name)
	if !ok || len(places) == 0 {
		return
	}
	var seqs []uint64
	failed := l.r.IntN(2) == 0
	for _, p := range places {
		seqs = append(seqs, p.seq)
		l.m.back(p, q, failed)
	}
	if failed {
		bq.Fail(c.forget(places), seqs)
	} else {
		bq.Return(c.forget(places), seqs)
	}
	l.m.expire()
}

func (l *life) purge(q *modelQueue) {
	b := l.m.begin()
	if q.name == mortal {
		l.m.dead.forget()
	}
	want := q.list(ready)
	n, err := l.vhost.Purge(l.actor, q.name)
	if n > len(want) {
		q.purgeExpired()
	}
	if err != nil || n < len(want) || n > len(want) && !timed(q.name) {
		l.fail("purge of %s: %d messages, want %d (%v)", q.name, n, len(want), asError(err))
	}
	for _, p := range want {
		l.m.settle(p, q, b)
	}
}

func (l *life) consume(q *modelQueue) {
	if len(l.consumers) > 3 || timed(q.name) {
		return
	}
	c := &consumer{q: q, Consumer: &broker.Consumer{Tag: "c", Prefetch: l.r.IntN(12), NoAck: l.r.IntN(4) == 0}}
	if err := l.vhost.Consume(l.actor, q.name, c.Consumer, c); err != nil {
		l.fail("consume: %w", asError(err))
		return
	}
	q.consumed = true
	l.consumers = append(l.consumers, c)
}

func (l *life) take() {
	if len(l.consumers) == 0 {
		return
	}
	c := l.consumers[l.r.IntN(len(l.consumers))]
	before := c.q.count(ready)
	for _, d := range c.Take(1+l.r.IntN(20), 1+l.r.IntN(4000), nil) {
		p := l.delivered(c.q, &d)
		if p == nil {
			return
		}
		if c.NoAck {
			l.m.settle(p, c.q, l.m.begin())
		} else {
			c.unacked = append(c.unacked, p)
		}
	}
	if before == c.q.count(ready) {
		l.withheld(c.q, c.NoAck)
	}
}

// cancel ends a consumer; what it held goes back.
func (l *life) cancel() {
	if len(l.consumers) == 0 {
		return
	}
	c := l.consumers[0]
	l.vhost.Cancel(c.Consumer)
	l.giveBack(c.q, c, slices.Clone(c.unacked))
	l.consumers = l.consumers[1:]
}

// check opens a copy of the disk and holds what is there against the model.
func check(fs *vfs.Mem, segment int64, m *model, graceful bool) error {
	n, err := open(fs.Clone(), segment, 1<<13, m.now)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	s, err := n.look()
	if err = errors.Join(err, n.close()); err != nil {
		return err
	}
	if len(n.report.Damaged) > 0 {
		return fmt.Errorf("damage without a cause: %v", n.report.Damaged)
	}
	if err := m.crowd.recover(s.queues[crowded], graceful); err != nil {
		return fmt.Errorf("the crowd: %w", err)
	}
	delete(s.queues, crowded)
	return m.recover(s, graceful)
}

// simulate runs one seed: lives with random work, faults and crashes.
func simulate(seed uint64) error {
	r := mrand.New(mrand.NewPCG(seed, 2))
	fs, m := first().Clone(), newModel()
	segment := int64(700 + r.IntN(3000))
	graceful := true
	for n := range 2 + r.IntN(3) {
		if err := check(fs, segment, m, graceful); err != nil {
			return fmt.Errorf("start of life %d: %w", n, err)
		}
		nd, err := open(fs, segment, 1<<(10+r.IntN(6)), m.now)
		if err != nil {
			return fmt.Errorf("life %d: %w", n, err)
		}
		l := &life{node: nd, r: r, m: m, pub: nd.vhost.NewPublisher(), other: nd.vhost.NewPublisher()}
		f := fault(r)
		fs.SetFault(f)
		if r.IntN(6) == 0 {
			m.crowd.start(nd)
		}
		for range 20 + r.IntN(160) {
			if l.act(); l.err != nil || l.over || l.ended.Load() {
				break
			}
		}
		if f == nil && nd.ended.Load() {
			l.fail("the node ended by itself without a fault: %v", *nd.why.Load())
		}
		crash := r.IntN(3) > 0 || l.over
		if crash {
			next := fs.Crash(r)
			m.crowd.end()
			_ = nd.close() // the process of the machine that has crashed
			fs = next
		}
		for !crash { // a graceful end
			for len(l.consumers) > 0 {
				l.cancel()
			}
			m.crowd.end()
			err := nd.close()
			if err != nil && f == nil {
				return fmt.Errorf("life %d: close: %w", n, err)
			}
			if crash = l.over || l.ended.Load() || err != nil; r.IntN(2) == 0 || crash {
				fs = fs.Crash(r)
			} else {
				fs = fs.Clone()
			}
			break
		}
		graceful = !crash
		if l.err != nil {
			return fmt.Errorf("life %d: %w", n, l.err)
		}
	}
	return check(fs, segment, m, graceful)
}

// TestSimulation runs seeds from SEED on (default 1), COUNT of them. A seed
// that fails is run again with SEED=n COUNT=1.
func TestSimulation(t *testing.T) {
	t.Parallel()
	from, count := uint64(1), 2000
	if raceEnabled {
		count /= 10
	}
	if s := os.Getenv("SEED"); s != "" {
		from, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("COUNT"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	if testing.Short() {
		count = min(count, 200)
	}
	first()
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	begun := time.Now()
	for range 12 {
		wg.Go(func() {
			for seed := range seeds {
				if err := simulate(seed); err != nil {
					t.Errorf("seed %d: %v (run it again with SEED=%d COUNT=1 go test -run Simulation ./internal/storage)", seed, err, seed)
				}
			}
		})
	}
	for i := range count {
		seeds <- from + uint64(i)
	}
	close(seeds)
	wg.Wait()
	t.Logf("%d seeds in %v", count, time.Since(begun).Round(time.Millisecond))
}
