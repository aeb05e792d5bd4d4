package broker

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/meta"
)

// orderLog notes in which order puts and settles come to the log. Before a put
// is in it, it lets something happen.
type orderLog struct {
	MemoryLog

	before func()
	order  []string
}

func (l *orderLog) Append(b Batch, durable func(error)) {
	if len(b.Places) > 0 {
		if f := l.before; f != nil {
			l.before = nil
			f()
		}
		l.order = append(l.order, "put")
	}
	if len(b.Settled) > 0 {
		l.order = append(l.order, "settled")
	}
	l.MemoryLog.Append(b, durable)
}

// TestSettledOnTheWay: a message that is consumed and settled while its batch
// is on its way to the log is settled there behind its put, once.
func TestSettledOnTheWay(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	l := &orderLog{}
	x.b = New(Options{
		Definitions: nothing{}, Log: l, Logger: slog.New(slog.DiscardHandler), NextUID: func() uint64 { return 1 },
	})
	x.v = x.b.AddVhost(meta.Vhost{Cluster: "c", Name: "v"}, "v")
	x.p = x.v.NewPublisher()
	if _, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: "q", Durable: true}); err != nil {
		t.Fatal(err)
	}
	l.before = func() { x.has("q", "a") } // takes and settles it
	m, err := Compose(&Content{Key: "q", Body: []byte("a"), Properties: amqp.Properties{DeliveryMode: 2}}, 1<<17)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.p.Publish(&m); err != nil {
		t.Fatal(err)
	}
	x.p.Flush(func(error) {}, false)
	if want := []string{"put", "settled"}; !slices.Equal(l.order, want) {
		t.Errorf("the log has %q, want %q", l.order, want)
	}
}

// askingLog enters batches as a log does, and asks before and after whether a
// message that one settles is still needed.
type askingLog struct {
	MemoryLog

	b             *Broker
	before, after []bool
}

func (l *askingLog) Append(b Batch, durable func(error)) {
	for _, s := range b.Settled {
		for _, seq := range s.Seqs {
			l.before = append(l.before, l.b.Live(s.Queue, seq))
		}
	}
	if b.Entered != nil {
		b.Entered.Store(true)
	}
	for _, s := range b.Settled {
		for _, seq := range s.Seqs {
			l.after = append(l.after, l.b.Live(s.Queue, seq))
		}
	}
	l.MemoryLog.Append(b, durable)
}

// TestLeaving: a message that a transaction settles, or that dies, is needed in
// the log until the batch that says so is there, and no longer: who puts it again
// behind that batch would bring it back.
func TestLeaving(t *testing.T) {
	t.Parallel()
	x := newBench(t)
	l := &askingLog{}
	uid := uint64(0)
	x.b = New(Options{Definitions: nothing{}, Log: l, Logger: slog.New(slog.DiscardHandler), NextUID: func() uint64 { uid++; return uid }})
	l.b = x.b
	x.v = x.b.AddVhost(meta.Vhost{Cluster: "c", Name: "v"}, "v")
	x.p = x.v.NewPublisher()
	args := amqp.Table{{Key: "x-dead-letter-exchange", Value: ""}, {Key: "x-dead-letter-routing-key", Value: "dead"}}
	for name, args := range map[string]amqp.Table{"q": args, "dead": nil} {
		if _, err := x.v.DeclareQueue(x.a, QueueDeclare{Name: name, Durable: true, Arguments: args}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		m, err := Compose(&Content{Key: "q", Properties: amqp.Properties{DeliveryMode: 2}}, 1<<17)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.p.Publish(&m); err != nil {
			t.Fatal(err)
		}
		x.p.Flush(nil, false)
	}
	q, seq, _, _ := x.take("q", false)
	x.p.SettleWith(q, nil, []uint64{seq}, false)
	x.p.Flush(nil, false)
	x.reject("q")
	if want := []bool{true, true}; !slices.Equal(l.before, want) {
		t.Errorf("needed before: %t, want %t", l.before, want)
	}
	if want := []bool{false, false}; !slices.Equal(l.after, want) {
		t.Errorf("needed after: %t, want %t", l.after, want)
	}
}
