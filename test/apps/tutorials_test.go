package apps_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/warrentest"
)

// goClient is amqp091-go as the tutorials use it: what goes wrong ends the test.
type goClient struct {
	t    *testing.T
	conn *amqp091.Connection
}

func (g goClient) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g goClient) channel() *amqp091.Channel {
	g.t.Helper()
	ch, err := g.conn.Channel()
	g.must(err)
	return ch
}

func (g goClient) queue(ch *amqp091.Channel, name string) string {
	g.t.Helper()
	q, err := ch.QueueDeclare(name, false, false, name == "", false, nil)
	g.must(err)
	return q.Name
}

func (g goClient) publish(ch *amqp091.Channel, exchange, key string, m amqp091.Publishing) {
	g.t.Helper()
	g.must(ch.PublishWithContext(context.Background(), exchange, key, false, false, m))
}

// receive returns the bodies of n messages.
func (g goClient) receive(from <-chan amqp091.Delivery, n int) (bodies []string) {
	g.t.Helper()
	for range n {
		select {
		case d := <-from:
			bodies = append(bodies, string(d.Body))
			g.must(d.Ack(false))
		case <-time.After(20 * time.Second):
			g.t.Fatalf("%d messages of %d", len(bodies), n)
		}
	}
	return bodies
}

func (g goClient) consume(ch *amqp091.Channel, queue string) <-chan amqp091.Delivery {
	g.t.Helper()
	from, err := ch.Consume(queue, "", false, false, false, false, nil)
	g.must(err)
	return from
}

func TestGo(t *testing.T) {
	t.Parallel()
	conn, err := amqp091.Dial("amqp://guest:guest@" + warrentest.Start(t).Listen())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	g := goClient{t, conn}
	g.workQueue()
	g.routed("logs", "fanout", []string{""}, []string{"hello"}, []string{"hello"})
	g.routed("direct_logs", "direct", []string{"warning", "error"}, []string{"info", "warning", "error"}, []string{"warning", "error"})
	g.routed("topic_logs", "topic", []string{"kern.*", "#.rabbit"}, []string{"kern.info", "cron.info", "lazy.brown.rabbit"},
		[]string{"kern.info", "lazy.brown.rabbit"})
	g.rpc("")
	g.rpc("amq.rabbitmq.reply-to")
	g.confirms()
}

// workQueue: two workers with a prefetch of one share the work.
func (g goClient) workQueue() {
	ch := g.channel()
	g.queue(ch, "tasks")
	var from [2]<-chan amqp091.Delivery
	for i := range from {
		w := g.channel()
		g.must(w.Qos(1, 0, false))
		from[i] = g.consume(w, "tasks")
	}
	for i := range 6 {
		g.publish(ch, "", "tasks", amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte(strconv.Itoa(i))})
	}
	var got []string
	for range 3 {
		got = append(got, g.receive(from[0], 1)...)
		got = append(got, g.receive(from[1], 1)...)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5"}) {
		g.t.Errorf("work: %v", got)
	}
}

// routed binds a queue of its own by keys, publishes and compares.
func (g goClient) routed(exchange, kind string, bound, sent, want []string) {
	ch := g.channel()
	g.must(ch.ExchangeDeclare(exchange, kind, true, false, false, false, nil))
	q := g.queue(ch, "")
	for _, key := range bound {
		g.must(ch.QueueBind(q, key, exchange, false, nil))
	}
	from := g.consume(ch, q)
	for _, key := range sent {
		g.publish(ch, exchange, key, amqp091.Publishing{Body: []byte(key)})
	}
	if got := g.receive(from, len(want)); !slices.Equal(got, want) {
		g.t.Errorf("%s: %v, want %v", kind, got, want)
	}
}

// rpc asks a server by a queue for answers, or by direct reply-to.
func (g goClient) rpc(replyTo string) {
	server, client := g.channel(), g.channel()
	requests := g.consume(server, g.queue(server, "rpc"))
	go func() {
		for d := range requests {
			n, _ := strconv.Atoi(string(d.Body))
			_ = server.PublishWithContext(context.Background(), "", d.ReplyTo, false, false, amqp091.Publishing{
				CorrelationId: d.CorrelationId, Body: fmt.Append(nil, n*n),
			})
			_ = d.Ack(false)
		}
	}()
	if replyTo == "" {
		replyTo = g.queue(client, "")
	}
	answers, err := client.Consume(replyTo, "", true, false, false, false, nil)
	g.must(err)
	for n := range 5 {
		g.publish(client, "", "rpc", amqp091.Publishing{ReplyTo: replyTo, CorrelationId: strconv.Itoa(n), Body: []byte(strconv.Itoa(n))})
	}
	for range 5 {
		select {
		case d := <-answers:
			n, _ := strconv.Atoi(d.CorrelationId)
			if string(d.Body) != strconv.Itoa(n*n) {
				g.t.Errorf("the square of %d: %s", n, d.Body)
			}
		case <-time.After(20 * time.Second):
			g.t.Fatal("no answer")
		}
	}
	g.must(server.Close())
}

// confirms: each publish is confirmed, the last one returned before.
func (g goClient) confirms() {
	ch := g.channel()
	g.must(ch.Confirm(false))
	returned := ch.NotifyReturn(make(chan amqp091.Return, 1))
	q := g.queue(ch, "")
	for i := range 20 {
		key := q
		if i == 19 {
			key = "nowhere"
		}
		c, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), "", key, true, false, amqp091.Publishing{})
		g.must(err)
		if ok, err := c.WaitContext(context.Background()); !ok || err != nil {
			g.t.Errorf("publish %d: %v %v", i, ok, err)
		}
	}
	if r := <-returned; r.ReplyText != "NO_ROUTE" {
		g.t.Errorf("returned: %+v", r)
	}
}
