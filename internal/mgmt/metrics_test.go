package mgmt

import (
	"slices"
	"strings"
	"testing"

	"github.com/warrenmq/warren/internal/broker"
	"github.com/warrenmq/warren/internal/meta"
)

// TestMetricsOfCluster: a cluster's administrator scrapes what is in its cluster,
// and sees nothing of others or of the node.
func TestMetricsOfCluster(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for ref, name := range map[meta.VhostRef]string{
		{Cluster: n.cluster, Name: "orders"}:              "ours",
		{Cluster: n.Store.DefaultCluster().ID, Name: "/"}: "theirs",
	} {
		v, ok := n.Broker.Vhost(ref)
		if !ok {
			t.Fatal(ref)
		}
		if _, err := v.DeclareQueue(&broker.Actor{User: "t", Rights: n.all}, broker.QueueDeclare{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{
		"queue_coarse_metrics", "queue_metrics", "exchange_metrics", "channel_metrics", "connection_metrics", "connection_coarse_metrics",
		"connection_churn_metrics", "node_metrics", "node_coarse_metrics", "auth_attempt_metrics", "vhost_status", "exchange_names", "exchange_bindings",
	}
	detailed := "/metrics/detailed?vhost=%2F&vhost=" + n.cluster + "%7Corders&family=" + strings.Join(all, "&family=")
	for _, path := range []string{"/metrics/per-object", detailed, "/metrics/detailed?family=queue_coarse_metrics"} {
		status, body, _ := n.do(t, "boss", n.boss, "GET", path, "")
		if status != 200 || !strings.Contains(body, `{vhost="`+n.cluster+`|orders",queue="ours"} 0`) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
		for line := range strings.Lines(body) {
			if !strings.HasPrefix(line, "#") && !strings.Contains(line, n.cluster) || strings.Contains(line, `"/"`) || strings.Contains(line, "theirs") {
				t.Errorf("%s tells %s", path, line)
			}
			if strings.HasPrefix(line, "# HELP") && slices.ContainsFunc([]string{"rabbitmq_process_", "go_", "erlang", "identity", "auth_", "global", "journal"},
				func(s string) bool { return strings.Contains(strings.Fields(line)[2], s) }) {
				t.Errorf("%s tells of the node: %s", path, line)
			}
		}
		if status, body, _ := n.do(t, "guest", "guest", "GET", path, ""); status != 200 || path == detailed && !strings.Contains(body, `queue="theirs"`) {
			t.Errorf("%s for the node's administrator: %d %.300s", path, status, body)
		}
		for _, user := range [][2]string{{"manager", "manager"}, {"worker", n.worker}} {
			if status, body, _ := n.do(t, user[0], user[1], "GET", path, ""); status != 401 {
				t.Errorf("%s for %s: %d %.300s", path, user[0], status, body)
			}
		}
	}
	if _, body, _ := n.do(t, "boss", n.boss, "GET", "/metrics/per-object", ""); !strings.Contains(body, "warren_vhost_queues{cluster=\""+n.cluster+`",vhost="`+n.cluster+`|orders"} 1`) {
		t.Error("the use of its vhosts is missing")
	}
	if status, _, _ := n.do(t, "boss", n.boss, "GET", "/metrics", ""); status != 401 {
		t.Errorf("sums of the node: %d", status)
	}
}
