package server

import (
	"log/slog"
	"net"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestDrain: clients are told why they are sent away, and can come back when it
// is over.
func TestDrain(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Logger: slog.New(slog.DiscardHandler), Version: "test", Heartbeat: 60, MaxMessageSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.ServeAMQP(l) }()
	url := "amqp://guest:guest@" + l.Addr().String() + "/"
	const clients = 5
	var told [clients]chan *amqp091.Error
	for i := range told {
		c, err := amqp091.Dial(url)
		if err != nil {
			t.Fatal(err)
		}
		told[i] = c.NotifyClose(make(chan *amqp091.Error, 1))
	}
	s.Drain(time.Second)
	s.Drain(time.Hour) // goes on as it was
	for i := range told {
		select {
		case e := <-told[i]:
			if e == nil || e.Code != 320 || e.Reason != "CONNECTION_FORCED - "+drainReason {
				t.Errorf("client %d is told %v", i, e)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("a client is still there")
		}
	}
	if d := s.Draining(); d.Since.IsZero() {
		t.Error("it does not say that it drains")
	}
	if c, err := amqp091.Dial(url); err == nil {
		t.Error("a new client is taken")
		_ = c.Close()
	}
	s.Undrain()
	s.Undrain()
	c, err := amqp091.Dial(url)
	if err != nil {
		t.Fatalf("a client after the drain: %v", err)
	}
	_ = c.Close()
}
