package broker

import (
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/queue"
)

// TestZeroTTLComesBack: a message that lives for no time is delivered to who
// waits for it, and gone when it comes back, in the same millisecond too.
func TestZeroTTLComesBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []amqp.Field
		body string
	}{
		{"of the message", nil, "a:0"},
		{"of the queue", []amqp.Field{{Key: "x-message-ttl", Value: int32(0)}}, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := newBench(t)
			q := x.declare("q", tc.args...)
			c := &Consumer{Tag: "c"}
			if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
				t.Fatal(err)
			}
			for _, ns := range []int64{0, 1000, 500_000} {
				x.since.Store(ns)
				x.publish("q", tc.body)
				got := c.Take(10, 1<<20, []queue.Delivery(nil))
				if len(got) != 1 {
					t.Fatalf("at %d ns the consumer got %d messages, want 1", ns, len(got))
				}
				q.Return(c, []uint64{got[0].Seq})
				if got = c.Take(10, 1<<20, nil); len(got) != 0 {
					t.Errorf("at %d ns it is delivered again", ns)
				}
			}
		})
	}
}
