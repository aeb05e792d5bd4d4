package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// idle holds connections and reports what they cost.
func idle(ctx context.Context, name string, o *Options) (*Result, error) {
	if o.Count == 0 || o.Time == 0 {
		return nil, &InvalidError{errors.New("idle needs --connections, how many to hold, and --time, how long")}
	}
	l, err := newLoad(o, topology{queues: o.queueNames()})
	if err != nil {
		return nil, err
	}
	if err := l.declare(ctx, l.to); err != nil {
		return nil, err
	}
	r, err := l.hold(ctx, name)
	return r, errors.Join(err, l.remove(ctx, l.to))
}

// hold opens the connections, waits, and closes them, which shows that they lived.
func (l *load) hold(ctx context.Context, name string) (*Result, error) {
	before, err := l.sample()
	if err != nil {
		return nil, err
	}
	conns := make([]*conn, l.options.Count)
	holding, cancel := context.WithCancel(ctx) // closes what is open when something fails
	defer cancel()
	err = l.each(holding, len(conns), func(ctx context.Context, i int) error {
		c, err := dial(ctx, l.to, idleBuffer)
		if err != nil {
			return err
		}
		// The connection outlives the crew that opened it.
		c.detach()
		conns[i] = c
		return (&consumer{conn: c}).start(l.queues[i%len(l.queues)], 0)
	})
	stop := context.AfterFunc(holding, func() { dropAll(conns) })
	if err != nil {
		return nil, err
	}
	opened, err := l.sample()
	if err != nil {
		return nil, err
	}
	l.clock.wait(ctx, opened.at+int64(l.options.Time))
	held, err := l.sample()
	if err != nil {
		return nil, err
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	stop()
	err = l.each(ctx, len(conns), func(_ context.Context, i int) error { return conns[i].close() })
	if err != nil {
		dropAll(conns)
		return nil, err
	}
	return l.reportIdle(name, before, opened, held), nil
}

// idleBuffer is the read buffer of a connection that only waits.
const idleBuffer = 512

// each calls f for 0 … n-1, --concurrency at a time, until one fails.
func (l *load) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	crew, running := newCrew(ctx)
	var next atomic.Int64
	for range max(1, l.options.Concurrency) {
		crew.run(func() error {
			for i := int(next.Add(1)) - 1; i < n && running.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(running, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return crew.wait(running)
}

func dropAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			c.drop()
		}
	}
}

func (l *load) reportIdle(name string, before, opened, held sample) *Result {
	r := &Result{Scenario: name, Target: l.to.addr}
	n := float64(l.options.Count)
	opening := float64(opened.at-before.at) / float64(time.Second)
	r.add("connections_total", "", n)
	r.add("opened", "1/s", n/opening)
	if l.broker == 0 {
		return r
	}
	const kib, mib = 1 << 10, 1 << 20
	r.add("broker_cpu_per_connection", "µs", float64(opened.broker.cpu-before.broker.cpu)/float64(time.Microsecond)/n)
	r.add("broker_rss_before", "MiB", float64(before.broker.rss)/mib)
	r.add("broker_rss", "MiB", float64(held.broker.rss)/mib)
	r.add("broker_rss_per_connection", "KiB", float64(held.broker.rss-before.broker.rss)/kib/n)
	r.add("broker_idle_cpu", "cores", (held.broker.cpu-opened.broker.cpu).Seconds()*float64(time.Second)/float64(held.at-opened.at))
	return r
}
