package broker

import (
	"slices"

	"github.com/warrenmq/warren/amqp"
	"github.com/warrenmq/warren/internal/auth"
)

// changeable are the arguments that a queue can take over while it serves. The
// others say how its messages are kept.
var changeable = []string{
	"x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes", "x-overflow", "x-dead-letter-exchange",
	"x-dead-letter-routing-key", "x-dead-letter-strategy", "x-delivery-limit", argConsumerTimeout, "x-retry-attempts",
	"x-retry-delay", "x-retry-max-delay", "x-delayed-retry-type", "x-delayed-retry-min", "x-delayed-retry-max",
}

// ChangeQueue gives a queue other arguments while it serves, in place of all
// that it has; messages and consumers stay. It needs the right to configure the
// queue.
func (v *Vhost) ChangeQueue(a *Actor, name string, arguments amqp.Table) *amqp.Error {
	if err := v.Check(a, auth.Configure, KindQueue, name); err != nil {
		return err
	}
	v.mu.Lock()
	q, err := v.replaceArguments(a, name, arguments)
	v.mu.Unlock()
	if err == nil {
		v.settleQueues([]*Queue{q})
	}
	return err
}

// replaceArguments checks and records other arguments of a queue; v.mu is held.
func (v *Vhost) replaceArguments(a *Actor, name string, arguments amqp.Table) (*Queue, *amqp.Error) {
	v.settled(name)
	if v.closed {
		return nil, v.gone()
	}
	q, err := v.usable(a, name)
	if err != nil {
		return nil, err
	}
	d := &QueueDeclare{Name: q.Name, Durable: q.Durable, Exclusive: q.Exclusive, AutoDelete: q.AutoDelete, Arguments: arguments}
	if err := v.checkDeadLetters(a, d); err != nil {
		return nil, err
	}
	if err := v.checkQueue(d); err != nil {
		return nil, err
	}
	for key := range v.rules.queue {
		if slices.Contains(changeable, key) {
			continue
		}
		if err := v.equalArgument(KindQueue, q.Name, key, arguments, q.Arguments()); err != nil {
			return nil, err
		}
	}
	if q.Durable {
		m := v.queueDefinition(q, q.waitingUID())
		m.Arguments = arguments
		if err := v.opts.Definitions.PutQueue(m); err != nil {
			return nil, v.stored(err)
		}
	}
	q.arguments.Store(&arguments)
	return q, nil
}

// Arguments returns what the queue was declared with, or got since.
func (q *Queue) Arguments() amqp.Table {
	if t := q.arguments.Load(); t != nil {
		return *t
	}
	return nil
}

// waitingUID is the number of what waits to be delivered again, 0: nothing ever
// did.
func (q *Queue) waitingUID() uint64 {
	if w := q.retries.Load(); w != nil {
		return w.UID
	}
	return 0
}
