package session_test

import (
	"encoding/json"
	"net/http"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// TestUncommitted: what a transaction holds can be seen until it ends.
func TestUncommitted(t *testing.T) {
	t.Parallel()
	b, ch, must := managed(t)
	publish := func() error {
		return ch.PublishWithContext(t.Context(), "", "q", false, false, amqp091.Publishing{Body: []byte("x")})
	}
	holds := func(messages, acks int) {
		t.Helper()
		_, err := ch.QueueDeclarePassive("q", false, false, false, false, nil) // answered behind what came before
		must(err)
		var list []struct {
			Messages int `json:"messages_uncommitted"`
			Acks     int `json:"acks_uncommitted"`
		}
		status, answer := b.Manage(http.MethodGet, "/api/channels", "")
		must(json.Unmarshal([]byte(answer), &list))
		if status != http.StatusOK || len(list) != 1 || list[0].Messages != messages || list[0].Acks != acks {
			t.Errorf("%d %+v, want %d messages, %d acks", status, list, messages, acks)
		}
	}
	_, err := ch.QueueDeclare("q", false, false, false, false, nil)
	must(err, publish(), ch.Tx(), publish(), publish())
	d, ok, err := ch.Get("q", false)
	if must(err); !ok {
		t.Fatal("nothing is there")
	}
	must(d.Ack(false))
	holds(2, 1)
	must(ch.TxRollback())
	holds(0, 0)
	must(publish(), d.Ack(false))
	holds(1, 1)
	must(ch.TxCommit())
	holds(0, 0)
}

// managed starts a broker with an HTTP API and opens a channel; must ends the
// test with an error.
func managed(t *testing.T) (b *warrentest.Broker, ch *amqp091.Channel, must func(...error)) {
	t.Helper()
	b = warrentest.Start(t)
	conn, err := amqp091.DialConfig(b.URL(), amqp091.Config{Dial: b.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if ch, err = conn.Channel(); err != nil {
		t.Fatal(err)
	}
	return b, ch, func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
