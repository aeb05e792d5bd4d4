package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/warrenmq/warren/amqp"
)

// topology is what a run publishes to and consumes from.
type topology struct {
	queues   []string
	exchange string // empty: the default exchange
	kind     string // of the exchange
	bindings int    // of a topic exchange
	args     amqp.Table
	ours     bool // the names are the generator's own

	made []string // queues that remove deletes
}

// exchangeName is the generator's exchange.
const exchangeName = "warren-bench"

// bindingKey and routingKey of a topic binding.
func bindingKey(i int) string { return fmt.Sprintf("r%d.*.x", i) }
func routingKey(i int) string { return fmt.Sprintf("r%d.k.x", i) }

// keys are the routing keys that the i-th producer publishes to in turn.
func (t *topology) keys(i int) []string {
	switch t.kind {
	case "":
		return []string{t.queues[i%len(t.queues)]}
	case "topic":
		var keys []string
		for k := range t.bindings {
			keys = append(keys, routingKey(k))
		}
		return keys
	}
	return []string{""}
}

// copies is how many queues a message reaches.
func (t *topology) copies() int64 {
	if t.kind == "fanout" {
		return int64(len(t.queues))
	}
	return 1
}

// declare makes everything anew, or nothing. Queues that are not the generator's own must not exist.
func (t *topology) declare(ctx context.Context, to target) error {
	c, err := dial(ctx, to, smallBuffer)
	if err != nil {
		return err
	}
	for i := 0; err == nil && i < len(t.queues); i++ {
		err = t.declareQueue(c, t.queues[i])
	}
	if err == nil {
		err = t.bind(c)
	}
	if err == nil {
		return c.close()
	}
	c.drop()
	if len(t.made) == 0 {
		return err
	}
	return errors.Join(err, t.remove(ctx, to))
}

func (t *topology) declareQueue(c *conn, name string) error {
	if t.ours {
		if err := c.call(channelID, &amqp.QueueDelete{Queue: name}, amqp.IDQueueDeleteOk, nil); err != nil {
			return err
		}
	} else {
		_, err := c.depth(name)
		if err == nil {
			return fmt.Errorf("the queue %s exists already, and bench deletes its queues when it ends: name one that does not exist", name)
		}
		if !isMissing(err) {
			return err
		}
	}
	t.made = append(t.made, name)
	return c.call(channelID, &amqp.QueueDeclare{Queue: name, Durable: true, Arguments: t.args}, amqp.IDQueueDeclareOk, nil)
}

// bind makes the exchange and its bindings.
func (t *topology) bind(c *conn) error {
	if t.kind == "" {
		return nil
	}
	err := errors.Join(
		c.call(channelID, &amqp.ExchangeDelete{Exchange: t.exchange}, amqp.IDExchangeDeleteOk, nil),
		c.call(channelID, &amqp.ExchangeDeclare{Exchange: t.exchange, Type: t.kind, Durable: true}, amqp.IDExchangeDeclareOk, nil),
	)
	for i := 0; err == nil && i < max(t.bindings, len(t.queues)); i++ {
		m := &amqp.QueueBind{Queue: t.queues[i%len(t.queues)], Exchange: t.exchange}
		if t.kind == "topic" {
			m.RoutingKey = bindingKey(i)
		}
		err = c.call(channelID, m, amqp.IDQueueBindOk, nil)
	}
	return err
}

// cleanTimeout is how long removing may take after a run was interrupted.
const cleanTimeout = 30 * time.Second

// remove deletes everything, also when the run was interrupted.
func (t *topology) remove(ctx context.Context, to target) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	c, err := dial(ctx, to, smallBuffer)
	if err != nil {
		return err
	}
	for _, q := range t.made {
		if err := c.call(channelID, &amqp.QueueDelete{Queue: q}, amqp.IDQueueDeleteOk, nil); err != nil {
			c.drop()
			return err
		}
	}
	if t.kind != "" {
		if err := c.call(channelID, &amqp.ExchangeDelete{Exchange: t.exchange}, amqp.IDExchangeDeleteOk, nil); err != nil {
			c.drop()
			return err
		}
	}
	return c.close()
}

// depth returns how many messages a queue has ready. If there is no such queue, the error is one
// that isMissing knows, and the channel is open again.
func (c *conn) depth(queue string) (int64, error) {
	var ok amqp.QueueDeclareOk
	err := c.call(channelID, &amqp.QueueDeclare{Queue: queue, Passive: true}, amqp.IDQueueDeclareOk, &ok)
	if isMissing(err) {
		c.expectReply()
		return 0, errors.Join(err, c.send(channelID, &amqp.ChannelCloseOk{}), c.openChannel(channelID))
	}
	return int64(ok.MessageCount), err
}

// isMissing reports whether an error says that there is no such object.
func isMissing(err error) bool {
	closed, ok := errors.AsType[*closedError](err)
	return ok && closed.code == amqp.CodeNotFound
}

func (c *conn) confirmSelect() error {
	return c.call(channelID, &amqp.ConfirmSelect{}, amqp.IDConfirmSelectOk, nil)
}
