package broker

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/warrenmq/warren/amqp"
)

// argument is what is known of a queue argument (rabbitmq.com/docs/queues):
// how its value is checked, and whether it is acted on.
type argument struct {
	check func(value any, all amqp.Table) string // "" or the reason in RabbitMQ's words
	works works
}

// works says whether a valid value is acted on; the others are refused until
// they are built.
type works func(value any) bool

func always(any) bool { return true }

func notYet(any) bool { return false }

// rules are the arguments that are known, by what they belong to.
type rules struct {
	queue, consumer, exchange map[string]argument

	compared map[string][]string // by type: the keys of queue, in the order in which a redeclare is compared
}

func newRules() *rules {
	q, x := queueArguments(), dedupArguments()
	maps.Copy(q, x)
	return &rules{queue: q, consumer: consumerArguments(), exchange: x, compared: compared(q)}
}

// maxMillis bounds TTLs and expiries: ten years, as RabbitMQ does.
const maxMillis = 315_360_000_000

// queueArguments are the arguments that RabbitMQ acts on. What is not here is
// kept, shown and otherwise ignored, as RabbitMQ does.
func queueArguments() map[string]argument {
	number := func(low, high int64) func(any, amqp.Table) string {
		return func(v any, _ amqp.Table) string { return checkNumber(v, low, high) }
	}
	text := func(v any, _ amqp.Table) string { return checkText(v) }
	anything := func(any, amqp.Table) string { return "" }
	return map[string]argument{
		"x-queue-type":                    {checkType, always},
		"x-queue-mode":                    {anything, always}, // classic queues have had one mode since RabbitMQ 3.12
		"x-queue-version":                 {checkVersion, always},
		"x-queue-leader-locator":          {checkLocator, always}, // a single node leads every queue
		"x-queue-master-locator":          {text, always},
		"x-max-in-memory-length":          {number(0, 1<<62), always}, // ignored by RabbitMQ 4 too
		"x-max-in-memory-bytes":           {number(0, 1<<62), always},
		"x-message-ttl":                   {number(0, maxMillis), always},
		"x-expires":                       {number(1, maxMillis), always},
		"x-max-length":                    {number(0, 1<<62), always},
		"x-max-length-bytes":              {number(0, 1<<62), always},
		"x-max-priority":                  {checkPriority, always},
		"x-overflow":                      {checkOverflow, always},
		"x-dead-letter-exchange":          {text, always},
		"x-dead-letter-routing-key":       {checkDeadLetterKey, always},
		"x-dead-letter-strategy":          {checkStrategy, always},
		"x-single-active-consumer":        {checkBool, always},
		"x-delivery-limit":                {number(-1<<62, 1<<62), always},
		"x-quorum-initial-group-size":     {number(1, math.MaxInt64), always},
		"x-initial-cluster-size":          {number(1, math.MaxInt64), always},
		"x-max-age":                       {text, notYet},
		"x-stream-max-segment-size-bytes": {number(0, 3_000_000_000), notYet},
		"x-stream-filter-size-bytes":      {number(16, 255), notYet},
		"x-consumer-timeout":              {number(0, maxMillis), always},
		"x-consumer-disconnected-timeout": {number(0, maxMillis), notYet},
		"x-delayed-retry-type":            {checkRetryType, always},
		"x-delayed-retry-min":             {number(1, maxMillis), always},
		"x-delayed-retry-max":             {number(1, maxMillis), always},
		"x-retry-attempts":                {number(0, 1<<31), always},
		"x-retry-delay":                   {checkRetryDelay, always},
		"x-retry-max-delay":               {checkRetryDelay, always},
	}
}

// consumerArguments are the arguments of basic.consume that RabbitMQ acts on.
func consumerArguments() map[string]argument {
	number := func(v any, _ amqp.Table) string { return checkNumber(v, -1<<62, 1<<62) }
	timeout := func(v any, _ amqp.Table) string { return checkNumber(v, 0, maxMillis) }
	anything := func(any, amqp.Table) string { return "" }
	return map[string]argument{
		"x-cancel-on-ha-failover":   {anything, always}, // nothing fails over
		"x-priority":                {number, always},
		"x-stream-offset":           {anything, notYet},
		"x-stream-filter":           {anything, notYet},
		"x-stream-match-unfiltered": {anything, notYet},
		"x-consumer-timeout":        {timeout, always},
	}
}

// checkArguments checks the arguments of a declare or consume.
func (v *Vhost) checkArguments(known map[string]argument, name string, args amqp.Table) *amqp.Error {
	for _, f := range args {
		k, ok := known[f.Key]
		if !ok {
			continue
		}
		if reason := k.check(f.Value, args); reason != "" {
			return v.invalidArgument(name, f.Key, reason)
		}
	}
	for _, f := range args {
		if k, ok := known[f.Key]; ok && !k.works(f.Value) {
			return v.invalidArgument(name, f.Key, strconv.Quote("not supported yet by this broker"))
		}
	}
	return nil
}

func (v *Vhost) invalidArgument(name, key, reason string) *amqp.Error {
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "invalid arg '%s' for %s: %s", key, v.resource(KindQueue, name), reason)
}

// integer returns the value of any integer type.
func integer(v any) (int64, bool) {
	n, _, ok := amqp.Table{{Key: "n", Value: v}}.Int("n")
	return n, ok
}

func checkNumber(v any, low, high int64) string {
	n, ok := integer(v)
	switch {
	case !ok:
		return fmt.Sprintf(`"expected integer, got %s"`, amqp.TypeName(v))
	case n < low && low == 1 && n == 0:
		return "{value_zero,0}"
	case n < low:
		return fmt.Sprintf("{value_negative,%d}", n)
	case n > high:
		return fmt.Sprintf("{value_too_large,%d}", n)
	}
	return ""
}

func checkPriority(v any, _ amqp.Table) string {
	if n, ok := integer(v); ok && n > 255 {
		return fmt.Sprintf("{max_value_exceeded,%d}", n)
	}
	return checkNumber(v, 0, 255)
}

func checkText(v any) string {
	if _, ok := v.(string); !ok {
		return fmt.Sprintf("{unacceptable_type,%s}", amqp.TypeName(v))
	}
	return ""
}

// checkVersion: version 1 is not RabbitMQ's any more, but clients of 3.13 ask
// for it, and here both are the same.
func checkVersion(v any, _ amqp.Table) string {
	if reason := checkNumber(v, 0, 1<<62); reason != "" {
		return reason
	}
	if n, _ := integer(v); n != 1 && n != 2 {
		return fmt.Sprintf(`"unsupported queue version '%d'"`, n)
	}
	return ""
}

func checkLocator(v any, _ amqp.Table) string {
	if reason := checkText(v); reason != "" {
		return reason
	}
	if !slices.Contains([]any{"client-local", "balanced", "random", "least-leaders"}, v) {
		return "invalid_queue_locator_arg"
	}
	return ""
}

func checkBool(v any, _ amqp.Table) string {
	if _, ok := v.(bool); !ok {
		return fmt.Sprintf("{unacceptable_type,%s}", amqp.TypeName(v))
	}
	return ""
}

func checkOverflow(v any, _ amqp.Table) string {
	switch v {
	case "drop-head", "reject-publish", "reject-publish-dlx":
		return ""
	}
	if reason := checkText(v); reason != "" {
		return reason
	}
	return "invalid_overflow"
}

func checkRetryType(v any, all amqp.Table) string {
	switch v {
	case "all", "failed", "returned":
		if _, ok := all.Get("x-delayed-retry-min"); !ok {
			return "retry_type_but_no_min_defined"
		}
		return ""
	case "disabled":
		return ""
	}
	if reason := checkText(v); reason != "" {
		return reason
	}
	return "invalid_retry_type"
}

func checkRetryDelay(v any, all amqp.Table) string {
	if reason := checkNumber(v, 1, maxMillis); reason != "" {
		return reason
	}
	if _, ok := all.Get("x-retry-attempts"); !ok {
		return "retry_delay_but_no_attempts_defined"
	}
	return ""
}

func checkDeadLetterKey(v any, all amqp.Table) string {
	if reason := checkText(v); reason != "" {
		return reason
	}
	if _, ok := all.Get("x-dead-letter-exchange"); !ok {
		return "routing_key_but_no_dlx_defined"
	}
	return ""
}

// checkStrategy: whatever is asked for, a dead letter and the end of its
// original are one step, and nothing is lost between them.
func checkStrategy(v any, _ amqp.Table) string {
	switch v {
	case "at-most-once", "at-least-once":
		return ""
	}
	if reason := checkText(v); reason != "" {
		return reason
	}
	return "invalid_dlx_strategy"
}

func checkType(v any, _ amqp.Table) string {
	t, ok := v.(string)
	switch {
	case !ok:
		return checkText(v)
	case t == "", t == "classic", t == "quorum", t == "stream": // RabbitMQ takes no name for no argument
		return ""
	}
	return fmt.Sprintf(`"unsupported queue type '%s'"`, t)
}

// equalArgument compares one argument of a declare with what is there.
func (v *Vhost) equalArgument(kind Kind, name, key string, got, have amqp.Table) *amqp.Error {
	g, gok := got.Get(key)
	h, hok := have.Get(key)
	if key == "x-queue-type" && kind == KindQueue {
		if !gok {
			g, gok = queueType(got), true
		}
		h, hok = queueType(have), true
	}
	if gok == hok && equalValue(g, h) {
		return nil
	}
	both := gok && hok
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "inequivalent arg '%s' for %s: received %s but current is %s",
		key, v.resource(kind, name), describe(g, gok, both), describe(h, hok, both))
}

// equalValue compares argument values; integers of all widths are equal.
func equalValue(a, b any) bool {
	if x, ok := integer(a); ok {
		y, ok := integer(b)
		return ok && x == y
	}
	t := amqp.AppendTable(nil, amqp.Table{{Key: "v", Value: a}})
	return string(t) == string(amqp.AppendTable(nil, amqp.Table{{Key: "v", Value: b}}))
}

// asError makes any error one of the protocol.
func asError(err error) *amqp.Error {
	if e, ok := errors.AsType[*amqp.Error](err); ok {
		return e
	}
	return amqp.ChannelErrorf(amqp.CodePreconditionFailed, "%s", err.Error())
}
