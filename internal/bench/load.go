package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// load is producers and consumers at work on a topology.
type load struct {
	options *Options
	to      target
	broker  process
	clock   clock
	topology

	producers []*producer
	consumers []*consumer
	latencies bool // measure them, at a fixed rate

	start, from, until int64 // of the clock: publishing begins; what is measured begins and ends
}

// sample is what is counted at a moment.
type sample struct {
	at                                      int64
	published, delivered, confirmed, nacked int64
	broker                                  usage
	client                                  time.Duration
}

// newLoad takes what the options say; the topology is the scenario's.
func newLoad(o *Options, t topology) (*load, error) {
	to, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Consumers > 0 && o.Consumers < len(t.queues) {
		return nil, &InvalidError{fmt.Errorf("%d consumers cannot empty %d queues: raise --consumers, or make it 0", o.Consumers, len(t.queues))}
	}
	t.args, err = o.queueArgs()
	t.ours = o.ours()
	return &load{options: o, to: to, broker: process(o.PID), clock: newClock(), topology: t}, err
}

// run declares, measures, drains and deletes. It returns samples of the start and the end of what
// is measured, and one of the very end, when everything published was delivered or there was no
// more time.
func (l *load) run(ctx context.Context) (a, b, end sample, err error) {
	if err = l.declare(ctx, l.to); err != nil {
		return a, b, end, err
	}
	crew, running := newCrew(ctx)
	a, b, end, err = l.work(running, crew)
	if err != nil {
		crew.cancel(err)
	}
	// A failure of one of the crew says more than what came of it.
	if first := crew.wait(running); first != nil {
		err = first
	}
	if !l.options.Keep || err != nil {
		err = errors.Join(err, l.remove(ctx, l.to))
	}
	return a, b, end, err
}

func (l *load) work(ctx context.Context, crew *crew) (a, b, end sample, err error) {
	if err = l.connect(ctx); err != nil {
		return a, b, end, err
	}
	for _, c := range l.consumers {
		crew.run(c.run)
	}
	l.plan()
	if a, err = l.sample(); err != nil { // with a count, all is measured
		return a, b, end, err
	}
	finished := make(chan struct{}) // by the producers
	left := atomic.Int64{}
	left.Store(int64(len(l.producers)))
	for _, p := range l.producers {
		crew.run(func() error {
			err := p.run()
			if left.Add(-1) == 0 {
				close(finished)
			}
			return err
		})
	}
	if l.options.Count == 0 {
		a, b, err = l.measure(ctx)
	}
	if err == nil {
		end, err = l.drain(ctx, finished)
	}
	if l.options.Count > 0 {
		b = end
	}
	for _, c := range l.consumers {
		c.stop()
	}
	for _, p := range l.producers {
		p.hurry()
	}
	return a, b, end, err
}

// connect opens all connections, the consumers' first.
func (l *load) connect(ctx context.Context) error {
	if err := l.connectConsumers(ctx); err != nil {
		return err
	}
	for i := range l.producerCount() {
		p, err := l.newProducer(ctx, i)
		if err != nil {
			return err
		}
		l.producers = append(l.producers, p)
	}
	return nil
}

func (l *load) connectConsumers(ctx context.Context) error {
	o := l.options
	buffer := readBuffer(o.Consumers)
	for i := range o.Consumers {
		conn, err := dial(ctx, l.to, buffer)
		if err != nil {
			return err
		}
		c := &consumer{conn: conn, clock: l.clock}
		if !o.AutoAck {
			c.every = int64(o.MultiAckEvery)
		}
		if l.latencies {
			c.measured, c.latency = l.measured, newHistogram()
		}
		if err := c.start(l.queues[i%len(l.queues)], o.Qos); err != nil {
			return err
		}
		l.consumers = append(l.consumers, c)
	}
	return nil
}

func (l *load) newProducer(ctx context.Context, i int) (*producer, error) {
	o := l.options
	conn, err := dial(ctx, l.to, smallBuffer)
	if err != nil {
		return nil, err
	}
	p := &producer{
		conn: conn, ring: newRing(o, l.exchange, l.keys(i), conn.frameMax), limit: int64(o.Count), window: int64(o.Confirm),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if p.window > 0 {
		err = conn.confirmSelect()
	}
	if l.latencies {
		p.measured, p.lag = l.measured, newHistogram()
		if p.window > 0 {
			p.latency = newHistogram()
		}
	}
	return p, err
}

// producerCount is how many producers there are: as said, or one a queue.
func (l *load) producerCount() int {
	if l.options.Producers == 0 {
		return len(l.queues)
	}
	return l.options.Producers
}

// readBuffer is the size of a consumer's buffer: large, unless there are many.
func readBuffer(consumers int) int {
	const most, all, least = 256 << 10, 32 << 20, 16 << 10
	return max(least, min(most, all/max(consumers, 1)))
}

// plan fixes when what happens.
func (l *load) plan() {
	o := l.options
	l.start = l.clock.now() + int64(time.Millisecond)
	l.from = l.start + int64(o.Warm)
	l.until = l.from + int64(o.Time)
	if o.Count > 0 {
		l.from, l.until = l.start, math.MaxInt64
	}
	if o.Rate == 0 {
		return
	}
	interval := float64(time.Second) / o.Rate
	for i, p := range l.producers {
		apart := interval * float64(i) / float64(len(l.producers))
		p.paced = &pacer{clock: l.clock, start: l.start + int64(apart), interval: interval}
		switch {
		case !l.latencies:
			p.paced.least = gather
		case o.Count == 0:
			p.until = l.until
		}
	}
}

// measured reports whether a message that is due then belongs to the latencies.
func (l *load) measured(due int64) bool { return due >= l.from && due < l.until }

// measure waits for the time that is measured to begin and to end.
func (l *load) measure(ctx context.Context) (a, b sample, err error) {
	l.clock.wait(ctx, l.from)
	if a, err = l.sample(); err != nil {
		return a, b, err
	}
	until := l.until
	if !l.latencies { // whose messages are due until then; else a late start may end later
		until = a.at + int64(l.options.Time)
	}
	l.clock.wait(ctx, until)
	if err = context.Cause(ctx); err != nil {
		return a, b, err
	}
	b, err = l.sample()
	return a, b, err
}

// drain ends the producers and waits until everything is delivered, as long as there is time. What
// it returns was counted when the last delivery came.
func (l *load) drain(ctx context.Context, finished <-chan struct{}) (sample, error) {
	if l.options.Count > 0 {
		select {
		case <-finished:
		case <-ctx.Done():
		}
	} else if !l.latencies { // there every message that is due before the end is sent
		for _, p := range l.producers {
			p.stop()
		}
	}
	over := l.clock.now() + int64(l.options.Grace)
	for l.clock.now() < over && ctx.Err() == nil {
		select {
		case <-finished:
			s, err := l.sample()
			if err != nil || len(l.consumers) == 0 || s.delivered >= l.expected(s) {
				if len(l.consumers) > 0 {
					s.at = l.lastDelivery()
				}
				return s, err
			}
		default:
		}
		l.clock.wait(ctx, l.clock.now()+int64(time.Millisecond))
	}
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	return l.sample()
}

// lastDelivery is when the last delivery came.
func (l *load) lastDelivery() (at int64) {
	for _, c := range l.consumers {
		at = max(at, c.last.Load())
	}
	return at
}

// expected is how many deliveries what was published makes.
func (l *load) expected(s sample) int64 {
	if len(l.consumers) == 0 {
		return 0
	}
	return (s.published - s.nacked) * l.copies()
}

// sample counts.
func (l *load) sample() (s sample, err error) {
	if s.broker, err = l.broker.usage(); err != nil {
		return s, err
	}
	s.client, s.at = ownCPU(), l.clock.now()
	// Deliveries first: so no count can be ahead of what it follows from.
	for _, c := range l.consumers {
		s.delivered += c.delivered.Load()
	}
	for _, p := range l.producers {
		s.confirmed += p.confirmed.Load()
		s.nacked += p.nacked.Load()
	}
	for _, p := range l.producers {
		s.published += p.published.Load()
	}
	return s, nil
}

// report turns samples into a result.
func (l *load) report(scenario string, a, b, end sample) *Result {
	r := &Result{Scenario: scenario, Target: l.to.addr}
	seconds := float64(b.at-a.at) / float64(time.Second)
	published, delivered := float64(b.published-a.published), float64(b.delivered-a.delivered)
	r.add("measured", "s", seconds)
	r.add("published", "msg/s", published/seconds)
	messages, carried := published, published
	if len(l.consumers) > 0 {
		r.add("delivered", "msg/s", delivered/seconds)
		carried = delivered
		if messages = (published + delivered) / 2; l.copies() > 1 {
			messages = delivered
		}
	}
	if l.options.Confirm > 0 {
		r.add("confirmed", "msg/s", float64(b.confirmed-a.confirmed)/seconds)
	}
	r.add("payload", "MB/s", carried*float64(l.options.Size)/1e6/seconds)
	reportUsage(r, l.broker, a, b, messages, "message")
	l.reportLatencies(r)
	l.reportTotals(r, end)
	return r
}

// reportTotals adds what was counted from the first message to the last, warming up included.
func (l *load) reportTotals(r *Result, end sample) {
	r.add("published_total", "", float64(end.published))
	if len(l.consumers) > 0 {
		r.add("delivered_total", "", float64(end.delivered))
		r.add("undelivered_total", "", float64(max(0, l.expected(end)-end.delivered)))
	}
	if l.options.Confirm > 0 {
		r.add("confirmed_total", "", float64(end.confirmed))
		r.add("refused_total", "", float64(end.nacked))
	}
	blocked, cut := 0, 0
	for _, p := range l.producers {
		if p.blocked.Load() {
			blocked++
		}
		if p.cut {
			cut++
		}
	}
	if blocked > 0 {
		r.add("blocked_producers", "", float64(blocked))
	}
	if cut > 0 {
		r.add("cut_producers", "", float64(cut))
	}
}

// reportLatencies adds the percentiles, of all connections together.
func (l *load) reportLatencies(r *Result) {
	if !l.latencies {
		return
	}
	delivery, confirm, lag := newHistogram(), newHistogram(), newHistogram()
	for _, c := range l.consumers {
		delivery.merge(c.latency)
	}
	unsent := int64(0)
	for _, p := range l.producers {
		lag.merge(p.lag)
		if p.latency != nil {
			confirm.merge(p.latency)
		}
		if p.until > 0 {
			unsent += max(0, int64(float64(p.until-p.paced.start)/p.paced.interval)-p.published.Load())
		}
	}
	if len(l.consumers) > 0 {
		delivery.metrics(r, "delivery_latency")
	}
	if l.options.Confirm > 0 {
		confirm.metrics(r, "confirm_latency")
	}
	lag.metrics(r, "send_lag")
	r.add("unsent_total", "", float64(unsent))
}

// reportUsage adds CPU time, a piece and in cores, and memory.
func reportUsage(r *Result, broker process, a, b sample, pieces float64, piece string) {
	seconds := float64(b.at-a.at) / float64(time.Second)
	client := b.client - a.client
	if broker != 0 {
		used := b.broker.cpu - a.broker.cpu
		if pieces > 0 {
			r.add("broker_cpu_per_"+piece, "µs", float64(used)/float64(time.Microsecond)/pieces)
		}
		r.add("broker_cpu", "cores", used.Seconds()/seconds)
	}
	if pieces > 0 {
		r.add("client_cpu_per_"+piece, "µs", float64(client)/float64(time.Microsecond)/pieces)
	}
	r.add("client_cpu", "cores", client.Seconds()/seconds)
	if broker != 0 {
		r.add("broker_rss", "MiB", float64(b.broker.rss)/(1<<20))
	}
}
