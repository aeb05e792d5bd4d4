package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/server"
)

// consuming is what the command was told.
type consuming struct {
	place

	amqp            string
	count, prefetch int
	follow          bool
}

func consumeCommand(c *client) *cobra.Command {
	var o consuming
	cmd := c.command(&cobra.Command{
		Use: "consume QUEUE", Short: "Consume from a queue, acknowledging each message", Args: args("QUEUE"),
		Example: "  warren consume orders --cluster shop --vhost orders --follow --output json\n" +
			"  warren consume orders --amqp amqp://role:key@host:5672/amqp-abc%7Corders --count 10",
	}, func(ctx context.Context, args []string) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		conn, err := c.dialAMQP(ctx, &o)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		return c.consume(ctx, conn, args[0], &o)
	})
	o.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&o.amqp, "amqp", "", "AMQP URL; without it the node's socket in --data is used")
	f.IntVar(&o.count, "count", 0, "stop after so many; 0: no limit")
	f.IntVar(&o.prefetch, "prefetch", 100, "how many may be on their way")
	f.BoolVar(&o.follow, "follow", false, "wait for more messages until interrupted")
	return cmd
}

// dialAMQP connects by URL, or as the owner of the data directory.
func (c *client) dialAMQP(ctx context.Context, o *consuming) (*amqp091.Connection, error) {
	if o.amqp != "" {
		conn, err := amqp091.Dial(o.amqp)
		if err != nil {
			return nil, fmt.Errorf("no connection to %s: %w", redact(o.amqp), err)
		}
		return conn, nil
	}
	if c.url != "" {
		return nil, usageError{errors.New("consume needs an AMQP connection: give --amqp amqp://user:password@host:5672/vhost")}
	}
	var list []cluster
	if err := c.call(ctx, "GET", "/api/clusters", nil, &list); err != nil {
		return nil, err
	}
	id, err := c.clusterID(ctx, &o.place)
	if err != nil {
		return nil, err
	}
	vhost := id + "|" + o.vhost
	for _, m := range list {
		if id == "default" && m.Default {
			id, vhost = m.ID, o.vhost
		}
	}
	conn, err := amqp091.DialConfig("amqp://node", amqp091.Config{
		Vhost: vhost, SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: id, Password: server.OwnerPassword}},
		Dial: func(string, string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(c.data, server.AMQPSocketName))
		},
	})
	if err != nil {
		return nil, c.unreachable(err)
	}
	return conn, nil
}

// idle is how long consume waits for one more message without --follow.
const idle = 500 * time.Millisecond

func (c *client) consume(ctx context.Context, conn *amqp091.Connection, queue string, o *consuming) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(o.prefetch, 0, false); err != nil {
		return err
	}
	closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
	cancelled := ch.NotifyCancel(make(chan string, 1))
	messages, err := ch.ConsumeWithContext(context.WithoutCancel(ctx), queue, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for n := 0; o.count == 0 || n < o.count; n++ {
		var last <-chan time.Time
		if !o.follow && o.count == 0 {
			last = time.After(idle)
		}
		select {
		case m, ok := <-messages:
			if !ok {
				return endOf(closed, cancelled, queue)
			}
			if err := errors.Join(c.print(&m), m.Ack(false)); err != nil {
				return err
			}
		case <-last:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// endOf says why no more messages come.
func endOf(closed <-chan *amqp091.Error, cancelled <-chan string, queue string) error {
	select {
	case <-cancelled:
		return fmt.Errorf("queue %s was deleted", queue)
	case e := <-closed:
		if e != nil {
			return e
		}
	default:
	}
	return errors.New("the node has closed the connection")
}

// print writes one message: its body, or with JSON all of it.
func (c *client) print(m *amqp091.Delivery) error {
	if c.output != "json" {
		_, err := fmt.Fprintln(c.env.Stdout, strings.TrimSuffix(string(m.Body), "\n"))
		return err
	}
	out := map[string]any{
		"exchange": m.Exchange, "routing_key": m.RoutingKey, "redelivered": m.Redelivered, "content_type": m.ContentType,
		"headers": m.Headers, "message_id": m.MessageId, "delivery_mode": m.DeliveryMode,
	}
	if utf8.Valid(m.Body) {
		out["payload"] = string(m.Body)
	} else {
		out["payload_base64"] = m.Body
	}
	return writeJSON(c.env.Stdout, out)
}
