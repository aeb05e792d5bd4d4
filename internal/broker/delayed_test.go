package broker

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/warrenmq/warren/amqp"
)

// delaying declares an exchange that delays messages and binds queues to it by
// their names.
func (x *bench) delaying(name, kind string, queues ...string) *Exchange {
	x.Helper()
	err := x.v.DeclareExchange(x.a, ExchangeDeclare{
		Name: name, Type: "x-delayed-message", Arguments: amqp.Table{{Key: "x-delayed-type", Value: kind}},
	})
	if err != nil {
		x.Fatal(err)
	}
	for _, q := range queues {
		x.declare(q)
		if err := x.v.Bind(x.a, Binding{Source: name, Destination: q, DestinationKind: KindQueue, Key: q}); err != nil {
			x.Fatal(err)
		}
	}
	d, _ := x.v.Exchange(name)
	return d
}

// later publishes a message with headers and returns to how many places it
// goes.
func (x *bench) later(exchange, key, body string, headers ...amqp.Field) int {
	x.Helper()
	m, err := Compose(&Content{Exchange: exchange, Key: key, Body: []byte(body), Properties: amqp.Properties{
		Flags: amqp.FlagHeaders, Headers: headers,
	}}, 1<<17)
	if err != nil {
		x.Fatal(err)
	}
	n, refused := x.p.Publish(&m)
	if refused != nil {
		x.Fatal(refused)
	}
	x.p.Flush(nil, false)
	return n
}

func delay(ms int64) amqp.Field { return amqp.Field{Key: "x-delay", Value: ms} }

func TestDelayed(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	d := x.delaying("d", "direct", "q", "r")
	for _, m := range []struct {
		body  string
		delay any
	}{
		{"at once", int32(0)},
		{"negative", int32(-5)},
		{"no number", "soon"},
		{"late", int64(500)},
		{"soon", int32(100)},
		{"text", "300"},
		{"years", int64(maxMillis)},
	} {
		if n := x.later("d", "q", m.body, amqp.Field{Key: "x-delay", Value: m.delay}); n != 1 {
			t.Fatalf("%s goes to %d places", m.body, n)
		}
	}
	if n := x.later("d", "q", "none"); n != 1 {
		t.Fatalf("a message without a delay goes to %d places", n)
	}
	if n, ok := d.Pending(); n != 4 || !ok {
		t.Fatalf("%d wait, %t", n, ok)
	}
	x.has("q", "at once", "negative", "no number", "none")
	x.pass(99)
	x.has("q")
	x.pass(1)
	x.has("q", "soon")
	x.pass(400)
	x.has("q", "text", "late")
	x.pass(maxMillis - 501)
	x.has("q")
	x.pass(1)
	x.has("q", "years")
	if n, _ := d.Pending(); n != 0 {
		t.Fatalf("%d wait", n)
	}
	for _, f := range []amqp.Field{delay(maxMillis + 1), delay(math.MaxInt64)} {
		m, _ := Compose(&Content{Exchange: "d", Key: "q", Properties: amqp.Properties{Headers: amqp.Table{f}}}, 1<<17)
		if _, err := x.p.Publish(&m); err == nil || err.Code != amqp.CodePreconditionFailed {
			t.Errorf("a delay of %v: %v", f.Value, err)
		}
	}
}

// TestDelayedCopy: what comes out is what went in, but for the delay, which is
// negative, and BCC, which nobody sees and yet counts.
func TestDelayedCopy(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.delaying("d", "direct", "q", "cc", "bcc")
	before := amqp.Properties{
		Headers: amqp.Table{
			{Key: "h", Value: "v"}, {Key: "CC", Value: []any{"cc"}}, {Key: "x-delay", Value: int64(1000)}, {Key: "BCC", Value: []any{"bcc", "nowhere"}},
		},
		MessageID: "id", Priority: 3, Expiration: "50", DeliveryMode: 2,
	}
	m, err := Compose(&Content{Exchange: "d", Key: "q", Properties: before, Body: []byte("body")}, 1<<17)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.p.Publish(&m); err != nil {
		t.Fatal(err)
	}
	x.p.Flush(nil, false)
	list, next, refused := x.v.ListPending(x.a, "d", 0, 10, 1<<20)
	if refused != nil || next != 0 || len(list) != 1 || list[0].Due != x.clock.Load()+1000 || list[0].Key != "q" || string(list[0].Body) != "body" {
		t.Fatalf("waiting are %+v, %d, %v", list, next, refused)
	}
	x.pass(1000)
	want := amqp.Table{{Key: "h", Value: "v"}, {Key: "CC", Value: []any{"cc"}}, {Key: "x-delay", Value: int32(-1000)}}
	for _, name := range []string{"q", "cc", "bcc"} {
		_, _, c, redelivered := x.take(name, false)
		if diff := cmp.Diff(want, c.Properties.Headers); diff != "" || redelivered {
			t.Errorf("%s, redelivered %t: %s", name, redelivered, diff)
		}
		p := c.Properties
		if c.Exchange != "d" || c.Key != "q" || string(c.Body) != "body" || p.MessageID != "id" || p.Priority != 3 || p.Expiration != "50" || p.DeliveryMode != 2 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

// TestDelayedExpires: a message's own TTL begins when it is routed.
func TestDelayedExpires(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	x.delaying("d", "fanout", "q")
	m, _ := Compose(&Content{Exchange: "d", Key: "q", Properties: amqp.Properties{
		Headers: amqp.Table{delay(1000)}, Expiration: "50",
	}}, 1<<17)
	if _, err := x.p.Publish(&m); err != nil {
		t.Fatal(err)
	}
	x.p.Flush(nil, false)
	q, _ := x.v.Queue("q")
	for _, step := range []struct {
		pass  int64
		ready int
	}{{999, 0}, {1, 1}, {49, 1}, {1, 0}} {
		if x.pass(step.pass); q.Ready() != step.ready {
			t.Fatalf("%d ready, want %d", q.Ready(), step.ready)
		}
	}
}

func TestDelayedCancel(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	d := x.delaying("d", "direct", "q")
	for i := range 100 {
		x.later("d", "q", string(rune('a'+i%26)), delay(int64(1000*(i+1))))
	}
	var all []Pending
	for from := uint64(0); ; {
		list, next, err := x.v.ListPending(x.a, "d", from, 7, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, list...)
		if from = next; next == 0 {
			break
		}
	}
	if len(all) != 100 {
		t.Fatalf("%d are listed", len(all))
	}
	for i := range all[:98] {
		if ok, err := x.v.CancelPending(x.a, "d", all[i].ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for _, id := range []uint64{all[0].ID, 1 << 63, math.MaxUint64} {
		if ok, err := x.v.CancelPending(x.a, "d", id); ok || err != nil {
			t.Errorf("message %d is cancelled: %t, %v", id, ok, err)
		}
	}
	x.pass(50_000_000)
	q, _ := x.v.Queue("q")
	if n, _ := d.Pending(); n != 0 || q.Ready() != 2 {
		t.Fatalf("%d wait, %d came", n, q.Ready())
	}
	x.later("d", "q", "z", delay(5))
	if n, err := x.v.PurgePending(x.a, "d"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, _, err := x.v.ListPending(x.a, "amq.direct", 0, 1, 1); err == nil || err.Code != amqp.CodeNotFound {
		t.Errorf("nothing waits in amq.direct: %v", err)
	}
}

func TestDelayedEnds(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	d := x.delaying("d", "direct", "q")
	x.later("d", "q", "gone", delay(100))
	if err := x.v.DeleteExchange(x.a, "d", false); err != nil {
		t.Fatal(err)
	}
	x.delaying("d", "direct", "q")
	x.pass(1000)
	x.has("q")
	if n, _ := d.Pending(); n != 0 || x.b.Memory().Used() != 0 {
		t.Errorf("%d wait in what is gone, %d bytes of memory", n, x.b.Memory().Used())
	}
	if n := x.later("d", "nowhere", "lost", delay(100)); n != 1 {
		t.Errorf("a message that waits goes to %d places", n)
	}
	x.pass(100)
	e, _ := x.v.Exchange("d")
	if total, _ := e.Unroutable(); total != 1 {
		t.Errorf("%d were unroutable", total)
	}
}

func TestDelayedDeclare(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	for _, kind := range []any{nil, "nope", "x-delayed-message", int32(1)} {
		var args amqp.Table
		if kind != nil {
			args = amqp.Table{{Key: "x-delayed-type", Value: kind}}
		}
		err := x.v.DeclareExchange(x.a, ExchangeDeclare{Name: "d", Type: "x-delayed-message", Arguments: args})
		if err == nil || err.Code != amqp.CodePreconditionFailed {
			t.Errorf("x-delayed-type %v: %v", kind, err)
		}
	}
	x.delaying("d", "topic")
	for kind, want := range map[string]bool{"topic": true, "direct": false} {
		err := x.v.DeclareExchange(x.a, ExchangeDeclare{Name: "d", Type: "x-delayed-message", Arguments: amqp.Table{{Key: "x-delayed-type", Value: kind}}})
		if (err == nil) != want {
			t.Errorf("declared again as %s: %v", kind, err)
		}
	}
}

// TestDelayClass: classes follow the delays, and the longest has one.
func TestDelayClass(t *testing.T) {
	t.Parallel()
	last := uint8(0)
	for d := int64(1); d <= maxMillis; d += 1 + d/50 {
		c := delayClass(d)
		if c < last || c > last+2 {
			t.Fatalf("class %d of %d ms follows class %d", c, d, last)
		}
		last = c
	}
	if last < 240 || last == math.MaxUint8 {
		t.Errorf("the longest delay has class %d", last)
	}
}
