package differential_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// TestHeaders compares what is equal for a headers exchange: each of many values in a binding against each in a message.
func TestHeaders(t *testing.T) {
	t.Parallel()
	c := compared(t)
	one := amqp.Field{Key: "a", Value: int32(1)}
	values := []any{
		int8(1), uint8(1), int16(1), uint16(1), int32(1), uint32(1), int64(1), float32(1), 1.0, int32(0), 0.0, float32(1.5), 1.5, true, false, nil,
		"1", []byte("1"), "",
		[]byte{},
		"true", amqp.Timestamp(1),
		amqp.Decimal{Value: 1},
		amqp.Decimal{Scale: 1, Value: 10},
		amqp.Table{},
		amqp.Table{one},
		amqp.Table{{Key: "a", Value: int8(1)}},
		amqp.Table{{Key: "a", Value: nil}},
		amqp.Table{one, {Key: "b", Value: int32(1)}},
		[]any{},
		[]any{int32(1)},
		[]any{int8(1)},
		[]any{"1"},
		[]any{[]byte("1")},
		[]any{true},
		[]any{amqp.Table{one}},
	}
	crew(slices.Collect(upTo(uint64(len(values)))), 8, func(i uint64, kept *pair) {
		s := bindOne(i, values)
		d := c.compare(s, quickly, kept)
		for d != nil && d.at >= bound && d.at < len(s.ops) && meant(values[i], values[d.at-bound]) { // what is meant is left out
			s.ops[d.at].do = pause(0)
			d = c.compare(s, quickly, kept)
		}
		if d != nil {
			t.Errorf("binding with %T(%v)\n%s%s", values[i], values[i], d.script(s, false), d)
		}
	})
}

// bound is where the publishes of bindOne begin.
const bound = 3

// bindOne is a script of one binding and all messages.
func bindOne(i uint64, values []any) *script {
	prefix := fmt.Sprintf("headers%d.", i)
	s := &script{seed: i, prefix: prefix, queues: []string{prefix + "q1"}, exchanges: []string{prefix + "x1"}}
	s.ops = append(s.ops, on(0, 1, &amqp.QueueDeclare{Queue: prefix + "q1", Arguments: amqp.Table{{Key: "x-max-length", Value: int32(0)}}}),
		on(0, 1, &amqp.ExchangeDeclare{Exchange: prefix + "x1", Type: "headers"}),
		on(0, 1, &amqp.QueueBind{Queue: prefix + "q1", Exchange: prefix + "x1", Arguments: amqp.Table{{Key: "h", Value: values[i]}}}))
	for _, v := range values {
		s.ops = append(s.ops, on(0, 1, publish{
			amqp.BasicPublish{Exchange: prefix + "x1", Mandatory: true}, amqp.Properties{Headers: amqp.Table{{Key: "h", Value: v}}}, fmt.Sprintf("%T %v", v, v),
		}))
	}
	return s
}

// meant reports whether two values may be equal for one broker and not for the other: timestamps, and an empty table and an empty array.
func meant(x, y any) bool {
	for _, v := range []any{x, y} {
		switch v := v.(type) {
		case amqp.Timestamp:
			return true
		case amqp.Table:
			return len(v) == 0
		case []any:
			return len(v) == 0
		}
	}
	return false
}

func upTo(n uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}
