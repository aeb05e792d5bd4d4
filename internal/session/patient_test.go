package session_test

import (
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestPatience: what a client does that has long done nothing but acknowledge is answered, its
// acknowledgements count, and its end is noticed.
func TestPatience(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	conn, ch := x.channel(t)
	_, other := x.channel(t)
	if _, err := ch.QueueDeclare("q", false, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Qos(1000, 0, false); err != nil {
		t.Fatal(err)
	}
	deliveries, err := ch.ConsumeWithContext(t.Context(), "q", "me", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(n int) {
		t.Helper()
		for range n {
			if err := other.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: []byte("x")}); err != nil {
				t.Error(err)
				return
			}
		}
	}
	const many = 5000
	go publish(many)
	for range many {
		if err := (<-deliveries).Ack(false); err != nil {
			t.Fatal(err)
		}
		if len(deliveries) == 0 {
			time.Sleep(50 * time.Microsecond) // a write each, so that they are many batches
		}
	}
	if q, err := ch.QueueDeclarePassive("q", false, false, false, false, nil); err != nil || q.Messages != 0 || q.Consumers != 1 {
		t.Errorf("after %d acknowledgements: %+v, %v", many, q, err)
	}
	publish(1)
	d := <-deliveries
	if d.DeliveryTag != many+1 {
		t.Errorf("tag %d after %d", d.DeliveryTag, many)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		q, err := other.QueueDeclarePassive("q", false, false, false, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Messages == 1 && q.Consumers == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the consumer has gone, the queue says %+v", q)
		}
	}
}
