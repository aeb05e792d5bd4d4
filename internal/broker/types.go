package broker

import (
	"fmt"
	"maps"
	"slices"

	"github.com/warrenmq/warren/amqp"
)

// foreign are the arguments that RabbitMQ 4.3 refuses for a type of queue, and
// that would mean nothing here either. What Warren honours on more types than
// RabbitMQ (x-delivery-limit) is not among them.
var foreign = map[string][]string{
	"classic": {
		"x-max-age", "x-stream-max-segment-size-bytes", "x-stream-filter-size-bytes", "x-initial-cluster-size",
		"x-quorum-initial-group-size", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-consumer-disconnected-timeout",
	},
	"quorum": {
		"x-max-priority", "x-queue-mode", "x-queue-version", "x-max-age", "x-stream-max-segment-size-bytes",
		"x-stream-filter-size-bytes", "x-initial-cluster-size",
	},
	"stream": {
		"x-message-ttl", "x-expires", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-max-length",
		"x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version", "x-single-active-consumer", "x-delivery-limit",
		"x-quorum-initial-group-size", "x-max-in-memory-length", "x-max-in-memory-bytes",
	},
}

// compared returns the arguments of a type that a redeclare must repeat, in
// RabbitMQ's order, then those that only Warren acts on.
func compared(known map[string]argument) map[string][]string {
	order := map[string][]string{
		"classic": {
			"x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-length", "x-max-length-bytes",
			"x-max-priority", "x-overflow", "x-queue-mode", "x-queue-version", "x-single-active-consumer", "x-queue-type",
		},
		"quorum": {
			"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-expires", "x-max-length",
			"x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-overflow", "x-single-active-consumer",
			"x-queue-type", "x-quorum-initial-group-size", "x-delivery-limit", "x-message-ttl",
		},
	}
	for t, keys := range order {
		for _, key := range slices.Sorted(maps.Keys(known)) {
			if !slices.Contains(keys, key) && !slices.Contains(foreign[t], key) {
				keys = append(keys, key)
			}
		}
		order[t] = keys
	}
	return order
}

// checkedFirst is the order in which RabbitMQ looks at the values of arguments;
// others come behind.
var checkedFirst = []string{
	"x-expires", "x-message-ttl", "x-dead-letter-exchange", "x-dead-letter-routing-key", "x-dead-letter-strategy", "x-max-length",
	"x-max-length-bytes", "x-max-in-memory-length", "x-max-in-memory-bytes", "x-max-priority", "x-overflow", "x-queue-version",
	"x-single-active-consumer", "x-consumer-timeout", "x-consumer-disconnected-timeout", "x-queue-type",
}

// inOrder returns arguments as they are checked: of those with one key, the
// first counts.
func inOrder(args amqp.Table) amqp.Table {
	if len(args) < 2 {
		return args
	}
	rank := func(f amqp.Field) int {
		if i := slices.Index(checkedFirst, f.Key); i >= 0 {
			return i
		}
		return len(checkedFirst)
	}
	list := slices.Clone(args)
	slices.SortStableFunc(list, func(a, b amqp.Field) int { return rank(a) - rank(b) })
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(f amqp.Field) bool {
		again := seen[f.Key]
		seen[f.Key] = true
		return again
	})
}

// queueType returns the declared type; classic when none is named.
func queueType(args amqp.Table) string {
	if t, ok := args.Get("x-queue-type"); ok {
		if s, ok := t.(string); ok && s != "" {
			return s
		}
	}
	return "classic"
}

// checkTypeName refuses what is no type, and a type that wants a name.
func (v *Vhost) checkTypeName(d *QueueDeclare) *amqp.Error {
	if value, ok := d.Arguments.Get("x-queue-type"); ok {
		if reason := checkType(value, nil); reason != "" {
			switch value.(type) {
			case string, bool: // which RabbitMQ looks up for a name that it makes up
				if d.generated {
					return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "unknown queue type '%v'", value)
				}
			}
			return v.invalidArgument(d.Name, "x-queue-type", reason)
		}
	}
	if d.generated && queueType(d.Arguments) == "quorum" {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "Cannot declare a server-named queue for type rabbit_quorum_queue")
	}
	return nil
}

// checkForeign refuses arguments that belong to another type of queue.
func (v *Vhost) checkForeign(d *QueueDeclare) *amqp.Error {
	t := queueType(d.Arguments)
	for _, key := range foreign[t] {
		if _, ok := d.Arguments.Get(key); ok {
			return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid arg '%s' for %s of queue type rabbit_%s_queue",
				key, v.resource(KindQueue, d.Name), t)
		}
	}
	return nil
}

// checkQueueType refuses what RabbitMQ refuses for the type, and then the
// types that are not built yet.
func (v *Vhost) checkQueueType(d *QueueDeclare) *amqp.Error {
	t := queueType(d.Arguments)
	if t == "classic" {
		return nil
	}
	property := ""
	switch {
	case d.AutoDelete:
		property = "auto-delete"
	case d.Exclusive:
		property = "exclusive-owner"
	case !d.Durable:
		property = "non-durable"
	}
	if property != "" {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid property '%s' for %s", property, v.resource(KindQueue, d.Name))
	}
	if t == "quorum" {
		return nil // of one member: this node
	}
	return v.invalidArgument(d.Name, "x-queue-type", fmt.Sprintf("\"queue type '%s' is not supported yet by this broker\"", t))
}
