package session

import (
	"maps"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/broker"
)

// exchangeMethod runs class exchange (§1.6).
func (c *Conn) exchangeMethod(ch *channel, m amqp.Method) *amqp.Error {
	a := c.actor.Load()
	switch m := m.(type) {
	case *amqp.ExchangeDeclare:
		err := c.vhost.DeclareExchange(a, broker.ExchangeDeclare{
			Name: m.Exchange, Type: m.Type, Passive: m.Passive, Durable: m.Durable, AutoDelete: m.AutoDelete,
			Internal: m.Internal, Arguments: m.Arguments,
		})
		return c.reply(ch, err, m.NoWait, &amqp.ExchangeDeclareOk{})
	case *amqp.ExchangeDelete:
		err := c.vhost.DeleteExchange(a, m.Exchange, m.IfUnused)
		return c.reply(ch, err, m.NoWait, &amqp.ExchangeDeleteOk{})
	case *amqp.ExchangeBind:
		err := c.vhost.Bind(a, broker.Binding{
			Source: m.Source, Destination: m.Destination, DestinationKind: broker.KindExchange,
			Key: m.RoutingKey, Arguments: m.Arguments,
		})
		return c.reply(ch, err, m.NoWait, &amqp.ExchangeBindOk{})
	case *amqp.ExchangeUnbind:
		err := c.vhost.Unbind(a, broker.Binding{
			Source: m.Source, Destination: m.Destination, DestinationKind: broker.KindExchange,
			Key: m.RoutingKey, Arguments: m.Arguments,
		})
		return c.reply(ch, err, m.NoWait, &amqp.ExchangeUnbindOk{})
	}
	return errUnimplemented()
}

// queueMethod runs class queue (§1.7).
func (c *Conn) queueMethod(ch *channel, m amqp.Method) *amqp.Error {
	switch m := m.(type) {
	case *amqp.QueueDeclare:
		return c.queueDeclare(ch, m)
	case *amqp.QueueBind:
		b, err := ch.queueBinding(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
		if err == nil {
			err = c.vhost.Bind(c.actor.Load(), b)
		}
		return c.reply(ch, err, m.NoWait, &amqp.QueueBindOk{})
	case *amqp.QueueUnbind:
		b, err := ch.queueBinding(m.Queue, m.Exchange, m.RoutingKey, m.Arguments)
		if err == nil {
			err = c.vhost.Unbind(c.actor.Load(), b)
		}
		return c.reply(ch, err, false, &amqp.QueueUnbindOk{})
	case *amqp.QueuePurge:
		name, err := ch.queueName(m.Queue)
		n := 0
		if err == nil {
			n, err = c.vhost.Purge(c.actor.Load(), name)
		}
		return c.reply(ch, err, m.NoWait, &amqp.QueuePurgeOk{MessageCount: count(n)})
	case *amqp.QueueDelete:
		name, err := ch.queueName(m.Queue)
		n := 0
		if err == nil {
			n, err = c.vhost.DeleteQueue(c.actor.Load(), name, m.IfUnused, m.IfEmpty)
		}
		return c.reply(ch, err, m.NoWait, &amqp.QueueDeleteOk{MessageCount: count(n)})
	}
	return errUnimplemented()
}

func (c *Conn) queueDeclare(ch *channel, m *amqp.QueueDeclare) *amqp.Error {
	q, err := c.vhost.DeclareQueue(c.actor.Load(), broker.QueueDeclare{
		Name: m.Queue, Passive: m.Passive, Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete,
		Arguments: m.Arguments,
	})
	if err != nil {
		return err
	}
	if q.Exclusive {
		c.owns(q)
	}
	ch.lastQueue = q.Name
	return c.reply(ch, nil, m.NoWait, &amqp.QueueDeclareOk{
		Queue: q.Name, MessageCount: count(q.Ready()), ConsumerCount: count(q.Consumers()),
	})
}

// owns notes an exclusive queue, and now and then forgets those that are gone: a
// client may declare one for each request.
func (c *Conn) owns(q *broker.Queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exclusive == nil {
		c.exclusive = map[string]*broker.Queue{}
	}
	if n := len(c.exclusive); n >= 16 && n&(n-1) == 0 {
		maps.DeleteFunc(c.exclusive, func(_ string, q *broker.Queue) bool { return q.Gone() })
	}
	c.exclusive[q.Name] = q
}

// queueBinding fills in what an empty queue name and key stand for.
func (ch *channel) queueBinding(queue, exchange, key string, args amqp.Table) (broker.Binding, *amqp.Error) {
	name, err := ch.queueName(queue)
	if queue == "" && key == "" {
		key = name
	}
	return broker.Binding{
		Source: exchange, Destination: name, DestinationKind: broker.KindQueue, Key: key, Arguments: args,
	}, err
}

// queueName resolves an empty name to the queue last declared on the channel.
func (ch *channel) queueName(name string) (string, *amqp.Error) {
	if name != "" {
		return name, nil
	}
	if ch.lastQueue == "" {
		return "", amqp.ChannelErrorf(amqp.CodeNotFound, "no previously declared queue")
	}
	return ch.lastQueue, nil
}

// reply answers a method unless it failed or wants no answer.
func (c *Conn) reply(ch *channel, err *amqp.Error, noWait bool, ok amqp.Method) *amqp.Error {
	if err == nil && !noWait {
		c.send(ch.id, ok)
	}
	return err
}

// count fits a message count into a reply's field.
func count(n int) uint32 { return uint32(min(n, 1<<31)) } //nolint:gosec // bounded
