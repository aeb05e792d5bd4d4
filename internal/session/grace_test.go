package session_test

import (
	"sync"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestConsumersAtOnce: more clients consume at once than are waited for, whether something comes behind their
// basic.consume. Each gets its consume-ok, and what is published then.
func TestConsumersAtOnce(t *testing.T) {
	t.Parallel()
	const clients, rounds = 40, 3
	x := newTenant(t, both)
	_, pub := x.channel(t)
	if err := pub.ExchangeDeclare("all", "fanout", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	channels := make([]*amqp091.Channel, clients)
	for i := range channels {
		_, channels[i] = x.channel(t)
	}
	var ready, done sync.WaitGroup
	ready.Add(clients)
	for _, ch := range channels {
		done.Go(func() {
			var all []<-chan amqp091.Delivery
			for range rounds {
				all = append(all, consumeAll(t, ch))
			}
			ready.Done()
			for _, deliveries := range all {
				if d, ok := <-deliveries; !ok || string(d.Body) != "x" {
					t.Errorf("delivered %q, %v", d.Body, ok)
				}
			}
		})
	}
	ready.Wait()
	if err := pub.PublishWithContext(t.Context(), "all", "", false, false, amqp091.Publishing{Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	done.Wait()
}

// consumeAll consumes a queue of its own that gets all.
func consumeAll(t *testing.T, ch *amqp091.Channel) <-chan amqp091.Delivery {
	t.Helper()
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err == nil {
		err = ch.QueueBind(q.Name, "", "all", false, nil)
	}
	if err != nil {
		t.Error(err)
	}
	deliveries, err := ch.ConsumeWithContext(t.Context(), q.Name, "", true, false, false, false, nil)
	if err != nil {
		t.Error(err)
	}
	return deliveries
}
