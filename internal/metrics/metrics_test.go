package metrics_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/auth"
	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
	"github.com/warrenmq/warren/internal/metrics"
	"github.com/warrenmq/warren/internal/session"
)

// node is a source with n queues, one message in each.
func node(t *testing.T, n int) *metrics.Source {
	t.Helper()
	store, err := meta.Open(meta.Options{Log: &meta.MemoryLog{}, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	b := broker.New(broker.Options{Definitions: store, Log: broker.MemoryLog{}, NextUID: store.NextUID, Logger: slog.New(slog.DiscardHandler)})
	m, err := store.Vhost(meta.VhostRef{Name: "/"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.AddVhost(m, "/")
	all, err := auth.Compile(auth.Permission{Configure: ".*", Write: ".*", Read: ".*"})
	if err != nil {
		t.Fatal(err)
	}
	a := &broker.Actor{User: "t", Rights: all}
	p := v.NewPublisher()
	for i := range n {
		name := fmt.Sprintf("queue \"%d\"\n\\", i)
		if _, err := v.DeclareQueue(a, broker.QueueDeclare{Name: name}); err != nil {
			t.Fatal(err)
		}
		msg, err := broker.Compose(&broker.Content{Key: strings.ReplaceAll(name, "\n", ""), Body: []byte("x")}, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(&msg); err != nil {
			t.Fatal(err)
		}
		p.Flush(nil, false)
	}
	return &metrics.Source{
		Broker: b, Registry: session.NewRegistry(), Version: "1", RabbitVersion: "4.3.6", Node: "warren@t", ClusterID: "id",
		ClusterName: func() string { return "c" }, Started: time.Now(), Now: time.Now, Logins: func() (uint64, uint64) { return 3, 1 },
		Journal: func() metrics.Journal {
			return metrics.Journal{Disk: 5, Bounds: []time.Duration{time.Millisecond, time.Second}, Counts: []uint64{2, 3, 1}, Sum: 4 * time.Second}
		},
		Tenants: func() []metrics.Tenant {
			return []metrics.Tenant{
				{Cluster: "id", Name: "default", Vhost: "/", Connections: 2, Queues: 3, MaxConnections: 5, MaxQue: -1},
				{Cluster: "id", Name: "default", Vhost: "v", Connections: 1, Queues: 1, MaxConnections: 6, MaxQue: 9},
			}
		},
	}
}

func scrape(t *testing.T, s *metrics.Source, r metrics.Request) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// families are those of the detailed view that are known.
func families() []string {
	return []string{
		"queue_coarse_metrics", "queue_metrics", "queue_consumer_count", "queue_delivery_metrics", "exchange_metrics", "channel_metrics",
		"channel_exchange_metrics", "channel_queue_metrics", "channel_queue_exchange_metrics", "connection_metrics",
		"connection_coarse_metrics", "connection_churn_metrics", "node_metrics", "node_coarse_metrics", "auth_attempt_metrics",
		"vhost_status", "exchange_names", "exchange_bindings", "queue_latency_metrics", "exchange_latency_metrics",
	}
}

// TestFormat: what promtool check metrics looks at, and what a scraper refuses.
func TestFormat(t *testing.T) {
	t.Parallel()
	s := node(t, 3)
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (NaN|[-0-9.e+]+)$`)
	for _, r := range []metrics.Request{{}, {View: metrics.PerObject}, {View: metrics.Detailed, Families: families()}} {
		text := scrape(t, s, r)
		seen, kinds, current := map[string]bool{}, map[string]string{}, ""
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			words := strings.SplitN(line, " ", 4)
			switch {
			case strings.HasPrefix(line, "# HELP "):
				if current = words[2]; kinds[current] != "" {
					t.Errorf("%s comes twice", current)
				}
				if len(words) < 4 || words[3] == "" {
					t.Errorf("%s has no help", current)
				}
			case strings.HasPrefix(line, "# TYPE "):
				if words[2] != current {
					t.Errorf("%s follows the help of %s", line, current)
				}
				if kinds[current] = words[3]; (words[3] == "counter") != strings.HasSuffix(current, "_total") {
					t.Errorf("%s is a %s", current, words[3])
				}
			default:
				m := sample.FindStringSubmatch(line)
				if m == nil {
					t.Fatalf("no sample: %q", line)
				}
				part := slices.Contains([]string{"histogram", "summary"}, kinds[current]) && slices.Contains([]string{"_bucket", "_sum", "_count"}, strings.TrimPrefix(m[1], current))
				if m[1] != current && !part || seen[m[1]+m[2]] {
					t.Errorf("%q comes twice or behind %s", line, current)
				}
				seen[m[1]+m[2]] = true
			}
		}
	}
}

// missing are RabbitMQ's names that are not there, and why.
func missing(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "rabbitmq_"), "detailed_")
	for prefix, why := range map[string]string{
		"io_": "of a store that there is not", "msg_store_": "the same", "queue_index_": "the same", "schema_db_": "the same",
		"erlang_": "of Erlang", "telemetry_": "of Erlang's exporter", "stream_": "streams are not built yet",
		"message_size_bytes": "not counted", "queue_disk_": "not counted", "unreachable_cluster_peers": "one node",
		"queue_head_message_timestamp": "not read", "queue_info": "labels of queues: see /api/queues",
		"queue_exchange_messages_published_total": "not counted for each pair", "exchange_messages_confirmed_total": "counted by channel",
		"exchange_messages_unroutable_returned_total": "the same", "global_messages_dead_lettered_confirmed_total": "at-least-once is not built yet",
		"connection_pending_packets": "of a driver that there is not: the writer takes messages from their queues when the socket takes them", "connection_process_": "of Erlang", "channel_process_": "of Erlang", "queue_process_reductions": "of Erlang",
		"queue_messages_ready_ram": "not counted", "queue_messages_unacked_ram": "not counted", "auth_attempts_detailed_": "sources of logins are not kept",
	} {
		if strings.HasPrefix(name, prefix) {
			return why
		}
	}
	return ""
}

// TestRabbitMQ compares with the names, types and labels that RabbitMQ 4.3.6
// gave for a node with traffic.
func TestRabbitMQ(t *testing.T) {
	t.Parallel()
	s := node(t, 1)
	views := map[string]string{
		"aggregated": scrape(t, s, metrics.Request{}), "per-object": scrape(t, s, metrics.Request{View: metrics.PerObject}),
		"detailed": scrape(t, s, metrics.Request{View: metrics.Detailed, Families: families()}),
	}
	golden, err := os.ReadFile("testdata/rabbitmq-4.3.6.txt")
	if err != nil {
		t.Fatal(err)
	}
	there, absent := 0, map[string]int{}
	for line := range strings.Lines(string(golden)) {
		f := strings.Fields(line)
		view, name, kind := f[0], f[1], f[2]
		why := missing(name)
		_, after, ok := strings.Cut(views[view], "# TYPE "+name+" ")
		switch {
		case ok && why != "" && !strings.Contains(name, "_erlang_"):
			t.Errorf("%s of %s is there and called missing: %s", name, view, why)
		case !ok && view == "aggregated" && strings.HasPrefix(name, "rabbitmq_queue_consumer_"): // no sum of shares
			continue
		case !ok && why == "":
			t.Errorf("%s of %s is missing", name, view)
		case !ok:
			absent[why]++
			continue
		case !strings.HasPrefix(after, kind+"\n") && kind != "untyped":
			t.Errorf("%s of %s is a %.10q, RabbitMQ's a %s", name, view, after, kind)
		}
		there++
	}
	t.Logf("%d of RabbitMQ's names are there; absent: %v", there, absent)
	if !strings.Contains(views["per-object"], `rabbitmq_queue_messages_ready{vhost="/",queue="queue \"0\"\\"} 1`) {
		t.Error("a queue with its labels is missing")
	}
	if v := scrape(t, s, metrics.Request{View: metrics.Detailed, Families: []string{"queue_coarse_metrics"}, Vhosts: []string{"other"}}); strings.Contains(v, `queue="`) {
		t.Error("a queue of another vhost is there")
	}
}

// TestMany measures scrapes of many queues, and how much memory they take.
func TestMany(t *testing.T) {
	many := 10_000
	if n, err := strconv.Atoi(os.Getenv("QUEUES")); err == nil { // QUEUES=100000 measures
		many = n
	}
	s := node(t, many)
	for name, r := range map[string]metrics.Request{
		"aggregated": {}, "queue_coarse_metrics": {View: metrics.Detailed, Families: []string{"queue_coarse_metrics"}},
		"per-object": {View: metrics.PerObject},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		n := &counting{}
		if err := s.Write(n, r); err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s of %d queues: %d ms, %d bytes, %d bytes allocated", name, many, took.Milliseconds(), n.n, allocated)
		if allocated > uint64(many)*2000+4<<20 {
			t.Errorf("%s allocates %d bytes", name, allocated)
		}
	}
}

type counting struct{ n int }

func (c *counting) Write(b []byte) (int, error) {
	c.n += len(b)
	return len(b), nil
}

var _ io.Writer = (*counting)(nil)

// TestClusters: what the vhosts of a cluster take together, with limits where
// each has one.
func TestClusters(t *testing.T) {
	t.Parallel()
	text := scrape(t, node(t, 4), metrics.Request{})
	const labels = `{cluster="id",name="default"} `
	for _, want := range []string{
		"warren_cluster_connections" + labels + "3\n", "warren_cluster_connections_limit" + labels + "11\n",
		"warren_cluster_queues" + labels + "4\n", "warren_cluster_messages" + labels + "4\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(text, "warren_cluster_queues_limit{") {
		t.Error("there is a limit of queues, and a vhost has none")
	}
}

// TestJournal: buckets add up, as Prometheus wants them.
func TestJournal(t *testing.T) {
	t.Parallel()
	text := scrape(t, node(t, 1), metrics.Request{})
	for _, want := range []string{
		"warren_journal_live_bytes 0\n", "warren_journal_disk_bytes 5\n",
		`warren_journal_sync_seconds_bucket{le="0.001"} 2` + "\n" + `warren_journal_sync_seconds_bucket{le="1"} 5` + "\n" +
			`warren_journal_sync_seconds_bucket{le="+Inf"} 6` + "\nwarren_journal_sync_seconds_sum 4\nwarren_journal_sync_seconds_count 6\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	s := node(t, 1)
	base := scrape(t, s, metrics.Request{View: metrics.Detailed})
	if strings.Count(base, "# TYPE") != 2 { // build_info and identity_info
		t.Errorf("without families: %s", base)
	}
	for _, f := range slices.Sorted(slices.Values(families())) {
		if text := scrape(t, s, metrics.Request{View: metrics.Detailed, Families: []string{f}}); len(text) <= len(base) && f != "channel_metrics" {
			t.Errorf("family %s adds nothing", f)
		}
	}
}

// TestDashboard: every metric that the dashboard in dist asks for is there.
func TestDashboard(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../dist/grafana/warren.json")
	if err != nil {
		t.Fatal(err)
	}
	text := scrape(t, node(t, 1), metrics.Request{})
	names := regexp.MustCompile(`\b(?:rabbitmq|warren|go|process)_[a-z_]+\b`).FindAllString(string(b), -1)
	for _, name := range names {
		switch name {
		case "rabbitmq_node", "rabbitmq_cluster":
			continue
		}
		parts := regexp.MustCompile("^(.*)_(?:bucket|sum|count)$").FindStringSubmatch(name) // of a histogram or summary
		if !strings.Contains(text, "# TYPE "+name+" ") && (parts == nil || !regexp.MustCompile("(?m)^"+name+"[ {]").MatchString(text)) {
			t.Errorf("%s is not there", name)
		}
	}
	t.Logf("%d uses of metrics", len(names))
}
