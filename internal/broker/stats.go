package broker

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/warrenmq/warren/internal/history"
	"github.com/warrenmq/warren/internal/latency"
	"github.com/warrenmq/warren/internal/queue"
)

// QueueStats are counters of messages, of a queue since it was made or of
// several.
type QueueStats struct {
	Published uint64
	Deliveries
}

// Add adds the counters of another object.
func (s *QueueStats) Add(o *QueueStats) {
	s.Published += o.Published
	s.Deliveries.Add(&o.Deliveries)
}

func (q *Queue) gotNothing() {
	q.mu.Lock()
	q.stats.GetEmpty++
	q.mu.Unlock()
}

// queueCounts are a queue's counters and what they were.
type queueCounts struct {
	QueueStats
	history history.Ring[QueueSample]
}

// QueueSample is what is kept of a queue, or of all queues of a vhost, every
// few seconds.
type QueueSample struct {
	QueueStats
	Ready, Unacked, Consumers int
	Bytes                     int64
}

// Add adds another queue.
func (s *QueueSample) Add(o *QueueSample) {
	s.QueueStats.Add(&o.QueueStats)
	s.Ready += o.Ready
	s.Unacked += o.Unacked
	s.Consumers += o.Consumers
	s.Bytes += o.Bytes
}

// sample is the queue now; q.mu is held.
func (q *Queue) sample() QueueSample {
	return QueueSample{
		QueueStats: q.stats.QueueStats, Ready: q.state.Ready(), Unacked: q.state.Unacked(), Consumers: q.state.Consumers(),
		Bytes: q.state.BodyBytes(),
	}
}

// QueueView is what can be seen of a queue at one moment.
type QueueView struct {
	QueueSample

	// ReadyBytes is of bodies, as QueueSample.Bytes; the others are of all that
	// a message takes: MemoryBytes of all, PersistentBytes of those that the Log
	// keeps, HotBytes of those that are in memory.
	ReadyBytes, MemoryBytes, PersistentBytes, HotBytes int64
	// Owner is the connection of an exclusive queue, 0 of others.
	Owner uint64
	// Exclusive and Single are the tags of the exclusive consumer and of the
	// single active one, if there are any.
	Exclusive, Single string
	List              []ConsumerView
	History           []history.Sample[QueueSample]
}

// View returns what can be seen of the queue.
func (q *Queue) View() QueueView {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.view()
	for _, c := range q.state.All() {
		if owner, ok := c.Owner.(*Consumer); ok {
			w.List = append(w.List, owner.view())
		}
	}
	return w
}

// Glance is View without the consumers.
func (q *Queue) Glance() QueueView {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.view()
}

// depth is how many messages a queue has, for who cannot wait for its lock: flow
// control, and lists of many queues. It is set at the end of each step.
type depth struct{ ready, unacked atomic.Int64 }

func (d *depth) set(ready, unacked int) {
	d.ready.Store(int64(ready))
	if n := int64(unacked); d.unacked.Load() != n { // a store is dear
		d.unacked.Store(n)
	}
}

// Unacked returns the number of messages that are delivered and not settled.
func (q *Queue) Unacked() int { return int(q.depth.unacked.Load()) }

// Rate is by how much a part of what is sampled changed a second.
func (q *Queue) Rate(part func(*QueueSample) float64) float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats.history.Rate(part)
}

// Sample returns the counters alone.
func (q *Queue) Sample() QueueSample {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sample()
}

// view is called under q.mu.
func (q *Queue) view() QueueView {
	w := QueueView{
		QueueSample: q.sample(), ReadyBytes: q.state.ReadyBodyBytes(), MemoryBytes: q.state.Bytes(), PersistentBytes: q.state.PersistentBytes(),
		HotBytes: q.state.HotBytes(), Owner: q.owner, History: q.stats.history.Samples(),
	}
	if q.exclusive != nil {
		w.Exclusive = q.exclusive.Tag
	}
	if q.settings.SingleActive {
		if active := q.state.Active(); active != nil {
			if owner, ok := active.Owner.(*Consumer); ok {
				w.Single = owner.Tag
			}
		}
	}
	return w
}

// Portion returns how much of n belongs to those of the messages that take this
// much of MemoryBytes.
func (w *QueueView) Portion(n, bytes int64) int64 {
	if w.MemoryBytes <= 0 || bytes >= w.MemoryBytes {
		return n
	}
	return int64(float64(n)*float64(bytes)/float64(w.MemoryBytes) + 0.5)
}

// ExchangeStats are an exchange's counters: messages that clients published to
// it, and how many places in queues they got.
type ExchangeStats struct{ In, Out uint64 }

// exchangeCounts are shared by all versions of an exchange.
type exchangeCounts struct {
	in, out atomic.Uint64
	latency latency.Series // of publishing

	mu      sync.Mutex // guards what follows; publishing does not take it
	history history.Ring[ExchangeStats]
}

func (c *exchangeCounts) stats() ExchangeStats { return ExchangeStats{c.in.Load(), c.out.Load()} }

// Stats returns the exchange's counters and what they were.
func (x *Exchange) Stats() (ExchangeStats, []history.Sample[ExchangeStats]) {
	x.counts.mu.Lock()
	defer x.counts.mu.Unlock()
	return x.counts.stats(), x.counts.history.Samples()
}

// VhostCounts count what happens in a vhost. They are written once a batch.
type VhostCounts struct {
	// Received came from clients; Routed of them to at least one queue, the
	// others are Unroutable.
	Received, Routed, Unroutable atomic.Uint64
	// Confirmed and Returned are of clients' publishes.
	Confirmed, Returned                          atomic.Uint64
	QueuesDeclared, QueuesCreated, QueuesDeleted atomic.Uint64
	dead                                         [reasons]atomic.Uint64
	published, acked                             latency.Series // of all queues, as queueLatency

	mu      sync.Mutex // guards what follows
	past    QueueStats // of queues that are gone
	history history.Ring[VhostSample]
}

// VhostSample is what is kept of a vhost every few seconds: the sum of its
// queues, those that are gone included, and what its clients were told.
// Published counts a message once, however many queues took it.
type VhostSample struct {
	QueueSample
	Confirmed, Returned, Dropped uint64
}

// Add adds another vhost.
func (s *VhostSample) Add(o *VhostSample) {
	s.QueueSample.Add(&o.QueueSample)
	s.Confirmed += o.Confirmed
	s.Returned += o.Returned
	s.Dropped += o.Dropped
}

// reasons is how many reasons of dying there are.
const reasons = 8

// died counts a dead letter.
func (c *VhostCounts) died(r queue.Reason) {
	if int(r) < reasons {
		c.dead[r].Add(1)
	}
}

// Dead returns how many messages died for a reason and were to be published
// again.
func (c *VhostCounts) Dead(r queue.Reason) uint64 {
	if int(r) >= reasons {
		return 0
	}
	return c.dead[r].Load()
}

// leave takes over the counters of a queue that is gone.
func (c *VhostCounts) leave(s *QueueStats) {
	c.mu.Lock()
	c.past.Add(s)
	c.mu.Unlock()
}

// Counts returns the vhost's counters.
func (v *Vhost) Counts() *VhostCounts { return v.counts }

// Totals returns what the vhost is now, and what it was.
func (v *Vhost) Totals() (VhostSample, []history.Sample[VhostSample]) {
	var sum VhostSample
	for _, q := range v.top.Load().queues.All() {
		s := q.Sample()
		sum.QueueSample.Add(&s)
	}
	c := v.counts
	sum.Confirmed, sum.Returned = c.Confirmed.Load(), c.Returned.Load()
	if unroutable := c.Unroutable.Load(); unroutable > sum.Returned {
		sum.Dropped = unroutable - sum.Returned
	}
	v.counts.mu.Lock()
	defer v.counts.mu.Unlock()
	sum.QueueStats.Add(&v.counts.past)
	sum.Published = v.counts.Received.Load()
	return sum, v.counts.history.Samples()
}

// tick lets the vhost's queues do what may wait, and samples everything when
// sample is not 0.
func (v *Vhost) tick(sample int64) {
	for _, q := range v.stores() {
		q.tick(sample)
	}
	if sample == 0 {
		return
	}
	for _, x := range v.top.Load().exchanges.All() {
		x.counts.mu.Lock()
		x.counts.history.Add(sample, x.counts.stats())
		x.counts.mu.Unlock()
	}
	sum, _ := v.Totals()
	v.counts.mu.Lock()
	v.counts.history.Add(sample, sum)
	v.counts.mu.Unlock()
}

// tally gathers what a publisher counts until its batch ends.
type tally struct {
	x                   *exchangeCounts
	in, out, unroutable uint64
}

// count counts messages that went to n places each.
func (p *Publisher) count(n, messages int) {
	t := &p.tally
	if t.x != p.from.counts {
		t.settle(p.vhost.counts)
		t.x = p.from.counts
	}
	t.in += uint64(messages)      //nolint:gosec // not negative
	t.out += uint64(n * messages) //nolint:gosec // not negative
	if n == 0 {
		t.unroutable += uint64(messages) //nolint:gosec // not negative
	}
}

// settle enters what was gathered into the counters that others read.
func (t *tally) settle(c *VhostCounts) {
	if t.in == 0 {
		return
	}
	t.x.in.Add(t.in)
	c.Received.Add(t.in)
	if t.out > 0 {
		t.x.out.Add(t.out)
		c.Routed.Add(t.in - t.unroutable)
	}
	if t.unroutable > 0 {
		c.Unroutable.Add(t.unroutable)
	}
	*t = tally{x: t.x}
}

// QueueCount and ExchangeCount return how many there are.
func (v *Vhost) QueueCount() int { return v.top.Load().queues.Len() }

// ExchangeCount is QueueCount for exchanges.
func (v *Vhost) ExchangeCount() int { return v.top.Load().exchanges.Len() }

// EachQueue yields the queues, in no order.
func (v *Vhost) EachQueue() iter.Seq[*Queue] {
	return func(yield func(*Queue) bool) {
		for _, q := range v.top.Load().queues.All() {
			if !yield(q) {
				return
			}
		}
	}
}

// PastQueues returns the counters of queues that are gone.
func (v *Vhost) PastQueues() QueueStats {
	v.counts.mu.Lock()
	defer v.counts.mu.Unlock()
	return v.counts.past
}

// Measure is Glance without what the queue was.
func (q *Queue) Measure() QueueView {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueView{
		QueueSample: q.sample(), ReadyBytes: q.state.ReadyBodyBytes(), MemoryBytes: q.state.Bytes(), PersistentBytes: q.state.PersistentBytes(),
		HotBytes: q.state.HotBytes(),
	}
}
