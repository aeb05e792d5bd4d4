package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// churner makes and unmakes one thing, again and again.
type churner struct {
	to   target
	what string
	id   int // of the churner, in the names of its queues
	args amqp.Table
	conn *conn // on which it happens; none for connections
	n    counter
	hist *histogram
}

// churnOf returns the scenario of one kind of thing.
func churnOf(what string) func(context.Context, string, *Options) (*Result, error) {
	return func(ctx context.Context, name string, o *Options) (*Result, error) {
		to, err := parseURL(o.URL)
		if err != nil {
			return nil, err
		}
		args, err := o.queueArgs()
		if err != nil {
			return nil, err
		}
		l := &load{options: o, to: to, broker: process(o.PID), clock: newClock()}
		crew, running := newCrew(ctx)
		all, a, err := l.startChurn(running, crew, what, args)
		if err != nil {
			crew.cancel(err)
		}
		if first := crew.wait(running); first != nil {
			return nil, first
		}
		b, err := l.sample()
		if err != nil {
			return nil, err
		}
		r := &Result{Scenario: name, Target: to.addr}
		seconds, n, hist := float64(b.at-a.at)/float64(time.Second), int64(0), newHistogram()
		for _, c := range all {
			n += c.n.Load()
			hist.merge(c.hist)
		}
		r.add("measured", "s", seconds)
		r.add("churned", "1/s", float64(n)/seconds)
		reportUsage(r, l.broker, a, b, float64(n), "piece")
		hist.metrics(r, "churn_latency")
		r.add("churned_total", "", float64(n))
		return r, nil
	}
}

// startChurn starts the churners, which end by themselves.
func (l *load) startChurn(ctx context.Context, crew *crew, what string, args amqp.Table) (all []*churner, a sample, err error) {
	for i := range max(1, l.options.Concurrency) {
		c := &churner{to: l.to, what: what, id: i, args: args, hist: newHistogram()}
		if what != "connection" {
			if c.conn, err = dial(ctx, l.to, smallBuffer); err != nil {
				return nil, a, err
			}
		}
		all = append(all, c)
	}
	if a, err = l.sample(); err != nil {
		return nil, a, err
	}
	until := a.at + int64(l.options.Time)
	for _, c := range all {
		crew.run(func() error { return c.run(ctx, l.clock, until, int64(l.options.Count)) })
	}
	return all, a, nil
}

// run churns until the time is over, or the limit is reached if there is one.
func (c *churner) run(ctx context.Context, clock clock, until, limit int64) error {
	for n := int64(1); limit == 0 && clock.now() < until || n <= limit; n++ {
		begun := clock.now()
		if err := c.once(ctx, n); err != nil {
			return err
		}
		c.hist.record(clock.now() - begun)
		c.n.Store(n)
	}
	if c.conn == nil {
		return nil
	}
	return c.conn.close()
}

func (c *churner) once(ctx context.Context, n int64) error {
	switch c.what {
	case "connection":
		conn, err := dial(ctx, c.to, smallBuffer)
		if err != nil {
			return err
		}
		return conn.close()
	case "channel":
		const other = channelID + 1
		if err := c.conn.openChannel(other); err != nil {
			return err
		}
		return c.conn.closeChannel(other)
	}
	exclusive := c.what == "exclusive-queue"
	declare := &amqp.QueueDeclare{
		Queue: fmt.Sprintf("warren-bench-churn-%d-%d", c.id, n), Durable: !exclusive, Exclusive: exclusive, AutoDelete: exclusive,
		Arguments: c.args,
	}
	if err := c.conn.call(channelID, declare, amqp.IDQueueDeclareOk, nil); err != nil {
		return err
	}
	return c.conn.call(channelID, &amqp.QueueDelete{Queue: declare.Queue}, amqp.IDQueueDeleteOk, nil)
}
