package broker

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/policy"
)

// bench is a broker with one vhost and a clock that the test moves.
type bench struct {
	*testing.T

	clock atomic.Int64 // Unix milliseconds
	since atomic.Int64 // and nanoseconds since then
	b     *Broker
	v     *Vhost
	a     *Actor
	p     *Publisher
}

// sleeper is a consumer's owner that does nothing when it is woken.
type sleeper struct {
	cancelled bool
	overdue   []uint64
}

func (*sleeper) Wake(*Consumer)        {}
func (*sleeper) Carry(*Consumer)       {}
func (s *sleeper) Cancelled(*Consumer) { s.cancelled = true }

func (s *sleeper) Overdue(_ *Consumer, seqs []uint64) { s.overdue = append(s.overdue, seqs...) }

func newBench(t *testing.T) *bench {
	t.Helper()
	x := &bench{T: t}
	x.clock.Store(1_000_000)
	uid := uint64(0)
	x.b = New(Options{
		Log: MemoryLog{}, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMilli(x.clock.Load()).Add(time.Duration(x.since.Load())) },
		NextUID: func() uint64 { uid++; return uid },
	})
	x.v = x.b.AddVhost(meta.Vhost{Cluster: "c", Name: "/"}, "/")
	rights, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	x.a = &Actor{Rights: rights}
	x.p = x.v.NewPublisher()
	return x
}

func (x *bench) declare(name string, args ...amqp.Field) *Queue {
	x.Helper()
	q, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: name, Arguments: args})
	if err != nil {
		x.Fatal(err)
	}
	return q
}

// publish sends messages to a queue; what stands behind a colon is their
// expiration.
func (x *bench) publish(queue string, bodies ...string) {
	x.Helper()
	for _, b := range bodies {
		c := Content{Key: queue, Body: []byte(b)}
		if n := slices.Index(c.Body, ':'); n >= 0 {
			c.Body, c.Properties.Expiration = c.Body[:n], b[n+1:]
		}
		m, err := Compose(&c, 1<<17)
		if err != nil {
			x.Fatal(err)
		}
		if _, err := x.p.Publish(&m); err != nil {
			x.Fatal(err)
		}
	}
	x.p.Flush(nil, false)
}

// pass lets time go by.
func (x *bench) pass(ms int64) {
	x.clock.Add(ms)
	x.b.ExpireDue()
}

// has checks what a queue holds, by taking it out.
func (x *bench) has(queue string, want ...string) {
	x.Helper()
	var got []string
	for {
		_, d, _, ok, err := x.v.Get(x.a, queue, true, nil)
		if err != nil {
			x.Fatal(err)
		}
		if !ok {
			break
		}
		c, e := Open(&d)
		if e != nil {
			x.Fatal(e)
		}
		got = append(got, string(c.Body))
	}
	if !slices.Equal(got, want) {
		x.Fatalf("queue %s has %q, want %q", queue, got, want)
	}
}

// TestConsumerTimeout: a consumer is told what it did not settle in time, once,
// and has it until it is returned.
func TestConsumerTimeout(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		queue, consumer []amqp.Field
		policy          int64
		after           int64 // 0: never
	}{
		{"off", nil, nil, 0, 0},
		{"of the queue", []amqp.Field{{Key: "x-consumer-timeout", Value: int32(100)}}, nil, 0, 100},
		{"of the consumer", []amqp.Field{{Key: "x-consumer-timeout", Value: int32(100)}}, []amqp.Field{{Key: "x-consumer-timeout", Value: int32(500)}}, 0, 500},
		{"by policy", nil, nil, 300, 300},
		{"the lower", []amqp.Field{{Key: "x-consumer-timeout", Value: int32(100)}}, nil, 50, 50},
	} {
		x := newBench(t)
		if tc.policy > 0 {
			p := policy.Policy{Name: "p", Pattern: ".*", ApplyTo: policy.All, Definition: policy.Definition{"consumer-timeout": tc.policy}}
			x.v.ChangePolicies([]policy.Policy{p}, "p", false)
		}
		x.declare("q", tc.queue...)
		x.publish("q", "a", "b", "c")
		s := &sleeper{}
		c := &Consumer{Tag: "t", Arguments: tc.consumer}
		if err := x.v.Consume(x.a, "q", c, s); err != nil {
			t.Fatal(tc.name, err)
		}
		ds := c.Take(2, 1000, nil)
		c.queue.Settle(c, []uint64{ds[0].Seq})
		if tc.after == 0 {
			x.pass(10_000_000)
			if s.overdue != nil {
				t.Errorf("%s: %v is overdue", tc.name, s.overdue)
			}
			continue
		}
		x.pass(tc.after - 1)
		c.Take(1, 1000, nil)
		if s.overdue != nil {
			t.Errorf("%s: %v is overdue too early", tc.name, s.overdue)
		}
		x.pass(1)
		if !slices.Equal(s.overdue, []uint64{ds[1].Seq}) || c.queue.View().Unacked != 2 {
			t.Errorf("%s: %v is overdue, %d unacked", tc.name, s.overdue, c.queue.View().Unacked)
		}
		x.pass(tc.after * 5)
		if len(s.overdue) != 2 {
			t.Errorf("%s: %v is overdue in the end", tc.name, s.overdue)
		}
	}
}

func TestTTL(t *testing.T) {
	t.Parallel()
	t.Run("wherever it stands", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		q := x.declare("q")
		x.publish("q", "a", "b:10", "c:5", "d:10000", "e")
		x.pass(4)
		if q.Ready() != 5 {
			t.Fatalf("%d ready before anything has expired", q.Ready())
		}
		x.pass(1)
		if q.Ready() != 4 {
			t.Fatalf("%d ready at the first deadline", q.Ready())
		}
		x.pass(5)
		x.has("q", "a", "d", "e")
	})
	t.Run("the lower of both", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		x.declare("q", amqp.Field{Key: "x-message-ttl", Value: int32(20)})
		x.publish("q", "a", "b:10", "c:30")
		x.pass(19)
		x.has("q", "a", "c")
		x.publish("q", "d:30")
		x.pass(20)
		x.has("q")
	})
	t.Run("not later than it is asked for", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		x.declare("q")
		x.publish("q", "a:10", "b")
		x.clock.Add(10) // and no timer has come yet
		x.has("q", "b")
	})
	t.Run("zero", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		q := x.declare("q")
		x.publish("q", "a:0", "b")
		if q.Ready() != 1 {
			t.Fatalf("%d ready, want what may wait", q.Ready())
		}
		x.has("q", "b")
		c := &Consumer{Tag: "t", Prefetch: 3}
		if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
			t.Fatal(err)
		}
		x.publish("q", "a:0", "b:0")
		x.publish("q", "c:0", "d:0") // the consumer has not come yet, and has room for one more
		if ds := c.Take(10, 1<<20, nil); len(ds) != 3 || q.Ready() != 0 {
			t.Fatalf("took %d, %d ready", len(ds), q.Ready())
		}
	})
	t.Run("returned", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		q := x.declare("q")
		x.publish("q", "a:10")
		_, d, _, _, _ := x.v.Get(x.a, "q", false, nil)
		x.pass(50)
		if v := q.View(); v.Unacked != 1 {
			t.Fatalf("%d unacked: what is delivered does not expire", v.Unacked)
		}
		q.Return(nil, []uint64{d.Seq})
		x.has("q")
		x.publish("q", "b:10")
		_, d, _, _, _ = x.v.Get(x.a, "q", false, nil)
		consumers := []*Consumer{{Tag: "t"}, {Tag: "u"}} // of several that wait, one is promised it
		for _, c := range consumers {
			if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
				t.Fatal(err)
			}
			c.Take(10, 1<<20, nil)
		}
		x.pass(50)
		q.Return(nil, []uint64{d.Seq})
		for _, c := range consumers {
			if ds := c.Take(10, 1<<20, nil); len(ds) != 0 {
				t.Fatalf("%q is late", ds[0].Image)
			}
		}
	})
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		x := newBench(t)
		q := x.declare("q")
		for i := range 10_000 {
			x.publish("q", fmt.Sprintf("%d:%d", i, 1+(i*7919)%1000))
		}
		for range 10 {
			x.pass(100)
		}
		if v := q.View(); v.Ready != 0 || v.Bytes != 0 {
			t.Fatalf("%+v", v)
		}
	})
}

func TestQueueExpires(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	args := []amqp.Field{{Key: "x-expires", Value: int32(100)}}
	there := func(want bool) {
		t.Helper()
		if _, ok := x.v.Queue("q"); ok != want {
			t.Fatalf("at %d the queue is there: %t", x.clock.Load(), ok)
		}
	}
	x.declare("q", args...)
	for _, use := range []func(){
		func() { x.declare("q", args...) },
		func() { x.has("q") },
		func() { _, _ = x.v.DeclareQueue(x.a, QueueDeclare{Name: "q", Passive: true}) },
	} {
		x.pass(45)
		use()
		x.pass(45)
		there(true)
	}
	c := &Consumer{Tag: "t"}
	if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
		t.Fatal(err)
	}
	x.pass(1000)
	there(true)
	x.v.Cancel(c)
	x.publish("q", "publishing is no use")
	x.pass(99)
	there(true)
	x.pass(1)
	there(false)
}

// TestConfigure changes a queue's properties while it serves.
func TestConfigure(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	q := x.declare("q", amqp.Field{Key: "x-max-length", Value: int32(5)})
	for i := range 6 {
		x.publish("q", strconv.Itoa(i))
	}
	say := func(d policy.Definition) {
		x.v.ChangePolicies([]policy.Policy{{Name: "p", ApplyTo: policy.Queues, Definition: d}}, "p", false)
	}
	say(policy.Definition{"max-length": int64(2), "message-ttl": int64(10)})
	if q.Ready() != 2 {
		t.Fatalf("%d ready", q.Ready())
	}
	x.publish("q", "new")
	x.pass(10)
	x.has("q", "5")
	say(policy.Definition{"max-length": int64(50)})
	for i := range 7 {
		x.publish("q", strconv.Itoa(i))
	}
	x.pass(100)
	x.has("q", "2", "3", "4", "5", "6")
	x.declare("d")
	say(policy.Definition{"dead-letter-exchange": "", "dead-letter-routing-key": "d", "expires": int64(50)})
	x.publish("q", "dead")
	x.reject("q")
	x.has("d", "dead")
	x.pass(50)
	if _, ok := x.v.Queue("q"); ok {
		t.Fatal("the queue does not expire by policy")
	}
}

func TestParseExpiration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, text string
		want     int64
	}{
		{in: "0"},
		{in: "1000", want: 1000},
		{in: "+5", want: 5},
		{in: "315360000000", want: 315_360_000_000},
		{in: "", text: "invalid expiration '': no_integer"},
		{in: "abc", text: "invalid expiration 'abc': no_integer"},
		{in: "10s", text: `invalid expiration '10s': {leftover_string,"s"}`},
		{in: "-1", text: "invalid expiration '-1': {value_negative,-1}"},
		{in: "315360000001", text: "invalid expiration '315360000001': {value_too_large,315360000001}"},
	} {
		got, err := ParseExpiration(c.in)
		if err == nil && (c.text != "" || got != c.want) || err != nil && err.Text != c.text {
			t.Errorf("%q: %d, %v", c.in, got, err)
		}
	}
}
