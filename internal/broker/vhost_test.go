package broker

import (
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
)

// TestDefaultQueueType: a vhost's type is that of new durable queues that name
// none, and of no other.
func TestDefaultQueueType(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.v.opts.Definitions = nowhere{}
	old := QueueDeclare{Name: "old", Durable: true}
	if _, err := x.v.DeclareQueue(x.a, old); err != nil {
		t.Fatal(err)
	}
	x.v.Follow(meta.Vhost{Cluster: "c", Name: "/", DefaultQueueType: "quorum"})
	for range 2 {
		for _, tc := range []struct {
			d    QueueDeclare
			want string
		}{
			{QueueDeclare{Name: "durable", Durable: true}, "quorum"},
			{QueueDeclare{Name: "transient"}, "classic"},
			{QueueDeclare{Name: "exclusive", Durable: true, Exclusive: true}, "classic"},
			{QueueDeclare{Name: "named", Durable: true, Arguments: amqp.Table{{Key: "x-queue-type", Value: "classic"}}}, "classic"},
			{old, "classic"},
		} {
			q, err := x.v.DeclareQueue(x.a, tc.d)
			if err != nil || q.Type() != tc.want {
				t.Errorf("%+v: %v, want %s", tc.d, err, tc.want)
			}
		}
	}
}

// nowhere takes definitions and keeps none.
type nowhere struct{ Definitions }

func (nowhere) PutQueue(meta.Queue) error { return nil }

// TestLenientFollows: whether a redeclare is lenient can be changed while the
// vhost is used, and says nothing about the rights to bind.
func TestLenientFollows(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("q")
	durable := QueueDeclare{Name: "q", Durable: true}
	configure, err := auth.Compile(auth.Permission{Configure: ".*", Write: "^$", Read: "^$"})
	if err != nil {
		t.Fatal(err)
	}
	b := Binding{Source: "amq.direct", Destination: "q", DestinationKind: KindQueue, Key: "k"}
	for _, lenient := range []bool{false, true, false} {
		x.v.Follow(meta.Vhost{Cluster: "c", Name: "/", LenientRedeclare: lenient})
		if _, err := x.v.DeclareQueue(x.a, durable); (err == nil) != lenient {
			t.Errorf("lenient %t: %v", lenient, err)
		}
		if err := x.v.Bind(&Actor{Rights: configure}, b); err == nil {
			t.Errorf("lenient %t: bound without the right to", lenient)
		}
	}
}

// TestBindingsWithZeros: bindings are told apart whatever bytes their names and keys have.
func TestBindingsWithZeros(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	for i, b := range []Binding{
		{Destination: "a", Key: "b\x00c"},
		{Destination: "a\x00b", Key: "c"},
		{Destination: "a\x00", Key: "c"},
		{Destination: "a", Key: "\x00c"},
		{Destination: "a", Key: "\xffc"},
		{Destination: "a\x00", Key: "\xffc"},
		{Destination: "a", Key: "b\x00\x01c"}, // as what parts them
		{Destination: "a\x00\x01b", Key: "c"},
	} {
		x.declare(b.Destination)
		b.Source, b.DestinationKind = "amq.direct", KindQueue
		if err := x.v.Bind(x.a, b); err != nil {
			t.Fatal(err)
		}
		if n := len(x.v.Bindings()); n != i+1 {
			t.Errorf("%d bindings, want %d", n, i+1)
		}
	}
}
