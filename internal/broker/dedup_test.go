package broker

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/warrenmq/warren/amqp"
)

// send publishes one message and returns to how many places it goes.
func (x *bench) send(exchange, key, body string, p amqp.Properties) int {
	x.Helper()
	m, err := Compose(&Content{Exchange: exchange, Key: key, Body: []byte(body), Properties: p}, 1<<17)
	if err != nil {
		x.Fatal(err)
	}
	m.Ticket = 7
	n, refused := x.p.Publish(&m)
	if refused != nil {
		x.Fatal(refused)
	}
	return n
}

func id(s string) amqp.Properties { return amqp.Properties{MessageID: s} }

func headers(fields ...any) amqp.Properties {
	var t amqp.Table
	for i := 0; i < len(fields); i += 2 {
		t = append(t, amqp.Field{Key: fields[i].(string), Value: fields[i+1]})
	}
	return amqp.Properties{Headers: t}
}

var dedupOn = amqp.Field{Key: "x-message-deduplication", Value: true}

// TestDedupKeys: what makes two messages the same.
func TestDedupKeys(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		a, b amqp.Properties
		same bool
	}{
		{"none", amqp.Properties{}, amqp.Properties{}, false},
		{"message id", id("x"), id("x"), true},
		{"other message id", id("x"), id("y"), false},
		{"header", headers("x-deduplication-header", "k"), headers("x-deduplication-header", "k"), true},
		{"header before id", amqp.Properties{MessageID: "1", Headers: headers("x-deduplication-header", "k").Headers}, amqp.Properties{MessageID: "2", Headers: headers("x-deduplication-header", "k").Headers}, true},
		{"header of another type", headers("x-deduplication-header", "1"), headers("x-deduplication-header", int32(1)), false},
		{"header as id", headers("x-deduplication-header", "k"), id("k"), false},
		{"sequence", headers("x-publisher-id", "p", "x-publisher-sequence", int32(5)), headers("x-publisher-id", "p", "x-publisher-sequence", int64(5)), true},
		{"next sequence", headers("x-publisher-id", "p", "x-publisher-sequence", int32(5)), headers("x-publisher-id", "p", "x-publisher-sequence", int32(6)), false},
		{"other publisher", headers("x-publisher-id", "p", "x-publisher-sequence", int32(5)), headers("x-publisher-id", "q", "x-publisher-sequence", int32(5)), false},
	} {
		x := newBench(t)
		q := x.declare("q", dedupOn)
		if n := x.send("", "q", "a", tc.a) + x.send("", "q", "b", tc.b); n != 2 {
			t.Errorf("%s: routed %d times, a duplicate counts as routed", tc.name, n)
		}
		x.p.Flush(nil, false)
		if got := q.Ready(); (got == 1) != tc.same {
			t.Errorf("%s: %d messages", tc.name, got)
		}
	}
}

func TestDedupWindow(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	q := x.declare("q", dedupOn, amqp.Field{Key: "x-cache-ttl", Value: int32(100)}, amqp.Field{Key: "x-cache-size", Value: int32(10)})
	send := func(name string, want int) {
		t.Helper()
		before := q.Ready()
		x.send("", "q", "m", id(name))
		x.p.Flush(nil, false)
		if got := q.Ready() - before; got != want {
			t.Fatalf("message %s is there %d times more, want %d", name, got, want)
		}
	}
	send("a", 1)
	x.pass(99)
	send("a", 0)
	x.pass(1)
	send("a", 1)
	for i := range 10 {
		send(strconv.Itoa(i), 1)
	}
	send("9", 0)
	send("a", 1) // forgotten for the others
	x.pass(1000)
	if n := len(q.dedup.seen); n > 11 {
		t.Errorf("%d keys", n)
	}
}

// TestDedupExchange: what an exchange has seen goes nowhere, what went nowhere
// it has not seen.
func TestDedupExchange(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	if err := x.v.DeclareExchange(x.a, ExchangeDeclare{Name: "x", Type: "direct", Arguments: amqp.Table{dedupOn}}); err != nil {
		t.Fatal(err)
	}
	if n := x.send("x", "k", "a", id("1")); n != 0 {
		t.Fatalf("routed %d times without a binding", n)
	}
	q := x.declare("q")
	r := x.declare("r")
	for _, name := range []string{"q", "r"} {
		if err := x.v.Bind(x.a, Binding{Source: "x", Destination: name, DestinationKind: KindQueue, Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if n := x.send("x", "k", "a", id("1")); n == 0 {
			t.Fatal("a duplicate is unroutable")
		}
		x.p.Flush(nil, false)
	}
	if q.Ready() != 1 || r.Ready() != 1 {
		t.Errorf("%d and %d messages", q.Ready(), r.Ready())
	}
}

// TestDedupRefused: what a full queue refused is not a duplicate when it comes
// again.
func TestDedupRefused(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("q", dedupOn, amqp.Field{Key: "x-max-length", Value: int32(1)}, amqp.Field{Key: "x-overflow", Value: "reject-publish"})
	x.send("", "q", "a", id("1"))
	x.send("", "q", "b", id("2"))
	x.p.Flush(nil, false)
	x.has("q", "a")
	x.send("", "q", "b", id("2"))
	x.p.Flush(nil, false)
	x.has("q", "b")
}

// TestDedupLetters: a dead letter is no duplicate of what it was.
func TestDedupLetters(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.to("q", "q", dedupOn)
	x.send("", "q", "a", id("1"))
	x.p.Flush(nil, false)
	x.reject("q")
	x.has("q", "a")
}

func TestDedupArguments(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	for i, f := range []amqp.Field{
		{Key: "x-message-deduplication", Value: "yes"},
		{Key: "x-cache-ttl", Value: int32(1)},
		{Key: "x-cache-size", Value: int32(1)},
		{Key: "x-deduplication-header", Value: "h"},
	} {
		args := amqp.Table{f}
		if _, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: fmt.Sprint("q", i), Arguments: args}); err == nil || err.Code != amqp.CodePreconditionFailed {
			t.Errorf("queue with %v: %v", args, err)
		}
		if err := x.v.DeclareExchange(x.a, ExchangeDeclare{Name: fmt.Sprint("x", i), Type: "fanout", Arguments: args}); err == nil || err.Code != amqp.CodePreconditionFailed {
			t.Errorf("exchange with %v: %v", args, err)
		}
	}
}
