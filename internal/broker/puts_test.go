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
