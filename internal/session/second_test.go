package session_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestSecondConsumer: consumers come to a queue while the channel's first one is served. It takes a queue's lock
// and the channel's, and so do they.
func TestSecondConsumer(t *testing.T) {
	t.Parallel()
	x := newTenant(t, both)
	_, ch := x.channel(t)
	_, pub := x.channel(t)
	q, err := ch.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := ch.ConsumeWithContext(t.Context(), q.Name, "first", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			_ = pub.PublishWithContext(ctx, "", q.Name, false, false, amqp091.Publishing{Body: []byte("x")})
			time.Sleep(20 * time.Microsecond) // else the client has too much to do to answer
		}
	}()
	go func() {
		for range first {
		}
	}()
	done := make(chan error, 1)
	go func() {
		for i := range 300 {
			tag := strconv.Itoa(i)
			deliveries, err := ch.ConsumeWithContext(t.Context(), q.Name, tag, true, false, false, false, nil)
			if err == nil {
				go func() {
					for range deliveries {
					}
				}()
				err = ch.Cancel(tag, false)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("a consumer waits for ever")
	}
}
