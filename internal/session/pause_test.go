package session_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// operated is a broker, a client, and the operator's view of queue q.
type operated struct {
	*warrentest.Broker

	t  *testing.T
	ch *amqp091.Channel
}

// connect gives the test a channel.
func (o *operated) connect() {
	o.t.Helper()
	conn, err := amqp091.DialConfig(o.URL(), amqp091.Config{Dial: o.Dial})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = conn.Close() })
	if o.ch, err = conn.Channel(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operated) must(errs ...error) {
	o.t.Helper()
	for _, err := range errs {
		if err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *operated) publish(body string) {
	o.t.Helper()
	o.must(o.ch.PublishWithContext(o.t.Context(), "", "q", false, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte(body)}))
}

func (o *operated) put(what string, want int) {
	o.t.Helper()
	if status, answer := o.Manage(http.MethodPut, "/api/queues/%2F/"+what, ""); status != want {
		o.t.Fatalf("%s: %d %s", what, status, answer)
	}
}

// is checks the state and the number of ready messages.
func (o *operated) is(state string, ready int) {
	o.t.Helper()
	_, err := o.ch.QueueDeclarePassive("q", true, false, false, false, nil) // answered behind what came before
	o.must(err)
	var q struct {
		State string
		Ready int `json:"messages_ready"`
	}
	_, answer := o.Manage(http.MethodGet, "/api/queues/%2F/q", "")
	o.must(json.Unmarshal([]byte(answer), &q))
	if q.State != state || q.Ready != ready {
		o.t.Errorf("the queue is %+v, want %s with %d", q, state, ready)
	}
}

// TestPause: a paused queue delivers nothing, by no way, takes what is
// published, stays paused over a restart, and goes on when it is resumed.
func TestPause(t *testing.T) {
	t.Parallel()
	o := &operated{Broker: warrentest.Start(t), t: t}
	o.connect()
	_, err := o.ch.QueueDeclare("q", true, false, false, false, nil)
	o.must(err)
	got, err := o.ch.Consume("q", "k", false, false, false, false, nil)
	o.must(err)
	o.publish("before")
	before := <-got
	o.put("q/pause", http.StatusNoContent)
	o.put("q/pause", http.StatusNoContent)
	o.put("none/pause", http.StatusNotFound)
	o.publish("one")
	o.publish("two")
	o.must(before.Ack(false))
	o.is("paused", 2)
	if _, ok, err := o.ch.Get("q", true); ok || err != nil {
		t.Errorf("basic.get of a paused queue: %v, %v", ok, err)
	}
	status, answer := o.Manage(http.MethodPost, "/api/queues/%2F/q/get", `{"count":5,"ackmode":"ack_requeue_true","encoding":"auto"}`)
	if status != http.StatusOK || !strings.Contains(answer, `"one"`) || !strings.Contains(answer, `"two"`) {
		t.Errorf("the operator sees %d %s", status, answer)
	}
	select {
	case d := <-got:
		t.Errorf("a paused queue has delivered %s", d.Body)
	case <-time.After(50 * time.Millisecond):
	}
	o.Restart()
	o.connect()
	o.is("paused", 2)
	got, err = o.ch.Consume("q", "k", false, false, false, false, nil)
	o.must(err)
	o.is("paused", 2)
	status, answer = o.Manage(http.MethodPut, "/api/queues/%2F/q/arguments", `{"arguments":{"x-max-length":10}}`)
	if status != http.StatusNoContent {
		t.Errorf("other arguments: %d %s", status, answer)
	}
	o.is("paused", 2)
	o.put("q/resume", http.StatusNoContent)
	for _, want := range []string{"one", "two"} {
		if d := <-got; string(d.Body) != want {
			t.Errorf("got %s, want %s", d.Body, want)
		}
	}
	o.is("running", 0)
	o.Restart()
	o.connect()
	o.is("running", 2)
}

// TestUnacked: who holds what, for how long.
func TestUnacked(t *testing.T) {
	t.Parallel()
	o := &operated{Broker: warrentest.Start(t), t: t}
	o.connect()
	for _, name := range []string{"q", "other"} {
		_, err := o.ch.QueueDeclare(name, true, false, false, false, nil)
		o.must(err)
	}
	o.publish("a")
	o.publish("b")
	o.publish("c")
	o.must(o.ch.PublishWithContext(t.Context(), "", "other", false, false, amqp091.Publishing{}), o.ch.Qos(2, 0, false))
	first, ok, err := o.ch.Get("q", false)
	if o.must(err); !ok {
		t.Fatal("nothing is there")
	}
	_, ok, err = o.ch.Get("other", false)
	if o.must(err); !ok {
		t.Fatal("nothing is there")
	}
	got, err := o.ch.Consume("q", "k", false, false, false, false, nil)
	o.must(err)
	<-got
	second := <-got
	type held struct {
		Tag     uint64  `json:"delivery_tag"`
		Ctag    *string `json:"consumer_tag"`
		Channel string  `json:"channel_name"`
		Conn    string  `json:"connection_name"`
		User    string
		Since   time.Time `json:"delivered_at"`
		Seconds float64   `json:"unacked_for_seconds"`
	}
	look := func(want ...uint64) []held {
		t.Helper()
		_, err := o.ch.QueueDeclarePassive("q", true, false, false, false, nil)
		o.must(err)
		var list []held
		status, answer := o.Manage(http.MethodGet, "/api/queues/%2F/q/unacked", "")
		o.must(json.Unmarshal([]byte(answer), &list))
		if status != http.StatusOK || len(list) != len(want) {
			t.Fatalf("%d %s, want %v", status, answer, want)
		}
		for i, tag := range want {
			h := &list[i]
			if h.Tag != tag || h.User != "guest" || h.Channel != h.Conn+" (1)" || h.Seconds < 0 || h.Seconds > 60 || time.Since(h.Since) > time.Minute {
				t.Errorf("%+v, want tag %d", h, tag)
			}
		}
		return list
	}
	list := look(1, 3, 4)
	if list[0].Ctag != nil || list[1].Ctag == nil || *list[1].Ctag != "k" {
		t.Errorf("consumer tags of %+v", list)
	}
	o.must(second.Ack(false))
	look(1, 3)
	o.must(first.Ack(false))
	look(3)
	if status, answer := o.Manage(http.MethodGet, "/api/queues/%2F/q/unacked?page=1&page_size=1", ""); status != http.StatusOK ||
		!strings.Contains(answer, `"total_count":1`) {
		t.Errorf("a page: %d %s", status, answer)
	}
}
