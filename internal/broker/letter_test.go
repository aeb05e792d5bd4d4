package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
)

// take takes one message out of a queue.
func (x *bench) take(name string, noAck bool) (*Queue, uint64, Content, bool) {
	x.Helper()
	q, d, _, ok, err := x.v.Get(x.a, name, noAck, nil)
	if err != nil || !ok {
		x.Fatalf("queue %s has nothing: %v", name, err)
	}
	c, e := Open(&d)
	if e != nil {
		x.Fatal(e)
	}
	return q, d.Seq, c, d.Redelivered
}

func (x *bench) reject(name string) {
	x.Helper()
	q, seq, _, _ := x.take(name, false)
	q.Reject(nil, []uint64{seq})
}

// to makes a queue whose dead letters go by the default exchange to another.
func (x *bench) to(name, dead string, args ...amqp.Field) *Queue {
	return x.declare(name, append(args, amqp.Field{Key: "x-dead-letter-exchange", Value: ""},
		amqp.Field{Key: "x-dead-letter-routing-key", Value: dead})...)
}

func TestDeadLetterHeaders(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.clock.Store(5_000_000)
	x.to("a", "b")
	x.to("b", "c", amqp.Field{Key: "x-message-ttl", Value: int32(1000)})
	x.declare("c")
	m, _ := Compose(&Content{Key: "a", Body: []byte("body"), Properties: amqp.Properties{
		Headers:    amqp.Table{{Key: "h", Value: "v"}, {Key: "x-death", Value: "mine"}, {Key: "CC", Value: []any{"nowhere"}}},
		Expiration: "60000", MessageID: "id",
	}}, 1<<17)
	if _, err := x.p.Publish(&m); err != nil {
		t.Fatal(err)
	}
	x.p.Flush(nil, false)
	x.reject("a")
	x.pass(1000)
	q, seq, got, redelivered := x.take("c", false)
	first := amqp.Table{
		{Key: "original-expiration", Value: "60000"},
		{Key: "count", Value: int64(1)},
		{Key: "reason", Value: "rejected"},
		{Key: "queue", Value: "a"},
		{Key: "time", Value: amqp.Timestamp(5000)},
		{Key: "exchange", Value: ""},
		{Key: "routing-keys", Value: []any{"a", "nowhere"}},
	}
	second := amqp.Table{
		{Key: "count", Value: int64(1)},
		{Key: "reason", Value: "expired"},
		{Key: "queue", Value: "b"},
		{Key: "time", Value: amqp.Timestamp(5001)},
		{Key: "exchange", Value: ""},
		{Key: "routing-keys", Value: []any{"b"}},
	}
	want := amqp.Table{
		{Key: "h", Value: "v"},
		{Key: "x-death", Value: []any{second, first}},
		{Key: "CC", Value: []any{"nowhere"}},
		{Key: "x-first-death-reason", Value: "rejected"},
		{Key: "x-last-death-reason", Value: "expired"},
		{Key: "x-first-death-queue", Value: "a"},
		{Key: "x-last-death-queue", Value: "b"},
		{Key: "x-first-death-exchange", Value: ""},
		{Key: "x-last-death-exchange", Value: ""},
	}
	if diff := cmp.Diff(want, got.Properties.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if got.Properties.Expiration != "" || got.Properties.MessageID != "id" || string(got.Body) != "body" || got.Key != "c" || redelivered {
		t.Errorf("dead letter: %+v, redelivered %t", got, redelivered)
	}
	if q.Return(nil, []uint64{seq}); q.Ready() != 1 {
		t.Error("a dead letter cannot be returned")
	}
}

// TestDeaths counts the deaths of a message that a client rejects over and
// over: one entry for each queue and reason.
func TestDeaths(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.to("a", "b")
	x.to("b", "a", amqp.Field{Key: "x-message-ttl", Value: int32(10)})
	x.publish("a", "round")
	for range 3 {
		x.reject("a")
		x.pass(10)
	}
	_, _, c, redelivered := x.take("a", true)
	v, _ := c.Properties.Headers.Get("x-death")
	deaths, _ := v.([]any)
	var got strings.Builder
	for _, d := range deaths {
		t, _ := d.(amqp.Table)
		q, _ := t.Get("queue")
		r, _ := t.Get("reason")
		n, _ := t.Get("count")
		fmt.Fprint(&got, q, r, n, " ")
	}
	if want := "bexpired3 arejected3 "; got.String() != want {
		t.Errorf("deaths are %q, want %q", got.String(), want)
	}
	if redelivered {
		t.Error("an expired message is not redelivered")
	}
	x.publish("a", "again")
	x.reject("a")
	if _, _, _, redelivered := x.take("b", true); !redelivered {
		t.Error("a rejected message was delivered before")
	}
}

// TestCycle: a message that goes round by itself is dropped, one that a client
// rejected meanwhile is not.
func TestCycle(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	ttl := amqp.Field{Key: "x-message-ttl", Value: int32(10)}
	a, b := x.to("a", "b", ttl), x.to("b", "a", ttl)
	x.publish("a", "round")
	x.pass(10)
	if a.Ready() != 0 || b.Ready() != 1 {
		t.Fatalf("%d and %d ready", a.Ready(), b.Ready())
	}
	x.pass(10)
	if a.Ready()+b.Ready() != 0 {
		t.Fatal("a message goes round for ever")
	}
	self := x.to("self", "self", amqp.Field{Key: "x-max-length", Value: int32(1)})
	x.publish("self", "1", "2", "3")
	if self.Ready() != 1 {
		t.Fatalf("%d ready", self.Ready())
	}
	x.reject("self")
	if self.Ready() != 1 {
		t.Fatal("a rejected message did not come back")
	}
}

func TestDeadLetterTargets(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	if err := x.v.DeclareExchange(x.a, ExchangeDeclare{Name: "dlx", Type: "fanout", Internal: true}); err != nil {
		t.Fatal(err)
	}
	q := x.declare("q", amqp.Field{Key: "x-dead-letter-exchange", Value: "dlx"}, amqp.Field{Key: "x-max-length", Value: int32(2)})
	for _, name := range []string{"d1", "d2"} {
		x.declare(name)
		if err := x.v.Bind(x.a, Binding{Source: "dlx", Destination: name, DestinationKind: KindQueue}); err != nil {
			t.Fatal(err)
		}
	}
	x.publish("q", "1", "2", "3", "4")
	x.has("d1", "1", "2")
	_, _, c, _ := x.take("d2", true)
	if c.Exchange != "dlx" || c.Key != "q" {
		t.Errorf("came by exchange %q with key %q", c.Exchange, c.Key)
	}
	if n, err := x.v.Purge(x.a, "q"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	x.has("d1") // what is purged is no dead letter
	if err := x.v.DeleteExchange(x.a, "dlx", false); err != nil {
		t.Fatal(err)
	}
	x.publish("q", "5")
	x.reject("q")
	if v := q.View(); v.Ready+v.Unacked != 0 {
		t.Errorf("without its exchange a dead letter stays: %+v", v)
	}
	_, err := x.v.DeclareQueue(&Actor{Rights: x.a.Rights}, QueueDeclare{Name: "bad", Arguments: amqp.Table{{Key: "x-dead-letter-exchange", Value: int32(5)}}})
	if err == nil || err.Text != "invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'bad' in vhost '/'" {
		t.Error(err)
	}
}

// TestRefused: a batch of which a part finds room.
func TestRefused(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	q := x.to("q", "d", amqp.Field{Key: "x-max-length", Value: int32(3)}, amqp.Field{Key: "x-overflow", Value: "reject-publish-dlx"})
	x.declare("d")
	c := &Consumer{Tag: "t", Prefetch: 2}
	if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
		t.Fatal(err)
	}
	x.publish("q", "1", "2", "3", "4", "5", "6", "7")
	if q.Ready() != 5 {
		t.Fatalf("%d ready, want two that are promised and three", q.Ready())
	}
	x.has("d", "6", "7")
	ds := c.Take(10, 1<<20, nil)
	if len(ds) != 2 || ds[0].Seq+1 != ds[1].Seq {
		t.Fatalf("took %d", len(ds))
	}
	x.publish("q", "8")
	x.has("d", "8")
	x.has("q", "3", "4", "5")
}

// TestManyDeadLetters lets many expire at once, down a chain of queues.
func TestManyDeadLetters(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.to("q0", "q1", amqp.Field{Key: "x-message-ttl", Value: int32(10)})
	for i := 1; i < 4; i++ {
		x.to(fmt.Sprint("q", i), fmt.Sprint("q", i+1), amqp.Field{Key: "x-max-length", Value: int32(10)})
	}
	x.declare("q4")
	var all []string
	for i := range 5000 {
		all = append(all, strconv.Itoa(i))
	}
	x.publish("q0", all...)
	x.pass(10)
	x.has("q4", all[:4970]...)
	x.has("q3", all[4970:4980]...)
	x.has("q1", all[4990:]...)
}

// TestPublishAfterDeadLetter: what a publisher's own transaction made a dead
// letter does not lead its next message astray.
func TestPublishAfterDeadLetter(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.to("a", "b")
	x.declare("b")
	x.publish("a", "one", "two")
	q, seq, _, _ := x.take("a", false)
	x.p.SettleWith(q, nil, []uint64{seq}, true)
	x.publish("a", "three")
	x.has("b", "one")
	x.has("a", "two", "three")
}
