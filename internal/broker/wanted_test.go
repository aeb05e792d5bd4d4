package broker

import "testing"

// TestGetBesideConsumer: what a consumer has room for is not there for
// basic.get, however slow that consumer is to come; an operator sees it.
func TestGetBesideConsumer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		prefetch int
		noAck    bool
		left     int // for basic.get, of three
	}{
		{"no limit", 0, false, 0},
		{"automatic acknowledgement", 1, true, 0},
		{"room for all", 3, false, 0},
		{"room for one", 1, false, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			x := newBench(t)
			q := x.declare("q")
			c := &Consumer{Tag: "c", Prefetch: tc.prefetch, NoAck: tc.noAck}
			if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
				t.Fatal(err)
			}
			x.publish("q", "a", "b", "c")
			client := *x.a
			client.Conn = 1
			for i := range 4 {
				_, d, _, ok, err := x.v.Get(&client, "q", false, nil)
				if err != nil || ok != (i < tc.left) {
					t.Fatalf("basic.get number %d found something: %t, %v", i, ok, err)
				}
				if ok {
					q.Return(nil, []uint64{d.Seq})
					_, d, _, ok, _ = x.v.Get(&client, "q", true, nil)
					if !ok {
						t.Fatalf("what came back is not there, %v", d)
					}
				}
			}
			x.has("q", []string{"a", "b", "c"}[tc.left:]...)
		})
	}
}

// TestGetBesideStuckConsumer: a consumer that does not come has room for so many
// and no more.
func TestGetBesideStuckConsumer(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("q")
	if err := x.v.Consume(x.a, "q", &Consumer{Tag: "c", NoAck: true}, &sleeper{}); err != nil {
		t.Fatal(err)
	}
	client := *x.a
	client.Conn = 1
	for i := range 202 {
		x.publish("q", "m")
		if _, _, _, ok, err := x.v.Get(&client, "q", true, nil); err != nil || ok != (i >= 200) {
			t.Fatalf("with %d messages basic.get found something: %t, %v", i+1, ok, err)
		}
	}
}

// TestGetBesideHeldConsumer: a consumer whose channel may not have more does
// not keep messages from basic.get.
func TestGetBesideHeldConsumer(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.declare("q")
	c := &Consumer{Tag: "c"}
	if err := x.v.Consume(x.a, "q", c, &sleeper{}); err != nil {
		t.Fatal(err)
	}
	x.publish("q", "a")
	client := *x.a
	client.Conn = 1
	c.Take(0, 0, nil)
	if _, _, _, ok, err := x.v.Get(&client, "q", true, nil); !ok || err != nil {
		t.Fatalf("basic.get found something: %t, %v", ok, err)
	}
	x.publish("q", "b")
	if got := c.Take(1, 1<<20, nil); len(got) != 1 {
		t.Fatalf("the consumer got %d messages", len(got))
	}
	x.publish("q", "c")
	if _, _, _, ok, err := x.v.Get(&client, "q", true, nil); ok || err != nil {
		t.Fatalf("basic.get found something: %t, %v", ok, err)
	}
}
