package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func overviewCommand(c *client) *cobra.Command {
	return c.shower(&cobra.Command{
		Use: "overview", Short: "The node in a few numbers", Args: args(), Example: "  warren overview --watch 2s",
	}, fixed("/api/overview"),
		column{"node", "node"}, column{"product", "product_name"}, column{"version", "product_version"},
		column{"connections", "object_totals.connections"}, column{"channels", "object_totals.channels"},
		column{"consumers", "object_totals.consumers"}, column{"queues", "object_totals.queues"},
		column{"exchanges", "object_totals.exchanges"}, column{"messages", "queue_totals.messages"},
		column{"ready", "queue_totals.messages_ready"}, column{"unacknowledged", "queue_totals.messages_unacknowledged"},
		column{"published a second", "message_stats.publish_details.rate"},
		column{"delivered a second", "message_stats.deliver_get_details.rate"})
}

func nodeCommand(c *client) *cobra.Command {
	return noun("node", "The process that serves",
		c.lister(&cobra.Command{
			Use: "list", Short: "List the nodes", Args: args(), Example: "  warren node list",
		}, fixed("/api/nodes"), column{"NODE", "name"}, column{"RUNNING", "running"}, column{"MEMORY", "mem_used"},
			column{"DISK FREE", "disk_free"}, column{"SOCKETS", "sockets_used"}, column{"UPTIME MS", "uptime"}),
		c.healthCommand())
}

// checks are the health checks that concern every node, by RabbitMQ's names.
func checks() []string {
	return []string{"alarms", "local-alarms", "virtual-hosts", "node-is-quorum-critical", "protocol-listener/amqp"}
}

func (c *client) healthCommand() *cobra.Command {
	return c.reading(&cobra.Command{
		Use: "health", Short: "Ask the node for its health; exit code 1 when something is wrong", Args: args(),
		Example: "  warren node health || systemctl restart warren",
	}, func(ctx context.Context, _ []string) error {
		t := table{head: []string{"CHECK", "STATUS", "REASON"}}
		list, wrong := []object{}, 0
		all := checks()
		for _, name := range all {
			o := object{"check": name, "status": "ok"}
			if err := c.call(ctx, http.MethodGet, "/api/health/checks/"+name, nil, nil); err != nil {
				o["status"], o["reason"] = "failed", err.Error()
				wrong++
			}
			list = append(list, o)
			t.rows = append(t.rows, []string{name, cell(o["status"]), cell(o["reason"])})
		}
		t.value = list
		if err := c.show(t); err != nil {
			return err
		}
		if wrong == len(all) {
			return errors.New("the node does not answer its health checks")
		}
		if wrong > 0 {
			return fmt.Errorf("%d of %d health checks failed", wrong, len(all))
		}
		return nil
	})
}

func channelCommand(c *client) *cobra.Command {
	columns := []column{
		{"CHANNEL", "name"},
		{"USER", "user"},
		{"VHOST", "vhost"},
		{"CONSUMERS", "consumer_count"},
		{"PREFETCH", "prefetch_count"},
		{"UNACKED", "messages_unacknowledged"},
		{"UNCONFIRMED", "messages_unconfirmed"},
	}
	return noun("channel", "What connections carry",
		c.lister(&cobra.Command{Use: "list", Short: "List the channels", Args: args(), Example: "  warren channel list --watch 2s"},
			fixed("/api/channels"), columns...),
		c.shower(&cobra.Command{
			Use: "show CHANNEL", Short: "Show a channel", Args: args("CHANNEL"),
			Example: "  warren channel show '127.0.0.1:50000 -> 127.0.0.1:5672 (1)'",
		}, below("/api/channels"), columns...))
}

func consumerCommand(c *client) *cobra.Command {
	var p place
	list := c.lister(&cobra.Command{
		Use: "list", Short: "List who consumes from which queue of a vhost", Args: args(), Example: "  warren consumer list --cluster shop --vhost orders",
	}, c.inVhost("/api/consumers", &p), column{"CONSUMER", "consumer_tag"}, column{"QUEUE", "queue.name"},
		column{"CHANNEL", "channel_details.name"}, column{"USER", "channel_details.user"}, column{"PREFETCH", "prefetch_count"},
		column{"ACTIVE", "active"})
	p.flags(list)
	return noun("consumer", "Who consumes", list)
}
