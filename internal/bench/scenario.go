package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Scenario is a kind of load.
type Scenario struct {
	Name, Short, Long, Example string

	Flags    []string // names of the flags that it uses, besides those that all have
	Defaults Options
	run      func(ctx context.Context, name string, o *Options) (*Result, error)
}

// Run makes the load that the options describe and measures it.
func (s *Scenario) Run(ctx context.Context, o *Options) (*Result, error) {
	if err := o.validate(); err != nil {
		return nil, &InvalidError{err}
	}
	r, err := s.run(ctx, s.Name, o)
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), err) // closed connections only follow from it
	}
	return r, err
}

// InvalidError is an error of what was asked for.
type InvalidError struct{ Err error }

// Error says all that is wrong.
func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *InvalidError) Unwrap() error { return e.Err }

// Find returns the scenario of that name.
func Find(name string) (*Scenario, error) {
	all := Scenarios()
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("there is no scenario %q; 'warren bench --help' lists them", name)
}

// The flags of the scenarios that publish and consume.
func loadFlags(more ...string) []string {
	return append([]string{
		"producers", "consumers", "size", "rate", "pmessages", "confirm", "flag", "qos", "autoack", "multi-ack-every", "time", "warm",
		"queue-args", "queue-pattern", "queue-pattern-from", "queue-pattern-to", "keep", "grace",
	}, more...)
}

// defaults are those that scenarios share.
func defaults(change func(*Options)) Options {
	o := Options{ //nolint:gosec // every broker's first user, from this machine only
		URL: "amqp://guest:guest@127.0.0.1:5672/", Warm: time.Second, Time: 5 * time.Second, Producers: 1, Consumers: 1, Size: 1024,
		MultiAckEvery: 1, QueuePattern: defaultPattern, PatternFrom: 1, Concurrency: 4, Grace: 10 * time.Second,
	}
	change(&o)
	return o
}

// Scenarios returns all kinds of load.
func Scenarios() []Scenario {
	return append(append(rateScenarios(), shapeScenarios()...), otherScenarios()...)
}

// rateScenarios are producers and consumers of one queue.
func rateScenarios() []Scenario {
	return []Scenario{
		{
			Name: "throughput", Short: "Publish and consume as fast as it goes",
			Long: "Producers publish to a queue and consumers take from it, as fast as it goes or, with --rate, as fast as said.",
			Example: "  warren bench throughput --autoack --size 16\n" +
				"  warren bench throughput -x 2 -y 2 -s 1024 -q 1000 -A 50 -z 10 --pid $(pidof warren)",
			Flags: loadFlags("queue", "queues"), Defaults: defaults(func(o *Options) { o.Size = 16 }), run: throughput,
		},
		{
			Name: "confirmed", Short: "Publish persistent messages with confirms",
			Long: "As throughput, but messages are persistent and at most --confirm of them are unconfirmed at a time.",
			Example: "  warren bench confirmed --confirm 1\n" +
				"  warren bench confirmed -c 1000 -q 1000 -A 50 --pid $(pidof warren) --output json",
			Flags: loadFlags("queue", "queues"), Defaults: defaults(func(o *Options) {
				o.Confirm, o.Flag, o.Qos, o.MultiAckEvery = 100, "persistent", 1000, 50
			}), run: throughput,
		},
		{
			Name: "latency", Short: "Percentiles of latency at a fixed rate",
			Long: "Each message is due at a fixed moment, and its latency is counted from that moment until it is delivered or\n" +
				"confirmed, whenever it was sent: what a stalled broker keeps from being sent in time counts as well. The send lag\n" +
				"says how late the generator itself was.",
			Example: "  warren bench latency --rate 10000 --autoack\n" +
				"  warren bench latency -r 1000 -f persistent -c 1000 -q 1000 -A 10 -z 30",
			Flags: loadFlags("queue", "queues"), Defaults: defaults(func(o *Options) { o.Rate = 1000 }), run: latency,
		},
	}
}

// shapeScenarios have more than one queue or binding.
func shapeScenarios() []Scenario {
	return []Scenario{
		{
			Name: "fanout", Short: "One message to many queues",
			Long: "A fanout exchange copies each message to --queues queues with a consumer each. What is counted is deliveries. Without -y each\n" +
				"queue has one consumer.",
			Example: "  warren bench fanout --queues 10 --autoack",
			Flags:   loadFlags("queues"), Defaults: defaults(func(o *Options) { o.Queues, o.Consumers = 10, 0 }), run: fanout,
		},
		{
			Name: "topic", Short: "A topic exchange with many bindings",
			Long:    "Messages go through a topic exchange with --bindings bindings, to their keys in turn; each key matches one binding.",
			Example: "  warren bench topic --bindings 1000 --autoack",
			Flags:   loadFlags("queues", "bindings"), Defaults: defaults(func(o *Options) { o.Size, o.Bindings = 16, 1000 }), run: topic,
		},
		{
			Name: "queues", Short: "Many queues, each with a producer and a consumer",
			Long:    "As throughput, over --queues queues. Without -x and -y each queue has one producer and one consumer.",
			Example: "  warren bench queues --queues 100 --autoack\n  warren bench queues --queues 100 -c 1000 -f persistent -q 1000 -A 50",
			Flags:   loadFlags("queues"), Defaults: defaults(func(o *Options) { o.Queues, o.Producers, o.Consumers = 100, 0, 0 }), run: queues,
		},
	}
}

// otherScenarios are not about a steady stream.
func otherScenarios() []Scenario {
	churn := func(what, doing string) Scenario {
		return Scenario{
			Name: "churn-" + what, Short: doing + " over and over",
			Long:    doing + " over and over, --concurrency at a time, each waiting for the broker's answer.",
			Example: "  warren bench churn-" + what + " --concurrency 4 --time 5",
			Flags:   []string{"concurrency", "time", "pmessages", "queue-args"}, Defaults: defaults(func(*Options) {}), run: churnOf(what),
		}
	}
	return []Scenario{
		{
			Name: "backlog", Short: "Fill a queue, then empty it",
			Long: "Publishes --pmessages messages to a queue without a consumer, measures, and drains the queue. With --keep the queue\n" +
				"stays as it is, for drain.",
			Example: "  warren bench backlog --pmessages 1000000 --flag persistent\n  warren bench backlog -C 1000000 -f persistent --keep",
			Flags: []string{
				"producers", "consumers", "size", "pmessages", "confirm", "flag", "qos", "autoack", "multi-ack-every", "queue", "queue-args",
				"keep", "grace",
			},
			Defaults: defaults(func(o *Options) {
				o.Count, o.Qos, o.MultiAckEvery, o.Grace = 1_000_000, 1000, 100, 5*time.Minute
			}), run: backlog,
		},
		{
			Name: "drain", Short: "Empty the queue that backlog has kept",
			Long:    "Consumes all that is ready in a queue, such as the one that 'bench backlog --keep' left, and deletes it unless --keep is given.",
			Example: "  warren bench drain --qos 1000 --multi-ack-every 100",
			Flags:   []string{"consumers", "size", "qos", "autoack", "multi-ack-every", "queue", "keep", "grace"},
			Defaults: defaults(func(o *Options) {
				o.Qos, o.MultiAckEvery, o.Grace = 1000, 100, 5*time.Minute
			}), run: drain,
		},
		churn("connection", "Open and close connections with a channel"),
		churn("channel", "Open and close channels"),
		churn("queue", "Declare and delete durable queues"),
		churn("exclusive-queue", "Declare and delete exclusive queues"),
		{
			Name: "idle", Short: "Hold idle connections",
			Long: "Opens --connections connections with a channel and a consumer each, holds them for --time, and reports what one\n" +
				"costs the broker.",
			Example: "  warren bench idle --connections 5000 --time 3 --pid $(pidof warren)",
			Flags:   []string{"connections", "concurrency", "time", "queues", "queue-pattern"},
			Defaults: defaults(func(o *Options) {
				o.Count, o.Time, o.Consumers = 1000, 3*time.Second, 0
			}), run: idle,
		},
	}
}

// loadOf measures a load on a topology.
func loadOf(ctx context.Context, name string, o *Options, t topology) (*Result, error) {
	l, err := newLoad(o, t)
	if err != nil {
		return nil, err
	}
	a, b, end, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	return l.report(name, a, b, end), nil
}

func throughput(ctx context.Context, name string, o *Options) (*Result, error) {
	return loadOf(ctx, name, o, topology{queues: o.queueNames()})
}

func latency(ctx context.Context, name string, o *Options) (*Result, error) {
	if o.Rate == 0 || o.Size < stampSize {
		return nil, &InvalidError{errors.New("latency needs a --rate and a --size of at least 8 bytes, for the time in each message")}
	}
	l, err := newLoad(o, topology{queues: o.queueNames()})
	if err != nil {
		return nil, err
	}
	l.latencies = true
	a, b, end, err := l.run(ctx)
	if err != nil {
		return nil, err
	}
	return l.report(name, a, b, end), nil
}

func fanout(ctx context.Context, name string, o *Options) (*Result, error) {
	return loadOf(ctx, name, consumerPerQueue(o), topology{queues: o.queueNames(), exchange: exchangeName, kind: "fanout"})
}

func topic(ctx context.Context, name string, o *Options) (*Result, error) {
	t := topology{queues: o.queueNames(), exchange: exchangeName, kind: "topic", bindings: o.Bindings}
	if t.bindings < len(t.queues) {
		return nil, &InvalidError{errors.New("topic needs a binding for each queue: raise --bindings")}
	}
	return loadOf(ctx, name, o, t)
}

func queues(ctx context.Context, name string, o *Options) (*Result, error) {
	return loadOf(ctx, name, consumerPerQueue(o), topology{queues: o.queueNames()})
}

// consumerPerQueue gives each queue a consumer when it is not said how many there are.
func consumerPerQueue(o *Options) *Options {
	given := *o
	if given.Consumers == 0 {
		given.Consumers = len(o.queueNames())
	}
	return &given
}
