package mgmt_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/warrenmq/warren/internal/server"
)

// The golden test compares the answer to every GET with RabbitMQ's on the same
// objects: its status, and each field with the JSON types it was seen with.
// testdata/fields-4.3.6.json is what RabbitMQ 4.3.6 gave; with RABBITMQ_API
// and RABBITMQ_AMQP set to the URLs of one that runs it is asked anew, and with
// -rewrite its answers are written down.
var rewrite = flag.Bool("rewrite", false, "write RabbitMQ's answers into the golden file")

const goldenFile = "testdata/fields-4.3.6.json"

// recorded is what is kept of an answer.
type recorded struct {
	Status int               `json:"status"`
	Fields map[string]string `json:"fields,omitempty"` // path: types
}

// goldenPaths are all GETs; names in braces are filled in.
func goldenPaths() []string {
	return strings.Fields(`
		overview cluster-name whoami version extensions nodes nodes/{node} nodes/{node}/memory
		connections connections/{conn} connections/{conn}/channels connections/{conn}/sessions connections/username/guest
		vhosts/golden/connections vhosts/golden/channels channels channels/{chan} consumers consumers/golden
		exchanges exchanges/golden exchanges/golden/gx exchanges/golden/gx/bindings/source exchanges/golden/gx2/bindings/destination
		queues queues/golden queues/golden/gq queues/golden/gqq queues/golden/gexcl queues/golden/gsac queues/golden/gq/bindings
		queues/detailed bindings bindings/golden bindings/golden/e/gx/q/gq bindings/golden/e/gx/q/gq/a.%23 bindings/golden/e/gx/e/gx2
		vhosts vhosts/golden vhosts/golden/permissions vhosts/golden/topic-permissions
		users users/gann users/without-permissions users/gann/permissions users/gann/topic-permissions
		permissions permissions/golden/gann topic-permissions topic-permissions/golden/gann topic-permissions/golden/gann/amq.topic
		policies policies/golden policies/golden/gp operator-policies operator-policies/golden operator-policies/golden/gop
		parameters parameters/vhost-limits parameters/vhost-limits/golden parameters/vhost-limits/golden/limits parameters/nosuch
		global-parameters global-parameters/gparam vhost-limits vhost-limits/golden user-limits user-limits/gann
		definitions definitions/golden all-configuration
		health/checks/alarms health/checks/local-alarms health/checks/virtual-hosts health/checks/port-listener/{port}
		health/checks/port-listener/1 health/checks/protocol-listener/amqp health/checks/protocol-listener/mqtt
		health/checks/node-is-quorum-critical health/checks/is-in-service health/checks/below-node-connection-limit
		health/checks/ready-to-serve-clients health/checks/certificate-expiration/1/weeks health/checks/certificate-expiration/1/foo
		health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/.*
		health/checks/quorum-queues-without-elected-leaders/vhost/golden/pattern/.*
		health/checks/metadata-store/initialized health/checks/metadata-store/initialized/with-data
		health/checks/reached-target-cluster-size aliveness-test/golden healthchecks/node
		feature-flags deprecated-features auth/attempts/{node} auth/attempts/{node}/source
		auth/hash_password/abc queues/quorum/golden/gqq/status
		queues?page=1&page_size=2&name=^gqq$&use_regex=true&sort=messages&sort_reverse=true queues?page=9&page_size=2 queues?page=x
		queues?page=1&page_size=501 queues/golden?columns=name,message_stats.publish_details.rate queues/golden?disable_stats=true
		queues/golden/gq?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5
		overview?lengths_age=60&lengths_incr=5&msg_rates_age=60&msg_rates_incr=5 nodes/{node}?node_stats_age=60&node_stats_incr=5
		queues/golden/nosuch exchanges/golden/nosuch vhosts/nosuch nodes/nosuch users/nosuch nosuch shovels federation-links`)
}

// differences are those that are known: the end of a field's path, and why.
func differences() map[string]string {
	return map[string]string{
		"garbage_collection": "Erlang's", "reductions": "Erlang's", "reductions_details": "Erlang's", "cached_segments": "Erlang's",
		"pending_raft_commands": "RabbitMQ's Raft", "open_files": "RabbitMQ's Raft", "Last Log Index": "RabbitMQ's Raft",
		"Last Written": "RabbitMQ's Raft", "Last Applied": "RabbitMQ's Raft", "Commit Index": "RabbitMQ's Raft",
		"Snapshot Index": "RabbitMQ's Raft", "Term": "RabbitMQ's Raft", "Machine Version": "RabbitMQ's Raft",
		"message_bytes_dlx": "at-least-once dead letters", "messages_dlx": "at-least-once dead letters",
		"messages_delayed": "of delayed retries", "delayed_retry": "of delayed retries", "messages_active_priorities": "not counted",
		"messages_by_priority": "not counted", "messages_ready_returned": "not counted", "publishers": "not counted",
		"idle_since": "told after two samples", "consumer_timeout": "not shown", "javascript": "a browser's extension",
		"disk_reads": "not counted", "disk_writes": "not counted", "disk_reads_details": "not counted", "disk_writes_details": "not counted",
		"gc_bytes_reclaimed_details": "Erlang's", "context_switches_details": "Erlang's",
		"ssl_cipher": "null or text", "ssl_hash": "null or text", "ssl_key_exchange": "null or text", "ssl_protocol": "null or text",
		"peer_cert_subject": "null or text", "peer_cert_issuer": "null or text", "peer_cert_serial_number": "null or text",
		"peer_cert_validity": "null or text",
		"incoming":           "by exchange and queue: not counted", "deliveries": "by channel and queue: not counted",
		"publishes": "by channel and exchange: not counted", "outgoing": "by exchange and queue: not counted",
	}
}

// excused says why a field may be another, or nothing.
func excused(path string) string {
	known := differences()
	for part := range strings.SplitSeq(path, ".") {
		part = strings.TrimSuffix(part, "[]")
		if why := known[part]; why != "" {
			return why
		}
		for _, prefix := range []string{"io_", "mnesia_", "msg_store_", "queue_index_"} {
			if strings.HasPrefix(part, prefix) && strings.HasSuffix(part, "_details") {
				return "Erlang's"
			}
		}
	}
	return ""
}

// peer is a broker that is asked.
type peer struct{ api, amqp string }

func (p *peer) call(t *testing.T, method, path, body string) (int, any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.api+"/api/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("guest", "guest")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if json.Unmarshal(b, &v) != nil {
		v = string(b)
	}
	return resp.StatusCode, v
}

// build makes the objects.
func (p *peer) build(t *testing.T) {
	t.Helper()
	p.call(t, "DELETE", "vhosts/golden", "")
	for _, c := range [][2]string{
		{"vhosts/golden", `{"description":"d","tags":"a,b"}`},
		{"permissions/golden/guest", `{"configure":".*","write":".*","read":".*"}`},
		{"users/gann", `{"password":"x","tags":"monitoring,management"}`},
		{"permissions/golden/gann", `{"configure":".*","write":".*","read":".*"}`},
		{"topic-permissions/golden/gann", `{"exchange":"amq.topic","write":"a.*","read":".*"}`},
		{"users/gnoperm", `{"password_hash":"","tags":""}`},
		{"policies/golden/gp", `{"pattern":"^gq$","definition":{"max-length":900},"apply-to":"queues","priority":1}`},
		{"operator-policies/golden/gop", `{"pattern":"^gq$","definition":{"max-length":950},"apply-to":"queues"}`},
		{"vhost-limits/golden/max-queues", `{"value":100}`},
		{"user-limits/gann/max-channels", `{"value":100}`},
		{"global-parameters/gparam", `{"name":"gparam","value":{"a":1}}`},
	} {
		if status, body := p.call(t, "PUT", c[0], c[1]); status != 201 && status != 204 {
			t.Fatalf("%s: %d %v", c[0], status, body)
		}
	}
}

// traffic publishes, consumes and gets for a while; its connection stays open
// until the test ends.
func (p *peer) traffic(t *testing.T, d time.Duration) {
	t.Helper()
	conn, err := amqp091.DialConfig(p.amqp, amqp091.Config{Vhost: "golden", Properties: amqp091.Table{"connection_name": "golden"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var channels [3]*amqp091.Channel
	for i := range channels {
		if channels[i], err = conn.Channel(); err != nil {
			t.Fatal(err)
		}
	}
	ch := channels[0]
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ch.Confirm(false))
	must(ch.ExchangeDeclare("gx", "topic", true, false, false, false, nil))
	must(ch.ExchangeDeclare("gx2", "fanout", true, false, false, false, nil))
	for name, args := range map[string]amqp091.Table{
		"gq": {"x-max-length": 1000}, "gqq": {"x-queue-type": "quorum"}, "gsac": {"x-single-active-consumer": true},
	} {
		_, err = ch.QueueDeclare(name, true, false, false, false, args)
		must(err)
	}
	_, err = ch.QueueDeclare("gexcl", false, false, true, false, nil)
	must(err)
	must(ch.QueueBind("gq", "a.#", "gx", false, nil))
	must(ch.ExchangeBind("gx2", "b", "gx", false, nil))
	must(ch.Qos(5, 0, false))
	deliveries, err := channels[1].ConsumeWithContext(t.Context(), "gq", "ct1", false, false, false, false, amqp091.Table{"x-priority": 3})
	must(err)
	go func() {
		for m := range deliveries {
			_ = m.Ack(false)
		}
	}()
	go func() {
		for range ch.NotifyReturn(make(chan amqp091.Return, 1)) {
			continue
		}
	}()
	persistent := amqp091.Publishing{DeliveryMode: 2, Body: []byte("hello")}
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		must(ch.PublishWithContext(t.Context(), "gx", "a.b", false, false, persistent))
		must(ch.PublishWithContext(t.Context(), "", "gqq", false, false, persistent))
		must(ch.PublishWithContext(t.Context(), "gx", "nope", true, false, persistent))
		if m, ok, err := ch.Get("gqq", false); err == nil && ok {
			_ = m.Ack(false)
		}
		_, _, err = ch.Get("gqq", true)
		must(err)
	}
}

// ask records the answers to all paths.
func (p *peer) ask(t *testing.T) map[string]recorded {
	t.Helper()
	text := func(path string, has func(map[string]any) bool) string {
		_, v := p.call(t, "GET", path, "")
		list, _ := v.([]any)
		for _, o := range list {
			if m, ok := o.(map[string]any); ok && has(m) {
				return url.PathEscape(fmt.Sprint(m["name"]))
			}
		}
		t.Fatalf("nothing in %s: %v", path, v)
		return ""
	}
	at, err := url.Parse(p.amqp)
	if err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer(
		"{node}", text("nodes", func(map[string]any) bool { return true }), "{port}", at.Port(),
		"{conn}", text("vhosts/golden/connections", func(map[string]any) bool { return true }),
		"{chan}", text("vhosts/golden/channels", func(m map[string]any) bool { return m["consumer_count"] == 1.0 }),
	)
	all := map[string]recorded{}
	for _, path := range goldenPaths() {
		status, v := p.call(t, "GET", fill.Replace(path), "")
		types := map[string]map[string]bool{}
		fields("", "", v, types)
		r := recorded{Status: status, Fields: map[string]string{}}
		for name, set := range types {
			r.Fields[name] = strings.Join(slices.Sorted(maps.Keys(set)), " ")
		}
		all[path] = r
	}
	return all
}

// free are fields whose members are a user's or differ by what there is.
func free(key string) bool {
	return slices.Contains([]string{
		"arguments", "client_properties", "effective_policy_definition", "definition", "cluster_state", "limits", "value",
		"metrics_gc_queue_length", "ra_open_file_metrics", "socket_opts", "messages_by_priority", "open_files", "cluster_tags", "node_tags",
	}, key)
}

// fields collects the types of all fields below a path.
func fields(path, key string, v any, out map[string]map[string]bool) {
	var kind string
	switch v := v.(type) {
	case map[string]any:
		kind = "object"
		if !free(key) {
			for k, inner := range v {
				fields(path+"."+k, k, inner, out)
			}
		}
	case []any:
		kind = "list"
		for _, inner := range v {
			if _, ok := inner.(map[string]any); ok {
				fields(path+"[]", key, inner, out)
			}
		}
	case string:
		kind = "text"
	case float64:
		kind = "number"
	case bool:
		kind = "truth"
	default:
		kind = "null"
	}
	if out[path] == nil {
		out[path] = map[string]bool{}
	}
	out[path][kind] = true
}

// missingFrom lists what theirs has and ours has not, or with other types.
func missingFrom(theirs, ours recorded) (list []string, known int) {
	if theirs.Status != ours.Status {
		return []string{fmt.Sprintf("status %d, theirs %d", ours.Status, theirs.Status)}, 0
	}
	for _, path := range slices.Sorted(maps.Keys(theirs.Fields)) {
		parent := path
		if i := strings.LastIndexAny(strings.TrimSuffix(path, "[]"), ".["); i > 0 {
			parent = strings.TrimSuffix(path[:i], "[]")
		}
		if _, ok := ours.Fields[parent]; !ok && parent != path {
			continue // the parent is listed
		}
		got, ok := ours.Fields[path]
		same := ok && slices.ContainsFunc(strings.Fields(got), func(kind string) bool {
			return slices.Contains(strings.Fields(theirs.Fields[path]), kind)
		})
		switch {
		case same:
		case excused(path) != "" || strings.HasSuffix(path, "[]"):
			known++
		default:
			list = append(list, fmt.Sprintf("%s is %q, theirs %q", path, got, theirs.Fields[path]))
		}
	}
	return list, known
}

// warren starts a node.
func warren(t *testing.T) *peer {
	t.Helper()
	s, err := server.Open(server.Options{
		Logger: slog.New(slog.DiscardHandler), Version: "test", ClusterName: "golden", Heartbeat: 60, MaxMessageSize: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var at [2]string
	for i, serve := range []func(net.Listener) error{s.ServeAMQP, s.ServeHTTP} {
		var lc net.ListenConfig
		l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at[i] = l.Addr().String()
		go func() { _ = serve(l) }()
	}
	return &peer{api: "http://" + at[1], amqp: "amqp://guest:guest@" + at[0]}
}

// rabbitMQ asks the RabbitMQ that runs, or reads what one has said.
func rabbitMQ(t *testing.T) map[string]recorded {
	t.Helper()
	p := &peer{api: os.Getenv("RABBITMQ_API"), amqp: os.Getenv("RABBITMQ_AMQP")}
	if p.api == "" || p.amqp == "" {
		b, err := os.ReadFile(goldenFile)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]recorded
		if err := json.Unmarshal(b, &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	p.build(t)
	p.traffic(t, 12*time.Second) // it samples every five seconds
	all := p.ask(t)
	for _, path := range []string{"vhosts/golden", "users/gann", "users/gnoperm", "global-parameters/gparam"} {
		p.call(t, "DELETE", path, "")
	}
	if *rewrite {
		b, err := json.MarshalIndent(all, "", " ")
		if err == nil {
			err = os.WriteFile(goldenFile, append(b, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestGolden(t *testing.T) {
	theirs := rabbitMQ(t)
	p := warren(t)
	p.build(t)
	p.traffic(t, 300*time.Millisecond)
	ours := p.ask(t)
	wrong, known, all := 0, 0, 0
	for _, path := range goldenPaths() {
		all += len(theirs[path].Fields)
		list, excuses := missingFrom(theirs[path], ours[path])
		known += excuses
		wrong += len(list)
		for _, d := range list {
			t.Errorf("GET %s: %s", path, d)
		}
	}
	t.Logf("%d GETs with %d fields compared: %d differences, %d more that are known", len(goldenPaths()), all, wrong, known)
}
