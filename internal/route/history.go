package route

import "github.com/warrenmq/warren/amqp"

// The argument that says how many messages a recent history exchange keeps.
const argHistoryLength = "x-recent-history-length"

const (
	defaultHistory = 20
	// MaxHistory is how many messages a recent history exchange may keep.
	MaxHistory = 1000
)

// HistoryLength is how many messages a recent history exchange with these arguments keeps.
func HistoryLength(args amqp.Table) (int, error) {
	v, ok := args.Get(argHistoryLength)
	if !ok {
		return defaultHistory, nil
	}
	n, _, ok := args.Int(argHistoryLength)
	switch {
	case !ok || n < 1:
		return 0, amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"Invalid argument %s, 'x-recent-history-length' must be a positive integer", erlangTerm(text(v)))
	case n > MaxHistory:
		return 0, amqp.ChannelErrorf(amqp.CodePreconditionFailed,
			"Invalid argument %d, 'x-recent-history-length' must not exceed %d", n, MaxHistory)
	}
	return int(n), nil
}

// text makes a string bytes, which is how RabbitMQ writes it.
func text(v any) any {
	if s, ok := v.(string); ok {
		return []byte(s)
	}
	return v
}

// NoStore reports whether a message is not to be kept by a recent history exchange.
func NoStore(headers amqp.RawTable) bool {
	v, ok := headers.Lookup("x-recent-history-no-store")
	return ok && v.Kind == 't' && v.Data[0] != 0
}
