package session_test

import (
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
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
