package broker

import (
	"testing"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/meta"
)

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
