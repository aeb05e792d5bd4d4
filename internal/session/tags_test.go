package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// TestTagsAscend: delivery tags come in their order, also when basic.get is answered, or an answer to a request comes, while
// the writer is about to serve a consumer. Else a client that acknowledges several at once settles what it has not seen.
func TestTagsAscend(t *testing.T) {
	t.Parallel()
	for _, q := range []string{"got", "amq.rabbitmq.reply-to"} {
		t.Run(q, func(t *testing.T) {
			t.Parallel()
			x := newTenant(t, both)
			p, other := x.greet(t), x.greet(t)
			conn := x.node.Registry().Living()[0]
			p.exchange(t, &amqp.ChannelOpen{})
			other.exchange(t, &amqp.ChannelOpen{})
			p.exchange(t, &amqp.QueueDeclare{Queue: "got"})
			p.exchange(t, &amqp.QueueDeclare{Queue: "consumed"})
			p.exchange(t, &amqp.BasicConsume{Queue: "consumed"})
			to := "got"
			if q != to {
				p.exchange(t, &amqp.BasicConsume{Queue: q, NoAck: true})
				to = replyTo(t, p)
			} else {
				other.publish(t, to, "")
			}
			until := func(what string, ok func() bool) {
				for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Error(what)
						return
					}
				}
			}
			conn.Slowly(func() {
				other.publish(t, "consumed", "")
				until("no consumer is woken", func() bool { return conn.Woken() > 0 })
			}, func() {
				if q == to {
					p.send(t, "C 1: basic.get Queue=got")
				} else {
					other.publish(t, to, "")
				}
				until("there is no answer", func() bool { return conn.OutboxBytes() > 0 })
			})
			first, second := nextTag(t, p), nextTag(t, p)
			if second != first+1 {
				t.Errorf("tag %d behind %d", second, first)
			}
		})
	}
}

// publish publishes a message to a queue.
func (p *peer) publish(t *testing.T, q, replyTo string) {
	t.Helper()
	lines := []string{"C 1: basic.publish RoutingKey=" + q, `C 1: content "x"`}
	if replyTo != "" {
		lines[1] += " ReplyTo=" + replyTo
	}
	p.send(t, lines...)
}

// replyTo returns where answers to the client's requests go.
func replyTo(t *testing.T, p *peer) string {
	t.Helper()
	p.publish(t, "got", "amq.rabbitmq.reply-to")
	text := p.exchange(t, &amqp.BasicGet{Queue: "got", NoAck: true})
	_, to, ok := strings.Cut(text, " ReplyTo=")
	if !ok {
		t.Fatal(text)
	}
	return to
}

// nextTag reads a delivery and returns its tag.
func nextTag(t *testing.T, p *peer) uint64 {
	t.Helper()
	for {
		f, err := p.frame(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if f.Type != amqp.FrameMethod {
			continue
		}
		m, err := amqp.DecodeMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *amqp.BasicDeliver:
			return m.DeliveryTag
		case *amqp.BasicGetOk:
			return m.DeliveryTag
		}
	}
}
