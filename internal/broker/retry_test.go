package broker

import (
	"fmt"
	"slices"
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

func retries(attempts int32, delay, most int64) []amqp.Field {
	return []amqp.Field{
		{Key: "x-retry-attempts", Value: attempts}, {Key: "x-retry-delay", Value: delay}, {Key: "x-retry-max-delay", Value: most},
	}
}

// give takes one message and gives it back.
func (x *bench) give(name string, failed bool) Content {
	x.Helper()
	q, seq, c, _ := x.take(name, false)
	if failed {
		q.Fail(nil, []uint64{seq})
	} else {
		q.Return(nil, []uint64{seq})
	}
	return c
}

func TestRetryParks(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	q := x.declare("q", retries(3, 100, 300)...)
	x.publish("q", "a")
	for i, wait := range []int64{100, 200, 300} { // twice as long, at most 300
		c := x.give("q", i%2 == 0)
		if n, _, _ := c.Properties.Headers.Int("x-retry-count"); n != int64(i) {
			t.Errorf("delivery %d says %v", i, c.Properties.Headers)
		}
		x.pass(wait - 1)
		if q.Ready() != 0 || q.Waiting() != 1 {
			t.Fatalf("attempt %d: %d ready, %d wait", i, q.Ready(), q.Waiting())
		}
		x.pass(1)
		if q.Ready() != 1 || q.Waiting() != 0 {
			t.Fatalf("attempt %d: %d ready, %d wait", i, q.Ready(), q.Waiting())
		}
	}
	c := x.give("q", true)
	if n, _, _ := c.Properties.Headers.Int("x-retry-count"); n != 3 {
		t.Errorf("the last delivery says %v", c.Properties.Headers)
	}
	_, _, c, _ = x.take("q.parked", true)
	deaths, _ := c.Properties.Headers.Get("x-death")
	death, _ := deaths.([]any)[0].(amqp.Table)
	if reason, _ := death.Get("reason"); string(c.Body) != "a" || reason != "delivery_limit" {
		t.Errorf("parked is %+v", c)
	}
	if q.Ready()+q.Waiting()+q.View().Unacked != 0 {
		t.Error("something is left")
	}
}

func TestRetryDies(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("dead")
	x.to("q", "dead", retries(1, 100, 100)...)
	x.publish("q", "a", "b")
	x.reject("q") // not wanted is not tried again
	x.has("dead", "a")
	x.give("q", true)
	x.pass(100)
	x.give("q", false)
	x.has("dead", "b")
	if _, ok := x.v.Queue("q.parked"); ok {
		t.Error("there is a dead letter exchange, and yet a queue to park in")
	}
}

// TestRetryKeeps: what has waited comes back whole, and is not refused by a full
// queue.
func TestRetryKeeps(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	q := x.declare("q", append(retries(5, 100, 100), amqp.Field{Key: "x-max-length", Value: int32(1)},
		amqp.Field{Key: "x-overflow", Value: "reject-publish"}, amqp.Field{Key: "x-max-priority", Value: int32(5)})...)
	x.publish("q", "a:500")
	x.give("q", false)
	x.publish("q", "b")
	x.pass(100)
	if q.Ready() != 2 {
		t.Fatalf("%d ready", q.Ready())
	}
	_, err := x.v.DeleteQueue(x.a, "q", false, true)
	if err == nil {
		t.Error("a queue is empty while messages wait")
	}
	x.has("q", "b", "a")
	x.publish("q", "c:50")
	x.give("q", true)
	x.pass(100)
	x.pass(49)
	if q.Ready() != 1 {
		t.Error("what a message may wait in the queue does not begin anew")
	}
	x.pass(1)
	x.has("q")
	x.publish("q", "d")
	x.give("q", true)
	if _, err := x.v.DeleteQueue(x.a, "q", false, false); err != nil {
		t.Fatal(err)
	}
	x.pass(1000)
	if n := x.b.Memory().Used(); n != 0 || q.Waiting() != 0 {
		t.Errorf("%d bytes are left of a queue that is gone, %d wait", n, q.Waiting())
	}
}

// TestDelayedRetry is RabbitMQ 4.3's x-delayed-retry-*.
func TestDelayedRetry(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind             string
		failed, returned bool // wait
	}{{"all", true, true}, {"failed", true, false}, {"returned", false, true}, {"disabled", false, false}} {
		x := newBench(t)
		q := x.declare("q", amqp.Field{Key: "x-delayed-retry-type", Value: tc.kind}, amqp.Field{Key: "x-delayed-retry-min", Value: int32(100)},
			amqp.Field{Key: "x-delivery-limit", Value: int32(3)})
		x.publish("q", "a")
		x.give("q", true)
		if n := q.Waiting(); (n == 1) != tc.failed {
			t.Errorf("%s: %d wait that failed", tc.kind, n)
		}
		x.pass(100)
		x.give("q", false)
		if n := q.Waiting(); (n == 1) != tc.returned {
			t.Errorf("%s: %d wait that were returned", tc.kind, n)
		}
		x.pass(100)
		x.give("q", true)
		if x.pass(199); tc.failed && q.Waiting() != 1 {
			t.Errorf("%s: the second time it waits twice as long", tc.kind)
		}
		x.pass(1)
		x.give("q", true)
		x.pass(1000)
		x.give("q", true) // the fourth failure
		x.pass(1000)
		x.has("q")
	}
}

func TestRetryWait(t *testing.T) {
	t.Parallel()
	n := int64(100)
	for _, tc := range []struct {
		retry Retry
		tries uint32
		want  int64
	}{
		{Retry{Attempts: &n, Delay: 100, Max: 1000}, 1, 100},
		{Retry{Attempts: &n, Delay: 100, Max: 1000}, 4, 800},
		{Retry{Attempts: &n, Delay: 100, Max: 1000}, 5, 1000},
		{Retry{Attempts: &n, Delay: 100, Max: 1000}, 1 << 31, 1000},
		{Retry{Attempts: &n, Delay: 5000, Max: 1000}, 1, 1000},
		{Retry{Attempts: &n, Delay: 1, Max: maxMillis}, 38, 1 << 37},
		{Retry{Attempts: &n, Delay: 1, Max: maxMillis}, 60, maxMillis},
		{Retry{Type: "all", Delay: 100, Max: 250}, 2, 200},
		{Retry{Type: "all", Delay: 100, Max: 250}, 3, 250},
		{Retry{Type: "all", Delay: maxMillis, Max: maxMillis}, 1 << 31, maxMillis},
	} {
		if got := tc.retry.wait(queue.Tries{Acquired: tc.tries, Failed: tc.tries}); got != tc.want {
			t.Errorf("%+v waits %d the %d. time, want %d", tc.retry, got, tc.tries, tc.want)
		}
	}
}

func TestRetryArguments(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	for i, args := range [][]amqp.Field{
		{{Key: "x-retry-delay", Value: int32(5)}},
		{{Key: "x-retry-attempts", Value: int32(-1)}},
		{{Key: "x-retry-attempts", Value: "3"}},
		{{Key: "x-retry-attempts", Value: int32(3)}, {Key: "x-retry-delay", Value: int32(0)}},
		{{Key: "x-delayed-retry-type", Value: "some"}},
		{{Key: "x-delayed-retry-type", Value: "all"}},
	} {
		_, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: fmt.Sprint("q", i), Arguments: args})
		if err == nil || err.Code != amqp.CodePreconditionFailed {
			t.Errorf("arguments %v: %v", args, err)
		}
	}
	long := string(slices.Repeat([]byte("q"), 249))
	if _, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: long, Arguments: retries(1, 1, 1)}); err == nil {
		t.Error("there is no name for a queue to park in")
	}
}
