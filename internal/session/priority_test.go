package session_test

import (
	"strconv"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// TestPriorityRepeated: messages that are published like the one before keep
// its priority.
func TestPriorityRepeated(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	_, ch := x.channel(t)
	if _, err := ch.QueueDeclare("q", false, false, false, false, amqp091.Table{"x-max-priority": 9}); err != nil {
		t.Fatal(err)
	}
	const each = 50
	for _, priority := range []uint8{1, 7, 0, 9} {
		for range each {
			if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Priority: priority, Body: []byte{priority}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, want := range []byte{9, 7, 1, 0} {
		for range each {
			d, ok, err := ch.Get("q", true)
			if err != nil || !ok || d.Body[0] != want {
				t.Fatalf("message of group %d: %v, %t, %v, want priority %d", i, d.Body, ok, err, want)
			}
		}
	}
}

// TestQuorumPriorities: a quorum queue orders by 32 priorities, and takes 4 for
// none; what comes back is the next in any case.
func TestQuorumPriorities(t *testing.T) {
	t.Parallel()
	b := warrentest.Start(t)
	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", true, false, false, false, amqp091.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	publish := func(ch *amqp091.Channel, text string, priority uint8) {
		if err := ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Priority: priority, Body: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	var first amqp091.Delivery
	get := func(ch *amqp091.Channel, want string) {
		t.Helper()
		d, ok, err := ch.Get("q", false)
		if err != nil || !ok || string(d.Body) != want {
			t.Fatalf("got %q, %t, %v, want %q", d.Body, ok, err, want)
		}
		if first.Body == nil {
			first = d
		}
	}
	for _, p := range []uint8{3, 40, 0, 31, 5} { // amqp091-go does not send 0
		publish(ch, "p"+strconv.Itoa(int(p)), p)
	}
	get(ch, "p40")
	publish(ch, "late", 200)
	if err := first.Nack(false, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p40", "p31", "late", "p5"} {
		get(ch, want)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	if conn, err = amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial}); err != nil {
		t.Fatal(err)
	}
	if ch, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"p40", "p31", "late", "p5", "p0", "p3"} {
		get(ch, want)
	}
}
