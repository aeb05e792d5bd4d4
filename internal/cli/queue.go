package cli

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// queue is a queue as the API shows it.
type queue struct {
	Name       string         `json:"name"`
	State      string         `json:"state"`
	Vhost      string         `json:"vhost"`
	Durable    bool           `json:"durable"`
	AutoDelete bool           `json:"auto_delete"`
	Exclusive  bool           `json:"exclusive"`
	Ready      int            `json:"messages_ready"`
	Unacked    int            `json:"messages_unacknowledged"`
	Consumers  int            `json:"consumers"`
	Arguments  map[string]any `json:"arguments"`
	Details    []consumer     `json:"consumer_details,omitempty"`
	Latency    object         `json:"latency,omitempty"`
}

// consumer is who reads from a queue.
type consumer struct {
	Tag      string `json:"consumer_tag"`
	Ack      bool   `json:"ack_required"`
	Prefetch int    `json:"prefetch_count"`
	Unacked  int    `json:"messages_unacknowledged"`
	Channel  struct {
		Connection string `json:"connection_name"`
		User       string `json:"user"`
	} `json:"channel_details"`
}

func queueCommand(c *client) *cobra.Command {
	var p place
	var q queue
	var a arguments
	create := c.command(&cobra.Command{
		Use: "create NAME", Short: "Make a queue", Args: args("NAME"),
		Example: "  warren queue create orders --cluster shop --vhost orders --durable",
	}, func(ctx context.Context, args []string) error {
		return c.declare(ctx, &p, "queues", args[0], &a, map[string]any{"durable": q.Durable, "auto_delete": q.AutoDelete})
	})
	create.Flags().BoolVar(&q.Durable, "durable", false, "survives a restart")
	create.Flags().BoolVar(&q.AutoDelete, "auto-delete", false, "goes with its last consumer")
	a.flag(create)
	list := c.reading(&cobra.Command{
		Use: "list", Short: "List a vhost's queues", Args: args(), Example: "  warren queue list --cluster shop --vhost orders",
	}, func(ctx context.Context, _ []string) error {
		list := []queue{}
		if err := c.list(ctx, &p, "queues", &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"QUEUE", "STATE", "READY", "UNACKED", "CONSUMERS", "DURABLE", "ARGUMENTS"}}
		for _, q := range list {
			t.rows = append(t.rows, []string{
				q.Name, q.State, strconv.Itoa(q.Ready), strconv.Itoa(q.Unacked), strconv.Itoa(q.Consumers), yes(q.Durable), brief(q.Arguments),
			})
		}
		return c.show(t)
	})
	verbs := []*cobra.Command{
		create, list, c.showQueue(&p), c.unacked(&p), c.changeQueue(&p), c.pause(&p), c.resume(&p),
		c.deleteCommand(&p, "queue", "queues"), c.purge(&p),
	}
	for _, cmd := range verbs {
		p.flags(cmd)
	}
	return noun("queue", "Where messages wait", verbs...)
}

// showQueue shows who is consuming from a queue.
func (c *client) showQueue(p *place) *cobra.Command {
	return c.reading(&cobra.Command{
		Use: "show NAME", Short: "Show a queue's consumers", Args: args("NAME"),
		Example: "  warren queue show orders --cluster shop --vhost orders",
	}, func(ctx context.Context, args []string) error {
		vhost, err := c.wire(ctx, p)
		if err != nil {
			return err
		}
		var q queue
		if err := c.call(ctx, http.MethodGet, "/api/queues/"+vhost+"/"+url.PathEscape(args[0]), nil, &q); err != nil {
			return err
		}
		t := table{value: q, head: []string{"CONSUMER", "CONNECTION", "USER", "PREFETCH", "UNACKED"}}
		for _, k := range q.Details {
			t.rows = append(t.rows, []string{
				k.Tag, k.Channel.Connection, k.Channel.User, strconv.Itoa(k.Prefetch), strconv.Itoa(k.Unacked),
			})
		}
		return c.show(t)
	})
}

// changeQueue changes a queue's arguments while it serves.
func (c *client) changeQueue(p *place) *cobra.Command {
	var a arguments
	var without []string
	cmd := c.command(&cobra.Command{
		Use: "change NAME", Short: "Change a queue's arguments while it serves", Args: args("NAME"),
		Example: "  warren queue change orders --argument x-max-length=100000 --without x-message-ttl --cluster shop --vhost orders",
	}, func(ctx context.Context, args []string) error {
		vhost, err := c.wire(ctx, p)
		if err != nil {
			return err
		}
		changes, err := a.object()
		if err != nil {
			return err
		}
		path := "/api/queues/" + vhost + "/" + url.PathEscape(args[0])
		var q queue
		if err := c.call(ctx, http.MethodGet, path, nil, &q); err != nil {
			return err
		}
		all := map[string]any{}
		maps.Copy(all, q.Arguments)
		maps.Copy(all, changes)
		for _, name := range without {
			delete(all, name)
		}
		if err := c.call(ctx, http.MethodPut, path+"/arguments", map[string]any{"arguments": all}, nil); err != nil {
			return err
		}
		return c.done("queue %s is changed", args[0])
	})
	a.flag(cmd)
	cmd.Flags().StringArrayVar(&without, "without", nil, "an argument that it is not to have any more")
	return cmd
}

func (c *client) purge(p *place) *cobra.Command {
	return c.command(&cobra.Command{
		Use: "purge NAME", Short: "Remove the ready messages of a queue", Args: args("NAME"),
		Example: "  warren queue purge orders --cluster shop --vhost orders",
	}, func(ctx context.Context, args []string) error {
		vhost, err := c.wire(ctx, p)
		if err != nil {
			return err
		}
		path := "/api/queues/" + vhost + "/" + url.PathEscape(args[0]) + "/contents"
		if err := c.call(ctx, http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		return c.done("queue %s is empty", args[0])
	})
}

// unacked shows who holds what of a queue, and for how long.
func (c *client) unacked(p *place) *cobra.Command {
	return c.lister(&cobra.Command{
		Use: "unacked NAME", Short: "List what of a queue is with clients, and for how long", Args: args("NAME"),
		Example: "  warren queue unacked orders --cluster shop --vhost orders",
	}, c.inQueue(p, "/unacked"), column{"DELIVERY TAG", "delivery_tag"}, column{"CONSUMER", "consumer_tag"}, column{"CHANNEL", "channel_name"},
		column{"USER", "user"}, column{"SINCE", "delivered_at"}, column{"SECONDS", "unacked_for_seconds"})
}

func (c *client) pause(p *place) *cobra.Command {
	return c.sender(&cobra.Command{
		Use: "pause NAME", Short: "Stop a queue's deliveries; publishing goes on", Args: args("NAME"),
		Example: "  warren queue pause orders --cluster shop --vhost orders",
	}, http.MethodPut, c.inQueue(p, "/pause"), nil, "queue %s delivers nothing until it is resumed")
}

func (c *client) resume(p *place) *cobra.Command {
	return c.sender(&cobra.Command{
		Use: "resume NAME", Short: "Let a paused queue deliver again", Args: args("NAME"),
		Example: "  warren queue resume orders --cluster shop --vhost orders",
	}, http.MethodPut, c.inQueue(p, "/resume"), nil, "queue %s delivers again")
}

// inQueue is the path of something of a queue that the first argument names.
func (c *client) inQueue(p *place, rest string) route {
	at := c.inVhost("/api/queues", p)
	return func(ctx context.Context, args []string) (string, error) {
		path, err := at(ctx, args)
		return path + rest, err
	}
}
