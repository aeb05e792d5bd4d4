package mgmt

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/process"
)

// manyQueues makes n queues in the default vhost.
func manyQueues(t *testing.T, a *API, n int) {
	t.Helper()
	v, _ := a.Broker.Vhost(meta.VhostRef{Cluster: a.Store.DefaultCluster().ID, Name: "/"})
	actor := &broker.Actor{User: "t", Rights: a.all}
	for i := range n {
		if _, err := v.DeclareQueue(actor, broker.QueueDeclare{Name: fmt.Sprintf("queue-%06d", i*7919%n)}); err != nil {
			t.Fatal(err)
		}
	}
}

// publish brings each queue of the default vhost a message.
func publish(t *testing.T, a *API, queues ...string) {
	t.Helper()
	v, _ := a.Broker.Vhost(meta.VhostRef{Cluster: a.Store.DefaultCluster().ID, Name: "/"})
	p := v.NewPublisher()
	for _, name := range queues {
		m, err := broker.Compose(&broker.Content{Key: name}, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(&m); err != nil {
			t.Fatal(err)
		}
	}
	p.Flush(nil, false)
}

// TestPages goes through pages as clients ask for them, and measures one out of
// many queues.
func TestPages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	many := 10_000
	if n, err := strconv.Atoi(os.Getenv("QUEUES")); err == nil { // QUEUES=100000 measures
		many = n
	}
	manyQueues(t, n.API, many)
	h := n.OwnerHandler()
	publish(t, n.API, "queue-000007", "queue-000003", "queue-000007")
	get := func(path string) (status int, body string, best time.Duration) {
		best = time.Hour
		for range 3 { // the collector works beside some
			w := httptest.NewRecorder()
			start := process.Read("").CPU // of the processor: others may be busy
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
			best = min(best, process.Read("").CPU-start)
			status, body = w.Code, w.Body.String()
		}
		return status, body, best
	}
	for _, c := range []struct {
		query  string
		status int
		has    string
	}{
		{"page=1", 200, fmt.Sprintf(`{"filtered_count":%d,"item_count":100,"items":[{"name":"queue-000000"`, many)},
		{"page=2&page_size=10", 200, `"items":[{"name":"queue-000010"`},
		{"page=1&page_size=1&name=queue-00777&use_regex=false", 200, `"filtered_count":10,"item_count":1`},
		{"page=1&name=^QUEUE-00077.$&use_regex=true&pagination=false", 200, `"filtered_count":10`},
		{"page=1&name=none", 200, `"filtered_count":0,"item_count":0,"items":[],"page":1,"page_count":0`},
		{"page=1&page_size=3&sort=name&sort_reverse=true", 200, fmt.Sprintf(`"items":[{"name":"queue-%06d"`, many-1)},
		{"page=1&page_size=3&sort=messages&columns=name,messages", 200, `"items":[{"messages":0,"name":"queue-000000"}`},
		{"page=1&page_size=3&sort=messages&sort_reverse=true", 200, `"items":[{"name":"queue-000007"`},
		{"page=1&page_size=3&sort=messages_ready&sort_reverse=true&columns=name,messages", 200, `"items":[{"messages":2,"name":"queue-000007"},{"messages":1,"name":"queue-000003"},{"messages":0,"name":"queue-000000"}]`},
		{"page=1&page_size=3&sort=message_stats.publish_details.rate&sort_reverse=true", 200, `"items":[{"name":"queue-000000"`},
		{"page=1&page_size=1&sort=arguments.x", 200, `"items":[{"name":"queue-000000"`},
		{"page=0", 400, "invalid_pagination_parameters"},
		{"page=1&page_size=501", 400, "invalid_pagination_parameters"},
		{"page=x", 400, "Pagination parameters are invalid"},
		{"page=9999999", 400, "page_out_of_range"},
		{"page=9223372036854775807&page_size=500", 400, "page_out_of_range"},
		{"page=4611686018427387905&page_size=2", 400, "page_out_of_range"},
		{"page=1&use_regex=true&name=(", 400, "no regular expression"},
		{"lengths_age=60&lengths_incr=0", 400, "Invalid range parameters"},
	} {
		status, body, took := get("/api/queues?" + c.query)
		if status != c.status || !strings.Contains(body, c.has) {
			t.Errorf("%s: %d %.300s, want %s", c.query, status, body, c.has)
		}
		t.Logf("%6.1f ms for %s of %d queues", float64(took.Microseconds())/1000, c.query, many)
	}
	_, body, took := get("/api/queues?disable_stats=true&columns=name")
	t.Logf("%6.1f ms and %d bytes for all names", float64(took.Microseconds())/1000, len(body))
	var all []map[string]string
	if err := json.Unmarshal([]byte(body), &all); err != nil || len(all) != many || all[1]["name"] != "queue-000001" {
		t.Errorf("all names: %d, %v", len(all), err)
	}
}
