package mgmt

import (
	"encoding/json"
	"fmt"
	"testing"
)

// TestDelayedMessages lists what waits in an exchange, page by page, and
// cancels it.
func TestDelayedMessages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	do := func(method, path, body string, want int) string {
		t.Helper()
		status, answer, _ := n.do(t, "guest", "guest", method, path, body)
		if status != want {
			t.Fatalf("%s %s: %d %s, want %d", method, path, status, answer, want)
		}
		return answer
	}
	const x = "/api/exchanges/%2F/d"
	do("PUT", x, `{"type":"x-delayed-message","durable":true,"arguments":{"x-delayed-type":"direct"}}`, 201)
	for i := range 5 {
		do("POST", x+"/publish", fmt.Sprintf(`{"properties":{"headers":{"x-delay":%d}},"routing_key":"k","payload":"m%d","payload_encoding":"string"}`, 60000+i, i), 200)
	}
	var ids []string
	for path := x + "/delayed?limit=2"; path != ""; {
		var page pendingView
		if err := json.Unmarshal([]byte(do("GET", path, "", 200)), &page); err != nil || page.Messages != 5 {
			t.Fatalf("%+v, %v", page, err)
		}
		for _, m := range page.Items {
			if m.Payload != fmt.Sprintf("m%d", len(ids)) || m.RoutingKey != "k" || m.Due.IsZero() {
				t.Errorf("message %d is %+v", len(ids), m)
			}
			ids = append(ids, m.ID)
		}
		path = ""
		if page.Next != "" {
			path = x + "/delayed?limit=2&from=" + page.Next
		}
	}
	if len(ids) != 5 {
		t.Fatalf("%d are listed", len(ids))
	}
	do("DELETE", x+"/delayed/"+ids[0], "", 204)
	do("DELETE", x+"/delayed/"+ids[0], "", 404)
	do("DELETE", x+"/delayed/x", "", 404)
	if got := do("DELETE", x+"/delayed", "", 200); got != `{"cancelled":4}` {
		t.Errorf("cancelled: %s", got)
	}
	do("GET", x+"/delayed?limit=0", "", 400)
	do("GET", x+"/delayed?from=x", "", 400)
	do("GET", "/api/exchanges/%2F/amq.direct/delayed", "", 404)
	do("GET", "/api/exchanges/%2F/none/delayed", "", 404)
}
