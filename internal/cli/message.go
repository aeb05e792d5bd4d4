package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/spf13/cobra"
)

// maxLine bounds a line of a file of messages, in bytes.
const maxLine = 256 << 20

// inFlight is how many messages are on their way at once.
const inFlight = 500

// line is a message in a file: one JSON object a line.
type line struct {
	Exchange   string         `json:"exchange"`
	RoutingKey string         `json:"routing_key"`
	Properties lineProperties `json:"properties"`
	Headers    map[string]any `json:"headers,omitempty"`
	Body       []byte         `json:"body"` // base64
}

// lineProperties are the properties of §1.8 but for headers.
type lineProperties struct {
	ContentType     string    `json:"content_type,omitempty"`
	ContentEncoding string    `json:"content_encoding,omitempty"`
	DeliveryMode    uint8     `json:"delivery_mode,omitempty"`
	Priority        uint8     `json:"priority,omitempty"`
	CorrelationID   string    `json:"correlation_id,omitempty"`
	ReplyTo         string    `json:"reply_to,omitempty"`
	Expiration      string    `json:"expiration,omitempty"`
	MessageID       string    `json:"message_id,omitempty"`
	Timestamp       time.Time `json:"timestamp,omitzero"`
	Type            string    `json:"type,omitempty"`
	AppID           string    `json:"app_id,omitempty"`
}

func lineOf(m *amqp091.Delivery) line {
	return line{
		Exchange: m.Exchange, RoutingKey: m.RoutingKey, Headers: m.Headers, Body: m.Body,
		Properties: lineProperties{
			m.ContentType, m.ContentEncoding, m.DeliveryMode, m.Priority, m.CorrelationId, m.ReplyTo, m.Expiration, m.MessageId,
			m.Timestamp, m.Type, m.AppId,
		},
	}
}

func (s *line) publishing() amqp091.Publishing {
	p := &s.Properties
	return amqp091.Publishing{
		Headers: s.Headers, ContentType: p.ContentType, ContentEncoding: p.ContentEncoding, DeliveryMode: p.DeliveryMode,
		Priority: p.Priority, CorrelationId: p.CorrelationID, ReplyTo: p.ReplyTo, Expiration: p.Expiration, MessageId: p.MessageID,
		Timestamp: p.Timestamp, Type: p.Type, AppId: p.AppID, Body: s.Body,
	}
}

func messageCommand(c *client) *cobra.Command {
	return noun("message", "Messages in files, and from queue to queue", c.exportCommand(), c.importCommand(), c.moveCommand())
}

// onAMQP is a verb that speaks AMQP, until it is done or interrupted.
func (c *client) onAMQP(
	cmd *cobra.Command, run func(ctx context.Context, ch *amqp091.Channel, o *consuming, args []string) error,
) *cobra.Command {
	var o consuming
	c.command(cmd, func(ctx context.Context, args []string) error {
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		conn, err := c.dialAMQP(ctx, &o)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		return run(ctx, ch, &o, args)
	})
	o.flags(cmd)
	cmd.Flags().StringVar(&o.amqp, "amqp", "", "AMQP URL; without it the node's socket in --data is used")
	cmd.Flags().IntVar(&o.count, "count", 0, "how many at most; 0: all that are there")
	return cmd
}

// ready is how many messages a command takes: what is ready now, or fewer.
func ready(ch *amqp091.Channel, queue string, most int) (int, error) {
	q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
	if err != nil {
		return 0, err
	}
	if most > 0 {
		return min(most, q.Messages), nil
	}
	return q.Messages, nil
}

func (c *client) exportCommand() *cobra.Command {
	var remove bool
	cmd := c.onAMQP(&cobra.Command{
		Use: "export QUEUE [FILE]", Short: "Write a queue's messages to a file, one JSON object a line", Args: cobra.RangeArgs(1, 2),
		Long: "Write a queue's messages to a file, one JSON object a line.\n\nThey stay in the queue, marked as redelivered, unless --remove is given.",
		Example: "  warren message export orders orders.jsonl --cluster shop --vhost orders\n" +
			"  warren message export orders --remove --count 1000 > orders.jsonl",
	}, func(ctx context.Context, ch *amqp091.Channel, o *consuming, args []string) (err error) {
		out, said := c.env.Stdout, func(n int) error {
			_, err := fmt.Fprintf(c.env.Stderr, "%d messages are exported\n", n)
			return err
		}
		if len(args) > 1 && args[1] != "-" {
			f, err := os.OpenFile(args[1], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:forbidigo // the user's own file
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			out, said = f, func(n int) error { return c.done("%d messages are exported", n) }
		}
		w := bufio.NewWriter(out)
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		p := c.newProgress("exported", 0)
		defer p.end()
		t := taking{ch: ch, queue: args[0], most: o.count, remove: remove, progress: p, kept: w.Flush}
		t.each = func(m *amqp091.Delivery) error { return e.Encode(lineOf(m)) }
		if err := t.run(ctx); err != nil {
			return err
		}
		return said(p.done)
	})
	cmd.Flags().BoolVar(&remove, "remove", false, "acknowledge what is written: it is gone from the queue")
	return cmd
}

// taking takes what is ready in a queue.
type taking struct {
	ch    *amqp091.Channel
	queue string
	most  int // 0: all
	// remove acknowledges the messages, a part at a time, once kept has made sure
	// that what each was given stays; else who is given them does, or they go
	// back to the queue when the channel ends.
	remove   bool
	progress *progress
	each     func(m *amqp091.Delivery) error
	kept     func() error
}

func (t *taking) run(ctx context.Context) error {
	n, err := ready(t.ch, t.queue, t.most)
	if err != nil || n == 0 {
		return err
	}
	t.progress.total = n
	if t.remove {
		err = t.ch.Qos(inFlight, 0, false)
	}
	closed := t.ch.NotifyClose(make(chan *amqp091.Error, 1))
	messages, err2 := t.ch.ConsumeWithContext(context.WithoutCancel(ctx), t.queue, "", false, false, false, false, nil)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	for i := 1; i <= n; i++ {
		select {
		case m, ok := <-messages:
			if !ok {
				return endOf(closed, nil, t.queue)
			}
			if err := t.take(&m, i == n || i%(inFlight/2) == 0); err != nil {
				return err
			}
		case <-time.After(time.Second): // others have taken the rest
			return t.kept()
		case <-ctx.Done():
			return errors.Join(t.kept(), fmt.Errorf("interrupted after %d of %d", t.progress.done, n))
		}
	}
	return t.kept()
}

// take takes one message; full says that a part has come together.
func (t *taking) take(m *amqp091.Delivery, full bool) error {
	if err := t.each(m); err != nil {
		return err
	}
	if t.remove && full {
		if err := t.kept(); err != nil {
			return err
		}
		if err := m.Ack(true); err != nil {
			return err
		}
	}
	t.progress.add(1)
	return nil
}

func (c *client) importCommand() *cobra.Command {
	var to string
	cmd := c.onAMQP(&cobra.Command{
		Use: "import [FILE]", Short: "Publish the messages of a file that 'message export' wrote", Args: cobra.MaximumNArgs(1),
		Example: "  warren message import orders.jsonl --queue orders --cluster shop --vhost orders\n  warren message import < orders.jsonl",
	}, func(ctx context.Context, ch *amqp091.Channel, o *consuming, args []string) error {
		in := c.env.Stdin
		if len(args) > 0 && args[0] != "-" {
			f, err := os.Open(args[0]) //nolint:forbidigo // the user's own file
			if err != nil {
				return err
			}
			defer func() { _ = f.Close() }()
			in = f
		}
		p := c.newProgress("imported", o.count)
		defer p.end()
		if err := c.load(ctx, ch, in, to, o.count, p); err != nil {
			return err
		}
		return c.done("%d messages are imported", p.done)
	})
	cmd.Flags().StringVar(&to, "queue", "", "publish to this queue, not to the exchange that each message came from")
	return cmd
}

// load publishes the lines of r.
func (c *client) load(ctx context.Context, ch *amqp091.Channel, r io.Reader, queue string, most int, p *progress) error {
	s, err := newSending(ch)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan() && (most == 0 || n <= most); n++ {
		var m line
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("line %d is no message: %w", n, err)
		}
		if queue != "" {
			m.Exchange, m.RoutingKey = "", queue
		}
		if err := s.send(ctx, m.Exchange, m.RoutingKey, m.publishing(), func() error {
			p.add(1)
			return nil
		}); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the file cannot be read: %w", err)
	}
	return s.wait(ctx, 0)
}

func (c *client) moveCommand() *cobra.Command {
	var exchange, key string
	cmd := c.onAMQP(&cobra.Command{
		Use: "move QUEUE [TO]", Short: "Move a queue's messages to another queue, or publish them to an exchange", Args: cobra.RangeArgs(1, 2),
		Long: "Move a queue's messages to another queue, or publish them to an exchange.\n\n" +
			"Each is acknowledged when its copy is confirmed: what goes wrong between leaves a message twice, never not at all.",
		Example: "  warren message move orders.parked orders --cluster shop --vhost orders\n" +
			"  warren message move orders.dead --exchange orders --key retry --count 100",
	}, func(ctx context.Context, ch *amqp091.Channel, o *consuming, args []string) error {
		if (len(args) == 1) == (exchange == "") {
			return usageError{errors.New("give either the queue TO or --exchange")}
		}
		p := c.newProgress("moved", 0)
		defer p.end()
		to := moving{exchange, key}
		if len(args) > 1 {
			to = moving{"", args[1]}
		}
		if err := to.run(ctx, ch, args[0], o.count, p); err != nil {
			return err
		}
		return c.done("%d messages are moved", p.done)
	})
	cmd.Flags().StringVar(&exchange, "exchange", "", "publish to this exchange")
	cmd.Flags().StringVar(&key, "key", "", "with this routing key; each message's own when not given")
	return cmd
}

// moving is where messages go.
type moving struct{ exchange, key string }

func (m *moving) run(ctx context.Context, ch *amqp091.Channel, queue string, most int, p *progress) error {
	s, err := newSending(ch)
	if err != nil {
		return err
	}
	counted := &progress{now: p.now, w: io.Discard} // what was taken; p is what has arrived
	t := taking{ch: ch, queue: queue, most: most, progress: counted, kept: func() error { return nil }}
	t.each = func(d *amqp091.Delivery) error {
		p.total = counted.total
		key := m.key
		if key == "" {
			key = d.RoutingKey
		}
		copied, tag := lineOf(d), d.DeliveryTag
		return s.send(ctx, m.exchange, key, copied.publishing(), func() error {
			p.add(1)
			return ch.Ack(tag, false)
		})
	}
	return errors.Join(t.run(ctx), s.wait(ctx, 0))
}

// sending publishes with confirms, some at a time.
type sending struct {
	ch      *amqp091.Channel
	pending []pendingSend
	returns chan amqp091.Return
}

type pendingSend struct {
	confirm *amqp091.DeferredConfirmation
	done    func() error
}

func newSending(ch *amqp091.Channel) (*sending, error) {
	s := &sending{ch: ch, returns: ch.NotifyReturn(make(chan amqp091.Return, 2*inFlight))}
	return s, ch.Confirm(false)
}

// send publishes a message; done runs when it is confirmed.
func (s *sending) send(ctx context.Context, exchange, key string, m amqp091.Publishing, done func() error) error {
	confirm, err := s.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, m)
	if err != nil {
		return err
	}
	s.pending = append(s.pending, pendingSend{confirm, done})
	if len(s.pending) < inFlight {
		return nil
	}
	return s.wait(ctx, inFlight/2)
}

// wait waits until not more than left are pending.
func (s *sending) wait(ctx context.Context, left int) error {
	for len(s.pending) > left {
		first := s.pending[0]
		ok, err := first.confirm.WaitContext(ctx)
		if err != nil {
			return err
		}
		select {
		case r := <-s.returns:
			return fmt.Errorf("no queue takes messages with key %q from exchange %q", r.RoutingKey, r.Exchange)
		default:
		}
		if !ok {
			return errors.New("the node did not take a message")
		}
		if err := first.done(); err != nil {
			return err
		}
		s.pending = s.pending[1:]
	}
	return nil
}
