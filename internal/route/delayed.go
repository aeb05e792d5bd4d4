package route

import "github.com/warrenmq/warren/amqp"

// Delayed is the type of an exchange that keeps messages with an x-delay header until their time
// has come. It routes as the type that its argument x-delayed-type names.
const Delayed = "x-delayed-message"

const argDelayedType = "x-delayed-type"

// Inner returns the type by which an exchange of type kind routes: kind itself, but for Delayed,
// whose arguments name it; empty when they do not.
func Inner(kind string, args amqp.Table) string {
	if kind != Delayed {
		return kind
	}
	v, _ := args.Get(argDelayedType)
	inner, _ := v.(string)
	if inner == Delayed {
		return ""
	}
	return inner
}

// checkDelayed is [CheckArguments] for x-delayed-message.
func checkDelayed(args amqp.Table) error {
	inner := Inner(Delayed, args)
	if _, ok := New[int](inner, args); !ok {
		return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "Invalid argument, '%s' must be an existing exchange type", argDelayedType)
	}
	return CheckArguments(inner, args)
}
