package session_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestLatencies: how long publishes and acknowledgements take is told of the
// queue and of the exchange, and in the metrics.
func TestLatencies(t *testing.T) {
	t.Parallel()
	b, ch, must := managed(t)
	_, err := ch.QueueDeclare("q", true, false, false, false, nil)
	must(err, ch.QueueBind("q", "k", "amq.direct", false, nil), ch.Confirm(false))
	for range 40 { // one batch in sixteen is timed
		c, err := ch.PublishWithDeferredConfirm("amq.direct", "k", false, false, amqp091.Publishing{DeliveryMode: 2, Body: []byte("x")})
		if must(err); !c.Wait() {
			t.Fatal("a publish was not confirmed")
		}
	}
	const held = 60 * time.Millisecond
	d, ok, err := ch.Get("q", false)
	if must(err); !ok {
		t.Fatal("nothing is there")
	}
	time.Sleep(held)
	must(d.Ack(false))
	_, err = ch.QueueDeclarePassive("q", true, false, false, false, nil) // answered behind the acknowledgement
	must(err)
	type latency struct {
		Samples             int
		P50, P95, P99, P999 float64
	}
	for path, acks := range map[string]bool{"/api/queues/%2F/q": true, "/api/exchanges/%2F/amq.direct": false} {
		var view struct {
			Latency struct{ Publish, Ack *latency }
		}
		status, answer := b.Manage(http.MethodGet, path, "")
		must(json.Unmarshal([]byte(answer), &view))
		p, a := view.Latency.Publish, view.Latency.Ack
		if status != http.StatusOK || p == nil || p.Samples < 2 || p.P50 <= 0 || p.P95 < p.P50 || p.P99 < p.P95 || p.P999 < p.P99 {
			t.Errorf("%s: %d, publishing takes %+v in %s", path, status, p, answer)
		}
		if (a != nil) != acks || acks && (a.Samples != 1 || a.P50 < held.Seconds()*3/4) {
			t.Errorf("%s: acknowledging takes %+v", path, a)
		}
	}
	status, text := b.Manage(http.MethodGet, "/metrics/per-object", "")
	for _, want := range []string{
		`warren_queue_publish_latency_seconds{vhost="/",queue="q",quantile="0.999"} `,
		`warren_queue_ack_latency_seconds{vhost="/",queue="q",quantile="0.5"} `,
		`warren_queue_ack_latency_seconds_count{vhost="/",queue="q"} 1` + "\n",
		`warren_exchange_publish_latency_seconds{vhost="/",exchange="amq.direct",quantile="0.95"} `,
		"warren_ack_latency_seconds_count 1\n", `warren_publish_latency_seconds{quantile="0.99"} `,
	} {
		if status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%d, %s is missing", status, want)
		}
	}
}
