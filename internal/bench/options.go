package bench

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// Options say what load to make. Each scenario has its defaults and uses some of them.
type Options struct {
	URL string // amqp://user:password@host:port/vhost
	PID int    // the broker's process on this machine; 0: none

	Warm time.Duration // before measuring
	Time time.Duration // measured

	Producers, Consumers int     // in all; shared out over the queues; 0 producers: one a queue
	Size                 int     // of a body
	Rate                 float64 // messages a second and producer; 0: as fast as it goes
	Count                int     // messages a producer, or connections of the idle scenario; 0: for Time
	Confirm              int     // publishes that may be unconfirmed; 0: no confirms
	Flag                 string  // "persistent" or nothing

	Qos           int // prefetch; 0: no limit
	AutoAck       bool
	MultiAckEvery int // messages an acknowledgement

	Queue        string // the queue's name, for one queue
	QueuePattern string // names of the queues, with %d
	PatternFrom  int    // first number
	PatternTo    int    // last number
	Queues       int    // or how many
	QueueArgs    string // key=value,key=value
	Bindings     int    // of the topic scenario

	Concurrency int           // connections that churn, or that connect at a time
	Keep        bool          // leave the queues
	Grace       time.Duration // for what is under way when the time is over
}

// defaultPattern names queues that are the generator's own: it deletes them before and after.
const defaultPattern = "warren-bench-%d"

// Limits of what can be asked for.
const (
	maxSize    = 128 << 20
	maxWorkers = 20_000
)

// validate says all that is wrong.
func (o *Options) validate() error {
	var errs []error
	wrong := func(bad bool, format string, a ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, a...))
		}
	}
	_, err := parseURL(o.URL)
	wrong(err != nil, "--url: %w", err)
	wrong(o.PID < 0, "--pid %d is no process id", o.PID)
	wrong(o.Warm < 0 || o.Time < 0 || o.Grace < 0, "--warm, --time and --grace cannot be negative")
	wrong(o.Time == 0 && o.Count == 0, "--time is 0: say how long to measure, or with --pmessages how many messages")
	wrong(o.Producers < 0 || o.Producers > maxWorkers || o.Consumers < 0 || o.Consumers > maxWorkers || o.Queues < 0 ||
		o.Queues > maxWorkers || o.Concurrency < 0 || o.Concurrency > maxWorkers,
		"producers, consumers, queues and concurrency go from 0 to %d", maxWorkers)
	wrong(o.Size < 0 || o.Size > maxSize, "--size %d is not between 0 and %d bytes", o.Size, maxSize)
	wrong(o.Rate < 0 || math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0), "--rate is not a number of messages a second")
	wrong(o.Count < 0, "--pmessages cannot be negative")
	wrong(o.Confirm < 0, "--confirm cannot be negative: it is how many publishes may be unconfirmed")
	wrong(o.Flag != "" && o.Flag != "persistent", "--flag %q is not known: persistent is", o.Flag)
	wrong(o.Qos < 0 || o.Qos > math.MaxUint16, "--qos %d is not between 0 and %d", o.Qos, math.MaxUint16)
	wrong(o.MultiAckEvery < 1, "--multi-ack-every is 1 or more")
	wrong(!o.AutoAck && o.Qos > 0 && o.MultiAckEvery > o.Qos,
		"--multi-ack-every %d is more than --qos %d lets come: it would never acknowledge", o.MultiAckEvery, o.Qos)
	wrong(o.Bindings < 0, "--bindings cannot be negative")
	wrong(o.Queue == "" && strings.Count(o.QueuePattern, "%") != strings.Count(o.QueuePattern, "%d") ||
		o.Queue == "" && strings.Count(o.QueuePattern, "%d") != 1, "--queue-pattern %q needs one %%d, where the number goes", o.QueuePattern)
	wrong(o.Queue == "" && o.PatternTo > 0 && o.PatternTo < o.PatternFrom, "--queue-pattern-to %d is before --queue-pattern-from %d",
		o.PatternTo, o.PatternFrom)
	for _, name := range o.queueNames() {
		_, err := amqp.ShortString(name)
		wrong(err != nil, "the queue name %.20s… is too long: %w", name, err)
	}
	_, err = o.queueArgs()
	errs = append(errs, err)
	return errors.Join(errs...)
}

func (o *Options) persistent() bool { return o.Flag == "persistent" }

// ours reports whether the queues are the generator's own.
func (o *Options) ours() bool { return o.Queue == "" && o.QueuePattern == defaultPattern }

// queueNames are the queues to use.
func (o *Options) queueNames() []string {
	if o.Queue != "" {
		return []string{o.Queue}
	}
	n := max(o.Queues, 1)
	if o.PatternTo > 0 {
		n = o.PatternTo - o.PatternFrom + 1
	}
	var names []string
	for i := range min(n, maxWorkers) {
		names = append(names, fmt.Sprintf(o.QueuePattern, o.PatternFrom+i))
	}
	return names
}

// queueArgs reads key=value,key=value; a value that is a number is one.
func (o *Options) queueArgs() (amqp.Table, error) {
	var t amqp.Table
	if o.QueueArgs == "" {
		return nil, nil
	}
	for kv := range strings.SplitSeq(o.QueueArgs, ",") {
		key, value, ok := strings.Cut(kv, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--queue-args %q is not key=value,key=value", kv)
		}
		var n int64
		if _, err := fmt.Sscanf(value+"\n", "%d\n", &n); err == nil {
			t = append(t, amqp.Field{Key: key, Value: n})
			continue
		}
		t = append(t, amqp.Field{Key: key, Value: value})
	}
	return t, t.Validate()
}
