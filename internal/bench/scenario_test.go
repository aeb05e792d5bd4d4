package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// What is published is delivered, the right number of times, in every way of publishing and
// acknowledging.
func TestNumbersAddUp(t *testing.T) {
	b := warrentest.Start(t)
	counted := func(n int) func(*Options) { return func(o *Options) { o.Count = n } }
	for _, tt := range []struct {
		name, scenario string
		change         func(*Options)
		published      float64 // 0: not known beforehand
		copies         float64
	}{
		{"auto-ack", "throughput", func(o *Options) { o.AutoAck, o.Count = true, 5000 }, 5000, 1},
		{"single acks", "throughput", func(o *Options) { o.Qos, o.Count = 10, 5000 }, 5000, 1},
		{"multiple acks, a rest", "throughput", func(o *Options) { o.Qos, o.MultiAckEvery, o.Count = 100, 30, 1111 }, 1111, 1},
		{"no body", "throughput", func(o *Options) { o.Size, o.AutoAck, o.Count = 0, true, 3000 }, 3000, 1},
		{"bodies of several frames", "throughput", func(o *Options) { o.Size, o.AutoAck, o.Count = 300_000, true, 20 }, 20, 1},
		{"two and three", "throughput", func(o *Options) { o.Producers, o.Consumers, o.Count = 2, 3, 1000 }, 2000, 1},
		{"for a time", "throughput", func(o *Options) { o.Size = 16 << 10 }, 0, 1},
		{"at a rate", "throughput", func(o *Options) { o.Rate = 1000 }, 0, 1},
		{"one in flight", "confirmed", func(o *Options) { o.Confirm, o.Count = 1, 300 }, 300, 1},
		{"many in flight", "confirmed", counted(2000), 2000, 1},
		{"confirmed for a time", "confirmed", nil, 0, 1},
		{"fanout", "fanout", func(o *Options) { o.Queues, o.Count = 7, 500 }, 500, 7},
		{"topic", "topic", func(o *Options) { o.Bindings, o.Queues, o.Consumers, o.Count = 50, 3, 3, 1000 }, 1000, 1},
		{"queues", "queues", func(o *Options) { o.Queues, o.Count = 20, 100 }, 2000, 1},
		{"a queue of its own", "throughput", func(o *Options) { o.Queue, o.Count = "mine", 10 }, 10, 1},
		{"a pattern", "queues", func(o *Options) { o.QueuePattern, o.PatternFrom, o.PatternTo, o.Count = "q-%d-x", 3, 5, 10 }, 30, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := measure(t, b, tt.scenario, tt.change)
			published := v("published_total")
			if tt.published > 0 && published != tt.published || published == 0 {
				t.Errorf("%v published, want %v", published, tt.published)
			}
			if d := v("delivered_total"); d != published*tt.copies {
				t.Errorf("%v published and %v delivered, want %v each", published, d, tt.copies)
			}
			if u := v("undelivered_total"); u != 0 {
				t.Errorf("%v undelivered", u)
			}
			if tt.scenario == "confirmed" && (v("confirmed_total") != published || v("refused_total") != 0) {
				t.Errorf("%v published, %v confirmed, %v refused", published, v("confirmed_total"), v("refused_total"))
			}
			if v("measured") <= 0 || tt.published > 0 && v("delivered") <= 0 || v("broker_rss") <= 0 {
				t.Error("nothing was measured")
			}
			empty(t, b)
		})
	}
}

// empty wants the broker to have no queues left.
func empty(t *testing.T, b *warrentest.Broker) {
	t.Helper()
	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, q := range []string{"warren-bench-1", "warren-bench-7", "mine", "q-3-x", backlogQueue} {
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		_, err = ch.QueueDeclarePassive(q, true, false, false, false, nil)
		if e, ok := errors.AsType[*amqp091.Error](err); !ok || e.Code != amqp091.NotFound {
			t.Errorf("the queue %s is still there: %v", q, err)
		}
	}
}

func TestLatency(t *testing.T) {
	v := measure(t, warrentest.Start(t), "latency", func(o *Options) {
		o.Rate, o.Confirm, o.Producers, o.Time = 500, 100, 2, 200*time.Millisecond
	})
	if v("unsent_total") != 0 || v("published_total") != v("delivered_total") {
		t.Errorf("unsent %v, published %v, delivered %v", v("unsent_total"), v("published_total"), v("delivered_total"))
	}
	// 500 a second, twice, for 0.2 s: the last one may fall on either side of the end.
	for _, what := range []string{"delivery_latency", "confirm_latency", "send_lag"} {
		if n := v(what + "_count"); n < 198 || n > 202 || n != v("send_lag_count") {
			t.Errorf("%s has %v values of %v", what, n, v("send_lag_count"))
		}
		last := 0.0
		for _, p := range percentiles {
			if x := v(what + "_" + p.name); x < last {
				t.Errorf("%s_%s is %v, less than the percentile before, %v", what, p.name, x, last)
			} else {
				last = x
			}
		}
	}
	// What came was sent before, and the clock of both is the moment at which it was due.
	if v("delivery_latency_max") < v("send_lag_p50") {
		t.Error("messages came before they were sent")
	}
}

func TestBacklogAndDrain(t *testing.T) {
	b := warrentest.Start(t)
	v := measure(t, b, "backlog", func(o *Options) { o.Count = 5000 })
	for _, figure := range []string{"published_total", "ready_total", "drain_delivered_total"} {
		if v(figure) != 5000 {
			t.Errorf("%s %v", figure, v(figure))
		}
	}
	if v("drain_ready_total") != 0 {
		t.Errorf("%v are still ready", v("drain_ready_total"))
	}
	empty(t, b)

	v = measure(t, b, "backlog", func(o *Options) { o.Count, o.Keep, o.Flag, o.Confirm = 700, true, "persistent", 64 })
	if v("ready_total") != 700 || v("confirmed_total") != 700 {
		t.Errorf("%v ready, %v confirmed", v("ready_total"), v("confirmed_total"))
	}
	b.Restart()
	v = measure(t, b, "drain", nil)
	if v("delivered_total") != 700 || v("ready_total") != 0 {
		t.Errorf("%v delivered, %v ready", v("delivered_total"), v("ready_total"))
	}
	empty(t, b)
	s, _ := Find("drain")
	if _, err := s.Run(t.Context(), short(t, b, s, nil)); err == nil || !strings.Contains(err.Error(), "no queue") {
		t.Errorf("draining nothing: %v", err)
	}
}

func TestChurn(t *testing.T) {
	b := warrentest.Start(t)
	for _, what := range []string{"connection", "channel", "queue", "exclusive-queue"} {
		t.Run(what, func(t *testing.T) {
			v := measure(t, b, "churn-"+what, func(o *Options) { o.Count, o.Concurrency = 20, 3 })
			if v("churned_total") != 60 || v("churn_latency_count") != 60 {
				t.Errorf("%v churned, %v measured", v("churned_total"), v("churn_latency_count"))
			}
		})
	}
}

func TestIdle(t *testing.T) {
	v := measure(t, warrentest.Start(t), "idle", func(o *Options) { o.Count, o.Queues = 50, 3 })
	if v("connections_total") != 50 || v("opened") <= 0 {
		t.Errorf("%v connections, %v a second", v("connections_total"), v("opened"))
	}
	v("broker_rss_per_connection")
	v("broker_idle_cpu")
}

// A queue that somebody uses is neither used nor deleted.
func TestQueueOfOthers(t *testing.T) {
	b := warrentest.Start(t)
	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("orders", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	s, _ := Find("throughput")
	_, err = s.Run(t.Context(), short(t, b, s, func(o *Options) { o.Queue, o.Count = "orders", 10 }))
	if err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("error %v", err)
	}
	if _, err := ch.QueueDeclarePassive("orders", true, false, false, false, nil); err != nil {
		t.Error(err)
	}
}

// Interrupting ends a run soon and leaves no queues.
func TestInterrupt(t *testing.T) {
	b := warrentest.Start(t)
	for _, name := range []string{"throughput", "confirmed", "latency", "backlog", "churn-queue", "idle"} {
		t.Run(name, func(t *testing.T) {
			s, _ := Find(name)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			o := short(t, b, s, func(o *Options) {
				o.Time = time.Minute
				if o.Count > 1000 {
					o.Count = 1_000_000_000
				}
			})
			if _, err := s.Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			empty(t, b)
		})
	}
}

// What the broker says reaches the user, not what came of it.
func TestBrokerErrors(t *testing.T) {
	b := warrentest.Start(t)
	s, _ := Find("throughput")
	for _, tt := range []struct {
		name, want string
		change     func(*Options)
	}{
		{"password", "ACCESS_REFUSED", func(o *Options) { o.URL = strings.Replace(o.URL, "guest:guest", "guest:wrong", 1) }},
		{"vhost", "NOT_ALLOWED", func(o *Options) { o.URL += "nowhere" }},
		{"message size", "PRECONDITION_FAILED", func(o *Options) { o.Size, o.Count = 17<<20, 3 }},
		{"port", "no connection", func(o *Options) { o.URL = "amqp://127.0.0.1:1" }},
		{"process", "--pid", func(o *Options) { o.PID = 1 << 30 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.Run(t.Context(), short(t, b, s, tt.change))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A rate that the broker cannot have is told, not passed over in silence.
func TestOverload(t *testing.T) {
	v := measure(t, warrentest.Start(t), "latency", func(o *Options) {
		o.Rate, o.Size, o.AutoAck, o.Warm, o.Time, o.Grace = 1e10, 1024, true, 0, 50*time.Millisecond, time.Second
	})
	if v("unsent_total") == 0 {
		t.Error("500,000,000 messages were sent in a second")
	}
	if v("send_lag_p50") <= 0 {
		t.Error("the sender claims to be in time")
	}
}

func TestCompare(t *testing.T) {
	b := warrentest.Start(t)
	s, _ := Find("throughput")
	o := short(t, b, s, func(o *Options) { o.Count, o.AutoAck = 100, true })
	var order []string
	sides := [2]Side{{URL: o.URL}, {URL: "amqp://guest:guest@" + b.Listen()}}
	c, err := s.Compare(t.Context(), o, sides, 3, func(_ int, r *Result) { order = append(order, r.Target) })
	if err != nil {
		t.Fatal(err)
	}
	a, z := c.A, c.B
	if got := strings.Join(order, " "); a == z || got != strings.Join([]string{a, z, a, z, a, z}, " ") {
		t.Errorf("order %s", got)
	}
	for _, m := range c.Metrics {
		if m.Name == "delivered_total" && m.A == (Spread{100, 100, 100}) && m.Ratio == 1 {
			return
		}
	}
	t.Errorf("metrics %+v", c.Metrics)
}
