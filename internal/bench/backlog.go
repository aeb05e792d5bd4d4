package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// backlogQueue is the queue of backlog and drain. Others leave it alone, so that a kept one stays.
const backlogQueue = "warren-bench-backlog"

// backlogLoad is a load on the one queue of backlog and drain.
func backlogLoad(o *Options) (*load, error) {
	given := *o
	if given.Queue == "" {
		given.Queue = backlogQueue
	}
	l, err := newLoad(&given, topology{queues: given.queueNames()})
	if err != nil {
		return nil, err
	}
	l.ours = o.Queue == ""
	return l, nil
}

// backlog fills a queue and empties it.
func backlog(ctx context.Context, name string, o *Options) (*Result, error) {
	if o.Count == 0 {
		return nil, &InvalidError{errors.New("backlog needs --pmessages, how many messages to publish")}
	}
	l, err := backlogLoad(o)
	if err != nil {
		return nil, err
	}
	before, err := l.sample()
	if err != nil {
		return nil, err
	}
	l.options.Consumers, l.options.Keep, l.options.Producers = 0, true, max(1, o.Producers)
	a, _, end, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.filled(ctx, name, before, a, end)
	if err == nil && !o.Keep {
		err = l.empty(ctx, r, o)
	}
	if err != nil {
		return nil, errors.Join(err, l.remove(ctx, l.to))
	}
	return r, nil
}

// filled waits until the queue holds what was published and reports.
func (l *load) filled(ctx context.Context, name string, before, a, end sample) (*Result, error) {
	c, err := dial(ctx, l.to, smallBuffer)
	if err != nil {
		return nil, err
	}
	defer c.drop()
	var depth int64
	for over := l.clock.now() + int64(l.options.Grace); ; {
		if depth, err = c.depth(l.queues[0]); err != nil {
			return nil, err
		}
		if depth >= end.published-end.nacked || l.clock.now() > over {
			break
		}
		l.clock.wait(ctx, l.clock.now()+int64(5*time.Millisecond))
	}
	b, err := l.sample()
	if err != nil {
		return nil, err
	}
	r := l.report(name, a, b, end)
	if l.broker != 0 {
		r.add("broker_rss_before", "MiB", float64(before.broker.rss)/(1<<20))
	}
	r.add("ready_total", "", float64(depth))
	return r, c.close()
}

// empty drains the queue that was filled and adds that to the result.
func (l *load) empty(ctx context.Context, r *Result, o *Options) error {
	next, err := backlogLoad(o)
	if err != nil {
		return err
	}
	drained, err := next.drained(ctx)
	if err != nil {
		return err
	}
	for _, m := range drained.Metrics {
		r.add("drain_"+m.Name, m.Unit, m.Value)
	}
	return l.remove(ctx, l.to)
}

// drain empties a queue that exists.
func drain(ctx context.Context, name string, o *Options) (*Result, error) {
	l, err := backlogLoad(o)
	if err != nil {
		return nil, err
	}
	r, err := l.drained(ctx)
	if err != nil {
		return nil, err
	}
	if r.Scenario = name; !o.Keep {
		l.made = l.queues
		err = l.remove(ctx, l.to)
	}
	return r, err
}

// drained takes everything out of the queue and measures from the first consumer to the last
// delivery.
func (l *load) drained(ctx context.Context) (*Result, error) {
	depth, err := l.depth(ctx)
	if err != nil {
		return nil, err
	}
	l.options.Consumers = max(1, l.options.Consumers)
	crew, running := newCrew(ctx)
	a, b, err := l.consumeAll(running, crew, depth)
	if err != nil {
		crew.cancel(err)
	}
	if first := crew.wait(running); first != nil {
		return nil, first
	}
	left, err := l.depth(ctx)
	if err != nil {
		return nil, err
	}
	r := &Result{Target: l.to.addr}
	seconds, n := float64(b.at-a.at)/float64(time.Second), float64(b.delivered)
	r.add("measured", "s", seconds)
	r.add("delivered", "msg/s", n/seconds)
	r.add("payload", "MB/s", n*float64(l.options.Size)/1e6/seconds)
	reportUsage(r, l.broker, a, b, n, "message")
	r.add("delivered_total", "", n)
	r.add("ready_total", "", float64(left))
	return r, nil
}

// consumeAll starts the consumers and waits until they have got n messages.
func (l *load) consumeAll(ctx context.Context, crew *crew, n int64) (a, b sample, err error) {
	if a, err = l.sample(); err != nil {
		return a, b, err
	}
	if err = l.connectConsumers(ctx); err != nil {
		return a, b, err
	}
	for _, c := range l.consumers {
		crew.run(c.run)
	}
	for over := l.clock.now() + int64(l.options.Grace); l.clock.now() < over && ctx.Err() == nil; {
		if b, err = l.sample(); err != nil || b.delivered >= n {
			break
		}
		l.clock.wait(ctx, l.clock.now()+int64(time.Millisecond))
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	if at := l.lastDelivery(); b.delivered >= n {
		b.at = at
	}
	for _, c := range l.consumers {
		c.stop()
	}
	return a, b, err
}

// depth is how many messages the queue has ready.
func (l *load) depth(ctx context.Context) (int64, error) {
	c, err := dial(ctx, l.to, smallBuffer)
	if err != nil {
		return 0, err
	}
	defer c.drop()
	n, err := c.depth(l.queues[0])
	if isMissing(err) {
		return 0, fmt.Errorf("there is no queue %s to drain: 'warren bench backlog --keep' makes one", l.queues[0])
	}
	if err != nil {
		return 0, err
	}
	return n, c.close()
}
