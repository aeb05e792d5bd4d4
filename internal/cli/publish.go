package cli

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func publishCommand(c *client) *cobra.Command {
	var p place
	var exchange, key string
	var props, heads []string
	var persistent bool
	count := 1
	cmd := c.command(&cobra.Command{
		Use: "publish [BODY]", Short: "Publish a message; without BODY it is read from standard input", Args: cobra.MaximumNArgs(1),
		Example: "  warren publish --cluster shop --vhost orders --exchange orders --key order.created '{\"id\":1}'\n" +
			"  warren publish --key my-queue --persistent < file",
	}, func(ctx context.Context, args []string) error {
		body, err := c.body(args)
		if err != nil {
			return err
		}
		properties, err := messageProperties(props, heads, persistent)
		if err != nil {
			return err
		}
		vhost, err := c.wire(ctx, &p)
		if err != nil {
			return err
		}
		in := map[string]any{
			"properties": properties, "routing_key": key, "payload": base64.StdEncoding.EncodeToString(body), "payload_encoding": "base64",
		}
		if exchange == "" {
			exchange = "amq.default"
		}
		routed := 0
		for range count {
			var out struct{ Routed bool }
			path := "/api/exchanges/" + vhost + "/" + url.PathEscape(exchange) + "/publish"
			if err := c.call(ctx, http.MethodPost, path, in, &out); err != nil {
				return err
			}
			if out.Routed {
				routed++
			}
		}
		if c.output == "json" {
			return writeJSON(c.env.Stdout, map[string]int{"published": count, "routed": routed})
		}
		if routed < count {
			return fmt.Errorf("no queue takes messages with key %q from exchange %q", key, exchange)
		}
		return c.done("published")
	})
	p.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&exchange, "exchange", "", "exchange; the default one, whose keys are queues, when not given")
	f.StringVar(&key, "key", "", "routing key")
	f.StringArrayVar(&props, "property", nil, "property, such as content_type=text/plain")
	f.StringArrayVar(&heads, "header", nil, "header, key=value")
	f.BoolVar(&persistent, "persistent", false, "survives a restart in a durable queue")
	f.IntVar(&count, "count", 1, "how many times")
	return cmd
}

// body is the argument or standard input.
func (c *client) body(args []string) ([]byte, error) {
	if len(args) > 0 {
		return []byte(args[0]), nil
	}
	return io.ReadAll(c.env.Stdin)
}

// messageProperties builds the properties object of the API.
func messageProperties(props, heads []string, persistent bool) (map[string]any, error) {
	m := map[string]any{}
	for _, s := range props {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usageError{fmt.Errorf("--property %q is not name=value", s)}
		}
		switch key {
		case "delivery_mode", "priority", "timestamp":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return nil, usageError{fmt.Errorf("--property %s: %q is not a number", key, value)}
			}
			m[key] = n
		default:
			m[key] = value
		}
	}
	h := arguments(heads)
	headers, err := h.object()
	if err != nil {
		return nil, err
	}
	if len(headers) > 0 {
		m["headers"] = headers
	}
	if persistent {
		m["delivery_mode"] = 2
	}
	return m, nil
}

// message is a message as the API shows it.
type message struct {
	Payload     string         `json:"payload"`
	Encoding    string         `json:"payload_encoding"`
	Exchange    string         `json:"exchange"`
	Key         string         `json:"routing_key"`
	Redelivered bool           `json:"redelivered"`
	Properties  map[string]any `json:"properties"`
}

func getCommand(c *client) *cobra.Command {
	var p place
	var requeue bool
	count := 1
	cmd := c.command(&cobra.Command{
		Use: "get QUEUE", Short: "Take messages from a queue", Args: args("QUEUE"),
		Example: "  warren get orders --cluster shop --vhost orders --count 10 --requeue",
	}, func(ctx context.Context, args []string) error {
		vhost, err := c.wire(ctx, &p)
		if err != nil {
			return err
		}
		in := map[string]any{"count": count, "ackmode": "ack_requeue_false", "encoding": "auto"}
		if requeue {
			in["ackmode"] = "ack_requeue_true"
		}
		list := []message{}
		if err := c.call(ctx, http.MethodPost, "/api/queues/"+vhost+"/"+url.PathEscape(args[0])+"/get", in, &list); err != nil {
			return err
		}
		t := table{value: list, head: []string{"KEY", "EXCHANGE", "REDELIVERED", "BODY"}}
		for _, m := range list {
			t.rows = append(t.rows, []string{m.Key, m.Exchange, yes(m.Redelivered), m.Payload})
		}
		if c.output == "name" { // the bodies alone
			for i, m := range list {
				t.rows[i][0] = m.Payload
			}
		}
		return c.show(t)
	})
	p.flags(cmd)
	cmd.Flags().IntVar(&count, "count", 1, "how many at most")
	cmd.Flags().BoolVar(&requeue, "requeue", false, "put them back: they are marked as redelivered")
	return cmd
}
