package broker

import (
	"time"

	"github.com/warrenmq/warren/internal/latency"
)

// latencyWindow is how often, in seconds, latencies of long ago are forgotten:
// quantiles are of the last one to two windows.
const latencyWindow = 60

// queueLatency is how long a queue's messages took: until they were in it (see
// [Sampled]), and from delivery to acknowledgement. A queue has none before the
// first sample. Everything in it is atomic: sessions and the journal's committer
// add, the tick rotates, who asks reads.
type queueLatency struct{ published, acked latency.Series }

// took returns where the queue's samples go.
func (q *Queue) took() *queueLatency {
	for {
		if l := q.latency.Load(); l != nil {
			return l
		}
		q.latency.CompareAndSwap(nil, new(queueLatency))
	}
}

// Latency adds what is known of the queue's latencies to summaries, if they are
// not nil; false: nothing is.
func (q *Queue) Latency(published, acked *latency.Summary) bool {
	l := q.latency.Load()
	if l == nil {
		return false
	}
	if published != nil {
		published.Read(&l.published)
	}
	if acked != nil {
		acked.Read(&l.acked)
	}
	return true
}

// Latency adds to a summary how long publishing through the exchange took.
func (x *Exchange) Latency(m *latency.Summary) { m.Read(&x.counts.latency) }

// Latency adds what is known of all queues of the vhost, those that are gone
// included: a message counts once, however many queues took it.
func (v *Vhost) Latency(published, acked *latency.Summary) {
	published.Read(&v.counts.published)
	acked.Read(&v.counts.acked)
}

// AckedAfter counts n messages of the vhost's queue q that were acknowledged d
// after their delivery.
func (v *Vhost) AckedAfter(q *Queue, d time.Duration, n int) {
	q.took().acked.Add(d, n)
	v.counts.acked.Add(d, n)
}

// Sampled is where the messages of one batch went, for who knows how long they
// took to get there. Of several exchanges it is the last one.
type Sampled struct {
	vhost    *VhostCounts
	exchange *exchangeCounts
	messages int // of the exchange
	queues   []sampledQueue
}

type sampledQueue struct {
	queue    *Queue
	messages int
}

// Sample makes the next Flush note where it brings its messages.
func (p *Publisher) Sample() *Sampled {
	p.sampled = &Sampled{vhost: p.vhost.counts}
	return p.sampled
}

// publishedTo notes the exchange of the batch.
func (s *Sampled) publishedTo(t *tally) {
	if s != nil {
		s.exchange, s.messages = t.x, int(t.in) //nolint:gosec // of a batch
	}
}

// entered notes what a queue took.
func (s *Sampled) entered(q *Queue, n int) {
	if s != nil && n > 0 {
		s.queues = append(s.queues, sampledQueue{q, n})
	}
}

// Took says how long the batch took. It is called once, after Flush.
func (s *Sampled) Took(d time.Duration) {
	if s == nil || s.exchange == nil {
		return
	}
	s.exchange.latency.Add(d, s.messages)
	s.vhost.published.Add(d, s.messages)
	for _, q := range s.queues {
		q.queue.took().published.Add(d, q.messages)
	}
}

// rotate lets the vhost's latencies be those of the last minutes.
func (v *Vhost) rotate() {
	v.counts.published.Rotate()
	v.counts.acked.Rotate()
	top := v.top.Load()
	for _, x := range top.exchanges.All() {
		x.counts.latency.Rotate()
	}
	for _, q := range top.queues.All() {
		if l := q.latency.Load(); l != nil {
			l.published.Rotate()
			l.acked.Rotate()
		}
	}
}
