package broker

import (
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestChangeQueue: a queue takes over other arguments while it has messages and
// consumers.
func TestChangeQueue(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("dead")
	q := x.declare("q", amqp.Field{Key: "x-max-priority", Value: int32(3)})
	x.publish("q", "a", "b", "c")
	priority := amqp.Field{Key: "x-max-priority", Value: int32(3)}
	for _, tc := range []struct {
		name string
		args amqp.Table
		ok   bool
	}{
		{"without its priorities", nil, false},
		{"other priorities", amqp.Table{{Key: "x-max-priority", Value: int32(4)}}, false},
		{"another type", amqp.Table{priority, {Key: "x-queue-type", Value: "quorum"}}, false},
		{"a wrong value", amqp.Table{priority, {Key: "x-max-length", Value: int32(-1)}}, false},
		{"the same", amqp.Table{priority}, true},
		{"a limit and dead letters", amqp.Table{
			priority, {Key: "x-max-length", Value: int32(2)}, {Key: "x-dead-letter-exchange", Value: ""}, {Key: "x-dead-letter-routing-key", Value: "dead"},
		}, true},
	} {
		if err := x.v.ChangeQueue(x.a, "q", tc.args); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	x.pass(1)
	x.has("dead", "a")
	if _, ok := q.Arguments().Get("x-max-length"); !ok {
		t.Errorf("arguments are %v", q.Arguments())
	}
	if err := x.v.ChangeQueue(x.a, "none", nil); err == nil || err.Code != amqp.CodeNotFound {
		t.Errorf("a queue that is not there: %v", err)
	}
	x.has("q", "b", "c")
}
