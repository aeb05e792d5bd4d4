package warrentest_test

import (
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/warrenmq/warren/warrentest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, b *warrentest.Broker) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func TestPublishAndConsume(t *testing.T) {
	b := warrentest.Start(t)
	ch := dial(t, b)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.PublishWithContext(t.Context(), "", q.Name, true, false, amqp091.Publishing{Body: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	msgs, err := ch.ConsumeWithContext(t.Context(), q.Name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-msgs:
		if string(m.Body) != "hello" {
			t.Fatalf("got %q", m.Body)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no message")
	}
}

func TestRestartKeepsDefinitions(t *testing.T) {
	b := warrentest.Start(t)
	if _, err := dial(t, b).QueueDeclare("kept", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	b.Restart()
	if _, err := dial(t, b).QueueDeclarePassive("kept", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
}

func TestTenantOverAPort(t *testing.T) {
	b := warrentest.Start(t)
	tenant := b.Tenant("shop", "orders", "worker")
	conn, err := amqp091.DialConfig("amqp://"+b.Listen(), amqp091.Config{
		Vhost: tenant.Vhost, SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: tenant.Role, Password: tenant.Key}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		warrentest.Start(b).Stop()
	}
}
