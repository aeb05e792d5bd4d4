package mgmt

import (
	"encoding/json"
	"math"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// TestArgumentsWithoutJSON: what AMQP has and JSON has not does not keep anybody
// from seeing the list that it is in, nor from the rest of the messages.
func TestArgumentsWithoutJSON(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	v, _ := n.Broker.Vhost(meta.VhostRef{Cluster: n.Store.DefaultCluster().ID, Name: "/"})
	actor := &broker.Actor{User: "guest", Rights: n.all}
	strange := amqp.Table{
		{Key: "x-note", Value: math.NaN()}, {Key: "x-list", Value: []any{math.Inf(1), float32(math.Inf(-1)), 1.5, float32(0.1)}},
	}
	const want = `"x-list":["+Inf","-Inf",1.5,0.1],"x-note":"NaN"`
	for _, durable := range []bool{false, true} {
		name := map[bool]string{false: "q", true: "durable"}[durable]
		if _, e := v.DeclareQueue(actor, broker.QueueDeclare{Name: name, Durable: durable, Arguments: strange}); e != nil {
			t.Fatal(e)
		}
		m, err := broker.Compose(&broker.Content{Key: name, Properties: amqp.Properties{Headers: strange}}, frameMax)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.publishOne(v, &m); err != nil {
			t.Fatal(err)
		}
		if code, text, _ := n.do(t, "guest", "guest", "POST", "/api/queues/%2F/"+name+"/get",
			`{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}`); code != 200 || !strings.Contains(text, want) || !json.Valid([]byte(text)) {
			t.Errorf("a message: %d %s", code, text)
		}
	}
	for _, path := range []string{"/api/queues", "/api/queues?page=1", "/api/queues/%2F/q", "/api/definitions"} {
		code, text, _ := n.do(t, "guest", "guest", "GET", path, "")
		if code != 200 || !json.Valid([]byte(text)) || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
}

// TestAnswerWithoutJSON: what cannot be written is no success.
func TestAnswerWithoutJSON(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := writeAnswer(w, math.NaN()); err == nil || w.Code != 500 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%v, %d %s", err, w.Code, w.Body)
	}
}
